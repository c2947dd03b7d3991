//! The project's own commands, run as `cargo xtask COMMAND`. It starts other programs (cargo, git,
//! Python, the `penjing` binary) and reads what they print; it links none of Penjing's crates, so that it
//! builds in seconds and cannot disagree with what a user runs.

#![forbid(unsafe_code)]

mod bench;
mod child;
mod codegen;
mod devices;
mod files;
mod host;
mod onnx;
mod progress;
mod reproduce;
mod safetensors;
mod schema;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Time kernels beside the machine's peak and, with --peers, the article's network beside LiteRT.
    Bench(bench::BenchArgs),
    /// Check that schemas/model.fbs reads the files of every released schema, and make the writer's code from it, by flatc, and the C
    /// interface's header, by cbindgen.
    Codegen {
        /// Make nothing; fail where the committed code is not what the schema or the C interface says.
        #[arg(long)]
        check: bool,
    },
    /// Build the examples for devices, run them under emulators, and hold them against the host and their budgets.
    Devices(devices::DevicesArgs),
    /// Hold the import of ONNX models against onnxruntime, which it installs under target/.
    Onnx(onnx::OnnxArgs),
    /// Run a command and print the peak resident memory of its processes, in bytes.
    #[command(hide = true)]
    PeakMemory(bench::PeakMemoryArgs),
    /// Train the article's variants, convert them, run them and print its three tables.
    Reproduce(reproduce::ReproduceArgs),
    /// Check what the compiler does not: imports between crates, file heads, where unsafe is.
    Tidy,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => return exit(bench::run(&args, workspace_root())),
        Command::Devices(args) => devices::run(&args, workspace_root()),
        Command::Onnx(args) => onnx::run(&args, workspace_root()),
        Command::PeakMemory(args) => bench::peak_memory(&args),
        Command::Codegen { check } => codegen::run(check),
        Command::Reproduce(args) => return exit(reproduce::run(&args, workspace_root())),
        Command::Tidy => tidy::run(workspace_root()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// 0 for a run that meets its bars, 1 for one that misses some, 2 for one that failed.
fn exit(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The folder of the workspace's Cargo.toml.
fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}
