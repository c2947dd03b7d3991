//! One side of a comparison: a model file run by the runtime, or a checkpoint's network interpreted as `eval` does. It
//! tells a side's layers and runs it on images; what two sides have to do with each other is `compare`'s.

use penjing_checkpoint::Checkpoint;
use penjing_dataset::Split;
use penjing_format::{DataType, ModelView, QuantParams, TensorType};
use penjing_runtime::reference::{self, Tensor};
use penjing_runtime::{Input, Model, Output, Session, SessionOptions};

use crate::ConvertError;
use crate::compare::{Distance, Layer, Tally};
use crate::eval::Evaluator;
use crate::frontend;
use crate::ir::Graph;
use crate::pixels::Pixels;

/// Images that the runtime takes at a time.
pub(crate) const BATCH: usize = 32;

/// An image classifier and its layers.
///
/// Reshape, quantize and dequantize are no layers: they move numbers or write them in another way, and a file has them or
/// not by how it was lowered.
#[derive(Debug)]
pub struct Side {
    source: Source,
    /// Height, width, channels of an image.
    pub image: [usize; 3],
    /// Scores an image.
    pub classes: usize,
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

impl Side {
    /// A model file.
    ///
    /// # Errors
    /// A model that has not one input and one output, or whose input is no image.
    pub fn of_model(model: Model) -> Result<Self, ConvertError> {
        let counts = [model.inputs().count(), model.outputs().count()];
        let (Some(input), Some(output), [1, 1]) =
            (model.inputs().next(), model.outputs().next(), counts)
        else {
            return Err(ConvertError::Ports { inputs: counts[0], outputs: counts[1] });
        };
        let pixels = matches!(input.dtype, DataType::U8 | DataType::I8 | DataType::F32);
        let (&[height, width, channels], true) = (input.shape.dims(), pixels) else {
            return Err(ConvertError::NoImages {
                shape: input.shape.dims().to_vec(),
                dtype: input.dtype,
            });
        };
        let (image, classes) = ([height, width, channels].map(|d| d as usize), output.len());
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
        Ok(Self { source: Source::Model(model), image, classes, layers, parameters, nonzeros })
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
            image: network.input,
            classes: network.classes,
            layers: layers.collect(),
            parameters: values().count(),
            nonzeros: values().filter(|v| **v != 0.0).count(),
            source: Source::Checkpoint(graph),
        })
    }

    /// Makes the first `count` images of `split` ready for this side.
    ///
    /// # Errors
    /// Images of another shape than the network's, and whatever planning the model answers.
    pub fn on<'s>(&'s self, split: &'s Split, count: usize) -> Result<Runner<'s>, ConvertError> {
        if self.image != split.shape() {
            let (expected, found) = (self.image.to_vec(), split.shape().to_vec());
            return Err(ConvertError::ImageShape { expected, found });
        }
        let image_len = self.image.iter().product();
        let images = &split.images()[..count.min(split.len()) * image_len];
        let engine = match &self.source {
            Source::Model(model) => Engine::Model(Box::new(File::new(model, images, self.image)?)),
            Source::Checkpoint(graph) => {
                let wrong = || ConvertError::NotAClassifier { found: graph.outputs.len() };
                Engine::Checkpoint(Evaluator::new(graph).ok_or_else(wrong)?, images)
            }
        };
        Ok(Runner { engine, image_len, layers: &self.layers })
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

/// A side with images in the dtype that it takes.
#[derive(Debug)]
pub struct Runner<'s> {
    engine: Engine<'s>,
    image_len: usize,
    layers: &'s [Layer],
}

#[derive(Debug)]
enum Engine<'s> {
    Model(Box<File<'s>>),
    Checkpoint(Evaluator<'s>, &'s [u8]),
}

impl Runner<'_> {
    /// Scores of images `start..end` as reals, `[images, classes]`.
    ///
    /// # Errors
    /// What running the model answers.
    ///
    /// # Panics
    /// If there are no such images.
    pub fn scores(&mut self, start: usize, end: usize) -> Result<Vec<f32>, ConvertError> {
        let (from, to) = (start * self.image_len, end * self.image_len);
        match &mut self.engine {
            Engine::Model(file) => file.scores(from, to, end - start),
            Engine::Checkpoint(evaluator, images) => {
                let images = images[from..to].chunks(self.image_len);
                Ok(images.flat_map(|image| evaluator.scores(image)).collect())
            }
        }
    }

    /// What each layer yields for image `index`, as reals, in the order of [`Side::layers`]. By the runtime's oracle or the
    /// interpreter, not by kernels: slow.
    ///
    /// # Errors
    /// A file that changed since it was opened.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn values(&self, index: usize) -> Result<Vec<Vec<f32>>, ConvertError> {
        let (from, to) = (index * self.image_len, (index + 1) * self.image_len);
        let mut nodes = match &self.engine {
            Engine::Model(file) => file.nodes(from, to)?,
            Engine::Checkpoint(evaluator, images) => {
                evaluator.values(&images[from..to]).split_off(1)
            }
        };
        Ok(self.layers.iter().map(|layer| std::mem::take(&mut nodes[layer.node])).collect())
    }
}

/// A model file with a session and images.
#[derive(Debug)]
struct File<'s> {
    view: ModelView<'s>,
    session: Session,
    pixels: Pixels,
    dtype: DataType,
    grid: QuantParams,
    classes: usize,
}

impl<'s> File<'s> {
    fn new(model: &'s Model, images: &[u8], shape: [usize; 3]) -> Result<Self, ConvertError> {
        let ports = || ConvertError::Ports {
            inputs: model.inputs().count(),
            outputs: model.outputs().count(),
        };
        let input = model.inputs().next().ok_or_else(ports)?;
        let output = model.outputs().next().ok_or_else(ports)?;
        let no_images =
            || ConvertError::NoImages { shape: input.shape.dims().to_vec(), dtype: input.dtype };
        // planning also refuses what the oracle could not run
        let session = Session::new(model, SessionOptions::default())?;
        Ok(Self {
            pixels: Pixels::for_model(&model.view(), images, shape[2]).ok_or_else(no_images)?,
            view: model.view(),
            session,
            dtype: output.dtype,
            grid: QuantParams { scale: output.scale, zero_point: output.zero_point },
            classes: output.len(),
        })
    }

    fn scores(&mut self, from: usize, to: usize, n: usize) -> Result<Vec<f32>, ConvertError> {
        let (input, grid, len) = (self.pixels.slice(from, to), self.grid, n * self.classes);
        Ok(match self.dtype {
            DataType::I8 => {
                let mut codes = vec![0_i8; len];
                self.session.run(input, Output::I8(&mut codes))?;
                codes.into_iter().map(|q| grid.dequantize(i32::from(q))).collect()
            }
            DataType::U8 => {
                let mut codes = vec![0_u8; len];
                self.session.run(input, Output::U8(&mut codes))?;
                codes.into_iter().map(|q| grid.dequantize(i32::from(q))).collect()
            }
            // the session refuses any other type, in its own words
            _ => {
                let mut reals = vec![0.0; len];
                self.session.run(input, Output::F32(&mut reals))?;
                reals
            }
        })
    }

    /// What each node yields, as reals.
    fn nodes(&self, from: usize, to: usize) -> Result<Vec<Vec<f32>>, ConvertError> {
        let input = match self.pixels.slice(from, to) {
            Input::U8(codes) => Tensor::codes(codes),
            Input::I8(codes) => Tensor::codes(codes),
            Input::F32(values) => Tensor::reals(values),
        };
        let values = reference::values(&self.view, &[input]).map_err(format_error)?;
        let steps = self.view.walk();
        let nodes = values.into_iter().skip(1).zip(steps).map(|(value, step)| {
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

/// Runs both sides on images `0..labels.len()` and counts.
///
/// # Errors
/// As [`Runner::scores`].
///
/// # Panics
/// If there are fewer images than labels, or the sides have not as many classes.
pub fn tally(
    a: &mut Runner<'_>,
    b: &mut Runner<'_>,
    labels: &[u8],
    worst: usize,
) -> Result<Tally, ConvertError> {
    let mut tally = Tally::new(worst);
    for start in (0..labels.len()).step_by(BATCH) {
        let end = (start + BATCH).min(labels.len());
        let (of_a, of_b) = (a.scores(start, end)?, b.scores(start, end)?);
        let classes = of_a.len() / (end - start);
        let scores = of_a.chunks(classes).zip(of_b.chunks(classes));
        for (index, (a, b)) in (start..end).zip(scores) {
            tally.add(index, usize::from(labels[index]), a, b);
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
