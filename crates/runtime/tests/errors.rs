//! What is refused, and that the refusal names what was expected and what was found.

mod support;

use penjing_format::write::{PackingChoice, WriteError};
use penjing_format::{DataType, hash};
use penjing_runtime::{Error, Input, Model, Output, Port, RunError, Session, SessionOptions};
use std::collections::HashSet;
use support::Data;

fn network() -> Model {
    support::model(&support::network_spec(DataType::U8), PackingChoice::Auto)
}

#[test]
fn wrong_lengths_and_types() {
    let mut session = support::session(&network(), 1);
    let (image, mut scores) = ([0_u8; 168], [0_i8; 10]);
    let input = |index| Port::Input(index);
    assert_eq!(
        session.run(&image[..167], &mut scores),
        Err(RunError::Partial { port: input(0), per_image: 168, found: 167 })
    );
    assert_eq!(
        session.run(&[0.0_f32; 168], &mut scores),
        Err(RunError::DataType { port: input(0), expected: DataType::U8, found: DataType::F32 })
    );
    let output = Port::Output(0);
    assert_eq!(
        session.run(&image, Output::I8(&mut scores[..9])),
        Err(RunError::Length { port: output, batch: 1, expected: 10, found: 9 })
    );
    assert_eq!(
        session.run(&[0_u8; 336], &mut scores),
        Err(RunError::Length { port: output, batch: 2, expected: 20, found: 10 })
    );
    assert_eq!(
        session.run(&image, &mut [0_u8; 10]),
        Err(RunError::DataType { port: output, expected: DataType::I8, found: DataType::U8 })
    );
    let two = [Input::U8(&image), Input::U8(&image)];
    assert_eq!(
        session.run_many(&two, &mut [Output::I8(&mut scores)]),
        Err(RunError::Count { of: "inputs", expected: 1, found: 2 })
    );
    let error = session.run_many(&two[..1], &mut []).unwrap_err();
    assert_eq!(error, RunError::Count { of: "outputs", expected: 1, found: 0 });
    assert_eq!(error.to_string(), "outputs: expected 1, found 0");
    assert_eq!(session.run(&image, &mut scores), Ok(()));
}

#[test]
fn an_empty_batch_is_no_error() {
    let empty: [u8; 0] = [];
    for threads in [1, 2] {
        let mut session = support::session(&network(), threads);
        assert_eq!(session.run(&empty, &mut [0_i8; 0]), Ok(()));
    }
}

#[test]
fn hostile_files_are_refused_with_their_path() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = support::network_spec(DataType::U8).to_bytes(PackingChoice::Auto).unwrap();
    let files = [
        ("empty.pnj", Vec::new()),
        ("text.pnj", b"this is no model at all".to_vec()),
        ("short.pnj", bytes[..bytes.len() / 2].to_vec()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let error = Model::open(&path).unwrap_err();
        assert!(matches!(&error, Error::Format { path: Some(_), .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert!(matches!(Model::from_bytes(bytes), Err(Error::Format { path: None, .. })));
    }
    let missing = folder.path().join("missing.pnj");
    let error = Model::open(&missing).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == missing), "{error:?}");
}

/// Opens and runs the file, if it is one.
fn opened(bytes: Vec<u8>) -> bool {
    let Ok(model) = Model::from_bytes(bytes) else { return false };
    let options = SessionOptions { max_bytes: 1 << 22, ..SessionOptions::default() };
    let Ok(mut session) = Session::new(&model, options) else { return false };
    let info = model.inputs().next().unwrap();
    let images = Data::zeros(info.dtype, info.len());
    support::run(&mut session, &model, &images, 1).unwrap();
    true
}

/// Flips every `step`th bit of a file and cuts it everywhere, each time with the hash that the bytes have then. Returns how many
/// flips and cuts were tried, and how many of both ran.
fn damage(bytes: &[u8], step: usize) -> (usize, usize, usize) {
    let mut ran = 0;
    let mut run = |mut altered: Vec<u8>| {
        hash::stamp(&mut altered);
        ran += usize::from(opened(altered));
    };
    let flips = (0..bytes.len() * 8).step_by(step);
    for bit in flips.clone() {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        run(flipped);
    }
    for len in 0..bytes.len() {
        run(bytes[..len].to_vec());
    }
    (flips.len(), bytes.len(), ran)
}

/// No flipped bit and no missing end makes a file that opens and then panics, hangs or takes more memory than it may.
#[test]
fn flipped_bits_and_truncations_are_refused_or_run() {
    let (mut flips, mut cuts, mut ran, mut files) = (0, 0, 0, 0);
    let mut packings = HashSet::new();
    for (dtype, few) in
        [(DataType::U8, false), (DataType::I8, false), (DataType::I8, true), (DataType::F32, false)]
    {
        for (spec, packing) in support::small_specs(dtype, few)
            .iter()
            .flat_map(|spec| PackingChoice::IN_PLACE.map(|packing| (spec, packing)))
        {
            let bytes = match spec.to_bytes(packing) {
                Ok(bytes) => bytes,
                Err(WriteError::Packing { .. }) => continue,
                Err(error) => panic!("{error}"),
            };
            assert!(opened(bytes.clone()));
            packings.insert((dtype, few, packing.name()));
            let found = damage(&bytes, 1);
            assert!(found.2 > 0 && found.2 < found.0, "{dtype} {}", packing.name());
            (flips, cuts, ran) = (flips + found.0, cuts + found.1, ran + found.2);
            files += 1;
        }
    }
    assert_eq!(packings.len(), 4 * PackingChoice::IN_PLACE.len(), "{packings:?}");
    println!("{flips} flips and {cuts} truncations of {files} files, {ran} ran");
}

/// The same of the article's network in small, which has kernels of its own.
#[test]
fn a_damaged_network_is_refused_or_runs() {
    // Weights' bits only change results, so that of dense and of f32 weights some do.
    for (dtype, packing, step) in [
        (DataType::U8, PackingChoice::Dense, 7),
        (DataType::U8, PackingChoice::Gaps, 1),
        (DataType::I8, PackingChoice::Bitmap, 1),
        (DataType::F32, PackingChoice::Gaps, 3),
    ] {
        let bytes = support::network_spec(dtype).to_bytes(packing).unwrap();
        let (flips, cuts, ran) = damage(&bytes, step);
        assert!(ran > 0);
        println!("{dtype} {}: {flips} flips and {cuts} truncations, {ran} ran", packing.name());
    }
}

/// What is damaged and not hashed anew is refused, wherever it is.
#[test]
fn a_flipped_bit_is_refused_by_the_hash() {
    let bytes = support::network_spec(DataType::U8).to_bytes(PackingChoice::Auto).unwrap();
    for at in (64..bytes.len() * 8).step_by(13) {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let error = Model::from_bytes(flipped).unwrap_err();
        let Error::Format { source, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(**source, penjing_format::Error::Hash { .. }), "bit {at}: {error}");
    }
}
