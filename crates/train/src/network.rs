//! A network's forward pass as a list of ops, and its parameters. It knows neither optimizer nor data.
//!
//! Wherever a convolution with ReLU is followed by a non-overlapping, unpadded max-pool the pair becomes one fused op; the
//! general ops serve everything else. Both are held to the same answers by a test.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};
use penjing_checkpoint::{self as checkpoint, Activation, Network, ResolvedLayer, ResolvedOp};

use crate::ops::{self, Window};
use crate::random::{Purpose, Stream};

/// One op of the forward pass; `layer` counts the layers that have weights.
#[derive(Clone, Debug)]
enum Step {
    Conv { layer: usize, window: Window, relu: bool },
    ConvReluPool { layer: usize, conv: Window, pool: Window },
    MaxPool { window: Window },
    Flatten { length: usize },
    Dense { layer: usize, relu: bool },
}

/// A layer that has weights.
#[derive(Clone, Debug)]
pub(crate) struct Weighted {
    /// Its name.
    pub(crate) name: String,
    /// OHWI for a convolution, `[out, in]` for a dense layer.
    pub(crate) shape: Vec<usize>,
    /// Whether it is a convolution.
    pub(crate) is_conv: bool,
}

impl Weighted {
    /// Number of elements of the weights.
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The forward pass of a network, without its weights.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    /// The layers that have weights, first to last.
    pub(crate) layers: Vec<Weighted>,
    /// Height, width, channels of one image.
    pub(crate) input: [usize; 3],
    /// Length of one image's scores.
    pub(crate) classes: usize,
}

/// Weights and bias of one layer, as the forward pass takes them.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    /// In the shape of [`Weighted::shape`].
    pub(crate) weight: Tensor,
    /// `[out]`.
    pub(crate) bias: Tensor,
}

impl Plan {
    /// The ops of a network; `fuse` false keeps every op apart, for tests.
    pub(crate) fn new(network: &Network, fuse: bool) -> Self {
        let mut layers: Vec<Weighted> = Vec::new();
        let mut steps = Vec::new();
        let mut rest = network.layers.iter().peekable();
        while let Some(layer) = rest.next() {
            let index = layers.len();
            if let Some(shape) = layer.weight_shape() {
                let is_conv = matches!(layer.op, ResolvedOp::Conv2d { .. });
                layers.push(Weighted { name: layer.name.clone(), shape, is_conv });
            }
            let relu = layer.activation() == Activation::Relu;
            steps.push(match layer.op {
                ResolvedOp::Conv2d { kernel, stride, padding, .. } => {
                    let window = Window { kernel, stride, padding };
                    match rest.peek().and_then(|next| fusable_pool(next)) {
                        Some(pool) if relu && fuse => {
                            rest.next();
                            Step::ConvReluPool { layer: index, conv: window, pool }
                        }
                        _ => Step::Conv { layer: index, window, relu },
                    }
                }
                ResolvedOp::MaxPool2d { window: kernel, stride, padding } => {
                    Step::MaxPool { window: Window { kernel, stride, padding } }
                }
                ResolvedOp::Flatten => Step::Flatten { length: layer.output[0] },
                ResolvedOp::Dense { .. } => Step::Dense { layer: index, relu },
            });
        }
        Self { steps, layers, input: network.input, classes: network.classes }
    }

    /// Scores `[N, classes]` of images `[N, H, W, C]`.
    ///
    /// `after(layer, activation)` sees the output of every layer with weights, after its activation and, in a fused
    /// group, after the pool (a maximum and a fake quantization commute); what it returns goes on.
    pub(crate) fn forward(
        &self,
        images: &Tensor,
        parameters: &[Parameters],
        mut after: impl FnMut(usize, Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut x = images.clone();
        for step in &self.steps {
            x = match step {
                Step::Conv { layer, window, relu } => {
                    let Parameters { weight, bias } = &parameters[*layer];
                    let y = ops::conv2d(&x, weight, bias, window)?;
                    after(*layer, if *relu { ops::relu(&y)? } else { y })?
                }
                Step::ConvReluPool { layer, conv, pool } => {
                    let Parameters { weight, bias } = &parameters[*layer];
                    after(*layer, ops::conv_relu_pool(&x, weight, bias, conv, pool)?)?
                }
                Step::MaxPool { window } => ops::max_pool2d(&x, window)?,
                Step::Flatten { length } => x.reshape(((), *length))?,
                Step::Dense { layer, relu } => {
                    let Parameters { weight, bias } = &parameters[*layer];
                    let y = ops::linear(&x, weight, bias)?;
                    after(*layer, if *relu { ops::relu(&y)? } else { y })?
                }
            };
        }
        Ok(x)
    }
}

/// The pool's window, where the fused op can take it over.
fn fusable_pool(layer: &ResolvedLayer) -> Option<Window> {
    match layer.op {
        ResolvedOp::MaxPool2d { window, stride, padding }
            if window == stride && padding == [0; 4] =>
        {
            Some(Window { kernel: window, stride, padding })
        }
        _ => None,
    }
}

/// A network with trainable weights.
pub(crate) struct Model {
    /// The forward pass.
    pub(crate) plan: Plan,
    /// Weights of each layer.
    pub(crate) weights: Vec<Var>,
    /// Biases of each layer.
    pub(crate) biases: Vec<Var>,
}

impl Model {
    /// Glorot-uniform weights and zero biases, drawn layer by layer in row-major order.
    pub(crate) fn initialized(network: &Network, seed: u64) -> Result<Self> {
        Self::build(Plan::new(network, true), |index, layer| {
            // of OHWI or [out, in] the first axis is the output, what is between both ends counts for either fan
            let (out, input) = (layer.shape[0], layer.shape[layer.shape.len() - 1]);
            let receptive = layer.elements() / (out * input);
            let limit = (6.0 / (receptive * (input + out)) as f64).sqrt() as f32;
            let mut stream = Stream::new(seed, 0, Purpose::Init, index as u64);
            let weight = (0..layer.elements()).map(|_| stream.symmetric(limit)).collect();
            (weight, vec![0.0; out])
        })
    }

    /// The weights of a checkpoint.
    pub(crate) fn from_tensors(
        network: &Network,
        tensors: &BTreeMap<String, checkpoint::Tensor>,
    ) -> Result<Self> {
        let tensor = |layer: &Weighted, kind: &str| {
            tensors.get(&format!("{}.{kind}", layer.name)).map_or_else(Vec::new, |t| t.data.clone())
        };
        // a missing tensor cannot happen after Checkpoint::load; an empty one fails below, by its shape
        Self::build(Plan::new(network, true), |_, l| (tensor(l, "weight"), tensor(l, "bias")))
    }

    fn build(
        plan: Plan,
        mut values: impl FnMut(usize, &Weighted) -> (Vec<f32>, Vec<f32>),
    ) -> Result<Self> {
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for (index, layer) in plan.layers.iter().enumerate() {
            let (weight, bias) = values(index, layer);
            weights.push(Var::from_vec(weight, layer.shape.as_slice(), &Device::Cpu)?);
            biases.push(Var::from_vec(bias, layer.shape[0], &Device::Cpu)?);
        }
        Ok(Self { plan, weights, biases })
    }

    /// All variables in the order of the optimizer's state: weight and bias of the first layer, of the second, ...
    pub(crate) fn variables(&self) -> Vec<Var> {
        self.weights.iter().zip(&self.biases).flat_map(|(w, b)| [w.clone(), b.clone()]).collect()
    }

    /// The variables' names in the same order, as a checkpoint spells them.
    pub(crate) fn names(&self) -> Vec<String> {
        let both = |l: &Weighted| [format!("{}.weight", l.name), format!("{}.bias", l.name)];
        self.plan.layers.iter().flat_map(both).collect()
    }

    /// The parameters as they are; gradients flow to the variables.
    pub(crate) fn parameters(&self) -> Vec<Parameters> {
        self.weights
            .iter()
            .zip(&self.biases)
            .map(|(w, b)| Parameters { weight: w.as_tensor().clone(), bias: b.as_tensor().clone() })
            .collect()
    }

    /// Copies for a checkpoint.
    pub(crate) fn to_tensors(&self) -> Result<BTreeMap<String, checkpoint::Tensor>> {
        let copy = |(name, var): (String, Var)| {
            let data = var.flatten_all()?.to_vec1()?;
            Ok((name, checkpoint::Tensor { shape: var.dims().to_vec(), data }))
        };
        self.names().into_iter().zip(self.variables()).map(copy).collect()
    }
}

/// Lends out the elements of an f32 tensor on the CPU.
pub(crate) fn with_slice<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    ops::with_values("read", tensor, |values| Ok(f(values)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_spec;

    const NETWORK: &str = r#"
name = "two convolutions"
input = [11, 10, 2]
[[layers]]
op = "conv2d"
out_channels = 5
kernel = [3, 3]
padding = "same"
activation = "relu"
[[layers]]
op = "max_pool2d"
window = [2, 3]
[[layers]]
op = "conv2d"
out_channels = 3
kernel = [2, 2]
activation = "relu"
[[layers]]
op = "max_pool2d"
window = [2, 2]
[[layers]]
op = "flatten"
[[layers]]
op = "dense"
units = 4
"#;

    fn network() -> Network {
        parse_spec(NETWORK, "net.toml".as_ref()).unwrap().resolve().unwrap()
    }

    fn images() -> Tensor {
        let pixels: Vec<f32> = (0..3 * 220).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        Tensor::from_vec(pixels, (3, 11, 10, 2), &Device::Cpu).unwrap()
    }

    /// Largest difference relative to the larger of 1 and the values.
    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        let [a, b] = [a, b].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        assert_eq!(a.len(), b.len());
        let relative = |(a, b): (&f32, &f32)| (a - b).abs() / a.abs().max(b.abs()).max(1.0);
        a.iter().zip(&b).map(relative).fold(0.0, f32::max)
    }

    #[test]
    fn fused_and_general_paths_agree() {
        let network = network();
        let model = Model::initialized(&network, 5).unwrap();
        let general = Plan::new(&network, false);
        let fused_ops =
            |p: &Plan| p.steps.iter().filter(|s| matches!(s, Step::ConvReluPool { .. })).count();
        assert_eq!((fused_ops(&model.plan), fused_ops(&general)), (2, 0));
        let labels = Tensor::new(&[1_u32, 3, 0], &Device::Cpu).unwrap();
        let run = |plan: &Plan| {
            let scores = plan.forward(&images(), &model.parameters(), |_, x| Ok(x)).unwrap();
            let grads = ops::cross_entropy(&scores, &labels).unwrap().backward().unwrap();
            let grads: Vec<Tensor> =
                model.variables().iter().map(|v| grads.get(v).unwrap().clone()).collect();
            (scores, grads)
        };
        let ((a, grads_a), (b, grads_b)) = (run(&model.plan), run(&general));
        assert!(distance(&a, &b) < 1e-5, "scores differ by {}", distance(&a, &b));
        for ((a, b), name) in grads_a.iter().zip(&grads_b).zip(model.names()) {
            assert!(distance(a, b) < 1e-5, "gradients of {name} differ by {}", distance(a, b));
            let largest = a.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(largest > 1e-4, "{name} has no gradient to compare");
        }
    }

    #[test]
    fn weights_start_within_glorots_limit() {
        let model = Model::initialized(&network(), 0).unwrap();
        // conv 3x3x2 -> 5: sqrt(6 / (9 * 2 + 9 * 5))
        let limit = (6.0_f32 / 63.0).sqrt();
        let w = model.weights[0].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let largest = w.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        assert!(largest <= limit && largest > 0.8 * limit, "{largest} of {limit}");
        let mean = w.iter().sum::<f32>() / w.len() as f32;
        assert!(mean.abs() < 0.3 * limit, "{mean}");
        let biases = model.biases[0].to_vec1::<f32>().unwrap();
        assert_eq!(biases, [0.0; 5]);
    }
}
