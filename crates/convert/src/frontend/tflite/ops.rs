//! Which operators there are, and who lowers each.

use super::file::Operator;
use super::generated::BuiltinOperator as Code;
use super::import::{Import, Slot, output};
use super::{elementwise, layers, moves, shapes, window};
use crate::frontend::ImportError;

/// The list that errors name.
pub(super) const SUPPORTED: &str = "CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, MAX_POOL_2D, \
    AVERAGE_POOL_2D, MEAN, ADD, SUB, MUL, DIV, PAD, PADV2, CONCATENATION, RESHAPE, SQUEEZE, EXPAND_DIMS, \
    SOFTMAX, LOGISTIC, TANH, RELU, RELU6, RELU_N1_TO_1, QUANTIZE, DEQUANTIZE, DENSIFY, and of shapes \
    SHAPE, STRIDED_SLICE, PACK, GATHER, REDUCE_PROD, CAST";

/// Whether an operator is one of [`SUPPORTED`].
pub(super) fn is_supported(code: Code) -> bool {
    let name = code.variant_name().unwrap_or_default();
    SUPPORTED.split(", ").any(|part| part.trim_start_matches("and of shapes ") == name)
}

/// Adds an operator to the graph, or folds it away.
pub(super) fn lower(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    if let Some(ints) = shapes::fold(import, op)? {
        import.set(output(op)?, Slot::Ints(ints));
        return Ok(());
    }
    match op.code {
        Code::CONV_2D => layers::conv(import, op),
        Code::DEPTHWISE_CONV_2D => layers::depthwise(import, op),
        Code::FULLY_CONNECTED => layers::fully_connected(import, op),
        Code::MAX_POOL_2D | Code::AVERAGE_POOL_2D => window::pool(import, op),
        Code::ADD | Code::SUB | Code::MUL | Code::DIV => elementwise::binary(import, op),
        Code::MEAN => moves::mean(import, op),
        Code::PAD | Code::PADV2 => moves::pad(import, op),
        Code::CONCATENATION => moves::concat(import, op),
        Code::RESHAPE => moves::reshape(import, op),
        Code::SQUEEZE => moves::squeeze(import, op),
        Code::EXPAND_DIMS => moves::expand_dims(import, op),
        Code::DENSIFY => elementwise::densify(import, op),
        Code::DEQUANTIZE => elementwise::dequantize(import, op),
        Code::QUANTIZE => elementwise::quantize(import, op),
        Code::RELU | Code::RELU6 | Code::RELU_N1_TO_1 => elementwise::relu(import, op),
        Code::SOFTMAX | Code::LOGISTIC | Code::TANH => elementwise::function(import, op),
        _ => Err(op.refuse("input", "the shape of a value", "elements")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_name_is_an_op() {
        let supported = Code::ENUM_VALUES.iter().filter(|&&code| is_supported(code)).count();
        assert_eq!(supported, SUPPORTED.split(", ").count());
    }
}
