//! The ops and their constants, as plain copies of what the file states. How they are read is `fields`'s business.

use super::layout;
use super::table::Numbers;
use crate::attributes::{Activation, ChannelAxis, Padding, Pads, ReshapeTarget};
use crate::dtype::DataType;
use crate::packing::Packed;
use crate::shape::Shape;

/// What a node does.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Two-dimensional convolution.
    Conv2d(Conv2d<'a>),
    /// The largest element of each window.
    MaxPool2d(MaxPool2d),
    /// Matrix product.
    FullyConnected(FullyConnected<'a>),
    /// The same elements under another shape.
    Reshape(Reshape),
    /// F32, or 8-bit integers, to the integers of the node's value.
    Quantize,
    /// 8-bit integers to F32.
    Dequantize,
    /// Two-dimensional convolution of each channel by itself.
    DepthwiseConv2d(DepthwiseConv2d<'a>),
    /// The mean of each window's elements.
    AveragePool2d(AveragePool2d),
    /// The mean over H and W.
    Mean,
    /// Sum of two values, or of one and a constant.
    Add(Binary<'a>),
    /// Product of two values, or of one and a constant.
    Mul(Binary<'a>),
    /// Real 0 around the elements.
    Pad(Pad),
    /// Values side by side.
    Concat(Concat),
    /// A function that is fused into no other op; never [`Activation::None`]. Hands on the type, and the
    /// quantization where the node states none.
    Relu(Activation),
    /// `exp(x)` over the sum of `exp(x)`, over the last axis.
    Softmax,
    /// `1 / (1 + exp(-x))`.
    Logistic,
    /// Hyperbolic tangent.
    Tanh,
}

/// `[N, H, W, I]` to `[N, H', W', O]`. Pairs are (h, w).
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a> {
    /// `[O, KH, KW, I]`, of f32 or i8.
    pub weights: Constant<'a>,
    /// `[O]`, of f32, or of i8, i16 or i32 with scale `input scale * weight scale`.
    pub bias: Option<Constant<'a>>,
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements between two taps of a window.
    pub dilation: [u32; 2],
    /// Elements of real 0 around the input.
    pub padding: Padding,
    /// Applied to the result.
    pub activation: Activation,
}

/// `[N, H, W, I]` to `[N, H', W', O]`; output channel `o` reads input channel `o / multiplier` alone, where the whole
/// `multiplier` is `O / I` (see [`infer::depth_multiplier`](crate::infer::depth_multiplier)). Pairs are (h, w).
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseConv2d<'a> {
    /// `[1, KH, KW, O]`, of f32 or i8.
    pub weights: Constant<'a>,
    /// `[O]`, of f32, or of i8, i16 or i32 with scale `input scale * weight scale`.
    pub bias: Option<Constant<'a>>,
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements between two taps of a window.
    pub dilation: [u32; 2],
    /// Elements of real 0 around the input.
    pub padding: Padding,
    /// Applied to the result.
    pub activation: Activation,
}

/// `[N, H, W, C]` to `[N, H', W', C]`; hands on type and quantization. Pairs are (h, w).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Elements of a window.
    pub window: [u32; 2],
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements around the input that never win.
    pub padding: Padding,
}

/// `[N, in]` to `[N, out]`.
#[derive(Clone, Copy, Debug)]
pub struct FullyConnected<'a> {
    /// `[out, in]`, of f32 or i8.
    pub weights: Constant<'a>,
    /// `[out]`, of f32, or of i8, i16 or i32 with scale `input scale * weight scale`.
    pub bias: Option<Constant<'a>>,
    /// Applied to the result.
    pub activation: Activation,
}

/// Hands on elements, type and quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// What the result shall be; see [`infer::reshape`](crate::infer::reshape).
    pub target: ReshapeTarget,
}

/// As [`MaxPool2d`], of the mean: padding is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePool2d {
    /// Elements of a window.
    pub window: [u32; 2],
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements around the input, which are not counted.
    pub padding: Padding,
}

/// Of two values, or of a value and a constant.
#[derive(Clone, Copy, Debug)]
pub struct Binary<'a> {
    /// The second operand where it is a constant: `[1]`, `[C]` (the input's last dimension), or a sample's shape with batch 1.
    /// One scale beside i8, none beside f32.
    pub operand: Option<Constant<'a>>,
    /// The integer of an i8 constant that stands for real 0.
    pub operand_zero_point: i32,
    /// Applied to the result.
    pub activation: Activation,
}

/// Real 0 around the elements; hands on type and quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad {
    /// How much, of each dimension but the batch.
    pub pads: Pads,
}

/// Values of one type and quantization, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// The dimension along which, the batch being 0 and none of them.
    pub axis: u32,
}

/// Weights or biases.
#[derive(Clone, Copy, Debug)]
pub struct Constant<'a> {
    /// Dimensions; the first is the output channel, of a depthwise convolution's weights the last.
    pub shape: Shape,
    /// The elements' type.
    pub dtype: DataType,
    /// Real units a step of integer weights; none for f32 and for biases.
    pub scales: Scales<'a>,
    /// The elements, row-major.
    pub packed: Packed<'a>,
}

/// Scales of a constant: none, one for all channels, or one a channel.
#[derive(Clone, Copy, Debug)]
pub struct Scales<'a> {
    numbers: Numbers<'a, f32>,
}

impl<'a> Scales<'a> {
    pub(super) fn new(numbers: Numbers<'a, f32>) -> Self {
        Self { numbers }
    }

    /// How many the file states: 0, 1 or one a channel.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether the file states none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The scale of output channel `channel`; a single one answers for every channel. 0 where there is none.
    #[must_use]
    pub fn get(&self, channel: usize) -> f32 {
        let index = if self.len() == 1 { 0 } else { channel };
        self.numbers.get(index).unwrap_or(0.0)
    }
}

impl<'a> Op<'a> {
    /// The op's name in errors and listings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Self::name_of(match self {
            Op::Conv2d(_) => layout::node::CONV_2D,
            Op::MaxPool2d(_) => layout::node::MAX_POOL_2D,
            Op::FullyConnected(_) => layout::node::FULLY_CONNECTED,
            Op::Reshape(_) => layout::node::RESHAPE,
            Op::Quantize => layout::node::QUANTIZE,
            Op::Dequantize => layout::node::DEQUANTIZE,
            Op::DepthwiseConv2d(_) => layout::node::DEPTHWISE_CONV_2D,
            Op::AveragePool2d(_) => layout::node::AVERAGE_POOL_2D,
            Op::Mean => layout::node::MEAN,
            Op::Add(_) => layout::node::ADD,
            Op::Mul(_) => layout::node::MUL,
            Op::Pad(_) => layout::node::PAD,
            Op::Concat(_) => layout::node::CONCAT,
            Op::Relu(_) => layout::node::RELU,
            Op::Softmax => layout::node::SOFTMAX,
            Op::Logistic => layout::node::LOGISTIC,
            Op::Tanh => layout::node::TANH,
        })
    }

    pub(super) fn name_of(code: u8) -> &'static str {
        match code {
            layout::node::CONV_2D => "conv2d",
            layout::node::MAX_POOL_2D => "max_pool2d",
            layout::node::FULLY_CONNECTED => "fully_connected",
            layout::node::RESHAPE => "reshape",
            layout::node::QUANTIZE => "quantize",
            layout::node::DEQUANTIZE => "dequantize",
            layout::node::DEPTHWISE_CONV_2D => "depthwise_conv2d",
            layout::node::AVERAGE_POOL_2D => "average_pool2d",
            layout::node::MEAN => "mean",
            layout::node::ADD => "add",
            layout::node::MUL => "mul",
            layout::node::PAD => "pad",
            layout::node::CONCAT => "concat",
            layout::node::RELU => "relu",
            layout::node::SOFTMAX => "softmax",
            layout::node::LOGISTIC => "logistic",
            layout::node::TANH => "tanh",
            _ => "node",
        }
    }

    /// Weights and bias, of ops that have them; the constant operand of `Add` and `Mul`.
    #[must_use]
    pub fn constants(&self) -> Option<(Constant<'a>, Option<Constant<'a>>)> {
        match self {
            Op::Conv2d(op) => Some((op.weights, op.bias)),
            Op::FullyConnected(op) => Some((op.weights, op.bias)),
            Op::DepthwiseConv2d(op) => Some((op.weights, op.bias)),
            Op::Add(op) | Op::Mul(op) => op.operand.map(|operand| (operand, None)),
            _ => None,
        }
    }

    /// Where the weights' output channels are, of ops that have weights. Rows of a constant operand are those of channels.
    #[must_use]
    pub fn channel_axis(&self) -> Option<ChannelAxis> {
        match self {
            Op::Conv2d(_) | Op::FullyConnected(_) => Some(ChannelAxis::First),
            Op::DepthwiseConv2d(_) => Some(ChannelAxis::Last),
            Op::Add(op) | Op::Mul(op) => op.operand.map(|_| ChannelAxis::Last),
            _ => None,
        }
    }

    /// The function that is applied to the result; `None` of ops that have none.
    #[must_use]
    pub fn activation(&self) -> Activation {
        match self {
            Op::Conv2d(op) => op.activation,
            Op::DepthwiseConv2d(op) => op.activation,
            Op::FullyConnected(op) => op.activation,
            Op::Add(op) | Op::Mul(op) => op.activation,
            Op::Relu(activation) => *activation,
            _ => Activation::None,
        }
    }
}
