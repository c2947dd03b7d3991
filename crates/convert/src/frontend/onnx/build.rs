//! The state of an import: what each name of the ONNX graph stands for, and the graph as far as it is made. What an op
//! becomes is said in the files beside this one.

use std::collections::HashMap;
use std::rc::Rc;

use penjing_format::{DataType, QuantParams, Shape};

use super::layout::Layout;
use super::qdq::QuantizedTensor;
use super::source::{Node, Source, malformed};
use super::tensor::{Tensor, elements};
use crate::ImportError;
use crate::ir::{Graph, Node as IrNode, Op, Value, ValueId};

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Constant(Rc<Tensor>),
    /// A constant between its DequantizeLinear and its readers.
    Quantized(Rc<QuantizedTensor>),
    Value(Act),
}

/// A value that depends on the graph's inputs.
#[derive(Clone, Debug)]
pub(super) struct Act {
    /// In the graph that is made.
    pub(super) id: ValueId,
    /// In ONNX's order.
    pub(super) dims: Vec<usize>,
    pub(super) layout: Layout,
    pub(super) kind: Kind,
    /// Whether nothing reads the value but through this name, and only once.
    pub(super) exclusive: bool,
}

/// What ONNX has where the graph that is made has the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reals, on both sides.
    Real,
    /// The codes of the value.
    Codes(Codes),
    /// The reals that the codes of the value stand for.
    Dequantized(Codes),
}

/// How ONNX spells the codes of an 8-bit value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codes {
    I8,
    U8,
}

/// An import under way.
#[derive(Debug)]
pub(super) struct Builder<'s> {
    pub(super) source: &'s Source,
    pub(super) graph: Graph,
    slots: HashMap<&'s str, Slot>,
    /// Nodes that a node before them has taken up.
    pub(super) done: Vec<bool>,
    /// F32 twins of integer values, made once.
    dequantized: HashMap<ValueId, ValueId>,
    /// Elements that constants may still take: a file may name one constant many times, and none may blow up.
    budget: usize,
}

/// How many elements constants may take beyond four times the bytes of the file.
const BUDGET: usize = 1 << 24;

impl<'s> Builder<'s> {
    pub(super) fn new(source: &'s Source, name: &str, file_len: usize) -> Self {
        let graph = Graph {
            name: name.to_owned(),
            inputs: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
            pixels: false,
        };
        let constants = source.constants.iter();
        Self {
            source,
            graph,
            slots: constants.map(|(n, t)| (n.as_str(), Slot::Constant(t.clone()))).collect(),
            done: vec![false; source.nodes.len()],
            dequantized: HashMap::new(),
            budget: BUDGET + 4 * file_len,
        }
    }

    /// Takes elements out of the budget.
    pub(super) fn spend(&mut self, node: &Node, elements: usize) -> Result<(), ImportError> {
        let left = self.budget.checked_sub(elements);
        self.budget = left.ok_or_else(|| {
            node.wrong(
                "constants",
                format!("at most {} more elements", self.budget),
                elements.to_string(),
            )
        })?;
        Ok(())
    }

    pub(super) fn set(&mut self, name: &'s str, slot: Slot) {
        self.slots.insert(name, slot);
    }

    pub(super) fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.get(name)
    }

    /// What input `k` of the node stands for; `None` where it is left out.
    pub(super) fn optional(&self, node: &Node, k: usize) -> Result<Option<Slot>, ImportError> {
        let Some(name) = node.input(k) else { return Ok(None) };
        match self.slots.get(name) {
            Some(slot) => Ok(Some(slot.clone())),
            // an output of a node that has none of that number, such as the mask of a dropout
            None => Err(node.wrong(format!("input {k}"), "a value that Penjing computes", name)),
        }
    }

    pub(super) fn operand(&self, node: &Node, k: usize) -> Result<Slot, ImportError> {
        self.optional(node, k)?.ok_or_else(|| node.wrong(format!("input {k}"), "a value", "none"))
    }

    /// Input `k`, which must depend on the graph's inputs.
    pub(super) fn act(&self, node: &Node, k: usize) -> Result<Act, ImportError> {
        match self.operand(node, k)? {
            Slot::Value(act) => Ok(act),
            _ => Err(node.wrong(format!("input {k}"), "a value", "a constant")),
        }
    }

    /// Input `k`, which must be a constant that nothing quantizes.
    pub(super) fn constant(&self, node: &Node, k: usize) -> Result<Rc<Tensor>, ImportError> {
        let wrong = |found: &str| node.wrong(format!("input {k}"), "a constant", found);
        match self.optional(node, k)? {
            Some(Slot::Constant(tensor)) => Ok(tensor),
            Some(Slot::Quantized(_)) => Err(wrong("a quantized constant")),
            Some(Slot::Value(_)) => Err(wrong("a value that depends on the graph's inputs")),
            None => Err(wrong("none")),
        }
    }

    /// As [`Self::constant`], for an input that may be left out.
    pub(super) fn optional_constant(
        &self,
        node: &Node,
        k: usize,
    ) -> Result<Option<Rc<Tensor>>, ImportError> {
        node.input(k).map(|_| self.constant(node, k)).transpose()
    }

    /// Input `k` as a list of integers.
    pub(super) fn integers(&self, node: &Node, k: usize) -> Result<Option<Vec<i64>>, ImportError> {
        let Some(tensor) = self.optional_constant(node, k)? else { return Ok(None) };
        let integers = tensor.integers();
        let wrong = || node.wrong(format!("input {k}"), "integers", "another element type");
        integers.map(Some).ok_or_else(wrong)
    }

    /// The value as f32 reals: where ONNX dequantizes without an op that takes the integers, so does the graph.
    pub(super) fn real_of(&mut self, node: &Node, act: Act) -> Result<Act, ImportError> {
        match act.kind {
            Kind::Real => Ok(act),
            Kind::Codes(_) => Err(node.wrong("input", "f32 reals", "8-bit codes")),
            Kind::Dequantized(_) => {
                let id = match self.dequantized.get(&act.id) {
                    Some(&id) => id,
                    None => {
                        let shape = self.value(act.id).shape;
                        let output =
                            Value { name: None, shape, dtype: DataType::F32, quantization: None };
                        let id = self.push_value(node, Op::Dequantize, vec![act.id], output);
                        self.dequantized.insert(act.id, id);
                        id
                    }
                };
                Ok(Act { id, kind: Kind::Real, ..act })
            }
        }
    }

    pub(super) fn value(&self, id: ValueId) -> &Value {
        self.graph.value(id)
    }

    /// Appends a node whose value has the type and grid of its first input.
    pub(super) fn push(
        &mut self,
        node: &Node,
        op: Op,
        inputs: Vec<ValueId>,
        dims: &[usize],
    ) -> Result<ValueId, ImportError> {
        let Value { dtype, quantization, .. } = *self.value(inputs[0]);
        self.push_as(node, op, inputs, dims, dtype, quantization)
    }

    /// Appends a node.
    pub(super) fn push_as(
        &mut self,
        node: &Node,
        op: Op,
        inputs: Vec<ValueId>,
        dims: &[usize],
        dtype: DataType,
        quantization: Option<QuantParams>,
    ) -> Result<ValueId, ImportError> {
        let output = Value { name: None, shape: shape(node, dims)?, dtype, quantization };
        Ok(self.push_value(node, op, inputs, output))
    }

    pub(super) fn push_value(
        &mut self,
        node: &Node,
        op: Op,
        inputs: Vec<ValueId>,
        output: Value,
    ) -> ValueId {
        self.graph.nodes.push(IrNode { name: node.name.clone(), op, inputs, output });
        self.graph.inputs.len() + self.graph.nodes.len() - 1
    }

    /// The value with these dimensions in memory: itself, or a reshape of it.
    pub(super) fn stored_as(
        &mut self,
        node: &Node,
        id: ValueId,
        dims: &[usize],
    ) -> Result<ValueId, ImportError> {
        let found = self.value(id).shape;
        if found.dims().iter().map(|&d| d as usize).eq(dims.iter().copied()) {
            return Ok(id);
        }
        self.push(node, Op::Reshape, vec![id], dims)
    }

    /// The node whose value it is, where nothing but `act` reads that value: an op after it may be taken into it.
    pub(super) fn producer(&mut self, act: &Act) -> Option<&mut IrNode> {
        let node = act.id.checked_sub(self.graph.inputs.len()).filter(|_| act.exclusive)?;
        self.graph.nodes.get_mut(node)
    }

    /// Names the node's output.
    pub(super) fn bind(&mut self, node: &'s Node, act: Act) {
        if let Some(name) = node.outputs.first().filter(|name| !name.is_empty()) {
            let exclusive = self.source.is_inner(name);
            self.slots.insert(name, Slot::Value(Act { exclusive, ..act }));
        }
    }

    /// Names the node's output, which is its input's value under other dimensions.
    pub(super) fn bind_alias(&mut self, node: &'s Node, input: &Act, act: Act) {
        if let Some(name) = node.outputs.first().filter(|name| !name.is_empty()) {
            let exclusive = self.source.is_inner(name) && input.exclusive && act.id == input.id;
            self.slots.insert(name, Slot::Value(Act { exclusive, ..act }));
        }
    }

    /// Names the node's output, which is known before any input is.
    pub(super) fn bind_constant(&mut self, node: &'s Node, tensor: Tensor) {
        if let Some(name) = node.outputs.first() {
            self.slots.insert(name, Slot::Constant(Rc::new(tensor)));
        }
    }

    /// What the graph yields, in ONNX's order of the outputs.
    pub(super) fn finish(mut self) -> Result<Graph, ImportError> {
        let source = self.source;
        for name in &source.outputs {
            let place = format!("graph output {name:?}");
            let Some(Slot::Value(act)) = self.slots.get(name.as_str()).cloned() else {
                return Err(malformed(place, "a value that depends on the inputs", "a constant"));
            };
            let id = self.yielded(&place, name, act)?;
            self.graph.outputs.push(id);
        }
        Ok(self.graph)
    }

    fn yielded(&mut self, place: &str, name: &str, act: Act) -> Result<ValueId, ImportError> {
        let order = if act.layout.is_channels_last(&act.dims) {
            Layout::channels_last(&act.dims)
        } else if act.layout.is_row_major() {
            Layout::row_major(&act.dims)
        } else {
            let found = format!("{:?} with {:?} in memory", act.dims, act.layout.stored());
            return Err(malformed(place, "elements in ONNX's order, or channels last", found));
        };
        let node = Node::output(name);
        let act = self.output_of(&node, act)?;
        let mut id = self.stored_as(&node, act.id, &order.stored())?;
        if id < self.graph.inputs.len() || self.value(id).name.is_some() {
            id = self.push(&node, Op::Reshape, vec![id], &order.stored())?;
        }
        self.graph.nodes[id - self.graph.inputs.len()].output.name = Some(name.to_owned());
        Ok(id)
    }

    fn output_of(&mut self, node: &Node, act: Act) -> Result<Act, ImportError> {
        match act.kind {
            Kind::Codes(_) => Ok(act),
            _ => self.real_of(node, act),
        }
    }
}

/// Dimensions as the graph has them.
pub(super) fn shape(node: &Node, dims: &[usize]) -> Result<Shape, ImportError> {
    let narrow: Option<Vec<u32>> = dims.iter().map(|&d| u32::try_from(d).ok()).collect();
    let shape = narrow.and_then(|dims| Shape::new(&dims)).filter(|_| elements(dims).is_some());
    shape.ok_or_else(|| {
        let expected = format!("at most {} dimensions, 2^32 elements", penjing_format::MAX_RANK);
        node.wrong("output shape", expected, format!("{dims:?}"))
    })
}
