//! `penjing bench`: time from input buffer to output buffer, measured as shared LiteRT timings are: passes over a slice of
//! samples in batches, the first pass set aside; with `--per-layer` then also passes of their own under the runtime's clock.
//! Kernels are timed one by one elsewhere.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};
use penjing_runtime::{Model, Profile};
use serde::Serialize;

use crate::layers::{self, Layer};
use crate::model_file::{self, Kind};
use crate::predict::{self, Predictor};
use crate::samples::Source;

/// Time a model or checkpoint on test images, tensors or noise
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  penjing bench model.pnj --data data --batch 32 --threads 1 --repeats 30 --json"
)]
pub(crate) struct BenchArgs {
    /// Model (.pnj) or checkpoint (.safetensors)
    #[arg(value_name = "MODEL|CKPT")]
    model: PathBuf,
    /// Folder of IDX files, or safetensors file with the model's inputs [default: data, if it is there and its images fit
    /// the model; noise of a fixed seed otherwise]
    #[arg(long, value_name = "DIR|FILE")]
    data: Option<PathBuf>,
    /// Samples a call
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Threads; 0 for all cores
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Timed passes over the slice, after one that is set aside
    #[arg(long, value_name = "N", default_value_t = 30)]
    repeats: usize,
    /// Samples a pass [default: 1024, or 256 at batch 1]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
    /// Also time every group of ops that runs as one; models on one thread only
    ///
    /// These are further passes, as many as --repeats: the clock adds about 30 ns a group and tile (up to 16 images) to
    /// each, and nothing to the other figures. A group's time is the least of its passes' means.
    #[arg(long)]
    per_layer: bool,
}

/// One line of `--json`. The names up to `gzip_bytes` and `accuracy` are those of the LiteRT script it is compared with.
#[derive(Serialize)]
struct Measurement {
    engine: &'static str,
    model: String,
    batch: usize,
    threads: usize,
    us_per_image_min: f64,
    us_per_image_p10: f64,
    us_per_image_median: f64,
    /// There is no way to run without handing buffers in and out: the same as `us_per_image_min`, from passes of its own.
    us_per_image_invoke_min: f64,
    raw_bytes: usize,
    gzip_bytes: usize,
    /// Over all images; none where samples have no labels.
    accuracy: Option<f64>,
    /// What it ran on.
    samples: String,
    /// Samples a pass.
    images: usize,
    /// Over the images of a pass.
    images_accuracy: Option<f64>,
    /// Whole passes: the first, with every cold cache, and the median of the rest.
    seconds_cold: f64,
    seconds_median: f64,
    /// Map, check and plan the file, and run the first batch of `batch` images: the least of 20 fresh loads in a warm
    /// process; microseconds.
    load_us: f64,
    isa: String,
    version: &'static str,
    host: Host,
    /// With `--per-layer`: the groups in the order in which they run.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
}

/// Where it ran.
#[derive(Serialize)]
struct Host {
    cpu: String,
    cores: usize,
    os: &'static str,
    arch: &'static str,
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    ensure!(args.repeats > 0, "--repeats: expected at least 1, found 0");
    if args.per_layer {
        check_per_layer(args)?;
    }
    let model = match model_file::kind(&args.model)? {
        Kind::Model => {
            Some(Model::open(&args.model).with_context(|| args.model.display().to_string())?)
        }
        Kind::Checkpoint => None,
        Kind::Tflite | Kind::Onnx => return Err(model_file::convert_first(&args.model)),
    };
    let view = model.as_ref().map(Model::view);
    let source = Source::open(args.data.as_deref(), view.as_ref(), &sample_dims(model.as_ref()))?;
    let usual = if args.batch > 1 { 1024 } else { 256 };
    let slice = args.images.unwrap_or(usual).min(source.len().unwrap_or(usize::MAX));
    ensure!(slice > 0, "--images: expected at least 1, found 0");
    // accuracy is over all that there is
    let samples = source.samples(view.as_ref(), source.len().unwrap_or(slice))?;
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let bytes = std::fs::read(&args.model).with_context(|| args.model.display().to_string())?;

    let load_us = predict::load_seconds(&args.model, &samples, args.batch, threads)? * 1e6;
    let mut predictor = Predictor::open(&args.model, &samples, args.batch, threads)?;
    let cold = pass(&mut predictor, slice, args.batch)?;
    let (mut full, mut invoke) = (Vec::new(), Vec::new());
    for _ in 0..args.repeats {
        full.push(pass(&mut predictor, slice, args.batch)?);
        invoke.push(pass(&mut predictor, slice, args.batch)?);
    }
    full.sort_by(f64::total_cmp);
    invoke.sort_by(f64::total_cmp);
    let layers = args.per_layer.then(|| per_layer(args, &mut predictor, slice)).transpose()?;
    let us = |seconds: f64| seconds / slice as f64 * 1e6;
    let mut accuracies = (None, None);
    if let Some(labels) = samples.labels() {
        let predicted = predictor.classify(predictor.count(), args.batch)?;
        let of = |n: usize| Some(accuracy(&predicted[..n], labels));
        accuracies = (of(predicted.len()), of(slice));
    }
    let measurement = Measurement {
        engine: predictor.engine(),
        model: model_file::name(&args.model),
        batch: args.batch,
        threads,
        us_per_image_min: us(full[0]),
        us_per_image_p10: us(percentile(&full, 0.1)),
        us_per_image_median: us(percentile(&full, 0.5)),
        us_per_image_invoke_min: us(invoke[0]),
        raw_bytes: bytes.len(),
        gzip_bytes: gzip_bytes(&bytes)?,
        accuracy: accuracies.0,
        samples: source.describe(),
        images: slice,
        images_accuracy: accuracies.1,
        seconds_cold: cold,
        seconds_median: percentile(&full, 0.5),
        load_us,
        isa: predictor.isa(),
        version: env!("CARGO_PKG_VERSION"),
        host: host(),
        layers,
    };
    print(&measurement, args.json)
}

/// Dimensions of a sample of each input.
fn sample_dims(model: Option<&Model>) -> Vec<Vec<usize>> {
    let dims = |info: penjing_runtime::TensorInfo<'_>| {
        info.shape.dims().iter().map(|&dim| dim as usize).collect()
    };
    model.map_or_else(Vec::new, |model| model.inputs().map(dims).collect())
}

/// Groups of ops are the runtime's: a checkpoint has none, and several threads would each have times of their own.
fn check_per_layer(args: &BenchArgs) -> Result<()> {
    ensure!(
        args.threads == 1,
        "--per-layer: times groups on one thread: expected --threads 1, found {}",
        args.threads
    );
    ensure!(
        model_file::kind(&args.model)? == Kind::Model,
        "{}: --per-layer: expected a model (.pnj), found a checkpoint, which has no groups of ops; convert it first",
        args.model.display()
    );
    Ok(())
}

/// Passes of their own, after those that tell the time of the whole: a clock between groups is not free.
fn per_layer(args: &BenchArgs, predictor: &mut Predictor, n: usize) -> Result<Vec<Layer>> {
    let passes = (0..args.repeats)
        .map(|_| predictor.profile(n, args.batch))
        .collect::<Result<Vec<Profile>>>()?;
    layers::layers(&args.model, &passes)
}

/// Seconds for images `0..n` in batches.
fn pass(predictor: &mut Predictor, n: usize, batch: usize) -> Result<f64> {
    let start = Instant::now();
    for first in (0..n).step_by(batch) {
        predictor.run(first, (first + batch).min(n))?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn print(m: &Measurement, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(m)?)?;
        return Ok(());
    }
    writeln!(
        out,
        "{} on {} ({}, {} threads, batch {}, {}): {:.2} us/image (min), {:.2} (p10), {:.2} (median)",
        m.model,
        m.engine,
        m.isa,
        m.threads,
        m.batch,
        m.samples,
        m.us_per_image_min,
        m.us_per_image_p10,
        m.us_per_image_median
    )?;
    if let Some(accuracy) = m.accuracy {
        write!(out, "accuracy {accuracy:.4}; ")?;
    }
    writeln!(
        out,
        "{} bytes, {} gzipped; first result after {:.0} us",
        m.raw_bytes, m.gzip_bytes, m.load_us
    )?;
    if let Some(layers) = &m.layers {
        layers::print(layers, &mut out)?;
    }
    Ok(())
}

/// Linear interpolation between the closest ranks of sorted values, as numpy's default.
fn percentile(sorted: &[f64], p: f64) -> f64 {
    let rank = p * (sorted.len() - 1) as f64;
    let low = rank.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (rank - low as f64)
}

fn accuracy(predicted: &[usize], labels: &[u8]) -> f64 {
    let hit = predicted.iter().zip(labels).filter(|(p, l)| **p == usize::from(**l)).count();
    hit as f64 / predicted.len().max(1) as f64
}

/// Size after `gzip -9`, without a file name or time.
fn gzip_bytes(bytes: &[u8]) -> Result<usize> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?.len())
}

fn host() -> Host {
    Host {
        cpu: cpu_model(Path::new("/proc/cpuinfo")).unwrap_or_else(|| "unknown".into()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
    }
}

fn cpu_model(cpuinfo: &Path) -> Option<String> {
    let text = std::fs::read_to_string(cpuinfo).ok()?;
    let line = text.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate() {
        let v = [1.0, 2.0, 4.0];
        assert_eq!(percentile(&v, 0.0), 1.0);
        assert_eq!(percentile(&v, 0.5), 2.0);
        assert_eq!(percentile(&v, 0.75), 3.0);
        assert_eq!(percentile(&v, 1.0), 4.0);
        assert_eq!(percentile(&[7.0], 0.1), 7.0);
    }

    #[test]
    fn gzip_finds_repetition() {
        assert!(gzip_bytes(&[0; 10_000]).unwrap() < 100);
    }

    #[test]
    fn accuracy_counts_hits() {
        assert_eq!(accuracy(&[1, 2, 3, 4], &[1, 2, 0, 4]), 0.75);
    }
}
