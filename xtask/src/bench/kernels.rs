//! The kernels by themselves: runs the runtime's benches and reads what they leave, the peak and each layer's least time.
//! The article's network is `peers`'.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::record::{Layer, Peak};
use crate::child::output;

/// Peaks, and layers in the order in which the benches name them.
pub(super) struct Kernels {
    pub(super) peaks: Vec<Peak>,
    pub(super) layers: Vec<Layer>,
}

/// Runs both benches; Criterion's files go to `folder`, which is emptied first. `quick`: a glance at each layer.
pub(super) fn measure(root: &Path, folder: &Path, quick: bool) -> Result<Kernels> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    // before and after, for other programs can make any one of them slow
    let mut peaks = peaks(root)?;
    let mut shapes = bench(root, "shapes");
    shapes.args(["--noplot", "--quiet"]).env("CRITERION_HOME", folder);
    if quick {
        shapes.args(["--warm-up-time", "0.1", "--measurement-time", "0.2", "--sample-size", "10"]);
    }
    let status = shapes.stdout(Stdio::from(std::io::stderr())).status();
    ensure!(status.context("cannot start cargo")?.success(), "`cargo bench --bench shapes` failed");
    merge(&mut peaks, self::peaks(root)?);
    Ok(Kernels { peaks, layers: layers(folder)? })
}

/// `cargo bench` of one of the runtime's benches; arguments after this are the bench's.
fn bench(root: &Path, name: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["bench", "--quiet", "--package", "penjing-runtime", "--bench", name, "--"]);
    cargo.current_dir(root).stdin(Stdio::null());
    cargo
}

/// What the bench `roofline` prints: a JSON line a peak.
fn peaks(root: &Path) -> Result<Vec<Peak>> {
    let text = output(&mut bench(root, "roofline"))?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let peaks = lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("no peak: {line}")))
        .collect::<Result<Vec<Peak>>>()?;
    ensure!(!peaks.is_empty(), "`cargo bench --bench roofline` printed no peak: {text:?}");
    Ok(peaks)
}

/// Keeps the larger of each two.
fn merge(peaks: &mut [Peak], others: Vec<Peak>) {
    for other in others {
        for peak in peaks.iter_mut().filter(|p| p.isa == other.isa && p.dtype == other.dtype) {
            peak.gmac_per_s = peak.gmac_per_s.max(other.gmac_per_s);
        }
    }
}

/// Part of Criterion's benchmark.json.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: String,
    value_str: String,
    throughput: Throughput,
}

#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Elements")]
    elements: u64,
}

/// Part of Criterion's sample.json: calls and nanoseconds of each sample.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

impl Sample {
    /// The least of the samples' means. Criterion's own estimates are of the mean and the median, which other programs on
    /// the machine move.
    fn ns_min(&self) -> f64 {
        let means = self.times.iter().zip(&self.iters).map(|(time, calls)| time / calls);
        means.fold(f64::INFINITY, f64::min)
    }
}

/// Reads `GROUP/FUNCTION/VALUE/new` of each benchmark: the group is the instruction set, the value the type.
fn layers(folder: &Path) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    for file in benchmarks(folder)? {
        let benchmark: Benchmark = parse(&file)?;
        let sample: Sample = parse(&file.with_file_name("sample.json"))?;
        layers.push(Layer {
            name: benchmark.function_id,
            dtype: benchmark.value_str,
            isa: benchmark.group_id,
            macs: benchmark.throughput.elements,
            ns_min: sample.ns_min(),
        });
    }
    ensure!(!layers.is_empty(), "{}: Criterion left no results there", folder.display());
    // int8 before f32
    layers.sort_by(|a, b| a.name.cmp(&b.name).then(b.dtype.cmp(&a.dtype)));
    Ok(layers)
}

/// Every `new/benchmark.json` below a folder.
fn benchmarks(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("new/benchmark.json") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{}: not Criterion's", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_from_criterions_files() {
        let dir = tempfile::tempdir().unwrap();
        assert!(layers(dir.path()).is_err());
        for (dtype, times) in [("f32", "[9.0, 24.0]"), ("int8", "[30.0, 8.0]")] {
            for (age, factor) in [("new", 1), ("base", 7)] {
                let folder = dir.path().join(format!("avx2/conv/{dtype}/{age}"));
                std::fs::create_dir_all(&folder).unwrap();
                let benchmark = format!(
                    r#"{{"group_id":"avx2","function_id":"conv","value_str":"{dtype}","throughput":{{"Elements":{}}},"x":1}}"#,
                    100 * factor
                );
                std::fs::write(folder.join("benchmark.json"), benchmark).unwrap();
                let sample =
                    format!(r#"{{"iters":[2.0,4.0],"times":{times},"sampling_mode":"Linear"}}"#);
                std::fs::write(folder.join("sample.json"), sample).unwrap();
            }
        }
        let found = layers(dir.path()).unwrap();
        let shown: Vec<(&str, u64, f64)> =
            found.iter().map(|l| (&*l.dtype, l.macs, l.ns_min)).collect();
        assert_eq!(shown, [("int8", 100, 2.0), ("f32", 100, 4.5)]);
        assert_eq!(found[0].gmac_per_s(), 50.0);
    }

    #[test]
    fn the_larger_peak_is_kept() {
        let peak =
            |isa: &str, gmac_per_s| Peak { isa: isa.into(), dtype: "f32".into(), gmac_per_s };
        let mut peaks = vec![peak("a", 1.0), peak("b", 5.0)];
        merge(&mut peaks, vec![peak("a", 2.0), peak("b", 4.0)]);
        assert_eq!(peaks, [peak("a", 2.0), peak("b", 5.0)]);
    }
}
