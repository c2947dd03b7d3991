//! Front ends: each turns one kind of file into the graph. What becomes of the graph is not their affair.

pub mod checkpoint;
mod error;
pub mod onnx;
pub mod pnj;
pub mod tflite;

pub use error::ImportError;
