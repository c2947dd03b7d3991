//! Packing of whole blocks of consecutive elements (1xN block sparsity), with one bit a block that tells which are stored.
//!
//! Blocks run through the row-major constant; the last one may be cut short. A stored block's zeros are stored too. Kernels and
//! devices find runs of elements instead of single ones. A walk keeps the next element and its stored value's number.

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

/// Elements that a block may have.
pub const SIZES: core::ops::RangeInclusive<u8> = 2..=255;

/// Checked index of a constant in blocks.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    index: &'a [u8],
    /// Elements of a block; never 0.
    size: usize,
    elements: usize,
}

impl<'a> View<'a> {
    /// `index` must hold one bit a block and zeros after the last.
    pub fn new(size: u8, index: &'a [u8], elements: usize) -> Result<Self, PackingError> {
        if !SIZES.contains(&size) {
            return Err(PackingError::GroupSize {
                expected: (*SIZES.start(), *SIZES.end()),
                found: size,
            });
        }
        let size = usize::from(size);
        bits::check_end("index", index, elements.div_ceil(size))?;
        Ok(Self { index, size, elements })
    }

    /// Elements of a block.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Number of stored elements.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.stored_among(0, self.elements)
    }

    fn block(&self, element: usize) -> usize {
        element.checked_div(self.size).unwrap_or(0)
    }

    /// Elements of the block before this one.
    fn before(&self, element: usize) -> usize {
        if bits::is_set(self.index, self.block(element)) {
            element.checked_rem(self.size).unwrap_or(0)
        } else {
            0
        }
    }

    fn stored_among(&self, start: usize, end: usize) -> usize {
        let whole = bits::rank(self.index, self.block(start), self.block(end));
        let to = whole.saturating_mul(self.size).saturating_add(self.before(end));
        to.saturating_sub(self.before(start))
    }
}

impl Positions for View<'_> {
    #[inline]
    fn next(&self, mark: &mut Mark, end: usize) -> Option<usize> {
        let end = end.min(self.elements);
        let block = self.block(mark.at);
        if !bits::is_set(self.index, block) {
            // A size is never 0, which compilers cannot see everywhere.
            let blocks = end.div_ceil(self.size.max(1));
            let found = bits::next_set(self.index, block, blocks);
            let next = found.map_or(end, |block| block.saturating_mul(self.size));
            mark.at = next.min(end).max(mark.at);
        }
        if mark.at >= end {
            return None;
        }
        let element = mark.at;
        mark.at = element.saturating_add(1);
        mark.stored = mark.stored.saturating_add(1);
        Some(element)
    }

    fn skip(&self, from: Mark, end: usize) -> Mark {
        if end <= from.at {
            return from;
        }
        let stored = from.stored.saturating_add(self.stored_among(from.at, end));
        Mark { at: end, stored, ..from }
    }
}

/// Which elements are stored, and the index, in blocks of `size`, within [`SIZES`].
#[cfg(feature = "write")]
#[must_use]
pub fn pack(nonzero: &[bool], size: u8) -> (std::vec::Vec<bool>, std::vec::Vec<u8>) {
    let blocks = || nonzero.chunks(usize::from(size.max(1)));
    let index = super::bitmap::pack(blocks().map(|block| block.contains(&true)));
    let stored = blocks().flat_map(|block| std::iter::repeat_n(block.contains(&true), block.len()));
    (stored.collect(), index)
}
