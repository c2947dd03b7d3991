//! Packing of the non-zero elements alone, with a code of a few bits before each that tells how many zeros precede it.
//!
//! Codes have `bits` bits, the first in the lowest bits of the first byte. The largest code is an escape: as many zeros as its
//! value, and no element. Nothing follows the last stored element's code but the zeros that fill its byte. A walk keeps three
//! numbers a row ([`Mark`]): the next code, the element that it counts from, and the next stored value's number.

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

use super::positions::{Mark, Positions};
use super::{PackingError, bits};

/// Bits that a code may have.
pub const BITS: core::ops::RangeInclusive<u8> = 1..=8;

/// Codes of a gap-packed constant. Walks of any bytes are safe; whether the codes fit the elements is
/// [`check_codes`](Self::check_codes)'s.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    bits: u8,
    /// Stored elements, and so codes that are no escapes.
    stored: usize,
    elements: usize,
}

impl<'a> View<'a> {
    /// `codes` of `bits` bits, [`BITS`], for so many stored elements.
    pub fn new(
        bits: u8,
        codes: &'a [u8],
        stored: usize,
        elements: usize,
    ) -> Result<Self, PackingError> {
        if !BITS.contains(&bits) {
            return Err(PackingError::CodeBits { found: bits });
        }
        Ok(Self { bytes: codes, bits, stored, elements })
    }

    /// Bits of a code.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// The codes' bytes.
    #[must_use]
    pub fn codes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is a code for every stored element, none lies past the last element, and the codes end with the last one.
    pub fn check_codes(&self) -> Result<(), PackingError> {
        let mark = self.skip(Mark::default(), self.elements);
        if mark.stored < self.stored {
            return Err(PackingError::Codes { stored: mark.stored, elements: self.elements });
        }
        bits::check_end("index", self.bytes, mark.code.saturating_mul(usize::from(self.bits)))
    }

    /// As many codes as lie whole in the bits of a word, whatever bit the first begins at.
    fn whole(&self) -> usize {
        bits::MOST.checked_div(usize::from(self.bits)).unwrap_or(0)
    }

    fn escape(&self) -> u64 {
        u64::MAX.wrapping_shr(64_u32.saturating_sub(u32::from(self.bits)))
    }

    /// Folds the elements that codes lead to, from the mark on to before `end`; returns where it stands then. Codes past the
    /// last byte count as 0.
    #[inline(always)]
    fn scan<B>(
        &self,
        from: Mark,
        end: usize,
        init: B,
        mut visit: impl FnMut(B, usize) -> B,
    ) -> (Mark, B) {
        let (bits, escape, whole) = (usize::from(self.bits), self.escape(), self.whole());
        let (mut mark, mut folded) = (from, init);
        while mark.stored < self.stored {
            let bit = mark.code.wrapping_mul(bits);
            let Some(rest) = self.bytes.get(bit / 8..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            let mut word = bits::word(rest).wrapping_shr(u32::try_from(bit % 8).unwrap_or(0));
            for _ in 0..whole {
                // Nothing belongs to the constant after its last stored element, not even an escape.
                if mark.stored >= self.stored {
                    return (mark, folded);
                }
                let code = word & escape;
                word = word.wrapping_shr(u32::from(self.bits));
                // A code has 8 bits at most.
                let element = mark.at.saturating_add(code as usize);
                if code == escape {
                    mark.at = element;
                    mark.code = mark.code.wrapping_add(1);
                    continue;
                }
                if element >= end {
                    return (mark, folded);
                }
                folded = visit(folded, element);
                mark = after(mark, element);
            }
        }
        (mark, folded)
    }

    /// Passes whole words of codes that lead to no element from `end` on and to less than the stored ones in all, without a
    /// branch a code: which ones are escapes is hard to foresee.
    fn pass(&self, from: Mark, end: usize) -> Mark {
        let (bits, escape, whole) = (usize::from(self.bits), self.escape(), self.whole());
        let mut mark = from;
        loop {
            let bit = mark.code.wrapping_mul(bits);
            let Some(&rest) = self.bytes.get(bit / 8..).and_then(|rest| rest.first_chunk()) else {
                return mark;
            };
            let mut word = u64::from_le_bytes(rest);
            word = word.wrapping_shr(u32::try_from(bit % 8).unwrap_or(0));
            let mut next = mark;
            for _ in 0..whole {
                let code = word & escape;
                word = word.wrapping_shr(u32::from(self.bits));
                let element = usize::from(code != escape);
                next.stored = next.stored.wrapping_add(element);
                next.at = next.at.saturating_add(code as usize).saturating_add(element);
            }
            if next.at > end || next.stored >= self.stored {
                return mark;
            }
            next.code = next.code.wrapping_add(whole);
            mark = next;
        }
    }

    /// The element that the next code other than an escape leads to; the mark passes the escapes before it.
    #[inline]
    fn find(&self, mark: &mut Mark) -> Option<usize> {
        let escape = u16::MAX.wrapping_shr(16_u32.saturating_sub(u32::from(self.bits)));
        loop {
            let bit = mark.code.checked_mul(usize::from(self.bits))?;
            let low = u16::from(*self.bytes.get(bit / 8)?);
            // A code may reach into the next byte; one that would reach past the last is none.
            let word = match self.bytes.get((bit / 8).saturating_add(1)) {
                Some(&high) => low | u16::from(high).wrapping_shl(8),
                None if (bit % 8).saturating_add(usize::from(self.bits)) <= 8 => low,
                None => return None,
            };
            let code = word.wrapping_shr(u32::try_from(bit % 8).ok()?) & escape;
            if code != escape {
                return mark.at.checked_add(usize::from(code));
            }
            mark.at = mark.at.checked_add(usize::from(escape))?;
            mark.code = mark.code.saturating_add(1);
        }
    }
}

/// Past the stored element that the mark's code has led to.
fn after(mark: Mark, element: usize) -> Mark {
    Mark {
        at: element.wrapping_add(1),
        stored: mark.stored.wrapping_add(1),
        code: mark.code.wrapping_add(1),
    }
}

impl Positions for View<'_> {
    #[inline]
    fn next(&self, mark: &mut Mark, end: usize) -> Option<usize> {
        if mark.stored >= self.stored {
            return None;
        }
        let element = self.find(mark)?;
        if element >= end.min(self.elements) {
            return None;
        }
        *mark = after(*mark, element);
        Some(element)
    }

    fn skip(&self, from: Mark, end: usize) -> Mark {
        let near = self.pass(from, end);
        self.scan(near, end, (), |(), _| ()).0
    }

    #[inline]
    fn fold<B>(&self, from: Mark, end: usize, init: B, visit: impl FnMut(B, usize) -> B) -> B {
        self.scan(from, end, init, visit).1
    }

    /// Codes are few between neighbours: reads them one by one.
    fn at(&self, mark: &mut Mark, element: usize) -> Option<usize> {
        while mark.stored < self.stored {
            let found = self.find(mark)?;
            if found > element {
                return None;
            }
            let stored = mark.stored;
            *mark = after(*mark, found);
            if found == element {
                return Some(stored);
            }
        }
        None
    }
}

/// Codes of so many bits, within [`BITS`], for elements of which `stored` tells which are stored.
#[cfg(feature = "write")]
#[must_use]
pub fn pack(stored: &[bool], bits: u8) -> std::vec::Vec<u8> {
    let escape = u8::MAX.wrapping_shr(8_u32.saturating_sub(u32::from(bits)));
    let mut codes = bits::Writer::default();
    let mut gap = 0_usize;
    for &stored in stored {
        if !stored {
            gap = gap.saturating_add(1);
            continue;
        }
        while gap >= usize::from(escape) {
            codes.push(escape, bits);
            gap = gap.saturating_sub(usize::from(escape));
        }
        codes.push(u8::try_from(gap).unwrap_or(escape), bits);
        gap = 0;
    }
    codes.finish()
}
