//! The layer below meaning: our structural check accepts exactly what flatc's verifier accepts, on every truncation, every
//! flipped bit and many overwritten numbers of five small files; each kind of fault is met; and a view of bytes that were
//! never checked answers without a panic.
#![cfg(feature = "write")]

mod common;

use penjing_format::write::PackingChoice;
use penjing_format::write::generated::penjing as flatc;
use penjing_format::{DataType, Error, Fault, ModelView, Op, Shape, TensorType, read};
use std::collections::HashSet;

/// Reads all that a view offers, whatever the bytes.
fn read_everything(view: ModelView<'_>) -> usize {
    let mut seen = view.producer().map_or(0, str::len) + usize::from(view.format_version());
    let limit = 1000;
    seen += view.inputs().take(limit).filter_map(|input| input.name).map(str::len).sum::<usize>();
    seen += view.outputs().take(limit).map(usize::from).sum::<usize>();
    seen += view.labels().map_or(0, |labels| labels.iter().take(limit).map(str::len).sum());
    if let Some(numbers) = view.normalization() {
        seen += numbers.mean.iter().chain(numbers.std.iter()).filter(|n| n.is_finite()).count();
    }
    for node in view.nodes().take(limit) {
        seen += node.value().name.map_or(0, str::len) + node.inputs().take(limit).count();
        seen += usize::from(node.output()) + node.op_name().len();
        for shape in [&[1, 4, 5, 2][..], &[1, 6], &[1], &[]] {
            let shape = Shape::new(shape).unwrap();
            for dtype in [DataType::F32, DataType::I8] {
                let input = TensorType { shape, dtype, quantization: None };
                seen += node.op(input).map_or(0, |op| read_op(&op));
            }
        }
    }
    let steps = view.walk().take(limit).filter_map(Result::ok);
    seen + steps.map(|step| read_op(&step.op)).sum::<usize>()
}

fn read_op(op: &Op<'_>) -> usize {
    let constants = |(weights, bias)| [Some(weights), bias].into_iter().flatten();
    let constants = op.constants().into_iter().flat_map(constants);
    constants
        .map(|constant: read::Constant<'_>| {
            // A few bytes can state billions of rows.
            let rows = constant.packed.rows::<i8>(4).take(1000).flatten().take(1000).count();
            rows + constant.packed.nnz() + constant.scales.get(1).is_finite() as usize
        })
        .sum()
}

/// Holds our structural answer to flatc's; returns our fault.
fn compare(bytes: &[u8], what: &dyn Fn() -> String) -> Option<Fault> {
    read_everything(ModelView::assume_checked(bytes));
    let theirs = flatc::root_as_model(bytes).map(|_| ());
    match ModelView::open_structure(bytes) {
        Ok(_) => assert_eq!(theirs, Ok(()), "{}: only ours accepts", what()),
        // flatc looks at neither, and verifies all that is not shared a million times.
        Err(Error::Identifier { .. } | Error::TooShort { .. } | Error::Version { .. }) => {}
        Err(Error::Layout { fault: Fault::TooMuchSharing, .. }) => {}
        Err(Error::Layout { fault, .. }) => {
            assert!(theirs.is_err(), "{}: only flatc's accepts, not ours: {fault}", what());
            return Some(fault);
        }
        Err(error) => panic!("{}: not about the layout: {error}", what()),
    }
    None
}

fn files() -> Vec<Vec<u8>> {
    vec![
        common::small_int8().to_bytes(PackingChoice::Bitmap).unwrap(),
        common::small_f32().to_bytes(PackingChoice::Dense).unwrap(),
        common::small_depthwise().to_bytes(PackingChoice::Auto).unwrap(),
        common::small_few_levels().to_bytes(PackingChoice::NOfM).unwrap(),
        common::small_few_levels().to_bytes(PackingChoice::Gaps).unwrap(),
    ]
}

#[test]
fn the_structural_check_answers_as_flatcs_verifier() {
    let mut faults = HashSet::new();
    for (index, bytes) in files().iter().enumerate() {
        for len in 0..bytes.len() {
            compare(&bytes[..len], &|| format!("file {index} cut at {len}"));
        }
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            faults.extend(compare(&flipped, &|| format!("file {index}, bit {bit}")));
        }
        for at in 0..bytes.len() - 4 {
            for number in [0, 1, 2, 4, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, 0xffff_ffff_u32]
            {
                let mut overwritten = bytes.clone();
                overwritten[at..at + 4].copy_from_slice(&number.to_le_bytes());
                faults.extend(compare(&overwritten, &|| {
                    format!("file {index}, {number:#x} at {at}")
                }));
            }
        }
    }
    for fault in [Fault::OutOfBounds, Fault::Unaligned, Fault::NotTerminated, Fault::NotUtf8] {
        assert!(faults.contains(&fault), "{fault:?} was never met");
    }
}

#[test]
fn an_unchecked_view_of_anything_answers() {
    let mut numbers = common::Numbers(99);
    for len in 0..300 {
        let bytes: Vec<u8> = (0..len).map(|_| (numbers.next() >> 32) as u8 & 0x1f).collect();
        read_everything(ModelView::assume_checked(&bytes));
        assert!(ModelView::open(&bytes).is_err());
    }
    assert_eq!(ModelView::assume_checked(&[]).n_nodes(), 0);
}
