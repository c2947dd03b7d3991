//! What is measured: the tables' rows, by `penjing bench` one at a time, and their means over seeds. How rows are shown is
//! `report`'s.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::child::Penjing;
use crate::host::Machine;

/// A row's network.
#[derive(Clone, Copy)]
pub(super) struct ModelRow {
    /// Key in results.json.
    pub(super) key: &'static str,
    /// File in the models folder.
    pub(super) file: &'static str,
}

/// One of the article's tables.
pub(super) struct TableSpec {
    /// `1`, `2` or `3`.
    pub(super) number: &'static str,
    /// What it times.
    pub(super) title: &'static str,
    /// Images a pass.
    pub(super) images: usize,
    /// Threads; 0 for all cores.
    pub(super) threads: usize,
    /// Rows, the baseline first.
    pub(super) models: &'static [ModelRow],
}

const ALL: [ModelRow; 6] = [
    ModelRow { key: "baseline", file: "baseline.safetensors" },
    ModelRow { key: "pruned", file: "pruned.safetensors" },
    ModelRow { key: "qat", file: "qat.safetensors" },
    ModelRow { key: "pruned_lite", file: "pruned.pnj" },
    ModelRow { key: "qat_lite", file: "qat.pnj" },
    ModelRow { key: "pruned_qat_lite", file: "pruned_qat.pnj" },
];

const THREADED: [ModelRow; 4] = [ALL[0], ALL[3], ALL[4], ALL[5]];

/// The article's three.
pub(super) const TABLES: [TableSpec; 3] = [
    TableSpec { number: "1", title: "one batch of 32", images: 32, threads: 1, models: &ALL },
    TableSpec {
        number: "2",
        title: "313 batches in a plain loop, one thread",
        images: 10_000,
        threads: 1,
        models: &ALL,
    },
    TableSpec {
        number: "3",
        title: "313 batches on all cores",
        images: 10_000,
        threads: 0,
        models: &THREADED,
    },
];

/// What is read of `penjing bench --json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Bench {
    pub(super) accuracy: f64,
    pub(super) images_accuracy: f64,
    pub(super) seconds_cold: f64,
    pub(super) seconds_median: f64,
    pub(super) raw_bytes: u64,
    pub(super) gzip_bytes: u64,
    pub(super) isa: String,
    pub(super) host: Machine,
}

/// A row of results.json. Seconds, bytes: medians over the seeds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) model: &'static str,
    pub(super) accuracy: f64,
    /// Sample standard deviation over the seeds; 0 of one.
    pub(super) accuracy_sd: f64,
    pub(super) seconds: f64,
    pub(super) seconds_cold: f64,
    pub(super) speedup: f64,
    pub(super) bytes: u64,
    pub(super) size_ratio: f64,
    pub(super) gzip_bytes: u64,
}

/// Times one file on the first `images` test images, in batches of 32.
pub(super) fn bench(
    penjing: &Penjing,
    file: &Path,
    data: &Path,
    table: &TableSpec,
    repeats: usize,
) -> Result<Bench> {
    // a pass over one batch is short: more of them for the same patience
    let repeats = if table.images > 32 { repeats } else { repeats * 20 };
    let (images, threads, repeats) =
        (table.images.to_string(), table.threads.to_string(), repeats.to_string());
    let mut args: Vec<&std::ffi::OsStr> = vec!["bench".as_ref(), file.as_ref()];
    args.extend(["--data".as_ref(), data.as_os_str()]);
    for word in ["--batch", "32", "--images", &images, "--threads", &threads, "--repeats", &repeats]
    {
        args.push(word.as_ref());
    }
    args.push("--json".as_ref());
    penjing.json(&args)
}

/// The rows of a table from its measurements, `[row][seed]`, the baseline's first.
pub(super) fn rows(table: &TableSpec, measured: &[Vec<Bench>]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (model, seeds) in table.models.iter().zip(measured) {
        let one_batch = table.images <= 32;
        let accuracies: Vec<f64> =
            seeds.iter().map(|b| if one_batch { b.images_accuracy } else { b.accuracy }).collect();
        let seconds = median(seeds.iter().map(|b| b.seconds_median));
        let bytes = median(seeds.iter().map(|b| b.raw_bytes as f64));
        let (base_seconds, base_bytes) =
            rows.first().map_or((seconds, bytes), |base| (base.seconds, base.bytes as f64));
        rows.push(Row {
            model: model.key,
            accuracy: mean(&accuracies),
            accuracy_sd: deviation(&accuracies),
            seconds,
            seconds_cold: median(seeds.iter().map(|b| b.seconds_cold)),
            speedup: base_seconds / seconds,
            bytes: bytes.round() as u64,
            size_ratio: base_bytes / bytes,
            gzip_bytes: median(seeds.iter().map(|b| b.gzip_bytes as f64)).round() as u64,
        });
    }
    rows
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let m = mean(values);
    let squares: f64 = values.iter().map(|v| (v - m) * (v - m)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        _ if n.is_multiple_of(2) => f64::midpoint(values[n / 2 - 1], values[n / 2]),
        _ => values[n / 2],
    }
}

/// A measurement made up for tests.
#[cfg(test)]
pub(super) fn made_up(accuracy: f64, seconds: f64, bytes: u64) -> Bench {
    let host = Machine { cpu: "c".into(), cores: 2, os: "o".into(), arch: "a".into() };
    Bench {
        accuracy,
        images_accuracy: 1.0,
        seconds_cold: 2.0 * seconds,
        seconds_median: seconds,
        raw_bytes: bytes,
        gzip_bytes: bytes / 2,
        isa: "portable".into(),
        host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_means_and_ratios_to_the_baseline() {
        let measured = vec![
            vec![made_up(0.98, 0.4, 1000), made_up(0.96, 0.2, 1000), made_up(0.97, 0.3, 1000)],
            vec![made_up(0.9, 0.1, 250); 3],
        ];
        let rows = rows(&TABLES[1], &measured);
        assert!(
            (rows[0].accuracy - 0.97).abs() < 1e-12 && (rows[0].accuracy_sd - 0.01).abs() < 1e-12
        );
        assert_eq!((rows[0].speedup, rows[0].size_ratio, rows[0].seconds), (1.0, 1.0, 0.3));
        assert!((rows[1].speedup - 3.0).abs() < 1e-12);
        assert_eq!((rows[1].size_ratio, rows[1].bytes, rows[1].gzip_bytes), (4.0, 250, 125));
        assert_eq!(rows[1].accuracy_sd, 0.0);
    }

    #[test]
    fn one_batch_counts_its_own_images() {
        let row = &rows(&TABLES[0], &[vec![made_up(0.9, 0.1, 10)]])[0];
        assert_eq!((row.accuracy, row.accuracy_sd), (1.0, 0.0));
    }

    #[test]
    fn medians_of_even_counts_lie_between() {
        assert_eq!(median([3.0, 1.0, 2.0, 10.0].into_iter()), 2.5);
    }
}
