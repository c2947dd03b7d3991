//! Runs a graph on all samples node by node, so that what was learnt of one node can still change the next. Values are
//! dropped when their last reader has run. Threads share out the samples; no sum runs across them.

use super::samples::Calibration;
use crate::eval::{self, Argument, Constants};
use crate::ir::{Graph, Node, ValueId};

/// One value for each sample.
pub(super) type Batch = Vec<Vec<f32>>;

/// `0`: as many as there are cores.
pub(super) fn threads(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// `f(0)`, `f(1)`, ... in order, by several threads.
pub(super) fn map<T: Send>(count: usize, threads: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let per = count.div_ceil(threads.max(1)).max(1);
    if per >= count {
        return (0..count).map(f).collect();
    }
    let f = &f;
    std::thread::scope(|scope| {
        let part = |start: usize| {
            scope.spawn(move || (start..(start + per).min(count)).map(f).collect::<Vec<T>>())
        };
        let parts: Vec<_> = (0..count).step_by(per).map(part).collect();
        let joined = parts.into_iter().map(|part| match part.join() {
            Ok(values) => values,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    })
}

/// `f` of each value in place, by several threads.
pub(super) fn each(batch: &mut Batch, threads: usize, f: impl Fn(&mut Vec<f32>) + Sync) {
    let per = batch.len().div_ceil(threads.max(1)).max(1);
    let f = &f;
    std::thread::scope(|scope| {
        for part in batch.chunks_mut(per) {
            scope.spawn(move || part.iter_mut().for_each(f));
        }
    });
}

/// The values of a graph that are still to be read.
pub(super) struct Walk {
    values: Vec<Batch>,
    /// Readers that have not run yet; callers of an output count as one that never does.
    readers: Vec<usize>,
    threads: usize,
}

impl Walk {
    /// The graph's inputs, on their grids.
    pub(super) fn new(graph: &Graph, samples: &Calibration, threads: usize) -> Self {
        let mut readers = vec![0; graph.inputs.len() + graph.nodes.len()];
        for &id in graph.nodes.iter().flat_map(|node| &node.inputs).chain(&graph.outputs) {
            readers[id] += 1;
        }
        let input = |(i, value): (usize, &crate::ir::Value)| -> Batch {
            let one = |sample| {
                let mut x = samples.get(i, sample).to_vec();
                eval::fake_quantize(&mut x, value);
                x
            };
            map(samples.count(), threads, one)
        };
        Self { values: graph.inputs.iter().enumerate().map(input).collect(), readers, threads }
    }

    /// What the next node yields before its activation and its grid.
    pub(super) fn linear(&self, graph: &Graph, node: &Node, constants: &Constants) -> Batch {
        let count = self.values[node.inputs[0]].len();
        map(count, self.threads, |sample| {
            let argument = |&id: &ValueId| (&self.values[id][sample][..], graph.value(id));
            let arguments: Vec<Argument<'_>> = node.inputs.iter().map(argument).collect();
            eval::linear(node, constants, &arguments)
        })
    }

    /// Adds what the next node yields, and drops what nobody reads any more.
    pub(super) fn push(&mut self, node: &Node, value: Batch) {
        self.values.push(value);
        for &id in &node.inputs {
            self.readers[id] -= 1;
            if self.readers[id] == 0 {
                self.values[id] = Batch::new();
            }
        }
    }

    /// A value that is still to be read.
    pub(super) fn value(&self, id: ValueId) -> &Batch {
        &self.values[id]
    }
}
