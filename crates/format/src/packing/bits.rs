//! Streams of bits, the first in the lowest bit of the first byte: counting, reading and writing them, and what must lie past
//! their end. What the bits mean is the packings' business.

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

/// Bits that [`at`] gives at most: those of a word that begins anywhere in a byte.
pub(super) const MOST: usize = 57;

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

/// `count` bits, at most [`MOST`], from bit `from` on; those past the end are 0.
#[inline]
pub(super) fn at(bytes: &[u8], from: usize, count: usize) -> u64 {
    let word = word(bytes.get(from / 8..).unwrap_or_default());
    shifted(word, from % 8) & low(count)
}

/// The lowest `count` bits of a word, at most 64.
#[inline]
pub(super) fn low(count: usize) -> u64 {
    match 64_usize.checked_sub(count) {
        Some(64) | None => 0,
        Some(past) => shifted(u64::MAX, past),
    }
}

#[inline]
pub(super) fn shifted(word: u64, by: usize) -> u64 {
    u32::try_from(by).ok().and_then(|by| word.checked_shr(by)).unwrap_or(0)
}

/// Whether bit `index` is 1; past the end it is not.
#[inline]
pub(super) fn is_set(bytes: &[u8], index: usize) -> bool {
    let byte = bytes.get(index / 8).copied().unwrap_or(0);
    u32::try_from(index % 8).is_ok_and(|bit| byte.wrapping_shr(bit) & 1 == 1)
}

/// The first bit from `from` on and before `end` that is 1.
pub(super) fn next_set(bytes: &[u8], from: usize, end: usize) -> Option<usize> {
    let mut at = from;
    while at < end {
        let here = shifted(word(bytes.get(at / 8..)?), at % 8);
        if here != 0 {
            let found = at.saturating_add(usize::try_from(here.trailing_zeros()).ok()?);
            return (found < end).then_some(found);
        }
        at = (at / 8).saturating_add(8).saturating_mul(8);
    }
    None
}

/// Bits that are 1 in the whole slice.
pub(super) fn ones(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let count = |sum: usize, bits: u32| sum.saturating_add(usize::try_from(bits).unwrap_or(0));
    let sum = words.iter().map(|&word| u64::from_ne_bytes(word).count_ones()).fold(0, count);
    rest.iter().map(|byte| byte.count_ones()).fold(sum, count)
}

/// Bits that are 1 among `start..end`.
pub(super) fn rank(bytes: &[u8], start: usize, end: usize) -> usize {
    let before = |bits: usize| -> u8 {
        let used = u32::try_from(bits % 8).unwrap_or(0);
        1_u8.wrapping_shl(used).wrapping_sub(1)
    };
    let byte = |index: usize, keep: u8| -> usize {
        let bits = bytes.get(index).map_or(0, |&byte| byte & keep).count_ones();
        usize::try_from(bits).unwrap_or(0)
    };
    let (first, last) = (start / 8, end / 8);
    if start >= end {
        return 0;
    }
    if first == last {
        return byte(first, before(end) & !before(start));
    }
    let whole = bytes.get(first.saturating_add(1)..last).map_or(0, ones);
    byte(first, !before(start)).saturating_add(whole).saturating_add(byte(last, before(end)))
}

/// Whether `used` bits fill `bytes` but for zeros in the last one. `part` names them.
pub(super) fn check_end(part: &'static str, bytes: &[u8], used: usize) -> Result<(), PackingError> {
    let expected = used.div_ceil(8);
    if bytes.len() != expected {
        return Err(PackingError::Length { part, expected, found: bytes.len() });
    }
    if let (Some(&last), bits @ 1..) = (bytes.last(), used % 8) {
        let past = u32::try_from(bits).ok().and_then(|bits| last.checked_shr(bits));
        if past != Some(0) {
            return Err(PackingError::PaddingBits { part, used, last });
        }
    }
    Ok(())
}

/// Writes a stream.
#[cfg(feature = "write")]
#[derive(Default)]
pub(super) struct Writer {
    bytes: std::vec::Vec<u8>,
    used: usize,
}

#[cfg(feature = "write")]
impl Writer {
    /// Appends the lowest `count` bits of `bits`, at most 8.
    pub(super) fn push(&mut self, bits: u8, count: u8) {
        let mut left = u16::from(bits);
        for _ in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let (Some(last), Ok(at)) = (self.bytes.last_mut(), u32::try_from(self.used % 8)) {
                *last |= u8::from(left & 1 == 1).wrapping_shl(at);
            }
            left = left.wrapping_shr(1);
            self.used = self.used.saturating_add(1);
        }
    }

    pub(super) fn finish(self) -> std::vec::Vec<u8> {
        self.bytes
    }
}
