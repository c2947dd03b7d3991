//! `penjing train baseline|prune|qat`: arguments to a `penjing_train::Job`. The training itself is that crate's.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use penjing_checkpoint::{Architecture, Granularity};
use penjing_dataset::{Split, Which, open_split};
use penjing_train::{
    FitSettings, Job, LearningRateSchedule, Parent, PruneSettings, QatSettings, SparsitySchedule,
    StageSettings, TrainError, Verbosity, load_spec, train,
};

/// Spec of a baseline when none is given, as in a checkout of Penjing.
const DEFAULT_SPEC: &str = "specs/article.toml";

/// Arguments of `penjing train`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  penjing train baseline --spec specs/article.toml --data data -o baseline.safetensors
  penjing train prune --from baseline.safetensors --data data -o pruned.safetensors
  penjing train qat --from pruned.safetensors --data data -o pruned_qat.safetensors")]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    stage: StageArgs,
}

#[derive(Debug, Subcommand)]
enum StageArgs {
    /// Train a network from seeded weights
    #[command(after_help = "Example:
  penjing train baseline --spec specs/article.toml --data data -o baseline.safetensors --seed 1")]
    Baseline(BaselineArgs),
    /// Prune the kernels of a baseline by magnitude, while training on
    #[command(after_help = "Example:
  penjing train prune --from baseline.safetensors --data data -o pruned.safetensors \\
      --sparsity 0.8 --layer-sparsity conv=0.5,dense=0.9")]
    Prune(PruneArgs),
    /// Fine-tune a baseline or pruned network with fake quantization to 8 bits
    #[command(after_help = "Example:
  penjing train qat --from pruned.safetensors --data data -o pruned_qat.safetensors")]
    Qat(QatArgs),
}

/// What every stage takes. An option left out has the stage's own default.
#[derive(Debug, Args)]
struct CommonArgs {
    /// Network description; prune and qat take the network of --from and only check that this one is equal
    #[arg(long, value_name = "SPEC")]
    spec: Option<PathBuf>,
    /// Folder of IDX files (train-images-idx3-ubyte, ...), gzipped or raw
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Checkpoint to write; CKPT.state and the metrics go beside it [default: the stage's name, .safetensors]
    #[arg(short, long, value_name = "CKPT")]
    output: Option<PathBuf>,
    /// Passes over the training samples [default: 10 for baseline, 6 for prune, 2 for qat]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Samples a step
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Adam's learning rate at the first step [default: 0.002 for baseline, 0.001 for prune and qat]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// How the learning rate goes over the run
    #[arg(long, value_enum, default_value_t = ScheduleArg::Cosine)]
    schedule: ScheduleArg,
    /// Part of the training samples, from the end, that validates
    #[arg(long, value_name = "PART", default_value_t = 0.1)]
    validation_split: f64,
    /// Shift images at random by up to so many pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    augment_shift: usize,
    /// Seed of the initial weights, the order of the samples and the shifts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Go on from CKPT.state, left by a run that was killed; without one, start anew
    #[arg(long)]
    resume: bool,
    /// Steps between saves of CKPT.state; 0 for none
    #[arg(long, value_name = "STEPS", default_value_t = 200)]
    save_every: usize,
    /// Tell nothing about progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct BaselineArgs {
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct PruneArgs {
    /// Checkpoint to start from: baseline or pruned
    #[arg(long, value_name = "CKPT")]
    from: PathBuf,
    /// Final fraction of zeros in every kernel
    #[arg(long, value_name = "PART", default_value_t = 0.8)]
    sparsity: f64,
    /// Final fraction of zeros by layer, for instance conv=0.5,dense=0.9; 0 leaves a layer alone
    #[arg(long, value_name = "LAYER=PART", value_delimiter = ',', value_parser = layer_sparsity)]
    layer_sparsity: Vec<(String, f64)>,
    /// How the sparsity goes from the begin step to the end step
    #[arg(long, value_enum, default_value_t = SparsityArg::Polynomial)]
    sparsity_schedule: SparsityArg,
    /// Sparsity at the begin step of the polynomial schedule
    #[arg(long, value_name = "PART", default_value_t = 0.5)]
    initial_sparsity: f64,
    /// Exponent of the polynomial schedule
    #[arg(long, value_name = "P", default_value_t = 3.0)]
    sparsity_power: f64,
    /// First step with a mask
    #[arg(long, value_name = "STEP", default_value_t = 0)]
    begin_step: usize,
    /// Step of the last mask, which then stands [default: half of the run's steps]
    #[arg(long, value_name = "STEP")]
    end_step: Option<usize>,
    /// Steps between recomputations of the masks
    #[arg(long, value_name = "STEPS", default_value_t = 100)]
    prune_frequency: usize,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct QatArgs {
    /// Checkpoint to start from: baseline or pruned; the zeros of a pruned one stay
    #[arg(long, value_name = "CKPT")]
    from: PathBuf,
    /// Weight scales of convolutions
    #[arg(long, value_enum, default_value_t = GranularityArg::PerChannel)]
    conv_granularity: GranularityArg,
    /// Weight scales of dense layers
    #[arg(long, value_enum, default_value_t = GranularityArg::PerTensor)]
    dense_granularity: GranularityArg,
    /// Decay of the moving averages of activation ranges
    #[arg(long, value_name = "DECAY", default_value_t = 0.999)]
    range_decay: f64,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScheduleArg {
    Constant,
    Cosine,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SparsityArg {
    Polynomial,
    Constant,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GranularityArg {
    PerTensor,
    PerChannel,
}

impl From<GranularityArg> for Granularity {
    fn from(arg: GranularityArg) -> Self {
        match arg {
            GranularityArg::PerTensor => Self::PerTensor,
            GranularityArg::PerChannel => Self::PerChannel,
        }
    }
}

/// What a stage does where the command line leaves it open; chosen on validation data (docs/training.md).
struct Defaults {
    output: &'static str,
    epochs: usize,
    learning_rate: f64,
}

/// `LAYER=PART`.
fn layer_sparsity(text: &str) -> Result<(String, f64), String> {
    let wrong = || format!("expected LAYER=PART such as conv=0.5, found {text:?}");
    let (layer, part) = text.split_once('=').ok_or_else(wrong)?;
    Ok((layer.to_owned(), part.parse().map_err(|_| wrong())?))
}

/// Runs one stage.
///
/// # Errors
/// Bad input, with file, field, what was expected and what was found.
pub(crate) fn run(args: TrainArgs) -> anyhow::Result<()> {
    match args.stage {
        StageArgs::Baseline(BaselineArgs { common }) => {
            let spec = common.spec.clone().unwrap_or_else(|| DEFAULT_SPEC.into());
            let architecture = load_spec(&spec)?;
            let data = training_split(&common.data)?;
            let defaults =
                Defaults { output: "baseline.safetensors", epochs: 10, learning_rate: 2e-3 };
            let fit = fit_settings(&common, &defaults);
            start(common, fit, &data, architecture, None, StageSettings::Baseline, &defaults)
        }
        StageArgs::Prune(args) => {
            let defaults =
                Defaults { output: "pruned.safetensors", epochs: 6, learning_rate: 1e-3 };
            let (parent, data) = parent_and_data(&args.from, &args.common)?;
            let fit = fit_settings(&args.common, &defaults);
            let stage = StageSettings::Prune(prune_settings(&args, &fit, &data));
            let architecture = parent.checkpoint.manifest.architecture.clone();
            start(args.common, fit, &data, architecture, Some(parent), stage, &defaults)
        }
        StageArgs::Qat(args) => {
            let defaults = Defaults { output: "qat.safetensors", epochs: 2, learning_rate: 1e-3 };
            let (parent, data) = parent_and_data(&args.from, &args.common)?;
            let fit = fit_settings(&args.common, &defaults);
            let stage = StageSettings::Qat(QatSettings {
                conv: args.conv_granularity.into(),
                dense: args.dense_granularity.into(),
                range_decay: args.range_decay,
            });
            let architecture = parent.checkpoint.manifest.architecture.clone();
            start(args.common, fit, &data, architecture, Some(parent), stage, &defaults)
        }
    }
}

fn training_split(dir: &Path) -> anyhow::Result<Split> {
    open_split(dir, Which::Train).context("--data")
}

/// The parent, whose architecture a spec must equal where one is given.
fn parent_and_data(from: &Path, common: &CommonArgs) -> anyhow::Result<(Parent, Split)> {
    let parent = Parent::load(from).context("--from")?;
    if let Some(spec) = &common.spec {
        let found = load_spec(spec)?;
        parent.check_architecture(&found, spec)?;
    }
    Ok((parent, training_split(&common.data)?))
}

fn fit_settings(common: &CommonArgs, defaults: &Defaults) -> FitSettings {
    FitSettings {
        epochs: common.epochs.unwrap_or(defaults.epochs),
        batch: common.batch,
        learning_rate: common.learning_rate.unwrap_or(defaults.learning_rate),
        schedule: match common.schedule {
            ScheduleArg::Constant => LearningRateSchedule::Constant,
            ScheduleArg::Cosine => LearningRateSchedule::Cosine,
        },
        validation_split: common.validation_split,
        augment_shift: common.augment_shift,
        seed: common.seed,
    }
}

fn prune_settings(args: &PruneArgs, fit: &FitSettings, data: &Split) -> PruneSettings {
    let (_, total_steps) = Job::steps(fit, data.len());
    PruneSettings {
        sparsity: args.sparsity,
        layers: args.layer_sparsity.iter().cloned().collect(),
        schedule: match args.sparsity_schedule {
            SparsityArg::Constant => SparsitySchedule::Constant,
            SparsityArg::Polynomial => SparsitySchedule::Polynomial {
                initial: args.initial_sparsity,
                power: args.sparsity_power,
            },
        },
        begin_step: args.begin_step,
        end_step: args.end_step.unwrap_or(total_steps.div_ceil(2)),
        frequency: args.prune_frequency,
    }
}

fn start(
    common: CommonArgs,
    fit: FitSettings,
    data: &Split,
    architecture: Architecture,
    parent: Option<Parent>,
    stage: StageSettings,
    defaults: &Defaults,
) -> anyhow::Result<()> {
    let job = Job {
        architecture,
        fit,
        stage,
        parent,
        output: common.output.unwrap_or_else(|| defaults.output.into()),
        save_every: common.save_every,
        resume: common.resume,
        verbosity: if common.quiet { Verbosity::Quiet } else { Verbosity::Normal },
    };
    let outcome = train(&job, data).map_err(|e: TrainError| anyhow::Error::from(e))?;
    if !common.quiet {
        eprintln!("wrote {}", outcome.checkpoint.display());
    }
    Ok(())
}
