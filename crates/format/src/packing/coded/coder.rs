//! The range coder: bits under stated chances, to bytes and back. Where the chances come from is `model`'s and `mix`'s.
//!
//! Both directions are one trait, so that whoever describes an element describes it once. A bit halves the interval
//! `low..=high` in proportion to its chance; leading bytes on which both ends agree are the stream.

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

use crate::packing::PackingError;

/// Codes bits one after another.
pub(super) trait Coder {
    /// Codes a bit that is set in `chance` of 65536 cases (1 to 65535). An encoder takes `bit` and returns it; a decoder
    /// returns the stream's.
    fn code(&mut self, chance: u32, bit: bool) -> bool;

    /// Codes the lowest `count` bits of `value`, highest first, each as likely set as not.
    fn plain(&mut self, count: u32, value: u32) -> u32 {
        (0..count).rev().fold(0, |done, at| {
            let bit = self.code(1 << 15, value.wrapping_shr(at) & 1 == 1);
            done.wrapping_shl(1) | u32::from(bit)
        })
    }
}

/// What is left of the numbers that a stream may be.
#[derive(Clone, Copy, Debug)]
struct Interval {
    low: u32,
    high: u32,
}

impl Interval {
    const ALL: Self = Self { low: 0, high: u32::MAX };

    /// The last number of the part of a set bit. Less than `high`, as a chance is less than 65536.
    #[inline]
    fn split(self, chance: u32) -> u32 {
        let span = u64::from(self.high.wrapping_sub(self.low));
        let part = span.wrapping_mul(u64::from(chance)).wrapping_shr(16);
        // At most `span`, which has 32 bits.
        self.low.wrapping_add(part as u32)
    }

    #[inline]
    fn take(&mut self, bit: bool, split: u32) {
        if bit {
            self.high = split;
        } else {
            self.low = split.wrapping_add(1);
        }
    }

    /// The leading byte where both ends have the same, which leaves the interval.
    #[inline]
    fn shift(&mut self) -> Option<u8> {
        if (self.low ^ self.high).wrapping_shr(24) != 0 {
            return None;
        }
        // Of four bytes the highest.
        let byte = self.low.wrapping_shr(24) as u8;
        self.low = self.low.wrapping_shl(8);
        self.high = self.high.wrapping_shl(8) | 0xff;
        Some(byte)
    }

    /// The number of the interval with the fewest bytes before the zeros at its end, and how many those are.
    fn tail(self) -> (u32, usize) {
        for (bytes, zeros) in [(0, 32_u32), (1, 24), (2, 16), (3, 8)] {
            let step = 1_u64.wrapping_shl(zeros);
            let number = u64::from(self.low).next_multiple_of(step);
            if let Some(number) = u32::try_from(number).ok().filter(|&n| n <= self.high) {
                return (number, bytes);
            }
        }
        (self.low, 4)
    }
}

/// Bytes to bits. Past the last byte it reads zeros; [`finish`](Self::finish) tells whether it should have.
pub(super) struct Decoder<'a> {
    interval: Interval,
    /// Four bytes of the stream, of which the first is the first that has not been shifted out.
    window: u32,
    /// What follows them.
    rest: core::slice::Iter<'a, u8>,
    /// Bytes shifted out.
    passed: usize,
    len: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        let mut decoder = Self {
            interval: Interval::ALL,
            window: 0,
            rest: data.iter(),
            passed: 0,
            len: data.len(),
        };
        for _ in 0..4 {
            decoder.pull();
        }
        decoder
    }

    #[inline]
    fn pull(&mut self) {
        let byte = self.rest.next().copied().unwrap_or(0);
        self.window = self.window.wrapping_shl(8) | u32::from(byte);
    }

    /// Whether the stream is the one that an encoder writes, to the byte. `head` are the bytes before it, `elements` is how
    /// many were decoded.
    pub(super) fn finish(self, head: usize, elements: usize) -> Result<(), PackingError> {
        let (number, bytes) = self.interval.tail();
        let expected = self.passed.saturating_add(bytes);
        if self.len != expected {
            return Err(PackingError::Length {
                part: "values",
                expected: expected.saturating_add(head),
                found: self.len.saturating_add(head),
            });
        }
        if self.window != number {
            return Err(PackingError::Coded { element: elements });
        }
        Ok(())
    }
}

impl Coder for Decoder<'_> {
    #[inline]
    fn code(&mut self, chance: u32, _bit: bool) -> bool {
        let split = self.interval.split(chance);
        let bit = self.window <= split;
        self.interval.take(bit, split);
        while self.interval.shift().is_some() {
            self.passed = self.passed.wrapping_add(1);
            self.pull();
        }
        bit
    }
}

/// Bits to bytes.
#[cfg(feature = "write")]
pub(super) struct Encoder {
    interval: Interval,
    bytes: std::vec::Vec<u8>,
}

#[cfg(feature = "write")]
impl Encoder {
    /// Goes on after `head`.
    pub(super) fn new(head: std::vec::Vec<u8>) -> Self {
        Self { interval: Interval::ALL, bytes: head }
    }

    /// The stream; zeros at its end that a decoder need not be told are left out.
    pub(super) fn finish(mut self) -> std::vec::Vec<u8> {
        let (number, bytes) = self.interval.tail();
        self.bytes.extend(number.to_be_bytes().iter().take(bytes));
        self.bytes
    }
}

#[cfg(feature = "write")]
impl Coder for Encoder {
    fn code(&mut self, chance: u32, bit: bool) -> bool {
        let split = self.interval.split(chance);
        self.interval.take(bit, split);
        while let Some(byte) = self.interval.shift() {
            self.bytes.push(byte);
        }
        bit
    }
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn encode(bits: &[bool], chance: u32) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        for &bit in bits {
            encoder.code(chance, bit);
        }
        encoder.finish()
    }

    fn decode(data: &[u8], bits: usize, chance: u32) -> (Vec<bool>, Result<(), PackingError>) {
        let mut decoder = Decoder::new(data);
        let found = (0..bits).map(|_| decoder.code(chance, false)).collect();
        (found, decoder.finish(2, 9))
    }

    #[test]
    fn bits_return_under_every_chance() {
        for chance in [1, 2, 32, 255, 32768, 65391, 65534, 65535] {
            for pattern in 0_u32..512 {
                let bits: Vec<bool> = (0..9).map(|at| pattern >> at & 1 == 1).collect();
                let data = encode(&bits, chance);
                assert_eq!(decode(&data, 9, chance), (bits, Ok(())), "{chance} of 65536");
            }
        }
    }

    /// Past its end a stream reads as zeros, so that one which ends with a zero decodes without it: the length must tell.
    #[test]
    fn a_stream_ends_where_it_must() {
        let data = encode(&[true; 16], 1 << 15);
        assert_eq!(data, [0, 0], "bytes that both ends agree on are told");
        let length = |found| Err(PackingError::Length { part: "values", expected: 4, found });
        assert_eq!(decode(&data, 16, 1 << 15), (std::vec![true; 16], Ok(())));
        assert_eq!(decode(&data[..1], 16, 1 << 15).1, length(3));
        assert_eq!(decode(&[0, 0, 0], 16, 1 << 15).1, length(5));
        let data = encode(&[false], 1 << 15);
        assert_eq!(data, [0x80]);
        assert_eq!(decode(&[0x81], 1, 1 << 15).1, Err(PackingError::Coded { element: 9 }));
    }

    #[test]
    fn plain_bits_are_a_number() {
        let mut encoder = Encoder::new(Vec::new());
        assert_eq!(encoder.plain(25, 0x155_aaaa), 0x155_aaaa);
        assert_eq!(encoder.plain(0, 7), 0);
        let data = encoder.finish();
        assert_eq!(Decoder::new(&data).plain(25, 0), 0x155_aaaa);
    }
}
