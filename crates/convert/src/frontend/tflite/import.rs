//! The graph while it grows, and what each tensor of the file has become so far: a value, a constant that was folded, or the
//! integers of a shape. A tensor that is none of these and has data is a constant.

use std::borrow::Cow;
use std::cell::Cell;

use penjing_format::{DataType, QuantParams, Shape};

use super::constant::Constant;
use super::error::{clean, list, malformed};
use super::file::{File, Operator};
use super::ports;
use super::quantized::value_type;
use crate::frontend::ImportError;
use crate::ir::{Graph, Node, Op, Value, ValueId};

/// A graph that grows.
pub(super) struct Import<'a, 'f> {
    /// Where it all is.
    pub(super) file: &'f File<'a>,
    /// What there is so far.
    pub(super) graph: Graph,
    slots: Vec<Slot<'a>>,
    /// Elements of constants that may still be copied: a file may use one constant any number of times.
    budget: Cell<usize>,
}

/// What has become of a tensor.
pub(super) enum Slot<'a> {
    /// Nothing yet; a constant where it has data.
    Unset,
    /// A value of the graph.
    Value(Input),
    /// A constant that an operator made of another.
    Constant(Constant<'a>),
    /// A shape or a part of one.
    Ints(Ints),
}

/// Integers that shapes are computed with: a scalar or a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ints {
    /// Elements.
    pub(super) values: Vec<i64>,
    /// Whether it is no vector: one element.
    pub(super) scalar: bool,
}

/// A value as an operator sees it.
#[derive(Clone)]
pub(super) struct Input {
    /// Its number in the graph.
    pub(super) id: ValueId,
    /// Its dimensions in the file.
    pub(super) dims: Vec<u32>,
    /// Its dimensions in the graph.
    pub(super) shape: Shape,
    /// Type of its elements.
    pub(super) dtype: DataType,
    /// Grid of integers.
    pub(super) grid: Option<QuantParams>,
}

impl<'a, 'f> Import<'a, 'f> {
    /// A graph of inputs alone.
    pub(super) fn new(file: &'f File<'a>, name: &str) -> Result<Self, ImportError> {
        let mut slots = Vec::new();
        slots.resize_with(file.n_tensors(), || Slot::Unset);
        let graph = Graph {
            name: clean(name),
            inputs: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            pixels: false,
        };
        let budget = Cell::new(file.len.saturating_mul(16).saturating_add(1 << 20));
        let mut import = Self { file, graph, slots, budget };
        ports::inputs(&mut import)?;
        Ok(import)
    }

    /// Takes note of `elements` that are about to be copied.
    pub(super) fn spend(&self, elements: usize) -> Result<(), ImportError> {
        let left = self.budget.get().checked_sub(elements);
        let enough = || {
            let expected = "constants that are used a few times each";
            malformed("file", expected, "more elements of constants than its size allows")
        };
        self.budget.set(left.ok_or_else(enough)?);
        Ok(())
    }

    /// What has become of a tensor.
    pub(super) fn slot(&self, tensor: usize) -> &Slot<'a> {
        &self.slots[tensor]
    }

    /// Says what has become of a tensor.
    pub(super) fn set(&mut self, tensor: usize, slot: Slot<'a>) {
        self.slots[tensor] = slot;
    }

    /// The tensor of an operator's input; `None` where the optional one is left out.
    pub(super) fn operand(&self, op: &Operator<'_>, input: usize) -> Option<usize> {
        op.inputs.get(input).copied().flatten()
    }

    /// The value that an operator reads.
    pub(super) fn value(&self, op: &Operator<'_>, input: usize) -> Result<Input, ImportError> {
        let field = || format!("input {input}");
        let expected = "a computed value";
        let tensor = self.operand(op, input);
        let tensor = tensor.ok_or_else(|| op.refuse(field(), expected, "nothing"))?;
        match &self.slots[tensor] {
            Slot::Value(value) => Ok(value.clone()),
            Slot::Constant(_) => Err(op.refuse(field(), expected, "a constant")),
            Slot::Ints(_) => Err(op.refuse(field(), expected, "integers of a shape")),
            Slot::Unset if self.file.data(tensor)?.is_some() => {
                Err(op.refuse(field(), expected, "a constant"))
            }
            Slot::Unset => {
                let found = format!("tensor {tensor}, which nothing writes");
                Err(op.refuse(field(), expected, found))
            }
        }
    }

    /// The constant of an operator's input; `None` where it is left out or computed.
    pub(super) fn constant(
        &self,
        op: &Operator<'_>,
        input: usize,
    ) -> Result<Option<Constant<'_>>, ImportError> {
        let Some(tensor) = self.operand(op, input) else { return Ok(None) };
        let constant = match &self.slots[tensor] {
            Slot::Constant(constant) => Some(constant.borrow()),
            Slot::Unset => Constant::read(self.file, tensor)?,
            Slot::Value(_) | Slot::Ints(_) => None,
        };
        if let Some(constant) = &constant {
            self.spend(constant.len())?;
        }
        Ok(constant)
    }

    /// As [`Self::constant`], where there must be one.
    pub(super) fn required(
        &self,
        op: &Operator<'_>,
        input: usize,
        field: &str,
    ) -> Result<Constant<'_>, ImportError> {
        let constant = self.constant(op, input)?;
        constant.ok_or_else(|| op.refuse(field, "a constant", "a computed value or nothing"))
    }

    /// The integers of an operator's input: computed from shapes, or a constant of few elements.
    pub(super) fn ints(
        &self,
        op: &Operator<'_>,
        input: usize,
    ) -> Result<Option<Ints>, ImportError> {
        let Some(tensor) = self.operand(op, input) else { return Ok(None) };
        match &self.slots[tensor] {
            Slot::Ints(ints) => return Ok(Some(ints.clone())),
            Slot::Value(_) => return Ok(None),
            Slot::Constant(_) | Slot::Unset => {}
        }
        let Some(constant) = self.constant(op, input)? else { return Ok(None) };
        let scalar = constant.dims.is_empty();
        Ok(constant.ints().map(|values| Ints { values, scalar }))
    }

    /// Type and grid of an operator's one output.
    pub(super) fn output_type(
        &self,
        op: &Operator<'_>,
    ) -> Result<(DataType, Option<QuantParams>), ImportError> {
        value_type(self.file, output(op)?)
    }

    /// Adds a node, of which the file does not know. `part` says what it does for its operator.
    pub(super) fn push(
        &mut self,
        op: &Operator<'_>,
        part: &str,
        kind: Op,
        inputs: Vec<ValueId>,
        value: Value,
    ) -> ValueId {
        let name = if part.is_empty() { op.name.clone() } else { format!("{}/{part}", op.name) };
        self.graph.nodes.push(Node { name, op: kind, inputs, output: value });
        self.graph.inputs.len() + self.graph.nodes.len() - 1
    }

    /// Adds the node that yields an operator's output, of `dims` in the file.
    pub(super) fn finish(
        &mut self,
        op: &Operator<'_>,
        kind: Op,
        inputs: Vec<ValueId>,
        dims: Vec<u32>,
    ) -> Result<(), ImportError> {
        let (dtype, quantization) = self.output_type(op)?;
        let shape = batched(&dims).ok_or_else(|| too_large(op, &dims))?;
        self.check_stated(op, &dims)?;
        let value = Value { name: None, shape, dtype, quantization };
        let id = self.push(op, "", kind, inputs, value);
        let value = Input { id, dims, shape, dtype, grid: quantization };
        self.set(output(op)?, Slot::Value(value));
        Ok(())
    }

    /// Where the file states the whole shape of the output, it must be what follows from the inputs.
    fn check_stated(&self, op: &Operator<'_>, dims: &[u32]) -> Result<(), ImportError> {
        let table = self.file.tensor(output(op)?);
        let open = table.shape_signature().is_some_and(|dims| dims.iter().any(|dim| dim < 0));
        let stated = table.shape().unwrap_or_default();
        if open || stated.is_empty() {
            return Ok(());
        }
        let same = stated.len() == dims.len()
            && stated.iter().zip(dims).all(|(stated, &dim)| u32::try_from(stated) == Ok(dim));
        if same { Ok(()) } else { Err(op.refuse("output shape", list(dims), list(stated.iter()))) }
    }

    /// A value reshaped, if it has not that shape already.
    pub(super) fn reshaped(
        &mut self,
        op: &Operator<'_>,
        part: &str,
        input: &Input,
        shape: Shape,
    ) -> ValueId {
        if input.shape == shape {
            return input.id;
        }
        let value = Value { name: None, shape, dtype: input.dtype, quantization: input.grid };
        self.push(op, part, Op::Reshape, vec![input.id], value)
    }
}

/// The tensor that an operator of one output writes.
pub(super) fn output(op: &Operator<'_>) -> Result<usize, ImportError> {
    match op.outputs[..] {
        [output] => Ok(output),
        _ => Err(op.refuse("outputs", "1", op.outputs.len())),
    }
}

/// A shape of the file in the graph: with a batch of 1. `None` for too many dimensions or elements.
pub(super) fn batched(dims: &[u32]) -> Option<Shape> {
    let has_batch = dims.len() >= 2 && dims[0] == 1;
    let all: Cow<'_, [u32]> = if has_batch {
        dims.into()
    } else {
        std::iter::once(1).chain(dims.iter().copied()).collect()
    };
    Shape::new(&all).filter(|shape| shape.elements().is_some())
}

/// A value with too many dimensions or elements.
pub(super) fn too_large(op: &Operator<'_>, dims: &[u32]) -> ImportError {
    let expected =
        format!("{} dimensions at most, and 2^32 - 1 elements", penjing_format::MAX_RANK);
    op.refuse("output shape", expected, list(dims))
}
