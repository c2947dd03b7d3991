//! Packing of whole columns, the input features of a layer, with one bit a column that tells which are stored.
//!
//! The stored columns of each row follow each other, zeros included: what remains is a small dense matrix. A walk keeps the next
//! element and its stored value's number. In the file's words: `Columns`.

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

/// Checked index of a constant of which some columns are stored.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    index: &'a [u8],
    /// Columns of a row, stored or not; never 0.
    columns: usize,
    kept: usize,
    elements: usize,
}

impl<'a> View<'a> {
    /// `index` must hold one bit a column and zeros after the last; rows of `columns` elements must fill the constant.
    pub fn new(columns: usize, index: &'a [u8], elements: usize) -> Result<Self, PackingError> {
        if elements.checked_rem(columns) != Some(0) {
            return Err(PackingError::Groups { group: columns, elements });
        }
        bits::check_end("index", index, columns)?;
        Ok(Self { index, columns, kept: bits::ones(index), elements })
    }

    /// Columns that are stored.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Number of stored elements.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.elements.checked_div(self.columns).unwrap_or(0).saturating_mul(self.kept)
    }

    /// The row and the column of an element.
    fn split(&self, element: usize) -> (usize, usize) {
        let (row, column) = (element.checked_div(self.columns), element.checked_rem(self.columns));
        (row.unwrap_or(0), column.unwrap_or(0))
    }
}

impl Positions for View<'_> {
    fn next(&self, mark: &mut Mark, end: usize) -> Option<usize> {
        let end = end.min(self.elements);
        let (row, column) = self.split(mark.at);
        let first = row.saturating_mul(self.columns);
        // No column is looked at that lies at or past the end, in its row or in the next.
        let before_end = |first: usize| end.saturating_sub(first).min(self.columns);
        let found = bits::next_set(self.index, column, before_end(first))
            .map(|column| first.saturating_add(column));
        let element = found.or_else(|| {
            let first = first.saturating_add(self.columns);
            let column = bits::next_set(self.index, 0, before_end(first))?;
            Some(first.saturating_add(column))
        });
        let Some(element) = element.filter(|&element| element < end) else {
            mark.at = mark.at.max(end);
            return None;
        };
        mark.at = element.saturating_add(1);
        mark.stored = mark.stored.saturating_add(1);
        Some(element)
    }

    fn skip(&self, from: Mark, end: usize) -> Mark {
        if end <= from.at {
            return from;
        }
        let ((from_row, from_column), (row, column)) = (self.split(from.at), self.split(end));
        let stored = if row == from_row {
            from.stored.saturating_add(bits::rank(self.index, from_column, column))
        } else {
            let own = bits::rank(self.index, 0, column);
            row.saturating_mul(self.kept).saturating_add(own)
        };
        Mark { at: end, stored, ..from }
    }
}

/// Which elements are stored, and the index, of rows of `columns` elements.
#[cfg(feature = "write")]
#[must_use]
pub fn pack(nonzero: &[bool], columns: usize) -> (std::vec::Vec<bool>, std::vec::Vec<u8>) {
    let mut kept = std::vec![false; columns];
    for row in nonzero.chunks(columns.max(1)) {
        for (kept, &nonzero) in kept.iter_mut().zip(row) {
            *kept |= nonzero;
        }
    }
    let stored = kept.iter().copied().cycle().take(nonzero.len()).collect();
    (stored, super::bitmap::pack(kept))
}
