//! One side of a comparison: a model file run by the runtime, or a checkpoint's network interpreted as `eval` does. It
//! tells a side's layers and runs it on samples; what two sides have to do with each other is `compare`'s.

use std::ops::Range;

use penjing_checkpoint::Checkpoint;
use penjing_format::{ModelView, QuantParams, TensorType};
use penjing_runtime::reference::{self, Tensor};
use penjing_runtime::{Input, Model, Output, Session, SessionOptions};

use crate::ConvertError;
use crate::compare::{Distance, Layer, Tally};
use crate::elements::Elements;
use crate::eval::Evaluator;
use crate::frontend;
use crate::ir::Graph;
use crate::samples::{Samples, same_image};

/// Samples that the runtime takes at a time.
pub(crate) const BATCH: usize = 32;

/// A network and its layers.
///
/// Reshape, quantize and dequantize are no layers: they move numbers or write them in another way, and a file has them or
/// not by how it was lowered.
#[derive(Debug)]
pub struct Side {
    source: Source,
    /// Dimensions of a sample of each input.
    pub inputs: Vec<Vec<usize>>,
    /// Dimensions of a sample of each output.
    pub outputs: Vec<Vec<usize>>,
    /// In order.
    pub layers: Vec<Layer>,
    /// Weights and biases.
    pub parameters: usize,
    /// Those that are not zero, as stored.
    pub nonzeros: usize,
}

#[derive(Debug)]
enum Source {
    Model(Model),
    Checkpoint(Graph),
}

fn dims(shape: &[u32]) -> Vec<usize> {
    shape.iter().map(|&dim| dim as usize).collect()
}

impl Side {
    /// A model file.
    ///
    /// # Errors
    /// A file that changed since it was opened.
    pub fn of_model(model: Model) -> Result<Self, ConvertError> {
        let inputs = model.inputs().map(|info| dims(info.shape.dims())).collect();
        let outputs = model.outputs().map(|info| dims(info.shape.dims())).collect();
        let (mut layers, mut parameters, mut nonzeros) = (Vec::new(), 0, 0);
        for step in model.view().walk() {
            let step = step.map_err(format_error)?;
            if let Some((weights, bias)) = step.op.constants() {
                for constant in [weights].iter().chain(&bias) {
                    parameters += constant.packed.elements();
                    nonzeros += constant.packed.nnz();
                }
            }
            let shape = step.output.ty.shape;
            let name = step.node.value().name.map(str::to_owned);
            layers.extend(layer(step.index, name, step.op.name(), shape.dims()));
        }
        Ok(Self { source: Source::Model(model), inputs, outputs, layers, parameters, nonzeros })
    }

    /// A checkpoint.
    ///
    /// # Errors
    /// Sizes that a graph cannot hold.
    pub fn of_checkpoint(checkpoint: &Checkpoint) -> Result<Self, ConvertError> {
        let network = checkpoint.network();
        let graph = frontend::checkpoint::read(checkpoint)?;
        let nodes = graph.nodes.iter().enumerate();
        let layers = nodes.filter_map(|(index, node)| {
            layer(index, Some(node.name.clone()), node.op.name(), node.output.shape.dims())
        });
        // ranges describe values, they are no parameters
        let weights = checkpoint.tensors.iter().filter(|(name, _)| !name.ends_with(".range"));
        let values = || weights.clone().flat_map(|(_, tensor)| &tensor.data);
        Ok(Self {
            inputs: vec![network.input.to_vec()],
            outputs: vec![vec![network.classes]],
            layers: layers.collect(),
            parameters: values().count(),
            nonzeros: values().filter(|v| **v != 0.0).count(),
            source: Source::Checkpoint(graph),
        })
    }

    /// Elements of the first output, whose largest names a class.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.outputs.first().map_or(0, |dims| dims.iter().product())
    }

    /// The model, where the side is one.
    #[must_use]
    pub fn model(&self) -> Option<ModelView<'_>> {
        match &self.source {
            Source::Model(model) => Some(model.view()),
            Source::Checkpoint(_) => None,
        }
    }

    /// Makes samples ready for this side.
    ///
    /// # Errors
    /// Samples of another shape than the network's, for a checkpoint any but images, and whatever planning the model answers.
    pub fn on<'s>(&'s self, samples: &Samples<'s>) -> Result<Runner<'s>, ConvertError> {
        let engine = match &self.source {
            Source::Model(model) => Engine::Model(Box::new(File::new(model, samples)?)),
            Source::Checkpoint(graph) => {
                let wrong = || ConvertError::NotAClassifier { found: graph.outputs.len() };
                let split = samples.split().ok_or(ConvertError::OnlyImages)?;
                let expected = &self.inputs[0];
                if !same_image(expected, split.shape()) {
                    let (expected, found) = (expected.clone(), split.shape().to_vec());
                    return Err(ConvertError::ImageShape { expected, found });
                }
                let image_len = expected.iter().product();
                let images = &split.images()[..samples.len() * image_len];
                let evaluator = Evaluator::new(graph).ok_or_else(wrong)?;
                Engine::Checkpoint { evaluator, images, image_len }
            }
        };
        Ok(Runner { engine, layers: &self.layers })
    }
}

/// `None` for ops that are no layers.
fn layer(node: usize, name: Option<String>, op: &'static str, shape: &[u32]) -> Option<Layer> {
    let moves = matches!(op, "reshape" | "quantize" | "dequantize");
    let shape = shape.iter().skip(1).copied().collect();
    (!moves).then_some(Layer { node, name, op, shape })
}

fn format_error(source: penjing_format::Error) -> ConvertError {
    penjing_runtime::Error::Format { path: None, source: Box::new(source) }.into()
}

/// A side with samples in the types that it takes.
#[derive(Debug)]
pub struct Runner<'s> {
    engine: Engine<'s>,
    layers: &'s [Layer],
}

#[derive(Debug)]
enum Engine<'s> {
    Model(Box<File<'s>>),
    Checkpoint { evaluator: Evaluator<'s>, images: &'s [u8], image_len: usize },
}

impl Runner<'_> {
    /// What samples `range` yield, as reals: sample by sample, all outputs one after the other.
    ///
    /// # Errors
    /// What running the model answers.
    ///
    /// # Panics
    /// If there are no such samples.
    pub fn scores(&mut self, range: Range<usize>) -> Result<Vec<f32>, ConvertError> {
        match &mut self.engine {
            Engine::Model(file) => file.scores(range),
            Engine::Checkpoint { evaluator, images, image_len } => {
                let images = &images[range.start * *image_len..range.end * *image_len];
                Ok(images.chunks(*image_len).flat_map(|image| evaluator.scores(image)).collect())
            }
        }
    }

    /// What each layer yields for sample `index`, as reals, in the order of [`Side::layers`]. By the runtime's oracle or the
    /// interpreter, not by kernels: slow.
    ///
    /// # Errors
    /// A file that changed since it was opened.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn values(&self, index: usize) -> Result<Vec<Vec<f32>>, ConvertError> {
        let mut nodes = match &self.engine {
            Engine::Model(file) => file.nodes(index)?,
            Engine::Checkpoint { evaluator, images, image_len } => {
                evaluator.values(&images[index * image_len..(index + 1) * image_len]).split_off(1)
            }
        };
        Ok(self.layers.iter().map(|layer| std::mem::take(&mut nodes[layer.node])).collect())
    }
}

/// An input or output: elements of a sample, and the grid of integers.
#[derive(Clone, Copy, Debug)]
struct Port {
    len: usize,
    grid: QuantParams,
}

/// A model file with a session and samples.
#[derive(Debug)]
struct File<'s> {
    view: ModelView<'s>,
    session: Session,
    inputs: Vec<(Elements, Port)>,
    /// Room for [`BATCH`] samples.
    outputs: Vec<(Elements, Port)>,
}

impl<'s> File<'s> {
    fn new(model: &'s Model, samples: &Samples<'_>) -> Result<Self, ConvertError> {
        // planning also refuses what the oracle could not run
        let session = Session::new(model, SessionOptions::default())?;
        let port = |info: &penjing_runtime::TensorInfo<'_>| Port {
            len: info.len(),
            grid: QuantParams { scale: info.scale, zero_point: info.zero_point },
        };
        let inputs = samples.for_model(&model.view())?;
        let ports = model.inputs().map(|info| port(&info));
        let outputs = model.outputs().map(|info| {
            let room = Elements::zeros(info.dtype, BATCH * info.len());
            let shape = info.shape.dims().to_vec();
            let room = room.ok_or(ConvertError::NoImages { shape, dtype: info.dtype })?;
            Ok((room, port(&info)))
        });
        Ok(Self {
            view: model.view(),
            session,
            inputs: inputs.into_iter().zip(ports).collect(),
            outputs: outputs.collect::<Result<_, ConvertError>>()?,
        })
    }

    fn scores(&mut self, range: Range<usize>) -> Result<Vec<f32>, ConvertError> {
        let n = range.len();
        let elements = |port: &Port| range.start * port.len..range.end * port.len;
        let inputs: Vec<Input<'_>> =
            self.inputs.iter().map(|(samples, port)| samples.input(elements(port))).collect();
        let room = self.outputs.iter_mut();
        let mut outputs: Vec<Output<'_>> =
            room.map(|(room, port)| room.output(0..n * port.len)).collect();
        self.session.run_many(&inputs, &mut outputs)?;
        let mut scores = Vec::new();
        for sample in 0..n {
            for (room, port) in &self.outputs {
                scores.extend(room.reals(sample * port.len..(sample + 1) * port.len, port.grid));
            }
        }
        Ok(scores)
    }

    /// What each node yields, as reals.
    fn nodes(&self, index: usize) -> Result<Vec<Vec<f32>>, ConvertError> {
        let inputs = self.inputs.iter().map(|(samples, port)| {
            match samples.input(index * port.len..(index + 1) * port.len) {
                Input::U8(codes) => Tensor::codes(codes),
                Input::I8(codes) => Tensor::codes(codes),
                Input::F32(values) => Tensor::reals(values),
            }
        });
        let inputs: Vec<Tensor> = inputs.collect();
        let values = reference::values(&self.view, &inputs).map_err(format_error)?;
        let steps = self.view.walk();
        let nodes = values.into_iter().skip(inputs.len()).zip(steps).map(|(value, step)| {
            let ty = step.map_err(format_error)?.output.ty;
            Ok(reals(value, &ty))
        });
        nodes.collect()
    }
}

fn reals(value: Tensor, ty: &TensorType) -> Vec<f32> {
    let grid = ty.quantization.unwrap_or(QuantParams { scale: 1.0, zero_point: 0 });
    match value {
        Tensor::Reals(values, _) => values,
        // the oracle's codes are of 8 bits
        Tensor::Codes(codes) => codes.into_iter().map(|q| grid.dequantize(q as i32)).collect(),
    }
}

/// Runs both sides on all samples and counts.
///
/// # Errors
/// As [`Runner::scores`].
///
/// # Panics
/// If the sides do not yield as many values, or the runners have other samples.
pub fn tally(
    a: &mut Runner<'_>,
    b: &mut Runner<'_>,
    samples: &Samples<'_>,
    classes: usize,
    worst: usize,
) -> Result<Tally, ConvertError> {
    let mut tally = Tally::new(worst);
    for start in (0..samples.len()).step_by(BATCH) {
        let end = (start + BATCH).min(samples.len());
        let (of_a, of_b) = (a.scores(start..end)?, b.scores(start..end)?);
        let len = of_a.len() / (end - start);
        for (index, (a, b)) in (start..end).zip(of_a.chunks(len).zip(of_b.chunks(len))) {
            let label = samples.labels().map(|labels| usize::from(labels[index]));
            tally.add(index, label, classes, a, b);
        }
    }
    Ok(tally)
}

/// How far the layers of each pair lie apart over images `0..count`, in the order of `pairs`.
///
/// # Errors
/// As [`Runner::values`].
///
/// # Panics
/// If there are no such layers or images, or a pair's shapes differ.
pub fn layer_distances(
    a: &Runner<'_>,
    b: &Runner<'_>,
    pairs: &[(usize, usize)],
    count: usize,
) -> Result<Vec<Distance>, ConvertError> {
    let mut distances = vec![Distance::default(); pairs.len()];
    for index in 0..count {
        let (of_a, of_b) = (a.values(index)?, b.values(index)?);
        for (distance, &(i, j)) in distances.iter_mut().zip(pairs) {
            distance.add(&of_a[i], &of_b[j]);
        }
    }
    Ok(distances)
}
