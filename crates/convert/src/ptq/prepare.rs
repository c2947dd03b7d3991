//! Brings a graph of f32 layers to one form: every value is of reals, an input that is given as integers has a grid, and a
//! pool that averages a whole image is a mean: means have a grid of their own, finer than that of what they average.

use penjing_format::{DataType, Padding, QuantParams, Shape};

use super::PtqError;
use crate::ir::{Graph, Node, Op, Value, ValueId, WeightData};
use crate::passes;

/// The form that the rest of this module expects.
///
/// # Errors
/// Anything that has been quantized, but for inputs and the weights of layers that take reals.
pub(super) fn prepare(graph: &Graph) -> Result<Graph, PtqError> {
    check(graph)?;
    let mut made = Graph {
        inputs: graph.inputs.iter().enumerate().map(|(i, v)| real_input(graph, i, v)).collect(),
        nodes: Vec::with_capacity(graph.nodes.len()),
        outputs: Vec::new(),
        name: graph.name.clone(),
        pixels: graph.pixels,
    };
    // where each value of the old graph is in the new one
    let mut place: Vec<ValueId> = (0..graph.inputs.len()).collect();
    for node in &graph.nodes {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|&id| place[id]).collect();
        if matches!(node.op, Op::Dequantize) {
            // reals of an integer input: that is what the input is now
            place.push(inputs[0]);
            continue;
        }
        let mut node = Node { inputs, ..node.clone() };
        // a reader of integers hands on integers: it hands on reals now
        node.output.dtype = DataType::F32;
        node.output.quantization = None;
        // int8 weights of a layer of reals are the reals that they stand for
        if let Some((weights, _)) = node.op.layer_mut()
            && let Some(reals) = weights.dequantized()
        {
            weights.data = WeightData::F32(reals, None);
        }
        push(&mut made, node);
        place.push(made.inputs.len() + made.nodes.len() - 1);
    }
    made.outputs = graph.outputs.iter().map(|&id| place[id]).collect();
    passes::simplify(&mut made);
    Ok(made)
}

/// Whether nothing but a pooled or reshaped input is of integers, and no grid was trained for.
fn check(graph: &Graph) -> Result<(), PtqError> {
    for node in &graph.nodes {
        let integers = node.output.dtype != DataType::F32 || node.output.quantization.is_some();
        let constants = match (&node.op, node.op.layer()) {
            (_, Some((weights, _))) => Some(&weights.data),
            (Op::Add(op) | Op::Mul(op), _) => op.operand.as_ref().map(|operand| &operand.data),
            _ => None,
        };
        let found = match constants {
            Some(WeightData::I8(..)) if node.op.is_dynamic() => continue,
            Some(WeightData::I8(..)) => "integer weights",
            Some(WeightData::F32(_, Some(_))) => "weights with scales",
            _ if matches!(node.op, Op::Quantize) => "a conversion to integers",
            _ if integers && !node.op.is_pass_through() => "a value with a grid",
            _ => continue,
        };
        let (node, op) = (node.name.clone(), node.op.name());
        return Err(PtqError::Quantized { node, op, found });
    }
    Ok(())
}

/// An input as reals; a grid, if it is known, as one of int8.
fn real_input(graph: &Graph, index: usize, value: &Value) -> Value {
    let pixels = (graph.pixels && index == 0).then_some(QuantParams::PIXEL);
    let grid = match (value.dtype, value.quantization) {
        (DataType::I8, grid) => grid,
        (_, grid) => {
            grid.or(pixels).map(|grid| QuantParams { zero_point: grid.zero_point - 128, ..grid })
        }
    };
    Value { dtype: DataType::F32, quantization: grid, ..value.clone() }
}

/// Adds a node; of a pool over a whole image, a mean and a reshape.
fn push(graph: &mut Graph, mut node: Node) {
    let input = graph.value(node.inputs[0]).shape;
    if let (Op::AveragePool2d(pool), Some([_, h, w, c])) = (&node.op, input.as_4d())
        && pool.window == [h, w]
        && node.output.shape == Shape::from([1, 1, 1, c])
        && pool.padding == Padding::default()
    {
        let output = Value { shape: Shape::from([1, c]), name: None, ..node.output.clone() };
        let (name, inputs) = (node.name.clone(), node.inputs);
        graph.nodes.push(Node { name, op: Op::Mean, inputs, output });
        let last = graph.inputs.len() + graph.nodes.len() - 1;
        node = Node { op: Op::Reshape, inputs: vec![last], ..node };
    }
    graph.nodes.push(node);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Bias, Dense, Weights};
    use penjing_format::{Activation, ChannelAxis};

    #[test]
    fn int8_weights_of_a_layer_of_reals_become_reals() {
        let value = |shape: &[u32]| Value {
            name: None,
            shape: Shape::new(shape).unwrap(),
            dtype: DataType::F32,
            quantization: None,
        };
        let data = WeightData::I8(vec![1, -2, 3, 4], vec![0.5, 0.25]);
        let dense = Op::FullyConnected(Dense {
            weights: Weights { shape: vec![2, 2], axis: ChannelAxis::First, data },
            bias: Bias::F32(vec![1.0, 2.0]),
            activation: Activation::None,
        });
        let (inputs, output) = (vec![0], value(&[1, 2]));
        let graph = Graph {
            name: String::new(),
            inputs: vec![value(&[1, 2])],
            nodes: vec![Node { name: "dense".into(), op: dense, inputs, output }],
            outputs: vec![1],
            pixels: false,
        };
        let made = prepare(&graph).unwrap();
        let (weights, _) = made.nodes[0].op.layer().unwrap();
        assert_eq!(weights.data, WeightData::F32(vec![0.5, -1.0, 0.75, 1.0], None));
    }
}
