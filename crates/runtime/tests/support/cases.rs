//! Random ops and small networks, built by the format's writer. No assertions here.
#![allow(dead_code, reason = "each test takes what it needs")]

use super::data::Noise;
use penjing_format::write::{
    Constant, ConstantData, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Model as Spec,
    Node, Op, Reshape, Value,
};
use penjing_format::{
    Activation, ChannelAxis, DataType, Padding, QuantParams, ReshapeTarget, Shape,
};
use proptest::prelude::*;

pub(crate) const TYPES: [DataType; 3] = [DataType::F32, DataType::I8, DataType::U8];

pub(crate) fn input_value(dtype: DataType, shape: Shape, params: QuantParams) -> Value {
    let quantization = (dtype != DataType::F32).then_some(params);
    Value { shape: Some(shape), dtype: Some(dtype), quantization, name: None }
}

/// What a node with weights must state: nothing for reals.
pub(crate) fn i8_value(reals: bool, params: QuantParams) -> Option<Value> {
    let value = Value { dtype: Some(DataType::I8), quantization: Some(params), ..Value::default() };
    (!reals).then_some(value)
}

/// Weights with a scale a channel, or one. Output channels are the first dimension.
pub(crate) fn weights(shape: Shape, reals: bool, per_channel: bool, seed: u64) -> Constant {
    weights_along(ChannelAxis::First, shape, reals, per_channel, seed)
}

/// Weights with a scale an output channel, or one.
pub(crate) fn weights_along(
    axis: ChannelAxis,
    shape: Shape,
    reals: bool,
    per_channel: bool,
    seed: u64,
) -> Constant {
    let mut noise = Noise(seed);
    let len = shape.elements().unwrap();
    if reals {
        return Constant::f32(shape, (0..len).map(|_| noise.real()).collect());
    }
    let scales = if per_channel { axis.channels(shape).unwrap() } else { 1 };
    let scales = (0..scales).map(|_| 0.001 + (noise.next() >> 44) as f32 * 1e-8).collect();
    Constant::i8(shape, scales, (0..len).map(|_| noise.weight()).collect())
}

pub(crate) fn bias(channels: u32, reals: bool, seed: u64) -> Option<Constant> {
    let mut noise = Noise(seed);
    match seed % 5 {
        0 => None,
        // Reaches beyond 2^24, so that sums must be collected in i32.
        1 if !reals => Some(Constant::bias(
            (0..channels).map(|_| (noise.next() >> 36) as i32 - (1 << 27)).collect(),
        )),
        _ if reals => Some(Constant::bias_f32((0..channels).map(|_| noise.real()).collect())),
        _ => Some(Constant::bias(
            (0..channels).map(|_| (noise.next() >> 50) as i32 - (1 << 13)).collect(),
        )),
    }
}

pub(crate) fn zero_point(dtype: DataType, seed: u64) -> i32 {
    let (min, max) = dtype.integer_range().unwrap_or((0, 0));
    match seed % 4 {
        0 => min,
        1 => max,
        _ => min + ((seed >> 8) % (max - min + 1) as u64) as i32,
    }
}

pub(crate) fn params(dtype: DataType, scale: f32, seed: u64) -> QuantParams {
    QuantParams { scale, zero_point: zero_point(dtype, seed) }
}

pub(crate) fn activation(seed: u64) -> Activation {
    match seed % 8 {
        0 | 2 => Activation::Relu,
        4 => Activation::Relu6,
        6 => Activation::ReluN1To1,
        _ => Activation::None,
    }
}

pub(crate) fn padding(top: u32, bottom: u32, left: u32, right: u32) -> Padding {
    Padding { top, bottom, left, right }
}

/// A convolution's random attributes.
#[derive(Clone, Debug)]
pub(crate) struct ConvCase {
    pub(crate) dtype: DataType,
    pub(crate) input: [u32; 3],
    pub(crate) kernel: [u32; 2],
    pub(crate) out_channels: u32,
    pub(crate) stride: [u32; 2],
    pub(crate) dilation: [u32; 2],
    pub(crate) pads: [u32; 4],
    /// Window, stride and pads of a pool that follows.
    pub(crate) pool: Option<([u32; 2], [u32; 2], [u32; 4])>,
    pub(crate) seed: u64,
}

pub(crate) fn conv_case() -> impl Strategy<Value = ConvCase> {
    let pool = ([1..4_u32, 1..4], [1..4_u32, 1..4], [0..2_u32, 0..2, 0..2, 0..2]);
    (
        (0..3_usize, [1..11_u32, 1..13, 1..20], [1..5_u32, 1..5], 1..70_u32),
        ([1..4_u32, 1..4], [1..4_u32, 1..4], [0..4_u32, 0..4, 0..4, 0..4]),
        (proptest::option::of(pool), any::<u64>()),
    )
        .prop_map(|((dtype, input, kernel, out_channels), (stride, dilation, pads), rest)| {
            let (pool, seed) = rest;
            let dtype = TYPES[dtype];
            ConvCase { dtype, input, kernel, out_channels, stride, dilation, pads, pool, seed }
        })
}

impl ConvCase {
    /// `None` where the window does not fit.
    pub(crate) fn spec(&self) -> Option<Spec> {
        let [h, w, c] = self.input;
        let shape: Shape = [1, h, w, c].into();
        let kernel: Shape = [self.out_channels, self.kernel[0], self.kernel[1], c].into();
        let [top, bottom, left, right] = self.pads;
        let (pads, stride, dilation) =
            (padding(top, bottom, left, right), self.stride, self.dilation);
        let out = penjing_format::infer::conv2d(shape, kernel, stride, dilation, pads).ok()?;
        let reals = self.dtype == DataType::F32;
        let conv = Op::Conv2d(Conv2d {
            weights: weights(kernel, reals, self.seed.is_multiple_of(3), self.seed),
            bias: bias(self.out_channels, reals, self.seed >> 3),
            stride,
            dilation,
            padding: pads,
            activation: activation(self.seed >> 5),
        });
        // Outputs from a few steps to far beyond the range.
        let scale = 0.01 * (1 + (self.seed >> 9) % 200) as f32;
        let value = i8_value(reals, params(DataType::I8, scale, self.seed >> 7));
        let mut nodes = vec![Node::new(conv, value)];
        if let Some((window, stride, [top, bottom, left, right])) = self.pool {
            let padding = padding(top, bottom, left, right);
            penjing_format::infer::max_pool2d(out, window, stride, padding).ok()?;
            let pool = MaxPool2d { window, stride, padding };
            nodes.push(Node::new(Op::MaxPool2d(pool), None));
        }
        let input = input_value(self.dtype, shape, params(self.dtype, 0.02, self.seed >> 11));
        Some(Spec { inputs: vec![input], nodes, ..Spec::default() })
    }
}

/// A depthwise convolution's random attributes.
#[derive(Clone, Debug)]
pub(crate) struct DepthwiseCase {
    pub(crate) dtype: DataType,
    pub(crate) input: [u32; 3],
    pub(crate) kernel: [u32; 2],
    /// Output channels that read one input channel.
    pub(crate) multiplier: u32,
    pub(crate) stride: [u32; 2],
    pub(crate) dilation: [u32; 2],
    pub(crate) pads: [u32; 4],
    pub(crate) seed: u64,
}

pub(crate) fn depthwise_case() -> impl Strategy<Value = DepthwiseCase> {
    (
        (0..3_usize, [1..11_u32, 1..13, 1..21], [1..5_u32, 1..5], 1..4_u32),
        ([1..4_u32, 1..4], [1..4_u32, 1..4], [0..4_u32, 0..4, 0..4, 0..4], any::<u64>()),
    )
        .prop_map(|((dtype, input, kernel, multiplier), (stride, dilation, pads, seed))| {
            let dtype = TYPES[dtype];
            DepthwiseCase { dtype, input, kernel, multiplier, stride, dilation, pads, seed }
        })
}

impl DepthwiseCase {
    /// `None` where the window does not fit.
    pub(crate) fn spec(&self) -> Option<Spec> {
        let [h, w, c] = self.input;
        let channels = c * self.multiplier;
        let shape: Shape = [1, h, w, c].into();
        let kernel: Shape = [1, self.kernel[0], self.kernel[1], channels].into();
        let [top, bottom, left, right] = self.pads;
        let (pads, stride, dilation) =
            (padding(top, bottom, left, right), self.stride, self.dilation);
        penjing_format::infer::depthwise_conv2d(shape, kernel, stride, dilation, pads).ok()?;
        let reals = self.dtype == DataType::F32;
        let per_channel = self.seed.is_multiple_of(3);
        let op = Op::DepthwiseConv2d(DepthwiseConv2d {
            weights: weights_along(ChannelAxis::Last, kernel, reals, per_channel, self.seed),
            bias: bias(channels, reals, self.seed >> 3),
            stride,
            dilation,
            padding: pads,
            activation: activation(self.seed >> 5),
        });
        // Outputs from a few steps to far beyond the range.
        let scale = 0.003 * (1 + (self.seed >> 9) % 200) as f32;
        let value = i8_value(reals, params(DataType::I8, scale, self.seed >> 7));
        let input = input_value(self.dtype, shape, params(self.dtype, 0.02, self.seed >> 11));
        Some(Spec { inputs: vec![input], nodes: vec![Node::new(op, value)], ..Spec::default() })
    }
}

/// Appends a dense layer to a convolution and its pool.
pub(crate) fn flatten_into_dense(spec: &mut Spec, case: &ConvCase, out: u32) {
    let reals = case.dtype == DataType::F32;
    let [h, w, _] = case.input;
    let [top, bottom, left, right] = case.pads;
    let pooled = |len: u32, pad: u32| (len + pad - 2) / 2;
    let features = pooled(h, top + bottom) * pooled(w, left + right) * case.out_channels;
    let dense = Op::FullyConnected(FullyConnected {
        weights: weights([out, features].into(), reals, case.seed.is_multiple_of(7), case.seed),
        bias: bias(out, reals, case.seed >> 2),
        activation: activation(case.seed >> 6),
    });
    let flatten = Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN });
    spec.nodes.push(Node::new(flatten, None));
    let value = i8_value(reals, params(DataType::I8, 0.5, case.seed >> 8));
    spec.nodes.push(Node::new(dense, value));
}

/// A dense layer by itself.
pub(crate) fn dense_spec(dtype: DataType, features: u32, out: u32, seed: u64) -> Spec {
    let reals = dtype == DataType::F32;
    let dense = Op::FullyConnected(FullyConnected {
        weights: weights([out, features].into(), reals, seed.is_multiple_of(3), seed),
        bias: bias(out, reals, seed >> 3),
        activation: activation(seed >> 5),
    });
    let value = i8_value(reals, params(DataType::I8, 0.5, seed >> 7));
    let input = input_value(dtype, [1, features].into(), params(dtype, 0.02, seed >> 11));
    Spec { inputs: vec![input], nodes: vec![Node::new(dense, value)], ..Spec::default() }
}

/// The article's network in small: conv 3x3 + ReLU, max-pool 2x2, flatten, dense to 10.
pub(crate) fn network_spec(dtype: DataType) -> Spec {
    let case = ConvCase {
        dtype,
        input: [12, 14, 1],
        kernel: [3, 3],
        out_channels: 12,
        stride: [1, 1],
        dilation: [1, 1],
        pads: [0; 4],
        pool: Some(([2, 2], [2, 2], [0; 4])),
        seed: 0xe3,
    };
    let mut spec = case.spec().unwrap();
    let reals = dtype == DataType::F32;
    let flatten = penjing_format::ReshapeTarget::FLATTEN;
    let reshape = penjing_format::write::Reshape { target: flatten };
    spec.nodes.push(Node::new(Op::Reshape(reshape), None));
    let dense = dense_spec(dtype, 5 * 6 * 12, 10, 77).nodes.remove(0);
    let value = i8_value(reals, QuantParams { scale: 40.0, zero_point: 4 });
    spec.nodes.push(Node { value, ..dense });
    spec
}

/// Networks of a few hundred bytes that have every op with weights, with so many zeros that they can be packed in any way;
/// with `few` their int8 weights have few levels, and so few bits.
pub(crate) fn small_specs(dtype: DataType, few: bool) -> [Spec; 2] {
    let case = ConvCase {
        dtype,
        input: [6, 6, 1],
        kernel: [3, 3],
        out_channels: 4,
        stride: [1, 1],
        dilation: [1, 1],
        pads: [0; 4],
        pool: Some(([2, 2], [2, 2], [0; 4])),
        seed: 0xe3,
    };
    let mut network = case.spec().unwrap();
    flatten_into_dense(&mut network, &case, 4);
    let depthwise = DepthwiseCase {
        dtype,
        input: [4, 4, 2],
        kernel: [2, 3],
        multiplier: 2,
        stride: [1, 1],
        dilation: [1, 1],
        pads: [0; 4],
        seed: 0x1235,
    };
    let mut specs = [network, depthwise.spec().unwrap()];
    let nodes = specs.iter_mut().flat_map(|spec| &mut spec.nodes);
    for weights in nodes.filter_map(|node| match &mut node.op {
        Op::Conv2d(op) => Some(&mut op.weights),
        Op::DepthwiseConv2d(op) => Some(&mut op.weights),
        Op::FullyConnected(op) => Some(&mut op.weights),
        _ => None,
    }) {
        thin(&mut weights.data, few);
    }
    specs
}

fn thin(data: &mut ConstantData, few: bool) {
    match data {
        ConstantData::F32(data) => data.iter_mut().step_by(2).for_each(|weight| *weight = 0.0),
        ConstantData::I8(data) => {
            data.iter_mut().step_by(2).for_each(|weight| *weight = 0);
            data.iter_mut().filter(|_| few).for_each(|weight| *weight %= 4);
        }
        _ => {}
    }
}
