//! Calibration samples as reals, sample by sample.

use super::PtqError;
use crate::ir::{Graph, Value};
use crate::samples::Samples;

/// Samples of all inputs of a graph.
#[derive(Clone, Debug)]
pub(super) struct Calibration {
    count: usize,
    inputs: Vec<Vec<f32>>,
}

impl Calibration {
    /// Samples that are what the graph takes.
    pub(super) fn new(samples: &Samples<'_>, graph: &Graph) -> Result<Self, PtqError> {
        let (count, inputs) = (samples.len(), samples.for_graph(graph)?);
        if count == 0 {
            return Err(PtqError::NoSamples);
        }
        for (i, (data, value)) in inputs.iter().zip(&graph.inputs).enumerate() {
            if data.iter().any(|x| !x.is_finite()) {
                return Err(PtqError::NotFinite { layer: input_name(value, i) });
            }
        }
        Ok(Self { count, inputs })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Sample `index` of an input.
    pub(super) fn get(&self, input: usize, index: usize) -> &[f32] {
        let all = &self.inputs[input];
        let n = all.len() / self.count;
        &all[index * n..(index + 1) * n]
    }
}

pub(super) fn input_name(value: &Value, index: usize) -> String {
    value.name.clone().unwrap_or_else(|| format!("input{index}"))
}
