//! The bars that a run is held against, and which of them it meets. They are stated for a machine with AVX-512; how the
//! figures come about is `peers`' and `kernels`'.

use super::record::{Foreign, Layer, Pair, Peers, Record, Scaling, Start};

/// Whether a figure is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Met,
    Missed,
    /// This run cannot tell.
    Open,
}

/// A bar and what was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) what: String,
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) verdict: Verdict,
}

/// LiteRT's time over ours: dtype, batch, images, instruction set (none: the machine's best), at least.
const RATIOS: [(&str, usize, &str, Option<&str>, f64); 7] = [
    ("int8", 32, "MNIST", None, 9.0),
    ("int8", 1, "MNIST", None, 10.0),
    ("f32", 32, "MNIST", None, 3.8),
    ("f32", 1, "MNIST", None, 4.5),
    ("int8", 32, "noise", None, 7.0),
    ("int8", 32, "MNIST", Some("avx2"), 4.5),
    ("int8", 32, "MNIST", Some("portable"), 0.95),
];
/// LiteRT's time over ours on models that other tools made: name, dtype, at least.
const FOREIGN: [(&str, &str, f64); 6] = [
    ("KWS, DS-CNN", "int8", 1.0),
    ("KWS, DS-CNN", "f32", 1.0),
    ("AD, autoencoder", "int8", 1.2),
    ("AD, autoencoder", "f32", 1.0),
    ("IC, ResNet-8", "int8", 0.9),
    ("IC, ResNet-8", "f32", 1.0),
];
/// Throughput of two threads over that of one, where two processes side by side reach at least the second figure.
const TWO_THREADS: (f64, f64) = (1.8, 1.9);
const LOAD_US: f64 = 150.0;
const PEAK_BYTES: u64 = 8_000_000;
/// Least fractions of the peak: name's beginning, dtype.
const SHARES: [(&str, &str, f64); 3] =
    [("depthwise", "", 0.10), ("", "int8", 0.40), ("", "f32", 0.50)];

/// The bars of the article's network.
pub(super) fn judge_peers(record: &Record, peers: &Peers) -> Vec<Judged> {
    let mut judged: Vec<Judged> = RATIOS.iter().map(|bar| ratio(bar, peers, &record.isa)).collect();
    judged.extend(peers.scaling.iter().map(scaling));
    judged.extend(starts(peers));
    judged.push(Judged {
        what: "int8: the same bytes for 10,000 images".into(),
        expected: "on every instruction set".into(),
        found: peers.same_bytes.join(", "),
        verdict: verdict(!peers.same_bytes.is_empty()),
    });
    judged
}

/// The bars of models that other tools made.
pub(super) fn judge_interop(record: &Record) -> Vec<Judged> {
    let judge = |row: &Foreign| {
        let bar = FOREIGN.iter().find(|(name, dtype, _)| row.name == *name && row.dtype == *dtype);
        let &(name, dtype, least) = bar?;
        Some(Judged {
            what: format!("{name}, {dtype}, batch 1, 1 thread: against LiteRT"),
            expected: format!("≥ {least}x"),
            found: format!("{:.2}x", row.ratio()),
            verdict: verdict(row.ratio() >= least),
        })
    };
    record.interop.iter().filter_map(judge).collect()
}

fn verdict(met: bool) -> Verdict {
    if met { Verdict::Met } else { Verdict::Missed }
}

fn ratio(
    &(dtype, batch, images, isa, least): &(&str, usize, &str, Option<&str>, f64),
    peers: &Peers,
    best: &str,
) -> Judged {
    let wanted = |pair: &&Pair| {
        pair.dtype == dtype
            && pair.batch == batch
            && pair.threads == 1
            && pair.images == images
            && pair.isa == isa.unwrap_or(best)
    };
    let found = peers.pairs.iter().find(wanted).map(Pair::ratio);
    let forced = isa.map_or(String::new(), |isa| format!(", {isa} forced"));
    Judged {
        what: format!("{dtype}, batch {batch}, 1 thread, {images}{forced}: against LiteRT"),
        expected: format!("≥ {least}x"),
        found: found.map_or_else(|| "not on this machine".into(), |found| format!("{found:.2}x")),
        verdict: found.map_or(Verdict::Open, |found| verdict(found >= least)),
    }
}

fn scaling(row: &Scaling) -> Judged {
    let (least, ceiling) = TWO_THREADS;
    Judged {
        what: format!("{}, batch {}: two threads against one", row.dtype, row.batch),
        expected: format!("≥ {least}x where two processes reach {ceiling}x"),
        found: format!("{:.2}x, two processes {:.2}x", row.ratio(), row.side_by_side),
        verdict: match row.ratio() >= least {
            false if row.side_by_side < ceiling => Verdict::Open,
            met => verdict(met),
        },
    }
}

fn starts(peers: &Peers) -> Vec<Judged> {
    let mut judged = Vec::new();
    let ours = |start: &&Start| start.program == "penjing" && start.dtype == "int8";
    for start in peers.starts.iter().filter(ours) {
        judged.push(Judged {
            what: "int8: from the file to the first result".into(),
            expected: format!("≤ {LOAD_US} us"),
            found: format!("{:.0} us", start.load_us),
            verdict: verdict(start.load_us <= LOAD_US),
        });
        judged.push(Judged {
            what: "int8: peak resident memory of `penjing run`, batch 32".into(),
            expected: format!("≤ {:.1} MB", PEAK_BYTES as f64 / 1e6),
            found: format!("{:.1} MB", start.peak_bytes as f64 / 1e6),
            verdict: verdict(start.peak_bytes <= PEAK_BYTES),
        });
    }
    judged
}

/// The least share of the peak that a layer must reach.
pub(super) fn least_share(name: &str, dtype: &str) -> f64 {
    let found = SHARES
        .iter()
        .find(|(start, of, _)| name.starts_with(start) && (of.is_empty() || *of == dtype));
    found.map_or(0.0, |&(_, _, share)| share)
}

/// The bars of the layers by themselves.
pub(super) fn judge_layers(record: &Record) -> Vec<Judged> {
    let judge = |layer: &Layer| {
        let (least, found) = (least_share(&layer.name, &layer.dtype), record.share(layer));
        Judged {
            what: format!("{}, {}: share of the peak", layer.name, layer.dtype),
            expected: format!("≥ {:.0} %", 100.0 * least),
            found: found
                .map_or_else(|| "no peak".into(), |found| format!("{:.1} %", 100.0 * found)),
            verdict: found.map_or(Verdict::Open, |found| verdict(found >= least)),
        }
    };
    record.layers.iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::made_up;
    use super::*;

    fn judge(record: &Record) -> Vec<Judged> {
        let of_peers = record.peers.iter().flat_map(|peers| judge_peers(record, peers));
        of_peers.chain(judge_layers(record)).collect()
    }

    fn with(verdict: Verdict, record: &Record) -> Vec<String> {
        let judged = judge(record).into_iter().filter(|judged| judged.verdict == verdict);
        judged.map(|judged| judged.what).collect()
    }

    #[test]
    fn a_good_run_meets_every_bar() {
        let record = made_up();
        assert_eq!(judge(&record).len(), 7 + 1 + 2 + 1 + 4);
        assert_eq!(with(Verdict::Met, &record).len(), 15, "{:?}", judge(&record));
    }

    #[test]
    fn each_bar_can_be_missed() {
        let mut record = made_up();
        for layer in &mut record.layers {
            layer.ns_min *= 1.01;
        }
        let peers = record.peers.as_mut().unwrap();
        for pair in &mut peers.pairs {
            pair.ours.min = if pair.isa == "portable" { 6.4 } else { 1.9 };
        }
        peers.starts[0].load_us = 151.0;
        peers.starts[0].peak_bytes = 8_000_001;
        peers.scaling[0].two_threads_min = 0.34;
        peers.same_bytes.clear();
        assert_eq!(with(Verdict::Missed, &record).len(), 15, "{:?}", judge(&record));
    }

    #[test]
    fn what_a_machine_cannot_show_stays_open() {
        let mut record = made_up();
        let peers = record.peers.as_mut().unwrap();
        peers.pairs.retain(|pair| pair.isa != "avx2");
        peers.scaling[0].two_threads_min = 0.34;
        peers.scaling[0].side_by_side = 1.89;
        let open = with(Verdict::Open, &record);
        assert!(open.len() == 2 && open[0].contains("avx2") && open[1].contains("two threads"));
        assert_eq!(with(Verdict::Missed, &record), [""; 0]);
        record.peers = None;
        assert_eq!(judge(&record).len(), 4);
    }

    #[test]
    fn a_machine_of_a_lesser_set_has_one_row_for_best_and_forced() {
        let mut record = made_up();
        record.isa = "avx2".into();
        let judged = judge(&record);
        assert_eq!((judged[0].verdict, judged[5].verdict), (Verdict::Met, Verdict::Met));
        assert_eq!(judged[1].verdict, Verdict::Open, "its rows are of avx512");
    }
}
