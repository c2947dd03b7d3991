//! Post-training quantization: from a graph of f32 layers and calibration samples to one whose values have grids and whose
//! weights have granularities. The pass `quantize` then makes integers of it, as of a network that was trained for them.
//!
//! The way: `prepare` brings a graph to one form, `grids` tells which values share a grid, `observe` watches the f32 network
//! on the samples, `range` turns what was seen into ranges, `borders` builds the quantized graph, `correct` runs it beside
//! the f32 network, corrects biases and measures each layer.

mod borders;
mod correct;
mod error;
mod grids;
mod observe;
mod prepare;
mod range;
mod report;
mod samples;
#[cfg(test)]
mod tests;
mod walk;

use penjing_checkpoint::Granularity;
use penjing_format::DataType;

pub use error::PtqError;
pub use range::Ranges;
pub use report::{LayerError, Report, WeightError};

use crate::ir::Graph;
use crate::samples::Samples;
use crate::{ConvertError, InputDtype, Lowered, Options, emit, passes};
use samples::Calibration;

/// How to quantize.
#[derive(Clone, Debug)]
pub struct PtqOptions {
    /// How a value's range follows from what was seen of it.
    pub ranges: Ranges,
    /// Scales of a layer's weights: one, or one an output channel.
    pub weights: Granularity,
    /// Whether biases make up for the mean error of each output channel.
    pub bias_correction: bool,
    /// Layers that stay in f32, by name or by their number in the report.
    pub keep_float: Vec<String>,
    /// What the model takes; `None`: u8 where the input stands for 8-bit pixels, i8 otherwise.
    pub input: Option<InputDtype>,
    /// Whether integer outputs are turned into f32.
    pub float_output: bool,
    /// Threads; results do not depend on them. 0 for all cores.
    pub threads: usize,
}

impl Default for PtqOptions {
    fn default() -> Self {
        Self {
            ranges: Ranges::default(),
            weights: Granularity::PerChannel,
            bias_correction: true,
            keep_float: Vec::new(),
            input: None,
            float_output: false,
            threads: 0,
        }
    }
}

/// A quantized network.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The f32 network that the errors are against: inputs as reals, activations fused, nothing else changed.
    pub reference: Graph,
    /// Real weights and values with grids: what [`crate::eval`] interprets.
    pub source: Graph,
    /// The network as a file holds it: integers.
    pub graph: Graph,
    /// Error of each layer.
    pub report: Report,
}

impl Quantized {
    /// The network as a model file; of `options`, those that tell how a file is written.
    ///
    /// # Errors
    /// Layers that a packing is asked for and that there are not, labels that do not match, sizes that a file cannot hold.
    pub fn lower(&self, options: &Options) -> Result<Lowered, ConvertError> {
        let bytes = emit::emit(&self.graph, options)?;
        let integers = self.graph.nodes.iter().any(|node| node.output.dtype != DataType::F32);
        let (source, graph) = (self.source.clone(), self.graph.clone());
        Ok(Lowered { source, graph, bytes, integers })
    }
}

/// How many samples to calibrate `graph` on where nobody says: 1000, or as many as let one value of all samples have 2^25
/// elements (128 MiB). Several such values are held at a time.
#[must_use]
pub fn default_samples(graph: &Graph) -> usize {
    let nodes = graph.nodes.iter().map(|node| &node.output);
    let elements = graph.inputs.iter().chain(nodes).filter_map(|value| value.shape.elements());
    let largest = elements.max().unwrap_or(1).max(1);
    ((1 << 25) / largest).clamp(1, 1000)
}

/// Quantizes a network of f32 layers by what it makes of `samples`.
///
/// # Errors
/// A graph that has integers already, unknown names in `keep_float`, samples that are not what the graph takes or none, and
/// values that are not finite.
pub fn quantize(
    graph: &Graph,
    samples: &Samples<'_>,
    options: &PtqOptions,
) -> Result<Quantized, PtqError> {
    let reference = prepare::prepare(graph)?;
    let calibration = Calibration::new(samples, &reference)?;
    let plan = grids::Plan::new(&reference, options)?;
    let threads = walk::threads(options.threads);
    let seen = observe::observe(&reference, &calibration, &plan, threads)?;
    let grids = plan.grids(&reference, &seen, options.ranges);
    let mut built = borders::build(&reference, &plan, &grids, options);
    let report = correct::correct(&reference, &mut built, &calibration, options, threads)?;
    let mut graph = built.graph.clone();
    passes::quantize(&mut graph);
    Ok(Quantized { reference, source: built.graph, graph, report })
}
