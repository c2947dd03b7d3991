//! Why a network cannot be quantized by calibration.

use crate::ConvertError;

/// A network or samples that post-training quantization cannot use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what each field is
pub enum PtqError {
    #[error(
        "node {node} ({op}): expected f32 layers without quantization, found {found}; a network that was quantized already is converted as it is"
    )]
    Quantized { node: String, op: &'static str, found: &'static str },
    #[error("keep float: expected a layer of {}, or the number of one, from 0; found {layer}", layers.join(", "))]
    NoSuchLayer { layer: String, layers: Vec<String> },
    #[error("calibration: expected at least 1 sample, found 0")]
    NoSamples,
    #[error("calibration: {0}")]
    Samples(#[from] ConvertError),
    #[error("calibration: {layer} yields values that are not finite")]
    NotFinite { layer: String },
}
