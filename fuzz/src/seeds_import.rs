//! Seeds of the target `import`: TFLite files of a few operators, which together have every one that is read. The ONNX ones are
//! `seeds_onnx`'s.

use crate::seeds_onnx;
use crate::tflite::{
    Code, Fused, Level, Net, Options, Padding, Sparsity, Tensor, TensorType, conv, dense,
};

/// Path below `corpus/` and content of every seed.
#[must_use]
pub fn files() -> Vec<(String, Vec<u8>)> {
    let nets = [
        ("image_i8", image_i8()),
        ("image_f32", image_f32()),
        ("joined", joined()),
        ("open_batch", open_batch()),
        ("sparse", sparse()),
        ("functions", functions()),
        ("unsigned", unsigned()),
        ("halves", halves()),
        ("sequence", sequence()),
    ];
    let nets = nets.into_iter().map(|(name, net)| (format!("import/{name}.tflite"), net.bytes()));
    let onnx = seeds_onnx::models().into_iter();
    nets.chain(onnx.map(|(name, bytes)| (format!("import/{name}.onnx"), bytes))).collect()
}

/// Constants that look like some.
fn weights(name: &str, dims: &[i32], scales: &[f32]) -> Tensor {
    let codes: Vec<i8> =
        (0..dims.iter().product::<i32>()).map(|k| (k * 37 % 251 - 125) as i8).collect();
    Tensor::codes(name, dims, scales, &codes)
}

fn reals(name: &str, dims: &[i32]) -> Tensor {
    let reals: Vec<f32> =
        (0..dims.iter().product::<i32>()).map(|k| (k * 37 % 251 - 125) as f32 / 64.0).collect();
    Tensor::reals(name, dims, &reals)
}

/// Layers and pools of integers, softmax at the end.
fn image_i8() -> Net {
    let mut net = Net::of(Tensor {
        signature: vec![-1, 6, 6, 2],
        ..Tensor::i8("in", &[1, 6, 6, 2], 0.5, -3)
    });
    let w = net.tensor(Tensor { axis: 0, ..weights("w", &[3, 3, 3, 2], &[0.01, 0.02, 0.03]) });
    let b = net.tensor(Tensor::ints("b", &[3], &[5, -6, 7]));
    let x = net.op(
        Code::CONV_2D,
        &[0, w, b],
        conv(Padding::SAME, Fused::RELU),
        Tensor::i8("c", &[1, 6, 6, 3], 0.25, -128),
    );
    let options = Options::Pool {
        padding: Padding::VALID,
        stride: [2, 2],
        window: [2, 2],
        fused: Fused::NONE,
    };
    let x = net.op(Code::MAX_POOL_2D, &[x], options, Tensor::i8("p", &[1, 3, 3, 3], 0.25, -128));
    let w = net.tensor(Tensor { axis: 3, ..weights("dw", &[1, 2, 2, 6], &[0.01; 6]) });
    let b = net.tensor(Tensor::ints("db", &[6], &[1, 2, 3, 4, 5, 6]));
    let options = Options::Depthwise {
        padding: Padding::SAME,
        stride: [2, 1],
        multiplier: 2,
        fused: Fused::RELU6,
    };
    let x = net.op(
        Code::DEPTHWISE_CONV_2D,
        &[x, w, b],
        options,
        Tensor::i8("d", &[1, 2, 3, 6], 0.1, -128),
    );
    let options = Options::Pool {
        padding: Padding::SAME,
        stride: [1, 1],
        window: [2, 2],
        fused: Fused::NONE,
    };
    let x = net.op(Code::AVERAGE_POOL_2D, &[x], options, Tensor::i8("a", &[1, 2, 3, 6], 0.1, -128));
    let axes = net.tensor(Tensor::ints("axes", &[2], &[1, 2]));
    let x = net.op(
        Code::MEAN,
        &[x, axes],
        Options::Reduce(false),
        Tensor::i8("m", &[1, 6], 0.05, -120),
    );
    let w = net.tensor(weights("fw", &[4, 6], &[0.02]));
    let x = net.op(Code::FULLY_CONNECTED, &[x, w, -1], dense(), Tensor::i8("f", &[1, 4], 0.3, 5));
    net.op(
        Code::SOFTMAX,
        &[x],
        Options::Softmax(1.0),
        Tensor::i8("out", &[1, 4], 1.0 / 256.0, -128),
    );
    net.signature = vec![("image".into(), 0), ("scores".into(), net.outputs[0] as u32)];
    net
}

/// The same in reals, with a pad, a fused clamp and activations of their own.
fn image_f32() -> Net {
    let mut net = Net::of(Tensor::f32("in", &[1, 4, 4, 1]));
    let pads = net.tensor(Tensor::ints("pads", &[4, 2], &[0, 0, 1, 0, 0, 1, 0, 0]));
    let x = net.op(Code::PAD, &[0, pads], Options::None, Tensor::f32("p", &[1, 5, 5, 1]));
    let (w, b) = (net.tensor(reals("w", &[2, 2, 2, 1])), net.tensor(reals("b", &[2])));
    let options = Options::Conv {
        padding: Padding::VALID,
        stride: [1, 1],
        dilation: [2, 2],
        fused: Fused::NONE,
    };
    let x = net.op(Code::CONV_2D, &[x, w, b], options, Tensor::f32("c", &[1, 3, 3, 2]));
    let x = net.op(Code::RELU6, &[x], Options::None, Tensor::f32("r", &[1, 3, 3, 2]));
    let options = Options::Pool {
        padding: Padding::SAME,
        stride: [2, 2],
        window: [2, 2],
        fused: Fused::RELU,
    };
    let x = net.op(Code::AVERAGE_POOL_2D, &[x], options, Tensor::f32("a", &[1, 2, 2, 2]));
    let x = net.op(Code::RELU_N1_TO_1, &[x], Options::None, Tensor::f32("n", &[1, 2, 2, 2]));
    let shape = net.tensor(Tensor::ints("shape", &[2], &[-1, 8]));
    let x = net.op(Code::RESHAPE, &[x, shape], Options::None, Tensor::f32("s", &[1, 8]));
    let (w, b) = (net.tensor(reals("fw", &[3, 8])), net.tensor(reals("fb", &[3])));
    net.op(Code::FULLY_CONNECTED, &[x, w, b], dense(), Tensor::f32("out", &[1, 3]));
    net
}

/// Two inputs, values joined in every way, constants, two outputs.
fn joined() -> Net {
    let value = |name: &str| Tensor::i8(name, &[1, 2, 2, 3], 0.5, 1);
    let mut net = Net::of(value("a"));
    let b = net.tensor(value("b"));
    net.inputs.push(b);
    let x = net.op(
        Code::ADD,
        &[0, b],
        Options::Add(Fused::RELU),
        Tensor::i8("s", &[1, 2, 2, 3], 0.7, -100),
    );
    let k = net.tensor(Tensor { zero_points: vec![4], ..weights("k", &[3], &[0.25]) });
    let x = net.op(
        Code::MUL,
        &[x, k],
        Options::Mul(Fused::NONE),
        Tensor::i8("t", &[1, 2, 2, 3], 0.5, 1),
    );
    let k = net.tensor(Tensor { zero_points: vec![4], ..weights("d", &[], &[0.25]) });
    let x = net.op(
        Code::SUB,
        &[x, k],
        Options::Sub(Fused::NONE),
        Tensor::i8("u", &[1, 2, 2, 3], 0.5, 1),
    );
    let first = x;
    let x = net.op(Code::RELU, &[x], Options::None, Tensor::i8("v", &[1, 2, 2, 3], 0.2, -128));
    let x = net.op(Code::QUANTIZE, &[x], Options::None, Tensor::i8("w", &[1, 2, 2, 3], 0.5, 1));
    let x = net.op(
        Code::CONCATENATION,
        &[x, 0, b],
        Options::Concat(-1, Fused::NONE),
        Tensor::i8("x", &[1, 2, 2, 9], 0.5, 1),
    );
    let pads = net.tensor(Tensor::ints("pads", &[4, 2], &[0, 0, 1, 0, 0, 1, 0, 0]));
    net.op(Code::PAD, &[x, pads], Options::None, Tensor::i8("y", &[1, 3, 3, 9], 0.5, 1));
    net.outputs.push(first);
    net
}

/// Shapes that are computed with.
fn open_batch() -> Net {
    let open = |dims: &[i32], name: &str| {
        let signature = [&[-1], &dims[1..]].concat();
        Tensor { signature, ..Tensor::f32(name, dims) }
    };
    let mut net = Net::of(open(&[1, 2, 3], "in"));
    let shape = net.op(Code::SHAPE, &[0], Options::None, Tensor::shape("shape", &[3]));
    let [zero, one] = [0, 1].map(|k| net.tensor(Tensor::ints("k", &[1], &[k])));
    let options = Options::Slice([0, 0, 0, 0, 1]);
    let batch =
        net.op(Code::STRIDED_SLICE, &[shape, zero, one, one], options, Tensor::shape("batch", &[]));
    let six = net.tensor(Tensor::ints("six", &[], &[6]));
    let target = net.op(Code::PACK, &[batch, six], Options::Pack(2), Tensor::shape("target", &[2]));
    let x = net.op(Code::RESHAPE, &[0, target], Options::Reshape(vec![]), open(&[1, 6], "r"));
    let at = net.tensor(Tensor::ints("at", &[], &[1]));
    let x = net.op(Code::EXPAND_DIMS, &[x, at], Options::None, open(&[1, 1, 6], "e"));
    let x = net.op(Code::SQUEEZE, &[x], Options::Squeeze(vec![1]), open(&[1, 6], "q"));
    let parts = net.op(Code::GATHER, &[shape, zero], Options::Gather(0), Tensor::shape("g", &[1]));
    let product = net.op(
        Code::REDUCE_PROD,
        &[parts, zero],
        Options::Reduce(true),
        Tensor::shape("prod", &[1]),
    );
    let cast = net.op(Code::CAST, &[product], Options::None, Tensor::shape("cast", &[1]));
    let both = net.op(
        Code::CONCATENATION,
        &[cast, one, one],
        Options::Concat(0, Fused::NONE),
        Tensor::shape("both", &[3]),
    );
    let k = net.tensor(Tensor::ints("k", &[3], &[1, 1, 6]));
    let target = net.op(Code::MUL, &[both, k], Options::Mul(Fused::NONE), Tensor::shape("t", &[3]));
    net.op(Code::RESHAPE, &[x, target], Options::None, open(&[1, 1, 6], "out"));
    net
}

/// Weights of two sparse layouts.
fn sparse() -> Net {
    let mut net = Net::of(Tensor::f32("in", &[1, 8]));
    let block = Sparsity {
        order: vec![0, 1, 2],
        blocks: vec![1],
        levels: vec![
            Level::Dense(3),
            Level::Csr(vec![0, 1, 1, 3], vec![1, 0, 1], 1),
            Level::Dense(4),
        ],
    };
    let stored = reals("w", &[12]);
    let w = net.tensor(Tensor { dims: vec![3, 8], sparsity: Some(block), ..stored });
    let x = net.op(Code::FULLY_CONNECTED, &[0, w], dense(), Tensor::f32("f", &[1, 3]));
    let single = Sparsity {
        order: vec![0, 1],
        blocks: vec![],
        levels: vec![Level::Dense(2), Level::Csr(vec![0, 2, 3], vec![0, 2, 1], 2)],
    };
    let w = net.tensor(Tensor { dims: vec![2, 3], sparsity: Some(single), ..reals("v", &[3]) });
    let w = net.op(Code::DENSIFY, &[w], Options::None, Tensor::f32("dense", &[2, 3]));
    net.op(Code::FULLY_CONNECTED, &[x, w], dense(), Tensor::f32("out", &[1, 2]));
    net
}

/// Functions of integers and what turns reals into them and back.
fn functions() -> Net {
    let mut net = Net::of(Tensor::f32("in", &[1, 4]));
    let x = net.op(Code::QUANTIZE, &[0], Options::None, Tensor::i8("q", &[1, 4], 0.1, 3));
    let x =
        net.op(Code::LOGISTIC, &[x], Options::None, Tensor::i8("l", &[1, 4], 1.0 / 256.0, -128));
    let x = net.op(Code::TANH, &[x], Options::None, Tensor::i8("t", &[1, 4], 1.0 / 128.0, 0));
    let x = net.op(Code::DEQUANTIZE, &[x], Options::None, Tensor::f32("d", &[1, 4]));
    let k = net.tensor(reals("k", &[4]));
    let x = net.op(Code::SUB, &[k, x], Options::Sub(Fused::NONE), Tensor::f32("s", &[1, 4]));
    let two = net.tensor(Tensor::reals("two", &[], &[2.0]));
    net.op(Code::DIV, &[x, two], Options::Div(Fused::NONE), Tensor::f32("out", &[1, 4]));
    net
}

/// uint8 in and out.
fn unsigned() -> Net {
    let u8s = |name: &str, dims: &[i32]| Tensor {
        dtype: TensorType::UINT8,
        ..Tensor::i8(name, dims, 0.5, 130)
    };
    let mut net = Net::of(u8s("in", &[1, 4, 4, 1]));
    let options = Options::Pool {
        padding: Padding::SAME,
        stride: [2, 2],
        window: [2, 2],
        fused: Fused::NONE,
    };
    let x = net.op(Code::MAX_POOL_2D, &[0], options, u8s("p", &[1, 2, 2, 1]));
    let x = net.op(Code::QUANTIZE, &[x], Options::None, Tensor::i8("q", &[1, 2, 2, 1], 0.5, 2));
    let x = net.op(Code::RELU, &[x], Options::None, Tensor::i8("r", &[1, 2, 2, 1], 0.5, 2));
    net.op(Code::QUANTIZE, &[x], Options::None, u8s("out", &[1, 2, 2, 1]));
    net
}

/// Weights of 16 bits.
fn halves() -> Net {
    let mut net = Net::of(Tensor::f32("in", &[1, 2]));
    let data = [0x3c00_u16, 0xc000, 0x3555, 0].iter().flat_map(|half| half.to_le_bytes()).collect();
    let w = Tensor { dtype: TensorType::FLOAT16, data, ..Tensor::f32("w", &[2, 2]) };
    let w = net.tensor(w);
    let w = net.op(Code::DEQUANTIZE, &[w], Options::None, Tensor::f32("d", &[2, 2]));
    net.op(Code::FULLY_CONNECTED, &[0, w], dense(), Tensor::f32("out", &[1, 2]));
    net
}

/// A value of three dimensions whose middle one is averaged, and PADV2.
fn sequence() -> Net {
    let mut net = Net::of(Tensor::f32("in", &[1, 3, 2]));
    let pads = net.tensor(Tensor::ints("pads", &[3, 2], &[0, 0, 1, 1, 0, 0]));
    let zero = net.tensor(Tensor::reals("zero", &[], &[0.0]));
    let x = net.op(Code::PADV2, &[0, pads, zero], Options::None, Tensor::f32("p", &[1, 5, 2]));
    let axes = net.tensor(Tensor::ints("axes", &[], &[1]));
    net.op(Code::MEAN, &[x, axes], Options::Reduce(true), Tensor::f32("out", &[1, 1, 2]));
    net
}
