//! The errors of a network's description and of a checkpoint file. I/O of other files is not theirs.

use std::path::PathBuf;

/// A network that cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what each field is
pub enum ArchitectureError {
    #[error("the network has no layers")]
    Empty,
    #[error("layer {index}: name {found:?} is not made of letters, digits, '_' and '-'")]
    Name { index: usize, found: String },
    #[error("layer {index}: the name {name:?} is taken by an earlier layer")]
    DuplicateName { index: usize, name: String },
    #[error("{layer}: {field} must be positive, found {found:?}")]
    Zero { layer: String, field: &'static str, found: Vec<usize> },
    #[error("{layer} ({op}): expected {expected}, found shape {found:?}")]
    Rank { layer: String, op: &'static str, expected: &'static str, found: Vec<usize> },
    #[error(
        "{layer}: {field} {kernel:?} does not fit into the input {input:?} with padding {padding:?}"
    )]
    Window {
        layer: String,
        field: &'static str,
        kernel: [usize; 2],
        padding: [usize; 4],
        input: [usize; 2],
    },
    #[error(
        "{layer}: padding {padding:?} (top, bottom, left, right) must be smaller than the window {kernel:?}"
    )]
    Padding { layer: String, padding: [usize; 4], kernel: [usize; 2] },
    #[error("{layer}: {field} of shape {shape:?} has more than {limit} elements")]
    TooLarge { layer: String, field: &'static str, shape: Vec<usize>, limit: usize },
    #[error(
        "the network ends in {layer} with shape {found:?}, expected one score a class: [classes]"
    )]
    NotFlat { layer: String, found: Vec<usize> },
}

/// A checkpoint that cannot be read or written; every message names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what each field is
pub enum CheckpointError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: not a safetensors file: {source}", path.display())]
    Safetensors { path: PathBuf, source: safetensors::SafeTensorError },
    #[error("{}: no Penjing manifest (metadata key `penjing`): a checkpoint is written by `penjing train`", path.display())]
    NoManifest { path: PathBuf },
    #[error("{}: manifest: {source}", path.display())]
    Manifest { path: PathBuf, source: serde_json::Error },
    #[error("{}: manifest version {found}, this Penjing reads version {expected}", path.display())]
    Version { path: PathBuf, expected: u32, found: u32 },
    #[error("{}: layout {found}, expected {expected}", path.display())]
    Layout { path: PathBuf, expected: String, found: String },
    #[error("{}: architecture: {source}", path.display())]
    Architecture { path: PathBuf, source: Box<ArchitectureError> },
    #[error("{}: tensor {name:?} is missing", path.display())]
    MissingTensor { path: PathBuf, name: String },
    #[error("{}: tensor {name:?} belongs to no layer of the architecture", path.display())]
    UnknownTensor { path: PathBuf, name: String },
    #[error("{}: tensor {name:?}: expected dtype F32, found {found}", path.display())]
    Dtype { path: PathBuf, name: String, found: String },
    #[error("{}: tensor {name:?}: expected shape {expected:?}, found {found:?}", path.display())]
    Shape { path: PathBuf, name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("{}: tensor {name:?}: element {index} is {found}, expected a finite number", path.display())]
    NotFinite { path: PathBuf, name: String, index: usize, found: f32 },
    #[error("{}: tensor {name:?}: expected min <= max, found {min} and {max}", path.display())]
    Range { path: PathBuf, name: String, min: f32, max: f32 },
    #[error("{}: manifest: stage {stage} and its facts disagree: {found}", path.display())]
    Stage { path: PathBuf, stage: &'static str, found: String },
}
