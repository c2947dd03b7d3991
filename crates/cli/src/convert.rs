//! `penjing convert`: a checkpoint to a model file, checked on real images before it is written; or another tool's model. And a
//! model to source files for programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{ArgGroup, ValueEnum};
use penjing_checkpoint::Checkpoint;
use penjing_convert::check::{self, Agreement};
use penjing_convert::{
    InputDtype, Lowered, Options, PackingChoice, TargetDtype, embed, lower_checkpoint, lower_import,
};
use penjing_dataset::{Which, open_split};
use penjing_runtime::Model;

use crate::embed::{EmbedArgs, Source};
use crate::inspect::arena_bytes;
use crate::model_file::{self, Kind};
use crate::{foreign, write};

/// Make a model file of a checkpoint, checked on real images, or of a TFLite or ONNX model; or source files of a model
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  penjing convert pruned_qat.safetensors -o pruned_qat.pnj --data data\n  penjing convert kws.tflite -o kws.pnj\n  penjing convert kws.pnj --rust kws.rs --c kws.h --name kws",
    group(ArgGroup::new("made").args(["output", "rust", "c"]).required(true).multiple(true)),
    group(ArgGroup::new("program").args(["rust", "c"]).multiple(true))
)]
pub(crate) struct ConvertArgs {
    /// Checkpoint that `penjing train` wrote, TFLite model (.tflite) or ONNX model (.onnx); for --rust and --c also a model
    /// file (.pnj), which stays as it is
    #[arg(value_name = "CKPT|TFLITE|ONNX|MODEL")]
    source: PathBuf,
    /// Model file to write
    #[arg(short, long, value_name = "MODEL.pnj")]
    output: Option<PathBuf>,
    #[command(flatten)]
    embed: EmbedArgs,
    /// What the layers compute in; auto: int8 after `train qat`, f32 otherwise; what an imported model computed in
    #[arg(long, value_enum, default_value = "auto")]
    dtype: Dtype,
    /// What the model takes: pixels (u8), pixel - 128 (i8) or pixel / 255 (f32) [default: u8 of a checkpoint; of an imported
    /// model what it took, which of integers may become u8 or i8 of the same grid, shifted, or f32]
    #[arg(long, value_enum)]
    input: Option<Input>,
    /// How weights are packed; auto: each tensor the smallest way that runs where it lies; smallest: entropy-coded
    /// too, to be decoded when the file is opened
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
    /// Folder of IDX files to check a checkpoint's model on
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Test images to check a checkpoint's model on
    #[arg(long, value_name = "N", default_value_t = 2000)]
    check_images: usize,
    /// Write the model without running it
    #[arg(long)]
    no_check: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Dtype {
    Auto,
    Int8,
    F32,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Input {
    U8,
    I8,
    F32,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Packing {
    Auto,
    Smallest,
    Dense,
    Bitmap,
    Groups,
    Gaps,
    NOfM,
    Blocks,
    Columns,
    Coded,
}

impl From<Input> for InputDtype {
    fn from(input: Input) -> Self {
        match input {
            Input::U8 => Self::U8,
            Input::I8 => Self::I8,
            Input::F32 => Self::F32,
        }
    }
}

impl From<Packing> for PackingChoice {
    fn from(packing: Packing) -> Self {
        match packing {
            Packing::Auto => Self::Auto,
            Packing::Smallest => Self::Smallest,
            Packing::Dense => Self::Dense,
            Packing::Bitmap => Self::Bitmap,
            Packing::Groups => Self::Groups,
            Packing::Gaps => Self::Gaps,
            Packing::NOfM => Self::NOfM,
            Packing::Blocks => Self::Blocks,
            Packing::Columns => Self::Columns,
            Packing::Coded => Self::Coded,
        }
    }
}

pub(crate) fn run(args: &ConvertArgs) -> Result<()> {
    ensure!(
        args.check_images > 0,
        "--check-images: expected at least 1, found 0 (--no-check skips)"
    );
    let name = || args.source.display().to_string();
    let (lowered, agreement) = match model_file::kind(&args.source)? {
        Kind::Checkpoint => {
            let checkpoint = Checkpoint::load(&args.source)?;
            let lowered = lower_checkpoint(&checkpoint, &options(args)?).with_context(name)?;
            let agreement = check(args, &lowered)?;
            (lowered, agreement)
        }
        kind @ (Kind::Tflite | Kind::Onnx) => {
            let graph = foreign::read(&args.source, kind)?;
            (lower_import(graph, &options(args)?).with_context(name)?, None)
        }
        Kind::Model => return program_of_model(args),
    };
    let sources = args.embed.sources(&args.source, &lowered.bytes)?;
    write_model(args.output.as_deref(), &lowered, &sources)?;
    if let Some(agreement) = agreement {
        println!("{agreement}");
        if agreement.integers && agreement.max_difference > 1.0 {
            eprintln!(
                "warning: some scores differ by more than one int8 step from the checkpoint's network"
            );
        }
    }
    Ok(())
}

/// Holds a checkpoint's model against its network, unless told not to.
fn check(args: &ConvertArgs, lowered: &Lowered) -> Result<Option<Agreement>> {
    if args.no_check {
        return Ok(None);
    }
    let split = open_split(&args.data, Which::Test)
        .context("images to check the model on (--data DIR; --no-check skips)")?;
    Ok(Some(check::verify(lowered, &split, args.check_images)?))
}

/// Source files of a model that is there.
fn program_of_model(args: &ConvertArgs) -> Result<()> {
    // what only lowering heeds would be without effect
    let lowering = [
        ("--output", args.output.is_some()),
        ("--dtype", args.dtype != Dtype::Auto),
        ("--input", args.input.is_some()),
        ("--packing", args.packing != Packing::Auto),
        ("--layer-packing", !args.layer_packing.is_empty()),
        ("--names", args.names),
        ("--labels", args.labels.is_some()),
    ];
    if let Some((option, _)) = lowering.iter().find(|(_, given)| *given) {
        bail!(
            "{}: expected a checkpoint, a TFLite model or an ONNX model for {option}, found a model of Penjing's",
            args.source.display()
        );
    }
    let bytes = std::fs::read(&args.source).with_context(|| args.source.display().to_string())?;
    write_all(None, &args.embed.sources(&args.source, &bytes)?)
}

/// Writes a model and source files of it, and tells what they take.
pub(crate) fn write_model(
    path: Option<&Path>,
    lowered: &Lowered,
    sources: &[Source],
) -> Result<()> {
    let Some(path) = path else { return write_all(None, sources) };
    let name = || path.display().to_string();
    // before anything is written: what no session can run is no model
    let model = Model::from_bytes(lowered.bytes.clone()).with_context(name)?;
    let [arena, one] = arena_bytes(&model).with_context(name)?;
    let in_place = embed::arena_bytes(&lowered.bytes, &model)
        .map_or_else(|_| String::new(), |bytes| format!(", {bytes} in place"));
    let dynamic = lowered.graph.nodes.iter().any(|node| node.op.is_dynamic());
    let kind = match (lowered.integers, dynamic) {
        (false, true) => "f32 with int8 weights",
        (true, _) => "int8",
        (false, false) => "f32",
    };
    let bytes = lowered.bytes.len();
    let told = format!(
        "{}: {kind}, {bytes} bytes, arena {arena} bytes, {one} for one image at a time{in_place}",
        path.display()
    );
    write_all(Some((path, &lowered.bytes, told)), sources)
}

/// Writes a model, if there is one, and source files; or nothing.
fn write_all(model: Option<(&Path, &[u8], String)>, sources: &[Source]) -> Result<()> {
    let of_model = model.iter().map(|&(path, bytes, _)| (path, bytes));
    let others = sources.iter().map(|source| (source.path.as_path(), source.text.as_bytes()));
    write::together(&of_model.chain(others).collect::<Vec<_>>())?;
    if let Some((path, _, told)) = &model {
        // what lies on the disk is what a user will open: see that it opens
        Model::open(path).with_context(|| path.display().to_string())?;
        println!("{told}");
    }
    sources.iter().for_each(|source| println!("{}", source.told));
    Ok(())
}

fn options(args: &ConvertArgs) -> Result<Options> {
    Ok(Options {
        dtype: match args.dtype {
            Dtype::Auto => TargetDtype::Auto,
            Dtype::Int8 => TargetDtype::Int8,
            Dtype::F32 => TargetDtype::F32,
        },
        input: args.input.map(InputDtype::from),
        packing: args.packing.into(),
        layer_packing: args
            .layer_packing
            .iter()
            .map(|text| layer_packing(text))
            .collect::<Result<_>>()?,
        names: args.names,
        labels: args.labels.as_deref().map(read_labels).transpose()?.unwrap_or_default(),
    })
}

/// `dense=gaps`: a layer's name and the name of a packing.
pub(crate) fn layer_packing(text: &str) -> Result<(String, PackingChoice)> {
    let refused = |why: String| anyhow!("--layer-packing {text}: {why}");
    let (layer, packing) = text
        .split_once('=')
        .ok_or_else(|| refused("expected LAYER=PACKING, such as dense=gaps".into()))?;
    let packing = Packing::from_str(packing, true).map_err(|_| {
        let names = Packing::value_variants().iter().filter_map(|p| p.to_possible_value());
        let names: Vec<_> = names.map(|p| p.get_name().to_owned()).collect();
        refused(format!("expected a packing of {}, found {packing}", names.join(", ")))
    })?;
    Ok((layer.to_owned(), packing.into()))
}

pub(crate) fn read_labels(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect())
}
