//! The promise of an int8 model: no layer computes in floating point. It changes nothing.

use penjing_format::DataType;

use crate::ConvertError;
use crate::ir::{Graph, Op, WeightData};

/// Checks that every layer is one of integers.
///
/// # Errors
/// Names the first layer that is not, and what it lacks.
pub(crate) fn require_integers(graph: &Graph) -> Result<(), ConvertError> {
    for node in &graph.nodes {
        let lacks = match (&node.op, node.op.layer()) {
            (_, Some((weights, _))) => match &weights.data {
                WeightData::F32(_, None) => "its weights have no quantization",
                WeightData::F32(..) if node.output.quantization.is_none() => {
                    "its output has no range"
                }
                WeightData::F32(..) => "its input is not quantized",
                WeightData::I8(..) if node.op.is_dynamic() => {
                    "it quantizes its input as it comes and yields f32"
                }
                WeightData::I8(..) => continue,
            },
            (Op::Dequantize, _) => "it yields f32",
            (op, _) if op.is_pass_through() && node.output.dtype == DataType::F32 => {
                "its input is not quantized"
            }
            (Op::Quantize, _) => continue,
            _ if node.output.dtype == DataType::F32 => "it has no range",
            _ => continue,
        };
        return Err(ConvertError::FloatLayer {
            layer: node.name.clone(),
            op: node.op.name(),
            lacks,
        });
    }
    Ok(())
}
