//! Builds the quantized graph: grids on values, granularities on weights, and conversions where integers and reals meet or
//! two grids do.

use penjing_checkpoint::Granularity;
use penjing_format::DataType;
use penjing_quant::QuantParams;

use super::PtqOptions;
use super::grids::Plan;
use crate::InputDtype;
use crate::ir::{Graph, Node, Op, Value, ValueId, WeightData};

/// The quantized graph, and how it lies beside the f32 network.
#[derive(Clone, Debug)]
pub(super) struct Built {
    /// Reals with grids; conversions and inputs in the types that they have in the file.
    pub(super) graph: Graph,
    /// By node: the node of the f32 network that it is; conversions are none.
    pub(super) from: Vec<Option<usize>>,
}

struct Builder {
    built: Built,
    /// By value of the f32 network, where it is.
    place: Vec<ValueId>,
    /// Values converted once already: to integers of a grid, or to reals.
    converted: Vec<(ValueId, Option<QuantParams>, ValueId)>,
}

pub(super) fn build(
    reference: &Graph,
    plan: &Plan,
    grids: &[Option<QuantParams>],
    options: &PtqOptions,
) -> Built {
    let inputs = reference.inputs.iter().zip(grids).map(|(value, grid)| input(value, *grid, plan));
    let graph = Graph {
        inputs: inputs.collect(),
        nodes: Vec::with_capacity(reference.nodes.len()),
        outputs: Vec::new(),
        ..reference.clone()
    };
    let mut builder = Builder {
        built: Built { graph, from: Vec::new() },
        place: (0..reference.inputs.len()).collect(),
        converted: Vec::new(),
    };
    if plan.input == InputDtype::F32 {
        for (id, grid) in grids.iter().enumerate().take(reference.inputs.len()) {
            if let (true, Some(grid)) = (plan.is_integer(id), *grid) {
                builder.place[id] = builder.on_grid(id, grid);
            }
        }
    }
    for (k, node) in reference.nodes.iter().enumerate() {
        let id = reference.inputs.len() + k;
        let made = match grids[id] {
            Some(grid) if plan.is_integer(id) => {
                builder.integer(node, grid, grids, options.weights)
            }
            _ => builder.real(node),
        };
        builder.push(made, Some(k));
        builder.place.push(builder.last());
    }
    for &id in &reference.outputs {
        let place = builder.place[id];
        let output = if options.float_output { builder.reals(place) } else { place };
        builder.built.graph.outputs.push(output);
    }
    builder.built
}

/// An input in the type asked for.
fn input(value: &Value, grid: Option<QuantParams>, plan: &Plan) -> Value {
    let shift = |grid: QuantParams| QuantParams { zero_point: grid.zero_point + 128, ..grid };
    let (dtype, quantization) = match plan.input {
        InputDtype::U8 => (DataType::U8, grid.map(shift)),
        InputDtype::I8 => (DataType::I8, grid),
        InputDtype::F32 => (DataType::F32, None),
    };
    Value { dtype, quantization, ..value.clone() }
}

/// Ops that take u8 as it is.
fn takes_u8(op: &Op) -> bool {
    op.layer().is_some() || matches!(op, Op::MaxPool2d(_) | Op::Reshape)
}

impl Builder {
    fn last(&self) -> ValueId {
        self.built.graph.inputs.len() + self.built.graph.nodes.len() - 1
    }

    fn push(&mut self, node: Node, from: Option<usize>) {
        self.built.graph.nodes.push(node);
        self.built.from.push(from);
    }

    /// A node on reals alone.
    fn real(&mut self, node: &Node) -> Node {
        let inputs = node.inputs.iter().map(|&id| self.reals(self.place[id]));
        Node { inputs: inputs.collect(), ..node.clone() }
    }

    /// A node that is to become integers.
    fn integer(
        &mut self,
        node: &Node,
        grid: QuantParams,
        grids: &[Option<QuantParams>],
        weights: Granularity,
    ) -> Node {
        let joins = matches!(node.op, Op::Concat { .. });
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &id in &node.inputs {
            let place = self.place[id];
            let is_u8 = self.built.graph.value(place).dtype == DataType::U8;
            inputs.push(match grids[id] {
                Some(_) if is_u8 && takes_u8(&node.op) => place,
                Some(own) if !joins => self.on_grid(place, own),
                _ => self.on_grid(place, grid),
            });
        }
        let mut made = Node { inputs, ..node.clone() };
        made.output.quantization = Some(grid);
        let input = self.built.graph.value(made.inputs[0]);
        if made.op.is_pass_through() && input.dtype == DataType::U8 {
            made.output.dtype = DataType::U8;
            made.output.quantization = input.quantization;
        }
        if let Some((kernel, _)) = made.op.layer_mut() {
            set_granularity(&mut kernel.data, weights);
        }
        if let Op::Add(op) | Op::Mul(op) = &mut made.op
            && let Some(operand) = &mut op.operand
        {
            set_granularity(&mut operand.data, Granularity::PerTensor);
        }
        made
    }

    /// The value as int8 on a grid, itself where it is that already.
    fn on_grid(&mut self, id: ValueId, grid: QuantParams) -> ValueId {
        let value = self.built.graph.value(id);
        if value.dtype != DataType::U8 && value.quantization == Some(grid) {
            return id;
        }
        let output = Value { dtype: DataType::I8, quantization: Some(grid), ..value.clone() };
        self.convert(id, "quantize", Op::Quantize, output)
    }

    /// The value as reals, itself where it is that already.
    fn reals(&mut self, id: ValueId) -> ValueId {
        let value = self.built.graph.value(id);
        if value.quantization.is_none() {
            return id;
        }
        let output = Value { dtype: DataType::F32, quantization: None, ..value.clone() };
        self.convert(id, "dequantize", Op::Dequantize, output)
    }

    fn convert(&mut self, id: ValueId, name: &str, op: Op, output: Value) -> ValueId {
        let to = output.quantization;
        if let Some(&(.., made)) = self.converted.iter().find(|c| (c.0, c.1) == (id, to)) {
            return made;
        }
        let output = Value { name: None, ..output };
        self.push(Node { name: name.to_owned(), op, inputs: vec![id], output }, None);
        let made = self.last();
        self.converted.push((id, to, made));
        made
    }
}

fn set_granularity(data: &mut WeightData, of: Granularity) {
    if let WeightData::F32(_, granularity) = data {
        *granularity = Some(of);
    }
}
