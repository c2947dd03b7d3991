//! One side of a comparison, made of files that no checkpoint of ours lowers to: what its layers are, that its two ways of
//! running are one network, and what it refuses.

use penjing_convert::ConvertError;
use penjing_convert::samples::Samples;
use penjing_convert::side::{self, Side};
use penjing_dataset::Split;
use penjing_format::write::{
    Constant, DepthwiseConv2d, Model as File, Node, Op, PackingChoice, Reshape, Value,
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
    assert_eq!((&side.inputs[..], side.classes()), (&[vec![5, 3, 1]][..], 4));
    assert_eq!((side.parameters, side.nonzeros), (18, 15));
    let [layer] = &side.layers[..] else { panic!("{:?}", side.layers) };
    assert_eq!((layer.node, layer.op), (1, "depthwise_conv2d"));
    assert_eq!((layer.name.as_deref(), &layer.shape[..]), (Some("edges"), &[2, 1, 2][..]));

    let pixels = (0..60_u8).map(|p| p.wrapping_mul(101)).collect();
    let split = Split::from_memory("stripes", pixels, vec![0; 4], [5, 3, 1]).unwrap();
    let mut runner = side.on(&Samples::images(&split, 4)).unwrap();
    let scores = runner.scores(0..4).unwrap();
    assert!(scores.iter().any(|s| *s > 0.0) && scores.iter().any(|s| *s < 0.0), "{scores:?}");
    for (i, scores) in scores.chunks(4).enumerate() {
        assert_eq!(runner.values(i).unwrap(), [scores]);
    }
    let other = side.on(&Samples::images(&split, 2)).unwrap();
    let distances = side::layer_distances(&other, &runner, &[(0, 0)], 2).unwrap();
    assert!(distances.len() == 1 && distances[0].equal());

    let wrong = Split::from_memory("square", vec![0; 16], vec![0], [4, 4, 1]).unwrap();
    let message = side.on(&Samples::images(&wrong, 1)).unwrap_err().to_string();
    assert!(message.contains("expected [5, 3, 1]") && message.contains("[4, 4, 1]"), "{message}");
}

/// Both outputs are yielded, one after the other; noise and reals fit any inputs, images only one.
#[test]
fn any_number_of_inputs_and_outputs_is_run() {
    let mut file = depthwise();
    file.outputs = vec![4, 0];
    let side = Side::of_model(open(&file)).unwrap();
    assert_eq!(side.outputs, [vec![4], vec![5, 3, 1]]);
    let model = open(&file);
    let noise = Samples::noise(&model.view(), 3, 1);
    let mut runner = side.on(&noise).unwrap();
    let scores = runner.scores(0..3).unwrap();
    assert_eq!(scores.len(), 3 * (4 + 15));
    assert_eq!(runner.values(1).unwrap(), [&scores[19..23]]);
    let given = Samples::reals(vec![scores[4..19].to_vec()], 1);
    let again = side.on(&given).unwrap().scores(0..1).unwrap();
    assert_eq!(again, scores[..19]);

    let mut two = depthwise();
    two.inputs.push(two.inputs[0].clone());
    for id in [1_usize, 2, 3] {
        two.nodes[id].inputs = Vec::new();
    }
    let side = Side::of_model(open(&two)).unwrap();
    let split = Split::from_memory("one", vec![0; 15], vec![0], [5, 3, 1]).unwrap();
    let error = side.on(&Samples::images(&split, 1)).unwrap_err();
    assert!(matches!(error, ConvertError::Inputs { expected: 2, found: 1 }), "{error}");
    let error = side.on(&Samples::reals(vec![vec![0.0; 15], vec![0.0; 14]], 1)).unwrap_err();
    assert!(matches!(error, ConvertError::Sample { input: 1, expected: 15, found: 14 }), "{error}");
}
