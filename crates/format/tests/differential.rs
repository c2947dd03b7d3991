//! Our reader against flatc's generated one, over valid files, every truncation and every single-bit flip of three
//! small models: ours never panics, what ours accepts the generated verifier accepts, and both then read the same.
#![cfg(feature = "write")]

mod common;

use penjing_format::write::generated::penjing as flatc;
use penjing_format::write::{Model, PackingChoice};
use penjing_format::{Constant, ModelView, Op, Packed};

/// Whether our reader accepts; holds the generated reader to the same answer and content if so.
fn compare(bytes: &[u8], what: &str) -> bool {
    let Ok(ours) = ModelView::open(bytes) else { return false };
    assert!(flatc::model_buffer_has_identifier(bytes), "{what}: identifier");
    let theirs = flatc::root_as_model(bytes)
        .unwrap_or_else(|e| panic!("{what}: ours accepts, the generated verifier does not: {e}"));
    assert_eq!(ours.format_version(), theirs.format_version(), "{what}");
    assert_eq!(ours.producer(), theirs.producer(), "{what}");
    let labels =
        |l: penjing_format::read::Strings<'_>| l.iter().map(str::to_owned).collect::<Vec<_>>();
    let their_labels = theirs.labels().map(|l| l.iter().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(
        ours.labels().map(labels).unwrap_or_default(),
        their_labels.unwrap_or_default(),
        "{what}"
    );
    if let Some(outputs) = theirs.outputs() {
        assert!(ours.outputs().eq(outputs.iter()), "{what}: outputs");
    }
    let inputs = theirs.inputs().expect("checked to be there");
    assert_eq!(ours.n_inputs(), inputs.len(), "{what}");
    for (ours, theirs) in ours.inputs().zip(inputs) {
        assert_eq!(ours.name, theirs.name(), "{what}");
        let shape: Vec<u32> = theirs.shape().expect("checked to be there").iter().collect();
        assert_eq!(ours.shape.expect("inputs state it").dims(), shape, "{what}");
    }
    let nodes = theirs.nodes();
    assert_eq!(ours.n_nodes(), nodes.map_or(0, |n| n.len()), "{what}");
    for (ours, theirs) in ours.nodes().zip(nodes.into_iter().flatten()) {
        assert_eq!(ours.name(), theirs.name(), "{what}");
        if let Some(inputs) = theirs.inputs() {
            assert!(ours.inputs().eq(inputs.iter()), "{what}: inputs of a node");
        }
        if let (Some(ours), Some(theirs)) = (ours.value(), theirs.value())
            && let Some(q) = ours.quantization
        {
            let found = (theirs.scale(), i32::from(theirs.zero_point()));
            assert_eq!((q.scale, q.zero_point), found, "{what}");
        }
        compare_op(ours.op().expect("checked"), theirs, what);
    }
    true
}

fn compare_op(ours: Op<'_>, theirs: flatc::Node<'_>, what: &str) {
    match ours {
        Op::Conv2d(ours) => {
            let theirs = theirs.op_as_conv_2d().expect("the same union");
            let stride = [theirs.stride_h(), theirs.stride_w()].map(u32::from);
            let dilation = [theirs.dilation_h(), theirs.dilation_w()].map(u32::from);
            assert_eq!((ours.stride, ours.dilation), (stride, dilation), "{what}");
            assert_eq!(ours.padding.left, u32::from(theirs.pad_left()), "{what}");
            assert_eq!(ours.padding.bottom, u32::from(theirs.pad_bottom()), "{what}");
            compare_constant(&ours.weights, theirs.weights().expect("checked"), what);
            assert_eq!(ours.bias.is_some(), theirs.bias().is_some(), "{what}");
        }
        Op::DepthwiseConv2d(ours) => {
            let theirs = theirs.op_as_depthwise_conv_2d().expect("the same union");
            let stride = [theirs.stride_h(), theirs.stride_w()].map(u32::from);
            let dilation = [theirs.dilation_h(), theirs.dilation_w()].map(u32::from);
            assert_eq!((ours.stride, ours.dilation), (stride, dilation), "{what}");
            assert_eq!(ours.padding.right, u32::from(theirs.pad_right()), "{what}");
            assert_eq!(ours.padding.top, u32::from(theirs.pad_top()), "{what}");
            assert_eq!(ours.activation.code(), theirs.activation().0, "{what}");
            compare_constant(&ours.weights, theirs.weights().expect("checked"), what);
            assert_eq!(ours.bias.is_some(), theirs.bias().is_some(), "{what}");
            if let (Some(ours), Some(theirs)) = (ours.bias, theirs.bias()) {
                compare_constant(&ours, theirs, what);
            }
        }
        Op::FullyConnected(ours) => {
            let theirs = theirs.op_as_fully_connected().expect("the same union");
            compare_constant(&ours.weights, theirs.weights().expect("checked"), what);
            if let (Some(ours), Some(theirs)) = (ours.bias, theirs.bias()) {
                compare_constant(&ours, theirs, what);
            }
        }
        Op::MaxPool2d(ours) => {
            let theirs = theirs.op_as_max_pool_2d().expect("the same union");
            assert_eq!(
                ours.window,
                [theirs.window_h(), theirs.window_w()].map(u32::from),
                "{what}"
            );
        }
        Op::Reshape(_) => assert!(theirs.op_as_reshape().is_some(), "{what}"),
        Op::Quantize => assert!(theirs.op_as_quantize().is_some(), "{what}"),
        Op::Dequantize => assert!(theirs.op_as_dequantize().is_some(), "{what}"),
    }
}

fn compare_constant(ours: &Constant<'_>, theirs: flatc::Constant<'_>, what: &str) {
    if let Some(scales) = theirs.scale() {
        let read: Vec<f32> = (0..ours.scales.len()).map(|i| ours.scales.get(i)).collect();
        assert!(scales.iter().eq(read), "{what}: scales");
    }
    match ours.packed {
        Packed::Dense(view) => {
            let theirs = theirs.packing_as_dense().and_then(|d| d.data()).expect("the same union");
            assert_eq!(view.data(), theirs.bytes(), "{what}");
        }
        Packed::Bitmap(view) => {
            let theirs = theirs.packing_as_bitmap().expect("the same union");
            assert_eq!(view.mask(), theirs.mask().expect("checked").bytes(), "{what}");
            assert_eq!(view.values(), theirs.values().expect("checked").bytes(), "{what}");
        }
        Packed::Gaps(view) => {
            let theirs = theirs.packing_as_gaps().expect("the same union");
            assert_eq!(view.bits(), theirs.bits(), "{what}");
            // Where nothing is stored, either may be left out.
            let (codes, values) = (theirs.codes(), theirs.values());
            assert_eq!(view.codes(), codes.map_or(&[][..], |codes| codes.bytes()), "{what}");
            assert_eq!(view.values(), values.map_or(&[][..], |values| values.bytes()), "{what}");
        }
    }
}

fn files() -> Vec<(Vec<u8>, &'static str)> {
    let bytes = |model: Model, packing| model.to_bytes(packing).expect("a valid model");
    vec![
        (bytes(common::small_int8(), PackingChoice::Bitmap), "int8 bitmap"),
        (bytes(common::small_f32(), PackingChoice::Dense), "f32 dense"),
        (bytes(common::small_depthwise(), PackingChoice::Bitmap), "depthwise bitmap"),
        (bytes(common::small_int8(), PackingChoice::Gaps), "int8 gaps"),
        (bytes(common::small_f32(), PackingChoice::Gaps), "f32 gaps"),
        (bytes(common::small_depthwise(), PackingChoice::Gaps), "depthwise gaps"),
    ]
}

#[test]
fn both_read_the_same_of_valid_files() {
    for (bytes, name) in files() {
        assert!(compare(&bytes, name));
    }
    for packing in PackingChoice::ALL {
        for model in [common::article_int8(800), common::article_f32(800)] {
            assert!(compare(&model.to_bytes(packing).unwrap(), "article"));
        }
    }
}

#[test]
fn no_truncation_makes_ours_panic_or_differ() {
    for (bytes, name) in files() {
        for len in 0..bytes.len() {
            compare(&bytes[..len], &format!("{name} cut at {len}"));
        }
    }
}

#[test]
fn no_flipped_bit_makes_ours_panic_or_differ() {
    for (bytes, name) in files() {
        let mut accepted = 0;
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            accepted += usize::from(compare(&flipped, &format!("{name} bit {bit}")));
        }
        // most bits of weights may be anything; most bits of the layout may not
        let all = 8 * bytes.len();
        assert!(accepted > 0 && accepted < all, "{name}: {accepted} of {all} flips accepted");
    }
}
