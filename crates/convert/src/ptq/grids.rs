//! Which nodes become integers, which values share a grid, and which of them the grid is chosen by. Ops that move, select or
//! average elements hand their input's grid on; a concatenation has one grid for all its inputs.

use penjing_quant::QuantParams;

use super::range::{Histogram, Ranges};
use super::{PtqError, PtqOptions};
use crate::InputDtype;
use crate::ir::{Graph, Node, Op, ValueId};

/// The probabilities of softmax and logistic: 256 steps of `[0, 1)`.
const PROBABILITY: QuantParams = QuantParams { scale: 1.0 / 256.0, zero_point: -128 };
/// The hyperbolic tangent: 256 steps of `[-1, 1)`.
const TANH: QuantParams = QuantParams { scale: 1.0 / 128.0, zero_point: 0 };

/// What becomes of each node and value of the f32 network.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What the model takes.
    pub(super) input: InputDtype,
    /// By the number of a value: whether the quantized network has it as integers.
    integer: Vec<bool>,
    /// By the number of a value: the first of those that it shares its grid with.
    group: Vec<ValueId>,
    /// By group: whether its grid is the business of the value that starts it and no concatenation's.
    own: Vec<bool>,
    /// By group: a grid that nothing is to be observed for.
    fixed: Vec<Option<QuantParams>>,
    observed: Vec<bool>,
}

impl Plan {
    pub(super) fn new(graph: &Graph, options: &PtqOptions) -> Result<Self, PtqError> {
        let keep = kept(graph, &options.keep_float)?;
        let input =
            options.input.unwrap_or(if graph.pixels { InputDtype::U8 } else { InputDtype::I8 });
        let n = graph.inputs.len() + graph.nodes.len();
        let mut plan = Self {
            input,
            integer: integers(graph, &keep, input),
            group: (0..n).collect(),
            own: vec![false; n],
            fixed: vec![None; n],
            observed: vec![false; n],
        };
        for (id, value) in graph.inputs.iter().enumerate() {
            plan.own[id] = true;
            plan.fixed[id] = value.quantization;
        }
        for (k, node) in graph.nodes.iter().enumerate() {
            plan.join(graph.inputs.len() + k, node);
        }
        plan.observed = (0..n).map(|id| plan.observes(graph, id)).collect();
        Ok(plan)
    }

    /// Lets the value of a node share its input's grid, or starts a group.
    fn join(&mut self, id: ValueId, node: &Node) {
        let fixed = match node.op {
            Op::Softmax | Op::Logistic => Some(PROBABILITY),
            Op::Tanh => Some(TANH),
            _ => None,
        };
        if let Some(grid) = fixed {
            self.own[id] = true;
            self.fixed[id] = Some(grid);
        }
        if !(self.integer[id] && node.op.is_pass_through()) {
            return;
        }
        if !matches!(node.op, Op::Concat { .. }) {
            self.group[id] = self.group[node.inputs[0]];
            return;
        }
        for &from in &node.inputs {
            let (from, to) = (self.group[from], self.group[id]);
            if !self.own[from] {
                let first = from.min(to);
                for group in &mut self.group {
                    if *group == from || *group == to {
                        *group = first;
                    }
                }
            }
        }
    }

    /// Whether the grid of a value's group depends on what the value holds: some reader sees more than what a later value
    /// of the group holds.
    fn observes(&self, graph: &Graph, id: ValueId) -> bool {
        let readers = graph.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&id));
        let readers: Vec<_> = readers.map(|(k, node)| (graph.inputs.len() + k, &node.op)).collect();
        let has_grid = self.integer[id] || readers.iter().any(|&(reader, _)| self.integer[reader]);
        // clipping may go before these as well as after them
        let told_later = |&(reader, op): &(ValueId, &Op)| {
            self.integer[reader]
                && self.group[reader] == self.group[id]
                && op.is_pass_through()
                && !matches!(op, Op::AveragePool2d(_))
        };
        let ends_here = readers.is_empty() || graph.outputs.contains(&id);
        has_grid
            && self.fixed[self.group[id]].is_none()
            && (ends_here || !readers.iter().all(told_later))
    }

    /// Whether a node's value or an input is of integers in the quantized network.
    pub(super) fn is_integer(&self, id: ValueId) -> bool {
        self.integer[id]
    }

    pub(super) fn is_observed(&self, id: ValueId) -> bool {
        self.observed[id]
    }

    /// The grid of each value, where it has one.
    pub(super) fn grids(
        &self,
        graph: &Graph,
        seen: &[Option<Histogram>],
        ranges: Ranges,
    ) -> Vec<Option<QuantParams>> {
        let mut of_group: Vec<Option<Histogram>> = vec![None; seen.len()];
        for (&group, seen) in self.group.iter().zip(seen) {
            if let Some(seen) = seen {
                let merged =
                    of_group[group].as_ref().map_or_else(|| seen.clone(), |all| all.merge(seen));
                of_group[group] = Some(merged);
            }
        }
        let grid = |(group, seen): (ValueId, &Option<Histogram>)| {
            // callers give any value of an input's type: its whole range
            let ranges = if group < graph.inputs.len() { Ranges::MinMax } else { ranges };
            self.fixed[group].or_else(|| Some(seen.as_ref()?.range(ranges).params_i8()))
        };
        let of_group: Vec<_> = of_group.iter().enumerate().map(grid).collect();
        self.group.iter().map(|&group| of_group[group]).collect()
    }
}

/// By node, whether it stays in f32: layers are asked for by their names or, unless one is called so, by their numbers.
fn kept(graph: &Graph, names: &[String]) -> Result<Vec<bool>, PtqError> {
    let layers: Vec<usize> =
        (0..graph.nodes.len()).filter(|&k| !graph.nodes[k].op.is_pass_through()).collect();
    let mut keep = vec![false; graph.nodes.len()];
    for asked in names {
        let named = |&&k: &&usize| graph.nodes[k].name == *asked;
        let mut found: Vec<usize> = layers.iter().filter(named).copied().collect();
        if found.is_empty() {
            found.extend(asked.parse::<usize>().ok().and_then(|number| layers.get(number)));
        }
        if found.is_empty() {
            let names = layers.iter().map(|&k| graph.nodes[k].name.clone()).collect();
            return Err(PtqError::NoSuchLayer { layer: asked.clone(), layers: names });
        }
        for k in found {
            keep[k] = true;
        }
    }
    Ok(keep)
}

/// By value, whether the quantized network has it as integers.
fn integers(graph: &Graph, keep: &[bool], input: InputDtype) -> Vec<bool> {
    let reals_alone = |id: ValueId| {
        let mut readers =
            graph.nodes.iter().zip(keep).filter(|(node, _)| node.inputs.contains(&id));
        input == InputDtype::F32 && readers.all(|(_, keep)| *keep)
    };
    let mut integer: Vec<bool> = (0..graph.inputs.len()).map(|id| !reals_alone(id)).collect();
    for (node, keep) in graph.nodes.iter().zip(keep) {
        let from_integers = || node.inputs.iter().any(|&id| integer[id]);
        let own = !keep && (!node.op.is_pass_through() || from_integers());
        integer.push(own);
    }
    integer
}
