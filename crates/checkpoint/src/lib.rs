//! What `train` writes and `convert` reads: a network's architecture, its tensors and the facts of its stage.
//!
//! A checkpoint is one safetensors file with one JSON [`Manifest`] under the metadata key `penjing`. It holds the model
//! only: optimizer moments, random state and schedules live in `train`'s side file. Nothing here trains or lowers.
//!
//! Axis order is the order of the whole project: NHWC activations, OHWI conv weights, `[out, in]` dense weights, and
//! flatten in H, W, C order.
#![forbid(unsafe_code)]

mod architecture;
mod atomic;
mod error;
mod file;
mod manifest;
mod shapes;

pub use architecture::{
    Activation, Architecture, Conv2d, Dense, Flatten, Layer, MaxPool2d, Padding, PaddingMode,
};
pub use atomic::write_atomically;
pub use error::{ArchitectureError, CheckpointError};
pub use file::{Checkpoint, Tensor};
pub use manifest::{
    Granularity, LayerSparsity, Layout, MANIFEST_VERSION, Manifest, Quantization, Sparsity, Stage,
};
pub use shapes::{Network, ResolvedLayer, ResolvedOp};
