//! What only damaged or later bytes hold: codes that this version does not know, and packings that are none, as
//! `ModelView::open` names them; each number of a window under its own field id; and refusals of a model's types that
//! `malformed.rs` does not meet. Layout faults are in `layout.rs`, packings by themselves in `packing.rs`, in files in
//! `packed_files.rs`.
#![cfg(feature = "write")]

mod common;

use common::file::{File, id};
use penjing_format::write::{
    Constant, DepthwiseConv2d, Model, Node, Op, PackingChoice, Value, WriteError,
};
use penjing_format::{
    Activation, DataType, Error, MaxPool2d, ModelView, PackingError, Padding, QuantParams, read,
};

#[test]
fn codes_of_a_later_version_are_named() {
    let file = File::new(&common::small_int8(), PackingChoice::Bitmap);
    let (node, weights) = (file.node(0), file.weights(0));
    let conv = "node 0 (conv2d)";
    for (at, field, owner) in [
        (file.field(node, id::OP), "op", "node 0 (node)"),
        (file.field(file.node(2), id::OP), "op", "node 2 (node)"),
        (file.field(node, id::ACTIVATION), "activation", conv),
        (file.field(weights, id::PACKING), "weights.packing", conv),
        (file.field(file.node(5), id::DTYPE), "dtype", "node 5 (quantize)"),
        (file.field(file.input(0), id::INPUT_DTYPE), "dtype", "input 0"),
    ] {
        let error = file.with(at, &[99]).refusal();
        let Error::UnknownCode { place, found: 99 } = error else { panic!("{error:?}") };
        assert_eq!(place.field, field);
        assert_eq!(error.to_string(), format!("{owner}, {field}: unknown code 99"));
    }
    let absent = file.with(file.field(node, id::OP), &[0]).refusal();
    assert!(matches!(absent, Error::Missing { place } if place.field == "op"), "{absent:?}");
}

#[test]
fn a_bitmap_that_is_none_is_refused() {
    let file = File::new(&common::small_int8(), PackingChoice::Bitmap);
    let weights = file.weights(0);
    let (index, values) = (file.vector(weights, id::INDEX), file.vector(weights, id::VALUES));
    let stored = file.u32(values - 4);
    // The kernel has 24 elements; one bit more than there are values.
    let bit = (0..24).find(|bit| file.0[index + bit / 8] >> (bit % 8) & 1 == 0).unwrap();
    let byte = file.0[index + bit / 8] | 1 << (bit % 8);
    assert_eq!(
        file.with(index + bit / 8, &[byte]).packing_error("weights"),
        PackingError::Length { part: "values", expected: stored + 1, found: stored }
    );
    assert_eq!(
        file.with(index - 4, &[2]).packing_error("weights"),
        PackingError::Length { part: "index", expected: 3, found: 2 }
    );
    assert_eq!(
        file.with(values + 1, &[0]).packing_error("weights"),
        PackingError::StoredZero { index: 1 }
    );
    // The article's kernel has 108 elements: 4 bits of its mask's 14th byte are past the last.
    let file = File::new(&common::article_int8(800), PackingChoice::Bitmap);
    let at = file.vector(file.weights(0), id::INDEX) + 13;
    let last = file.0[at] | 0x80;
    assert_eq!(
        file.with(at, &[last]).packing_error("weights"),
        PackingError::PaddingBits { part: "index", used: 108, last }
    );
}

#[test]
fn dense_elements_that_are_none_are_refused() {
    // Node 1's weights are f32, [2, 6].
    let file = File::new(&common::small_f32(), PackingChoice::Dense);
    let values = file.vector(file.weights(1), id::VALUES);
    assert_eq!(values % 4, 0, "elements are aligned");
    for element in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(
            file.with(values + 8, &element.to_le_bytes()).packing_error("weights"),
            PackingError::NotFinite { index: 2 }
        );
    }
    // Its bias is f32, [2].
    let bias = file.vector(file.node(1), id::BIAS);
    assert_eq!(
        file.with(bias + 4, &f32::NAN.to_le_bytes()).packing_error("bias"),
        PackingError::NotFinite { index: 1 }
    );
    for (vector, field, expected, found) in [(values, "weights", 48, 44), (bias, "bias", 8, 4)] {
        assert_eq!(
            file.with(vector - 4, &[found]).packing_error(field),
            PackingError::Length { part: "values", expected, found: found.into() }
        );
    }
}

/// Elements of f32 and bytes of weights start at multiples of 4, so that a runtime may use them where they lie.
#[test]
fn vectors_are_aligned() {
    for (model, name) in common::small_models() {
        for (bytes, name) in common::file::in_every_packing(&model, name) {
            for step in ModelView::open(&bytes).unwrap().walk() {
                let Some((weights, bias)) = step.unwrap().op.constants() else { continue };
                for constant in [Some(weights), bias].into_iter().flatten() {
                    let values = constant.packed.values().bytes();
                    let at = values.as_ptr() as usize - bytes.as_ptr() as usize;
                    assert!(!values.is_empty() && at.is_multiple_of(4), "{name}: {at}");
                }
            }
        }
    }
}

/// Every number of an op differs from every other here, so that a field id taken for another one shows.
#[test]
fn every_number_of_an_op_has_its_own_field() {
    use penjing_format::write::generated::penjing as flatc;
    let (window, stride, dilation) = ([8, 9], [3, 4], [10, 11]);
    let padding = Padding { top: 1, bottom: 2, left: 5, right: 6 };
    let mut conv = common::conv(Constant::f32([1, 2, 7, 1].into(), vec![1.0; 14]), None);
    (conv.stride, conv.dilation, conv.padding) = (stride, dilation, padding);
    let pool = Op::MaxPool2d(MaxPool2d { window, stride, padding });
    // Paddings the other way about, so that neither op can pass for the other.
    let turned = Padding { top: 6, bottom: 5, left: 2, right: 1 };
    let depthwise = DepthwiseConv2d {
        weights: Constant::f32([1, 7, 2, 3].into(), vec![1.0; 42]),
        bias: None,
        stride: [4, 3],
        dilation: [11, 10],
        padding: turned,
        activation: Activation::Relu,
    };
    let mut model = common::article_f32(0);
    model.inputs[0].shape = Some([1, 900, 900, 1].into());
    model.nodes = vec![
        Node::new(Op::Conv2d(conv), None),
        Node::new(pool, None),
        Node::new(Op::DepthwiseConv2d(depthwise), None),
    ];
    let bytes = model.to_bytes(PackingChoice::Auto).unwrap();

    let view = ModelView::open(&bytes).unwrap();
    let ops: Vec<_> = view.walk().map(|step| step.unwrap().op).collect();
    let [read::Op::Conv2d(conv), read::Op::MaxPool2d(pool), read::Op::DepthwiseConv2d(depthwise)] =
        ops[..]
    else {
        panic!("{ops:?}")
    };
    assert_eq!((depthwise.stride, depthwise.dilation), ([4, 3], [11, 10]));
    assert_eq!((depthwise.padding, depthwise.activation), (turned, Activation::Relu));
    assert_eq!((conv.stride, conv.dilation, conv.padding), (stride, dilation, padding));
    assert_eq!(conv.weights.shape, [1, 2, 7, 1].into());
    assert_eq!(depthwise.weights.shape, [1, 7, 2, 3].into());
    assert_eq!(pool, MaxPool2d { window, stride, padding });

    let nodes = flatc::root_as_model(&bytes).unwrap().nodes().unwrap();
    let windows: Vec<_> = nodes.iter().map(|node| node.window().unwrap()).collect();
    let (conv, pool, depthwise) = (windows[0], windows[1], windows[2]);
    assert_eq!([conv.size_h(), conv.size_w()], [2, 7]);
    assert_eq!([pool.size_h(), pool.size_w()], [8, 9]);
    assert_eq!([depthwise.size_h(), depthwise.size_w()], [7, 2]);
    assert_eq!([conv.dilation_h(), conv.dilation_w()], [10, 11]);
    assert_eq!([depthwise.dilation_h(), depthwise.dilation_w()], [11, 10]);
    assert_eq!([conv.stride_h(), conv.stride_w()], [3, 4]);
    assert_eq!([pool.stride_h(), pool.stride_w()], [3, 4]);
    assert_eq!([depthwise.stride_h(), depthwise.stride_w()], [4, 3]);
    let pads = |window: flatc::Window<'_>| {
        [window.pad_top(), window.pad_bottom(), window.pad_left(), window.pad_right()]
    };
    assert_eq!(
        windows.into_iter().map(pads).collect::<Vec<_>>(),
        [[1, 2, 5, 6], [1, 2, 5, 6], [6, 5, 2, 1]]
    );
    assert_eq!(nodes.get(2).op(), flatc::Op(7));
}

/// What every reader infers takes no bytes: windows, targets, types and shapes that are the usual ones.
#[test]
fn what_is_usual_is_left_out() {
    use penjing_format::write::generated::penjing as flatc;
    let bytes = common::article_int8(800).to_bytes(PackingChoice::Auto).unwrap();
    for node in flatc::root_as_model(&bytes).unwrap().nodes().unwrap() {
        assert!(node.window().is_none() && node.target().is_none() && node.shape().is_none());
        assert!(node.inputs().is_none() && node.name().is_none());
        assert_eq!(node.dtype(), flatc::DataType::Unspecified);
    }
}

fn refusal(mut model: Model, alter: impl Fn(&mut Model)) -> Error {
    assert!(model.to_bytes(PackingChoice::Auto).is_ok(), "valid before");
    alter(&mut model);
    match model.to_bytes(PackingChoice::Auto) {
        Err(WriteError::Invalid(error)) => error,
        other => panic!("expected a refusal, found {:?}", other.map(|bytes| bytes.len())),
    }
}

fn quantized(scale: f32, zero_point: i32) -> Option<Value> {
    Some(Value { quantization: Some(QuantParams { scale, zero_point }), ..Value::default() })
}

#[test]
fn a_quantization_that_contradicts_the_op_is_refused() {
    // The pool hands on the convolution's.
    let model = common::article_int8(800);
    let own = model.nodes[0].value.as_ref().unwrap().quantization;
    let same = Value { quantization: own, ..Value::default() };
    let mut restated = model.clone();
    restated.nodes[1].value = Some(same);
    assert!(restated.to_bytes(PackingChoice::Auto).is_ok());
    for other in [quantized(0.0213, -127), quantized(0.5, -128)] {
        let error = refusal(model.clone(), |m| m.nodes[1].value.clone_from(&other));
        assert!(matches!(error, Error::Quantization { .. }), "{error:?}");
        assert!(error.to_string().contains("node 1 (max_pool2d)"), "{error}");
    }
    // f32 has none, be it of a node or of an input.
    let error = refusal(common::article_f32(800), |m| m.nodes[0].value = quantized(1.0, 0));
    assert!(matches!(error, Error::Quantization { .. }), "{error:?}");
    assert!(error.to_string().contains("node 0 (conv2d)"), "{error}");
    let error = refusal(common::article_f32(800), |m| {
        m.inputs[0].quantization = Some(QuantParams { scale: 1.0, zero_point: 0 });
    });
    assert!(matches!(error, Error::Quantization { .. }), "{error:?}");
    assert!(error.to_string().contains("input 0"), "{error}");
}

#[test]
fn types_that_do_not_go_together_are_refused() {
    let element_type = |error: Error, field: &str| {
        let Error::ElementType { place, .. } = error else { panic!("{error:?}") };
        assert_eq!(place.field, field, "{error}");
    };
    let (int8, f32) = (common::article_int8(800), common::article_f32(800));
    // Integers may become others, of a grid that is stated.
    let error = refusal(int8.clone(), |m| m.nodes[2].op = Op::Quantize);
    assert!(matches!(error, Error::Missing { place } if place.field == "scale"), "{error}");
    element_type(refusal(f32.clone(), |m| m.nodes[2].op = Op::Dequantize), "inputs");
    let as_u8 = |m: &mut Model| m.nodes[0].value.as_mut().unwrap().dtype = Some(DataType::U8);
    element_type(refusal(int8.clone(), as_u8), "dtype");
    // i16 and i32 are no types of activations: a file has no number for them.
    for wide in [DataType::I16, DataType::I32] {
        let input = |m: &mut Model| m.inputs[0].dtype = Some(wide);
        element_type(refusal(int8.clone(), input), "dtype");
        element_type(refusal(f32.clone(), input), "dtype");
    }
}

#[test]
fn numbers_without_meaning_are_refused() {
    let number = |error: Error, field: &str, at: usize| {
        let Error::Number { place, index, .. } = error else { panic!("{error:?}") };
        assert_eq!((place.field, index), (field, at), "{error}");
    };
    let f32 = common::small_f32();
    for std in [0.0, -1.0, f32::NAN] {
        let error = refusal(f32.clone(), |m| m.normalization.as_mut().unwrap().std[2] = std);
        number(error, "normalization.std", 2);
    }
    let error = refusal(f32.clone(), |m| m.normalization.as_mut().unwrap().mean[0] = f32::NAN);
    number(error, "normalization.mean", 0);
    let error = refusal(f32, |m| m.normalization.as_mut().unwrap().std.truncate(2));
    assert!(matches!(error, Error::Count { expected: 3, found: 2, .. }), "{error:?}");
    // Each scale is one, their quotient is none.
    let error = refusal(common::article_int8(800), |m| {
        m.nodes[0].value.as_mut().unwrap().quantization.as_mut().unwrap().scale = 1e-38;
        let Op::Conv2d(conv) = &mut m.nodes[0].op else { panic!("node 0 is a convolution") };
        conv.weights.scales[4] = 1e38;
    });
    number(error, "weights.scale", 4);
}

#[test]
fn models_of_no_or_too_many_values_are_refused() {
    for (clear, field) in [
        (Box::new(|m: &mut Model| m.nodes.clear()) as Box<dyn Fn(&mut Model)>, "nodes"),
        (Box::new(|m: &mut Model| m.inputs.clear()), "inputs"),
    ] {
        let error = refusal(common::article_f32(800), clear);
        assert!(matches!(error, Error::Missing { place } if place.field == field), "{error:?}");
    }
    let chain = |nodes| Model {
        inputs: common::small_f32().inputs[..1].to_vec(),
        nodes: vec![Node::new(common::flatten(), None); nodes],
        ..Model::default()
    };
    // Values are numbered by u16; 65,535 of them can be named and counted.
    assert!(chain(65_534).to_bytes(PackingChoice::Auto).is_ok());
    let error = refusal(chain(65_534), |m| m.nodes.push(Node::new(common::flatten(), None)));
    assert!(matches!(error, Error::Count { expected: 65_535, found: 65_536, .. }), "{error:?}");
}
