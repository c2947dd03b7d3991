//! Inference of every value's type, one node at a time, with the memory of one value. The check and the runtime's planner
//! both walk, so that neither can read a file otherwise than the other. Constants' contents are `check`'s business.

use super::ops::Op;
use super::view::{ModelView, Node, Value};
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::infer;
use crate::shape::Shape;
use penjing_quant::QuantParams;

/// What a value is, everything inferred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorType {
    /// Dimensions, the batch written 1.
    pub shape: Shape,
    /// The elements' type: `F32`, `I8` or `U8`.
    pub dtype: DataType,
    /// Scale and zero point of integers; none of f32.
    pub quantization: Option<QuantParams>,
}

/// A value at a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operand {
    /// Its number.
    pub id: u16,
    /// What it is.
    pub ty: TensorType,
}

/// One node of a walk.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The node's index.
    pub index: usize,
    /// The node.
    pub node: Node<'a>,
    /// What it does.
    pub op: Op<'a>,
    /// The value that it reads.
    pub input: Operand,
    /// The value that it yields.
    pub output: Operand,
}

/// The nodes in order, each with its op and types. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    model: ModelView<'a>,
    next: usize,
    end: usize,
    /// The type of the value just before the next node's, once there was a node.
    last: Option<TensorType>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(model: ModelView<'a>) -> Self {
        Self { model, next: 0, end: model.n_nodes(), last: None }
    }

    fn step(&mut self, node: Node<'a>) -> Result<Step<'a>, Error> {
        let owner = node.owner();
        let mut inputs = node.inputs();
        let (Some(id), None) = (inputs.next(), inputs.next()) else {
            let found = node.inputs().len();
            return Err(Error::Count { place: owner.field("inputs"), expected: 1, found });
        };
        let input = Operand { id, ty: self.type_of(id, node.output(), owner)? };
        let op = node.op(input.ty.shape)?;
        let stated = node.try_value(owner)?;
        let output = Operand { id: node.output(), ty: infer_output(&op, input.ty, stated, owner)? };
        self.last = Some(output.ty);
        Ok(Step { index: node.index(), node, op, input, output })
    }

    /// The type of value `id` for a node that yields value `own`.
    fn type_of(&self, id: u16, own: u16, owner: Owner) -> Result<TensorType, Error> {
        let place = owner.field("inputs");
        if id >= own {
            let (limit, found) = (usize::from(own), usize::from(id));
            return Err(Error::ValueId { place, limit, found });
        }
        match self.last {
            Some(last) if id.checked_add(1) == Some(own) => Ok(last),
            _ => self.model.require_type(id, place),
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Step<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let node = self.model.node(self.next)?;
        self.next = self.next.saturating_add(1);
        let step = self.step(node);
        if step.is_err() {
            self.end = 0;
        }
        Some(step)
    }
}

impl ModelView<'_> {
    /// The type of value `id` if the file states all of it, as it must of graph inputs and of every output but the last value.
    #[must_use]
    pub fn stated_type(&self, id: u16) -> Option<TensorType> {
        self.require_type(id, Owner::Model.field("outputs")).ok()
    }

    /// The type of value `id` by what the file states alone, which must be all of it.
    pub(super) fn require_type(
        &self,
        id: u16,
        place: crate::error::Place,
    ) -> Result<TensorType, Error> {
        let id = usize::from(id);
        let Some(node) = id.checked_sub(self.n_inputs()) else { return self.input_type(id) };
        let out_of_range = Error::ValueId { place, limit: self.n_values(), found: id };
        let node = self.node(node).ok_or(out_of_range)?;
        let value = node.try_value(node.owner())?;
        value.complete().map_err(|field| Error::NotStated { place, value: id, field })
    }
}

/// The type of an op's result; what the file states of it must agree.
fn infer_output(
    op: &Op<'_>,
    input: TensorType,
    stated: Value<'_>,
    owner: Owner,
) -> Result<TensorType, Error> {
    let shape = output_shape(op, input.shape)
        .map_err(|source| Error::Shape { place: owner.field("shape"), source })?;
    if let Some(found) = stated.shape
        && found != shape
    {
        return Err(Error::ShapeMismatch { place: owner.field("shape"), expected: shape, found });
    }
    let integers = "i8 or u8";
    let (dtype, quantization) = match op {
        Op::MaxPool2d(_) | Op::Reshape(_) => (input.dtype, input.quantization),
        Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_) => {
            let weights = op.constants().map_or(DataType::F32, |(weights, _)| weights.dtype);
            match weights {
                DataType::I8 => {
                    expect_type(
                        input.dtype,
                        &[DataType::I8, DataType::U8],
                        integers,
                        owner,
                        "inputs",
                    )?;
                    stated_integers(stated, &[DataType::I8], "i8", owner)?
                }
                _ => {
                    expect_type(input.dtype, &[DataType::F32], "f32", owner, "inputs")?;
                    (DataType::F32, None)
                }
            }
        }
        Op::Quantize => {
            expect_type(input.dtype, &[DataType::F32], "f32", owner, "inputs")?;
            stated_integers(stated, &[DataType::I8, DataType::U8], integers, owner)?
        }
        Op::Dequantize => {
            expect_type(input.dtype, &[DataType::I8, DataType::U8], integers, owner, "inputs")?;
            (DataType::F32, None)
        }
    };
    let output = TensorType { shape, dtype, quantization };
    agree(output, stated, owner)?;
    check_type(output, owner)?;
    Ok(output)
}

fn output_shape(op: &Op<'_>, input: Shape) -> Result<Shape, infer::ShapeError> {
    match op {
        Op::Conv2d(op) => {
            infer::conv2d(input, op.weights.shape, op.stride, op.dilation, op.padding)
        }
        Op::DepthwiseConv2d(op) => {
            infer::depthwise_conv2d(input, op.weights.shape, op.stride, op.dilation, op.padding)
        }
        Op::MaxPool2d(op) => infer::max_pool2d(input, op.window, op.stride, op.padding),
        Op::FullyConnected(op) => infer::fully_connected(input, op.weights.shape),
        Op::Reshape(op) => infer::reshape(input, op.target),
        Op::Quantize | Op::Dequantize => Ok(input),
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
) -> Result<(DataType, Option<QuantParams>), Error> {
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
