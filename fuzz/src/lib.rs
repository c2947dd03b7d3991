//! What the fuzz targets do with one input, as plain functions that panic where a promise is broken: the targets hand them what
//! libFuzzer makes, and the tests of this crate what lies in `corpus/`.
//!
//! What is *not* here: libFuzzer itself (`fuzz_targets/`), and tests of chosen cases, which are the crates' own.

#![forbid(unsafe_code)]

mod compare;
mod decode;
mod import;
mod noise;
mod open;
mod run;
pub mod seeds;
pub mod seeds_import;
mod seeds_joined;
mod seeds_onnx;
mod tflite;
mod tflite_options;
mod visit;

pub use import::import;
pub use open::open;
pub use run::run;
