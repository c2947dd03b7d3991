//! `penjing inspect` of a checkpoint: its manifest's gist and its tensors.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use penjing_checkpoint::Checkpoint;
use serde::Serialize;

use crate::model_file;

/// A checkpoint.
#[derive(Serialize)]
pub(super) struct CheckpointReport<'a> {
    checkpoint: String,
    manifest: &'a penjing_checkpoint::Manifest,
    tensors: Vec<TensorReport>,
    parameters: usize,
    file_bytes: u64,
}

#[derive(Serialize)]
struct TensorReport {
    name: String,
    shape: Vec<usize>,
    zeros: usize,
    elements: usize,
    min: f32,
    max: f32,
}

impl<'a> CheckpointReport<'a> {
    pub(super) fn new(path: &Path, checkpoint: &'a Checkpoint) -> Result<Self> {
        let tensors: Vec<TensorReport> = checkpoint
            .tensors
            .iter()
            .map(|(name, t)| TensorReport {
                name: name.clone(),
                shape: t.shape.clone(),
                zeros: t.data.iter().filter(|v| **v == 0.0).count(),
                elements: t.data.len(),
                min: t.data.iter().copied().fold(f32::INFINITY, f32::min),
                max: t.data.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            })
            .collect();
        let weights = tensors.iter().filter(|t| !t.name.ends_with(".range"));
        Ok(Self {
            checkpoint: model_file::name(path),
            manifest: &checkpoint.manifest,
            parameters: weights.map(|t| t.elements).sum(),
            file_bytes: std::fs::metadata(path)?.len(),
            tensors,
        })
    }

    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        let m = self.manifest;
        writeln!(
            out,
            "{}: stage {}, network {:?}, seed {}, parent {}",
            self.checkpoint,
            m.stage.name(),
            m.architecture.name,
            m.seed,
            m.parent.as_deref().unwrap_or("none")
        )?;
        let mut table = crate::table::new();
        table.set_header(["tensor", "shape", "zeros", "min", "max"]);
        for t in &self.tensors {
            let zeros = format!(
                "{} of {} ({:.1} %)",
                t.zeros,
                t.elements,
                100.0 * t.zeros as f64 / t.elements as f64
            );
            let (min, max) = (format!("{:.4}", t.min), format!("{:.4}", t.max));
            table.add_row([t.name.clone(), format!("{:?}", t.shape), zeros, min, max]);
        }
        writeln!(out, "{table}")?;
        writeln!(out, "{} parameters; file {} bytes", self.parameters, self.file_bytes)?;
        Ok(())
    }
}
