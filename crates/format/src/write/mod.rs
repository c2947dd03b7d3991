//! Building model files: owned plain structs that mirror the schema, and [`Model::to_bytes`].
//!
//! What lowers a network into these structs is the converter. What a file may hold is decided by the reader's checks: the
//! writer runs them on its own bytes and returns none that they refuse.

#![deny(unsafe_code)]

mod attributes;
mod build;
mod constant;
mod pack;

/// flatc's code for schemas/model.fbs; `cargo xtask codegen` makes it. The writer and the differential test use it.
#[doc(hidden)]
#[path = "generated/mod.rs"]
pub mod generated;

pub use constant::{Constant, ConstantData};
pub use pack::PackingChoice;

pub use crate::read::{AveragePool2d, Concat, MaxPool2d, Pad, Reshape};

use crate::attributes::{Activation, Padding};
use crate::dtype::DataType;
use crate::shape::Shape;
use penjing_quant::QuantParams;
use std::string::String;
use std::vec::Vec;

/// A model to be written. Values are numbered: inputs first, then each node's one result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// What writes the file.
    pub producer: Option<String>,
    /// The graph's inputs, which state shape (batch written 1), dtype and, for integers, quantization.
    pub inputs: Vec<Value>,
    /// In an order in which every input precedes its use.
    pub nodes: Vec<Node>,
    /// Values that the graph yields; empty: the last one.
    pub outputs: Vec<u16>,
    /// Class names, in the order of the first output's last dimension; empty: none.
    pub labels: Vec<String>,
    /// How 8-bit pixels become the first input's reals.
    pub normalization: Option<Normalization>,
}

/// What the file shall state about a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value {
    /// Its name.
    pub name: Option<String>,
    /// Its dimensions, the batch written 1.
    pub shape: Option<Shape>,
    /// Its elements' type.
    pub dtype: Option<DataType>,
    /// Its scale and zero point.
    pub quantization: Option<QuantParams>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// Values that it reads; empty: the one just before its own.
    pub inputs: Vec<u16>,
    /// What cannot be inferred of its result; its name names the node too.
    pub value: Option<Value>,
}

impl Node {
    /// An unnamed node that reads the value before its own.
    #[must_use]
    pub fn new(op: Op, value: Option<Value>) -> Self {
        Self { op, inputs: Vec::new(), value }
    }
}

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Two-dimensional convolution.
    Conv2d(Conv2d),
    /// The largest element of each window.
    MaxPool2d(MaxPool2d),
    /// Matrix product.
    FullyConnected(FullyConnected),
    /// The same elements under another shape.
    Reshape(Reshape),
    /// F32, or 8-bit integers, to the integers of the node's value.
    Quantize,
    /// 8-bit integers to F32.
    Dequantize,
    /// Two-dimensional convolution of each channel by itself.
    DepthwiseConv2d(DepthwiseConv2d),
    /// The mean of each window's elements.
    AveragePool2d(AveragePool2d),
    /// The mean over H and W.
    Mean,
    /// Sum of two values, or of one and a constant.
    Add(Binary),
    /// Product of two values, or of one and a constant.
    Mul(Binary),
    /// Real 0 around the elements.
    Pad(Pad),
    /// Values side by side.
    Concat(Concat),
    /// A function that is fused into no other op.
    Relu(Activation),
    /// `exp(x)` over the sum of `exp(x)`, over the last axis.
    Softmax,
    /// `1 / (1 + exp(-x))`.
    Logistic,
    /// Hyperbolic tangent.
    Tanh,
}

/// `[N, H, W, I]` to `[N, H', W', O]`. Pairs are (h, w).
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// `[O, KH, KW, I]`, of f32 or i8.
    pub weights: Constant,
    /// `[O]`.
    pub bias: Option<Constant>,
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements between two taps of a window.
    pub dilation: [u32; 2],
    /// Elements of real 0 around the input.
    pub padding: Padding,
    /// Applied to the result.
    pub activation: Activation,
}

/// `[N, H, W, I]` to `[N, H', W', O]`; output channel `o` reads input channel `o / (O / I)`. Pairs are (h, w).
#[derive(Clone, Debug, PartialEq)]
pub struct DepthwiseConv2d {
    /// `[1, KH, KW, O]`, of f32 or i8; `O` is a multiple of `I`.
    pub weights: Constant,
    /// `[O]`.
    pub bias: Option<Constant>,
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements between two taps of a window.
    pub dilation: [u32; 2],
    /// Elements of real 0 around the input.
    pub padding: Padding,
    /// Applied to the result.
    pub activation: Activation,
}

/// `[N, in]` to `[N, out]`.
#[derive(Clone, Debug, PartialEq)]
pub struct FullyConnected {
    /// `[out, in]`, of f32 or i8.
    pub weights: Constant,
    /// `[out]`.
    pub bias: Option<Constant>,
    /// Applied to the result.
    pub activation: Activation,
}

/// Of two values, or of a value and a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The second operand where it is a constant, of f32, or of i8 with one scale: `[1]`, `[C]` (the input's last dimension), or
    /// a sample's shape with batch 1. The first of these that has as many elements.
    pub operand: Option<Constant>,
    /// The integer of an i8 constant that stands for real 0.
    pub operand_zero_point: i32,
    /// Applied to the result.
    pub activation: Activation,
}

/// `(pixel - mean[c]) / std[c]`; one number for all channels, or one a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// In units of pixels, 0..=255.
    pub mean: Vec<f32>,
    /// In units of pixels; positive.
    pub std: Vec<f32>,
}

/// Why a model cannot be written.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// A constant's data has not one element for each of its shape's.
    #[error("node {node}, {field}: expected {expected} elements by its shape, found {found}")]
    DataLength {
        /// The node's index.
        node: usize,
        /// `weights` or `bias`.
        field: &'static str,
        /// Elements of the shape.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// An f32 element is infinite or not a number.
    #[error("node {node}, {field}: element {index} must be finite, found {found}")]
    NotFinite {
        /// The node's index.
        node: usize,
        /// `weights` or `bias`.
        field: &'static str,
        /// The element's index.
        index: usize,
        /// The element.
        found: f32,
    },
    /// A shape of an activation does not begin with the batch, 1.
    #[error("{place}: expected a leading batch of 1, found {found}")]
    Batch {
        /// The node or input and its field.
        place: String,
        /// The shape.
        found: Shape,
    },
    /// A window or a stride of 0.
    #[error("node {node}, {field}: expected at least 1, found 0")]
    Zero {
        /// The node's index.
        node: usize,
        /// `window.size` or `window.stride`.
        field: &'static str,
    },
    /// Weights are not of the shape that their node's input and attributes make them be.
    #[error("node {node}, weights: expected {expected}, found {found}")]
    WeightsShape {
        /// The node's index.
        node: usize,
        /// The shape that a reader infers.
        expected: Shape,
        /// The shape given.
        found: Shape,
    },
    /// Elements of a type that has no place there.
    #[error("node {node}, {field}: expected {expected}, found {found}")]
    ElementType {
        /// The node's index.
        node: usize,
        /// `weights` or `bias`.
        field: &'static str,
        /// The types that may be.
        expected: &'static str,
        /// The type given.
        found: DataType,
    },
    /// A scale count that says other elements than are given: int8 weights have scales, nothing else has.
    #[error("node {node}, {field}: expected {expected}, found {found}")]
    Scales {
        /// The node's index.
        node: usize,
        /// `weights.scale` or `bias.scale`.
        field: &'static str,
        /// What is asked.
        expected: &'static str,
        /// Scales given.
        found: usize,
    },
    /// Weights cannot be packed as asked.
    #[error("node {node}, weights: cannot be packed as {packing}")]
    Packing {
        /// The node's index.
        node: usize,
        /// The packing's name.
        packing: &'static str,
    },
    /// A label that would be two: the file has one a line.
    #[error("labels: label {index} has a line break in it")]
    Label {
        /// Its index.
        index: usize,
    },
    /// A number that its field's type cannot hold.
    #[error("{place}: expected at most {limit}, found {found}")]
    TooLarge {
        /// The node or value and its field.
        place: String,
        /// What the field can hold.
        limit: i64,
        /// The number.
        found: i64,
    },
    /// The reader's checks refuse what was built.
    #[error("the model is not valid: {0}")]
    Invalid(#[from] crate::Error),
}
