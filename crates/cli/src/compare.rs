//! `penjing compare`: two models or checkpoints beside each other: sizes, classes, layers, the images that differ most. The
//! arithmetic is `penjing_convert::compare`'s.

mod text;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use penjing_checkpoint::Checkpoint;
use penjing_convert::compare::{Distance, Layer, Matching, Tally, Verdict, match_layers};
use penjing_convert::samples::Samples;
use penjing_convert::side::{self, Runner, Side};
use penjing_runtime::Model;
use serde::Serialize;

use crate::foreign;
use crate::model_file::{self, Kind};
use crate::samples::Source;

/// Samples of noise, where no number is asked for.
const NOISE: usize = 256;

/// Hold two models or checkpoints against each other on test images, tensors or noise
///
/// Differences are of real values: integers are dequantized, a checkpoint's network computes in f32, with fake quantization
/// after `train qat`. A is the signal, A - B the noise.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  penjing compare qat.safetensors qat.pnj --data data")]
pub(crate) struct CompareArgs {
    /// Model (.pnj, .tflite, .onnx) or checkpoint (.safetensors)
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Model (.pnj, .tflite, .onnx) or checkpoint (.safetensors)
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Folder of IDX files, or safetensors file with the models' inputs [default: data, if it is there and its images fit
    /// the models; noise of a fixed seed otherwise]
    #[arg(long, value_name = "DIR|FILE")]
    data: Option<PathBuf>,
    /// Images to compare scores and classes on [default: all; of noise 256]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Images to compare layers on, the first of those; 0 for none
    ///
    /// Values between layers come from the runtime's oracle and the converter's interpreter, which are slow.
    #[arg(long, value_name = "N", default_value_t = 64)]
    layer_images: usize,
    /// Images to show whose scores differ most
    #[arg(long, value_name = "N", default_value_t = 10)]
    worst: usize,
    /// Print JSON instead
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    check_alike(args, &a, &b)?;
    // a checkpoint's integers are made when it is lowered: what a model takes goes for both
    let model = match (a.model(), b.model()) {
        (Some(model), Some(_)) => Some(model),
        _ => None,
    };
    let source = Source::open(args.data.as_deref(), model.as_ref(), &a.inputs)?;
    let most = source.len().unwrap_or(NOISE);
    let samples = source.samples(model.as_ref(), args.images.unwrap_or(most))?;
    let count = samples.len();
    ensure!(count > 0, "--images: expected at least 1, found 0");
    let mut on_a = ready(&args.a, &a, &samples)?;
    let mut on_b = ready(&args.b, &b, &samples)?;
    if let Some(split) = samples.split() {
        split.check_labels(a.classes())?;
    }
    let tally = side::tally(&mut on_a, &mut on_b, &samples, a.classes(), args.worst)?;
    let matching = match_layers(&a.layers, &b.layers);
    let layer_images = args.layer_images.min(count);
    let distances = side::layer_distances(&on_a, &on_b, &matching.pairs, layer_images)?;
    let labelled = |correct| samples.labels().map(|_| correct);
    let of_a = FileReport::new(&args.a, &a, labelled(tally.correct_a), count)?;
    let of_b = FileReport::new(&args.b, &b, labelled(tally.correct_b), count)?;
    let report = Report {
        samples: source.describe(),
        size_ratio: of_a.bytes as f64 / of_b.bytes as f64,
        a: of_a,
        b: of_b,
        agreement: AgreementReport::new(&tally),
        scores: DistanceReport::new(&tally.scores),
        layer_images,
        layers: layers((&a, &b), &matching, (layer_images > 0).then_some(&distances)),
        unmatched: Unmatched {
            a: matching.only_a.iter().map(|&i| UnmatchedLayer::new(&a.layers[i])).collect(),
            b: matching.only_b.iter().map(|&i| UnmatchedLayer::new(&b.layers[i])).collect(),
        },
        worst: tally.worst.iter().map(WorstReport::new).collect(),
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(());
    }
    report.print(&mut out)
}

fn open(path: &Path) -> Result<Side> {
    let side = match model_file::kind(path)? {
        Kind::Model => Side::of_model(Model::open(path)?),
        Kind::Checkpoint => Side::of_checkpoint(&Checkpoint::load(path)?),
        kind @ (Kind::Tflite | Kind::Onnx) => Side::of_model(foreign::model(path, kind)?),
    };
    side.with_context(|| path.display().to_string())
}

/// Same images in, as many scores out: whatever lies between may differ.
fn check_alike(args: &CompareArgs, a: &Side, b: &Side) -> Result<()> {
    let (of_a, of_b) = (args.a.display(), args.b.display());
    let elements = |ports: &[Vec<usize>]| -> Vec<usize> {
        ports.iter().map(|dims| dims.iter().product()).collect()
    };
    for (kind, in_a, in_b) in
        [("inputs", &a.inputs, &b.inputs), ("outputs", &a.outputs, &b.outputs)]
    {
        ensure!(
            elements(in_a) == elements(in_b),
            "{of_b}: {kind}: expected {in_a:?} as in {of_a}, found {in_b:?}"
        );
    }
    Ok(())
}

fn ready<'s>(path: &Path, side: &'s Side, samples: &Samples<'s>) -> Result<Runner<'s>> {
    side.on(samples).with_context(|| path.display().to_string())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    a: FileReport,
    b: FileReport,
    /// What they ran on.
    samples: String,
    /// Bytes of A over bytes of B.
    size_ratio: f64,
    agreement: AgreementReport,
    /// Over all images compared.
    scores: DistanceReport,
    layer_images: usize,
    /// Layers that both have, over the first `layer_images`.
    layers: Vec<LayerReport>,
    unmatched: Unmatched,
    /// The worst first.
    worst: Vec<WorstReport>,
}

#[derive(Serialize)]
struct FileReport {
    file: String,
    bytes: u64,
    parameters: usize,
    /// Weights and biases that are not zero, as stored: int8 codes of a lowered file, f32 of a checkpoint.
    nnz: usize,
    /// None where samples have no labels.
    accuracy: Option<f64>,
    correct: Option<usize>,
}

#[derive(Serialize)]
struct AgreementReport {
    images: usize,
    agreed: usize,
    share: f64,
    /// Of the images on which the two disagree.
    only_a_correct: usize,
    only_b_correct: usize,
    /// Their numbers.
    disagreements: Vec<usize>,
}

#[derive(Clone, Copy, Serialize)]
pub(crate) struct DistanceReport {
    /// `null` where the values are equal, and where there is no finite ratio: A is all zeros or has values that are not
    /// finite.
    sqnr_db: Option<f64>,
    equal: bool,
    max_difference: f64,
}

#[derive(Serialize)]
struct LayerReport {
    op: &'static str,
    shape: Vec<u32>,
    a: LayerId,
    b: LayerId,
    /// Its fields are left out with `--layer-images 0`.
    #[serde(flatten)]
    distance: Option<DistanceReport>,
}

/// A layer's place in its own graph.
#[derive(Serialize)]
struct LayerId {
    node: usize,
    name: Option<String>,
}

#[derive(Serialize)]
struct Unmatched {
    a: Vec<UnmatchedLayer>,
    b: Vec<UnmatchedLayer>,
}

#[derive(Serialize)]
struct UnmatchedLayer {
    op: &'static str,
    shape: Vec<u32>,
    #[serde(flatten)]
    id: LayerId,
}

#[derive(Serialize)]
struct WorstReport {
    index: usize,
    label: Option<usize>,
    a: usize,
    b: usize,
    difference: f64,
}

fn layers(
    (a, b): (&Side, &Side),
    matching: &Matching,
    distances: Option<&Vec<Distance>>,
) -> Vec<LayerReport> {
    let pairs = matching.pairs.iter().enumerate();
    pairs
        .map(|(k, &(i, j))| LayerReport {
            op: a.layers[i].op,
            shape: a.layers[i].shape.clone(),
            a: LayerId::new(&a.layers[i]),
            b: LayerId::new(&b.layers[j]),
            distance: distances.map(|d| DistanceReport::new(&d[k])),
        })
        .collect()
}

impl FileReport {
    fn new(path: &Path, side: &Side, correct: Option<usize>, images: usize) -> Result<Self> {
        let file = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        Ok(Self {
            file: model_file::name(path),
            bytes: file.len(),
            parameters: side.parameters,
            nnz: side.nonzeros,
            accuracy: correct.map(|correct| correct as f64 / images as f64),
            correct,
        })
    }
}

impl AgreementReport {
    fn new(tally: &Tally) -> Self {
        Self {
            images: tally.images,
            agreed: tally.agreed(),
            share: tally.agreed() as f64 / tally.images as f64,
            only_a_correct: tally.only_a_correct,
            only_b_correct: tally.only_b_correct,
            disagreements: tally.disagreements.clone(),
        }
    }
}

impl DistanceReport {
    pub(crate) fn new(distance: &Distance) -> Self {
        Self {
            sqnr_db: distance.sqnr_db(),
            equal: distance.equal(),
            max_difference: distance.largest(),
        }
    }
}

impl LayerId {
    fn new(layer: &Layer) -> Self {
        Self { node: layer.node, name: layer.name.clone() }
    }
}

impl UnmatchedLayer {
    fn new(layer: &Layer) -> Self {
        Self { op: layer.op, shape: layer.shape.clone(), id: LayerId::new(layer) }
    }
}

impl WorstReport {
    fn new(verdict: &Verdict) -> Self {
        let &Verdict { index, label, class_a, class_b, difference } = verdict;
        Self { index, label, a: class_a, b: class_b, difference }
    }
}
