//! Twelve general layers, f32 and int8, each a model of one op in a session of one thread. The article's network, peers and
//! the percentage of the peak are `cargo xtask bench`'s.
//!
//! The instruction set is the sessions' own choice (`PENJING_ISA`), and the first part of each benchmark's id. Throughput is
//! in multiply-accumulates (MAC), padding's among them. Only `Session::run` is timed.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use penjing_format::write::{
    Constant, Conv2d, DepthwiseConv2d, FullyConnected, Model as Spec, Node, Op, PackingChoice,
    Value,
};
use penjing_format::{Activation, DataType, Padding, QuantParams, Shape};
use penjing_runtime::{Input, Model, Output, Session, SessionOptions};

/// One layer.
#[derive(Clone, Copy)]
struct Layer {
    name: &'static str,
    kind: Kind,
    /// Images a call.
    batch: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Conv(Window),
    Depthwise(Window),
    /// Input and output features.
    Dense(u32, u32),
}

/// A convolution's geometry; the output has a pixel for each `stride` of the input's (the padding called `same`).
#[derive(Clone, Copy)]
struct Window {
    /// Height, width, channels.
    input: [u32; 3],
    /// Height and width.
    kernel: u32,
    stride: u32,
    out_channels: u32,
}

const fn window(input: [u32; 3], kernel: u32, stride: u32, out_channels: u32) -> Window {
    Window { input, kernel, stride, out_channels }
}

const fn conv(name: &'static str, window: Window) -> Layer {
    Layer { name, kind: Kind::Conv(window), batch: 1 }
}

const fn depthwise(name: &'static str, input: [u32; 3], stride: u32) -> Layer {
    Layer { name, kind: Kind::Depthwise(window(input, 3, stride, input[2])), batch: 1 }
}

const LAYERS: [Layer; 12] = [
    conv("conv3x3_s2_3to32_96x96", window([96, 96, 3], 3, 2, 32)),
    conv("conv3x3_16to16_32x32", window([32, 32, 16], 3, 1, 16)),
    conv("conv3x3_s2_32to64_16x16", window([16, 16, 32], 3, 2, 64)),
    conv("conv3x3_64to64_8x8", window([8, 8, 64], 3, 1, 64)),
    conv("conv5x5_16to32_14x14", window([14, 14, 16], 5, 1, 32)),
    conv("conv5x5_s2_3to24_64x64", window([64, 64, 3], 5, 2, 24)),
    conv("conv1x1_64to64_25x5", window([25, 5, 64], 1, 1, 64)),
    conv("conv1x1_128to256_6x6", window([6, 6, 128], 1, 1, 256)),
    conv("conv1x1_s2_32to16_32x32", window([32, 32, 32], 1, 2, 16)),
    depthwise("depthwise3x3_64_25x5", [25, 5, 64], 1),
    depthwise("depthwise3x3_s2_128_12x12", [12, 12, 128], 2),
    Layer { name: "dense_640to128_b32", kind: Kind::Dense(640, 128), batch: 32 },
];

/// A small generator: enough for elements that are not all alike, and the same in every run.
fn noise(len: usize) -> impl Iterator<Item = i8> {
    let mut state = 0x2545_f491_u32;
    (0..len).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 24) as i32 - 128).max(-127) as i8
    })
}

fn weights(shape: Shape, channels: u32, integers: bool) -> Constant {
    let noise = noise(shape.elements().expect("a layer's weights fit in memory"));
    match integers {
        true => Constant::i8(shape, vec![0.01; channels as usize], noise.collect()),
        false => Constant::f32(shape, noise.map(|w| f32::from(w) * 0.01).collect()),
    }
}

fn bias(channels: u32, integers: bool) -> Option<Constant> {
    let noise = noise(channels as usize);
    Some(match integers {
        true => Constant::bias(noise.map(i32::from).collect()),
        false => Constant::bias_f32(noise.map(f32::from).collect()),
    })
}

impl Window {
    /// As much before as after, or one more after.
    fn padding(&self) -> Padding {
        let split = |len: u32| {
            let needed = (len.div_ceil(self.stride) - 1) * self.stride + self.kernel;
            let total = needed.saturating_sub(len);
            (total / 2, total.div_ceil(2))
        };
        let ((top, bottom), (left, right)) = (split(self.input[0]), split(self.input[1]));
        Padding { top, bottom, left, right }
    }

    fn input_shape(&self) -> Shape {
        let [height, width, channels] = self.input;
        [1, height, width, channels].into()
    }

    /// MACs an image: output pixels times `taps` a pixel and channel.
    fn macs(&self, taps: u32) -> u64 {
        let pixels = self.input[0].div_ceil(self.stride) * self.input[1].div_ceil(self.stride);
        u64::from(pixels) * u64::from(self.out_channels) * u64::from(taps)
    }
}

impl Layer {
    /// MACs a call.
    fn macs(&self) -> u64 {
        let an_image = match self.kind {
            Kind::Conv(w) => w.macs(w.kernel * w.kernel * w.input[2]),
            Kind::Depthwise(w) => w.macs(w.kernel * w.kernel),
            Kind::Dense(features, out) => u64::from(features) * u64::from(out),
        };
        an_image * self.batch as u64
    }

    fn op(&self, integers: bool) -> Op {
        match self.kind {
            Kind::Conv(w) => {
                let shape = [w.out_channels, w.kernel, w.kernel, w.input[2]].into();
                Op::Conv2d(Conv2d {
                    weights: weights(shape, w.out_channels, integers),
                    bias: bias(w.out_channels, integers),
                    stride: [w.stride; 2],
                    dilation: [1; 2],
                    padding: w.padding(),
                    activation: Activation::Relu,
                })
            }
            Kind::Depthwise(w) => {
                let shape = [1, w.kernel, w.kernel, w.out_channels].into();
                Op::DepthwiseConv2d(DepthwiseConv2d {
                    weights: weights(shape, w.out_channels, integers),
                    bias: bias(w.out_channels, integers),
                    stride: [w.stride; 2],
                    dilation: [1; 2],
                    padding: w.padding(),
                    activation: Activation::Relu,
                })
            }
            Kind::Dense(features, out) => Op::FullyConnected(FullyConnected {
                weights: weights([out, features].into(), out, integers),
                bias: bias(out, integers),
                activation: Activation::Relu,
            }),
        }
    }

    fn model(&self, integers: bool) -> Model {
        let shape = match self.kind {
            Kind::Conv(w) | Kind::Depthwise(w) => w.input_shape(),
            Kind::Dense(features, _) => [1, features].into(),
        };
        let quantized = |scale, zero_point| Value {
            dtype: Some(DataType::I8),
            quantization: Some(QuantParams { scale, zero_point }),
            ..Value::default()
        };
        let (input, value) = match integers {
            true => (quantized(0.02, 3), Some(quantized(0.5, -7))),
            false => (Value { dtype: Some(DataType::F32), ..Value::default() }, None),
        };
        let spec = Spec {
            inputs: vec![Value { shape: Some(shape), ..input }],
            nodes: vec![Node::new(self.op(integers), value)],
            ..Spec::default()
        };
        let bytes = spec.to_bytes(PackingChoice::Dense).expect("a layer makes a valid model");
        Model::from_bytes(bytes).expect("what the writer wrote can be read")
    }
}

fn bench(criterion: &mut Criterion) {
    for layer in LAYERS {
        for (dtype, integers) in [("int8", true), ("f32", false)] {
            let model = layer.model(integers);
            let session = Session::new(&model, SessionOptions::default())
                .unwrap_or_else(|error| panic!("{}, {dtype}: {error}", layer.name));
            let elements = |shape: Shape| layer.batch * shape.elements().expect("fits in memory");
            let input = elements(model.inputs().next().expect("one").shape);
            let output = elements(model.outputs().next().expect("one").shape);
            let mut group = criterion.benchmark_group(session.isa().name());
            group.throughput(Throughput::Elements(layer.macs()));
            let id = BenchmarkId::new(layer.name, dtype);
            if integers {
                let codes: Vec<i8> = noise(input).collect();
                time(&mut group, id, session, &codes, vec![0_i8; output]);
            } else {
                let reals: Vec<f32> = noise(input).map(|q| f32::from(q) * 0.02).collect();
                time(&mut group, id, session, &reals, vec![0_f32; output]);
            }
            group.finish();
        }
    }
}

fn time<T: PartialEq>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    mut session: Session,
    input: &[T],
    mut output: Vec<T>,
) where
    for<'a> Input<'a>: From<&'a [T]>,
    for<'a> Output<'a>: From<&'a mut [T]>,
{
    session.run(input, &mut output[..]).expect("the buffers are as long as the model says");
    let dull = output.iter().all(|x| *x == output[0]);
    assert!(!dull, "a layer whose results are all alike measures nothing that is used");
    group.bench_function(id, |bencher| {
        bencher.iter(|| session.run(black_box(input), &mut output[..]));
    });
}

fn main() {
    // short, since the least time is what is read
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
