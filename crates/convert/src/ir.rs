//! The graph between front ends and the file: values, nodes, constants with their quantization. It knows no packing, no
//! file layout and no kernel.
//!
//! Values are numbered as in the file: graph inputs first, then one a node, in order. Shapes carry a leading batch of 1.
//! Axis order is NHWC, OHWI (depthwise 1HWO), `[out, in]`.

use penjing_checkpoint::Granularity;
use penjing_format::{Activation, ChannelAxis, DataType, Padding, QuantParams, Shape};

/// Number of a value: graph inputs first, then the nodes' outputs.
pub type ValueId = usize;

/// A network: nodes in topological order.
#[derive(Clone, Debug)]
pub struct Graph {
    /// For people.
    pub name: String,
    /// Graph inputs.
    pub inputs: Vec<Value>,
    /// Operations; node `k` yields value `inputs.len() + k`.
    pub nodes: Vec<Node>,
    /// Values that the graph yields.
    pub outputs: Vec<ValueId>,
    /// Whether the first input stands for 8-bit pixels, of which an F32 input takes `pixel / 255`: a file says so.
    pub pixels: bool,
}

/// An activation tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// For people and for callers who look an input or output up.
    pub name: Option<String>,
    /// Dimensions with a leading batch of 1.
    pub shape: Shape,
    /// Element type.
    pub dtype: DataType,
    /// The grid of its elements. An F32 value with a grid is one that int8 lowering will turn into integers and that
    /// [`crate::eval`] fake-quantizes.
    pub quantization: Option<QuantParams>,
}

/// One operation and the value it yields.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name of the layer it came from, for messages.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// Values that it reads.
    pub inputs: Vec<ValueId>,
    /// What it yields.
    pub output: Value,
}

/// Operations, as the file has them. Axes and windows are (height, width).
#[derive(Clone, Debug)]
pub enum Op {
    /// Convolution, bias, activation; weights `[out_channels, kernel_h, kernel_w, in_channels]`.
    Conv2d(Conv),
    /// Convolution of each channel by itself; weights `[1, kernel_h, kernel_w, out_channels]`.
    DepthwiseConv2d(Conv),
    /// Dense layer, bias, activation; weights `[out, in]`.
    FullyConnected(Dense),
    /// Maximum over windows; padding never wins.
    MaxPool2d(Pool),
    /// Mean over windows; padding is not counted.
    AveragePool2d(Pool),
    /// Mean over height and width: `[N, H, W, C]` to `[N, C]`.
    Mean,
    /// Sum of two values, or of one and a constant.
    Add(Binary),
    /// Product of two values, or of one and a constant.
    Mul(Binary),
    /// Real zeros around the input: how many before and after, of each dimension but the batch.
    Pad(Vec<[u32; 2]>),
    /// Values one after the other along an axis; axis 0 is the batch and never it.
    Concat {
        /// Which axis.
        axis: usize,
    },
    /// An activation by itself; never `None`. Of integers, its grid may be another than the input's.
    Relu(Activation),
    /// Softmax over the last axis.
    Softmax,
    /// `1 / (1 + exp(-x))`.
    Logistic,
    /// Hyperbolic tangent.
    Tanh,
    /// To the shape of the output, in memory order.
    Reshape,
    /// To the integers of the output's grid: from F32, or from other integers.
    Quantize,
    /// Integers to F32.
    Dequantize,
}

/// A convolution's constants and geometry.
#[derive(Clone, Debug)]
pub struct Conv {
    /// The kernel.
    pub weights: Weights,
    /// `[out_channels]`.
    pub bias: Bias,
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements between two taps of a window.
    pub dilation: [u32; 2],
    /// In real zeros.
    pub padding: Padding,
    /// Fused.
    pub activation: Activation,
}

/// A dense layer's constants.
#[derive(Clone, Debug)]
pub struct Dense {
    /// `[out, in]`.
    pub weights: Weights,
    /// `[out]`.
    pub bias: Bias,
    /// Fused.
    pub activation: Activation,
}

/// A pool's geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Elements of a window.
    pub window: [u32; 2],
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Around the input.
    pub padding: Padding,
}

/// An op of two operands: the node's two inputs, or its one input and a constant.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The second operand, where it is a constant.
    pub operand: Option<Operand>,
    /// Fused.
    pub activation: Activation,
}

/// A constant operand: one element, one a channel (the input's last dimension), or one for each of a sample's.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Elements; integers have one scale.
    pub data: WeightData,
    /// The integer that stands for real 0; 0 of reals.
    pub zero_point: i32,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Dimensions.
    pub shape: Vec<u32>,
    /// Where the output channels are: first, or last of a depthwise kernel.
    pub axis: ChannelAxis,
    /// Elements, row-major.
    pub data: WeightData,
}

/// Elements of a kernel or of a constant operand.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightData {
    /// Real weights; with a granularity where they are to be quantized.
    F32(Vec<f32>, Option<Granularity>),
    /// Integers and their scales: one, or one an output channel. Beside a real bias, of a layer that takes reals.
    I8(Vec<i8>, Vec<f32>),
}

/// A bias.
#[derive(Clone, Debug, PartialEq)]
pub enum Bias {
    /// Real: of a layer that takes reals.
    F32(Vec<f32>),
    /// In units of input scale times weight scale.
    I32(Vec<i32>),
}

impl Op {
    /// The op as messages and listings of model files spell it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "conv2d",
            Self::DepthwiseConv2d(_) => "depthwise_conv2d",
            Self::FullyConnected(_) => "fully_connected",
            Self::MaxPool2d(_) => "max_pool2d",
            Self::AveragePool2d(_) => "average_pool2d",
            Self::Mean => "mean",
            Self::Add(_) => "add",
            Self::Mul(_) => "mul",
            Self::Pad(_) => "pad",
            Self::Concat { .. } => "concat",
            Self::Relu(_) => "relu",
            Self::Softmax => "softmax",
            Self::Logistic => "logistic",
            Self::Tanh => "tanh",
            Self::Reshape => "reshape",
            Self::Quantize => "quantize",
            Self::Dequantize => "dequantize",
        }
    }

    /// Whether the value keeps the input's type and grid: elements moved, selected, clamped or averaged. An activation by
    /// itself of integers may have another grid all the same, where an imported file says so.
    #[must_use]
    pub fn is_pass_through(&self) -> bool {
        matches!(
            self,
            Self::MaxPool2d(_)
                | Self::AveragePool2d(_)
                | Self::Pad(_)
                | Self::Concat { .. }
                | Self::Relu(_)
                | Self::Reshape
        )
    }

    /// Kernel and bias of a convolution or a dense layer.
    #[must_use]
    pub fn layer(&self) -> Option<(&Weights, &Bias)> {
        match self {
            Self::Conv2d(op) | Self::DepthwiseConv2d(op) => Some((&op.weights, &op.bias)),
            Self::FullyConnected(op) => Some((&op.weights, &op.bias)),
            _ => None,
        }
    }

    /// Whether it is a layer of int8 weights that takes reals, quantizes them as they come and yields reals.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        let layer = self.layer();
        layer.is_some_and(|(weights, bias)| {
            matches!((&weights.data, bias), (WeightData::I8(..), Bias::F32(_)))
        })
    }

    /// As [`Self::layer`], to change them.
    pub fn layer_mut(&mut self) -> Option<(&mut Weights, &mut Bias)> {
        match self {
            Self::Conv2d(op) | Self::DepthwiseConv2d(op) => Some((&mut op.weights, &mut op.bias)),
            Self::FullyConnected(op) => Some((&mut op.weights, &mut op.bias)),
            _ => None,
        }
    }

    /// The activation that is fused into the op, of ops that can have one.
    pub fn activation_mut(&mut self) -> Option<&mut Activation> {
        match self {
            Self::Conv2d(op) | Self::DepthwiseConv2d(op) => Some(&mut op.activation),
            Self::FullyConnected(op) => Some(&mut op.activation),
            Self::Add(op) | Self::Mul(op) => Some(&mut op.activation),
            _ => None,
        }
    }
}

impl Graph {
    /// The value of that number.
    ///
    /// # Panics
    /// If there is no such value: a front end or a pass made a wrong graph.
    #[must_use]
    pub fn value(&self, id: ValueId) -> &Value {
        match id.checked_sub(self.inputs.len()) {
            None => &self.inputs[id],
            Some(node) => &self.nodes[node].output,
        }
    }
}

impl Weights {
    /// Output channels.
    #[must_use]
    pub fn out_channels(&self) -> usize {
        let channels = match self.axis {
            ChannelAxis::First => self.shape.first(),
            ChannelAxis::Last => self.shape.last(),
        };
        channels.map_or(0, |&n| n as usize)
    }

    /// The output channel of element `index`.
    #[must_use]
    pub fn channel_of(&self, index: usize) -> usize {
        match self.axis {
            ChannelAxis::First => index / (self.data.len() / self.out_channels()),
            ChannelAxis::Last => index % self.out_channels(),
        }
    }

    /// Scales of real weights that have a granularity: one, or one an output channel.
    #[must_use]
    pub fn scales(&self) -> Option<Vec<f32>> {
        let WeightData::F32(data, Some(granularity)) = &self.data else { return None };
        if self.axis == ChannelAxis::First || *granularity == Granularity::PerTensor {
            return Some(granularity.scales(data, self.out_channels()));
        }
        let mut scales = vec![0.0_f32; self.out_channels()];
        for (index, w) in data.iter().enumerate() {
            let scale = &mut scales[self.channel_of(index)];
            *scale = scale.max(w.abs());
        }
        penjing_quant::channel_scales(&mut scales);
        Some(scales)
    }

    /// Integer weights as the reals that they stand for.
    #[must_use]
    pub fn dequantized(&self) -> Option<Vec<f32>> {
        let WeightData::I8(codes, scales) = &self.data else { return None };
        let scale = |i| scales[if scales.len() == 1 { 0 } else { self.channel_of(i) }];
        Some(codes.iter().enumerate().map(|(i, &q)| scale(i) * f32::from(q)).collect())
    }

    /// Real weights as the network is to compute with them: fake-quantized where they have a granularity. `None` for
    /// integers.
    #[must_use]
    pub fn reals(&self) -> Option<Vec<f32>> {
        let WeightData::F32(data, _) = &self.data else { return None };
        let Some(scales) = self.scales() else { return Some(data.clone()) };
        let scale = |i| scales[if scales.len() == 1 { 0 } else { self.channel_of(i) }];
        let fake = |(i, &w): (usize, &f32)| penjing_quant::fake_quantize_weight(w, scale(i));
        Some(data.iter().enumerate().map(fake).collect())
    }
}

impl WeightData {
    /// Number of elements.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "no kernel is empty")]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(data, _) => data.len(),
            Self::I8(data, _) => data.len(),
        }
    }
}
