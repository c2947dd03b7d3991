//! What a reader sees before it looks at a model: the identifier, the hash, the version, and a signature that it passes over.
#![cfg(feature = "write")]

mod common;

use common::file::{in_every_packing, stamped};
use common::raw::Raw;
use penjing_format::write::{Constant, Op, PackingChoice};
use penjing_format::{Error, ModelView, hash, signature};

#[test]
fn what_is_no_model_is_named() {
    let bytes = common::article_int8(800).to_bytes(PackingChoice::Auto).unwrap();
    for len in 0..16 {
        let error = Error::TooShort { expected: 16, found: len };
        assert_eq!(ModelView::open(&bytes[..len]).unwrap_err(), error);
        assert_eq!(ModelView::open_structure(&bytes[..len]).unwrap_err(), error);
        assert_eq!(
            error.to_string(),
            format!("not a model: expected at least 16 bytes, found {len}")
        );
    }
    let mut other = bytes.clone();
    other[4..8].copy_from_slice(b"TFL3");
    for short in [&other[..], &other[..8]] {
        assert_eq!(ModelView::open(short).unwrap_err(), Error::Identifier { found: *b"TFL3" });
    }
    let mut lost = bytes.clone();
    lost[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(ModelView::open(&stamped(lost)), Err(Error::Layout { .. })));
    for len in 16..bytes.len() {
        let cut = &bytes[..len];
        assert!(matches!(ModelView::open(cut), Err(Error::Hash { .. })), "cut at {len}");
        assert!(ModelView::open(&stamped(cut.to_vec())).is_err(), "cut at {len}");
    }
}

/// Of every file in every packing, wherever the bit is, even where any bit would do.
#[test]
fn a_flipped_bit_is_told_by_the_hash() {
    let mut tried = 0;
    for (model, name) in common::small_models() {
        for (mut bytes, name) in in_every_packing(&model, name) {
            let stated = hash::stated(&bytes).unwrap();
            for bit in 0..8 * bytes.len() {
                bytes[bit / 8] ^= 1 << (bit % 8);
                match ModelView::open(&bytes).unwrap_err() {
                    Error::Identifier { .. } => assert!((32..64).contains(&bit), "{name} {bit}"),
                    Error::Hash { expected, found } => {
                        let hashed = !(64..128).contains(&bit);
                        assert_eq!(hashed, found == stated, "{name} {bit}");
                        assert_eq!(!hashed, expected == stated, "{name} {bit}");
                    }
                    error => panic!("{name} {bit}: {error}"),
                }
                bytes[bit / 8] ^= 1 << (bit % 8);
                tried += 1;
            }
            assert!(ModelView::open(&bytes).is_ok());
        }
    }
    println!("{tried} flips that only the hash or the identifier tells");
}

#[test]
fn a_damaged_file_says_both_hashes() {
    let mut bytes = common::small_int8().to_bytes(PackingChoice::Auto).unwrap();
    let found = hash::stated(&bytes).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let expected = hash::of(&bytes).unwrap();
    let error = ModelView::open(&bytes).unwrap_err();
    assert_eq!(error, Error::Hash { expected, found });
    assert!(error.to_string().contains(&format!("expected {expected:016x}")), "{error}");
    assert!(error.to_string().contains(&format!("found {found:016x}")), "{error}");
    assert!(ModelView::open_structure(&bytes).is_ok(), "which looks at the layout alone");
}

#[test]
fn a_newer_version_says_which_it_needs() {
    let error = ModelView::open(&Raw { format_version: 7, ..Raw::default() }.bytes()).unwrap_err();
    assert_eq!(error, Error::Version { expected: 1, found: 7 });
    assert!(error.to_string().contains("version 7"), "{error}");
}

/// A signature is neither asked for nor verified here, and what it signs has the same hash without it.
#[test]
fn a_signature_is_passed_over() {
    let bytes = common::small_int8().to_bytes(PackingChoice::Auto).unwrap();
    let signed = signature::append(signature::message(&bytes, 3), [0xa5; 64]);
    assert_eq!(hash::of(&signed), hash::of(&bytes));
    let view = ModelView::open(&signed).unwrap();
    assert_eq!(view.bytes(), bytes);
    assert_eq!(ModelView::assume_checked(&signed).bytes(), bytes);
    let mut other = signed.clone();
    other[bytes.len() - 1] ^= 1;
    assert!(matches!(ModelView::open(&other), Err(Error::Hash { .. })));
    other = signed.clone();
    other[bytes.len() + 20] ^= 1;
    assert!(ModelView::open(&other).is_ok(), "the signature is no part of the content");
    // Without its mark it is content, which the hash does not know.
    other = signed;
    *other.last_mut().unwrap() ^= 1;
    assert!(matches!(ModelView::open(&other), Err(Error::Hash { .. })));
    let none = signature::append(signature::message(&bytes[..9], 3), [0; 64]);
    let error = ModelView::open(&none).unwrap_err();
    assert_eq!(error, Error::TooShort { expected: 16, found: 9 });
}

/// The writer lays the first node's bias last: here it ends as a signed file does.
#[test]
fn numbers_that_look_like_a_signature_are_numbers() {
    let mut model = common::article_int8(800);
    let Op::Conv2d(conv) = &mut model.nodes[0].op else { panic!("node 0 is a convolution") };
    let mut biases = vec![0; 12];
    biases[11] = i32::from_le_bytes(*b"PNJS");
    conv.bias = Some(Constant::bias(biases));
    let bytes = model.to_bytes(PackingChoice::Auto).unwrap();
    assert!(bytes.ends_with(b"PNJS\0\0\0\0"), "the test means the end of the file");
    assert_eq!(signature::split(&bytes), (&bytes[..], None));
    assert_eq!(ModelView::open(&bytes).unwrap().bytes(), bytes);
}
