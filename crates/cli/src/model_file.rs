//! Tells models, checkpoints and other tools' models apart, by content as far as that goes. It parses none.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What a path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A `.pnj` model.
    Model,
    /// A safetensors checkpoint.
    Checkpoint,
    /// A TFLite model.
    Tflite,
    /// An ONNX model.
    Onnx,
}

/// Looks at the first bytes: a model has its identifier at byte 4, TFLite's too, safetensors has `{` at byte 8. ONNX's models
/// have none; they are known by the end of their name and a first field that is theirs.
pub(crate) fn kind(path: &Path) -> Result<Kind> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|f| f.take(9).read_to_end(&mut head))
        .with_context(|| path.display().to_string())?;
    if head.get(4..8) == Some(&penjing_format::IDENTIFIER) {
        Ok(Kind::Model)
    } else if head.get(4..8) == Some(b"TFL3") {
        Ok(Kind::Tflite)
    } else if head.get(8) == Some(&b'{') {
        Ok(Kind::Checkpoint)
    } else if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("onnx")) {
        Ok(Kind::Onnx)
    } else {
        bail!(
            "{}: expected a model (identifier PNJ1 at byte 4), a checkpoint (safetensors), a TFLite model (identifier TFL3 at byte 4) or an ONNX model (NAME.onnx), found none of them",
            path.display()
        )
    }
}

/// What another tool's model must become before a command that runs models takes it.
pub(crate) fn convert_first(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{}: expected a model or a checkpoint, found another tool's model; `penjing convert` makes a model of it",
        path.display()
    )
}

/// The file's name without its folders.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}
