//! The Penjing model file (`.pnj`): what its bytes mean, how they are read without a heap, and how they are written.
//!
//! [`ModelView::open`] checks a whole file once, in bounded time and without allocating, and lends typed views of it;
//! [`packing`] holds the ways a constant's elements are laid out; [`infer`] is the one place of shape arithmetic;
//! `write` (feature of that name, on by default) builds files.
//!
//! What is *not* here: execution, planning and anything an instruction set wants (the runtime makes those at load), and
//! lowering from training (the converter). docs/format.md describes the file for those who would write their own reader.
#![no_std]
// flatc's generated code is the one place with `unsafe`, and only the writer compiles it.
#![cfg_attr(not(feature = "write"), forbid(unsafe_code))]

#[cfg(any(test, feature = "write"))]
extern crate std;

pub mod attributes;
mod dtype;
mod error;
#[cfg(feature = "alloc")]
mod expand;
pub mod hash;
pub mod infer;
pub mod lean;
pub mod packing;
pub mod read;
mod shape;
pub mod signature;
#[cfg(feature = "write")]
pub mod write;

pub use attributes::{Activation, ChannelAxis, Padding, Pads, ReshapeTarget};
pub use dtype::DataType;
pub use error::{Error, Fault, Owner, Place};
#[cfg(feature = "alloc")]
pub use expand::{ExpandError, expand};
pub use infer::ShapeError;
pub use packing::{Layout, Levels, Packed, PackingError};
pub use penjing_quant::QuantParams;
pub use read::{
    AveragePool2d, Binary, Concat, Constant, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d,
    ModelView, Node, Op, Operand, Pad, Reshape, Scales, Step, TensorType, Value, Walk,
};
pub use shape::{MAX_RANK, Shape};

/// The version of the format that this crate reads and writes. It grows only when an older reader would misread a file;
/// additions that an older reader refuses or may ignore do not count.
pub const FORMAT_VERSION: u16 = 1;

/// Bytes 4..8 of every file.
pub const IDENTIFIER: [u8; 4] = *b"PNJ1";
