//! Chosen models that sessions in place once ran wrongly, refused without need, or took long over. Random ones are the other
//! `in_place` tests'.

mod support;

use penjing_format::write::{
    Binary, Constant, Conv2d, FullyConnected, MaxPool2d, Model as Spec, Node, Op, PackingChoice,
    Reshape, WriteError,
};
use penjing_format::{Activation, DataType, Padding, QuantParams, ReshapeTarget, hash};
use penjing_runtime::{Error, InPlace, Model, in_place};
use support::Data;

const GRID: QuantParams = QuantParams { scale: 0.5, zero_point: -3 };

fn i8_input<const N: usize>(shape: [u32; N]) -> penjing_format::write::Value {
    support::input_value(DataType::I8, shape.into(), GRID)
}

fn conv(weights: Constant, padding: Padding) -> Op {
    let (stride, dilation) = ([1, 1], [1, 1]);
    let activation = Activation::None;
    Op::Conv2d(Conv2d { weights, bias: None, stride, dilation, padding, activation })
}

fn node(op: Op) -> Node {
    Node::new(op, support::i8_value(false, GRID))
}

/// A walk over gaps stands after the last stored element, and not where the next piece of a layer's input begins.
#[test]
fn gaps_of_a_layer_that_takes_its_input_piece_by_piece() {
    let mut weights = vec![0; 3 * 96];
    for at in [0, 9, 31, 40, 95, 96 + 7, 96 + 50, 2 * 96 + 95] {
        weights[at] = 3 + at as i8;
    }
    let dense = Op::FullyConnected(FullyConnected {
        weights: Constant::i8([3, 96].into(), vec![0.01], weights),
        bias: None,
        activation: Activation::None,
    });
    let one = Constant::i8([6, 1, 1, 1].into(), vec![0.4], vec![1, -2, 3, -4, 5, 127]);
    let flatten = Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN });
    let nodes = vec![node(conv(one, Padding::default())), Node::new(flatten, None), node(dense)];
    let spec = Spec { inputs: vec![i8_input([1, 4, 4, 1])], nodes, ..Spec::default() };
    for packing in PackingChoice::IN_PLACE {
        match spec.to_bytes(packing) {
            Ok(bytes) => {
                let model = Model::from_bytes(bytes).unwrap();
                assert!(support::in_place::conforms(&model, 5), "{}", packing.name());
            }
            Err(WriteError::Packing { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A constant of one element has one column, however many channels it is added to.
#[test]
fn one_element_in_columns() {
    let operand = Constant::i8([1].into(), vec![0.25], vec![77]);
    let binary = |operand| Binary {
        operand: Some(operand),
        operand_zero_point: 4,
        activation: Activation::None,
    };
    for op in [Op::Add(binary(operand.clone())), Op::Mul(binary(operand.clone()))] {
        let spec =
            Spec { inputs: vec![i8_input([1, 2, 3, 5])], nodes: vec![node(op)], ..Spec::default() };
        let model = support::model(&spec, PackingChoice::Columns);
        assert!(support::in_place::conforms(&model, 6));
    }
}

#[test]
fn many_packed_channels_over_one() {
    for channels in [56, 57, 128] {
        let weights = (0..9 * channels).map(|i| if i % 4 == 0 { i as i8 } else { 0 }).collect();
        let weights = Constant::i8([channels, 3, 3, 1].into(), vec![0.01], weights);
        let window = MaxPool2d { window: [2, 2], stride: [2, 2], padding: Padding::default() };
        let nodes =
            vec![node(conv(weights, Padding::default())), Node::new(Op::MaxPool2d(window), None)];
        let spec = Spec { inputs: vec![i8_input([1, 8, 9, 1])], nodes, ..Spec::default() };
        let model = support::model(&spec, PackingChoice::Bitmap);
        assert!(support::in_place::conforms(&model, 7), "{channels}");
        // By the way of few weights, or by that of all windows.
        let ops = in_place::ops(&model).unwrap();
        assert_eq!(ops >> 25 & 3, if channels == 56 { 2 } else { 1 });
    }
}

#[test]
fn the_largest_of_unsigned_codes() {
    let window = MaxPool2d { window: [2, 2], stride: [1, 1], padding: Padding::default() };
    let pixels = support::input_value(DataType::U8, [1, 2, 3, 1].into(), QuantParams::PIXEL);
    let nodes = vec![Node::new(Op::MaxPool2d(window), None)];
    let spec = Spec { inputs: vec![pixels], nodes, ..Spec::default() };
    let model = support::model(&spec, PackingChoice::Auto);
    let inputs = [Data::U8(vec![0, 127, 128, 3, 2, 255])];
    assert!(support::in_place::agrees(&model, 1, &inputs, &[Data::U8(vec![127, 255])]));
}

/// A constant's scale is nothing but a scale: others would overflow integers.
#[test]
fn scales_of_constants_are_positive() {
    let operand = Some(Constant::i8([3].into(), vec![0.0712], vec![100, -5, 127]));
    let binary = Binary { operand, operand_zero_point: -128, activation: Activation::None };
    let nodes = vec![node(Op::Add(binary))];
    let spec = Spec { inputs: vec![i8_input([1, 2, 3, 3])], nodes, ..Spec::default() };
    let valid = spec.to_bytes(PackingChoice::Dense).unwrap();
    let scale = 0.0712_f32.to_le_bytes();
    let at = valid.windows(4).position(|bytes| bytes == scale).unwrap();
    for (scale, sound) in [
        (f32::MAX, true),
        (f32::from_bits(1), true),
        (-1e30, false),
        (f32::NEG_INFINITY, false),
        (f32::INFINITY, false),
        (f32::NAN, false),
        (-0.0, false),
        (0.0, false),
    ] {
        let mut bytes = valid.clone();
        bytes[at..at + 4].copy_from_slice(&scale.to_le_bytes());
        hash::stamp(&mut bytes);
        let mut arena = vec![0_u8; 1 << 10];
        let opened: Result<InPlace<'_>, _> = InPlace::of_bytes(&bytes, &mut arena);
        let what = "weights.scale or zero point";
        match opened {
            Ok(mut session) => {
                assert!(sound, "{scale}");
                session.run(&[-128_i8; 18], &mut [0_i8; 18]).unwrap();
            }
            Err(Error::Refused { node: 0, what: found }) if found == what => assert!(!sound),
            Err(error) => panic!("{scale}: {error}"),
        }
    }
}
