//! From a TensorFlow Lite model (`.tflite`) to a graph. The file is hostile: flatbuffers' verifier sees it first, then every
//! number in it is checked before it counts anything. No weights are quantized here, nothing is fused, and what Penjing does
//! not have is an error, never a detour through floats.
//!
//! `file` opens it, `order` sorts its operators, `import` holds the graph while `ops` and the files below lower one operator
//! after the other. Tensors are constants (`constant`, `sparse`), shapes that are only computed with (`shapes`), or values.
//! A value's dimensions are the file's; the graph's have a batch of 1 before them where the file's have none.

mod constant;
mod elementwise;
mod error;
mod file;
#[doc(hidden)]
pub mod generated;
mod import;
mod layers;
mod moves;
mod ops;
mod order;
mod ports;
mod quantized;
mod settle;
mod shapes;
mod sparse;
mod window;

use crate::frontend::ImportError;
use crate::ir::Graph;

/// The graph of a `.tflite` file; `name` becomes the graph's.
///
/// # Errors
/// For bytes that are no TFLite model or contradict themselves, and for every op, option, type or shape that a Penjing model
/// does not hold.
pub fn read(bytes: &[u8], name: &str) -> Result<Graph, ImportError> {
    let file = file::File::open(bytes)?;
    let order = order::sorted(&file)?;
    let mut import = import::Import::new(&file, name)?;
    for index in order {
        ops::lower(&mut import, &file.operators[index])?;
    }
    ports::finish(import)
}
