//! Random models for the tests, built by the format's writer, and their images. No assertions here.
#![allow(dead_code, reason = "each test takes what it needs")]

use penjing_format::write::{
    Constant, Conv2d, FullyConnected, MaxPool2d, Model as Spec, Node, Op, PackingChoice, Value,
};
use penjing_format::{Activation, DataType, Padding, QuantParams, Shape};
use penjing_runtime::reference::{self, Tensor};
use penjing_runtime::{Input, Model, Output, RunError, Session, SessionOptions};
use proptest::prelude::*;

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

/// Weights with a scale a channel, or one.
pub(crate) fn weights(shape: Shape, reals: bool, per_channel: bool, seed: u64) -> Constant {
    let mut noise = Noise(seed);
    let len = shape.elements().unwrap();
    if reals {
        return Constant::f32(shape, (0..len).map(|_| noise.real()).collect());
    }
    let scales = if per_channel { shape.first().unwrap() } else { 1 };
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

pub(crate) fn session(model: &Model, threads: usize) -> Session {
    Session::new(model, SessionOptions { threads, ..SessionOptions::default() }).unwrap()
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
pub(crate) fn check(model: &Model, images: &Data, results: &Data, n: usize, slack: f64) {
    let input_len = model.inputs().next().unwrap().shape.elements().unwrap();
    let output_len = model.outputs().next().unwrap().shape.elements().unwrap();
    for index in 0..n {
        let want = reference::run(&model.view(), &[images.image(index, input_len)]).unwrap();
        agree(&results.image(index, output_len), &want[0], slack);
    }
}

/// Holds one image's result against the oracle's.
pub(crate) fn agree(found: &Tensor, want: &Tensor, slack: f64) {
    match (want, found) {
        (Tensor::Codes(want), Tensor::Codes(found)) => assert_eq!(found, want),
        (Tensor::Reals(want, tolerances), Tensor::Reals(found, _)) => {
            assert_eq!(want.len(), found.len());
            for (i, ((w, f), t)) in want.iter().zip(found).zip(tolerances).enumerate() {
                let error = (f64::from(*w) - f64::from(*f)).abs();
                assert!(error <= t * slack, "element {i}: {f}, expected {w}");
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
        (0..3_usize, [1..11_u32, 1..13, 1..9], [1..5_u32, 1..5], 1..18_u32),
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
