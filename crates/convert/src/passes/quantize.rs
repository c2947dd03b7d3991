//! From f32 nodes with known grids to int8: weights, biases, constant operands and activations. Nodes without a grid stay as
//! they are, and so do those that read reals.

use penjing_format::{DataType, QuantParams};
use penjing_quant::{quantize_bias, quantize_weight};

use crate::eval::operand_grid;
use crate::ir::{Bias, Graph, Op, Operand, WeightData, Weights};

/// Turns every node whose inputs, constants and output have grids into integers.
///
/// Weights and their scales come from the functions that training fake-quantizes with, so the integers are exactly those
/// that the network was trained for.
pub(crate) fn quantize(graph: &mut Graph) {
    for k in 0..graph.nodes.len() {
        let input = graph.value(graph.nodes[k].inputs[0]).clone();
        let of_integers = |&id: &usize| graph.value(id).dtype != DataType::F32;
        if !graph.nodes[k].inputs.iter().all(of_integers) {
            continue;
        }
        let Some(s_in) = input.quantization else { continue };
        let node = &mut graph.nodes[k];
        if node.op.is_pass_through() {
            node.output.dtype = input.dtype;
            node.output.quantization = input.quantization;
            continue;
        }
        let has_grid = node.output.quantization.is_some();
        let becomes = has_grid
            && match &mut node.op {
                Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_) => node
                    .op
                    .layer_mut()
                    .is_some_and(|(weights, bias)| quantize_layer(weights, bias, s_in)),
                Op::Add(op) | Op::Mul(op) => op.operand.as_mut().is_none_or(quantize_operand),
                Op::Mean | Op::Softmax | Op::Logistic | Op::Tanh => true,
                _ => false,
            };
        if becomes {
            node.output.dtype = DataType::I8;
        }
    }
}

/// Whether the operand could be quantized: it is real and has a granularity.
fn quantize_operand(operand: &mut Operand) -> bool {
    let WeightData::F32(data, Some(_)) = &operand.data else { return false };
    let grid = operand_grid(data);
    let codes = data.iter().map(|&x| grid.quantize_i8(x)).collect();
    operand.data = WeightData::I8(codes, vec![grid.scale]);
    operand.zero_point = grid.zero_point;
    true
}

/// Whether the layer could be quantized: it has real weights, a granularity and a real bias.
fn quantize_layer(weights: &mut Weights, bias: &mut Bias, input: QuantParams) -> bool {
    let (Some(scales), WeightData::F32(data, _), Bias::F32(reals)) =
        (weights.scales(), &weights.data, &*bias)
    else {
        return false;
    };
    let scale_of = |channel: usize| scales[if scales.len() == 1 { 0 } else { channel }];
    let code = |(i, &w): (usize, &f32)| quantize_weight(w, scale_of(weights.channel_of(i)));
    let codes: Vec<i8> = data.iter().enumerate().map(code).collect();
    let mut magnitudes = vec![0_i64; weights.out_channels()];
    for (i, q) in codes.iter().enumerate() {
        magnitudes[weights.channel_of(i)] += i64::from(q.unsigned_abs());
    }
    let biases = reals.iter().enumerate().map(|(channel, &b)| {
        quantize_bias(b, input.scale, scale_of(channel), bias_limit(magnitudes[channel]))
    });
    *bias = Bias::I32(biases.collect());
    weights.data = WeightData::I8(codes, scales);
    true
}

/// Largest bias that keeps the accumulator within int32 whatever the input: 8-bit inputs differ from their zero point by
/// at most 255. `magnitude` is the sum of the channel's `|w|`.
fn bias_limit(magnitude: i64) -> i32 {
    i32::try_from(i64::from(i32::MAX) - 255 * magnitude).unwrap_or(0).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use penjing_checkpoint::Granularity;
    use penjing_format::ChannelAxis;

    #[test]
    fn a_layer_becomes_the_integers_of_its_fake_quantization() {
        let data = vec![0.5, -0.25, 0.0, 0.0, 1.0, 0.126];
        let reals = WeightData::F32(data, Some(Granularity::PerChannel));
        let mut weights = Weights { shape: vec![3, 2], axis: ChannelAxis::First, data: reals };
        let fake = weights.reals().unwrap();
        let mut bias = Bias::F32(vec![0.1, -0.2, 0.3]);
        assert!(quantize_layer(&mut weights, &mut bias, QuantParams::PIXEL));
        let WeightData::I8(codes, scales) = &weights.data else { panic!("still real") };
        assert_eq!(codes, &[127, -64, 0, 0, 127, 16]);
        for (i, (&q, &f)) in codes.iter().zip(&fake).enumerate() {
            assert_eq!(f32::from(q) * scales[i / 2], f);
        }
        let Bias::I32(b) = bias else { panic!("still real") };
        for (channel, want) in [0.1, -0.2, 0.3].into_iter().enumerate() {
            let got = f64::from(b[channel]) * f64::from(scales[channel]) / 255.0;
            assert!((got - want).abs() < 2e-5, "channel {channel}: {got} for {want}");
        }
    }

    #[test]
    fn an_operand_has_a_zero_point_of_its_own() {
        let data = vec![0.0, 2.55, 1.004];
        let fake =
            Operand { data: WeightData::F32(data, Some(Granularity::PerTensor)), zero_point: 0 };
        let mut operand = fake.clone();
        assert!(quantize_operand(&mut operand));
        let WeightData::I8(codes, _) = &operand.data else { panic!("still real") };
        assert_eq!((&codes[..], operand.zero_point), (&[-128, 127, -28][..], -128));
        assert_eq!(crate::eval::reals(&operand), crate::eval::reals(&fake));
        assert!(!quantize_operand(&mut operand), "integers already");
    }

    #[test]
    fn a_huge_bias_is_cut_to_what_its_own_channel_leaves() {
        let reals = WeightData::F32(vec![0.0, 1.0, -1.0, 1.0], Some(Granularity::PerTensor));
        let mut weights = Weights { shape: vec![2, 2], axis: ChannelAxis::First, data: reals };
        let mut bias = Bias::F32(vec![1e9, -1e9]);
        assert!(quantize_layer(&mut weights, &mut bias, QuantParams::PIXEL));
        assert_eq!(bias, Bias::I32(vec![i32::MAX - 255 * 127, -(i32::MAX - 255 * 254)]));
    }

    #[test]
    fn the_bias_leaves_room_for_the_accumulator() {
        assert_eq!(bias_limit(254), i32::MAX - 255 * 254);
        assert_eq!(bias_limit(127 * 70_000), 0);
    }
}
