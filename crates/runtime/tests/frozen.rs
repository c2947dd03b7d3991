//! Files of released versions of the format run as they did when they were written, in every packing. Which files there are, and
//! that their content is what it was, is tested in the format (`crates/format/tests/frozen`).

use penjing_runtime::{Model, Session, SessionOptions};
use std::path::Path;

fn model(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format/tests/frozen/v1");
    Model::open(folder.join(name).with_extension("pnj")).unwrap()
}

/// Two images of 72 pixels.
fn pixels() -> Vec<u8> {
    (0..144_u32).map(|i| (i * 37 % 251) as u8).collect()
}

fn scores(name: &str) -> Vec<i8> {
    let mut session = Session::new(&model(name), SessionOptions::default()).unwrap();
    let mut scores = vec![0; 8];
    session.run(&pixels()[..], &mut scores[..]).unwrap();
    scores
}

const PACKINGS: [&str; 8] =
    ["dense", "bitmap", "groups", "gaps", "n-of-m", "blocks", "columns", "coded"];

#[test]
fn int8_files_give_the_same_scores() {
    for packing in PACKINGS {
        assert_eq!(
            scores(&format!("int8-{packing}")),
            [4, 77, -32, 35, 2, 75, -50, 34],
            "{packing}"
        );
        assert_eq!(
            scores(&format!("bits-{packing}")),
            [-96, 127, -66, 118, -89, 127, -79, 112],
            "{packing}"
        );
    }
    assert_eq!(scores("signs-dense"), [-16, -17, -15, -3, -14, -15, -17, -2]);
    assert_eq!(scores("signed"), scores("int8-bitmap"), "a signature changes no score");
}

#[test]
fn f32_files_give_the_same_scores() {
    let images: Vec<f32> = pixels().into_iter().map(|pixel| f32::from(pixel) / 255.0).collect();
    let expected = [
        0.43463805,
        -0.67798257,
        1.7906033,
        -1.096776,
        0.42591995,
        -0.6354002,
        1.874059,
        -0.9759516,
    ];
    for packing in PACKINGS {
        let mut session =
            Session::new(&model(&format!("f32-{packing}")), SessionOptions::default()).unwrap();
        let mut scores = vec![0.0_f32; 8];
        session.run(&images[..], &mut scores[..]).unwrap();
        // Instruction sets add in other orders.
        let close = |(found, expected): (&f32, f32)| (found - expected).abs() < 1e-4;
        assert!(scores.iter().zip(expected).all(close), "{packing}: {scores:?}");
    }
}
