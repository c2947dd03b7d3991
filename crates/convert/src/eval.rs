//! Interprets a graph in f32 with fake quantization: what the network was trained to be, before lowering. It shares no
//! code with the runtime's kernels or with training's, so that each can be held against it. Plain loops, one image at a
//! time: an oracle, not an engine.

use penjing_format::{Activation, DataType, Padding};

use crate::ir::{Bias, Graph, Op, Pool, Value, Weights};

/// A graph ready to be interpreted: kernels fake-quantized and transposed once.
#[derive(Debug)]
pub struct Evaluator<'g> {
    graph: &'g Graph,
    kernels: Vec<Option<Kernel>>,
}

/// A layer's constants: weights as `[taps * in_channels][out_channels]`, so that the inner loop runs over channels.
#[derive(Debug)]
struct Kernel {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl<'g> Evaluator<'g> {
    /// Prepares a graph whose weights and biases are still real: `Lowered::source`. `None` if some are integers, and for ops that no
    /// checkpoint has.
    #[must_use]
    pub fn new(graph: &'g Graph) -> Option<Self> {
        let kernels = graph
            .nodes
            .iter()
            .map(|node| match (&node.op, node.op.layer()) {
                (Op::DepthwiseConv2d(_), _) => None,
                (_, Some((weights, bias))) => Kernel::new(weights, bias).map(Some),
                (Op::MaxPool2d(_) | Op::Reshape | Op::Quantize | Op::Dequantize, _) => Some(None),
                _ => None,
            })
            .collect::<Option<_>>()?;
        Some(Self { graph, kernels })
    }

    /// Scores of one image of u8 pixels, in f32; on the output's grid where it has one.
    ///
    /// # Panics
    /// If `pixels` is not as long as the input's shape says.
    #[must_use]
    pub fn scores(&self, pixels: &[u8]) -> Vec<f32> {
        self.values(pixels).swap_remove(self.graph.outputs[0])
    }

    /// Every value of the graph for one image of u8 pixels, by its number: the input, then what each node yields, on its
    /// grid where it has one.
    ///
    /// # Panics
    /// As [`Self::scores`].
    #[must_use]
    pub fn values(&self, pixels: &[u8]) -> Vec<Vec<f32>> {
        let input = &self.graph.inputs[0];
        assert_eq!(Some(pixels.len()), input.shape.elements(), "one image at a time");
        let grid = input.quantization.unwrap_or(penjing_quant::QuantParams::PIXEL);
        let reals = pixels.iter().map(|&p| grid.dequantize(i32::from(p))).collect();
        let mut values: Vec<Vec<f32>> = vec![reals];
        for (node, kernel) in self.graph.nodes.iter().zip(&self.kernels) {
            let x = &values[node.inputs[0]];
            let x_value = self.graph.value(node.inputs[0]);
            let mut y = compute(&node.op, kernel.as_ref(), x, x_value, &node.output);
            if !node.op.is_pass_through() {
                fake_quantize(&mut y, &node.output);
            }
            values.push(y);
        }
        values
    }
}

impl Kernel {
    fn new(weights: &Weights, bias: &Bias) -> Option<Self> {
        let Bias::F32(bias) = bias else { return None };
        let reals = weights.reals()?;
        let channels = weights.out_channels();
        let k = reals.len() / channels;
        let mut transposed = vec![0.0; reals.len()];
        for (channel, row) in reals.chunks(k).enumerate() {
            for (tap, &w) in row.iter().enumerate() {
                transposed[tap * channels + channel] = w;
            }
        }
        Some(Self { weights: transposed, bias: bias.clone() })
    }
}

fn fake_quantize(values: &mut [f32], output: &Value) {
    if let (DataType::F32, Some(grid)) = (output.dtype, output.quantization) {
        for v in values {
            *v = grid.fake_quantize_i8(*v);
        }
    }
}

fn compute(op: &Op, kernel: Option<&Kernel>, x: &[f32], input: &Value, output: &Value) -> Vec<f32> {
    match (op, kernel) {
        (Op::Conv2d(op), Some(kernel)) => {
            let taps = [op.weights.shape[1], op.weights.shape[2]];
            let (stride, dilation, padding) = (op.stride, op.dilation, op.padding);
            let window = Windows { taps, stride, dilation, padding };
            activate(conv2d(x, input, output, kernel, &window), op.activation)
        }
        (Op::FullyConnected(op), Some(kernel)) => {
            let mut y = kernel.bias.clone();
            accumulate(&mut y, x, &kernel.weights);
            activate(y, op.activation)
        }
        (Op::MaxPool2d(Pool { window, stride, padding }), _) => {
            let window =
                Windows { taps: *window, stride: *stride, dilation: [1, 1], padding: *padding };
            max_pool2d(x, input, output, &window)
        }
        (Op::Reshape | Op::Quantize | Op::Dequantize, _) => x.to_vec(),
        (op, _) => unreachable!("new() refuses {}", op.name()),
    }
}

fn activate(mut y: Vec<f32>, activation: Activation) -> Vec<f32> {
    if activation == Activation::Relu {
        for v in &mut y {
            *v = v.max(0.0);
        }
    }
    y
}

/// `y[channel] += x[k] * weights[k][channel]`.
fn accumulate(y: &mut [f32], x: &[f32], weights: &[f32]) {
    for (&x, row) in x.iter().zip(weights.chunks_exact(y.len())) {
        for (y, &w) in y.iter_mut().zip(row) {
            *y += x * w;
        }
    }
}

/// Geometry of a sliding window.
struct Windows {
    taps: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    padding: Padding,
}

impl Windows {
    /// Calls `visit(tap, position)` for each tap of the window at `out` (row, column) that lies inside the image, with
    /// the number of the tap and of the input position, both row-major.
    fn visit(&self, out: [usize; 2], image: [usize; 2], mut visit: impl FnMut(usize, usize)) {
        let before = [self.padding.top as usize, self.padding.left as usize];
        for ky in 0..self.taps[0] as usize {
            let y = out[0] * self.stride[0] as usize + ky * self.dilation[0] as usize;
            for kx in 0..self.taps[1] as usize {
                let x = out[1] * self.stride[1] as usize + kx * self.dilation[1] as usize;
                let (Some(y), Some(x)) = (y.checked_sub(before[0]), x.checked_sub(before[1]))
                else {
                    continue;
                };
                if y < image[0] && x < image[1] {
                    visit(ky * self.taps[1] as usize + kx, y * image[1] + x);
                }
            }
        }
    }
}

/// Height, width, channels of a value of shape `[1, H, W, C]`.
fn image(value: &Value) -> [usize; 3] {
    let dims = value.shape.dims();
    [dims[1] as usize, dims[2] as usize, dims[3] as usize]
}

fn conv2d(x: &[f32], input: &Value, output: &Value, kernel: &Kernel, window: &Windows) -> Vec<f32> {
    let ([h, w, c], [oh, ow, oc]) = (image(input), image(output));
    let mut y = Vec::with_capacity(oh * ow * oc);
    for oy in 0..oh {
        for ox in 0..ow {
            let start = y.len();
            y.extend_from_slice(&kernel.bias);
            window.visit([oy, ox], [h, w], |tap, at| {
                let weights = &kernel.weights[tap * c * oc..(tap + 1) * c * oc];
                accumulate(&mut y[start..], &x[at * c..(at + 1) * c], weights);
            });
        }
    }
    y
}

fn max_pool2d(x: &[f32], input: &Value, output: &Value, window: &Windows) -> Vec<f32> {
    let ([h, w, c], [oh, ow, _]) = (image(input), image(output));
    let mut y = Vec::with_capacity(oh * ow * c);
    for oy in 0..oh {
        for ox in 0..ow {
            let start = y.len();
            y.resize(start + c, f32::NEG_INFINITY);
            window.visit([oy, ox], [h, w], |_, at| {
                for (y, &x) in y[start..].iter_mut().zip(&x[at * c..(at + 1) * c]) {
                    *y = y.max(x);
                }
            });
        }
    }
    y
}
