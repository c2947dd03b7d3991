//! Walks of a constant's non-zero elements, row by row or feature by feature, in any packing.

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

use super::element::Element;
use super::{Mark, Packed, bitmap, dense, gaps};

/// A cursor over one row: yields (column, value) of its non-zero elements, columns ascending. Copying it is cheap.
///
/// To walk by input feature, keep one cursor a row and [`at`](Self::at) column 0 of each, then column 1 of each, and so on.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a, T> {
    /// Of a dense constant.
    Dense(dense::Row<'a, T>),
    /// Of a bitmap-packed constant.
    Bitmap(bitmap::Row<'a, T>),
    /// Of a gap-packed constant.
    Gaps(gaps::Row<'a, T>),
}

impl<T: Element> Row<'_, T> {
    /// The element at `column` if it is not zero, and moves past it. `None` as well for columns passed before.
    #[inline]
    pub fn at(&mut self, column: u32) -> Option<T> {
        match self {
            Row::Dense(row) => row.at(column),
            Row::Bitmap(row) => row.at(column),
            Row::Gaps(row) => row.at(column),
        }
    }

    /// Where it stands.
    pub(super) fn mark(&self) -> Mark {
        match self {
            Row::Dense(_) => Mark::default(),
            Row::Bitmap(row) => row.mark(),
            Row::Gaps(row) => row.mark(),
        }
    }
}

impl<T: Element> Iterator for Row<'_, T> {
    type Item = (u32, T);

    #[inline]
    fn next(&mut self) -> Option<(u32, T)> {
        match self {
            Row::Dense(row) => row.next(),
            Row::Bitmap(row) => row.next(),
            Row::Gaps(row) => row.next(),
        }
    }

    /// Walks whole words where the packing has them: several times as fast as a loop over `next`.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, f: F) -> B {
        match self {
            Row::Dense(row) => row.fold(init, f),
            Row::Bitmap(row) => row.fold(init, f),
            Row::Gaps(row) => row.fold(init, f),
        }
    }
}

/// All rows of a constant, in order. See [`Packed::rows`].
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    packed: Packed<'a>,
    row_len: usize,
    /// The next row's first element.
    start: usize,
    /// What is before it.
    mark: Mark,
    element: core::marker::PhantomData<T>,
}

impl<'a, T: Element> Rows<'a, T> {
    pub(super) fn new(packed: Packed<'a>, row_len: usize) -> Self {
        let row_len = if T::DTYPE == packed.dtype() { row_len } else { 0 };
        Self {
            packed,
            row_len,
            start: 0,
            mark: Mark::default(),
            element: core::marker::PhantomData,
        }
    }
}

impl<'a, T: Element> Iterator for Rows<'a, T> {
    type Item = Row<'a, T>;

    fn next(&mut self) -> Option<Row<'a, T>> {
        let end = self.start.checked_add(self.row_len)?;
        if self.row_len == 0 || end > self.packed.elements() {
            return None;
        }
        let row = self.packed.row_at(self.start, end, self.mark);
        self.mark = self.packed.skip(self.mark, self.start, end);
        self.start = end;
        row
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.packed.elements().saturating_sub(self.start);
        let rows = left.checked_div(self.row_len).unwrap_or(0);
        (rows, Some(rows))
    }
}

impl<T: Element> ExactSizeIterator for Rows<'_, T> {}
