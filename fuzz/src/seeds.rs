//! The corpora's seeds: small models that together have every op, packing, type and field. They are valid; what is not valid
//! the fuzzer makes of them.

use crate::seeds_joined;
use penjing_format::write::{
    Constant, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Model, Node, Normalization, Op,
    PackingChoice, Reshape, Value,
};
use penjing_format::{
    Activation, DataType, Padding, QuantParams, ReshapeTarget, Shape, hash, signature,
};

/// Path below `corpus/` and content of every seed. The endings tell committed seeds from what a fuzzer found.
#[must_use]
pub fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (number, (name, model)) in models().into_iter().enumerate() {
        files.push((format!("open/{name}.pnj"), model.clone()));
        // See `run`: bytes to make images of, their count, and how to run.
        let noise: Vec<u8> = (0..24_usize).map(|i| (i * 89 + number * 31) as u8).collect();
        let how = [noise.len() as u8, number.wrapping_mul(5) as u8];
        files.push((format!("run/{name}.bin"), [model, noise, how.to_vec()].concat()));
    }
    files
}

fn models() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut add = |name: &str, model: &Model, packing: PackingChoice| {
        let file = model.to_bytes(packing).unwrap_or_else(|error| panic!("{name}: {error}"));
        files.push((format!("{name}_{}", packing.name()), file));
    };
    for packing in PackingChoice::IN_PLACE.into_iter().chain([PackingChoice::Coded]) {
        add("dense_i8", &dense(i8s([6, 32].into(), 6, 7, 99)), packing);
        add("dense_bits", &dense(i8s([6, 32].into(), 1, 7, 3)), packing);
        add("dense_f32", &dense(f32s([3, 32].into())), packing);
        add("conv", &conv(i8s([4, 3, 3, 8].into(), 4, 7, 60)), packing);
        add("depthwise", &depthwise(i8s([1, 3, 3, 8].into(), 8, 5, 30)), packing);
    }
    for bits in 1..8 {
        add(&format!("levels_{bits}"), &levels(bits), PackingChoice::Dense);
        add(&format!("levels_{bits}"), &levels(bits), PackingChoice::Auto);
    }
    add("article", &article(), PackingChoice::Bitmap);
    add("article_f32", &article_f32(), PackingChoice::Auto);
    add("wide_conv", &wide_conv(), PackingChoice::Auto);
    add("all_fields", &all_fields(), PackingChoice::Gaps);
    add("graph", &graph(), PackingChoice::Auto);
    add("depthwise_f32", &depthwise(f32s([1, 3, 3, 8].into())), PackingChoice::Bitmap);
    add("nothing_stored", &dense(i8s([6, 32].into(), 1, 7, 0)), PackingChoice::Gaps);
    let chain = all_fields().to_bytes(PackingChoice::Auto).expect("added above");
    let mut signed = signature::append(signature::message(&chain, 7), [0x5a; 64]);
    hash::stamp(&mut signed);
    files.push(("signed".into(), signed));
    // Seeds are numbered, so that what comes later lies behind.
    for packing in PackingChoice::IN_PLACE.into_iter().chain([PackingChoice::Coded]) {
        for (name, model) in seeds_joined::operands() {
            let file = model.to_bytes(packing).unwrap_or_else(|error| panic!("{name}: {error}"));
            files.push((format!("{name}_{}", packing.name()), file));
        }
    }
    for (name, model) in seeds_joined::graphs() {
        let file = model.to_bytes(PackingChoice::Auto).unwrap_or_else(|e| panic!("{name}: {e}"));
        files.push((format!("{name}_auto"), file));
    }
    files
}

/// Two of eight elements are not zero, the same in each row, so that every packing can hold them. Sizes of up to `most`.
fn sparse(len: usize, step: usize, most: u8) -> Vec<i8> {
    let size = |i: usize| (1 + i * step / 3 % usize::from(most.max(1))) as i8;
    let signed = |i: usize| if i.is_multiple_of(3) { -size(i) } else { size(i) };
    (0..len).map(|i| if i % 8 < 2 && most > 0 { signed(i) } else { 0 }).collect()
}

pub(crate) fn i8s(shape: Shape, scales: usize, step: usize, most: u8) -> Constant {
    let len = shape.elements().expect("a small shape");
    let scales = (0..scales).map(|i| 0.01 + 0.003 * i as f32).collect();
    Constant::i8(shape, scales, sparse(len, step, most))
}

pub(crate) fn f32s(shape: Shape) -> Constant {
    let len = shape.elements().expect("a small shape");
    Constant::f32(shape, sparse(len, 7, 90).into_iter().map(|w| f32::from(w) * 0.03).collect())
}

pub(crate) fn integers(dtype: DataType, scale: f32, zero_point: i32) -> Value {
    let quantization = Some(QuantParams { scale, zero_point });
    Value { dtype: Some(dtype), quantization, ..Value::default() }
}

pub(crate) fn reals() -> Value {
    Value { dtype: Some(DataType::F32), ..Value::default() }
}

pub(crate) fn shaped(shape: Shape, ty: Value) -> Value {
    Value { shape: Some(shape), ..ty }
}

fn named(name: &str, value: Value) -> Value {
    Value { name: Some(name.into()), ..value }
}

fn is_real(weights: &Constant) -> bool {
    weights.scales.is_empty()
}

/// What a node with such weights states.
fn result(weights: &Constant) -> Option<Value> {
    (!is_real(weights)).then(|| integers(DataType::I8, 0.07, -9))
}

fn bias(weights: &Constant, channels: usize) -> Option<Constant> {
    let of = |i: usize| (i * 67 % 400) as i32 - 200;
    Some(if is_real(weights) {
        Constant::bias_f32((0..channels).map(|i| of(i) as f32 / 128.0).collect())
    } else {
        Constant::bias((0..channels).map(of).collect())
    })
}

fn dense(weights: Constant) -> Model {
    let [out, features] = weights.shape.as_2d().expect("two dimensions");
    let ty = if is_real(&weights) { reals() } else { integers(DataType::U8, 0.02, 3) };
    let value = result(&weights);
    let bias = bias(&weights, out as usize);
    let op = FullyConnected { weights, bias, activation: Activation::Relu };
    Model {
        inputs: vec![shaped([1, features].into(), ty)],
        nodes: vec![Node::new(Op::FullyConnected(op), value)],
        ..Model::default()
    }
}

fn conv(weights: Constant) -> Model {
    let [out, _, _, channels] = weights.shape.as_4d().expect("four dimensions");
    let ty = if is_real(&weights) { reals() } else { integers(DataType::I8, 0.05, 11) };
    let value = result(&weights);
    let op = Conv2d {
        bias: bias(&weights, out as usize),
        weights,
        stride: [1, 2],
        dilation: [2, 1],
        padding: Padding { top: 1, bottom: 2, left: 1, right: 0 },
        activation: Activation::Relu,
    };
    Model {
        inputs: vec![shaped([1, 6, 7, channels].into(), ty)],
        nodes: vec![Node::new(Op::Conv2d(op), value)],
        ..Model::default()
    }
}

fn depthwise(weights: Constant) -> Model {
    let [_, _, _, out] = weights.shape.as_4d().expect("four dimensions");
    let ty = if is_real(&weights) { reals() } else { integers(DataType::U8, 0.05, 128) };
    let value = result(&weights);
    let op = DepthwiseConv2d {
        bias: bias(&weights, out as usize),
        weights,
        stride: [2, 1],
        dilation: [1, 1],
        padding: Padding { top: 1, bottom: 1, left: 1, right: 1 },
        activation: Activation::None,
    };
    Model {
        inputs: vec![shaped([1, 5, 6, out / 2].into(), ty)],
        nodes: vec![Node::new(Op::DepthwiseConv2d(op), value)],
        ..Model::default()
    }
}

/// Weights of so many bits: without zeros, all levels of them; the auto packing narrows them.
fn levels(bits: u32) -> Model {
    let half = 1_i32 << (bits - 1);
    let level = |i: i32| {
        let code = i * 5 % (2 * half) - half;
        (if code < 0 { code } else { code + 1 }) as i8
    };
    dense(Constant::i8([4, 33].into(), vec![0.02], (0..132).map(level).collect()))
}

/// A grey image's network as the article has it, small: conv, pool, flatten, dense.
fn article() -> Model {
    let weights = Constant::i8([12, 3, 3, 1].into(), vec![0.02; 12], sparse(108, 5, 120));
    let conv = plain(weights, 12);
    let weights = i8s([10, 300].into(), 1, 3, 90);
    let weights = Constant { packing: Some(PackingChoice::Columns), ..weights };
    let op = FullyConnected { bias: bias(&weights, 10), weights, activation: Activation::None };
    Model {
        inputs: vec![shaped([1, 12, 12, 1].into(), integers(DataType::U8, 1.0 / 255.0, 0))],
        nodes: vec![
            Node::new(conv, Some(integers(DataType::I8, 0.02, -128))),
            Node::new(pool([2, 2], [2, 2], Padding::default()), None),
            Node::new(Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN }), None),
            Node::new(Op::FullyConnected(op), Some(integers(DataType::I8, 0.2, 12))),
        ],
        ..Model::default()
    }
}

fn article_f32() -> Model {
    let mut model = article();
    model.inputs = vec![shaped([1, 8, 8, 1].into(), reals())];
    let weights = f32s([6, 3, 3, 1].into());
    let weights_2 = f32s([4, 54].into());
    let bias_2 = bias(&weights_2, 4);
    let op = FullyConnected { weights: weights_2, bias: bias_2, activation: Activation::None };
    model.nodes[0] = Node::new(plain(weights, 6), None);
    model.nodes[3] = Node::new(Op::FullyConnected(op), None);
    model
}

/// More channels than any instruction set has lanes, and a pool that overlaps.
fn wide_conv() -> Model {
    let weights = Constant::i8([35, 1, 1, 20].into(), vec![0.01], sparse(700, 9, 127));
    let conv = plain(weights, 35);
    let padding = Padding { top: 1, left: 1, ..Padding::default() };
    Model {
        inputs: vec![shaped([1, 4, 5, 20].into(), integers(DataType::I8, 0.1, -128))],
        nodes: vec![
            Node::new(conv, Some(integers(DataType::I8, 0.3, 127))),
            Node::new(pool([3, 2], [1, 2], padding), None),
        ],
        ..Model::default()
    }
}

fn plain(weights: Constant, channels: usize) -> Op {
    Op::Conv2d(Conv2d {
        bias: bias(&weights, channels),
        weights,
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::default(),
        activation: Activation::Relu,
    })
}

fn pool(window: [u32; 2], stride: [u32; 2], padding: Padding) -> Op {
    Op::MaxPool2d(MaxPool2d { window, stride, padding })
}

/// Names, labels, outputs, normalization, every attribute: all that a file can state.
fn all_fields() -> Model {
    let reshape = |dims: &[i32]| {
        let target = ReshapeTarget::from_dims(dims.iter().copied()).expect("few dimensions");
        Op::Reshape(Reshape { target })
    };
    let weights = i8s([4, 3, 2, 2].into(), 4, 7, 50);
    let conv = Conv2d {
        bias: Some(Constant::bias(vec![0, -5, 1000, 70_000])),
        weights,
        stride: [2, 1],
        dilation: [1, 2],
        padding: Padding { top: 1, bottom: 1, left: 2, right: 1 },
        activation: Activation::None,
    };
    let weights = i8s([3, 24].into(), 1, 7, 2);
    let dense = FullyConnected { weights, bias: None, activation: Activation::None };
    let stated = shaped([1, 2, 5, 4].into(), integers(DataType::I8, 0.25, -3));
    let padding = Padding { left: 1, ..Padding::default() };
    Model {
        producer: Some("seeds".into()),
        inputs: vec![named("image", shaped([1, 3, 4, 2].into(), reals()))],
        nodes: vec![
            Node::new(Op::Quantize, Some(named("q", integers(DataType::U8, 0.01, 7)))),
            Node::new(Op::Conv2d(conv), Some(named("first", stated))),
            Node::new(pool([1, 2], [1, 2], padding), None),
            Node::new(reshape(&[1, 3, -1, 2]), None),
            Node::new(reshape(&[1, -1]), None),
            Node::new(Op::FullyConnected(dense), Some(integers(DataType::I8, 0.5, 0))),
            Node::new(Op::Dequantize, Some(named("logits", Value::default()))),
        ],
        outputs: vec![7, 2],
        labels: ["null", "", "三"].map(String::from).into(),
        normalization: Some(Normalization { mean: vec![127.5], std: vec![64.0, 32.0] }),
    }
}

/// Two inputs, three outputs, one of them an input, and jumps past nodes.
fn graph() -> Model {
    let layer = |out: u32, features: u32| {
        let weights = i8s([out, features].into(), 1, 3, 20);
        let bias = Some(Constant::bias(vec![9; out as usize]));
        Op::FullyConnected(FullyConnected { weights, bias, activation: Activation::Relu })
    };
    let from = |id: u16, op: Op, value: Option<Value>| Node { op, inputs: vec![id], value };
    let codes = || integers(DataType::I8, 0.1, 5);
    let i8_input = shaped([1, 16].into(), integers(DataType::I8, 0.03, -1));
    let u8_input = named("other", shaped([1, 2, 2, 4].into(), integers(DataType::U8, 0.5, 255)));
    let flat = shaped([1, 16].into(), integers(DataType::U8, 0.5, 255));
    let flatten = Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN });
    Model {
        inputs: vec![i8_input, u8_input],
        nodes: vec![
            from(0, layer(8, 16), Some(shaped([1, 8].into(), codes()))),
            from(1, flatten, Some(flat)),
            from(3, layer(8, 16), Some(shaped([1, 8].into(), codes()))),
            from(2, layer(3, 8), Some(shaped([1, 3].into(), codes()))),
            from(4, layer(2, 8), Some(codes())),
        ],
        outputs: vec![6, 5, 0],
        ..Model::default()
    }
}
