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
use super::positions::{Mark, Positions};
use super::{Layout, Levels, Packed, each};

/// A cursor over one row: yields (column, value) of its non-zero elements, columns ascending. Copying it is cheap.
///
/// To walk by input feature, keep one cursor a row and [`at`](Self::at) column 0 of each, then column 1 of each, and so on.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    packed: Packed<'a>,
    mark: Mark,
    start: usize,
    end: usize,
    element: core::marker::PhantomData<T>,
}

impl<'a, T: Element> Row<'a, T> {
    /// The elements `start..end`; `mark` is where a walk stands before `start`.
    pub(super) fn new(packed: Packed<'a>, start: usize, end: usize, mark: Mark) -> Self {
        Self { packed, mark, start, end, element: core::marker::PhantomData }
    }

    /// The element at `column` if it is not zero, and moves past it. `None` as well for columns passed before.
    #[inline]
    pub fn at(&mut self, column: u32) -> Option<T> {
        let element = self.start.checked_add(usize::try_from(column).ok()?)?;
        if element >= self.end {
            return None;
        }
        let stored = each!(&self.packed.layout, view => view.at(&mut self.mark, element))?;
        self.packed.values.get(stored).filter(|value| *value != T::default())
    }

    /// Where it stands.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }
}

impl<T: Element> Iterator for Row<'_, T> {
    type Item = (u32, T);

    #[inline]
    fn next(&mut self) -> Option<(u32, T)> {
        loop {
            let stored = self.mark.stored;
            let element = each!(&self.packed.layout, view => view.next(&mut self.mark, self.end))?;
            let value: T = self.packed.values.get(stored)?;
            if value != T::default() {
                return Some((u32::try_from(element.checked_sub(self.start)?).ok()?, value));
            }
        }
    }

    /// Walks whole words where the packing has them: several times as fast as a loop over `next`.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        let values = self.packed.values;
        let mut pair = |folded, element: usize, value: Option<T>| {
            let column = element.checked_sub(self.start).and_then(|at| u32::try_from(at).ok());
            match (column, value) {
                (Some(column), Some(value)) if value != T::default() => f(folded, (column, value)),
                _ => folded,
            }
        };
        match values.levels() {
            Levels::Whole => {
                let mut values = values.whole::<T>(self.mark.stored);
                each!(&self.packed.layout, view => {
                    let visit = |folded, element| pair(folded, element, values.next());
                    view.fold(self.mark, self.end, init, visit)
                })
            }
            Levels::Bits { .. } => {
                let mut values = values.of_bits::<T>(self.mark.stored);
                each!(&self.packed.layout, view => {
                    let visit = |folded, element| pair(folded, element, values.next());
                    view.fold(self.mark, self.end, init, visit)
                })
            }
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
        self.mark = self.packed.skip(self.mark, end);
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
