//! Streams of bits, lowest first: words of them, and what must lie past their end.

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

use super::PackingError;

/// The first eight bytes; those past the end are 0.
#[inline]
pub(super) fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(&word) => u64::from_le_bytes(word),
        None => {
            bytes.iter().rev().fold(0, |word: u64, &byte| word.wrapping_shl(8) | u64::from(byte))
        }
    }
}

/// Whether `used` bits fill `bytes` but for zeros in the last one. `part` names them, `elements` are the constant's.
pub(super) fn check_end(
    part: &'static str,
    bytes: &[u8],
    used: usize,
    elements: usize,
) -> Result<(), PackingError> {
    let expected = used.div_ceil(8);
    if bytes.len() != expected {
        return Err(PackingError::Length { part, expected, found: bytes.len() });
    }
    if let (Some(&last), used @ 1..) = (bytes.last(), used % 8) {
        let past = u32::try_from(used).ok().and_then(|used| last.checked_shr(used));
        if past != Some(0) {
            return Err(PackingError::PaddingBits { elements, last });
        }
    }
    Ok(())
}
