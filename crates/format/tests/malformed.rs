//! One model that is wrong in one way for each error. The writer holds its own bytes against the reader's checks, so that a
//! wrong model is refused as a wrong file would be; what no writer can make is made byte by byte.
#![cfg(feature = "write")]

mod common;

use penjing_format::write::{Constant, ConstantData, Model, Op, PackingChoice, WriteError};
use penjing_format::{DataType, Error, ModelView, Padding, QuantParams, Shape, ShapeError};

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
    refused!(|m| m.inputs[0].dtype = None, Error::Missing { .. }, "dtype");
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
    refused!(|m| m.inputs[0].dtype = Some(DataType::I32), Error::ElementType { .. }, "input 0");
}

#[test]
fn wrong_shapes_are_named() {
    refused!(|m| conv(m).stride = [0, 1], Error::Shape { .. }, "node 0");
    refused!(|m| conv(m).dilation = [14, 1], Error::Shape { .. }, "node 0");
    refused!(|m| m.inputs[0].shape = Some([1, 28, 28, 2].into()), Error::Shape { .. }, "node 0");
    refused!(
        |m| m.inputs[0].shape = Some([2, 28, 28, 1].into()),
        Error::ShapeMismatch { .. },
        "shape"
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
    refused!(
        |m| dense(m).bias = Some(penjing_format::write::Constant::bias(vec![1; 9])),
        Error::ShapeMismatch { .. },
        "node 3"
    );
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
    // A multiplier of 5/2, of 1/2, and weights in another order.
    for (shape, words) in [
        ([1, 2, 3, 5], "expected a multiple of the input's 2, found 5"),
        ([1, 2, 3, 1], "expected a multiple of the input's 2, found 1"),
        ([6, 2, 3, 1], "expected [1, height, width, channels], found [6, 2, 3, 1]"),
    ] {
        let error = depthwise_refusal(|op| {
            let elements = shape.iter().product::<u32>() as usize;
            op.weights = Constant::i8(shape.into(), vec![0.5], vec![1; elements]);
            op.bias = None;
        });
        let Error::Shape { source, .. } = error else { panic!("{error:?}") };
        assert!(source.to_string().contains(words), "{source}");
        assert!(error.to_string().contains("node 0 (depthwise_conv2d)"), "{error}");
    }
    let error = depthwise_refusal(|op| op.weights.shape = [1, 2, 18].into());
    assert!(matches!(error, Error::Shape { source: ShapeError::Rank { .. }, .. }), "{error:?}");
    let error = depthwise_refusal(|op| op.dilation = [5, 1]);
    assert!(
        matches!(error, Error::Shape { source: ShapeError::WindowTooLarge { .. }, .. }),
        "{error:?}"
    );
}

/// One scale and one bias for each element of the last dimension: neither of the first, which is 1, nor of the input's.
#[test]
fn depthwise_scales_and_biases_are_one_an_output_channel() {
    for scales in [0, 2, 5, 7] {
        let error = depthwise_refusal(|op| op.weights.scales = vec![0.5; scales]);
        let Error::Count { place, expected: 6, found } = error else { panic!("{error:?}") };
        assert_eq!((place.field, found), ("weights.scale", scales));
    }
    let error = depthwise_refusal(|op| op.weights.scales[5] = -1.0);
    assert!(matches!(error, Error::Number { index: 5, .. }), "{error:?}");
    for biases in [1, 2, 5, 7] {
        let error = depthwise_refusal(|op| op.bias = Some(Constant::bias(vec![3; biases])));
        let Error::ShapeMismatch { place, expected, .. } = error else { panic!("{error:?}") };
        assert_eq!((place.field, expected), ("bias.shape", [6].into()));
    }
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
    for packing in PackingChoice::ALL {
        let with = |bias: i32| {
            build(packing, &|weights, biases| {
                weights.fill(1);
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

#[test]
fn what_is_no_model_is_named() {
    let bytes = common::article_int8(800).to_bytes(PackingChoice::Auto).unwrap();
    assert!(matches!(ModelView::open(&bytes[..7]), Err(Error::TooShort { found: 7 })));
    let mut other = bytes.clone();
    other[4..8].copy_from_slice(b"TFL3");
    assert!(
        matches!(ModelView::open(&other), Err(Error::Identifier { found }) if &found == b"TFL3")
    );
    let mut lost = bytes.clone();
    lost[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(ModelView::open(&lost), Err(Error::Layout { .. })));
    for len in 8..bytes.len() {
        assert!(ModelView::open(&bytes[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn a_newer_version_says_which_it_needs() {
    use penjing_format::write::generated::penjing as flatc;
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let args = flatc::ModelArgs { format_version: 7, ..flatc::ModelArgs::default() };
    let model = flatc::Model::create(&mut builder, &args);
    flatc::finish_model_buffer(&mut builder, model);
    let error = ModelView::open(builder.finished_data()).unwrap_err();
    assert_eq!(error, Error::Version { expected: 1, found: 7 });
    assert!(error.to_string().contains("version 7"), "{error}");
}
