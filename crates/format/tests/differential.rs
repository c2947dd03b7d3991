//! Our reader against flatc's generated one, over valid files, every truncation and every single-bit flip of five small
//! models in every packing, each with its own hash: ours never panics, what ours accepts the generated verifier accepts, and
//! both then read the same, weights element by element.
#![cfg(feature = "write")]

mod common;

use common::decode;
use common::file::{flipped, in_every_packing, stamped};
use penjing_format::packing::{Element, Levels};
use penjing_format::write::generated::penjing as flatc;
use penjing_format::{ChannelAxis, Constant, DataType, ModelView, Op, Packed, Step, Value};

/// Whether our reader accepts; holds the generated reader to the same answer and content if so.
fn compare(bytes: &[u8], what: &str) -> bool {
    let Ok(ours) = ModelView::open(bytes) else { return false };
    assert!(flatc::model_buffer_has_identifier(bytes), "{what}: identifier");
    let theirs = flatc::root_as_model(bytes)
        .unwrap_or_else(|e| panic!("{what}: ours accepts, the generated verifier does not: {e}"));
    assert_eq!(ours.format_version(), theirs.format_version(), "{what}");
    assert_eq!(ours.producer(), theirs.producer(), "{what}");
    let labels: Option<Vec<&str>> = theirs.labels().map(|labels| labels.split('\n').collect());
    assert_eq!(ours.labels().map(|labels| labels.iter().collect()), labels, "{what}");
    if let Some(outputs) = theirs.outputs() {
        assert!(ours.outputs().eq(outputs.iter()), "{what}: outputs");
    }
    assert_eq!(ours.normalization().is_some(), theirs.normalization().is_some(), "{what}");
    if let (Some(ours), Some(theirs)) = (ours.normalization(), theirs.normalization()) {
        assert!(ours.mean.iter().eq(theirs.mean().expect("checked")), "{what}: mean");
        assert!(ours.std.iter().eq(theirs.std_().expect("checked")), "{what}: std");
    }
    let inputs = theirs.inputs().expect("checked to be there");
    assert_eq!(ours.n_inputs(), inputs.len(), "{what}");
    for (ours, theirs) in ours.inputs().zip(inputs) {
        assert!(ours.shape.is_some(), "{what}: inputs state it");
        let numbers = (theirs.scale(), theirs.zero_point(), theirs.dtype().0);
        compare_value(ours, theirs.name(), numbers, theirs.shape(), what);
    }
    let nodes = theirs.nodes().expect("checked to be there");
    assert_eq!(ours.n_nodes(), nodes.len(), "{what}");
    for (step, theirs) in ours.walk().zip(nodes) {
        let step = step.expect("checked");
        if let Some(inputs) = theirs.inputs() {
            assert!(step.node.inputs().eq(inputs.iter()), "{what}: inputs of a node");
        }
        let numbers = (theirs.scale(), theirs.zero_point(), theirs.dtype().0);
        compare_value(step.node.value(), theirs.name(), numbers, theirs.shape(), what);
        compare_op(&step, theirs, what);
    }
    true
}

type Dims<'a> = Option<flatbuffers::Vector<'a, u32>>;

fn compare_value(
    ours: Value<'_>,
    name: Option<&str>,
    (scale, zero_point, dtype): (f32, i16, u8),
    shape: Dims<'_>,
    what: &str,
) {
    assert_eq!(ours.name, name, "{what}");
    let quantization = ours.quantization.map_or((0.0, 0), |q| (q.scale, q.zero_point));
    assert_eq!(quantization, (scale, i32::from(zero_point)), "{what}");
    assert_eq!(ours.dtype.map_or(0, DataType::code), dtype, "{what}");
    let dims: Option<Vec<u32>> = shape.map(|dims| std::iter::once(1).chain(dims).collect());
    assert_eq!(ours.shape.as_ref().map(|shape| shape.dims()), dims.as_deref(), "{what}");
}

/// Size and stride, with what is usual of convolutions or of pools.
fn window(theirs: Option<flatc::Window<'_>>, pool: bool) -> ([u32; 2], [u32; 2]) {
    let of = |stated: u16, usual: u16| u32::from(if stated == 0 { usual } else { stated });
    let pair = |pair: Option<(u16, u16)>, usual: [u32; 2]| {
        let (h, w) = pair.unwrap_or_default();
        [of(h, usual[0] as u16), of(w, usual[1] as u16)]
    };
    let size = theirs.map(|window| (window.size_h(), window.size_w()));
    let size = pair(size, if pool { [2; 2] } else { [3; 2] });
    let stride = theirs.map(|window| (window.stride_h(), window.stride_w()));
    (size, pair(stride, if pool { size } else { [1; 2] }))
}

fn padding(theirs: Option<flatc::Window<'_>>) -> [u32; 4] {
    theirs.map_or([0; 4], |window| {
        [window.pad_top(), window.pad_bottom(), window.pad_left(), window.pad_right()]
            .map(u32::from)
    })
}

fn dilation(theirs: Option<flatc::Window<'_>>) -> [u32; 2] {
    theirs.map_or([1; 2], |window| [window.dilation_h(), window.dilation_w()].map(u32::from))
}

fn compare_op(step: &Step<'_>, theirs: flatc::Node<'_>, what: &str) {
    let stated = theirs.window();
    let pads = |p: penjing_format::Padding| [p.top, p.bottom, p.left, p.right];
    let code = match step.op {
        Op::Conv2d(ours) => {
            let (size, stride) = window(stated, false);
            let taps = ours.weights.shape.as_4d().expect("a kernel");
            assert_eq!(([taps[1], taps[2]], ours.stride), (size, stride), "{what}");
            assert_eq!(pads(ours.padding), padding(stated), "{what}");
            assert_eq!(ours.dilation, dilation(stated), "{what}");
            flatc::Op::Conv2d
        }
        Op::DepthwiseConv2d(ours) => {
            let (size, stride) = window(stated, false);
            let taps = ours.weights.shape.as_4d().expect("a kernel");
            assert_eq!(([taps[1], taps[2]], ours.stride), (size, stride), "{what}");
            assert_eq!(pads(ours.padding), padding(stated), "{what}");
            assert_eq!(ours.dilation, dilation(stated), "{what}");
            flatc::Op::DepthwiseConv2d
        }
        Op::MaxPool2d(ours) => {
            assert_eq!((ours.window, ours.stride), window(stated, true), "{what}");
            assert_eq!(pads(ours.padding), padding(stated), "{what}");
            flatc::Op::MaxPool2d
        }
        Op::Reshape(ours) => {
            let dims: Vec<i32> = theirs.target().map_or(vec![-1], |target| target.iter().collect());
            assert_eq!(ours.target.dims(), [&[1], &dims[..]].concat(), "{what}");
            flatc::Op::Reshape
        }
        Op::FullyConnected(_) => flatc::Op::FullyConnected,
        Op::Quantize => flatc::Op::Quantize,
        Op::Dequantize => flatc::Op::Dequantize,
        Op::AveragePool2d(ours) => {
            assert_eq!((ours.window, ours.stride), window(stated, true), "{what}");
            assert_eq!(pads(ours.padding), padding(stated), "{what}");
            flatc::Op::AveragePool2d
        }
        Op::Mean => flatc::Op::Mean,
        Op::Add(ours) => {
            compare_zero_point(ours, theirs, what);
            flatc::Op::Add
        }
        Op::Mul(ours) => {
            compare_zero_point(ours, theirs, what);
            flatc::Op::Mul
        }
        Op::Pad(ours) => {
            let pads: Vec<u32> = ours.pads.pairs().iter().flatten().copied().collect();
            let target = theirs.target().expect("checked to be there");
            assert_eq!(pads, target.iter().map(i32::unsigned_abs).collect::<Vec<_>>(), "{what}");
            flatc::Op::Pad
        }
        Op::Concat(ours) => {
            let last = step.input.ty.shape.rank() as i32 - 2;
            let target = theirs.target().map_or(last, |target| target.get(0));
            assert_eq!(ours.axis, target.unsigned_abs() + 1, "{what}");
            flatc::Op::Concat
        }
        Op::Relu(_) => flatc::Op::Relu,
        Op::Softmax => flatc::Op::Softmax,
        Op::Logistic => flatc::Op::Logistic,
        Op::Tanh => flatc::Op::Tanh,
    };
    let activation = step.op.activation().code();
    assert_eq!((theirs.op(), theirs.activation().0), (code, activation), "{what}");
    let constants = step.op.constants();
    assert_eq!(constants.is_some(), theirs.weights().is_some(), "{what}");
    let Some((weights, bias)) = constants else { return };
    let axis = step.op.channel_axis().expect("beside weights");
    // A constant operand states its elements; its rows are those of channels.
    let operand = matches!(step.op, Op::Add(_) | Op::Mul(_));
    let channels = if operand { elements(weights.shape) } else { axis.channels(weights.shape) };
    let columns = axis.row_len(weights.shape).expect("checked");
    compare_weights(&weights, theirs.weights().expect("compared"), (channels, columns), what);
    assert_eq!(bias.is_some(), theirs.bias().is_some(), "{what}");
    if let (Some(ours), Some(theirs)) = (bias, theirs.bias()) {
        let reals = step.input.ty.dtype == DataType::F32;
        compare_bias(&ours, theirs.bytes(), (&weights, reals), axis, what);
    }
}

/// The elements that are not zero: a file of a few hundred bytes can state billions that are.
fn nonzero(constant: &Constant<'_>) -> Vec<(usize, f32)> {
    fn walk<T: Element>(packed: Packed<'_>, real: impl Fn(T) -> f32) -> Vec<(usize, f32)> {
        let row = packed.row::<T>(0, packed.elements()).expect("of this type");
        row.map(|(index, value)| (index as usize, real(value))).collect()
    }
    match constant.dtype {
        DataType::F32 => walk(constant.packed, |value: f32| value),
        _ => walk(constant.packed, |value: i8| value.into()),
    }
}

fn elements(shape: penjing_format::Shape) -> Option<u32> {
    shape.elements().and_then(|elements| elements.try_into().ok())
}

fn compare_zero_point(ours: penjing_format::Binary<'_>, theirs: flatc::Node<'_>, what: &str) {
    let stated = theirs.weights().map_or(0, |operand| operand.zero_point());
    assert_eq!(ours.operand_zero_point, i32::from(stated), "{what}");
    assert_eq!(ours.operand.is_some(), theirs.weights().is_some(), "{what}");
}

fn compare_weights(
    ours: &Constant<'_>,
    theirs: flatc::Weights<'_>,
    (channels, columns): (Option<u32>, usize),
    what: &str,
) {
    let scales: Vec<f32> = theirs.scale().map_or(vec![], |scale| scale.iter().collect());
    assert_eq!(ours.dtype == DataType::F32, scales.is_empty(), "{what}");
    let read: Vec<f32> = (0..ours.scales.len()).map(|i| ours.scales.get(i)).collect();
    assert_eq!(read, scales, "{what}: scales");
    assert_eq!(channels, Some(theirs.out_channels()), "{what}");
    let names = ["dense", "bitmap", "groups", "gaps", "n-of-m", "blocks", "columns"];
    assert_eq!(ours.packed.layout().name(), names[usize::from(theirs.packing().0)], "{what}");
    let values = theirs.values().map_or(&[][..], |values| values.bytes());
    assert_eq!(ours.packed.values().bytes(), values, "{what}");
    let elements = ours.packed.elements();
    assert_eq!(nonzero(ours), decode::nonzero(theirs, elements, columns), "{what}");
}

fn compare_bias(
    ours: &Constant<'_>,
    theirs: &[u8],
    (weights, reals): (&Constant<'_>, bool),
    axis: ChannelAxis,
    what: &str,
) {
    let channels = axis.channels(weights.shape).expect("checked") as usize;
    assert_eq!(ours.packed.elements(), channels, "{what}");
    assert_eq!(ours.packed.values().bytes(), theirs, "{what}");
    assert_eq!(ours.dtype.size() * channels, theirs.len(), "{what}");
    assert_eq!(ours.dtype == DataType::F32, reals, "{what}");
}

fn files() -> impl Iterator<Item = (Vec<u8>, String)> {
    common::small_models().into_iter().flat_map(|(model, name)| in_every_packing(&model, name))
}

#[test]
fn both_read_the_same_of_valid_files() {
    let mut packings = std::collections::BTreeSet::new();
    let mut narrow = false;
    let articles = [(common::article_int8(800), "int8"), (common::article_f32(800), "f32")];
    let articles = articles.iter().flat_map(|(model, name)| in_every_packing(model, name));
    for (bytes, name) in files().chain(articles) {
        assert!(compare(&bytes, &name), "{name}");
        for (weights, _) in ModelView::assume_checked(&bytes)
            .walk()
            .filter_map(|step| step.expect("checked").op.constants())
        {
            packings.insert((weights.packed.layout().name(), weights.dtype.size()));
            narrow |= weights.packed.values().levels() != Levels::Whole;
        }
    }
    assert_eq!(packings.len(), 14, "each of f32 and i8: {packings:?}");
    assert!(narrow, "and of i8 in few bits");
}

#[test]
fn no_truncation_makes_ours_panic_or_differ() {
    let mut tried = 0;
    for (bytes, name) in files() {
        for len in 0..bytes.len() {
            compare(&bytes[..len], &format!("{name} cut at {len}"));
            compare(&stamped(bytes[..len].to_vec()), &format!("{name} cut at {len} and hashed"));
        }
        tried += bytes.len();
    }
    println!("{tried} truncations of {} files", files().count());
}

#[test]
fn no_flipped_bit_makes_ours_panic_or_differ() {
    let (mut tried, mut accepted_in_all) = (0, 0);
    for (bytes, name) in files() {
        let all = 8 * bytes.len();
        let accepted = (0..all)
            .filter(|&bit| compare(&flipped(&bytes, bit), &format!("{name} bit {bit}")))
            .count();
        // Most bits of weights may be anything; most bits of the layout may not.
        assert!(accepted > 0 && accepted < all, "{name}: {accepted} of {all} flips accepted");
        (tried, accepted_in_all) = (tried + all, accepted_in_all + accepted);
    }
    println!("{tried} flips of {} files, {accepted_in_all} accepted", files().count());
}
