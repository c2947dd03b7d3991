//! The command `penjing`: argument parsing and exit codes. Each command has a file of its own; what they do is in the
//! library crates.
//!
//! Exit codes: 0 success, 1 a model that disagrees with its checkpoint, 2 bad arguments, bad input or I/O.
#![forbid(unsafe_code)]

mod bench;
mod compare;
mod convert;
mod embed;
mod eval;
mod foreign;
mod inspect;
mod layers;
mod model_file;
mod predict;
mod quantize;
mod run;
mod samples;
mod sign;
mod table;
mod tensors;
#[cfg(feature = "train")]
mod train;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train, prune, quantize, convert and run small networks.
#[derive(Parser)]
#[command(name = "penjing", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network, prune it, or fine-tune it quantization-aware
    #[cfg(feature = "train")]
    Train(train::TrainArgs),
    /// Make a model file of a checkpoint, or of a TFLite or ONNX model; or source files of a model
    Convert(convert::ConvertArgs),
    /// Quantize an f32 network to int8 by what it makes of calibration samples
    Quantize(quantize::QuantizeArgs),
    /// Show what a model file or checkpoint holds
    Inspect(inspect::InspectArgs),
    /// Make a pair of keys to sign models with
    Keygen(sign::KeygenArgs),
    /// Sign a model file, with a version that devices do not go back from
    Sign(sign::SignArgs),
    /// Verify a signed model file
    Verify(sign::VerifyArgs),
    /// Run a model on tensors of a safetensors file
    Run(run::RunArgs),
    /// Time a model or checkpoint
    Bench(bench::BenchArgs),
    /// Accuracy and confusion matrix of a model or checkpoint
    Eval(eval::EvalArgs),
    /// Hold two models or checkpoints against each other
    Compare(compare::CompareArgs),
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PENJING_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match Cli::parse().command {
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(args),
        Command::Convert(args) => convert::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Keygen(args) => sign::keygen(&args),
        Command::Sign(args) => sign::sign(&args),
        Command::Verify(args) => sign::verify(&args),
        Command::Run(args) => run::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Compare(args) => compare::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("penjing: {}", message(&error));
            let disagrees = matches!(
                error.downcast_ref(),
                Some(penjing_convert::ConvertError::Disagrees { .. })
            );
            ExitCode::from(if disagrees { 1 } else { 2 })
        }
    }
}

/// The error and its causes in one line, without causes that the text above them already tells.
fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// `penjing inspect M | head` closes our standard output early; that is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
