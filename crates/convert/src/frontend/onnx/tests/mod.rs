//! Imports small models that are built here, message by message, and looks at what they compute or why they are refused.

mod hostile;
mod integers;
mod layouts;
mod model;
mod ops;
mod refused;
mod schema;

use crate::eval::Evaluator;
use crate::ir::Graph;

/// The names of the graph's ops.
fn ops(graph: &Graph) -> Vec<&'static str> {
    graph.nodes.iter().map(|node| node.op.name()).collect()
}

/// What the graph yields, as reals, for inputs in memory order.
fn outputs(graph: &Graph, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
    let evaluator = Evaluator::new(graph).expect("a graph that can be interpreted");
    let values = evaluator.run(inputs);
    graph.outputs.iter().map(|&id| values[id].clone()).collect()
}

/// Fails where the two differ by more than rounding.
fn assert_close(found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    for (f, w) in found.iter().zip(wanted) {
        assert!((f - w).abs() <= 1e-5 * largest, "{found:?} is not {wanted:?}");
    }
}
