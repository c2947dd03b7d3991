//! `penjing inspect`: what a model file or a checkpoint holds, as a table or JSON. It runs nothing.

mod bytes;
mod checkpoint;
mod model;

use std::path::PathBuf;

use anyhow::Result;
use penjing_checkpoint::Checkpoint;
use std::io::Write;

use crate::model_file::{self, Kind};
use checkpoint::CheckpointReport;
use model::ModelReport;
pub(crate) use model::arena_bytes;

/// Show what a model file or checkpoint holds
#[derive(clap::Args)]
#[command(after_help = "Example:\n  penjing inspect model.pnj")]
pub(crate) struct InspectArgs {
    /// Model (.pnj) or checkpoint (.safetensors)
    #[arg(value_name = "MODEL|CKPT")]
    model: PathBuf,
    /// Print JSON instead
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match model_file::kind(&args.model)? {
        Kind::Model => {
            let report = ModelReport::new(&args.model)?;
            if args.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            } else {
                report.print(&mut out)?;
            }
        }
        Kind::Tflite | Kind::Onnx => return Err(model_file::convert_first(&args.model)),
        Kind::Checkpoint => {
            let checkpoint = Checkpoint::load(&args.model)?;
            let report = CheckpointReport::new(&args.model, &checkpoint)?;
            if args.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            } else {
                report.print(&mut out)?;
            }
        }
    }
    Ok(())
}
