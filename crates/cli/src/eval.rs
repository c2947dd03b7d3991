//! `penjing eval`: accuracy and a confusion matrix. Speed is `bench`'s.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use comfy_table::{CellAlignment, Table};
use penjing_convert::samples::Samples;
use penjing_dataset::{Which, open_split};

use crate::model_file;
use crate::predict::Predictor;

/// Accuracy and confusion matrix on the test images of a folder
#[derive(clap::Args)]
#[command(after_help = "Example:\n  penjing eval model.pnj --data data")]
pub(crate) struct EvalArgs {
    /// Model (.pnj) or checkpoint (.safetensors)
    #[arg(value_name = "MODEL|CKPT")]
    model: PathBuf,
    /// Folder of IDX files
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Images a batch
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Threads; 0 for all cores
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Print one JSON line instead
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &EvalArgs) -> Result<()> {
    let split = open_split(&args.data, Which::Test)?;
    ensure!(!split.is_empty(), "{}: no test images", args.data.display());
    let samples = Samples::images(&split, split.len());
    let mut predictor = Predictor::open(&args.model, &samples, args.batch, args.threads)?;
    let predicted = predictor.classify(split.len(), args.batch)?;
    let n = predictor.classes();
    let mut confusion = vec![vec![0_usize; n]; n];
    for (&label, &class) in split.labels().iter().zip(&predicted) {
        confusion[usize::from(label)][class] += 1;
    }
    let correct: usize = (0..n).map(|c| confusion[c][c]).sum();
    let accuracy = correct as f64 / split.len() as f64;
    let mut out = std::io::stdout().lock();
    if args.json {
        let line = serde_json::json!({
            "model": model_file::name(&args.model),
            "images": split.len(),
            "accuracy": accuracy,
            "confusion": confusion,
        });
        writeln!(out, "{line}")?;
        return Ok(());
    }
    writeln!(out, "accuracy {accuracy:.4} ({correct} of {})", split.len())?;
    writeln!(out, "confusion (row: label, column: predicted)\n{}", matrix(&confusion))?;
    Ok(())
}

/// The matrix with each class's recall at the end of its row.
fn matrix(confusion: &[Vec<usize>]) -> Table {
    let mut table = crate::table::new();
    let columns = (0..confusion.len()).map(|c| c.to_string());
    let header = std::iter::once(String::new()).chain(columns).chain(["recall".to_owned()]);
    table.set_header(header);
    for (label, row) in confusion.iter().enumerate() {
        let total: usize = row.iter().sum();
        let recall = match total {
            0 => "-".to_owned(),
            _ => format!("{:.3}", row[label] as f64 / total as f64),
        };
        let counts = row.iter().map(ToString::to_string);
        table.add_row(std::iter::once(label.to_string()).chain(counts).chain([recall]));
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
