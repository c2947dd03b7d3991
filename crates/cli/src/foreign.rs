//! Models of other tools: read, and lowered in memory for commands that run models. Their formats are `penjing_convert`'s.

use std::path::Path;

use anyhow::{Context, Result};
use penjing_convert::ir::Graph;
use penjing_convert::{Options, lower_import, onnx, tflite};
use penjing_runtime::Model;

use crate::model_file::Kind;

/// The graph of a TFLite or ONNX model.
pub(crate) fn read(path: &Path, kind: Kind) -> Result<Graph> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(name)?;
    let stem =
        path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let read = if kind == Kind::Onnx { onnx::read } else { tflite::read };
    read(&bytes, &stem).with_context(name)
}

/// The model that `penjing convert` would write.
pub(crate) fn model(path: &Path, kind: Kind) -> Result<Model> {
    let name = || path.display().to_string();
    let lowered = lower_import(read(path, kind)?, &Options::default()).with_context(name)?;
    Model::from_bytes(lowered.bytes).with_context(name)
}
