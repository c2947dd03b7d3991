//! What only damaged or later bytes hold: codes that this version does not know, and packings that are none, as
//! `ModelView::open` names them; each number of an op under its own field id; and refusals of a model's types that
//! `malformed.rs` does not meet. Layout faults are in `layout.rs`, packings by themselves in `packing.rs`.
#![cfg(feature = "write")]

mod common;

use penjing_format::write::{
    Constant, DepthwiseConv2d, Model, Node, Op, PackingChoice, Value, WriteError,
};
use penjing_format::{
    Activation, DataType, Error, MaxPool2d, ModelView, PackingError, Padding, QuantParams, read,
};

// Field ids of schemas/model.fbs; of a union, the value's, and its code's is one less.
const MODEL_NODES: usize = 0;
const NODE_OP: usize = 1;
const OP_WEIGHTS: usize = 0;
const OP_BIAS: usize = 1;
const OP_ACTIVATION: usize = 2;
const CONSTANT_PACKING: usize = 1;
const CONSTANT_DTYPE: usize = 2;
const MASK: usize = 0;
const VALUES: usize = 1;
const DATA: usize = 0;

/// A valid file to damage, and the few steps through a flatbuffer that finding a byte takes.
#[derive(Clone)]
struct File(Vec<u8>);

impl File {
    fn new(model: &Model, packing: PackingChoice) -> Self {
        Self(model.to_bytes(packing).unwrap())
    }

    fn u32(&self, at: usize) -> usize {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap()) as usize
    }

    fn follow(&self, at: usize) -> usize {
        at + self.u32(at)
    }

    /// Where a field lies, which must be there.
    fn field(&self, table: usize, id: usize) -> usize {
        let u16 = |at: usize| usize::from(u16::from_le_bytes([self.0[at], self.0[at + 1]]));
        let back = self.u32(table) as u32 as i32;
        let vtable = table.checked_add_signed(-back as isize).unwrap();
        let slot = 4 + 2 * id;
        assert!(slot < u16(vtable) && u16(vtable + slot) != 0, "field {id} is there");
        table + u16(vtable + slot)
    }

    fn child(&self, table: usize, id: usize) -> usize {
        self.follow(self.field(table, id))
    }

    fn node(&self, index: usize) -> usize {
        self.follow(self.child(self.follow(0), MODEL_NODES) + 4 + 4 * index)
    }

    fn op(&self, node: usize) -> usize {
        self.child(self.node(node), NODE_OP)
    }

    fn weights(&self, node: usize) -> usize {
        self.child(self.op(node), OP_WEIGHTS)
    }

    /// The first byte of a vector of the packing of a node's weights; its length lies 4 bytes before.
    fn packed(&self, node: usize, id: usize) -> usize {
        self.child(self.child(self.weights(node), CONSTANT_PACKING), id) + 4
    }

    fn with(&self, at: usize, bytes: &[u8]) -> Self {
        let mut file = self.clone();
        file.0[at..at + bytes.len()].copy_from_slice(bytes);
        file
    }

    /// Why `open` refuses a file whose layout is sound.
    fn refusal(&self) -> Error {
        assert!(ModelView::open_structure(&self.0).is_ok(), "the layout is sound");
        ModelView::open(&self.0).unwrap_err()
    }

    fn packing_error(&self, field: &str) -> PackingError {
        let error = self.refusal();
        let Error::Packing { source, place } = error else { panic!("{error:?}") };
        assert!(place.field.contains(field), "{error}");
        assert!(std::error::Error::source(&error).is_some(), "{error}");
        source
    }
}

#[test]
fn codes_of_a_later_version_are_named() {
    let file = File::new(&common::small_int8(), PackingChoice::Bitmap);
    let (node, op, weights) = (file.node(0), file.op(0), file.weights(0));
    let conv = "node 0 (conv2d)";
    for (at, field, owner) in [
        (file.field(node, NODE_OP - 1), "op", "node 0 (node)"),
        (file.field(op, OP_ACTIVATION), "activation", conv),
        (file.field(weights, CONSTANT_PACKING - 1), "weights.packing", conv),
        (file.field(weights, CONSTANT_DTYPE), "weights.dtype", conv),
    ] {
        let error = file.with(at, &[99]).refusal();
        let Error::UnknownCode { place, found: 99 } = error else { panic!("{error:?}") };
        assert_eq!(place.field, field);
        assert_eq!(error.to_string(), format!("{owner}, {field}: unknown code 99"));
    }
    let absent = file.with(file.field(weights, CONSTANT_DTYPE), &[0]).refusal();
    assert!(matches!(absent, Error::Missing { place } if place.field == "weights.dtype"));
}

#[test]
fn a_bitmap_that_is_none_is_refused() {
    let file = File::new(&common::small_int8(), PackingChoice::Bitmap);
    let (mask, values) = (file.packed(0, MASK), file.packed(0, VALUES));
    let stored = file.u32(values - 4);
    // The kernel has 24 elements; one bit more than there are values.
    let bit = (0..24).find(|bit| file.0[mask + bit / 8] >> (bit % 8) & 1 == 0).unwrap();
    let byte = file.0[mask + bit / 8] | 1 << (bit % 8);
    assert_eq!(
        file.with(mask + bit / 8, &[byte]).packing_error("weights"),
        PackingError::Length { part: "values", expected: stored + 1, found: stored }
    );
    assert_eq!(
        file.with(mask - 4, &[2]).packing_error("weights"),
        PackingError::Length { part: "mask", expected: 3, found: 2 }
    );
    assert_eq!(
        file.with(values + 1, &[0]).packing_error("weights"),
        PackingError::StoredZero { index: 1 }
    );
    // The article's kernel has 108 elements: 4 bits of its mask's 14th byte are past the last.
    let file = File::new(&common::article_int8(800), PackingChoice::Bitmap);
    let at = file.packed(0, MASK) + 13;
    let last = file.0[at] | 0x80;
    assert_eq!(
        file.with(at, &[last]).packing_error("weights"),
        PackingError::PaddingBits { elements: 108, last }
    );
}

#[test]
fn dense_elements_that_are_none_are_refused() {
    // Node 1's weights are f32, [2, 6].
    let file = File::new(&common::small_f32(), PackingChoice::Dense);
    let data = file.packed(1, DATA);
    assert_eq!(data % 4, 0, "elements are aligned");
    for element in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(
            file.with(data + 8, &element.to_le_bytes()).packing_error("weights"),
            PackingError::NotFinite { index: 2 }
        );
    }
    // Its bias is f32, [2].
    let bias = file.child(file.child(file.child(file.op(1), OP_BIAS), CONSTANT_PACKING), DATA) + 4;
    assert_eq!(
        file.with(bias + 4, &f32::NAN.to_le_bytes()).packing_error("bias"),
        PackingError::NotFinite { index: 1 }
    );
    assert_eq!(
        file.with(data - 4, &[44]).packing_error("weights"),
        PackingError::Length { part: "data", expected: 48, found: 44 }
    );
}

/// Every number of an op differs from every other here, so that a field id taken for another one shows.
#[test]
fn every_number_of_an_op_has_its_own_field() {
    use penjing_format::write::generated::penjing as flatc;
    let (window, stride, dilation) = ([8, 9], [3, 4], [10, 11]);
    let padding = Padding { top: 1, bottom: 2, left: 5, right: 6 };
    let mut conv = common::conv(Constant::f32([1, 2, 2, 1].into(), vec![1.0; 4]), None);
    (conv.stride, conv.dilation, conv.padding) = (stride, dilation, padding);
    let pool = Op::MaxPool2d(MaxPool2d { window, stride, padding });
    // Paddings the other way about, so that neither op can pass for the other.
    let turned = Padding { top: 6, bottom: 5, left: 2, right: 1 };
    let depthwise = DepthwiseConv2d {
        weights: Constant::f32([1, 2, 2, 3].into(), vec![1.0; 12]),
        bias: None,
        stride: [4, 3],
        dilation: [11, 10],
        padding: turned,
        activation: Activation::Relu,
    };
    let mut model = common::article_f32(0);
    model.inputs[0].shape = Some([1, 120, 120, 1].into());
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
    assert_eq!(pool, MaxPool2d { window, stride, padding });

    let nodes = flatc::root_as_model(&bytes).unwrap().nodes().unwrap();
    let conv = nodes.get(0).op_as_conv_2d().unwrap();
    let pool = nodes.get(1).op_as_max_pool_2d().unwrap();
    assert_eq!([pool.window_h(), pool.window_w()], [8, 9]);
    assert_eq!([conv.dilation_h(), conv.dilation_w()], [10, 11]);
    assert_eq!([conv.stride_h(), conv.stride_w()], [3, 4]);
    assert_eq!([pool.stride_h(), pool.stride_w()], [3, 4]);
    let pads = [conv.pad_top(), conv.pad_bottom(), conv.pad_left(), conv.pad_right()];
    assert_eq!(pads, [1, 2, 5, 6]);
    let depthwise = nodes.get(2).op_as_depthwise_conv_2d().unwrap();
    assert_eq!([depthwise.stride_h(), depthwise.stride_w()], [4, 3]);
    assert_eq!([depthwise.dilation_h(), depthwise.dilation_w()], [11, 10]);
    let (top, bottom) = (depthwise.pad_top(), depthwise.pad_bottom());
    assert_eq!([top, bottom, depthwise.pad_left(), depthwise.pad_right()], [6, 5, 2, 1]);
    assert_eq!(nodes.get(2).op_type(), flatc::Op(7));
    let pads = [pool.pad_top(), pool.pad_bottom(), pool.pad_left(), pool.pad_right()];
    assert_eq!(pads, [1, 2, 5, 6]);
}

/// A bias has one element an output channel wherever the op keeps its channels, so no file need state its shape.
#[test]
fn biases_leave_their_shapes_out() {
    use penjing_format::write::generated::penjing as flatc;
    for (model, node) in [
        (common::article_int8(800), 0),
        (common::article_int8(800), 3),
        (common::small_depthwise(), 0),
    ] {
        let bytes = model.to_bytes(PackingChoice::Auto).unwrap();
        let nodes = flatc::root_as_model(&bytes).unwrap().nodes().unwrap();
        let node = nodes.get(node);
        let bias = match node.op_type() {
            flatc::Op::Conv2d => node.op_as_conv_2d().unwrap().bias(),
            flatc::Op::DepthwiseConv2d => node.op_as_depthwise_conv_2d().unwrap().bias(),
            _ => node.op_as_fully_connected().unwrap().bias(),
        };
        assert!(bias.unwrap().shape().is_none(), "{:?}", node.op_type());
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
    fn conv(model: &mut Model) -> &mut penjing_format::write::Conv2d {
        let Op::Conv2d(conv) = &mut model.nodes[0].op else { panic!("node 0 is a convolution") };
        conv
    }
    let element_type = |error: Error, field: &str| {
        let Error::ElementType { place, .. } = error else { panic!("{error:?}") };
        assert_eq!(place.field, field, "{error}");
    };
    let (int8, f32) = (common::article_int8(800), common::article_f32(800));
    let floats = || Some(Constant::bias_f32(vec![1.0; 12]));
    element_type(refusal(int8.clone(), |m| conv(m).bias = floats()), "bias.dtype");
    let integers = || Some(Constant::bias(vec![1; 12]));
    element_type(refusal(f32.clone(), |m| conv(m).bias = integers()), "bias.dtype");
    let scaled = refusal(f32.clone(), |m| conv(m).weights.scales = vec![1.0]);
    assert!(matches!(scaled, Error::Count { expected: 0, found: 1, .. }), "{scaled:?}");
    let scaled = refusal(int8.clone(), |m| conv(m).bias.as_mut().unwrap().scales = vec![1.0]);
    assert!(matches!(scaled, Error::Count { expected: 0, found: 1, .. }), "{scaled:?}");
    element_type(refusal(int8.clone(), |m| m.nodes[2].op = Op::Quantize), "inputs");
    element_type(refusal(f32.clone(), |m| m.nodes[2].op = Op::Dequantize), "inputs");
    let as_u8 = |m: &mut Model| m.nodes[0].value.as_mut().unwrap().dtype = Some(DataType::U8);
    element_type(refusal(int8, as_u8), "value.dtype");
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
