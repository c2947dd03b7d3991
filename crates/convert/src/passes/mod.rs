//! Passes turn a graph of f32 layers into what the file is to hold. Each is one function over the whole graph.

mod input;
mod integers;
mod quantize;
mod simplify;

pub(crate) use input::{set_import_dtype, set_input_dtype};
pub(crate) use integers::require_integers;
pub(crate) use quantize::quantize;
pub(crate) use simplify::simplify;
