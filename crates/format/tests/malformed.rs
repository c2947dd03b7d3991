//! One model that is wrong in one way for each error. The writer holds its own bytes against the reader's checks, so that a
//! wrong model is refused as a wrong file would be. What only a writer can get wrong is in `writer.rs`, headers are in
//! `header.rs`, files that no writer makes in `malformed_bytes.rs`.
#![cfg(feature = "write")]

mod common;

use penjing_format::write::{Constant, ConstantData, Model, Op, PackingChoice, WriteError};
use penjing_format::{DataType, Error, PackingError, Padding, QuantParams, Shape, ShapeError};

fn refusal(alter: impl Fn(&mut Model)) -> Error {
    let mut model = common::article_int8(800);
    alter(&mut model);
    match model.to_bytes(PackingChoice::Auto) {
        Err(WriteError::Invalid(error)) => error,
        other => panic!("expected a refusal, found {:?}", other.map(|bytes| bytes.len())),
    }
}

fn conv(model: &mut Model) -> &mut penjing_format::write::Conv2d {
    match &mut model.nodes[0].op {
        Op::Conv2d(conv) => conv,
        _ => panic!("node 0 is the convolution"),
    }
}

fn dense(model: &mut Model) -> &mut penjing_format::write::FullyConnected {
    match &mut model.nodes[3].op {
        Op::FullyConnected(dense) => dense,
        _ => panic!("node 3 is the dense layer"),
    }
}

/// Asserts the variant and that its message names the node or field.
macro_rules! refused {
    ($alter:expr, $variant:pat, $word:expr) => {
        let error = refusal($alter);
        assert!(matches!(error, $variant), "{error:?}");
        assert!(error.to_string().contains($word), "{error}");
    };
}

#[test]
fn wrong_types_and_numbers_are_named() {
    refused!(|m| m.inputs[0].shape = None, Error::Missing { .. }, "shape");
    // Without a scale it is f32, and so is what int8 weights make of it.
    refused!(
        |m| (m.inputs[0].dtype, m.inputs[0].quantization) = (None, None),
        Error::Quantization { .. } | Error::ElementType { .. },
        "node 0 (conv2d), "
    );
    refused!(|m| m.inputs[0].quantization = None, Error::Missing { .. }, "scale");
    refused!(|m| m.nodes[0].value = None, Error::Missing { .. }, "node 0");
    let set = |q: QuantParams| move |m: &mut Model| m.inputs[0].quantization = Some(q);
    refused!(set(QuantParams { scale: -1.0, zero_point: 0 }), Error::Number { .. }, "input 0");
    refused!(
        set(QuantParams { scale: f32::INFINITY, zero_point: 0 }),
        Error::Number { .. },
        "input 0"
    );
    refused!(set(QuantParams { scale: 0.1, zero_point: 256 }), Error::ZeroPoint { .. }, "256");
    refused!(|m| conv(m).weights.scales[3] = f32::NAN, Error::Number { index: 3, .. }, "node 0");
    refused!(|m| conv(m).weights.scales.truncate(5), Error::Count { .. }, "5");
    refused!(
        set(QuantParams { scale: 0.0, zero_point: 0 }),
        Error::Number { index: 0, .. },
        "input 0, scale"
    );
    refused!(
        |m| m.nodes[3].value = Some(common::integers(DataType::I8, 0.0, 3)),
        Error::Number { index: 0, .. },
        "node 3 (node), scale"
    );
}

#[test]
fn wrong_shapes_are_named() {
    refused!(|m| conv(m).dilation = [14, 1], Error::Shape { .. }, "node 0");
    // The weights of twice the channels are twice as many.
    refused!(
        |m| {
            m.inputs[0].shape = Some([1, 28, 28, 2].into());
            conv(m).weights.packing = Some(PackingChoice::Dense);
        },
        Error::Packing { source: PackingError::Length { expected: 216, found: 108, .. }, .. },
        "node 0 (conv2d), weights"
    );
    refused!(
        |m| m.inputs[0].shape = Some([1, 28, 28].into()),
        Error::Shape { source: ShapeError::Rank { of: "input", expected: 4, .. }, .. },
        "node 0 (conv2d), shape"
    );
    refused!(
        |m| m.nodes[0].value.as_mut().unwrap().shape = Some([1, 26, 26, 11].into()),
        Error::ShapeMismatch { .. },
        "[1, 26, 26, 12]"
    );
    refused!(
        |m| m.nodes[1].op = Op::MaxPool2d(penjing_format::MaxPool2d {
            window: [2, 2],
            stride: [2, 2],
            padding: Padding { top: 2, ..Padding::default() },
        }),
        Error::Shape { .. },
        "node 1"
    );
    refused!(
        |m| m.inputs[0].shape = Some(Shape::from([1, 70_000, 70_000, 1])),
        Error::Shape { .. },
        "input 0"
    );
}

#[test]
fn wrong_edges_and_counts_are_named() {
    refused!(|m| m.nodes[1].inputs = vec![2], Error::ValueId { limit: 2, found: 2, .. }, "node 1");
    refused!(|m| m.nodes[2].inputs = vec![1], Error::NotStated { value: 1, .. }, "node 2");
    refused!(|m| m.outputs = vec![9], Error::ValueId { limit: 5, found: 9, .. }, "output");
    refused!(
        |m| m.labels = vec!["a".into(); 9],
        Error::Count { expected: 10, found: 9, .. },
        "labels"
    );
    refused!(|m| m.nodes[1].inputs = vec![1, 1], Error::Count { .. }, "node 1");
}

#[test]
fn sums_that_could_leave_int32_are_named() {
    refused!(
        |m| {
            let bias = dense(m).bias.as_mut().unwrap();
            bias.data = ConstantData::I32(
                [[i32::MAX; 1], [0; 1]].concat().into_iter().cycle().take(10).collect(),
            );
        },
        Error::Accumulator { channel: 0, .. },
        "node 3"
    );
}

/// Of `common::small_depthwise`, altered at its first convolution: 2 channels to 6 by [1, 2, 3, 6].
fn depthwise_refusal(alter: impl Fn(&mut penjing_format::write::DepthwiseConv2d)) -> Error {
    let mut model = common::small_depthwise();
    assert!(model.to_bytes(PackingChoice::Auto).is_ok());
    let Op::DepthwiseConv2d(op) = &mut model.nodes[0].op else { panic!("node 0 is depthwise") };
    alter(op);
    match model.to_bytes(PackingChoice::Auto) {
        Err(WriteError::Invalid(error)) => error,
        other => panic!("expected a refusal, found {:?}", other.map(|bytes| bytes.len())),
    }
}

#[test]
fn wrong_depthwise_channels_are_named() {
    let with = |shape: [u32; 4]| {
        depthwise_refusal(|op| {
            let elements = shape.iter().product::<u32>() as usize;
            op.weights = Constant::i8(shape.into(), vec![0.5], vec![99; elements]);
            op.bias = None;
        })
    };
    // A multiplier of 5/2 and of 1/2.
    for (shape, words) in [
        ([1, 2, 3, 5], "expected a multiple of the input's 2, found 5"),
        ([1, 2, 3, 1], "expected a multiple of the input's 2, found 1"),
    ] {
        let error = with(shape);
        let Error::Shape { source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains(words), "{source}");
        assert!(error.to_string().contains("node 0 (depthwise_conv2d)"), "{error}");
    }
    // Weights in another order: a file states the last dimension alone, 1 channel here.
    let error = with([6, 2, 3, 1]);
    let Error::Packing { source: PackingError::Length { expected: 6, found: 36, .. }, .. } = error
    else {
        panic!("{error:?}")
    };
    let error = depthwise_refusal(|op| (op.weights.shape, op.bias) = ([1, 2, 18].into(), None));
    assert!(matches!(error, Error::Shape { source: ShapeError::Rank { .. }, .. }), "{error:?}");
    let error = depthwise_refusal(|op| op.dilation = [5, 1]);
    assert!(
        matches!(error, Error::Shape { source: ShapeError::WindowTooLarge { .. }, .. }),
        "{error:?}"
    );
}

/// One scale for each element of the last dimension: neither of the first, which is 1, nor of the input's.
#[test]
fn depthwise_scales_are_one_an_output_channel() {
    for scales in [2, 5, 7] {
        let error = depthwise_refusal(|op| op.weights.scales = vec![0.5; scales]);
        let Error::Count { place, expected: 6, found } = error else { panic!("{error:?}") };
        assert_eq!((place.field, found), ("weights.scale", scales));
    }
    let error = depthwise_refusal(|op| op.weights.scales[5] = -1.0);
    assert!(matches!(error, Error::Number { index: 5, .. }), "{error:?}");
}

/// The input reaches 248 from its zero point 7. Each channel's own weights and bias count, and the last unit.
#[test]
fn depthwise_sums_that_could_leave_int32_are_named() {
    let build = |packing, alter: &dyn Fn(&mut [i8], &mut [i32])| {
        let mut model = common::small_depthwise();
        let Op::DepthwiseConv2d(op) = &mut model.nodes[0].op else { panic!("node 0 is depthwise") };
        let (mut weights, mut biases) = (vec![0_i8; 36], vec![0; 6]);
        alter(&mut weights, &mut biases);
        op.weights.data = ConstantData::I8(weights);
        op.bias = Some(Constant::bias(biases));
        model.to_bytes(packing)
    };
    // Tap t of channel c is element t * 6 + c.
    let room = i32::MAX - 248 * (127 + 3 + 128);
    // Half of the other weights are 0, so that every packing can be had.
    for packing in PackingChoice::IN_PLACE {
        let with = |bias: i32| {
            build(packing, &|weights, biases| {
                weights.iter_mut().step_by(2).for_each(|weight| *weight = 1);
                weights.iter_mut().skip(1).step_by(2).for_each(|weight| *weight = 0);
                (weights[4], weights[10], weights[34]) = (127, -128, 0);
                biases[4] = bias;
            })
        };
        for bias in [room, -room] {
            assert!(with(bias).is_ok());
        }
        for bias in [room + 1, -room - 1] {
            let error = with(bias).unwrap_err();
            let WriteError::Invalid(error) = error else { panic!("{error:?}") };
            assert!(
                matches!(error, Error::Accumulator { channel: 4, worst: 0x8000_0000, .. }),
                "{error}"
            );
        }
    }
}
