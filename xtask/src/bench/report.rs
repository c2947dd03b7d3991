//! A record as tables, for a terminal and for docs/performance.md. It measures and judges nothing.

use super::bars::{self, Judged, Verdict};
use super::record::{Foreign, Layer, Pair, Peers, Record, Span};

/// Rows under a heading.
struct Table {
    title: &'static str,
    /// The first so many columns are words.
    words: usize,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// The tables of a run for a terminal.
pub(super) fn text(record: &Record) -> String {
    let mut text = String::new();
    for table in tables(record) {
        let mut shown = comfy_table::Table::new();
        shown.set_header(table.header);
        for row in table.rows {
            shown.add_row(row);
        }
        text += &format!("{}\n{shown}\n\n", table.title);
    }
    text + &host(record) + "\n"
}

/// The tables of every record, as docs/performance.md shows them.
pub(super) fn markdown(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        text += &format!("## {}, {}\n\n{}\n\n", record.host.cpu, record.isa, host(record));
        for table in tables(record) {
            text += &format!("**{}**\n\n", table.title);
            let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
            text += &line(&table.header.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>());
            let columns = table.header.iter().enumerate();
            let rule =
                columns.map(|(i, _)| if i < table.words { "---" } else { "---:" }.to_owned());
            text += &line(&rule.collect::<Vec<_>>());
            table.rows.iter().for_each(|row| text += &line(row));
            text.push('\n');
        }
    }
    text
}

/// Where and when, in a line.
fn host(record: &Record) -> String {
    let h = &record.host;
    let rounds = record.peers.as_ref().map_or(String::new(), |peers| {
        format!(" {} rounds of {} passes.", peers.rounds, peers.repeats)
    });
    format!(
        "Host: {}, {} cores, {} {}, {}; {}; kernels {}. Commit {}, {}.{rounds}",
        h.cpu,
        h.cores,
        h.os,
        h.arch,
        record.kernel,
        record.rustc,
        record.isa,
        record.commit,
        record.date
    )
}

fn tables(record: &Record) -> Vec<Table> {
    let mut tables = Vec::new();
    if let Some(peers) = &record.peers {
        tables.extend([pairs(record, peers), scaling(peers), starts(peers)]);
        tables.push(judged(bars::judge_peers(record, peers)));
    }
    if !record.interop.is_empty() {
        tables.extend([foreign(record), judged(bars::judge_interop(record))]);
    }
    tables.extend([layers(record), peaks(record)]);
    tables
}

/// Three significant digits.
fn digits(x: f64) -> String {
    let decimals = if x > 0.0 { (2.0 - x.log10().floor()).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{x:.decimals$}")
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "?".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

fn foreign(record: &Record) -> Table {
    let row = |row: &Foreign| {
        let times = |span: &Span| [span.min, span.p10, span.median, span.invoke_min].map(digits);
        let mut cells = vec![row.name.clone(), row.dtype.clone()];
        cells.extend(times(&row.ours));
        cells.extend(times(&row.theirs));
        cells.push(format!("{:.2}x", row.ratio()));
        cells.extend(row.bytes.map(|bytes| bytes.to_string()));
        cells
    };
    let [min, p10, median, invoke] = ["LiteRT min", "p10", "median", "invoke alone"];
    Table {
        title: "Reference models of MLPerf Tiny: Penjing and LiteRT, batch 1, one thread, microseconds a sample",
        words: 2,
        header: vec![
            "model",
            "type",
            "Penjing min",
            p10,
            median,
            "again",
            min,
            p10,
            median,
            invoke,
            "ratio of minima",
            "bytes .pnj",
            "bytes .tflite",
        ],
        rows: record.interop.iter().map(row).collect(),
    }
}

fn pairs(record: &Record, peers: &Peers) -> Table {
    let row = |pair: &Pair| {
        // one core's peak says nothing of two
        let gmac_per_s = peers.macs as f64 / pair.ours.min / 1e3;
        let peak = record.peak(&pair.isa, &pair.dtype).filter(|_| pair.threads == 1);
        let share = peak.map_or(String::new(), |peak| percent(Some(gmac_per_s / peak)));
        vec![
            pair.dtype.clone(),
            pair.images.clone(),
            pair.isa.clone(),
            pair.batch.to_string(),
            pair.threads.to_string(),
            digits(pair.ours.min),
            digits(pair.ours.p10),
            digits(pair.ours.median),
            digits(pair.theirs.min),
            digits(pair.theirs.p10),
            digits(pair.theirs.median),
            format!("{:.2}x", pair.ratio()),
            share,
        ]
    };
    Table {
        title: "The article's network: Penjing and LiteRT, microseconds an image",
        words: 3,
        header: vec![
            "type",
            "images",
            "kernels",
            "batch",
            "threads",
            "Penjing min",
            "p10",
            "median",
            "LiteRT min",
            "p10",
            "median",
            "ratio of minima",
            "of the peak",
        ],
        rows: peers.pairs.iter().map(row).collect(),
    }
}

fn scaling(peers: &Peers) -> Table {
    let row = |scaling: &super::record::Scaling| {
        vec![
            scaling.dtype.clone(),
            scaling.batch.to_string(),
            digits(scaling.one_thread_min),
            digits(scaling.two_threads_min),
            format!("{:.2}x", scaling.ratio()),
            format!("{:.2}x", scaling.side_by_side),
        ]
    };
    Table {
        title: "Penjing's threads, microseconds an image",
        words: 1,
        header: vec![
            "type",
            "batch",
            "1 thread",
            "2 threads",
            "faster",
            "two processes side by side",
        ],
        rows: peers.scaling.iter().map(row).collect(),
    }
}

fn starts(peers: &Peers) -> Table {
    let row = |start: &super::record::Start| {
        vec![
            start.program.clone(),
            start.dtype.clone(),
            format!("{:.0}", start.load_us),
            format!("{:.1}", start.peak_bytes as f64 / 1e6),
        ]
    };
    Table {
        title: "One batch of 32 from nothing",
        words: 2,
        header: vec!["program", "type", "file to first result, us", "peak resident memory, MB"],
        rows: peers.starts.iter().map(row).collect(),
    }
}

fn judged(judged: Vec<Judged>) -> Table {
    let row = |judged: Judged| {
        let verdict = match judged.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::Open => "open",
        };
        vec![judged.what, judged.expected, judged.found, verdict.to_owned()]
    };
    Table {
        title: "Bars, stated for a machine with AVX-512",
        words: 4,
        header: vec!["what", "expected", "found", ""],
        rows: judged.into_iter().map(row).collect(),
    }
}

fn layers(record: &Record) -> Table {
    let mut names: Vec<&str> = record.layers.iter().map(|layer| &*layer.name).collect();
    names.dedup();
    let row = |name: &str| {
        let of = |dtype: &str| record.layers.iter().find(|l| l.name == name && l.dtype == dtype);
        let macs = of("int8").or_else(|| of("f32")).map_or(0, |layer| layer.macs);
        let mut cells = vec![name.to_owned(), macs.to_string()];
        for dtype in ["int8", "f32"] {
            cells.extend(of(dtype).map_or_else(Default::default, |layer| figures(record, layer)));
        }
        cells
    };
    Table {
        title: "Layers by themselves, one thread",
        words: 1,
        header: vec![
            "layer",
            "MACs",
            "int8 us",
            "GMAC/s",
            "of the peak",
            "f32 us",
            "GMAC/s",
            "of the peak",
        ],
        rows: names.into_iter().map(row).collect(),
    }
}

/// Time, speed and share, with the bar where it is missed.
fn figures(record: &Record, layer: &Layer) -> [String; 3] {
    let (share, least) = (record.share(layer), bars::least_share(&layer.name, &layer.dtype));
    let missed = share.is_some_and(|share| share < least);
    let bar = if missed { format!(" (bar {:.0} %)", 100.0 * least) } else { String::new() };
    [digits(layer.ns_min / 1e3), digits(layer.gmac_per_s()), percent(share) + &bar]
}

fn peaks(record: &Record) -> Table {
    let row = |peak: &super::record::Peak| {
        vec![peak.isa.clone(), peak.dtype.clone(), digits(peak.gmac_per_s)]
    };
    Table {
        title: "The peak of one core: loops that touch registers alone",
        words: 2,
        header: vec!["kernels", "type", "GMAC/s"],
        rows: record.peaks.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::made_up;
    use super::*;

    #[test]
    fn every_figure_has_its_cell() {
        let mut record = made_up();
        record.layers[0].ns_min = 1010.0;
        let text = markdown(&[record.clone()]);
        for line in [
            "## A (R) CPU 9, avx512",
            "| int8 | MNIST | avx512 | 32 | 1 | 0.600 | 0.600 | 0.600 | 6.00 | 6.00 | 6.00 | 10.00x | 155.5 % |",
            "| int8 | 1024 | 0.600 | 0.300 | 2.00x | 1.95x |",
            "| penjing | int8 | 100 | 7.0 |",
            "| int8, batch 1, 1 thread, MNIST: against LiteRT | ≥ 10x | 10.00x | met |",
            "| conv3x3 | 40000 | 1.01 | 39.6 | 39.6 % (bar 40 %) | 1.00 | 25.0 | 50.0 % |",
            "| depthwise3x3 | 10000 | 1.00 | 10.0 | 10.0 % | 1.00 | 5.00 | 10.0 % |",
            "| avx512 | f32 | 50.0 |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("Commit c0ffee, 2026-01-02. 5 rounds of 50 passes."), "{text}");
        for lines in text.split("\n\n").filter(|part| part.starts_with('|')) {
            let bars = lines.lines().next().unwrap().matches('|').count();
            assert!(lines.lines().all(|line| line.matches('|').count() == bars), "{lines}");
        }
        record.peers = None;
        assert!(!markdown(&[record]).contains("LiteRT"));
    }
}
