//! What a file can make a reader do is bounded by its length: files of a few hundred bytes that state billions of elements, and
//! files that refer to the same bytes again and again.
#![cfg(feature = "write")]

mod common;

use common::file::finish;
use common::raw::{self, Raw, RawWeights};
use penjing_format::write::PackingChoice;
use penjing_format::write::generated::penjing as flatc;
use penjing_format::{Error, Fault, ModelView};
use std::time::{Duration, Instant};

/// Far more than any of these files takes, far less than a walk over billions of elements.
const LONG: Duration = Duration::from_secs(10);

/// Weights of billions of elements of which the first alone is stored, or none.
fn few(packing: u8, first: bool, columns: usize) -> RawWeights {
    let values = Some(if first { vec![7] } else { vec![] });
    let mut weights = RawWeights { packing, values, ..RawWeights::default() };
    match packing {
        raw::GAPS => weights.index = first.then(|| vec![0]),
        _ => weights.index = Some(vec![0; columns.div_ceil(8)]),
    }
    weights
}

fn open(raw: &Raw, what: &str) {
    let bytes = raw.bytes();
    let start = Instant::now();
    let view = ModelView::open(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    let (weights, _) = view.walk().next().unwrap().unwrap().op.constants().unwrap();
    assert!(weights.packed.elements() > 4_000_000_000, "{what}");
    assert!(start.elapsed() < LONG, "{what}: {:?} of {} bytes", start.elapsed(), bytes.len());
}

#[test]
fn billions_of_elements_that_are_not_stored_take_no_time() {
    // 65,535 x 65,537 elements, as rows of one or many.
    for (packing, first) in [(raw::GAPS, false), (raw::GAPS, true), (raw::COLUMNS, false)] {
        let what = |op: &str| format!("packing {packing}, {op}, {}", usize::from(first));
        for (inputs, out_channels) in [(1, u32::MAX), (65_535, 65_537), (65_537, 65_535)] {
            let weights = RawWeights { out_channels, ..few(packing, first, inputs as usize) };
            let (input_shape, weights) = (Some(vec![inputs]), Some(weights));
            open(&Raw { input_shape, weights, ..Raw::default() }, &what("fully connected"));
        }
        if packing == raw::COLUMNS {
            continue;
        }
        // Depthwise, with many channels and with many taps.
        for (out_channels, size) in [(477_218_588, 3), (1, 65_535)] {
            let raw = Raw {
                op: raw::DEPTHWISE_CONV_2D,
                window: Some([size, size, 1]),
                input_shape: Some(vec![size.into(), size.into(), 1]),
                weights: Some(RawWeights { out_channels, ..few(packing, first, 0) }),
                ..Raw::default()
            };
            open(&raw, &what("depthwise"));
        }
    }
}

/// Only the last block or column is stored: what lies before is leapt over once, not once for every few columns.
#[test]
fn what_is_stored_last_is_found_once() {
    let last = |packing, len: usize, values: usize| {
        let mut index = vec![0; len];
        index[len - 1] = 0x80;
        let values = Some(vec![1; values]);
        RawWeights { packing, values, index: Some(index), group: 255, ..RawWeights::default() }
    };
    let check = |raw: Raw, what: &str| {
        let bytes = raw.bytes();
        let start = Instant::now();
        ModelView::open(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(start.elapsed() < LONG, "{what}: {:?} of {} bytes", start.elapsed(), bytes.len());
    };
    let depthwise = |weights| Raw {
        op: raw::DEPTHWISE_CONV_2D,
        window: Some([1, 1, 1]),
        input_shape: Some(vec![1, 1, 1]),
        weights: Some(weights),
        ..Raw::default()
    };
    let len = 100_000;
    let blocks = RawWeights { out_channels: 8 * 255 * len, ..last(raw::BLOCKS, len as usize, 255) };
    check(depthwise(blocks), "depthwise, blocks");
    let len = 1_000_000;
    let columns = RawWeights { out_channels: 8 * len, ..last(raw::COLUMNS, len as usize, 1) };
    check(depthwise(columns), "depthwise, columns");
    let len = 200_000;
    let rows = RawWeights { out_channels: 8 * 255 * len, ..last(raw::BLOCKS, len as usize, 255) };
    let rows = Raw { input_shape: Some(vec![1]), weights: Some(rows), ..Raw::default() };
    check(rows, "fully connected, rows of one");
}

/// A name of a megabyte is no part of a type, which is asked for with each of the many outputs.
#[test]
fn types_are_read_without_names() {
    let mut model = common::article_int8(800);
    model.inputs[0].name = Some("x".repeat(1 << 20));
    model.outputs = vec![0; 300_000];
    let start = Instant::now();
    let bytes = model.to_bytes(PackingChoice::Auto).unwrap();
    assert_eq!(ModelView::open(&bytes).unwrap().outputs().len(), 300_000);
    assert!(start.elapsed() < 5 * LONG, "{:?}", start.elapsed());
}

/// Eight nodes that put 50,000 values side by side, all by one list; with more nodes the list is referred to too often.
#[test]
fn many_values_are_put_side_by_side_in_bounded_time() {
    let concat = |nodes| {
        let inputs = Some(vec![0; 50_000]);
        let value = (0, 0.0, 0);
        let mut raw = Raw { inputs, value, nodes, ..Raw::default() };
        raw.plain(raw::CONCAT);
        raw.bytes()
    };
    let bytes = concat(8);
    let start = Instant::now();
    let steps = ModelView::open(&bytes).unwrap().walk().map(Result::unwrap);
    for step in steps {
        assert_eq!(step.output.ty.shape, [1, 100_000].into());
        assert_eq!(step.operands().len(), 50_000);
    }
    assert!(start.elapsed() < LONG, "{:?} of {} bytes", start.elapsed(), bytes.len());
    too_often(&concat(1_000), "inputs");
}

fn too_often(bytes: &[u8], field: &str) {
    let start = Instant::now();
    let error = ModelView::open(bytes).unwrap_err();
    assert!(start.elapsed() < LONG);
    assert!(
        matches!(error, Error::Layout { fault: Fault::TooMuchSharing, place, .. } if place.field == field),
        "{error}"
    );
}

/// 60,000 inputs, each of them the same one, whose name has 60,000 bytes: 3.6 GB of text in a file of 300 kB.
#[test]
fn a_file_that_refers_to_the_same_name_too_often_is_refused() {
    let mut fbb = flatbuffers::FlatBufferBuilder::new();
    let name = Some(fbb.create_string(&"x".repeat(60_000)));
    let input = flatc::Value::create(&mut fbb, &flatc::ValueArgs { name, ..Default::default() });
    let inputs = Some(fbb.create_vector(&vec![input; 60_000]));
    let bytes = finish(&mut fbb, &flatc::ModelArgs { inputs, ..flatc::ModelArgs::default() });
    too_often(&bytes, "name");
}

/// 60,000 nodes with one bias, one index or one vector of values between them.
#[test]
fn a_file_that_refers_to_the_same_constant_too_often_is_refused() {
    let many = || Some(vec![1; 60_000]);
    let bias = Raw { bias: many(), nodes: 60_000, ..Raw::default() };
    too_often(&bias.bytes(), "bias");
    let raw = |weights| Raw { weights: Some(weights), nodes: 60_000, ..Raw::default() };
    let values = RawWeights { values: many(), ..RawWeights::default() };
    too_often(&raw(values).bytes(), "weights.values");
    let index = RawWeights { index: many(), ..RawWeights::default() };
    too_often(&raw(index).bytes(), "weights.index");
}
