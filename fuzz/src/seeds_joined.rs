//! Seeds with the ops that join values, pool by the mean, pad or apply a function. The others are `seeds`'s.

use crate::seeds::{f32s, i8s, integers, reals, shaped};
use penjing_format::write::{AveragePool2d, Binary, Concat, Constant, Model, Node, Op, Pad, Value};
use penjing_format::{Activation, DataType, Padding, Pads, Shape};

/// One constant for each element, which every packing can hold.
pub(crate) fn operands() -> [(&'static str, Model); 3] {
    let shape = Shape::from([1, 3, 4, 8]);
    let reals_in = || vec![shaped(shape, reals())];
    let codes_in = || vec![shaped(shape, integers(DataType::I8, 0.05, -3))];
    let codes = || Some(integers(DataType::I8, 0.07, 5));
    [
        (
            "operand_i8",
            model(codes_in(), vec![Node::new(Op::Add(with(i8s(shape, 1, 7, 99), 9)), codes())]),
        ),
        (
            "operand_bits",
            model(codes_in(), vec![Node::new(Op::Mul(with(i8s(shape, 1, 7, 3), -1)), codes())]),
        ),
        ("operand_f32", model(reals_in(), vec![Node::new(Op::Mul(with(f32s(shape), 0)), None)])),
    ]
}

/// Every such op, of integers and of reals.
pub(crate) fn graphs() -> [(&'static str, Model); 2] {
    let codes = |scale: f32, zero_point| integers(DataType::I8, scale, zero_point);
    let mut int8 = graph(
        codes,
        [
            with(Constant::i8([6].into(), vec![0.02], vec![-128, -7, 0, 1, 99, 127]), -20),
            with(Constant::i8([1].into(), vec![0.03], vec![40]), 3),
        ],
    );
    // To another grid, and to unsigned integers.
    int8.nodes.push(Node::new(Op::Quantize, Some(codes(0.5, -7))));
    int8.nodes.push(Node::new(Op::Quantize, Some(integers(DataType::U8, 0.25, 128))));
    let f32 = graph(
        |_, _| reals(),
        [
            with(Constant::f32([6].into(), vec![-2.0, -0.5, 0.0, 0.25, 1.0, 3.0]), 0),
            with(Constant::f32([1].into(), vec![0.5]), 0),
        ],
    );
    [("joined_i8", int8), ("joined_f32", f32)]
}

fn model(inputs: Vec<Value>, nodes: Vec<Node>) -> Model {
    Model { inputs, nodes, ..Model::default() }
}

fn of_two(activation: Activation) -> Binary {
    Binary { operand: None, operand_zero_point: 0, activation }
}

fn with(operand: Constant, operand_zero_point: i32) -> Binary {
    Binary { operand: Some(operand), operand_zero_point, activation: Activation::Relu6 }
}

fn graph(ty: impl Fn(f32, i32) -> Value, [channel, one]: [Binary; 2]) -> Model {
    let node = |op, inputs: &[u16], value| Node { op, inputs: inputs.into(), value };
    let same = || ty(0.05, 3);
    let whole = |shape: [u32; 4], ty: Value| Some(shaped(shape.into(), ty));
    let pads = Pads::from_pairs([[1, 0], [0, 2], [0, 0]]).expect("three dimensions");
    let padding = Padding { left: 1, ..Padding::default() };
    let average = AveragePool2d { window: [2, 3], stride: [1, 2], padding };
    let inputs =
        vec![shaped([1, 4, 5, 2].into(), same()), shaped([1, 1, 3, 1].into(), ty(0.5, 100))];
    let nodes = vec![
        node(Op::Pad(Pad { pads }), &[0], None),
        node(Op::AveragePool2d(average), &[2], None),
        node(Op::Relu(Activation::Relu), &[3], whole([1, 4, 3, 2], same())),
        node(Op::Add(of_two(Activation::ReluN1To1)), &[4, 1], whole([1, 4, 3, 2], same())),
        node(Op::Concat(Concat { axis: 3 }), &[4, 5, 4], whole([1, 4, 3, 6], same())),
        node(Op::Mul(channel), &[6], Some(ty(0.25, 5))),
        node(Op::Mean, &[7], Some(ty(0.0625, -1))),
        node(Op::Add(one), &[8], Some(ty(0.05, 0))),
        node(Op::Softmax, &[9], Some(ty(1.0 / 256.0, -128))),
        node(Op::Logistic, &[10], Some(ty(1.0 / 256.0, -128))),
        node(Op::Tanh, &[11], Some(shaped([1, 6].into(), ty(1.0 / 128.0, 0)))),
        node(Op::Mul(of_two(Activation::None)), &[12, 12], Some(shaped([1, 6].into(), ty(0.5, 1)))),
    ];
    Model { outputs: vec![13, 6, 4], ..model(inputs, nodes) }
}
