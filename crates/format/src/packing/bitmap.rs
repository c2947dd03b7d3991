//! Packing of the non-zero elements alone, with one bit an element that tells which they are.
//!
//! Bit `i % 8` of byte `i / 8` of the index belongs to row-major element `i`. A row's start is found by counting bits, so a
//! walk keeps two numbers a row: the next element and the number of its stored value.

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

/// Checked index of a bitmap-packed constant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    index: &'a [u8],
    elements: usize,
}

impl<'a> View<'a> {
    /// `index` must hold one bit an element and zeros after the last.
    pub fn new(index: &'a [u8], elements: usize) -> Result<Self, PackingError> {
        bits::check_end("index", index, elements)?;
        Ok(Self { index, elements })
    }

    /// The index, `ceil(elements / 8)` bytes.
    #[must_use]
    pub fn index(&self) -> &'a [u8] {
        self.index
    }

    /// Number of stored elements.
    #[must_use]
    pub fn stored(&self) -> usize {
        bits::ones(self.index)
    }
}

impl Positions for View<'_> {
    #[inline]
    fn next(&self, mark: &mut Mark, end: usize) -> Option<usize> {
        let end = end.min(self.elements);
        let Some(element) = bits::next_set(self.index, mark.at, end) else {
            mark.at = mark.at.max(end);
            return None;
        };
        mark.at = element.saturating_add(1);
        mark.stored = mark.stored.saturating_add(1);
        Some(element)
    }

    fn skip(&self, from: Mark, end: usize) -> Mark {
        let stored = from.stored.saturating_add(bits::rank(self.index, from.at, end));
        Mark { at: from.at.max(end), stored, ..from }
    }

    /// Walks whole words of bits.
    #[inline]
    fn fold<B>(&self, from: Mark, end: usize, init: B, mut visit: impl FnMut(B, usize) -> B) -> B {
        let (mut at, end, mut folded) = (from.at, end.min(self.elements), init);
        while at < end {
            let offset = at % 8;
            let here = 64_usize.saturating_sub(offset).min(end.saturating_sub(at));
            let word = bits::word(self.index.get(at / 8..).unwrap_or_default());
            let mut set = bits::shifted(word, offset) & bits::low(here);
            while set != 0 {
                let next = usize::try_from(set.trailing_zeros()).unwrap_or(0);
                folded = visit(folded, at.saturating_add(next));
                set &= set.wrapping_sub(1);
            }
            at = at.saturating_add(here);
        }
        folded
    }
}

/// The index of elements of which `stored` tells which are stored.
#[cfg(feature = "write")]
#[must_use]
pub fn pack(stored: impl IntoIterator<Item = bool>) -> std::vec::Vec<u8> {
    let mut index = bits::Writer::default();
    for stored in stored {
        index.push(u8::from(stored), 1);
    }
    index.finish()
}
