//! `penjing convert --rust` and `--c`: source files of a model, whatever it was made of. Their text is `penjing_convert::embed`'s.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use penjing_convert::embed::{Embedding, Name};

use crate::model_file;

/// Source files to write beside a model, or of one.
#[derive(clap::Args)]
pub(crate) struct EmbedArgs {
    /// File of Rust to write: the model as a static, and what a session in place of it needs
    #[arg(long, value_name = "OUT.rs")]
    rust: Option<PathBuf>,
    /// Header of C to write: the model as an array, and what a session in place of it needs
    #[arg(long, value_name = "OUT.h")]
    c: Option<PathBuf>,
    /// What names in these files begin with, where a program holds several models: kws makes KWS_MODEL and kws_model
    /// [default: MODEL in Rust, penjing_model in C]
    #[arg(long, value_name = "NAME", requires = "program")]
    name: Option<Name>,
}

/// A file to be written and what is told of it then.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    pub(crate) told: String,
}

impl EmbedArgs {
    /// The files that are asked for, of the model file `bytes` that was made of `source`.
    pub(crate) fn sources(&self, source: &Path, bytes: &[u8]) -> Result<Vec<Source>> {
        if self.rust.is_none() && self.c.is_none() {
            return Ok(Vec::new());
        }
        let file = model_file::name(source);
        let embedding = Embedding::new(bytes, &file, self.name.clone())
            .with_context(|| source.display().to_string())?;
        let told = |path: &Path| {
            let (path, arena) = (path.display(), embedding.arena_bytes());
            format!("{path}: model of {} bytes, arena {arena} bytes in place", bytes.len())
        };
        let source = |path: &PathBuf, text| Source { told: told(path), path: path.clone(), text };
        let rust = self.rust.as_ref().map(|path| source(path, embedding.rust()));
        let c = self.c.as_ref().map(|path| source(path, embedding.c()));
        Ok(rust.into_iter().chain(c).collect())
    }
}
