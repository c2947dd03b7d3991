//! `penjing quantize`: an f32 network to an int8 model by calibration, without training. The arithmetic is
//! `penjing_convert::ptq`'s.

mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use penjing_checkpoint::{Checkpoint, Granularity, write_atomically};
use penjing_convert::ir::Graph;
use penjing_convert::ptq::{self, PtqOptions, Ranges};
use penjing_convert::samples::Samples;
use penjing_convert::{Options, PackingChoice, checkpoint, pnj};
use penjing_dataset::{Split, Which, open_split};
use penjing_format::{DataType, QuantParams};
use penjing_runtime::Model;

use crate::convert::{Input, Packing, layer_packing, read_labels, write_model};
use crate::foreign;
use crate::model_file::{self, Kind};
use crate::tensors::{self, Port, port_name};

/// Quantize an f32 network to int8 by what it makes of calibration samples
///
/// No training: activations get ranges from the samples, weights one scale an output channel, biases make up for the mean
/// error of each channel. A table tells what each layer costs; compare the model with its source on data of your own before
/// you rely on it. Zeros of a pruned network stay zeros.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  penjing quantize pruned.safetensors --calibrate data -o pruned_int8.pnj\n  penjing quantize resnet.tflite --calibrate inputs.safetensors -o resnet.pnj --keep-float 0"
)]
pub(crate) struct QuantizeArgs {
    /// f32 network: checkpoint (.safetensors), model (.pnj), TFLite (.tflite) or ONNX (.onnx)
    #[arg(value_name = "MODEL")]
    source: PathBuf,
    /// Folder of IDX files, of which the first training images are taken as pixel / 255; or a safetensors file with a tensor
    /// `input` or, of several inputs, tensors of their names (f32; u8 and i8 where the network or the file's metadata
    /// input_scale and input_zero_point say what they mean)
    #[arg(long, value_name = "DIR|SAFETENSORS")]
    calibrate: PathBuf,
    /// Model file to write
    #[arg(short, long, value_name = "OUT.pnj")]
    output: PathBuf,
    /// Calibration samples, the first of those that there are [default: 1000; fewer of a network whose values are large]
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// How the range of a layer's output is chosen: all that was seen, all but rare values, or what gives the least squared
    /// error
    #[arg(long, value_enum, default_value = "mse")]
    ranges: RangeChoice,
    /// With --ranges percentile: the share of values, in percent, that each end of a range spans
    #[arg(long, value_name = "P", default_value_t = 99.99)]
    percentile: f64,
    /// A layer that stays in f32, by its name or its number in the table; may be given several times
    #[arg(long, value_name = "LAYER")]
    keep_float: Vec<String>,
    /// What the model takes: integers (u8 or i8) or f32 [default: u8 where inputs are pixels, i8 otherwise]
    #[arg(long, value_enum)]
    input: Option<Input>,
    /// Yield f32 instead of int8
    #[arg(long)]
    float_output: bool,
    /// One scale for all weights of a layer instead of one an output channel
    #[arg(long)]
    per_tensor: bool,
    /// Leave biases as they are
    #[arg(long)]
    no_bias_correction: bool,
    /// How weights are packed; see `penjing convert`
    #[arg(long, value_enum, default_value = "auto")]
    packing: Packing,
    /// How one layer's weights are packed, whatever the others are; may be given several times
    #[arg(long, value_name = "LAYER=PACKING")]
    layer_packing: Vec<String>,
    /// Keep the layers' names in the file (a few bytes each)
    #[arg(long)]
    names: bool,
    /// Text file with one class name a line, to put into the model
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Write the report as JSON too
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Threads; 0 for all cores. Results do not depend on them
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum RangeChoice {
    Minmax,
    Percentile,
    Mse,
}

pub(crate) fn run(args: &QuantizeArgs) -> Result<()> {
    ensure!(args.samples != Some(0), "--samples: expected at least 1, found 0");
    let ranges = ranges(args)?;
    let name = || args.source.display().to_string();
    let graph = read(&args.source)?;
    let count = args.samples.unwrap_or_else(|| ptq::default_samples(&graph));
    let split;
    let samples = if args.calibrate.is_dir() {
        split = images(&args.calibrate)?;
        Samples::images(&split, count)
    } else {
        tensors::reals(&args.calibrate, &ports(&graph))?.first(count)
    };
    ensure!(!samples.is_empty(), "{}: no samples", args.calibrate.display());
    let options = PtqOptions {
        ranges,
        weights: if args.per_tensor { Granularity::PerTensor } else { Granularity::PerChannel },
        bias_correction: !args.no_bias_correction,
        keep_float: args.keep_float.clone(),
        input: args.input.map(Into::into),
        float_output: args.float_output,
        threads: args.threads,
    };
    let quantized = ptq::quantize(&graph, &samples, &options).with_context(name)?;
    let lowered = quantized.lower(&file_options(args)?).with_context(name)?;
    let report = report::Report::new(args, &quantized.report, lowered.bytes.len());
    report.print(&mut std::io::stdout().lock())?;
    write_model(Some(&args.output), &lowered, &[])?;
    // last: there is no report of a model that could not be written
    if let Some(path) = &args.report {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        write_atomically(path, text.as_bytes()).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn ranges(args: &QuantizeArgs) -> Result<Ranges> {
    ensure!(
        args.percentile > 50.0 && args.percentile <= 100.0,
        "--percentile: expected more than 50 and at most 100, found {}",
        args.percentile
    );
    Ok(match args.ranges {
        RangeChoice::Minmax => Ranges::MinMax,
        RangeChoice::Percentile => Ranges::Percentile(args.percentile),
        RangeChoice::Mse => Ranges::Mse,
    })
}

/// The network as its file has it.
fn read(path: &Path) -> Result<Graph> {
    let name = || path.display().to_string();
    match model_file::kind(path)? {
        Kind::Checkpoint => checkpoint::read(&Checkpoint::load(path)?).with_context(name),
        Kind::Model => {
            let model = Model::open(path).with_context(name)?;
            pnj::read(&model.view(), &model_file::name(path)).with_context(name)
        }
        kind @ (Kind::Tflite | Kind::Onnx) => foreign::read(path, kind),
    }
}

fn images(folder: &Path) -> Result<Split> {
    let split = open_split(folder, Which::Train)?;
    if split.is_empty() {
        bail!("{}: no training images", folder.display());
    }
    Ok(split)
}

/// What the graph's inputs are called and mean in a file of samples.
fn ports(graph: &Graph) -> Vec<Port> {
    let port = |(index, value): (usize, &penjing_convert::ir::Value)| {
        let pixels = graph.pixels && index == 0 && value.quantization.is_none();
        Port {
            name: port_name(value.name.as_deref(), index, graph.inputs.len(), "input"),
            dims: value.shape.dims().iter().skip(1).map(|&dim| dim as usize).collect(),
            dtype: if pixels { DataType::U8 } else { value.dtype },
            grid: if pixels { Some(QuantParams::PIXEL) } else { value.quantization },
        }
    };
    graph.inputs.iter().enumerate().map(port).collect()
}

fn file_options(args: &QuantizeArgs) -> Result<Options> {
    let layers = args.layer_packing.iter().map(|text| layer_packing(text));
    Ok(Options {
        packing: PackingChoice::from(args.packing),
        layer_packing: layers.collect::<Result<_>>()?,
        names: args.names,
        labels: args.labels.as_deref().map(read_labels).transpose()?.unwrap_or_default(),
        ..Options::default()
    })
}
