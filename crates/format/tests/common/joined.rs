//! Models of the ops that join values, pool by the mean, pad or apply a function. Not a test itself.

use super::{Numbers, input, integers};
use penjing_format::write::{
    AveragePool2d, Binary, Concat, Constant, ConstantData, Model, Node, Op, Pad, Value,
};
use penjing_format::{Activation, DataType, Padding, Pads, Shape};

fn codes(scale: f32, zero_point: i32) -> Value {
    integers(DataType::I8, scale, zero_point)
}

fn reals() -> Value {
    Value { dtype: Some(DataType::F32), ..Value::default() }
}

fn node(op: Op, inputs: &[u16], value: Option<Value>) -> Node {
    Node { op, inputs: inputs.into(), value }
}

pub(crate) fn of_two(activation: Activation) -> Binary {
    Binary { operand: None, operand_zero_point: 0, activation }
}

pub(crate) fn with(operand: Constant, operand_zero_point: i32) -> Binary {
    Binary { operand: Some(operand), operand_zero_point, activation: Activation::None }
}

pub(crate) fn pad(pairs: &[[u32; 2]]) -> Op {
    Op::Pad(Pad { pads: Pads::from_pairs(pairs.iter().copied()).unwrap() })
}

pub(crate) fn average() -> AveragePool2d {
    let padding = Padding { left: 1, ..Padding::default() };
    AveragePool2d { window: [2, 3], stride: [1, 2], padding }
}

/// Every op that joins values, of `image` and of as many values as it has channels, by constants of `operand`.
fn graph(
    image: Value,
    vector: Value,
    own: impl Fn(f32, i32) -> Value,
    operands: [Binary; 3],
) -> Model {
    let [each, channel, one] = operands;
    let whole = |shape: [u32; 4], ty: Value| Some(input(shape.into(), ty));
    let same = || own(0.05, 3);
    Model {
        producer: Some("a test".into()),
        inputs: vec![input([1, 4, 5, 2].into(), image), input([1, 1, 1, 2].into(), vector)],
        nodes: vec![
            node(pad(&[[1, 0], [0, 2], [0, 0]]), &[0], None),
            node(Op::AveragePool2d(average()), &[2], None),
            node(Op::Relu(Activation::Relu6), &[3], whole([1, 4, 3, 2], same())),
            node(
                Op::Add(of_two(Activation::ReluN1To1)),
                &[4, 1],
                whole([1, 4, 3, 2], own(0.125, -7)),
            ),
            node(Op::Mul(channel), &[5], whole([1, 4, 3, 2], same())),
            node(Op::Concat(Concat { axis: 3 }), &[6, 4, 6], whole([1, 4, 3, 6], same())),
            node(Op::Add(each), &[7], Some(own(0.25, 5))),
            node(Op::Mean, &[8], Some(own(0.0625, -1))),
            node(Op::Mul(one), &[9], Some(own(0.5, 0))),
            node(Op::Softmax, &[10], Some(own(1.0 / 256.0, -128))),
            node(Op::Logistic, &[11], Some(own(1.0 / 256.0, -128))),
            node(Op::Tanh, &[12], Some(own(1.0 / 128.0, 0))),
            node(
                Op::Mul(of_two(Activation::Relu)),
                &[13, 13],
                Some(input([1, 6].into(), own(1.0, 1))),
            ),
        ],
        outputs: vec![14, 7],
        ..Model::default()
    }
}

/// Of int8, with codes for another grid at the end. The largest constant has a zero in most places.
pub(crate) fn joined_int8() -> Model {
    let mut numbers = Numbers(13);
    let each = Constant::i8([1, 4, 3, 6].into(), vec![0.02], numbers.weights(72, 750));
    let channel = Constant::i8([2].into(), vec![0.5], vec![-128, 127]);
    let one = Constant::i8([1].into(), vec![0.25], vec![9]);
    let operands = [with(each, -4), with(channel, 127), with(one, 0)];
    let mut model = graph(codes(0.05, 3), codes(0.5, 100), codes, operands);
    model.nodes.push(node(Op::Quantize, &[14], Some(integers(DataType::U8, 0.5, 128))));
    model
}

/// The same of f32.
pub(crate) fn joined_f32() -> Model {
    let each = (0..72_u8).map(|i| if i % 8 < 2 { f32::from(i) - 30.5 } else { 0.0 }).collect();
    let operands = [
        Constant::f32([1, 4, 3, 6].into(), each),
        Constant::f32([2].into(), vec![-1.5, 2.0]),
        Constant::f32([1].into(), vec![0.125]),
    ]
    .map(|operand| with(operand, 0));
    graph(reals(), reals(), |_, _| reals(), operands)
}

/// One constant for each of a sample's elements, of which every packing leaves some out.
pub(crate) fn operand_int8(most: i8) -> Model {
    let shape = Shape::from([1, 4, 4, 8]);
    let data = (0..128_u8).map(|i| if i % 8 < 2 { (i / 8) as i8 % most + 1 } else { 0 }).collect();
    let operand =
        Constant { data: ConstantData::I8(data), ..Constant::i8(shape, vec![0.1], Vec::new()) };
    Model {
        inputs: vec![input(shape, codes(0.05, -3))],
        nodes: vec![
            Node::new(Op::Add(with(operand.clone(), 17)), Some(codes(0.1, 1))),
            Node::new(Op::Mul(with(operand, -128)), Some(codes(0.2, -2))),
        ],
        ..Model::default()
    }
}

pub(crate) fn operand_f32() -> Model {
    let shape = Shape::from([1, 4, 4, 8]);
    let data = (0..128_u8).map(|i| if i % 8 < 2 { f32::from(i) - 60.5 } else { 0.0 }).collect();
    let operand = Constant::f32(shape, data);
    Model {
        inputs: vec![input(shape, reals())],
        nodes: vec![
            Node::new(Op::Add(with(operand.clone(), 0)), None),
            Node::new(Op::Mul(with(operand, 0)), None),
        ],
        ..Model::default()
    }
}
