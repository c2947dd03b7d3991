//! Brings a graph of f32 layers to one form: every value is of reals, an input that is given as integers has a grid, and no
//! activation stands alone that the op before it can apply.

use penjing_format::{Activation, DataType, QuantParams};

use super::PtqError;
use crate::ir::{Graph, Node, Op, Value, ValueId, WeightData};

/// The form that the rest of this module expects.
///
/// # Errors
/// Anything that has been quantized, an input alone excepted.
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
    for (k, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|&id| place[id]).collect();
        let from = node.inputs[0];
        let same = match node.op {
            // reals of an integer input: that is what the input is now
            Op::Dequantize => true,
            Op::Relu(activation) => {
                is_read_once(graph, from) && fuse(&mut made, inputs[0], activation, node)
            }
            _ => false,
        };
        if same {
            place.push(inputs[0]);
            continue;
        }
        place.push(made.inputs.len() + made.nodes.len());
        let mut node = Node { inputs, ..graph.nodes[k].clone() };
        // a reader of integers hands on integers: it hands on reals now
        node.output.dtype = DataType::F32;
        node.output.quantization = None;
        made.nodes.push(node);
    }
    made.outputs = graph.outputs.iter().map(|&id| place[id]).collect();
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

/// Whether one node reads a value, once, and no caller does.
fn is_read_once(graph: &Graph, id: ValueId) -> bool {
    let reads = graph.nodes.iter().flat_map(|node| &node.inputs).filter(|&&read| read == id);
    reads.count() == 1 && !graph.outputs.contains(&id)
}

/// Gives the node that yields `id` the activation of `relu`, if it has none yet and can have one.
fn fuse(graph: &mut Graph, id: ValueId, activation: Activation, relu: &Node) -> bool {
    let Some(k) = id.checked_sub(graph.inputs.len()) else { return false };
    let node = &mut graph.nodes[k];
    match node.op.activation_mut() {
        Some(own) if *own == Activation::None => *own = activation,
        _ => return false,
    }
    node.output.name.clone_from(&relu.output.name);
    true
}
