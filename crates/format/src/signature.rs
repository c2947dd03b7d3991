//! Where a signed file's signature lies: in its last 76 bytes, after the content. How it is made and verified is not here (the
//! runtime's feature `signed`, and the command); the reader of models passes it over.
//!
//! | bytes from the end | content |
//! | --- | --- |
//! | 76..68 | the model's version, u64, for whoever refuses to go back to an older one |
//! | 68..4 | ed25519 signature of all bytes before it: the content and the version |
//! | 4..0 | `PNJS` |

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

/// The last bytes of a signed file.
pub const MARK: [u8; 4] = *b"PNJS";

/// Bytes that a signature adds to a file.
pub const SIZE: usize = 76;

/// What stands at the end of a signed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// All that is signed: the content and the version's bytes.
    pub message: &'a [u8],
    /// The model's version.
    pub version: u64,
    /// The 64 bytes of the ed25519 signature.
    pub bytes: [u8; 64],
}

/// A file's content, and its signature if it ends with one.
#[must_use]
pub fn split(file: &[u8]) -> (&[u8], Option<Signature<'_>>) {
    match parse(file) {
        Some((content, signature)) => (content, Some(signature)),
        None => (file, None),
    }
}

fn parse(file: &[u8]) -> Option<(&[u8], Signature<'_>)> {
    let (rest, mark) = file.split_last_chunk::<4>()?;
    if *mark != MARK {
        return None;
    }
    let (message, &bytes) = rest.split_last_chunk::<64>()?;
    let (content, &version) = message.split_last_chunk::<8>()?;
    Some((content, Signature { message, version: u64::from_le_bytes(version), bytes }))
}

/// What is to be signed of a model: its content, without a signature that it may have, and the version.
#[cfg(feature = "write")]
#[must_use]
pub fn message(file: &[u8], version: u64) -> std::vec::Vec<u8> {
    let mut message = split(file).0.to_vec();
    message.extend(version.to_le_bytes());
    message
}

/// The signed file of a [`message`].
#[cfg(feature = "write")]
#[must_use]
pub fn append(mut message: std::vec::Vec<u8>, signature: [u8; 64]) -> std::vec::Vec<u8> {
    message.extend(signature);
    message.extend(MARK);
    message
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_found() {
        let content = b"content".as_slice();
        assert_eq!(split(content), (content, None));
        let signed = append(message(content, 9), [5; 64]);
        assert_eq!(signed.len(), content.len() + SIZE);
        let (found, signature) = split(&signed);
        assert_eq!(found, content);
        let message = &signed[..content.len() + 8];
        assert_eq!(signature, Some(Signature { message, version: 9, bytes: [5; 64] }));
        let again = append(super::message(&signed, 10), [6; 64]);
        assert_eq!(split(&again).0, content, "signing anew replaces a signature");
        for cut in 1..=4 {
            let cut = &signed[..signed.len() - cut];
            assert_eq!(split(cut), (cut, None));
        }
        assert_eq!(split(&signed[signed.len() - 75..]).1, None, "too short");
    }
}
