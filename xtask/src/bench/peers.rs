//! The article's network in Penjing and in LiteRT, one after the other again and again on the same images, so that what else
//! the machine does meets both. It measures; `bars` judges.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::answers;
use super::images::Images;
use super::litert::{LiteRt, Timing};
use super::record::{Pair, Peers, Scaling, Times};
use super::starts::Starts;
use crate::child::{Penjing, json};
use crate::progress::Progress;

/// What a measurement works with.
pub(super) struct Setup<'a> {
    pub(super) penjing: &'a Penjing,
    pub(super) litert: &'a LiteRt,
    /// Folder of baseline.pnj and pruned_qat.pnj.
    pub(super) models: PathBuf,
    /// Folder for temporary files.
    pub(super) folder: PathBuf,
    /// MNIST and noise.
    pub(super) images: [Images; 2],
    /// Every instruction set of this machine.
    pub(super) sets: Vec<String>,
    pub(super) rounds: usize,
    /// Timed passes of each process.
    pub(super) repeats: usize,
}

/// What is read of `penjing bench --json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ours {
    #[serde(flatten)]
    timing: Timing,
    pub(super) load_us: f64,
    isa: String,
}

/// What was found.
pub(super) struct Found {
    pub(super) peers: Peers,
    /// Instruction set where none was forced.
    pub(super) isa: String,
}

/// What both programs are asked.
struct Row<'a> {
    dtype: &'static str,
    batch: usize,
    threads: usize,
    images: &'a Images,
    /// Sets that ours is forced to in further runs.
    forced: Vec<&'a str>,
}

/// Results of one row, round by round: LiteRT's, ours, ours on each forced set.
#[derive(Default)]
struct Results {
    theirs: Vec<Timing>,
    ours: Vec<Ours>,
    forced: Vec<Vec<Ours>>,
}

/// One round of the threads' rows. Microseconds an image, but for `pair`.
struct Shared {
    dtype: String,
    one_thread_min: f64,
    two_threads_min: f64,
    /// One process alone, tenth percentile.
    alone: f64,
    /// Images a microsecond of two processes at once.
    pair: f64,
}

/// A batch that is large enough to be divided.
const SHARED_BATCH: usize = 1024;
const SHARED_IMAGES: usize = 8 * SHARED_BATCH;
/// Microseconds that each process of the threads' rows shall time: long against its start.
const SHARED_US: f64 = 2e6;
/// A model that classifies MNIST worse is not the article's network.
const ACCURACY: f64 = 0.9;

impl Setup<'_> {
    /// The file of a model.
    pub(super) fn model(&self, dtype: &str) -> PathBuf {
        self.models.join(if dtype == "int8" { "pruned_qat.pnj" } else { "baseline.pnj" })
    }

    /// `penjing bench` on test images.
    fn bench(&self, dtype: &str, images: &Images, numbers: &[(&str, usize)]) -> Command {
        let model = self.model(dtype);
        let mut args = vec![OsStr::new("bench"), model.as_os_str(), OsStr::new("--json")];
        args.extend([OsStr::new("--data"), images.folder.as_os_str()]);
        let mut command = self.penjing.command(&args);
        for (flag, value) in numbers {
            command.args([flag, &*value.to_string()]);
        }
        command
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        for (images, dtype) in self.images.iter().flat_map(|i| [(i, "int8"), (i, "f32")]) {
            for (batch, threads) in [(32, 1), (32, 2), (1, 1), (1, 2)] {
                let forces = dtype == "int8" && (batch, threads) == (32, 1);
                let sets = if forces { &self.sets[..] } else { &[] };
                let forced = sets.iter().map(String::as_str).collect();
                rows.push(Row { dtype, batch, threads, images, forced });
            }
        }
        rows
    }

    /// One row once: LiteRT, then ours.
    fn compare(&self, row: &Row<'_>, results: &mut Results) -> Result<()> {
        let numbers = [row.batch, row.threads, self.repeats];
        results.theirs.push(self.litert.time(row.dtype, row.images, numbers)?);
        let flags = ["--batch", "--threads", "--repeats"];
        let numbers: Vec<(&str, usize)> = flags.into_iter().zip(numbers).collect();
        results.ours.push(json(&mut self.bench(row.dtype, row.images, &numbers))?);
        results.forced.resize_with(row.forced.len(), Vec::new);
        for (set, forced) in row.forced.iter().zip(&mut results.forced) {
            let mut command = self.bench(row.dtype, row.images, &numbers);
            let ours: Ours = json(command.env("PENJING_ISA", set))?;
            ensure!(ours.isa == *set, "PENJING_ISA={set} ran kernels for {}", ours.isa);
            forced.push(ours);
        }
        Ok(())
    }

    /// One thread, two threads, and two processes of one thread at once.
    fn share(&self, dtype: &str, us_per_image: f64) -> Result<Shared> {
        // `bench` times two passes a repeat
        let repeats = SHARED_US / (2.0 * us_per_image * SHARED_IMAGES as f64);
        let repeats = (repeats as usize).clamp(self.repeats.min(10), 400);
        let time = |threads: usize| -> Result<Ours> {
            let numbers = [
                ("--batch", SHARED_BATCH),
                ("--images", SHARED_IMAGES),
                ("--threads", threads),
                ("--repeats", repeats),
            ];
            json(&mut self.bench(dtype, &self.images[0], &numbers))
        };
        let (one, two) = (time(1)?, time(2)?);
        let pair = std::thread::scope(|scope| {
            let processes = [scope.spawn(|| time(1)), scope.spawn(|| time(1))];
            processes.map(|process| process.join().expect("reading a report does not panic"))
        });
        let [a, b] = pair;
        // not minima, which may be of moments in which one process ran alone
        Ok(Shared {
            dtype: dtype.to_owned(),
            one_thread_min: one.timing.us_per_image_min,
            two_threads_min: two.timing.us_per_image_min,
            alone: one.timing.us_per_image_p10,
            pair: a?.timing.us_per_image_p10.recip() + b?.timing.us_per_image_p10.recip(),
        })
    }

    /// Multiply-accumulates an image.
    fn macs(&self) -> Result<u64> {
        let model = self.model("int8");
        let args = [OsStr::new("inspect"), model.as_os_str(), OsStr::new("--json")];
        let found: Value = self.penjing.json(&args)?;
        found["macs"].as_u64().context("penjing inspect --json: no macs")
    }
}

/// Runs all rounds.
pub(super) fn measure(setup: &Setup<'_>, progress: &Progress) -> Result<Found> {
    let rows = setup.rows();
    let mut results: Vec<Results> = rows.iter().map(|_| Results::default()).collect();
    let mut scaling: Vec<Vec<Shared>> = [Vec::new(), Vec::new()].into();
    let mut starts = Starts::new(setup)?;
    for round in 1..=setup.rounds {
        let step = progress.step();
        for (row, results) in rows.iter().zip(&mut results) {
            setup.compare(row, results)?;
            if row.batch == 32 && row.threads == 1 && row.images.name == "MNIST" {
                starts.round(setup, row.dtype, &results.ours[round - 1])?;
            }
        }
        for (dtype, shared) in ["int8", "f32"].iter().zip(&mut scaling) {
            let first = rows.iter().position(|row| row.dtype == *dtype).context("no such row")?;
            shared.push(setup.share(dtype, results[first].ours[0].timing.us_per_image_min)?);
        }
        step.done(&format!("round {round} of {}", setup.rounds));
    }
    let isa = results[0].ours[0].isa.clone();
    let peers = Peers {
        peer: setup.litert.name()?,
        rounds: setup.rounds,
        repeats: setup.repeats,
        macs: setup.macs()?,
        pairs: pairs(&rows, &results, &isa)?,
        scaling: scaling.iter().filter_map(|rounds| best(rounds)).collect(),
        starts: starts.starts,
        same_bytes: answers::same_bytes(setup)?,
    };
    Ok(Found { peers, isa })
}

/// A pair a row, and one for each set that was forced and is not `best` anyway.
fn pairs(rows: &[Row<'_>], results: &[Results], best: &str) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for (row, results) in rows.iter().zip(results) {
        let theirs = times(&results.theirs);
        let mut all = vec![(best, &results.ours)];
        let forced = row.forced.iter().copied().zip(&results.forced);
        all.extend(forced.filter(|(set, _)| *set != best));
        for (set, ours) in all {
            let ours: Vec<Timing> = ours.iter().map(|ours| ours.timing.clone()).collect();
            let ours = times(&ours);
            for (program, times) in [("penjing", ours), ("LiteRT", theirs)] {
                ensure!(
                    row.images.name != "MNIST" || times.accuracy >= ACCURACY,
                    "{program}, {}, batch {}: accuracy {} on MNIST, expected {ACCURACY} or more",
                    row.dtype,
                    row.batch,
                    times.accuracy
                );
            }
            pairs.push(Pair {
                dtype: row.dtype.to_owned(),
                batch: row.batch,
                threads: row.threads,
                images: row.images.name.to_owned(),
                isa: set.to_owned(),
                ours,
                theirs,
            });
        }
    }
    Ok(pairs)
}

/// All rounds of one program on one row.
fn times(rounds: &[Timing]) -> Times {
    let median = |of: fn(&Timing) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let lower = values[(values.len() - 1) / 2];
        f64::midpoint(lower, values[middle])
    };
    Times {
        min: rounds.iter().map(|t| t.us_per_image_min).fold(f64::INFINITY, f64::min),
        p10: median(|t| t.us_per_image_p10),
        median: median(|t| t.us_per_image_median),
        accuracy: rounds.iter().map(|t| t.accuracy).fold(f64::INFINITY, f64::min),
    }
}

/// The least times of all rounds, and the most that side-by-side processes did over the most that one did alone.
fn best(rounds: &[Shared]) -> Option<Scaling> {
    let least = |of: fn(&Shared) -> f64| rounds.iter().map(of).fold(f64::INFINITY, f64::min);
    let pair = rounds.iter().map(|round| round.pair).fold(0.0, f64::max);
    rounds.first().map(|round| Scaling {
        dtype: round.dtype.clone(),
        batch: SHARED_BATCH,
        one_thread_min: least(|round| round.one_thread_min),
        two_threads_min: least(|round| round.two_threads_min),
        side_by_side: least(|round| round.alone) * pair,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(min: f64, accuracy: f64) -> Timing {
        Timing {
            us_per_image_min: min,
            us_per_image_p10: 2.0 * min,
            us_per_image_median: 3.0 * min,
            accuracy,
        }
    }

    #[test]
    fn minima_are_of_all_rounds_and_the_rest_medians_over_them() {
        let found = times(&[timing(4.0, 0.9), timing(1.0, 0.9), timing(2.0, 0.9)]);
        assert_eq!(found, Times { min: 1.0, p10: 4.0, median: 6.0, accuracy: 0.9 });
        assert_eq!(times(&[timing(1.0, 0.5), timing(2.0, 0.4)]).p10, 3.0);
    }

    #[test]
    fn forced_sets_are_pairs_beside_the_best() {
        let images = Images { name: "MNIST", folder: "d".into() };
        let forced = vec!["portable", "avx2"];
        let rows = [Row { dtype: "int8", batch: 32, threads: 1, images: &images, forced }];
        let ours = |isa: &str, min, accuracy| Ours {
            timing: timing(min, accuracy),
            load_us: 1.0,
            isa: isa.into(),
        };
        let results = |accuracy| {
            [Results {
                theirs: vec![timing(6.0, 0.97); 2],
                ours: vec![ours("avx2", 2.0, 0.98), ours("avx2", 1.0, 0.98)],
                forced: vec![vec![ours("portable", 3.0, accuracy)], vec![ours("avx2", 9.0, 0.98)]],
            }]
        };
        let found = pairs(&rows, &results(0.98), "avx2").unwrap();
        let shown: Vec<(&str, f64)> = found.iter().map(|p| (&*p.isa, p.ratio())).collect();
        assert_eq!(shown, [("avx2", 6.0), ("portable", 2.0)]);
        let error = pairs(&rows, &results(0.1), "avx2").unwrap_err().to_string();
        assert!(error.contains("penjing, int8, batch 32: accuracy 0.1"), "{error}");
    }

    #[test]
    fn threads_are_judged_by_the_best_rounds() {
        let round = |one, two, alone, pair| Shared {
            dtype: "int8".into(),
            one_thread_min: one,
            two_threads_min: two,
            alone,
            pair,
        };
        let found = best(&[round(2.0, 1.1, 2.5, 0.75), round(3.0, 1.0, 2.0, 0.5)]).unwrap();
        assert_eq!((found.one_thread_min, found.two_threads_min), (2.0, 1.0));
        assert_eq!((found.side_by_side, found.ratio()), (1.5, 2.0));
        assert_eq!(best(&[]), None);
    }
}
