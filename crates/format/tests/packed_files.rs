//! Weights that are no packing, in files that are sound otherwise and have their hash: what `ModelView::open` says of each,
//! and that each number of `Weights` is read from its own field. Packings by themselves are in `packing.rs`.
#![cfg(feature = "write")]

mod common;

use common::raw::{self, Raw, RawWeights};
use penjing_format::packing::{Levels, bitmap, blocks, columns, gaps, groups, n_of_m};
use penjing_format::{DataType, Error, Layout, ModelView, PackingError};

/// The row of docs/format.md: one output of nine inputs.
const ROW: [i8; 9] = [0, 5, 0, 0, 0, 0, 0, -1, 3];

fn weights(packing: u8, index: &[u8], values: &[u8]) -> RawWeights {
    RawWeights {
        values: Some(values.into()),
        out_channels: 1,
        packing,
        index: Some(index.into()),
        ..RawWeights::default()
    }
}

fn nonzero() -> Vec<bool> {
    ROW.iter().map(|&element| element != 0).collect()
}

/// The values of the elements that are stored.
fn stored(is: &[bool]) -> Vec<u8> {
    ROW.iter().zip(is).filter(|&(_, &is)| is).map(|(&element, _)| element as u8).collect()
}

/// `ROW` in a packing whose index is not of the usual numbers.
fn row(packing: u8) -> RawWeights {
    let is = nonzero();
    let masked = |index: &[u8]| weights(packing, index, &stored(&is));
    match packing {
        raw::DENSE => RawWeights { index: None, ..weights(packing, &[], &ROW.map(|w| w as u8)) },
        raw::BITMAP => masked(&bitmap::pack(is.iter().copied())),
        raw::GROUPS => RawWeights { group: 3, ..masked(&groups::pack(&is, 3)) },
        raw::GAPS => RawWeights { gap_bits: 2, ..masked(&gaps::pack(&is, 2)) },
        raw::N_OF_M => {
            let (is, index) = n_of_m::pack(&is, 2, 3).unwrap();
            RawWeights { group: 3, kept: 2, ..weights(packing, &index, &stored(&is)) }
        }
        raw::BLOCKS => {
            let (is, index) = blocks::pack(&is, 2);
            RawWeights { group: 2, ..weights(packing, &index, &stored(&is)) }
        }
        raw::COLUMNS => {
            let (is, index) = columns::pack(&is, 9);
            weights(packing, &index, &stored(&is))
        }
        _ => panic!("{packing} is no packing"),
    }
}

fn file(weights: RawWeights) -> Vec<u8> {
    Raw { input_shape: Some(vec![9]), weights: Some(weights), ..Raw::default() }.bytes()
}

fn error(weights: RawWeights) -> PackingError {
    let bytes = file(weights);
    ModelView::open_structure(&bytes).expect("the layout is sound");
    let error = ModelView::open(&bytes).expect_err("no packing");
    let Error::Packing { place, source } = error else { panic!("{error:?}") };
    assert_eq!(place.field, "weights", "{error}");
    source
}

/// The elements and the layout that a file is read as.
fn read<T>(bytes: &[u8], with: impl Fn(Layout<'_>, Levels, Vec<i8>) -> T) -> T {
    let step = ModelView::open(bytes).unwrap().walk().next().unwrap().unwrap();
    let packed = step.op.constants().unwrap().0.packed;
    let mut elements = vec![0; packed.elements()];
    packed.expand_i8(&mut elements).unwrap();
    with(packed.layout(), packed.values().levels(), elements)
}

/// The others alter these.
#[test]
fn the_row_is_read_in_every_packing() {
    for packing in raw::DENSE..=raw::COLUMNS {
        read(&file(row(packing)), |_, levels, elements| {
            assert_eq!((elements, levels), (ROW.into(), Levels::Whole), "packing {packing}");
        });
    }
}

/// Each number of `Weights` differs from every other here, so that a field id taken for another one shows.
#[test]
fn every_number_of_weights_has_its_own_field() {
    let levels = Levels::Bits { bits: 5, zero: false };
    let three = levels.pack(&[5, -1, 3]).unwrap();
    let narrow = |weights| RawWeights { values: Some(three.clone()), value_bits: 5, ..weights };
    let is = nonzero();
    let gaps = RawWeights { gap_bits: 6, stored: 3, group: 7, kept: 4, ..row(raw::GAPS) };
    let gaps = RawWeights { index: Some(gaps::pack(&is, 6)), ..narrow(gaps) };
    read(&file(gaps), |layout, found, elements| {
        let Layout::Gaps(view) = layout else { panic!("{layout:?}") };
        assert_eq!((view.bits(), found, elements), (6, levels, ROW.into()));
    });
    // 3 of 9, and 5 bits without a zero.
    let (is, index) = n_of_m::pack(&is, 3, 9).unwrap();
    let three_of_nine = weights(raw::N_OF_M, &index, &stored(&is));
    let numbers = RawWeights { group: 9, kept: 3, gap_bits: 6, stored: 8, ..three_of_nine };
    read(&file(RawWeights { no_zero: true, ..narrow(numbers) }), |layout, found, elements| {
        let Layout::NOfM(view) = layout else { panic!("{layout:?}") };
        assert_eq!((view.group(), view.kept(), found), (9, 3, levels));
        assert_eq!(elements, ROW);
    });
    // With a zero the same bits are other levels.
    let numbers = RawWeights { group: 9, kept: 3, ..weights(raw::N_OF_M, &index, &stored(&is)) };
    read(&file(narrow(numbers)), |_, found, elements| {
        assert_eq!(found, Levels::Bits { bits: 5, zero: true });
        assert_ne!(elements, ROW);
    });
    // A mask of non-zero elements has no level for zero, stated or not.
    for no_zero in [false, true] {
        let bitmap = RawWeights { no_zero, ..narrow(row(raw::BITMAP)) };
        read(&file(bitmap), |_, found, elements| {
            assert_eq!((found, elements), (levels, ROW.into()))
        });
    }
    let blocks = RawWeights { kept: 3, gap_bits: 5, ..row(raw::BLOCKS) };
    read(&file(blocks), |layout, _, _| {
        assert!(matches!(layout, Layout::Blocks(view) if view.size() == 2), "{layout:?}");
    });
    let groups = RawWeights { kept: 4, gap_bits: 5, ..row(raw::GROUPS) };
    read(&file(groups), |layout, _, _| {
        assert!(matches!(layout, Layout::Groups(view) if view.size() == 3), "{layout:?}");
    });
}

/// What is left out is groups of 4, of which 2 are kept, and codes of 3 bits.
#[test]
fn the_usual_numbers_are_left_out() {
    let unstated = |packing, index: Vec<u8>, is: &[bool]| {
        let RawWeights { group, gap_bits, kept, .. } = RawWeights::default();
        assert_eq!((group, gap_bits, kept), (4, 3, 2), "which flatc leaves out");
        read(&file(weights(packing, &index, &stored(is))), |_, _, elements| {
            assert_eq!(elements, ROW, "packing {packing}");
        });
    };
    let is = nonzero();
    unstated(raw::GROUPS, groups::pack(&is, 4), &is);
    unstated(raw::GAPS, gaps::pack(&is, 3), &is);
    let (stored, index) = blocks::pack(&is, 4);
    unstated(raw::BLOCKS, index, &stored);
    // 9 is no multiple of 4: a row of 8.
    let eight = weights(raw::N_OF_M, &[0b1110_0100], &[1, 2, 3, 4]);
    let raw = Raw { input_shape: Some(vec![8]), weights: Some(eight), ..Raw::default() };
    read(&raw.bytes(), |_, _, elements| assert_eq!(elements, [1, 2, 0, 0, 0, 0, 3, 4]));
}

#[test]
fn groups_of_no_size_are_refused() {
    let size = |packing, found, expected| {
        let error = error(RawWeights { group: found, ..row(packing) });
        assert_eq!(error, PackingError::GroupSize { expected, found });
    };
    for found in [0, 1, 33, 255] {
        size(raw::GROUPS, found, (2, 32));
        size(raw::N_OF_M, found, (2, 32));
    }
    for found in [0, 1] {
        size(raw::BLOCKS, found, (2, 255));
    }
    for found in [0, 3, 4, 255] {
        let error = error(RawWeights { kept: found, ..row(raw::N_OF_M) });
        assert_eq!(error, PackingError::Kept { group: 3, found });
    }
    let error = error(RawWeights { group: 4, ..row(raw::N_OF_M) });
    assert_eq!(error, PackingError::Groups { group: 4, elements: 9 });
}

#[test]
fn bits_of_no_number_are_refused() {
    for found in [0, 9, 255] {
        let error = error(RawWeights { gap_bits: found, ..row(raw::GAPS) });
        assert_eq!(error, PackingError::CodeBits { found });
    }
    for packing in raw::DENSE..=raw::COLUMNS {
        for found in [8, 9, 255] {
            let error = error(RawWeights { value_bits: found, stored: 3, ..row(packing) });
            assert_eq!(error, PackingError::ValueBits { found, dtype: DataType::I8 });
        }
        let float = RawWeights { value_bits: 3, stored: 3, scale: vec![], ..row(packing) };
        let found = PackingError::ValueBits { found: 3, dtype: DataType::F32 };
        assert_eq!(error(float), found);
    }
}

#[test]
fn indices_of_another_length_are_refused() {
    for packing in raw::BITMAP..=raw::COLUMNS {
        let mut weights = row(packing);
        let index = weights.index.as_mut().unwrap();
        let expected = index.len();
        index.pop();
        let found = error(weights);
        let length = PackingError::Length { part: "index", expected, found: expected - 1 };
        // A code that is not there leads nowhere; of groups, the first level alone is left.
        match packing {
            raw::GAPS => assert_eq!(found, PackingError::Codes { stored: 0, elements: 9 }),
            raw::GROUPS => {
                let none = PackingError::Length { part: "index", expected: 1, found: 0 };
                assert_eq!(found, none);
            }
            _ => assert_eq!(found, length, "packing {packing}"),
        }
        let mut weights = row(packing);
        weights.index.as_mut().unwrap().push(0);
        let found = error(weights);
        // Of the second level alone, in groups.
        let (expected, more) =
            if packing == raw::GROUPS { (1, 2) } else { (expected, expected + 1) };
        let length = PackingError::Length { part: "index", expected, found: more };
        assert_eq!(found, length, "packing {packing}");
        let none = RawWeights { index: None, ..row(packing) };
        match error(none) {
            PackingError::Codes { stored: 0, .. } if packing == raw::GAPS => {}
            PackingError::Length { part: "index", found: 0, .. } => {}
            error => panic!("packing {packing}: {error:?}"),
        }
    }
}

#[test]
fn values_of_another_length_are_refused() {
    for packing in raw::DENSE..=raw::COLUMNS {
        let expected = row(packing).values.unwrap().len();
        for found in [expected - 1, expected + 1] {
            let other = || RawWeights { values: Some(vec![1; found]), ..row(packing) };
            let length = PackingError::Length { part: "values", expected, found };
            if packing != raw::GAPS {
                assert_eq!(error(other()), length, "packing {packing}");
            } else if found > expected {
                // The values tell how many there are: one has no code.
                assert_eq!(error(other()), PackingError::Codes { stored: 3, elements: 9 });
            }
        }
        if packing != raw::GAPS {
            let error = error(RawWeights { values: None, ..row(packing) });
            let found = PackingError::Length { part: "values", expected, found: 0 };
            assert_eq!(error, found, "packing {packing}");
        }
    }
    // So many of gaps in few bits as `stored` says.
    let three = Levels::Bits { bits: 4, zero: false }.pack(&[5, -1, 3]).unwrap();
    let gaps = |stored| RawWeights {
        stored,
        value_bits: 4,
        values: Some(three.clone()),
        ..row(raw::GAPS)
    };
    assert!(ModelView::open(&file(gaps(3))).is_ok());
    for (stored, expected) in [(0, 0), (1, 1), (5, 3), (u32::MAX, 1 << 31)] {
        let found = PackingError::Length { part: "values", expected, found: 2 };
        assert_eq!(error(gaps(stored)), found, "{stored} stored");
    }
    let codes = PackingError::Codes { stored: 3, elements: 9 };
    assert_eq!(error(gaps(4)), codes);
    // f32 of 3 bytes and a half.
    let float = RawWeights { scale: vec![], values: Some(vec![0x3f; 14]), ..row(raw::GAPS) };
    assert_eq!(error(float), PackingError::Length { part: "values", expected: 12, found: 14 });
}

/// Bits past the last one that means something.
#[test]
fn padding_that_is_not_zero_is_refused() {
    for (packing, used) in
        [(raw::BITMAP, 9), (raw::GROUPS, 6), (raw::N_OF_M, 12), (raw::BLOCKS, 5), (raw::COLUMNS, 9)]
    {
        let mut weights = row(packing);
        let byte = weights.index.as_mut().unwrap().last_mut().unwrap();
        *byte |= 0x80;
        let last = *byte;
        let found = PackingError::PaddingBits { part: "index", used, last };
        assert_eq!(error(weights), found, "packing {packing}");
    }
    // The first level of groups, and places of the last group past the last element.
    let groups = |group, index: &[u8]| {
        let ends = weights(raw::GROUPS, index, &[5, 6]);
        error(RawWeights { group, ..ends })
    };
    let padding = |used, last| PackingError::PaddingBits { part: "index", used, last };
    assert_eq!(groups(3, &[0b1101, 0b11_0010]), padding(3, 0b1101));
    assert_eq!(groups(4, &[0b100, 0b0011]), padding(9, 0b0011));
    // Three codes of 3 bits end in the second byte.
    let mut index = gaps::pack(&nonzero(), 3);
    *index.last_mut().unwrap() |= 0x80;
    let last = *index.last().unwrap();
    let error_of = error(RawWeights { gap_bits: 3, ..weights(raw::GAPS, &index, &[5, 6, 7]) });
    assert_eq!(error_of, padding(9, last));
    let mut values = Levels::Bits { bits: 4, zero: false }.pack(&[5, -1, 3]).unwrap();
    values[1] |= 0x10;
    let found = PackingError::PaddingBits { part: "values", used: 12, last: values[1] };
    let narrow = RawWeights { value_bits: 4, values: Some(values), ..row(raw::BITMAP) };
    assert_eq!(error(narrow), found);
}

#[test]
fn indices_that_lead_nowhere_are_refused() {
    let groups = RawWeights {
        index: Some(vec![0b101, 0b00_0010]),
        values: Some(vec![5]),
        ..row(raw::GROUPS)
    };
    assert_eq!(error(groups), PackingError::EmptyGroup { group: 1 });
    for (index, stored) in
        [([0b0100_0100, 0b1010], 5), ([0b0100_0001, 0b1001], 1), ([0b0100_1100, 0b1001], 1)]
    {
        let places = RawWeights { index: Some(index.into()), ..row(raw::N_OF_M) };
        assert_eq!(error(places), PackingError::Place { stored, group: 3 });
    }
    // No code, a place past the end, escapes without end, and escapes after the last.
    let codes = |index: &[u8]| error(RawWeights { index: Some(index.into()), ..row(raw::GAPS) });
    let elements = 9;
    assert_eq!(codes(&[]), PackingError::Codes { stored: 0, elements });
    assert_eq!(codes(&[0b1010_1101]), PackingError::Codes { stored: 2, elements });
    assert_eq!(codes(&[0xff; 9]), PackingError::Codes { stored: 0, elements });
    let length = PackingError::Length { part: "index", expected: 1, found: 2 };
    assert_eq!(codes(&[0b0010_1101, 0xff]), length);
}

#[test]
fn elements_that_may_not_be_stored_are_refused() {
    for packing in [raw::BITMAP, raw::GROUPS, raw::GAPS] {
        let zero = RawWeights { values: Some(vec![5, 0, 3]), ..row(packing) };
        assert_eq!(error(zero), PackingError::StoredZero { index: 1 }, "packing {packing}");
        for (number, found) in [
            (-0.0, PackingError::StoredZero { index: 2 }),
            (f32::NAN, PackingError::NotFinite { index: 2 }),
        ] {
            let values = [1.0, 2.0, number].map(f32::to_le_bytes).concat();
            let float = RawWeights { values: Some(values), scale: vec![], ..row(packing) };
            assert_eq!(float_error(float), found, "packing {packing}");
        }
    }
    // The others store zeros as well; none stores what is no number.
    for packing in [raw::DENSE, raw::N_OF_M, raw::BLOCKS, raw::COLUMNS] {
        let count = row(packing).values.unwrap().len();
        let mut values = vec![0.0_f32.to_le_bytes(); count];
        values[1] = f32::NEG_INFINITY.to_le_bytes();
        let float = RawWeights { values: Some(values.concat()), scale: vec![], ..row(packing) };
        let found = PackingError::NotFinite { index: 1 };
        assert_eq!(float_error(float), found, "packing {packing}");
        let zeros = RawWeights { values: Some(vec![0; count]), ..row(packing) };
        assert!(ModelView::open(&file(zeros)).is_ok(), "packing {packing}");
    }
}

/// As [`error`], of f32 weights and input.
fn float_error(weights: RawWeights) -> PackingError {
    let raw = Raw {
        input_dtype: raw::F32,
        input_scale: 0.0,
        input_shape: Some(vec![9]),
        weights: Some(weights),
        value: (0, 0.0, 0),
        ..Raw::default()
    };
    match ModelView::open(&raw.bytes()).unwrap_err() {
        Error::Packing { source, .. } => source,
        error => panic!("{error:?}"),
    }
}
