//! What the file says of types and grids, held against what a Penjing model has: f32, or int8 with one scale and zero point a
//! value; weights of one scale, or of one an output channel, around 0, which may stand beside f32 inputs too.

use penjing_format::{ChannelAxis, DataType, QuantParams};

use super::constant::{Constant, type_name};
use super::error::list;
use super::file::{File, Operator};
use super::generated::{ActivationFunctionType, TensorType};
use super::import::{Import, Input};
use crate::frontend::ImportError;
use crate::ir::{Bias, WeightData, Weights};
use penjing_format::Activation;

/// Type and grid of a value.
pub(super) fn value_type(
    file: &File<'_>,
    tensor: usize,
) -> Result<(DataType, Option<QuantParams>), ImportError> {
    let table = file.tensor(tensor);
    let wrong = |field, expected: String, found: String| ImportError::Tensor {
        tensor,
        name: file.name(tensor),
        field,
        expected,
        found,
    };
    let dtype = match table.type_() {
        TensorType::FLOAT32 => return Ok((DataType::F32, None)),
        TensorType::INT8 => DataType::I8,
        TensorType::UINT8 => DataType::U8,
        other => {
            return Err(wrong("type", "float32, int8 or uint8".into(), type_name(other)));
        }
    };
    let quantization = table.quantization();
    let scales = quantization.and_then(|q| q.scale()).unwrap_or_default();
    let zero_points = quantization.and_then(|q| q.zero_point()).unwrap_or_default();
    let custom = quantization.is_some_and(|q| q.details_type() != 0);
    if custom || scales.len() != 1 || zero_points.len() > 1 {
        let found = format!("{} and {}", scales.len(), zero_points.len());
        let found = if custom { "a custom scheme".into() } else { found };
        return Err(wrong("quantization", "one scale and one zero point".into(), found));
    }
    let zero_point = zero_points.iter().next().unwrap_or(0);
    let scale = scales.get(0);
    let (min, max) = dtype.integer_range().unwrap_or_default();
    let grid = i32::try_from(zero_point).map(|zero_point| QuantParams { scale, zero_point });
    match grid {
        Ok(grid) if grid.is_valid(min, max) => Ok((dtype, Some(grid))),
        _ => {
            let expected = format!("a positive scale and a zero point in {min}..={max}");
            Err(wrong("quantization", expected, format!("scale {scale}, zero point {zero_point}")))
        }
    }
}

/// Weights of the input's type, of `dims` in the file; or of int8 beside reals, which the layer then quantizes as they come.
pub(super) fn weights(
    op: &Operator<'_>,
    input: &Input,
    constant: &Constant<'_>,
    axis: ChannelAxis,
) -> Result<Weights, ImportError> {
    let data = match (input.dtype, constant.dtype) {
        (DataType::F32, TensorType::INT8) if axis == ChannelAxis::Last => {
            let expected = "float32 beside a float32 input (dynamic-range quantization is read of CONV_2D and FULLY_CONNECTED)";
            return Err(op.refuse("weights", expected, "int8"));
        }
        (DataType::F32, TensorType::INT8) => {
            let codes = constant.i8s(op, "weights")?;
            WeightData::I8(codes, weight_scales(op, constant, axis)?)
        }
        (DataType::F32, _) => WeightData::F32(constant.f32s(op, "weights")?, None),
        (DataType::I8, _) => {
            let codes = constant.i8s(op, "weights")?;
            WeightData::I8(codes, weight_scales(op, constant, axis)?)
        }
        (other, _) => return Err(op.refuse("input", "float32 or int8", other)),
    };
    Ok(Weights { shape: constant.dims.clone(), axis, data })
}

/// One scale, or one an output channel; every zero point 0.
fn weight_scales(
    op: &Operator<'_>,
    constant: &Constant<'_>,
    axis: ChannelAxis,
) -> Result<Vec<f32>, ImportError> {
    let dim = match axis {
        ChannelAxis::First => 0,
        ChannelAxis::Last => constant.dims.len() - 1,
    };
    let (channels, stated) = (constant.dims[dim] as usize, constant.scales.len());
    if stated != 1 && stated != channels {
        return Err(op.refuse("weights.scale", format!("1 scale, or {channels}"), stated));
    }
    if stated > 1 && usize::try_from(constant.axis) != Ok(dim) {
        let expected = format!("{dim}, the output channels");
        return Err(op.refuse("weights.quantized_dimension", expected, constant.axis));
    }
    if let Some(found) = constant.zero_points.iter().find(|&zero_point| zero_point != 0) {
        return Err(op.refuse("weights.zero_point", "0 (symmetric weights)", found));
    }
    let scales: Vec<f32> = constant.scales.iter().collect();
    match scales.iter().find(|&&scale| !(scale.is_finite() && scale > 0.0)) {
        Some(found) => Err(op.refuse("weights.scale", "finite and positive", found)),
        None => Ok(scales),
    }
}

/// The bias of `channels` elements; zeros where it is left out.
pub(super) fn bias(
    import: &Import<'_, '_>,
    op: &Operator<'_>,
    dtype: DataType,
    channels: usize,
) -> Result<Bias, ImportError> {
    let zeros = || match dtype {
        DataType::F32 => Bias::F32(vec![0.0; channels]),
        _ => Bias::I32(vec![0; channels]),
    };
    if import.operand(op, 2).is_none() {
        return Ok(zeros());
    }
    let constant = import.required(op, 2, "bias")?;
    if constant.len() != channels {
        return Err(op.refuse("bias", format!("{channels} elements"), list(&constant.dims)));
    }
    match dtype {
        DataType::F32 => constant.f32s(op, "bias").map(Bias::F32),
        _ => constant.i32s(op, "bias").map(Bias::I32),
    }
}

/// A fused activation that a Penjing model has.
pub(super) fn activation(
    op: &Operator<'_>,
    fused: ActivationFunctionType,
) -> Result<Activation, ImportError> {
    let code = match fused {
        ActivationFunctionType::NONE => 0,
        ActivationFunctionType::RELU => 1,
        ActivationFunctionType::RELU6 => 2,
        ActivationFunctionType::RELU_N1_TO_1 => 3,
        _ => u8::MAX,
    };
    Activation::from_code(code).ok_or_else(|| {
        let found = fused.variant_name().map_or_else(|| fused.0.to_string(), str::to_owned);
        op.refuse("fused_activation_function", "NONE, RELU, RELU6 or RELU_N1_TO_1", found)
    })
}

/// A fused activation of an operator that moves or selects elements: uint8 has none.
pub(super) fn moved_activation(
    op: &Operator<'_>,
    dtype: DataType,
    fused: ActivationFunctionType,
) -> Result<Activation, ImportError> {
    let activation = activation(op, fused)?;
    if activation != Activation::None {
        same_type(op, dtype, dtype)?;
    }
    Ok(activation)
}

/// An operator that computes, in float32 or int8: of one type.
pub(super) fn same_type(
    op: &Operator<'_>,
    input: DataType,
    output: DataType,
) -> Result<(), ImportError> {
    if input == DataType::U8 {
        let expected = "float32 or int8 (uint8 is moved, quantized and dequantized alone)";
        return Err(op.refuse("input", expected, "uint8"));
    }
    if input == output {
        return Ok(());
    }
    Err(op.refuse("output", format!("the input's type, {input}"), output))
}

/// An operator that moves or selects elements, uint8 too: type and grid stay.
pub(super) fn same_grid(
    op: &Operator<'_>,
    input: (DataType, Option<QuantParams>),
    output: (DataType, Option<QuantParams>),
) -> Result<(), ImportError> {
    if input.0 != output.0 {
        return Err(op.refuse("output", format!("the input's type, {}", input.0), output.0));
    }
    if input.1 == output.1 {
        return Ok(());
    }
    let show = |grid: Option<QuantParams>| {
        grid.map_or_else(
            || "none".into(),
            |grid| format!("scale {}, zero point {}", grid.scale, grid.zero_point),
        )
    };
    Err(op.refuse("output quantization", format!("the input's, {}", show(input.1)), show(output.1)))
}
