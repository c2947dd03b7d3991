//! Channels whose sums would leave 32 bits, as TFMOT's files have them: what the TFLite front end makes of them yields the same
//! code for every input, and sums that fit.

mod support;

use penjing_convert::ir::{Bias, Op, WeightData};
use penjing_convert::tflite;
use penjing_format::Activation;
use penjing_quant::{QuantParams, Requantize};

use support::Tensor;
use support::fb::ActivationFunctionType as Fused;
use support::nets::{conv_i8, conv_op, conv_options};

const INPUT: QuantParams = QuantParams { scale: 0.023_5, zero_point: -128 };

/// A layer of three channels of 18 weights each.
struct Layer {
    weights: [i8; 54],
    scales: Vec<f32>,
    bias: [i32; 3],
    output: QuantParams,
    fused: Fused,
}

impl Layer {
    /// The layer as the front end leaves it.
    fn settled(&self) -> Result<Layer, String> {
        let mut net = conv_i8();
        let grid = |grid: QuantParams| (vec![grid.scale], vec![i64::from(grid.zero_point)]);
        (net.tensors[0].scales, net.tensors[0].zero_points) = grid(INPUT);
        (net.tensors[3].scales, net.tensors[3].zero_points) = grid(self.output);
        net.tensors[1] = Tensor::codes(&[3, 3, 3, 2], &self.weights, &self.scales);
        net.tensors[2] = Tensor::ints(&[3], &self.bias);
        let fused_activation_function = self.fused;
        let options =
            support::fb::Conv2DOptionsArgs { fused_activation_function, ..conv_options() };
        net.operators[0] = conv_op(&[0, 1, 2], 3, options);
        let graph = tflite::read(&net.bytes(), "test").map_err(|error| error.to_string())?;
        let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!("{graph:?}") };
        let WeightData::I8(weights, scales) = &conv.weights.data else { panic!("{graph:?}") };
        let Bias::I32(bias) = &conv.bias else { panic!("{graph:?}") };
        Ok(Layer {
            weights: weights[..].try_into().expect("54 weights"),
            scales: scales.clone(),
            bias: bias[..].try_into().expect("3 biases"),
            ..*self
        })
    }

    fn rule(&self, channel: usize) -> Requantize {
        let activation = match self.fused {
            Fused::RELU => Activation::Relu,
            Fused::RELU6 => Activation::Relu6,
            Fused::RELU_N1_TO_1 => Activation::ReluN1To1,
            _ => Activation::None,
        };
        let (low, high) = activation.bounds();
        let bounds = (low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY));
        let bounds = self.output.bounds_i8(bounds.0, bounds.1);
        let scale = self.scales[if self.scales.len() == 1 { 0 } else { channel }];
        Requantize::to_i8(INPUT.scale, scale, self.output.scale, self.output.zero_point, bounds)
    }

    /// A channel's code for one input; sums wrap as LiteRT's do.
    fn code(&self, channel: usize, input: &[i8; 18]) -> i32 {
        let weights = &self.weights[channel * 18..][..18];
        let product = |(&w, &x): (&i8, &i8)| i32::from(w) * (i32::from(x) - INPUT.zero_point);
        let sum = weights.iter().zip(input).map(product);
        self.rule(channel).apply(sum.fold(self.bias[channel], i32::wrapping_add))
    }

    /// Whether no input takes a sum out of 32 bits, by the bound that readers use.
    fn fits(&self) -> bool {
        (0..3).all(|channel| {
            let weights = &self.weights[channel * 18..][..18];
            let sum: i64 = weights.iter().map(|&w| i64::from(w).abs() * 255).sum();
            sum + i64::from(self.bias[channel]).abs() <= i64::from(i32::MAX)
        })
    }
}

/// Fails unless both layers yield the same codes.
#[track_caller]
fn same(before: &Layer, after: &Layer) {
    assert!(after.fits(), "{:?} {:?}", after.scales, after.bias);
    assert_eq!(before.weights, after.weights);
    let ramp = std::array::from_fn(|k| (k as i32 * 15 - 128) as i8);
    for input in [[-128; 18], [127; 18], [0; 18], ramp] {
        for channel in 0..3 {
            let codes = [before, after].map(|layer| layer.code(channel, &input));
            assert_eq!(codes[0], codes[1], "channel {channel}: {:?}", after.bias);
        }
    }
}

/// Channels 0 and 2 have weights, channel 1 has none.
fn weights() -> [i8; 54] {
    std::array::from_fn(|k| if k / 18 == 1 { 0 } else { (k as i32 * 37 % 101 - 50) as i8 })
}

#[test]
fn a_dead_channel_gets_a_usual_scale_and_a_small_bias() {
    let grids = [(0.05, -128), (0.000_01, 5), (3.0, 127), (1e-6, -7), (40.0, 0)];
    for fused in [Fused::NONE, Fused::RELU, Fused::RELU6, Fused::RELU_N1_TO_1] {
        for (scale, zero_point) in grids {
            for bias in [i32::MIN, i32::MIN + 1, -1_000_000_007, -3, 0, 9, 1 << 24, i32::MAX] {
                let layer = Layer {
                    weights: weights(),
                    scales: vec![0.004, 3.937e-9, 0.002],
                    bias: [100, bias, -200],
                    output: QuantParams { scale, zero_point },
                    fused,
                };
                let settled = layer.settled().expect("a layer that can be settled");
                same(&layer, &settled);
                assert_eq!((settled.bias[0], settled.bias[2]), (100, -200));
                assert_eq!((settled.scales[0], settled.scales[2]), (0.004, 0.002));
                assert!(i64::from(settled.bias[1]).abs() < 1 << 26, "{:?}", settled.bias);
            }
        }
    }
}

#[test]
fn one_scale_for_all_becomes_one_a_channel_only_where_it_must() {
    let layer = |weights, scale, bias| Layer {
        weights,
        scales: vec![scale],
        bias,
        output: QuantParams { scale: 0.05, zero_point: 3 },
        fused: Fused::NONE,
    };
    // saturates: a smaller bias does
    let saturated = layer(weights(), 0.004, [100, i32::MIN, -200]);
    let settled = saturated.settled().expect("a layer that can be settled");
    assert_eq!(settled.scales, [0.004]);
    same(&saturated, &settled);
    // no bias of 32 bits but -2^31 has its code, and the scale is all channels'
    let exact = layer([0; 54], 3.937e-9, [7, i32::MIN, -200]);
    let settled = exact.settled().expect("a layer that can be settled");
    same(&exact, &settled);
}

#[test]
fn a_channel_that_always_saturates_gets_the_smallest_bias_that_does() {
    let layer = |bias| Layer {
        weights: weights(),
        scales: vec![0.004; 3],
        bias: [bias, 5, -200],
        output: QuantParams { scale: 0.05, zero_point: 3 },
        fused: Fused::RELU,
    };
    let low = layer(i32::MIN + 90_000);
    let settled = low.settled().expect("a layer that can be settled");
    same(&low, &settled);
    assert_ne!(settled.bias[0], low.bias[0]);
    let high = layer(i32::MAX - 90_000);
    same(&high, &high.settled().expect("a layer that can be settled"));
    // sums that wrap for some inputs
    let error = layer(i32::MAX - 9).settled().err().expect("a refusal");
    assert!(error.contains("sums that fit 32 bits"), "{error}");
}
