//! One side of a comparison, made of files that no checkpoint of ours lowers to: what its layers are, that its two ways of
//! running are one network, and what it refuses.

use penjing_convert::ConvertError;
use penjing_convert::side::{self, Side};
use penjing_dataset::Split;
use penjing_format::write::{
    Constant, DepthwiseConv2d, FullyConnected, Model as File, Node, Op, PackingChoice, Reshape,
    Value,
};
use penjing_format::{Activation, DataType, Padding, QuantParams, ReshapeTarget, Shape};
use penjing_runtime::Model;

fn value(shape: Option<Shape>, dtype: DataType, grid: Option<(f32, i32)>) -> Value {
    let quantization = grid.map(|(scale, zero_point)| QuantParams { scale, zero_point });
    Value { shape, dtype: Some(dtype), quantization, ..Value::default() }
}

fn open(file: &File) -> Model {
    Model::from_bytes(file.to_bytes(PackingChoice::Auto).unwrap()).unwrap()
}

/// Grey pixels to two channels and those to four scores: reals become integers, which are flattened and become reals again.
fn depthwise() -> File {
    let taps: Vec<i8> = (1..=18).map(|k: i8| (k % 7 - 3) * 20).collect();
    let depthwise = Op::DepthwiseConv2d(DepthwiseConv2d {
        weights: Constant::i8([1, 3, 3, 2].into(), vec![0.01, 0.02], taps),
        bias: None,
        stride: [2, 2],
        dilation: [1, 1],
        padding: Padding::default(),
        activation: Activation::None,
    });
    let flatten = Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN });
    let i8 = |scale, zero| Some(value(None, DataType::I8, Some((scale, zero))));
    let real = Some(value(None, DataType::F32, None));
    File {
        inputs: vec![value(Some([1, 5, 3, 1].into()), DataType::F32, None)],
        nodes: vec![
            Node::new(Op::Quantize, i8(1.0 / 255.0, -128)),
            Node::new(
                depthwise,
                i8(0.03, 5).map(|value| Value { name: Some("edges".into()), ..value }),
            ),
            Node::new(flatten, None),
            Node::new(Op::Dequantize, real),
        ],
        ..File::default()
    }
}

#[test]
fn a_sides_layers_are_the_ops_that_compute_and_yield_its_scores() {
    let side = Side::of_model(open(&depthwise())).unwrap();
    assert_eq!((side.image, side.classes), ([5, 3, 1], 4));
    assert_eq!((side.parameters, side.nonzeros), (18, 15));
    let [layer] = &side.layers[..] else { panic!("{:?}", side.layers) };
    assert_eq!((layer.node, layer.op), (1, "depthwise_conv2d"));
    assert_eq!((layer.name.as_deref(), &layer.shape[..]), (Some("edges"), &[2, 1, 2][..]));

    let pixels = (0..60_u8).map(|p| p.wrapping_mul(101)).collect();
    let split = Split::from_memory("stripes", pixels, vec![0; 4], [5, 3, 1]).unwrap();
    let mut runner = side.on(&split, 4).unwrap();
    let scores = runner.scores(0, 4).unwrap();
    assert!(scores.iter().any(|s| *s > 0.0) && scores.iter().any(|s| *s < 0.0), "{scores:?}");
    for (i, scores) in scores.chunks(4).enumerate() {
        assert_eq!(runner.values(i).unwrap(), [scores]);
    }
    let other = side.on(&split, 2).unwrap();
    let distances = side::layer_distances(&other, &runner, &[(0, 0)], 2).unwrap();
    assert!(distances.len() == 1 && distances[0].equal());

    let wrong = Split::from_memory("square", vec![0; 16], vec![0], [4, 4, 1]).unwrap();
    let message = side.on(&wrong, 1).unwrap_err().to_string();
    assert!(message.contains("expected [5, 3, 1]") && message.contains("[4, 4, 1]"), "{message}");
}

#[test]
fn what_is_no_image_classifier_is_refused() {
    let mut two_outputs = depthwise();
    two_outputs.outputs = vec![4, 4];
    let mut two_inputs = depthwise();
    two_inputs.inputs.push(two_inputs.inputs[0].clone());
    for (file, expected) in [(two_outputs, (1, 2)), (two_inputs, (2, 1))] {
        let error = Side::of_model(open(&file)).unwrap_err();
        let ConvertError::Ports { inputs, outputs } = error else { panic!("{error}") };
        assert_eq!((inputs, outputs), expected);
    }
    let dense = Op::FullyConnected(FullyConnected {
        weights: Constant::f32([2, 3].into(), vec![1.0; 6]),
        bias: None,
        activation: Activation::None,
    });
    let real = |shape| value(shape, DataType::F32, None);
    let flat = File {
        inputs: vec![real(Some([1, 3].into()))],
        nodes: vec![Node::new(dense, Some(real(None)))],
        ..File::default()
    };
    let message = Side::of_model(open(&flat)).unwrap_err().to_string();
    assert!(message.contains("expected an image"), "{message}");
    assert!(message.contains("found [3] of f32"), "{message}");
}
