//! A walk over the nodes that infers every value's type, with the memory of one value. The check and the runtime's planner both
//! walk, so that neither can read a file otherwise than the other. What follows from a node's inputs is `types`'s business.

use super::ops::Op;
use super::types::{Inputs, infer_output};
use super::view::{ModelView, Node};
use crate::dtype::DataType;
use crate::error::{Error, Owner, Place};
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
    /// The value that it reads, or the first of them.
    pub input: Operand,
    /// The second value of an `Add` or a `Mul` of two.
    pub second: Option<Operand>,
    /// The value that it yields.
    pub output: Operand,
    types: Types<'a>,
}

impl<'a> Step<'a> {
    /// All values that it reads, in order: those of a `Concat` may be many.
    pub fn operands(&self) -> impl ExactSizeIterator<Item = Operand> + Clone + use<'a> {
        let (types, own, first) = (self.types, self.output.id, self.input);
        let place = self.node.owner().field("inputs");
        // The walk has seen that each has a type.
        let operand = move |id| types.operand(id, own, place).unwrap_or(first);
        self.node.inputs().map(operand)
    }
}

/// What tells the types of a node's inputs.
#[derive(Clone, Copy, Debug)]
struct Types<'a> {
    model: ModelView<'a>,
    /// The type of the value just before the node's, once there was a node.
    last: Option<TensorType>,
}

impl Types<'_> {
    /// Value `id`, for a node that yields value `own`.
    fn operand(&self, id: u16, own: u16, place: Place) -> Result<Operand, Error> {
        if id >= own {
            let (limit, found) = (usize::from(own), usize::from(id));
            return Err(Error::ValueId { place, limit, found });
        }
        let ty = match self.last {
            Some(last) if id.checked_add(1) == Some(own) => last,
            _ => self.model.require_type(id, place)?,
        };
        Ok(Operand { id, ty })
    }
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
        let place = owner.field("inputs");
        let own = node.output();
        let types = Types { model: self.model, last: self.last };
        let mut inputs = node.inputs();
        let count = |expected| Error::Count { place, expected, found: node.inputs().len() };
        let first = types.operand(inputs.next().ok_or(count(1))?, own, place)?;
        let op = node.op(first.ty)?;
        let mut second = None;
        let expected = match &op {
            // Any number: the type of each is asked for below.
            Op::Concat(_) => inputs.len().saturating_add(1),
            Op::Add(op) | Op::Mul(op) if op.operand.is_none() => 2,
            _ => 1,
        };
        if node.inputs().len() != expected {
            return Err(count(expected));
        }
        if let (Op::Add(_) | Op::Mul(_), Some(id)) = (&op, inputs.clone().next()) {
            second = Some(types.operand(id, own, place)?);
        }
        let rest = inputs.map(|id| types.operand(id, own, place).map(|operand| operand.ty));
        let stated = node.try_value(owner)?;
        let ty = infer_output(&op, Inputs { first: first.ty, rest }, stated, owner)?;
        self.last = Some(ty);
        let output = Operand { id: own, ty };
        Ok(Step { index: node.index(), node, op, input: first, second, output, types })
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
    pub(super) fn require_type(&self, id: u16, place: Place) -> Result<TensorType, Error> {
        let id = usize::from(id);
        let Some(node) = id.checked_sub(self.n_inputs()) else { return self.input_type(id) };
        let out_of_range = Error::ValueId { place, limit: self.n_values(), found: id };
        let node = self.node(node).ok_or(out_of_range)?;
        let value = node.try_value(node.owner())?;
        value.complete().map_err(|field| Error::NotStated { place, value: id, field })
    }
}
