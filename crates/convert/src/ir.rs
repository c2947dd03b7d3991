//! The graph between front ends and the file: values, nodes, constants with their quantization. It knows no packing, no
//! file layout and no kernel.
//!
//! Values are numbered as in the file: graph inputs first, then one a node, in order. Shapes carry a leading batch of 1.
//! Axis order is NHWC, OHWI, `[out, in]`.

use penjing_checkpoint::Granularity;
use penjing_format::{Activation, DataType, Padding, QuantParams, Shape};

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

/// Operations, as the file has them.
#[derive(Clone, Debug)]
pub enum Op {
    /// Convolution, bias, activation.
    Conv2d {
        /// `[out_channels, kernel_h, kernel_w, in_channels]`.
        weights: Weights,
        /// `[out_channels]`.
        bias: Bias,
        /// Height, width.
        stride: [u32; 2],
        /// Height, width.
        dilation: [u32; 2],
        /// In real zeros.
        padding: Padding,
        /// Fused.
        activation: Activation,
    },
    /// Maximum over windows; padding never wins.
    MaxPool2d {
        /// Height, width.
        window: [u32; 2],
        /// Height, width.
        stride: [u32; 2],
        /// Around the input.
        padding: Padding,
    },
    /// Dense layer, bias, activation.
    FullyConnected {
        /// `[out, in]`.
        weights: Weights,
        /// `[out]`.
        bias: Bias,
        /// Fused.
        activation: Activation,
    },
    /// To `[batch, rest]`, in memory order.
    Flatten,
    /// F32 to the integers of the output's grid.
    Quantize,
    /// Integers to F32.
    Dequantize,
}

/// A kernel. The first axis is the output channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Dimensions.
    pub shape: Vec<u32>,
    /// Elements, row-major.
    pub data: WeightData,
}

/// Elements of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightData {
    /// Real weights; with a granularity where they are to be quantized.
    F32(Vec<f32>, Option<Granularity>),
    /// Integers and their scales: one, or one an output channel.
    I8(Vec<i8>, Vec<f32>),
}

/// A bias.
#[derive(Clone, Debug, PartialEq)]
pub enum Bias {
    /// Real.
    F32(Vec<f32>),
    /// In units of input scale times weight scale.
    I32(Vec<i32>),
}

impl Op {
    /// The op as messages and the schema spell it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv2d { .. } => "Conv2d",
            Self::MaxPool2d { .. } => "MaxPool2d",
            Self::FullyConnected { .. } => "FullyConnected",
            Self::Flatten => "Reshape",
            Self::Quantize => "Quantize",
            Self::Dequantize => "Dequantize",
        }
    }

    /// Whether the value is the input's, moved or selected: such an op inherits type and grid.
    #[must_use]
    pub fn is_pass_through(&self) -> bool {
        matches!(self, Self::MaxPool2d { .. } | Self::Flatten)
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
    /// First axis.
    #[must_use]
    pub fn out_channels(&self) -> usize {
        self.shape.first().map_or(0, |&n| n as usize)
    }

    /// Real weights as the network is to compute with them: fake-quantized where they have a granularity. `None` for
    /// integers.
    #[must_use]
    pub fn reals(&self) -> Option<Vec<f32>> {
        let WeightData::F32(data, granularity) = &self.data else { return None };
        let Some(granularity) = granularity else { return Some(data.clone()) };
        let channels = self.out_channels();
        let scales = granularity.scales(data, channels);
        let per_scale = data.len() / scales.len();
        let fake =
            |(i, &w): (usize, &f32)| penjing_quant::fake_quantize_weight(w, scales[i / per_scale]);
        Some(data.iter().enumerate().map(fake).collect())
    }
}
