//! Builds the quantized graph: grids on values, granularities on weights, and conversions where integers and reals meet or
//! two grids do.

use penjing_checkpoint::Granularity;
use penjing_format::DataType;
use penjing_quant::QuantParams;

use super::PtqOptions;
use super::grids::Plan;
use crate::InputDtype;
use crate::eval::operand_grid;
use crate::ir::{Graph, Node, Op, Value, ValueId, WeightData};

/// The quantized graph, and how it lies beside the f32 network.
#[derive(Clone, Debug)]
pub(super) struct Built {
    /// Reals with grids; conversions and inputs in the types that they have in the file.
    pub(super) graph: Graph,
    /// By node: the node of the f32 network that it is; conversions are none.
    pub(super) from: Vec<Option<usize>>,
}

/// Bounds of a grid's scale over that of the grid that its integers are converted to.
const RATIO: [f32; 2] = [1.0 / 256.0, 128.0];

/// Bounds of the larger operand's scale over a sum's: the least, and what it must be below.
const SUM_RATIO: [f32; 2] = [1.0 / 1024.0, 256.0];

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
        let own = builder.sum_grid(&made);
        let wanted = made.output.quantization;
        let output = Value { quantization: own.or(wanted), ..made.output };
        builder.push(Node { output, ..made }, Some(k));
        let place = builder.last();
        let place = match (own, wanted) {
            (Some(_), Some(grid)) => builder.on_grid(place, grid),
            _ => place,
        };
        builder.place.push(place);
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

    /// The grid that a sum gets instead of its own, where that is too far from its operands' to add in integers: operands
    /// that cancel out, or a sum that shares the grid of much larger values. `None` where it is not.
    fn sum_grid(&self, node: &Node) -> Option<QuantParams> {
        let (Op::Add(op), Some(grid)) = (&node.op, node.output.quantization) else { return None };
        let of_value = |&id: &ValueId| self.built.graph.value(id).quantization;
        let constant = op.operand.as_ref().and_then(|operand| match &operand.data {
            WeightData::F32(data, Some(_)) => Some(operand_grid(data)),
            _ => None,
        });
        let grids = node.inputs.iter().filter_map(of_value).chain(constant);
        let largest = grids.fold(0.0_f32, |largest, grid| largest.max(grid.scale));
        let ratio = largest / grid.scale;
        let scale = if ratio >= SUM_RATIO[1] {
            largest / (SUM_RATIO[1] - 1.0)
        } else if ratio < SUM_RATIO[0] {
            2.0 * largest
        } else {
            return None;
        };
        Some(QuantParams { scale, ..grid })
    }

    /// The value as int8 on a grid, itself where it is that already.
    fn on_grid(&mut self, id: ValueId, grid: QuantParams) -> ValueId {
        let value = self.built.graph.value(id);
        if value.dtype != DataType::U8 && value.quantization == Some(grid) {
            return id;
        }
        let ratio = value.quantization.map_or(1.0, |own| own.scale / grid.scale);
        // integers become other integers where the grids are not too far apart, by way of reals everywhere
        let id = if (RATIO[0]..=RATIO[1]).contains(&ratio) { id } else { self.reals(id) };
        let shape = self.built.graph.value(id).shape;
        let (dtype, quantization) = (DataType::I8, Some(grid));
        let output = Value { name: None, shape, dtype, quantization };
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
