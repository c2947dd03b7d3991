//! Chosen models that sessions in place once ran wrongly, refused without need, or took long over. Random ones are the other
//! `in_place` tests'.

mod support;

use penjing_format::write::{
    Binary, Constant, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Model as Spec, Node, Op,
    PackingChoice, Reshape, WriteError,
};
use penjing_format::{Activation, DataType, Padding, QuantParams, ReshapeTarget, hash};
use penjing_runtime::{Error, InPlace, Model, in_place};
use std::time::{Duration, Instant};
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

/// Runs a file in place in so much time, however large its window.
fn runs_at_once(model: &Model) {
    let begin = Instant::now();
    let mut arena = vec![0_u8; in_place::arena_bytes(model).unwrap() + 3];
    let mut session: InPlace<'_> = InPlace::new(model, &mut arena).unwrap();
    let inputs: Vec<Data> =
        model.inputs().map(|info| Data::noise(info.dtype, info.len(), 3)).collect();
    let mut outputs = support::in_place::outputs(model);
    support::in_place::run(&mut session, &inputs, &mut outputs).unwrap();
    let found = begin.elapsed();
    assert!(found < Duration::from_secs(3), "{found:?}");
    assert!(support::in_place::agrees(model, 1, &inputs, &outputs));
}

/// A pool whose window is 4 billion elements wide sees one.
#[test]
fn a_pool_of_padding_is_not_walked() {
    let one = Constant::i8([2, 1, 1, 1].into(), vec![0.4], vec![1, -2]);
    let padding = support::padding(65_534, 65_534, 65_534, 65_534);
    let window = MaxPool2d { window: [65_535; 2], stride: [65_535; 2], padding };
    let nodes = vec![node(conv(one, Padding::default())), Node::new(Op::MaxPool2d(window), None)];
    let spec = Spec { inputs: vec![i8_input([1, 1, 1, 1])], nodes, ..Spec::default() };
    runs_at_once(&support::model(&spec, PackingChoice::Auto));
}

/// Of a kernel of a thousand rows and columns, what sees an image of few.
#[test]
fn a_kernel_over_padding_is_not_walked() {
    let kernel = [1024_u32, 1024];
    let mut weights = vec![0; (kernel[0] * kernel[1]) as usize];
    weights[3] = 5;
    let depthwise = Op::DepthwiseConv2d(DepthwiseConv2d {
        weights: Constant::i8([1, kernel[0], kernel[1], 1].into(), vec![0.1], weights),
        bias: None,
        stride: [1, 1],
        dilation: [1, 1],
        padding: support::padding(1050, 50, 1050, 50),
        activation: Activation::None,
    });
    for (h, w) in [(1, 1), (1000, 1), (1, 1000)] {
        let (inputs, nodes) = (vec![i8_input([1, h, w, 1])], vec![node(depthwise.clone())]);
        let spec = Spec { inputs, nodes, ..Spec::default() };
        runs_at_once(&support::model(&spec, PackingChoice::Gaps));
    }
}

/// A number where it stands in a file, made another one.
fn replace(bytes: &mut [u8], from: u16, to: u16) {
    let (from, to) = (from.to_le_bytes(), to.to_le_bytes());
    let places: Vec<usize> =
        (16..bytes.len() - 1).step_by(2).filter(|&at| bytes[at..at + 2] == from).collect();
    let [at] = places[..] else { panic!("{from:?} is at {places:?}") };
    bytes[at..at + 2].copy_from_slice(&to);
}

/// Weights of one output that are 2^32 and a few, which is few where numbers wrap around.
#[test]
fn rows_of_weights_do_not_wrap_around() {
    let (h, w, pad) = (257_u16, 259, 613);
    let mut weights = vec![0; usize::from(h) * usize::from(w) * 4];
    weights[5] = 1;
    let weights = Constant::i8([1, h.into(), w.into(), 4].into(), vec![0.1], weights);
    let op = conv(weights, support::padding(pad.into(), 619, 631, 641));
    let spec =
        Spec { inputs: vec![i8_input([1, 1, 1, 4])], nodes: vec![node(op)], ..Spec::default() };
    let valid = spec.to_bytes(PackingChoice::Gaps).unwrap();
    for (rows, columns) in [(32_768, 32_768), (32_769, 32_768), (65_535, 65_535), (16_385, 65_533)]
    {
        let mut bytes = valid.clone();
        let pads = [(pad, rows - 1), (619, 1), (631, columns - 1), (641, 1)];
        for (from, to) in pads.into_iter().chain([(h, rows), (w, columns)]) {
            replace(&mut bytes, from, to);
        }
        hash::stamp(&mut bytes);
        assert!(Model::from_bytes(bytes.clone()).is_err());
        let mut arena = vec![0_u8; 1 << 14];
        let opened: Result<InPlace<'_>, _> = InPlace::of_bytes(&bytes, &mut arena);
        assert!(
            matches!(opened, Err(Error::Refused { node: 0, what: "weights" })),
            "{rows} x {columns}"
        );
    }
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
