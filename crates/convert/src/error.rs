//! Everything that can go wrong between a checkpoint and a model file, and between the two sides of a comparison.

use std::path::PathBuf;

use penjing_format::DataType;

/// A network that cannot be lowered or compared, or a file that does not do what its checkpoint does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what each field is
pub enum ConvertError {
    #[error(
        "layer {layer} ({op}) stays in f32 in a model that was asked to be int8: {lacks}; fine-tune with `penjing train qat` first, or convert with --dtype f32"
    )]
    FloatLayer { layer: String, op: &'static str, lacks: &'static str },
    #[error("layer {layer} ({op}) computes in int8: expected --dtype auto or int8, found f32")]
    IntegerLayer { layer: String, op: &'static str },
    #[error("input {input}: expected {expected} for --input {asked}, found {found}")]
    ImportInput { input: usize, asked: DataType, expected: &'static str, found: DataType },
    #[error(
        "the checkpoint was trained quantization-aware: it lowers to int8, expected --dtype auto or int8, found f32"
    )]
    FloatFromQat,
    #[error("layer {layer}: {field} is {found}, a model file holds at most {limit}")]
    TooLarge { layer: String, field: &'static str, found: usize, limit: usize },
    #[error("packing of {layer}: expected a layer with weights, of {}, found no such layer", layers.join(", "))]
    NoSuchLayer { layer: String, layers: Vec<String> },
    #[error("labels: expected {expected}, one for each output, found {found}")]
    Labels { expected: usize, found: usize },
    #[error("writing the model: {0}")]
    Write(#[from] penjing_format::write::WriteError),
    #[error("running the model: {0}")]
    Runtime(#[from] penjing_runtime::Error),
    #[error("running the model: {0}")]
    Run(#[from] penjing_runtime::RunError),
    #[error("the model cannot run in place: {source}")]
    InPlace { source: penjing_runtime::Error },
    #[error(
        "the model cannot run in place: {source}; expected another packing, such as `penjing convert --packing auto` chooses"
    )]
    Coded { source: penjing_format::Error },
    #[error(
        "name: expected lower-case letters and digits, a letter first, words joined by one `_`, such as kws or key_words; found {found:?}"
    )]
    Name { found: String },
    #[error("images: expected {expected:?} (height, width, channels), found {found:?}")]
    ImageShape { expected: Vec<usize>, found: Vec<usize> },
    #[error("the model has {found} inputs and outputs, an image classifier has one of each")]
    NotAClassifier { found: usize },
    #[error("inputs: expected {expected}, found {found}")]
    Inputs { expected: usize, found: usize },
    #[error("input {input}: expected {expected} elements a sample, found {found}")]
    Sample { input: usize, expected: usize, found: usize },
    #[error("a checkpoint runs on the images of a folder only")]
    OnlyImages,
    #[error("expected inputs and outputs of u8, i8 or f32, found {shape:?} of {dtype}")]
    NoImages { shape: Vec<u32>, dtype: DataType },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the model disagrees with its checkpoint on real images: {found}; nothing was written")]
    Disagrees { found: String },
}
