//! What is refused, and that the refusal names what was expected and what was found.

mod support;

use penjing_format::DataType;
use penjing_format::write::PackingChoice;
use penjing_runtime::{Error, Input, Model, Output, Port, RunError, Session, SessionOptions};
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

/// No flipped bit and no missing end makes a file that opens and then panics, hangs or takes more memory than it may.
#[test]
fn flipped_bits_and_truncations_are_refused_or_run() {
    for (dtype, packing) in [
        (DataType::U8, PackingChoice::Dense),
        (DataType::U8, PackingChoice::Gaps),
        (DataType::I8, PackingChoice::Bitmap),
        (DataType::F32, PackingChoice::Gaps),
    ] {
        let bytes = support::network_spec(dtype).to_bytes(packing).unwrap();
        // Weights' bits only change results; of the rest every bit counts, and the packings' own.
        let step = if packing == PackingChoice::Dense { 7 } else { 1 };
        let flips = (0..bytes.len() * 8).step_by(step).map(|bit| {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        });
        let cuts = (0..bytes.len()).map(|len| bytes[..len].to_vec());
        let mut opened = 0;
        for altered in flips.chain(cuts) {
            let Ok(model) = Model::from_bytes(altered) else { continue };
            let options = SessionOptions { max_bytes: 1 << 22, ..SessionOptions::default() };
            let Ok(mut session) = Session::new(&model, options) else { continue };
            let info = model.inputs().next().unwrap();
            let images = Data::zeros(info.dtype, info.len());
            support::run(&mut session, &model, &images, 1).unwrap();
            opened += 1;
        }
        assert!(opened > 0);
    }
}
