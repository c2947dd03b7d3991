//! Models that must be signed (feature `signed`): whose key, and from which version on. Where a signature lies in a file is
//! `penjing_format::signature`'s; making one is the command's, for a device holds no secret.

use core::fmt;
use penjing_format::signature;

/// An ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_compact::PublicKey);

impl PublicKey {
    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(ed25519_compact::PublicKey::new(bytes))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is asked of a file before any of it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Who must have signed it.
    pub key: PublicKey,
    /// The least version that it may have. A device that updates itself keeps the version that it runs and asks for that one
    /// or a later one, so that nobody can bring an old model back.
    pub at_least: u64,
}

/// Why a file's signature does not do.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The file does not end with a signature.
    Unsigned,
    /// The signature is not of these bytes by this key.
    Mismatch,
    /// The signature is right, and the model older than what is asked for.
    RolledBack {
        /// The least version that it may have.
        expected: u64,
        /// Its version.
        found: u64,
    },
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => write!(f, "signature: expected one at the file's end, found none"),
            Self::Mismatch => write!(
                f,
                "signature: expected one of this content by this key, found another: the file was altered or signed by someone else"
            ),
            Self::RolledBack { expected, found } => {
                write!(f, "signature: expected model version {expected} or later, found {found}")
            }
        }
    }
}

impl core::error::Error for SignatureError {}

/// The model version of a file that `signer` signed.
///
/// # Errors
/// [`SignatureError`], one for each way in which a file is not what is asked for.
pub fn verify(file: &[u8], signer: &Signer) -> Result<u64, SignatureError> {
    let signature = signature::split(file).1.ok_or(SignatureError::Unsigned)?;
    let bytes = ed25519_compact::Signature::new(signature.bytes);
    signer.key.0.verify(signature.message, &bytes).map_err(|_| SignatureError::Mismatch)?;
    if signature.version < signer.at_least {
        let (expected, found) = (signer.at_least, signature.version);
        return Err(SignatureError::RolledBack { expected, found });
    }
    Ok(signature.version)
}
