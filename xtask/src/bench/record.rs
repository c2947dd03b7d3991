//! What a run found out, as docs/results/performance-CPU-ISA.json holds it: figures as measured, where and on what commit.
//! How they are shown is `report`'s, what they should be `bars`'.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::child::output;
use crate::host::Machine;

/// One run on one machine.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Record {
    pub(super) host: Machine,
    /// The operating system's kernel.
    pub(super) kernel: String,
    /// `rustc --version` of the compiler.
    pub(super) rustc: String,
    /// Instruction set of the runtime's kernels where nothing else is said.
    pub(super) isa: String,
    /// What was measured; `-dirty` where the tree differs from it.
    pub(super) commit: String,
    /// Day of the run (UTC), `YYYY-MM-DD`.
    pub(super) date: String,
    pub(super) peaks: Vec<Peak>,
    pub(super) layers: Vec<Layer>,
    /// Present of a run with `--peers`.
    pub(super) peers: Option<Peers>,
    /// The reference models of MLPerf Tiny, of a run with `--interop`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) interop: Vec<Foreign>,
}

/// The most that one core can do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Peak {
    pub(super) isa: String,
    /// `int8` or `f32`.
    pub(super) dtype: String,
    /// Billions of multiply-accumulates a second.
    pub(super) gmac_per_s: f64,
}

/// One layer by itself, one thread.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) dtype: String,
    pub(super) isa: String,
    /// Multiply-accumulates a call.
    pub(super) macs: u64,
    /// Nanoseconds of a call: the least of the samples' means.
    pub(super) ns_min: f64,
}

/// Everything about the article's network beside LiteRT.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Peers {
    /// Name and version of the peer.
    pub(super) peer: String,
    /// Times that the two alternated.
    pub(super) rounds: usize,
    /// Timed passes of each process.
    pub(super) repeats: usize,
    /// Multiply-accumulates an image.
    pub(super) macs: u64,
    pub(super) pairs: Vec<Pair>,
    pub(super) scaling: Vec<Scaling>,
    pub(super) starts: Vec<Start>,
    /// Instruction sets on which all test images got the same bytes from the int8 model.
    #[serde(default)]
    pub(super) same_bytes: Vec<String>,
}

/// The two on the same images.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Pair {
    pub(super) dtype: String,
    pub(super) batch: usize,
    pub(super) threads: usize,
    /// `MNIST` or `noise`.
    pub(super) images: String,
    /// Instruction set of ours; the peer chooses its own.
    pub(super) isa: String,
    pub(super) ours: Times,
    pub(super) theirs: Times,
}

/// Microseconds an image.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Times {
    /// Of all passes of all rounds.
    pub(super) min: f64,
    /// Median over the rounds of each round's tenth percentile.
    pub(super) p10: f64,
    /// Median over the rounds of each round's median.
    pub(super) median: f64,
    /// Fraction of the test images that are classified as labelled, the same in every round.
    pub(super) accuracy: f64,
}

/// A model that another tool made, beside LiteRT at batch 1 on one thread.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Foreign {
    pub(super) name: String,
    pub(super) dtype: String,
    /// Of our file and of theirs.
    pub(super) bytes: [u64; 2],
    pub(super) ours: Span,
    pub(super) theirs: Span,
}

impl Foreign {
    /// LiteRT's least time over ours, of whole calls.
    pub(super) fn ratio(&self) -> f64 {
        self.theirs.min / self.ours.min
    }
}

/// Microseconds a sample, from input buffer to output buffer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Span {
    /// Of all passes of all rounds.
    pub(super) min: f64,
    /// Median over the rounds of each round's tenth percentile.
    pub(super) p10: f64,
    /// Median over the rounds of each round's median.
    pub(super) median: f64,
    /// The least without handing buffers in and out.
    pub(super) invoke_min: f64,
}

/// Our own threads. Microseconds an image.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Scaling {
    pub(super) dtype: String,
    pub(super) batch: usize,
    pub(super) one_thread_min: f64,
    pub(super) two_threads_min: f64,
    /// Throughput of two processes at once, one thread each, over that of one alone: what this machine's cores allow. Of tenth
    /// percentiles: the best alone and the best pair.
    pub(super) side_by_side: f64,
}

/// From a file to the first result.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Start {
    pub(super) program: String,
    pub(super) dtype: String,
    /// Microseconds from the file's path to the scores of the first batch of 32, in a process that is warm: the least.
    pub(super) load_us: f64,
    /// Peak resident memory of a process that runs one batch of 32; bytes, the most of the rounds.
    pub(super) peak_bytes: u64,
}

impl Pair {
    /// The peer's time over ours, of minima.
    pub(super) fn ratio(&self) -> f64 {
        self.theirs.min / self.ours.min
    }
}

impl Scaling {
    /// Throughput of two threads over that of one.
    pub(super) fn ratio(&self) -> f64 {
        self.one_thread_min / self.two_threads_min
    }
}

impl Layer {
    /// Billions of multiply-accumulates a second.
    pub(super) fn gmac_per_s(&self) -> f64 {
        self.macs as f64 / self.ns_min
    }
}

impl Record {
    /// The peak of an instruction set.
    pub(super) fn peak(&self, isa: &str, dtype: &str) -> Option<f64> {
        let found = self.peaks.iter().find(|peak| peak.isa == isa && peak.dtype == dtype);
        found.map(|peak| peak.gmac_per_s)
    }

    /// Fraction of the peak that a layer reaches.
    pub(super) fn share(&self, layer: &Layer) -> Option<f64> {
        self.peak(&layer.isa, &layer.dtype).map(|peak| layer.gmac_per_s() / peak)
    }

    /// The file's name: one a processor and instruction set, since virtual machines of unlike processors share a name.
    pub(super) fn file_name(&self) -> String {
        format!("performance-{}-{}.json", slug(&self.host.cpu), slug(&self.isa))
    }

    /// The whole record as the file's text.
    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// Lower-case letters and digits, with single hyphens for what lies between.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// The records of a folder, by file name.
pub(super) fn read_all(folder: &Path) -> Result<Vec<Record>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("performance-") && name.ends_with(".json") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &PathBuf| -> Result<Record> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| format!("{}: not a record", path.display()))
    };
    paths.iter().map(read).collect()
}

/// The running kernel's release.
pub(super) fn kernel() -> Result<String> {
    Ok(output(std::process::Command::new("uname").arg("-sr"))?.trim().to_owned())
}

/// Today, UTC.
pub(super) fn today() -> Result<String> {
    Ok(output(std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]))?.trim().to_owned())
}

/// A record made up for tests: int8 peaks of 100, f32 of 50; LiteRT 6 us on every row, ours a tenth of it.
#[cfg(test)]
pub(super) fn made_up() -> Record {
    let peak = |isa: &str, dtype: &str, gmac_per_s| Peak {
        isa: isa.into(),
        dtype: dtype.into(),
        gmac_per_s,
    };
    let layer = |name: &str, dtype: &str, macs| Layer {
        name: name.into(),
        dtype: dtype.into(),
        isa: "avx512".into(),
        macs,
        ns_min: 1000.0,
    };
    let times = |min| Times { min, p10: min, median: min, accuracy: 0.98 };
    let pair = |dtype: &str, batch, threads, images: &str, isa: &str| Pair {
        dtype: dtype.into(),
        batch,
        threads,
        images: images.into(),
        isa: isa.into(),
        ours: times(0.6),
        theirs: times(6.0),
    };
    let start = |program: &str, load_us, peak_bytes| Start {
        program: program.into(),
        dtype: "int8".into(),
        load_us,
        peak_bytes,
    };
    let peers = Peers {
        peer: "LiteRT 2.3.0".into(),
        rounds: 5,
        repeats: 50,
        macs: 93_288,
        pairs: vec![
            pair("int8", 32, 1, "MNIST", "avx512"),
            pair("int8", 32, 1, "MNIST", "avx2"),
            pair("int8", 32, 1, "MNIST", "portable"),
            pair("int8", 32, 1, "noise", "avx512"),
            pair("int8", 1, 1, "MNIST", "avx512"),
            pair("f32", 32, 1, "MNIST", "avx512"),
            pair("f32", 1, 1, "MNIST", "avx512"),
        ],
        scaling: vec![Scaling {
            dtype: "int8".into(),
            batch: 1024,
            one_thread_min: 0.6,
            two_threads_min: 0.3,
            side_by_side: 1.95,
        }],
        same_bytes: ["portable", "avx2", "avx512"].map(Into::into).to_vec(),
        starts: vec![start("penjing", 100.0, 7_000_000), start("LiteRT", 1000.0, 38_700_000)],
    };
    Record {
        host: Machine { cpu: "A (R) CPU 9".into(), cores: 2, os: "o".into(), arch: "a".into() },
        kernel: "K 1".into(),
        rustc: "rustc 1".into(),
        isa: "avx512".into(),
        commit: "c0ffee".into(),
        date: "2026-01-02".into(),
        peaks: vec![peak("avx512", "int8", 100.0), peak("avx512", "f32", 50.0)],
        layers: vec![
            layer("conv3x3", "int8", 40_000),
            layer("conv3x3", "f32", 25_000),
            layer("depthwise3x3", "int8", 10_000),
            layer("depthwise3x3", "f32", 5_000),
        ],
        interop: Vec::new(),
        peers: Some(peers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_back_the_records_written_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let (first, mut second) = (made_up(), made_up());
        assert_eq!(first.file_name(), "performance-a-r-cpu-9-avx512.json");
        second.isa = "avx2".into();
        second.peers = None;
        for record in [&first, &second] {
            std::fs::write(dir.path().join(record.file_name()), record.json().unwrap()).unwrap();
        }
        std::fs::write(dir.path().join("results.json"), "{}").unwrap();
        assert_eq!(read_all(dir.path()).unwrap(), [second, first]);
        std::fs::write(dir.path().join("performance-x.json"), "{}").unwrap();
        assert!(format!("{:#}", read_all(dir.path()).unwrap_err()).contains("performance-x.json"));
    }

    #[test]
    fn shares_are_of_the_layers_own_peak() {
        let record = made_up();
        let shares: Vec<f64> = record.layers.iter().map(|l| record.share(l).unwrap()).collect();
        assert_eq!(shares, [0.4, 0.5, 0.1, 0.1]);
        let other = Layer { isa: "neon".into(), ..record.layers[0].clone() };
        assert_eq!(record.share(&other), None);
    }
}
