//! The type of each op's result, by the types of its inputs and what the file states. Constants' contents are `check`'s business.

use super::ops::{Binary, Op};
use super::view::Value;
use super::walk::TensorType;
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::infer::{self, ShapeError};
use crate::shape::Shape;
use penjing_quant::QuantParams;

/// Element type and quantization.
type Elements = (DataType, Option<QuantParams>);

const INTEGERS: &str = "i8 or u8";
const REALS_OR_I8: &str = "f32 or i8";

/// Types of the values that a node reads.
pub(super) struct Inputs<I> {
    pub(super) first: TensorType,
    pub(super) rest: I,
}

/// The type of an op's result; what the file states of it must agree.
pub(super) fn infer_output<I>(
    op: &Op<'_>,
    inputs: Inputs<I>,
    stated: Value<'_>,
    owner: Owner,
) -> Result<TensorType, Error>
where
    I: Iterator<Item = Result<TensorType, Error>> + Clone,
{
    let (dtype, quantization) = elements(op, &inputs, stated, owner)?;
    let shape = shape(op, &inputs)
        .map_err(|source| Error::Shape { place: owner.field("shape"), source })?;
    if let Some(found) = stated.shape
        && found != shape
    {
        return Err(Error::ShapeMismatch { place: owner.field("shape"), expected: shape, found });
    }
    let output = TensorType { shape, dtype, quantization };
    agree(output, stated, owner)?;
    check_type(output, owner)?;
    Ok(output)
}

/// `elements` has seen that every input has a type.
fn shape<I>(op: &Op<'_>, inputs: &Inputs<I>) -> Result<Shape, ShapeError>
where
    I: Iterator<Item = Result<TensorType, Error>> + Clone,
{
    let input = inputs.first.shape;
    let mut rest = inputs.rest.clone().flatten().map(|ty| ty.shape);
    match op {
        Op::Conv2d(op) => {
            infer::conv2d(input, op.weights.shape, op.stride, op.dilation, op.padding)
        }
        Op::DepthwiseConv2d(op) => {
            infer::depthwise_conv2d(input, op.weights.shape, op.stride, op.dilation, op.padding)
        }
        Op::MaxPool2d(op) => infer::max_pool2d(input, op.window, op.stride, op.padding),
        Op::AveragePool2d(op) => infer::average_pool2d(input, op.window, op.stride, op.padding),
        Op::FullyConnected(op) => infer::fully_connected(input, op.weights.shape),
        Op::Reshape(op) => infer::reshape(input, op.target),
        Op::Mean => infer::mean(input),
        // Whether a constant's shape fits has been seen when it was read.
        Op::Add(_) | Op::Mul(_) => {
            rest.next().map_or(Ok(input), |second| infer::add_mul(input, second))
        }
        Op::Pad(op) => infer::pad(input, op.pads),
        Op::Concat(op) => infer::concat(op.axis, core::iter::once(input).chain(rest)),
        Op::Softmax => infer::softmax(input),
        Op::Relu(_) | Op::Logistic | Op::Tanh | Op::Quantize | Op::Dequantize => Ok(input),
    }
}

fn elements<I>(
    op: &Op<'_>,
    inputs: &Inputs<I>,
    stated: Value<'_>,
    owner: Owner,
) -> Result<Elements, Error>
where
    I: Iterator<Item = Result<TensorType, Error>> + Clone,
{
    let input = inputs.first;
    let handed_on = (input.dtype, input.quantization);
    let expect =
        |types: &[DataType], names| expect_type(input.dtype, types, names, owner, "inputs");
    match op {
        Op::MaxPool2d(_) | Op::Reshape(_) | Op::Pad(_) => Ok(handed_on),
        Op::AveragePool2d(_) => {
            expect(&[DataType::F32, DataType::I8], REALS_OR_I8)?;
            Ok(handed_on)
        }
        Op::Mean | Op::Relu(_) => {
            expect(&[DataType::F32, DataType::I8], REALS_OR_I8)?;
            let stated = stated.quantization.filter(|_| input.dtype != DataType::F32);
            Ok((input.dtype, stated.or(input.quantization)))
        }
        Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_) => {
            let weights = op.constants().map_or(DataType::F32, |(weights, _)| weights.dtype);
            let dynamic = input.dtype == DataType::F32 && !matches!(op, Op::DepthwiseConv2d(_));
            if weights == DataType::I8 && !dynamic {
                expect(&[DataType::I8, DataType::U8], INTEGERS)?;
                return stated_integers(stated, &[DataType::I8], "i8", owner);
            }
            expect(&[DataType::F32], "f32")?;
            Ok((DataType::F32, None))
        }
        Op::Add(op) | Op::Mul(op) => {
            let second = inputs.rest.clone().next().transpose()?;
            binary(op, input, second, owner)?;
            same_or_stated(input, stated, owner)
        }
        Op::Concat(_) => {
            for other in inputs.rest.clone() {
                let other = other?;
                if (other.dtype, other.quantization) != handed_on {
                    let expected = "one type and quantization of all inputs";
                    return Err(Error::Quantization { place: owner.field("inputs"), expected });
                }
            }
            Ok(handed_on)
        }
        Op::Softmax | Op::Logistic | Op::Tanh => {
            expect(&[DataType::F32, DataType::I8], REALS_OR_I8)?;
            same_or_stated(input, stated, owner)
        }
        Op::Quantize => stated_integers(stated, &[DataType::I8, DataType::U8], INTEGERS, owner),
        Op::Dequantize => {
            expect(&[DataType::I8, DataType::U8], INTEGERS)?;
            Ok((DataType::F32, None))
        }
    }
}

/// Both operands f32 or both i8.
fn binary(
    op: &Binary<'_>,
    input: TensorType,
    second: Option<TensorType>,
    owner: Owner,
) -> Result<(), Error> {
    let types = [DataType::F32, DataType::I8];
    expect_type(input.dtype, &types, REALS_OR_I8, owner, "inputs")?;
    let names = if input.dtype == DataType::F32 { "f32" } else { "i8" };
    if let Some(second) = second {
        expect_type(second.dtype, &[input.dtype], names, owner, "inputs")?;
    }
    op.operand.map_or(Ok(()), |operand| {
        expect_type(operand.dtype, &[input.dtype], names, owner, "weights")
    })
}

/// F32 of f32, integers of the stated quantization of integers.
fn same_or_stated(input: TensorType, stated: Value<'_>, owner: Owner) -> Result<Elements, Error> {
    match input.dtype {
        DataType::F32 => Ok((DataType::F32, None)),
        _ => stated_integers(stated, &[DataType::I8], "i8", owner),
    }
}

fn expect_type(
    found: DataType,
    expected: &[DataType],
    names: &'static str,
    owner: Owner,
    field: &'static str,
) -> Result<(), Error> {
    if expected.contains(&found) {
        return Ok(());
    }
    Err(Error::ElementType { place: owner.field(field), expected: names, found })
}

/// Type and quantization of a result that cannot be inferred.
fn stated_integers(
    stated: Value<'_>,
    expected: &[DataType],
    names: &'static str,
    owner: Owner,
) -> Result<Elements, Error> {
    let dtype = stated.dtype.unwrap_or(DataType::I8);
    expect_type(dtype, expected, names, owner, "dtype")?;
    let missing = Error::Missing { place: owner.field("scale") };
    let quantization = stated.quantization.ok_or(missing)?;
    Ok((dtype, Some(quantization)))
}

/// Whether what is stated of a result is what was inferred. A value whose shape is stated may be read on its own, by nodes other
/// than the next: it must state all.
fn agree(output: TensorType, stated: Value<'_>, owner: Owner) -> Result<(), Error> {
    let whole = stated.shape.map(|_| stated.complete());
    let whole = whole.transpose().map_err(|field| Error::Missing { place: owner.field(field) })?;
    if let Some(found) = stated.dtype.or(whole.map(|whole| whole.dtype))
        && found != output.dtype
    {
        let expected = match output.dtype {
            DataType::F32 => "f32",
            DataType::I8 => "i8",
            DataType::U8 => "u8",
            DataType::I16 => "i16",
            DataType::I32 => "i32",
        };
        return Err(Error::ElementType { place: owner.field("dtype"), expected, found });
    }
    if stated.quantization.is_some() && stated.quantization != output.quantization {
        let expected = match output.dtype {
            DataType::F32 => "none, since the value is f32",
            _ => "that of the input, which this op hands on",
        };
        return Err(Error::Quantization { place: owner.field("scale"), expected });
    }
    Ok(())
}

/// Whether an activation may be of this type.
pub(super) fn check_type(ty: TensorType, owner: Owner) -> Result<(), Error> {
    let activations = [DataType::F32, DataType::I8, DataType::U8];
    expect_type(ty.dtype, &activations, "f32, i8 or u8", owner, "dtype")?;
    match (ty.dtype.integer_range(), ty.quantization) {
        (None, Some(_)) => Err(Error::Quantization {
            place: owner.field("scale"),
            expected: "none, since the value is f32",
        }),
        (Some(range), Some(params)) if !params.is_valid(range.0, range.1) => {
            Err(Error::ZeroPoint {
                place: owner.field("zero_point"),
                expected: range,
                found: params.zero_point,
            })
        }
        _ => Ok(()),
    }
}
