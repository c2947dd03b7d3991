//! The f32 network on the samples: a histogram of every value that a grid depends on.

use super::PtqError;
use super::grids::Plan;
use super::range::Histogram;
use super::samples::{Calibration, input_name};
use super::walk::{Walk, each};
use crate::eval::{self, Constants};
use crate::ir::{Graph, Value};

/// By the number of the value; `None` where no grid depends on it.
pub(super) fn observe(
    graph: &Graph,
    samples: &Calibration,
    plan: &Plan,
    threads: usize,
) -> Result<Vec<Option<Histogram>>, PtqError> {
    // inputs as they are given, not on a grid
    let plain = |value: &Value| Value { quantization: None, ..value.clone() };
    let graph = Graph { inputs: graph.inputs.iter().map(plain).collect(), ..graph.clone() };
    let mut walk = Walk::new(&graph, samples, threads);
    let mut seen = Vec::with_capacity(graph.inputs.len() + graph.nodes.len());
    let look = |id: usize, walk: &Walk, name: &dyn Fn() -> String| {
        plan.is_observed(id)
            .then(|| {
                Histogram::of(walk.value(id), threads)
                    .ok_or_else(|| PtqError::NotFinite { layer: name() })
            })
            .transpose()
    };
    for (id, value) in graph.inputs.iter().enumerate() {
        seen.push(look(id, &walk, &|| input_name(value, id))?);
    }
    for node in &graph.nodes {
        let constants = Constants::new(&graph, node).unwrap_or(Constants::None);
        let mut y = walk.linear(&graph, node, &constants);
        each(&mut y, threads, |y| eval::finish(node, y));
        walk.push(node, y);
        seen.push(look(seen.len(), &walk, &|| node.name.clone())?);
    }
    Ok(seen)
}
