//! `sum |w|` of each column of a constant, in any packing, in memory that does not grow with it: what the check of a
//! depthwise convolution asks, whose output channels are columns. Walks of elements are `row`'s.

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

use super::Packed;
use super::positions::Mark;

/// Columns that are summed together, row by row.
const BLOCK: usize = 128;

/// Rows that a walk returns to without counting the mask's bits again. Taps of a kernel are rarely more; where they are, each
/// block of columns counts the bits of the rows beyond.
const ROWS: usize = 128;

/// The sums, columns ascending. See [`Packed::column_magnitudes`].
pub(crate) struct ColumnMagnitudes<'a> {
    packed: Packed<'a>,
    columns: usize,
    /// The first column that is not summed yet.
    summed: usize,
    /// Of the last block.
    sums: core::iter::Take<core::array::IntoIter<u64, BLOCK>>,
    /// Of each of the first rows: where a walk stands before its column `summed`.
    marks: [Mark; ROWS],
}

impl<'a> ColumnMagnitudes<'a> {
    pub(super) fn new(packed: Packed<'a>, columns: usize) -> Self {
        let sums = [0; BLOCK].into_iter().take(0);
        Self { packed, columns, summed: 0, sums, marks: [Mark::default(); ROWS] }
    }

    /// Sums the next block of columns; there must be one.
    fn sum_block(&mut self) {
        let (first, len) = (self.summed, self.columns.saturating_sub(self.summed).min(BLOCK));
        let rows = self.packed.elements().checked_div(self.columns).unwrap_or(0);
        let mut sums = [0_u64; BLOCK];
        let mut known = Mark::default();
        for row in 0..rows {
            // Nothing is stored after this, however many rows there are.
            if known.stored >= self.packed.values.len() {
                break;
            }
            let start = row.saturating_mul(self.columns).saturating_add(first);
            let end = start.saturating_add(len);
            let mark = match self.marks.get(row) {
                Some(&mark) if first > 0 => mark,
                _ => self.packed.skip(known, start),
            };
            let Some(mut elements) = self.packed.row_at::<i8>(start, end, mark) else { break };
            for (column, weight) in elements.by_ref() {
                let sum = usize::try_from(column).ok().and_then(|column| sums.get_mut(column));
                if let Some(sum) = sum {
                    // At most 2^32 elements of 128.
                    *sum = sum.saturating_add(u64::from(weight.unsigned_abs()));
                }
            }
            known = self.packed.skip(elements.mark(), end);
            if let Some(slot) = self.marks.get_mut(row) {
                *slot = known;
            }
        }
        self.summed = first.saturating_add(len);
        self.sums = sums.into_iter().take(len);
    }
}

impl Iterator for ColumnMagnitudes<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if let Some(sum) = self.sums.next() {
            return Some(sum);
        }
        if self.summed >= self.columns {
            return None;
        }
        self.sum_block();
        self.sums.next()
    }
}
