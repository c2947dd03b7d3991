//! Models inside programs: what a source file of Rust or C must tell beside the bytes, so that a session in place is made of it.
//! [`rust`](Embedding::rust) and [`c`](Embedding::c) are texts; no file is written here, and no model is lowered or changed.

mod c;
mod rust;
mod words;

use penjing_format::{DataType, ModelView, hash};
use penjing_runtime::{Model, TensorInfo, in_place};

use crate::ConvertError;

/// Bytes of the arena that a session in place needs for this file as it lies.
///
/// # Errors
/// Files that are no model, and whatever a session in place does not run: entropy-coded weights too, which must be decoded first.
pub fn arena_bytes(file: &[u8], model: &Model) -> Result<usize, ConvertError> {
    if let Err(source @ penjing_format::Error::Coded { .. }) = ModelView::open(file) {
        return Err(ConvertError::Coded { source });
    }
    in_place::arena_bytes(model).map_err(|source| ConvertError::InPlace { source })
}

/// A prefix for all names of a model, so that a program may hold several: lower-case words joined by `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl std::str::FromStr for Name {
    type Err = ConvertError;

    /// # Errors
    /// What is no such name in both languages: a letter first, no `_` at the end and no two of them together.
    fn from_str(text: &str) -> Result<Self, ConvertError> {
        let letter = |ch: char| ch.is_ascii_lowercase();
        let word = |word: &str| {
            !word.is_empty() && word.chars().all(|ch| letter(ch) || ch.is_ascii_digit())
        };
        if text.starts_with(letter) && text.split('_').all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ConvertError::Name { found: text.to_owned() })
        }
    }
}

/// A model that runs in place, and what its source files tell.
#[derive(Debug)]
pub struct Embedding<'a> {
    file: &'a [u8],
    /// Where the model comes from, in the user's words: a file's name.
    source: &'a str,
    name: Option<Name>,
    hash: u64,
    arena_bytes: usize,
    ops: u32,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    labels: Vec<String>,
}

/// An input or output of one image.
#[derive(Debug)]
struct Port {
    /// `input`, or `input_1` of several.
    what: String,
    name: Option<String>,
    /// With a batch of 1.
    shape: Vec<u32>,
    dtype: DataType,
    len: usize,
    /// Scale and zero point, of integers.
    grid: Option<(f32, i32)>,
}

impl<'a> Embedding<'a> {
    /// What there is to tell of a model file.
    ///
    /// # Errors
    /// As of [`arena_bytes`].
    pub fn new(file: &'a [u8], source: &'a str, name: Option<Name>) -> Result<Self, ConvertError> {
        let model = Model::from_bytes(file.to_vec())?;
        Ok(Self {
            file,
            source,
            name,
            hash: hash::stated(file).unwrap_or_default(),
            arena_bytes: arena_bytes(file, &model)?,
            ops: in_place::ops(&model).map_err(|source| ConvertError::InPlace { source })?,
            inputs: ports("input", &model.inputs().collect::<Vec<_>>()),
            outputs: ports("output", &model.outputs().collect::<Vec<_>>()),
            labels: model.labels().map_or_else(Vec::new, |l| l.iter().map(str::to_owned).collect()),
        })
    }

    /// Bytes of the arena.
    #[must_use]
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    fn ports(&self) -> impl Iterator<Item = &Port> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// What both languages say at the head of a file: lines of a word and its meaning, safe in any comment.
    fn head(&self) -> Vec<String> {
        let mut lines = vec![
            format!("from          {}", words::comment(self.source)),
            format!("content hash  {:016x}, {} bytes", self.hash, self.file.len()),
            format!("arena         {} bytes", self.arena_bytes),
        ];
        lines.extend(self.ports().map(|port| format!("{:<13} {}", port.what, port.describe())));
        lines
    }
}

fn ports(what: &str, tensors: &[TensorInfo<'_>]) -> Vec<Port> {
    let port = |(index, tensor): (usize, &TensorInfo<'_>)| Port {
        what: if tensors.len() == 1 { what.to_owned() } else { format!("{what}_{index}") },
        name: tensor.name.map(str::to_owned),
        shape: std::iter::once(1).chain(tensor.shape.dims().iter().copied()).collect(),
        dtype: tensor.dtype,
        len: tensor.len(),
        grid: (tensor.dtype != DataType::F32).then_some((tensor.scale, tensor.zero_point)),
    };
    tensors.iter().enumerate().map(port).collect()
}

impl Port {
    /// Name, shape, type and grid, safe in any comment.
    fn describe(&self) -> String {
        let name = self.name.as_deref().map_or_else(String::new, |n| words::comment(n) + " ");
        let grid = self.grid.map_or_else(String::new, |(scale, zero)| {
            format!(", scale {scale:?}, zero point {zero}")
        });
        format!("{name}{:?} {}{grid}", self.shape, self.dtype)
    }
}
