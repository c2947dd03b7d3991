//! Why a run cannot start or go on, one variant a cause. Wrong data folders and checkpoints keep the errors of their crates.

use std::path::{Path, PathBuf};

use penjing_checkpoint::{ArchitectureError, CheckpointError};
use penjing_dataset::DatasetError;

/// The error of everything public in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what each field is
pub enum TrainError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {message}", path.display())]
    SpecSyntax { path: PathBuf, message: String },
    #[error("{}: {field}: expected {expected}, found {found}", path.display())]
    SpecField { path: PathBuf, field: String, expected: String, found: String },
    #[error("{}: layer {index} ({layer}): {message}", path.display())]
    SpecLayer { path: PathBuf, index: usize, layer: String, message: String },
    #[error("{}: {source}", path.display())]
    SpecShapes { path: PathBuf, source: Box<ArchitectureError> },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error("{field}: expected {expected}, found {found}")]
    Setting { field: String, expected: String, found: String },
    #[error(
        "{}: images of {found:?} (height, width, channels), expected {expected:?} as the network's input",
        file.display()
    )]
    ImageShape { file: PathBuf, expected: [usize; 3], found: [usize; 3] },
    #[error("{}: stage {found}, expected {expected}", path.display())]
    Stage { path: PathBuf, expected: &'static str, found: &'static str },
    #[error(
        "{}: {field}: expected {expected}, as in {}, found {found}",
        spec.display(), from.display()
    )]
    ArchitectureDiffers {
        spec: Box<Path>,
        from: Box<Path>,
        field: String,
        expected: String,
        found: String,
    },
    #[error("{}: not a training state of this Penjing: {reason}", path.display())]
    StateFile { path: PathBuf, reason: String },
    #[error(
        "{}: made by another run: {field}: expected {expected} (this run), found {found}; \
         give the same settings, data and parent, or remove the file",
        path.display()
    )]
    StateDiffers { path: PathBuf, field: String, expected: String, found: String },
    #[error("epoch {epoch}, step {step}: the loss is {loss}; a lower learning rate may help")]
    Diverged { epoch: usize, step: usize, loss: f32 },
    #[error("{layer}: weight {index} is {found} though its parent pruned it; this is a bug")]
    MaskBroken { layer: String, index: usize, found: f32 },
    #[error("expected {expected} pixels ({images} images), found {found}")]
    PixelCount { images: usize, expected: usize, found: usize },
    #[error("{0}")]
    InstructionSet(String),
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A setting that cannot be used, with what would do.
pub(crate) fn setting(
    field: impl Into<String>,
    expected: impl Into<String>,
    found: impl ToString,
) -> TrainError {
    TrainError::Setting { field: field.into(), expected: expected.into(), found: found.to_string() }
}
