//! What the model takes: u8 pixels, i8 (pixel - 128), or f32. Inserts the conversion that the layers then need.

use penjing_format::{DataType, QuantParams};

use crate::ConvertError;
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
            insert(graph, 0, "quantize", Op::Quantize, Value { name: None, ..pixels });
        }
        (InputDtype::U8, false) => insert(graph, 0, "dequantize", Op::Dequantize, real),
        (InputDtype::I8, false) => {
            graph.inputs[0].dtype = DataType::I8;
            graph.inputs[0].quantization = Some(shifted);
            insert(graph, 0, "dequantize", Op::Dequantize, real);
        }
        (InputDtype::F32, false) => {
            graph.inputs[0] = Value { name: pixels.name.clone(), ..real };
        }
    }
}

/// Makes the inputs of an imported graph of integers take another type: u8 and i8 are the same grid, shifted; f32 is
/// quantized first. Inputs that are of the type asked for stay.
///
/// # Errors
/// Integers asked of inputs of reals, which state no grid.
pub(crate) fn set_import_dtype(graph: &mut Graph, asked: InputDtype) -> Result<(), ConvertError> {
    let dtype = match asked {
        InputDtype::U8 => DataType::U8,
        InputDtype::I8 => DataType::I8,
        InputDtype::F32 => DataType::F32,
    };
    // From the last on: a node put in moves the values after it.
    for input in (0..graph.inputs.len()).rev() {
        let old = graph.inputs[input].clone();
        let Some(grid) = old.quantization.filter(|_| old.dtype != dtype) else {
            if old.dtype != dtype {
                let (expected, found) = ("integers", old.dtype);
                return Err(ConvertError::ImportInput { input, asked: dtype, expected, found });
            }
            continue;
        };
        let shift = if old.dtype == DataType::I8 { 128 } else { -128 };
        let shifted = QuantParams { zero_point: grid.zero_point + shift, ..grid };
        let quantization = (dtype != DataType::F32).then_some(shifted);
        graph.inputs[input] = Value { dtype, quantization, ..old.clone() };
        insert(graph, input, "quantize", Op::Quantize, Value { name: None, ..old });
    }
    Ok(())
}

/// Puts a node between the graph input and all that read it, and renumbers the values after it.
fn insert(graph: &mut Graph, input: usize, name: &str, op: Op, output: Value) {
    let first = graph.inputs.len();
    let moved = |id: &mut usize| match *id {
        id_input if id_input == input => *id = first,
        node if node >= first => *id += 1,
        _ => {}
    };
    graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(moved);
    graph.outputs.iter_mut().filter(|id| **id >= first).for_each(|id| *id += 1);
    graph.nodes.insert(0, Node { name: name.to_owned(), op, inputs: vec![input], output });
}
