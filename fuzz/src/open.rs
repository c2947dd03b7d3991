//! The target `open`: any bytes as a model file, as they are and with their content hash made right. Nothing is run.

use crate::{compare, visit};
use penjing_format::write::generated::penjing as flatc;
use penjing_format::{Error, ExpandError, ModelView, expand, hash};

/// Reads `data` as a file: never a panic; what ours accepts, flatc's verifier accepts, and both read the same.
pub fn open(data: &[u8]) {
    // Hardly ever right as it is: this reaches the header's checks and the hash's.
    check(data);
    let mut file = data.to_vec();
    hash::stamp(&mut file);
    check(&file);
}

fn check(file: &[u8]) {
    // A sound layout is flatc's business alone, whatever the fields mean.
    if let Ok(model) = ModelView::open_structure(file)
        && let Err(error) = flatc::root_as_model(model.bytes())
    {
        panic!("ours accepts the layout, flatc's verifier does not: {error}");
    }
    match ModelView::open(file) {
        Ok(model) => {
            compare::model(&model);
            visit::accepted(&model);
        }
        Err(Error::Coded { .. }) => decode(file),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            // Promised to be safe for any bytes.
            visit::any(&ModelView::assume_checked(file));
        }
    }
}

/// The most bytes that decoding may take.
const MAX_BYTES: u64 = 1 << 20;

/// Decodes a file with entropy-coded weights: no more memory than granted, and a file that runs where it lies.
fn decode(file: &[u8]) {
    match expand(file, MAX_BYTES) {
        Ok(decoded) => {
            assert!(decoded.len() as u64 <= MAX_BYTES);
            let model = ModelView::open(&decoded).expect("a decoded file is checked");
            compare::model(&model);
            visit::accepted(&model);
        }
        Err(ExpandError::TooLarge { needed, limit }) => assert!(needed > limit),
        Err(ExpandError::Format(error)) => assert!(!error.to_string().is_empty()),
    }
}
