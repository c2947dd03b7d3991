//! Files that must be signed (feature `signed`): an unsigned, an altered and a rolled-back file, and one signed by someone else, are
//! refused, each with its own error, before anything of them is read.

mod support;

use ed25519_compact::{KeyPair, Seed};
use penjing_format::write::PackingChoice;
use penjing_format::{DataType, signature};
use penjing_runtime::{Error, Model, OpenOptions, PublicKey, SignatureError, Signer, verify};

fn pair(seed: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([seed; 32]))
}

fn file() -> Vec<u8> {
    support::network_spec(DataType::U8).to_bytes(PackingChoice::Auto).unwrap()
}

fn signed(file: &[u8], version: u64) -> Vec<u8> {
    let message = signature::message(file, version);
    signature::append(message.clone(), *pair(1).sk.sign(&message, None))
}

fn signer(seed: u8, at_least: u64) -> Signer {
    Signer { key: PublicKey::from_bytes(*pair(seed).pk), at_least }
}

fn open(file: &[u8], signer: Signer) -> Result<Model, Error> {
    let mut options = OpenOptions::default();
    options.signer = Some(signer);
    Model::from_bytes_with(file.to_vec(), &options)
}

fn refusal(file: &[u8], signer: Signer) -> SignatureError {
    match open(file, signer).unwrap_err() {
        Error::Signature { path: None, source } => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_file_opens_from_its_version_on() {
    let signed = signed(&file(), 3);
    for at_least in [0, 2, 3] {
        let model = open(&signed, signer(1, at_least)).unwrap();
        assert_eq!(model.view().bytes(), file());
    }
    assert_eq!(verify(&signed, &signer(1, 3)), Ok(3));
    assert!(Model::from_bytes(signed).is_ok(), "who asks for no signature passes it over");
}

#[test]
fn what_is_not_signed_so_is_refused_with_its_own_error() {
    let unsigned = file();
    assert_eq!(refusal(&unsigned, signer(1, 0)), SignatureError::Unsigned);
    let signed = signed(&unsigned, 3);
    let rolled_back = SignatureError::RolledBack { expected: 4, found: 3 };
    assert_eq!(refusal(&signed, signer(1, 4)), rolled_back);
    assert_eq!(rolled_back.to_string(), "signature: expected model version 4 or later, found 3");
    assert_eq!(refusal(&signed, signer(2, 0)), SignatureError::Mismatch, "another key");
    // A signature is of its own content and version.
    let other = self::signed(&unsigned, 4);
    let grafted = [&signed[..signed.len() - 68], &other[other.len() - 68..]].concat();
    assert_eq!(refusal(&grafted, signer(1, 0)), SignatureError::Mismatch);
    let doubled = [&signed[..], &signed[signed.len() - 76..]].concat();
    assert_eq!(refusal(&doubled, signer(1, 0)), SignatureError::Mismatch);
}

/// Every byte counts: of the content, of its hash, of the version and of the signature.
#[test]
fn no_bit_of_a_signed_file_can_change() {
    let signed = signed(&file(), 3);
    let step = 13;
    for bit in (0..8 * signed.len()).step_by(step).chain(8 * (signed.len() - 80)..8 * signed.len())
    {
        let mut altered = signed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit / 8 >= signed.len() - 4 {
            SignatureError::Unsigned
        } else {
            SignatureError::Mismatch
        };
        assert_eq!(refusal(&altered, signer(1, 0)), expected, "bit {bit}");
    }
    for len in (0..signed.len()).step_by(7) {
        assert!(open(&signed[..len], signer(1, 0)).is_err());
    }
}

#[test]
fn keys_that_are_none_verify_nothing() {
    let signed = signed(&file(), 3);
    for bytes in [[0; 32], [0xff; 32], [1; 32]] {
        let signer = Signer { key: PublicKey::from_bytes(bytes), at_least: 0 };
        assert_eq!(refusal(&signed, signer), SignatureError::Mismatch);
    }
}

#[test]
fn a_file_on_the_disk_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unsigned.pnj");
    std::fs::write(&path, file()).unwrap();
    let mut options = OpenOptions::default();
    options.signer = Some(signer(1, 0));
    let error = Model::open_with(&path, &options).unwrap_err();
    assert!(matches!(error, Error::Signature { path: Some(_), .. }), "{error:?}");
    assert!(error.to_string().contains("unsigned.pnj: signature: expected one"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}
