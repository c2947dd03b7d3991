//! Files with entropy-coded weights: what of them is refused, before and while they are decoded, and that decoding takes no flipped
//! bit and no missing end for a model that it is not. The streams by themselves are in `coded.rs`.
#![cfg(feature = "write")]

mod common;

use common::raise::raise;
use common::raw::{self, Raw, RawWeights};
use common::{file::flipped, file::stamped};
use penjing_format::packing::coded;
use penjing_format::write::PackingChoice;
use penjing_format::{Error, ExpandError, ModelView, PackingError, expand};

const LIMIT: u64 = 1 << 20;

/// Two outputs of nine inputs.
const ELEMENTS: [i8; 18] = [0, 5, 0, 0, 0, 0, 0, -1, 3, 7, 0, 0, -7, 0, 0, 0, 2, 0];

fn file(alter: impl Fn(&mut RawWeights)) -> Vec<u8> {
    let (period, stream) = coded::pack(&ELEMENTS, 9);
    let mut weights = RawWeights {
        values: Some(stream),
        out_channels: 2,
        packing: raw::CODED,
        index: None,
        period,
        ..RawWeights::default()
    };
    alter(&mut weights);
    Raw { input_shape: Some(vec![9]), weights: Some(weights), ..Raw::default() }.bytes()
}

fn refusal(alter: impl Fn(&mut RawWeights)) -> Error {
    match expand(&file(alter), LIMIT).unwrap_err() {
        ExpandError::Format(error) => error,
        other => panic!("{other:?}"),
    }
}

fn packing_error(alter: impl Fn(&mut RawWeights)) -> PackingError {
    let Error::Packing { source, place } = refusal(alter) else { panic!("no packing error") };
    assert_eq!(place.field, "weights");
    source
}

#[test]
fn a_coded_file_is_its_decoded_one() {
    let bytes = file(|_| ());
    let error = ModelView::open(&bytes).unwrap_err();
    assert!(matches!(error, Error::Coded { .. }), "{error:?}");
    assert!(error.to_string().contains("node 0 (fully_connected), weights.packing"), "{error}");
    let decoded = expand(&bytes, LIMIT).unwrap();
    let step = ModelView::open(&decoded).unwrap().walk().next().unwrap().unwrap();
    let mut elements = [1; 18];
    step.op.constants().unwrap().0.packed.expand_i8(&mut elements).unwrap();
    assert_eq!(elements, ELEMENTS);
    assert_eq!(expand(&decoded, LIMIT).as_deref(), Ok(&decoded[..]), "nothing is left to decode");
}

/// Decoded weights that end as a signed file does are followed by zeros.
#[test]
fn decoded_weights_that_look_like_a_signature_are_weights() {
    let elements: Vec<i8> = b"not PNJS".iter().map(|&byte| byte as i8).collect();
    let (period, stream) = coded::pack(&elements, 4);
    let bytes = Raw {
        input_shape: Some(vec![4]),
        weights: Some(RawWeights {
            values: Some(stream),
            packing: raw::CODED,
            period,
            ..RawWeights::default()
        }),
        ..Raw::default()
    };
    let decoded = expand(&bytes.bytes(), LIMIT).unwrap();
    assert!(decoded.ends_with(b"PNJS\0\0\0\0"));
    assert_eq!(ModelView::open(&decoded).unwrap().bytes(), decoded);
}

#[test]
fn streams_that_are_none_are_named() {
    let length = |expected, found| PackingError::Length { part: "values", expected, found };
    assert_eq!(packing_error(|w| w.values = Some(vec![3])), length(2, 1));
    assert_eq!(
        packing_error(|w| w.values.as_mut().unwrap()[0] = 9),
        PackingError::Exponent { largest: 8, found: 9 }
    );
    let whole = file(|_| ());
    let len = ModelView::open_coded(&whole).unwrap().walk().next().unwrap().unwrap();
    let len = len.op.constants().unwrap().0.packed.stored_bytes();
    assert_eq!(packing_error(|w| w.values.as_mut().unwrap().push(0)), length(len, len + 1));
    let cut = packing_error(|w| w.values.as_mut().unwrap().truncate(3));
    assert!(matches!(cut, PackingError::Coded { .. } | PackingError::Length { .. }), "{cut:?}");
    // Ones to the end: an element beyond int8.
    let ones = packing_error(|w| w.values = Some(vec![8, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(matches!(ones, PackingError::Coded { .. } | PackingError::Length { .. }), "{ones:?}");
}

#[test]
fn fields_that_a_stream_has_no_use_for_are_named() {
    let error = refusal(|w| w.index = Some(vec![1]));
    assert!(matches!(error, Error::Unexpected { place } if place.field == "weights.index"));
    let error = refusal(|w| w.values = None);
    assert!(matches!(error, Error::Missing { place } if place.field == "weights.values"));
    let error = refusal(|w| w.value_bits = 4);
    assert!(matches!(error, Error::Unexpected { place } if place.field == "weights.value_bits"));
}

/// A few bytes that say 4 billion weights: refused by the limit, before any memory is taken, and under a larger one because the
/// stream has ended long before.
#[test]
fn decoding_is_bounded_by_the_limit_and_by_the_stream() {
    let bytes = file(|w| w.out_channels = u32::MAX / 9);
    let error = expand(&bytes, 256 << 20).unwrap_err();
    let ExpandError::TooLarge { needed, limit } = error else { panic!("{error:?}") };
    assert!(needed > 1 << 32 && limit == 256 << 20);
    let bytes = file(|w| w.out_channels = 1 << 20);
    let ExpandError::Format(error) = expand(&bytes, 64 << 20).unwrap_err() else { panic!() };
    let Error::Packing { source: PackingError::Coded { element }, .. } = error else {
        panic!("{error:?}")
    };
    assert!(element < 200_000, "{element}");
}

/// What decoded weights may be is checked as of any others.
#[test]
fn decoded_weights_are_checked() {
    let infinite = [1.0_f32, f32::INFINITY, 2.0];
    let (period, stream) = coded::pack(&infinite, 3);
    let weights = RawWeights {
        values: Some(stream),
        out_channels: 1,
        packing: raw::CODED,
        index: None,
        scale: vec![],
        period,
        ..RawWeights::default()
    };
    let raw = Raw {
        input_shape: Some(vec![3]),
        input_dtype: 1,
        input_scale: 0.0,
        weights: Some(weights),
        value: (0, 0.0, 0),
        ..Raw::default()
    };
    let error = expand(&raw.bytes(), LIMIT).unwrap_err();
    let ExpandError::Format(Error::Packing { source, .. }) = error else { panic!("{error:?}") };
    assert_eq!(source, PackingError::NotFinite { index: 1 });
}

#[test]
fn flips_and_truncations_are_refused_or_decoded() {
    let mut tried = 0;
    for model in [common::small_int8(), common::small_f32(), common::small_depthwise()] {
        let bytes = model.to_bytes(PackingChoice::Coded).unwrap();
        let own = raise(ModelView::open(&expand(&bytes, LIMIT).unwrap()).unwrap());
        let flips = (0..8 * bytes.len()).map(|bit| flipped(&bytes, bit));
        let cuts = (0..bytes.len()).map(|len| stamped(bytes[..len].to_vec()));
        let mut accepted = 0;
        for damaged in flips.chain(cuts) {
            tried += 1;
            let Ok(decoded) = expand(&damaged, LIMIT) else { continue };
            assert!(decoded.len() as u64 <= LIMIT);
            accepted += usize::from(raise(ModelView::open(&decoded).unwrap()) != own);
        }
        assert!(accepted > 0, "some bits are scales, biases and other weights");
    }
    println!("{tried} damaged files with coded weights: none made a panic");
}
