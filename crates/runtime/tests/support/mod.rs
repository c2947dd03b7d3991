//! Random models for the tests, built by the format's writer, and their images. No assertions here.
#![allow(dead_code, reason = "each test takes what it needs")]

use penjing_format::write::{
    Constant, ConstantData, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Model as Spec,
    Node, Op, PackingChoice, Reshape, Value,
};
use penjing_format::{
    Activation, ChannelAxis, DataType, Padding, QuantParams, ReshapeTarget, Shape,
};
use penjing_runtime::reference::{self, Tensor};
use penjing_runtime::{Input, Isa, Model, Output, RunError, Session, SessionOptions};
use proptest::prelude::*;
use std::io::Write;
use std::sync::OnceLock;

/// Owned elements of any type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    U8(Vec<u8>),
    I8(Vec<i8>),
    F32(Vec<f32>),
}

impl Data {
    pub(crate) fn zeros(dtype: DataType, len: usize) -> Self {
        match dtype {
            DataType::U8 => Data::U8(vec![0; len]),
            DataType::I8 => Data::I8(vec![0; len]),
            _ => Data::F32(vec![0.0; len]),
        }
    }

    /// Elements from bytes; every eighth f32 or so is an extreme.
    pub(crate) fn noise(dtype: DataType, len: usize, seed: u64) -> Self {
        let mut bytes = Noise(seed);
        match dtype {
            DataType::U8 => Data::U8((0..len).map(|_| bytes.extreme_byte()).collect()),
            DataType::I8 => Data::I8((0..len).map(|_| bytes.extreme_byte() as i8).collect()),
            _ => Data::F32((0..len).map(|_| bytes.real()).collect()),
        }
    }

    /// Sets all but every `keep`th run of 11 elements to what stands for real 0.
    pub(crate) fn blank(&mut self, zero_point: i32, keep: usize) {
        let runs = |i: usize| !(i / 11).is_multiple_of(keep);
        match self {
            Data::U8(x) => {
                x.iter_mut().enumerate().for_each(|(i, x)| {
                    if runs(i) {
                        *x = zero_point as u8
                    }
                });
            }
            Data::I8(x) => {
                x.iter_mut().enumerate().for_each(|(i, x)| {
                    if runs(i) {
                        *x = zero_point as i8
                    }
                });
            }
            Data::F32(x) => {
                x.iter_mut().enumerate().for_each(|(i, x)| {
                    if runs(i) {
                        *x = 0.0
                    }
                });
            }
        }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Data::U8(x) => x.into(),
            Data::I8(x) => x.into(),
            Data::F32(x) => x.into(),
        }
    }

    pub(crate) fn output(&mut self) -> Output<'_> {
        match self {
            Data::U8(x) => x.into(),
            Data::I8(x) => x.into(),
            Data::F32(x) => x.into(),
        }
    }

    /// Image `index` of images of `len` elements, as the oracle takes it.
    pub(crate) fn image(&self, index: usize, len: usize) -> Tensor {
        let range = index * len..(index + 1) * len;
        match self {
            Data::U8(x) => Tensor::codes(&x[range]),
            Data::I8(x) => Tensor::codes(&x[range]),
            Data::F32(x) => Tensor::reals(&x[range]),
        }
    }
}

/// splitmix64: small, and the same everywhere.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A byte; the ends of both signs' ranges often.
    pub(crate) fn extreme_byte(&mut self) -> u8 {
        let bits = self.next();
        match bits >> 61 {
            0 => [0, 255, 127, 128][(bits >> 8) as usize % 4],
            _ => bits as u8,
        }
    }

    /// A weight code: the ends of the range and zero often.
    pub(crate) fn weight(&mut self) -> i8 {
        let bits = self.next();
        match bits >> 61 {
            0 => [127, -127, 0, -128][(bits >> 8) as usize % 4],
            1..=3 => 0,
            _ => bits as i8,
        }
    }

    /// A real around 1, or zero.
    pub(crate) fn real(&mut self) -> f32 {
        let bits = self.next();
        let unit = (bits >> 40) as f32 / (1 << 23) as f32 - 1.0;
        match bits & 7 {
            0 => 0.0,
            1 => unit * 100.0,
            _ => unit,
        }
    }
}

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
    if seed.is_multiple_of(2) { Activation::Relu } else { Activation::None }
}

pub(crate) fn padding(top: u32, bottom: u32, left: u32, right: u32) -> Padding {
    Padding { top, bottom, left, right }
}

pub(crate) fn model(spec: &Spec, packing: PackingChoice) -> Model {
    Model::from_bytes(spec.to_bytes(packing).unwrap()).unwrap()
}

/// A session with the instruction set that `PENJING_ISA` names, or the best.
pub(crate) fn session(model: &Model, threads: usize) -> Session {
    Session::new(model, SessionOptions { threads, ..SessionOptions::default() }).unwrap()
}

pub(crate) fn session_on(model: &Model, isa: Isa, threads: usize) -> Session {
    let options = SessionOptions { threads, isa: Some(isa), ..SessionOptions::default() };
    Session::new(model, options).unwrap()
}

/// Every instruction set that this machine has. Says which it lacks; `PENJING_REQUIRE_ISA`, names with commas between, makes
/// it fail where one of those is lacking.
pub(crate) fn instruction_sets() -> &'static [Isa] {
    static SETS: OnceLock<Vec<Isa>> = OnceLock::new();
    SETS.get_or_init(|| {
        let required = std::env::var("PENJING_REQUIRE_ISA").unwrap_or_default();
        let required: Vec<&str> = required.split(',').filter(|name| !name.is_empty()).collect();
        for name in &required {
            assert!(Isa::from_name(name).is_ok(), "PENJING_REQUIRE_ISA: no {name} here");
        }
        let sets: Vec<Isa> = Isa::available().collect();
        for name in Isa::NAMES {
            if sets.iter().all(|isa| isa.name() != *name) {
                // Past the harness, which keeps what a passing test prints.
                let _ = writeln!(std::io::stderr(), "SKIPPED: {name}, which this machine lacks");
            }
        }
        sets
    })
}

/// Runs a batch through a model with one input and one output.
pub(crate) fn run(
    session: &mut Session,
    model: &Model,
    images: &Data,
    n: usize,
) -> Result<Data, RunError> {
    let info = model.outputs().next().unwrap();
    let mut output = Data::zeros(info.dtype, n * info.shape.elements().unwrap());
    session.run(images.input(), output.output())?;
    Ok(output)
}

/// Holds a batch's results against the oracle's, image by image. Reals may differ by `slack` times the oracle's tolerance.
pub(crate) fn check(isa: Isa, model: &Model, images: &Data, results: &Data, n: usize, slack: f64) {
    let input_len = model.inputs().next().unwrap().shape.elements().unwrap();
    let output_len = model.outputs().next().unwrap().shape.elements().unwrap();
    for index in 0..n {
        let want = reference::run(&model.view(), &[images.image(index, input_len)]).unwrap();
        agree(isa, &results.image(index, output_len), &want[0], slack);
    }
}

/// As [`check`] for reals, where an error is measured by the largest input and by all weights of the first node, a convolution:
/// what Winograd's sums, which mix the inputs of neighbouring outputs, can promise.
pub(crate) fn check_by_magnitude(
    isa: Isa,
    spec: &Spec,
    model: &Model,
    images: &Data,
    found: &Data,
    n: usize,
) {
    let (Op::Conv2d(conv), Data::F32(x), Data::F32(found)) = (&spec.nodes[0].op, images, found)
    else {
        panic!("a convolution of reals expected")
    };
    let reals = |constant: &Constant| match &constant.data {
        ConstantData::F32(values) => values.clone(),
        _ => panic!("reals expected"),
    };
    let weights = reals(&conv.weights);
    let channels = conv.weights.shape.first().unwrap() as usize;
    let bias = conv.bias.as_ref().map_or(vec![0.0; channels], reals);
    let (image, result) = (x.len() / n, found.len() / n);
    for index in 0..n {
        let want = reference::run(&model.view(), &[images.image(index, image)]).unwrap();
        let Tensor::Reals(want, _) = &want[0] else { panic!("reals expected") };
        let x = &x[index * image..(index + 1) * image];
        let largest = x.iter().fold(0.0_f32, |a, &x| a.max(x.abs()));
        for (i, (w, f)) in want.iter().zip(&found[index * result..]).enumerate() {
            let c = i % channels;
            let taps = weights.len() / channels;
            let sum: f32 = weights[c * taps..(c + 1) * taps].iter().map(|w| w.abs()).sum();
            let tolerance = 1e-5 * (largest * sum + bias[c].abs());
            assert!((w - f).abs() <= tolerance, "{isa}: element {i}: {f}, expected {w}");
        }
    }
}

/// Holds one image's result against the oracle's.
pub(crate) fn agree(isa: Isa, found: &Tensor, want: &Tensor, slack: f64) {
    match (want, found) {
        (Tensor::Codes(want), Tensor::Codes(found)) => assert_eq!(found, want, "{isa}"),
        (Tensor::Reals(want, tolerances), Tensor::Reals(found, _)) => {
            assert_eq!(want.len(), found.len());
            for (i, ((w, f), t)) in want.iter().zip(found).zip(tolerances).enumerate() {
                let error = (f64::from(*w) - f64::from(*f)).abs();
                assert!(error <= t * slack, "{isa}: element {i}: {f}, expected {w}");
            }
        }
        _ => panic!("the oracle and the session differ in type"),
    }
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

/// A dense layer by itself.
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
