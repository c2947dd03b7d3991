//! Models that several tests build. Not a test itself.
#![allow(dead_code)]

pub(crate) mod decode;
pub(crate) mod file;
pub(crate) mod grow;
mod grow_joined;
pub(crate) mod joined;
pub(crate) mod nodes;
pub(crate) mod raise;
pub(crate) mod raw;

use penjing_format::write::{
    Constant, ConstantData, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Model, Node, Op,
    Reshape, Value,
};
use penjing_format::{Activation, DataType, ModelView, Padding, QuantParams, ReshapeTarget, Shape};

/// Numbers that look random and are the same everywhere (xorshift).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// `len` int8 weights in [-127, 127], `per_mille` of 1000 of them zero, spread at random but exactly as many.
    pub(crate) fn weights(&mut self, len: usize, per_mille: usize) -> Vec<i8> {
        let mut weights: Vec<i8> = (0..len)
            .map(|_| ((self.next() % 127) as i8 + 1) * [1, -1][self.next() as usize % 2])
            .collect();
        weights[..len * per_mille / 1000].fill(0);
        for index in (1..len).rev() {
            weights.swap(index, self.next() as usize % (index + 1));
        }
        weights
    }

    pub(crate) fn scales(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() % 1000 + 1) as f32 * 1e-5).collect()
    }

    pub(crate) fn biases(&mut self, len: usize) -> Vec<i32> {
        (0..len).map(|_| (self.next() % 200_001) as i32 - 100_000).collect()
    }
}

pub(crate) fn integers(dtype: DataType, scale: f32, zero_point: i32) -> Value {
    let quantization = Some(QuantParams { scale, zero_point });
    Value { dtype: Some(dtype), quantization, ..Value::default() }
}

pub(crate) fn input(shape: Shape, ty: Value) -> Value {
    Value { shape: Some(shape), ..ty }
}

pub(crate) fn conv(weights: Constant, bias: Option<Constant>) -> Conv2d {
    Conv2d {
        weights,
        bias,
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::default(),
        activation: Activation::Relu,
    }
}

pub(crate) fn pool() -> Op {
    Op::MaxPool2d(MaxPool2d { window: [2, 2], stride: [2, 2], padding: Padding::default() })
}

pub(crate) fn flatten() -> Op {
    Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN })
}

/// The article's network in int8: conv 3x3x1 -> 12 + relu, max pool 2x2, flatten, dense 2028 -> 10.
pub(crate) fn article_int8(per_mille_zeros: usize) -> Model {
    let mut numbers = Numbers(20_250_607);
    let kernel = numbers.weights(108, per_mille_zeros);
    let weights = Constant::i8([12, 3, 3, 1].into(), numbers.scales(12), kernel);
    let conv = conv(weights, Some(Constant::bias(numbers.biases(12))));
    let kernel = numbers.weights(20_280, per_mille_zeros);
    let weights = Constant::i8([10, 2028].into(), numbers.scales(1), kernel);
    let bias = Some(Constant::bias(numbers.biases(10)));
    let dense = FullyConnected { weights, bias, activation: Activation::None };
    Model {
        producer: Some("penjing 0.1.0".into()),
        inputs: vec![input([1, 28, 28, 1].into(), integers(DataType::U8, 1.0 / 255.0, 0))],
        nodes: vec![
            Node::new(Op::Conv2d(conv), Some(integers(DataType::I8, 0.0213, -128))),
            Node::new(pool(), None),
            Node::new(flatten(), None),
            Node::new(Op::FullyConnected(dense), Some(integers(DataType::I8, 0.17, 12))),
        ],
        ..Model::default()
    }
}

/// The article's network in f32.
pub(crate) fn article_f32(per_mille_zeros: usize) -> Model {
    let mut numbers = Numbers(20_250_607);
    let mut floats = |len, zeros| -> Vec<f32> {
        numbers.weights(len, zeros).iter().map(|&weight| f32::from(weight) * 0.0117).collect()
    };
    let weights = Constant::f32([12, 3, 3, 1].into(), floats(108, per_mille_zeros));
    let conv = conv(weights, Some(Constant::bias_f32(floats(12, 0))));
    let weights = Constant::f32([10, 2028].into(), floats(20_280, per_mille_zeros));
    let bias = Some(Constant::bias_f32(floats(10, 0)));
    let dense = FullyConnected { weights, bias, activation: Activation::None };
    let f32 = Value { dtype: Some(DataType::F32), ..Value::default() };
    Model {
        producer: Some("penjing 0.1.0".into()),
        inputs: vec![input([1, 28, 28, 1].into(), f32)],
        nodes: vec![
            Node::new(Op::Conv2d(conv), None),
            Node::new(pool(), None),
            Node::new(flatten(), None),
            Node::new(Op::FullyConnected(dense), None),
        ],
        ..Model::default()
    }
}

/// A small int8 chain that states everything a file can state: names, labels, outputs, attributes that are no defaults.
pub(crate) fn small_int8() -> Model {
    let mut numbers = Numbers(7);
    let weights = Constant::i8([3, 2, 2, 2].into(), numbers.scales(3), numbers.weights(24, 700));
    let mut conv = conv(weights, Some(Constant::bias(vec![0, -5, 1000])));
    conv.stride = [2, 1];
    conv.dilation = [1, 2];
    conv.padding = Padding { top: 1, bottom: 0, left: 2, right: 1 };
    let weights = Constant::i8([4, 6].into(), vec![0.5], numbers.weights(24, 750));
    let dense = FullyConnected { weights, bias: None, activation: Activation::None };
    let pool = MaxPool2d {
        window: [2, 3],
        stride: [1, 2],
        padding: Padding { left: 1, ..Padding::default() },
    };
    let shaped = |shape: Shape, ty: Value| Value { shape: Some(shape), ..ty };
    let first = shaped([1, 2, 5, 3].into(), integers(DataType::I8, 0.25, -3));
    let mut nodes = vec![
        Node::new(Op::Conv2d(conv), Some(Value { name: Some("first".into()), ..first })),
        Node::new(Op::MaxPool2d(pool), None),
        Node::new(flatten(), None),
        Node::new(Op::FullyConnected(dense), Some(integers(DataType::I8, 0.5, 0))),
        Node::new(Op::Dequantize, None),
        Node::new(Op::Quantize, Some(integers(DataType::U8, 0.125, 255))),
    ];
    // The pool reads 5 + 1 columns: windows at 0 and 2.
    nodes[2].op = Op::Reshape(Reshape { target: target(&[1, -1]) });
    Model {
        producer: Some("a test".into()),
        inputs: vec![Value {
            name: Some("image".into()),
            ..input([1, 3, 4, 2].into(), integers(DataType::U8, 0.01, 7))
        }],
        nodes,
        outputs: vec![6, 1],
        labels: ["zero", "", "zwei", "三"].map(String::from).into(),
        normalization: None,
    }
}

/// Depthwise convolutions in int8 and f32: 2 channels to 6, which the second keeps.
pub(crate) fn small_depthwise() -> Model {
    let mut numbers = Numbers(11);
    let weights = Constant::i8([1, 2, 3, 6].into(), numbers.scales(6), numbers.weights(36, 700));
    let first = DepthwiseConv2d {
        weights,
        bias: Some(Constant::bias(vec![0, -5, 1000, 7, -200, 1])),
        stride: [2, 1],
        dilation: [1, 2],
        padding: Padding { top: 1, bottom: 0, left: 2, right: 1 },
        activation: Activation::Relu,
    };
    let weights = (0..24_u8).map(|i| f32::from(i % 4) - 1.0).collect();
    let second = DepthwiseConv2d {
        weights: Constant::f32([1, 2, 2, 6].into(), weights),
        bias: None,
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding::default(),
        activation: Activation::None,
    };
    Model {
        inputs: vec![input([1, 4, 5, 2].into(), integers(DataType::U8, 0.01, 7))],
        nodes: vec![
            Node::new(Op::DepthwiseConv2d(first), Some(integers(DataType::I8, 0.25, -3))),
            Node::new(Op::Dequantize, None),
            Node::new(Op::DepthwiseConv2d(second), None),
        ],
        ..Model::default()
    }
}

pub(crate) fn target(dims: &[i32]) -> ReshapeTarget {
    ReshapeTarget::from_dims(dims.iter().copied()).unwrap()
}

/// A small f32 model with two inputs, a jump past a node, and a normalization.
pub(crate) fn small_f32() -> Model {
    let f32 = Value { dtype: Some(DataType::F32), ..Value::default() };
    let weights =
        Constant::f32([2, 6].into(), (0..12_u8).map(|i| f32::from(i % 4) - 1.5).collect());
    let first = FullyConnected {
        weights: weights.clone(),
        bias: Some(Constant::bias_f32(vec![-1.0, 0.25])),
        activation: Activation::Relu,
    };
    let second = FullyConnected { weights, bias: None, activation: Activation::None };
    let mut reshape = Node::new(
        Op::Reshape(Reshape { target: target(&[1, -1]) }),
        Some(input([1, 6].into(), f32.clone())),
    );
    reshape.inputs = vec![0];
    let mut second = Node::new(Op::FullyConnected(second), None);
    second.inputs = vec![2];
    Model {
        inputs: vec![input([1, 2, 3].into(), f32.clone()), input([1, 6].into(), f32)],
        nodes: vec![reshape, Node::new(Op::FullyConnected(first), None), second],
        normalization: Some(penjing_format::write::Normalization {
            mean: vec![127.5],
            std: vec![1.0, 2.0, 3.0],
        }),
        ..Model::default()
    }
}

/// The weights of a node, which must have some.
pub(crate) fn weights(node: &mut Node) -> &mut Constant {
    match &mut node.op {
        Op::Conv2d(op) => &mut op.weights,
        Op::DepthwiseConv2d(op) => &mut op.weights,
        Op::FullyConnected(op) => &mut op.weights,
        op => panic!("{op:?} has no weights"),
    }
}

/// `small_int8` with weights of so few levels, -3 to 3, that they take fewer than 8 bits. Zeros come in runs, so that every
/// packing leaves some out.
pub(crate) fn small_few_levels() -> Model {
    let mut model = small_int8();
    for index in [0, 3] {
        let data =
            (0..24_i8).map(|i| if i % 8 < 4 || i % 6 == 5 { 0 } else { i % 7 - 3 }).collect();
        weights(&mut model.nodes[index]).data = ConstantData::I8(data);
    }
    model
}

/// `small_f32` with weights of which every packing leaves some out.
pub(crate) fn small_sparse_f32() -> Model {
    let mut model = small_f32();
    for index in [1, 2] {
        let data = [0.0, 1.5, 0.0, 0.0, -0.25, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0];
        weights(&mut model.nodes[index]).data = ConstantData::F32(data.into());
    }
    model
}

/// The small models, which between them have every op, every type and every packing.
pub(crate) fn small_models() -> [(Model, &'static str); 10] {
    [
        (small_int8(), "int8"),
        (small_f32(), "f32"),
        (small_depthwise(), "depthwise"),
        (small_few_levels(), "few levels"),
        (small_sparse_f32(), "sparse f32"),
        (joined::joined_int8(), "joined int8"),
        (joined::joined_f32(), "joined f32"),
        (joined::operand_int8(100), "operand int8"),
        (joined::operand_int8(3), "operand of few levels"),
        (joined::operand_f32(), "operand f32"),
    ]
}

/// Bytes of packed weights, biases, scales and zero points.
pub(crate) fn content_bytes(model: ModelView<'_>) -> usize {
    let constants: usize = model
        .walk()
        .filter_map(|step| step.unwrap().op.constants())
        .flat_map(|(weights, bias)| [Some(weights), bias])
        .flatten()
        .map(|constant| constant.packed.stored_bytes() + 4 * constant.scales.len())
        .sum();
    let quantized = |value: penjing_format::Value<'_>| match value.quantization {
        None => 0,
        Some(QuantParams { zero_point: 0, .. }) => 4,
        Some(_) => 6,
    };
    let values = model.inputs().chain(model.nodes().map(|node| node.value()));
    constants + values.map(quantized).sum::<usize>()
}
