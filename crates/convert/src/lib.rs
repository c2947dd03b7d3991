//! Lowers a trained network to one model file and checks what it wrote.
//!
//! The way of a network: a front end reads it into an [`ir::Graph`] (f32 weights plus the facts of quantization), `passes`
//! turn that into what the file holds (integers only, where integers were asked for), `emit` writes it. [`eval`]
//! interprets the graph as it was *before* the passes, in f32 with fake quantization, and [`check`] holds the file, run by
//! `penjing-runtime`, against it on real images. [`side`] runs any two files or checkpoints, [`compare`] tells how far apart
//! they lie. [`ptq`] gives an f32 graph grids by calibration. [`embed`] makes source files of a model.
//!
//! What is not here: packings and layouts (`penjing-format`), arithmetic rules (`penjing-quant`), kernels
//! (`penjing-runtime`), training.
// flatc's generated code is the one place with `unsafe`; the workspace denies it elsewhere.

pub mod check;
pub mod compare;
pub mod elements;
pub mod embed;
mod emit;
mod error;
pub mod eval;
mod frontend;
pub mod ir;
mod lower;
mod passes;
pub mod ptq;
pub mod samples;
pub mod side;

pub use error::ConvertError;
pub use frontend::{ImportError, checkpoint, onnx, pnj, tflite};
pub use lower::{InputDtype, Lowered, Options, TargetDtype, lower_checkpoint, lower_import};
pub use penjing_format::write::PackingChoice;
