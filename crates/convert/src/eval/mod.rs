//! Interprets a graph in f32 with fake quantization: what the network is meant to be, before lowering or after it. It
//! shares no code with the runtime's kernels or with training's, so that each can be held against it. One sample at a time
//! and in one order of additions: results depend on no thread count.
//!
//! `kernel` has the layers' constants and products, `windows` walks images, `elements` has what needs no kernel.

mod elements;
mod kernel;
#[cfg(test)]
mod tests;
mod windows;

use penjing_format::{Activation, DataType};
use penjing_quant::QuantParams;

use crate::ir::{Graph, Node, Op, Operand, Value, WeightData};
use kernel::Kernel;

/// A graph ready to be interpreted: constants fake-quantized and laid out once.
#[derive(Debug)]
pub struct Evaluator<'g> {
    graph: &'g Graph,
    constants: Vec<Constants>,
}

/// What a node computes with beside its inputs, as reals.
#[derive(Debug)]
pub(crate) enum Constants {
    None,
    Kernel(Kernel),
    Operand(Vec<f32>),
}

/// An input of a node: elements of one sample, and what they are.
pub(crate) type Argument<'a> = (&'a [f32], &'a Value);

impl<'g> Evaluator<'g> {
    /// Prepares a graph. `None` if a layer has an integer bias and no grid of its input to read it by.
    #[must_use]
    pub fn new(graph: &'g Graph) -> Option<Self> {
        let constants = graph.nodes.iter().map(|node| Constants::new(graph, node));
        Some(Self { graph, constants: constants.collect::<Option<_>>()? })
    }

    /// Scores of one image of u8 pixels, in f32; on the output's grid where it has one.
    ///
    /// # Panics
    /// If `pixels` is not as long as the input's shape says.
    #[must_use]
    pub fn scores(&self, pixels: &[u8]) -> Vec<f32> {
        self.values(pixels).swap_remove(self.graph.outputs[0])
    }

    /// Every value of the graph for one image of u8 pixels, by its number: the input, then what each node yields, on its
    /// grid where it has one.
    ///
    /// # Panics
    /// As [`Self::scores`].
    #[must_use]
    pub fn values(&self, pixels: &[u8]) -> Vec<Vec<f32>> {
        let grid = self.graph.inputs[0].quantization.unwrap_or(QuantParams::PIXEL);
        let reals = pixels.iter().map(|&p| grid.dequantize(i32::from(p))).collect();
        self.compute(vec![reals])
    }

    /// Every value of the graph for one sample, given as reals, one slice an input: the inputs, then what each node
    /// yields, on its grid where it has one.
    ///
    /// # Panics
    /// If there are not as many inputs, or not as many elements of one, as the graph says.
    #[must_use]
    pub fn run(&self, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
        let on_grid = |(x, value): (&&[f32], &Value)| {
            let mut x = x.to_vec();
            fake_quantize(&mut x, value);
            x
        };
        self.compute(inputs.iter().zip(&self.graph.inputs).map(on_grid).collect())
    }

    fn compute(&self, mut values: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let inputs = &self.graph.inputs;
        assert_eq!(values.len(), inputs.len(), "one sample of each input");
        for (x, value) in values.iter().zip(inputs) {
            assert_eq!(Some(x.len()), value.shape.elements(), "one sample at a time");
        }
        for (node, constants) in self.graph.nodes.iter().zip(&self.constants) {
            let arguments: Vec<_> =
                node.inputs.iter().map(|&id| (&values[id][..], self.graph.value(id))).collect();
            let mut y = linear(node, constants, &arguments);
            finish(node, &mut y);
            values.push(y);
        }
        values
    }
}

impl Constants {
    /// `None` where an integer bias has no grid to be read by.
    pub(crate) fn new(graph: &Graph, node: &Node) -> Option<Self> {
        if let Some((weights, bias)) = node.op.layer() {
            let s_in = graph.value(node.inputs[0]).quantization.map(|grid| grid.scale);
            return Kernel::new(weights, bias, s_in).map(Self::Kernel);
        }
        Some(match &node.op {
            Op::Add(op) | Op::Mul(op) => {
                op.operand.as_ref().map_or(Self::None, |operand| Self::Operand(reals(operand)))
            }
            _ => Self::None,
        })
    }
}

/// A constant operand as the network is to compute with it: fake-quantized where it has a granularity.
pub(crate) fn reals(operand: &Operand) -> Vec<f32> {
    match &operand.data {
        WeightData::F32(data, None) => data.clone(),
        WeightData::F32(data, Some(_)) => {
            let grid = operand_grid(data);
            data.iter().map(|&x| grid.fake_quantize_i8(x)).collect()
        }
        WeightData::I8(codes, scales) => {
            let scale = scales.first().copied().unwrap_or(1.0);
            let grid = QuantParams { scale, zero_point: operand.zero_point };
            codes.iter().map(|&q| grid.dequantize(i32::from(q))).collect()
        }
    }
}

/// The grid that a constant operand gets: all of its range.
pub(crate) fn operand_grid(data: &[f32]) -> QuantParams {
    let range = data.iter().fold([0.0_f32; 2], |[lo, hi], &x| [lo.min(x), hi.max(x)]);
    penjing_quant::ActivationRange { min: range[0], max: range[1] }.params_i8()
}

/// Puts values on the grid of the tensor that they are, if it has one.
pub(crate) fn fake_quantize(values: &mut [f32], value: &Value) {
    let Some(grid) = value.quantization else { return };
    for v in values {
        *v = if value.dtype == DataType::U8 {
            grid.dequantize(i32::from(grid.quantize_u8(*v)))
        } else {
            grid.fake_quantize_i8(*v)
        };
    }
}

/// What a node yields before its activation and before its grid.
pub(crate) fn linear(node: &Node, constants: &Constants, inputs: &[Argument<'_>]) -> Vec<f32> {
    let (x, output) = (inputs[0], &node.output);
    match (&node.op, constants) {
        (Op::Conv2d(op), Constants::Kernel(kernel)) => windows::conv2d(x, output, kernel, op),
        (Op::DepthwiseConv2d(op), Constants::Kernel(kernel)) => {
            windows::depthwise_conv2d(x, output, kernel, op)
        }
        (Op::FullyConnected(_), Constants::Kernel(kernel)) => kernel.dense(x.0),
        (Op::MaxPool2d(pool), _) => windows::max_pool2d(x, output, pool),
        (Op::AveragePool2d(pool), _) => windows::average_pool2d(x, output, pool),
        (Op::Mean, _) => elements::mean(x),
        (Op::Add(_), constants) => elements::binary(inputs, constants, output, |a, b| a + b),
        (Op::Mul(_), constants) => elements::binary(inputs, constants, output, |a, b| a * b),
        (Op::Pad(amounts), _) => elements::pad(x, output, amounts),
        (Op::Concat { axis }, _) => elements::concat(inputs, *axis),
        (Op::Softmax, _) => elements::softmax(x),
        (Op::Logistic, _) => x.0.iter().map(|&v| 1.0 / (1.0 + (-v).exp())).collect(),
        (Op::Tanh, _) => x.0.iter().map(|&v| v.tanh()).collect(),
        (Op::Relu(_) | Op::Reshape | Op::Quantize | Op::Dequantize, _) => x.0.to_vec(),
        (op, Constants::None | Constants::Operand(_)) => {
            unreachable!("{} has a kernel", op.name())
        }
    }
}

/// Applies the activation and the grid to what [`linear`] gave.
pub(crate) fn finish(node: &Node, y: &mut [f32]) {
    let activation = match &node.op {
        Op::Conv2d(op) | Op::DepthwiseConv2d(op) => op.activation,
        Op::FullyConnected(op) => op.activation,
        Op::Add(op) | Op::Mul(op) => op.activation,
        Op::Relu(activation) => *activation,
        _ => Activation::None,
    };
    let (low, high) = bounds(activation);
    if activation != Activation::None {
        for v in &mut *y {
            *v = v.max(low).min(high);
        }
    }
    let moved = matches!(node.op, Op::MaxPool2d(_) | Op::Pad(_) | Op::Concat { .. } | Op::Reshape);
    if !moved {
        fake_quantize(y, &node.output);
    }
}

/// The reals that an activation lets through.
pub(crate) fn bounds(activation: Activation) -> (f32, f32) {
    match activation {
        Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
        Activation::Relu => (0.0, f32::INFINITY),
        Activation::Relu6 => (0.0, 6.0),
        Activation::ReluN1To1 => (-1.0, 1.0),
    }
}
