//! What the model takes: u8 pixels, i8 (pixel - 128), or f32. Inserts the conversion that the layers then need.

use penjing_format::{DataType, QuantParams};

use crate::ir::{Graph, Node, Op, Value};
use crate::lower::InputDtype;

/// Gives the graph's input (u8 pixels, as front ends leave it) the dtype asked for, before `quantize` runs.
///
/// `integers` tells whether the first layer is going to be one of integers.
pub(crate) fn set_input_dtype(graph: &mut Graph, dtype: InputDtype, integers: bool) {
    let pixels = graph.inputs[0].clone();
    let shifted = QuantParams { scale: QuantParams::PIXEL.scale, zero_point: -128 };
    let real = Value { name: None, dtype: DataType::F32, quantization: None, ..pixels.clone() };
    match (dtype, integers) {
        (InputDtype::U8, true) => {}
        (InputDtype::I8, true) => {
            graph.inputs[0].dtype = DataType::I8;
            graph.inputs[0].quantization = Some(shifted);
        }
        (InputDtype::F32, true) => {
            graph.inputs[0] = Value { name: pixels.name.clone(), ..real };
            insert_first(graph, "quantize", Op::Quantize, Value { name: None, ..pixels });
        }
        (InputDtype::U8, false) => insert_first(graph, "dequantize", Op::Dequantize, real),
        (InputDtype::I8, false) => {
            graph.inputs[0].dtype = DataType::I8;
            graph.inputs[0].quantization = Some(shifted);
            insert_first(graph, "dequantize", Op::Dequantize, real);
        }
        (InputDtype::F32, false) => {
            graph.inputs[0] = Value { name: pixels.name.clone(), ..real };
        }
    }
}

/// Puts a node between the (one) graph input and all that read it, and renumbers the values after it.
fn insert_first(graph: &mut Graph, name: &str, op: Op, output: Value) {
    for node in &mut graph.nodes {
        for id in &mut node.inputs {
            *id += 1;
        }
    }
    for id in &mut graph.outputs {
        *id += 1;
    }
    graph.nodes.insert(0, Node { name: name.to_owned(), op, inputs: vec![0], output });
}
