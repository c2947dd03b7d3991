//! Each op of the interpreter against values worked out by hand.

use penjing_checkpoint::Granularity;
use penjing_format::{ChannelAxis, Shape};

use super::*;
use crate::ir::{Bias, Binary, Conv, Dense, Pool, Weights};

fn value(shape: &[u32]) -> Value {
    let shape = Shape::new(shape).unwrap();
    Value { name: None, shape, dtype: DataType::F32, quantization: None }
}

/// What one node makes of its inputs.
fn apply(op: Op, inputs: &[(&[u32], &[f32])], output: Value) -> Vec<f32> {
    let node = Node { name: "node".into(), op, inputs: (0..inputs.len()).collect(), output };
    let graph = Graph {
        name: String::new(),
        inputs: inputs.iter().map(|(shape, _)| value(shape)).collect(),
        nodes: vec![node],
        outputs: vec![inputs.len()],
        pixels: false,
    };
    let data: Vec<_> = inputs.iter().map(|(_, x)| *x).collect();
    Evaluator::new(&graph).unwrap().run(&data).pop().unwrap()
}

fn kernel(shape: &[u32], axis: ChannelAxis, data: &[f32]) -> Weights {
    Weights { shape: shape.to_vec(), axis, data: WeightData::F32(data.to_vec(), None) }
}

fn conv(weights: Weights, bias: &[f32], activation: Activation) -> Conv {
    let (stride, dilation) = ([1, 1], [1, 1]);
    let bias = Bias::F32(bias.to_vec());
    Conv { weights, bias, stride, dilation, padding: Default::default(), activation }
}

const RAMP: [f32; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];

#[test]
fn convolutions_with_padding_stride_and_dilation() {
    let weights = kernel(&[1, 2, 2, 1], ChannelAxis::First, &[1.0, 0.0, 0.0, -1.0]);
    let plain = conv(weights.clone(), &[0.5], Activation::None);
    let input: (&[u32], &[f32]) = (&[1, 3, 3, 1], &RAMP);
    assert_eq!(apply(Op::Conv2d(plain.clone()), &[input], value(&[1, 2, 2, 1])), [-3.5; 4]);
    let dilated = Conv { dilation: [2, 2], ..plain.clone() };
    assert_eq!(apply(Op::Conv2d(dilated), &[input], value(&[1, 1, 1, 1])), [-7.5]);
    let padding = penjing_format::Padding { top: 1, left: 1, ..Default::default() };
    let padded = Conv { padding, stride: [2, 2], ..plain };
    let y = apply(Op::Conv2d(padded), &[input], value(&[1, 2, 2, 1]));
    assert_eq!(y, [-0.5, -2.5, -6.5, -3.5]);
}

#[test]
fn more_channels_than_a_block_and_a_fused_relu() {
    let weights: Vec<f32> = (0..20).map(|i| i as f32 - 10.0).collect();
    let op = Dense {
        weights: kernel(&[20, 1], ChannelAxis::First, &weights),
        bias: Bias::F32(vec![1.0; 20]),
        activation: Activation::Relu,
    };
    let y = apply(Op::FullyConnected(op), &[(&[1, 1], &[2.0])], value(&[1, 20]));
    let want: Vec<f32> = (0..20).map(|i| (2.0 * (i as f32 - 10.0) + 1.0).max(0.0)).collect();
    assert_eq!(y, want);
}

#[test]
fn depthwise_convolutions_with_and_without_a_multiplier() {
    let x: &[f32] = &[1.0, 10.0, 2.0, 20.0];
    let one = kernel(&[1, 1, 2, 2], ChannelAxis::Last, &[1.0, 2.0, 3.0, 4.0]);
    let op = conv(one, &[0.0, 1.0], Activation::None);
    let y = apply(Op::DepthwiseConv2d(op), &[(&[1, 1, 2, 2], x)], value(&[1, 1, 1, 2]));
    assert_eq!(y, [7.0, 101.0]);
    let two = kernel(&[1, 1, 1, 4], ChannelAxis::Last, &[1.0, 2.0, 3.0, 4.0]);
    let op = conv(two, &[0.0; 4], Activation::None);
    let y = apply(Op::DepthwiseConv2d(op), &[(&[1, 1, 2, 2], x)], value(&[1, 1, 2, 4]));
    assert_eq!(y, [1.0, 2.0, 30.0, 40.0, 2.0, 4.0, 60.0, 80.0]);
}

#[test]
fn pools_and_mean_do_not_count_padding() {
    let input: (&[u32], &[f32]) = (&[1, 3, 3, 1], &RAMP);
    let padding = penjing_format::Padding { bottom: 1, right: 1, ..Default::default() };
    let pool = Pool { window: [2, 2], stride: [2, 2], padding };
    let output = || value(&[1, 2, 2, 1]);
    assert_eq!(apply(Op::MaxPool2d(pool), &[input], output()), [5.0, 6.0, 8.0, 9.0]);
    assert_eq!(apply(Op::AveragePool2d(pool), &[input], output()), [3.0, 4.5, 7.5, 9.0]);
    let x: &[f32] = &[1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 6.0, -6.0];
    assert_eq!(apply(Op::Mean, &[(&[1, 2, 2, 2], x)], value(&[1, 2])), [3.0, -3.0]);
}

#[test]
fn operands_broadcast() {
    let add = |operand: Option<&[f32]>| {
        let data = |x: &[f32]| WeightData::F32(x.to_vec(), None);
        let operand = operand.map(|x| Operand { data: data(x), zero_point: 0 });
        Op::Add(Binary { operand, activation: Activation::None })
    };
    let x: (&[u32], &[f32]) = (&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let column: (&[u32], &[f32]) = (&[1, 2, 1], &[10.0, 20.0]);
    let row: (&[u32], &[f32]) = (&[1, 1, 2], &[10.0, 20.0]);
    let output = || value(&[1, 2, 2]);
    assert_eq!(apply(add(None), &[x, x], output()), [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(apply(add(None), &[x, column], output()), [11.0, 12.0, 23.0, 24.0]);
    assert_eq!(apply(add(None), &[row, x], output()), [11.0, 22.0, 13.0, 24.0]);
    assert_eq!(apply(add(None), &[column, row], output()), [20.0, 30.0, 30.0, 40.0]);
    assert_eq!(apply(add(Some(&[5.0])), &[x], output()), [6.0, 7.0, 8.0, 9.0]);
    assert_eq!(apply(add(Some(&[1.0, -1.0])), &[x], output()), [2.0, 1.0, 4.0, 3.0]);
    let mul = Op::Mul(Binary { operand: None, activation: Activation::Relu });
    assert_eq!(apply(mul, &[x, (&[1, 1, 2], &[-1.0, 2.0])], output()), [0.0, 4.0, 0.0, 8.0]);
}

#[test]
fn elements_move_where_they_belong() {
    let x: (&[u32], &[f32]) = (&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let y = apply(Op::Pad(vec![[1, 0], [0, 1]]), &[x], value(&[1, 3, 3]));
    assert_eq!(y, [0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
    let b: (&[u32], &[f32]) = (&[1, 2, 1], &[8.0, 9.0]);
    let y = apply(Op::Concat { axis: 2 }, &[x, b], value(&[1, 2, 3]));
    assert_eq!(y, [1.0, 2.0, 8.0, 3.0, 4.0, 9.0]);
    let y = apply(Op::Concat { axis: 1 }, &[x, x], value(&[1, 4, 2]));
    assert_eq!(y, [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(apply(Op::Reshape, &[x], value(&[1, 4])), x.1);
}

#[test]
fn functions_of_one_value() {
    let x: (&[u32], &[f32]) = (&[1, 2, 2], &[0.0, 3.0_f32.ln(), -7.0, -7.0]);
    let y = apply(Op::Softmax, &[x], value(&[1, 2, 2]));
    for (y, want) in y.iter().zip([0.25, 0.75, 0.5, 0.5]) {
        assert!((y - want).abs() < 1e-6, "{y} for {want}");
    }
    let y = apply(Op::Logistic, &[x], value(&[1, 2, 2]));
    assert_eq!(y[0], 0.5);
    assert!((y[1] - 0.75).abs() < 1e-6);
    let y = apply(Op::Tanh, &[x], value(&[1, 2, 2]));
    assert_eq!(y[0], 0.0);
    assert!((y[1] - 0.8).abs() < 1e-6);
    let y = apply(Op::Relu(Activation::Relu), &[x], value(&[1, 2, 2]));
    assert_eq!(y, [0.0, 3.0_f32.ln(), 0.0, 0.0]);
}

#[test]
fn grids_of_values_and_of_a_constant_operand() {
    let grid = QuantParams { scale: 0.5, zero_point: 0 };
    let output = || Value { quantization: Some(grid), ..value(&[1, 3]) };
    let x: (&[u32], &[f32]) = (&[1, 3], &[0.2, 0.3, 100.0]);
    assert_eq!(apply(Op::Quantize, &[x], output()), [0.0, 0.5, 63.5]);
    let to_u8 = Value { dtype: DataType::U8, ..output() };
    assert_eq!(apply(Op::Quantize, &[x], to_u8), [0.0, 0.5, 100.0]);
    let operand = WeightData::F32(vec![0.0, 2.55, 1.004], Some(Granularity::PerTensor));
    let operand = Some(Operand { data: operand, zero_point: 0 });
    let mul = Op::Mul(Binary { operand, activation: Activation::None });
    let y = apply(mul, &[(&[1, 3], &[1.0, 1.0, 1.0])], value(&[1, 3]));
    for (y, want) in y.iter().zip([0.0, 2.55, 1.0]) {
        assert!((y - want).abs() < 1e-6, "{y} for {want}");
    }
}

#[test]
fn integers_are_read_by_their_scales() {
    let codes = |axis, shape: &[u32]| Weights {
        shape: shape.to_vec(),
        axis,
        data: WeightData::I8(vec![2, -4], vec![0.5, 0.25]),
    };
    let dense = Op::FullyConnected(Dense {
        weights: codes(ChannelAxis::First, &[2, 1]),
        bias: Bias::I32(vec![8, 16]),
        activation: Activation::None,
    });
    let graph = |quantization| Graph {
        name: String::new(),
        inputs: vec![Value { quantization, ..value(&[1, 1]) }],
        nodes: vec![Node {
            name: "dense".into(),
            op: dense.clone(),
            inputs: vec![0],
            output: value(&[1, 2]),
        }],
        outputs: vec![1],
        pixels: false,
    };
    assert!(Evaluator::new(&graph(None)).is_none(), "a bias in units of an unknown scale");
    let graph = graph(Some(QuantParams { scale: 0.125, zero_point: 0 }));
    let y = Evaluator::new(&graph).unwrap().run(&[&[3.0]]).pop().unwrap();
    assert_eq!(y, [3.0 + 0.5, -3.0 + 0.5]);
}
