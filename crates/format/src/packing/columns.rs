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

use super::{Mark, Packed};

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
        // An element, and where a walk stands before it.
        let mut known = (0, Mark::default());
        for row in 0..rows {
            let start = row.saturating_mul(self.columns).saturating_add(first);
            let end = start.saturating_add(len);
            let mark = match self.marks.get(row) {
                Some(&mark) if first > 0 => mark,
                _ => self.packed.skip(known.1, known.0, start),
            };
            let Some(mut elements) = self.packed.row_at::<i8>(start, end, mark) else { break };
            for (column, weight) in elements.by_ref() {
                let sum = usize::try_from(column).ok().and_then(|column| sums.get_mut(column));
                if let Some(sum) = sum {
                    // At most 2^32 elements of 128.
                    *sum = sum.saturating_add(u64::from(weight.unsigned_abs()));
                }
            }
            known = (end, elements.mark());
            if let Some(slot) = self.marks.get_mut(row) {
                *slot = known.1;
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

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::super::{bitmap, dense, gaps};
    use super::*;
    use crate::dtype::DataType;
    use std::vec::Vec;

    /// One column and many, one block and several, rows that are returned to and rows that are not.
    #[test]
    fn sums_equal_a_count_in_every_packing() {
        let (mut state, mut next) = (7_u64, 0_u64);
        for (rows, columns) in
            [(1, 1), (9, 3), (9, 128), (4, 129), (128, 300), (131, 300), (300, 1)]
        {
            for keep in [0, 1, 5, 8] {
                let weights: Vec<i8> = (0..rows * columns)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        next = state >> 33;
                        if next % 8 < keep { (next >> 3) as i8 } else { 0 }
                    })
                    .collect();
                let expected: Vec<u64> = (0..columns)
                    .map(|c| weights.iter().skip(c).step_by(columns))
                    .map(|column| column.map(|w| u64::from(w.unsigned_abs())).sum())
                    .collect();
                let data = dense::pack(&weights);
                let view = dense::View::new(DataType::I8, &data, weights.len()).unwrap();
                let found: Vec<u64> = Packed::Dense(view).column_magnitudes(columns).collect();
                assert_eq!(found, expected, "dense {rows} x {columns}");
                let (mask, values) = bitmap::pack(&weights);
                let view = bitmap::View::new(DataType::I8, &mask, &values, weights.len()).unwrap();
                let found: Vec<u64> = Packed::Bitmap(view).column_magnitudes(columns).collect();
                assert_eq!(found, expected, "bitmap {rows} x {columns}");
                let (codes, values) = gaps::pack(&weights, 2);
                let view = gaps::View::new(DataType::I8, 2, &codes, &values, weights.len());
                let packed = Packed::Gaps(view.unwrap());
                let found: Vec<u64> = packed.column_magnitudes(columns).collect();
                assert_eq!(found, expected, "gaps {rows} x {columns}");
            }
        }
    }

    #[test]
    fn no_columns_and_other_types_have_no_sums() {
        let view = dense::View::new(DataType::I8, &[1, 2], 2).unwrap();
        assert_eq!(Packed::Dense(view).column_magnitudes(0).count(), 0);
        let view = dense::View::new(DataType::I16, &[1, 2], 1).unwrap();
        assert_eq!(Packed::Dense(view).column_magnitudes(1).count(), 0);
    }
}
