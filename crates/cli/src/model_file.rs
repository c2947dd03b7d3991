//! Tells a model file from a checkpoint, by content and not by name. It parses neither.

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
}

/// Looks at the first bytes: a model has its identifier at byte 4, safetensors has `{` at byte 8.
pub(crate) fn kind(path: &Path) -> Result<Kind> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|f| f.take(9).read_to_end(&mut head))
        .with_context(|| path.display().to_string())?;
    if head.get(4..8) == Some(&penjing_format::IDENTIFIER) {
        Ok(Kind::Model)
    } else if head.get(8) == Some(&b'{') {
        Ok(Kind::Checkpoint)
    } else {
        bail!(
            "{}: expected a model (identifier PNJ1 at byte 4) or a checkpoint (safetensors), found neither",
            path.display()
        )
    }
}

/// The file's name without its folders.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}
