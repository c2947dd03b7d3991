//! Operators that take each element by itself: sums and products, activations, functions, changes of the grid.

use penjing_format::{Activation, DataType, Shape};

use super::constant::Constant;
use super::error::list;
use super::file::Operator;
use super::generated::BuiltinOperator as Code;
use super::import::{Import, Input, Slot, batched, output, too_large};
use super::quantized::{activation, same_type, value_type};
use crate::frontend::ImportError;
use crate::ir::{Binary, Op, Operand, Value, WeightData};

/// ADD, SUB, MUL and DIV, of two values or of one and a constant.
pub(super) fn binary(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    if op.inputs.len() != 2 {
        return Err(op.refuse("inputs", "2", op.inputs.len()));
    }
    let fused = match op.code {
        Code::ADD => {
            op.table.builtin_options_as_add_options().map(|o| o.fused_activation_function())
        }
        Code::SUB => {
            op.table.builtin_options_as_sub_options().map(|o| o.fused_activation_function())
        }
        Code::MUL => {
            op.table.builtin_options_as_mul_options().map(|o| o.fused_activation_function())
        }
        _ => op.table.builtin_options_as_div_options().map(|o| o.fused_activation_function()),
    };
    let activation = activation(op, fused.unwrap_or_default())?;
    let constants = [import.constant(op, 0)?, import.constant(op, 1)?];
    match constants {
        [Some(_), Some(_)] => Err(op.refuse("inputs", "a computed value", "two constants")),
        [None, None] => two_values(import, op, activation),
        [first, second] => {
            let first_is_constant = first.is_some();
            let Some(constant) = first.or(second) else { return Ok(()) };
            let input = import.value(op, usize::from(first_is_constant))?;
            let (operand, dims) = operand(import, op, &input, &constant)?;
            with_constant(import, op, (input, dims), (operand, first_is_constant), activation)
        }
    }
}

fn two_values(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
    activation: Activation,
) -> Result<(), ImportError> {
    let (a, mut b) = (import.value(op, 0)?, import.value(op, 1)?);
    let (dtype, _) = import.output_type(op)?;
    same_type(op, a.dtype, dtype)?;
    same_type(op, b.dtype, dtype)?;
    let kind = match (op.code, dtype) {
        (Code::ADD, _) => Op::Add,
        (Code::MUL, _) => Op::Mul,
        (Code::SUB, DataType::F32) => {
            // a - b is a + b * -1, to the bit
            let minus = Operand { data: WeightData::F32(vec![-1.0], None), zero_point: 0 };
            let binary = Binary { operand: Some(minus), activation: Activation::None };
            let value =
                Value { name: None, shape: b.shape, dtype: DataType::F32, quantization: None };
            b.id = import.push(op, "negate", Op::Mul(binary), vec![b.id], value);
            Op::Add
        }
        _ => return Err(op.refuse("inputs", "a value and a constant", "two values")),
    };
    let dims = broadcast(&a.dims, &b.dims)
        .ok_or_else(|| op.refuse("inputs", list(&a.dims), list(&b.dims)))?;
    let inputs = aligned(import, op, &a, &b, &dims)?;
    import.finish(op, kind(Binary { operand: None, activation }), inputs, dims)
}

/// Both values with as many dimensions: the shorter one gets some of 1 behind the batch.
fn aligned(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
    a: &Input,
    b: &Input,
    dims: &[u32],
) -> Result<Vec<usize>, ImportError> {
    let wanted = batched(dims).ok_or_else(|| too_large(op, dims))?;
    let mut ids = Vec::new();
    for input in [a, b] {
        let own = input.shape.dims().get(1..).unwrap_or_default();
        let ones = (wanted.rank() - 1).checked_sub(own.len());
        let shape = ones.and_then(|ones| {
            let ones = std::iter::repeat_n(1, ones + 1);
            Shape::from_dims(ones.chain(own.iter().copied()))
        });
        let fits = |shape: &Shape| {
            shape.dims().iter().zip(wanted.dims()).all(|(&own, &all)| own == all || own == 1)
        };
        let shape = shape.filter(fits);
        let shape = shape.ok_or_else(|| op.refuse("inputs", list(dims), list(&input.dims)))?;
        ids.push(import.reshaped(op, "align", input, shape));
    }
    Ok(ids)
}

/// Dimensions of two tensors together, by the last ones; `None` where they do not fit.
fn broadcast(a: &[u32], b: &[u32]) -> Option<Vec<u32>> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[u32], k: usize| (k + dims.len()).checked_sub(rank).map_or(1, |k| dims[k]);
    let both = (0..rank).map(|k| match (dim(a, k), dim(b, k)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    });
    both.collect()
}

/// A constant as a model file has it, and the dimensions of the result.
fn operand(
    import: &Import<'_, '_>,
    op: &Operator<'_>,
    input: &Input,
    constant: &Constant<'_>,
) -> Result<(Operand, Vec<u32>), ImportError> {
    let dims = broadcast(&input.dims, &constant.dims).filter(|dims| {
        // leading dimensions of 1 are no more elements
        dims.ends_with(&input.dims) && dims.iter().rev().skip(input.dims.len()).all(|&d| d == 1)
    });
    let dims = dims.ok_or_else(|| {
        let expected = format!("a constant that fits {}", list(&input.dims));
        op.refuse("constant", expected, list(&constant.dims))
    })?;
    let last = input.dims.last().copied().unwrap_or(1) as usize;
    let own = constant.dims.iter().rev().skip(1).all(|&dim| dim == 1);
    let places = if constant.len() == 1 || own && constant.len() == last {
        None
    } else {
        import.spend(dims.iter().map(|&dim| dim as usize).product())?;
        Some(places(&dims, &constant.dims))
    };
    fn spread<T: Copy>(data: Vec<T>, places: Option<Vec<usize>>) -> Vec<T> {
        places.map_or(data.clone(), |places| places.into_iter().map(|k| data[k]).collect())
    }
    let (data, zero_point) = match input.dtype {
        DataType::F32 => (WeightData::F32(spread(constant.f32s(op, "constant")?, places), None), 0),
        DataType::I8 => {
            let codes = constant.i8s(op, "constant")?;
            let (_, grid) = value_type(import.file, constant.tensor)?;
            let grid = grid.ok_or_else(|| op.refuse("constant", "one scale", "none"))?;
            (WeightData::I8(spread(codes, places), vec![grid.scale]), grid.zero_point)
        }
        other => return Err(op.refuse("input", "float32 or int8", other)),
    };
    Ok((Operand { data, zero_point }, dims))
}

/// For each element of `dims`, which of the constant's it meets.
fn places(dims: &[u32], constant: &[u32]) -> Vec<usize> {
    let mut places = vec![0];
    let mut stride = 1;
    // from the last dimension on, each repeats what is inside
    let own = constant.iter().rev().copied().chain(std::iter::repeat(1));
    for (&dim, own) in dims.iter().rev().zip(own) {
        let step = if own == 1 { 0 } else { stride };
        let outer = (0..dim as usize).flat_map(|k| places.iter().map(move |&p| p + k * step));
        places = outer.collect();
        stride *= own as usize;
    }
    places
}

/// A value and a constant; `first` says that the constant is the first operand.
fn with_constant(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
    (input, dims): (Input, Vec<u32>),
    (mut operand, first): (Operand, bool),
    activation: Activation,
) -> Result<(), ImportError> {
    let (dtype, _) = import.output_type(op)?;
    same_type(op, input.dtype, dtype)?;
    let mut id = input.id;
    let kind = match op.code {
        Code::ADD => Op::Add,
        Code::MUL => Op::Mul,
        Code::SUB if !first => {
            negate(&mut operand);
            Op::Add
        }
        Code::SUB if dtype == DataType::F32 => {
            // c - x is x * -1 + c, to the bit
            let minus = Operand { data: WeightData::F32(vec![-1.0], None), zero_point: 0 };
            let binary = Binary { operand: Some(minus), activation: Activation::None };
            let value = Value { name: None, shape: input.shape, dtype, quantization: None };
            id = import.push(op, "negate", Op::Mul(binary), vec![id], value);
            Op::Add
        }
        Code::DIV if !first && dtype == DataType::F32 => {
            invert(op, &mut operand)?;
            Op::Mul
        }
        _ => {
            let found = format!("{dtype}, the constant {}", if first { "first" } else { "second" });
            return Err(op.refuse("inputs", "float32, the constant second", found));
        }
    };
    let binary = Binary { operand: Some(operand), activation };
    import.finish(op, kind(binary), vec![id], dims)
}

/// The constant times -1, exactly: of integers, code and zero point are mirrored at -1/2, so that every code has a mirror.
fn negate(operand: &mut Operand) {
    match &mut operand.data {
        WeightData::F32(data, _) => data.iter_mut().for_each(|x| *x = 0.0 - *x),
        WeightData::I8(codes, _) => {
            codes.iter_mut().for_each(|code| *code = !*code);
            operand.zero_point = !operand.zero_point;
        }
    }
}

/// 1 / the constant.
fn invert(op: &Operator<'_>, operand: &mut Operand) -> Result<(), ImportError> {
    let WeightData::F32(data, _) = &mut operand.data else { return Ok(()) };
    for x in data {
        let inverse = 1.0 / *x;
        if !inverse.is_finite() {
            return Err(op.refuse("constant", "a divisor with a finite inverse", *x));
        }
        *x = inverse + 0.0;
    }
    Ok(())
}

/// RELU, RELU6, RELU_N1_TO_1 by themselves. The result may have another grid.
pub(super) fn relu(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let (dtype, _) = import.output_type(op)?;
    same_type(op, input.dtype, dtype)?;
    let code = match op.code {
        Code::RELU => 1,
        Code::RELU6 => 2,
        _ => 3,
    };
    let activation = Activation::from_code(code);
    let activation = activation.ok_or_else(|| op.refuse("activation", "RELU", op.op))?;
    import.finish(op, Op::Relu(activation), vec![input.id], input.dims)
}

/// SOFTMAX, LOGISTIC, TANH.
pub(super) fn function(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let (dtype, _) = import.output_type(op)?;
    same_type(op, input.dtype, dtype)?;
    let kind = match op.code {
        Code::LOGISTIC => Op::Logistic,
        Code::TANH => Op::Tanh,
        _ => {
            let options = op.table.builtin_options_as_softmax_options();
            let beta = options.map_or(1.0, |options| options.beta());
            if beta != 1.0 {
                return Err(op.refuse("beta", "1", beta));
            }
            Op::Softmax
        }
    };
    import.finish(op, kind, vec![input.id], input.dims)
}

/// QUANTIZE to int8 or uint8.
pub(super) fn quantize(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let (dtype, _) = import.output_type(op)?;
    if dtype == DataType::F32 {
        return Err(op.refuse("output", "int8 or uint8", dtype));
    }
    import.finish(op, Op::Quantize, vec![input.id], input.dims)
}

/// DEQUANTIZE: of a constant, folded.
pub(super) fn dequantize(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
) -> Result<(), ImportError> {
    let folded = import.constant(op, 0)?.map(|constant| constant.dequantize(op)).transpose()?;
    if let Some(constant) = folded {
        import.set(output(op)?, Slot::Constant(constant));
        return Ok(());
    }
    let input = import.value(op, 0)?;
    let (dtype, _) = import.output_type(op)?;
    if input.dtype == DataType::F32 || dtype != DataType::F32 {
        let found = format!("{} to {dtype}", input.dtype);
        return Err(op.refuse("types", "integers to float32", found));
    }
    import.finish(op, Op::Dequantize, vec![input.id], input.dims)
}

/// DENSIFY: constants are dense once they are read.
pub(super) fn densify(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let tensor = import.operand(op, 0);
    let stored = tensor.filter(|&tensor| matches!(import.slot(tensor), Slot::Unset));
    let constant = stored.map(|tensor| Constant::read(import.file, tensor)).transpose()?.flatten();
    let constant = constant.ok_or_else(|| op.refuse("input", "a stored constant", "another"))?;
    import.spend(constant.len())?;
    import.set(output(op)?, Slot::Constant(constant));
    Ok(())
}
