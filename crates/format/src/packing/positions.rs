//! Which elements of a constant are stored: what every packing answers, and where a walk stands. The answers are in a module a
//! packing; what the stored elements are is in `values`.

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

/// Where a walk of a constant stands: all that has to be known of what precedes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The next element to look at; of gaps, the element that the next code counts from.
    pub(super) at: usize,
    /// Stored elements before it.
    pub(super) stored: usize,
    /// Codes before it, of gaps; groups with bits of their own before its group, of groups.
    pub(super) code: usize,
}

/// The stored elements of a constant, ascending. All answers are safe for any bytes; whether the bytes make sense is seen when
/// a view is made.
pub(super) trait Positions: Copy {
    /// The next stored element before `end`; the mark passes it.
    fn next(&self, mark: &mut Mark, end: usize) -> Option<usize>;

    /// Where the walk stands that has passed all elements before `end`.
    fn skip(&self, from: Mark, end: usize) -> Mark;

    /// Folds the stored elements from the mark on and before `end`.
    fn fold<B>(&self, from: Mark, end: usize, init: B, mut visit: impl FnMut(B, usize) -> B) -> B {
        let (mut mark, mut folded) = (from, init);
        while let Some(element) = self.next(&mut mark, end) {
            folded = visit(folded, element);
        }
        folded
    }

    /// Passes what lies before `element`, then `element` too; the number of its stored value, if it has one. `None` of an element
    /// that was passed before.
    fn at(&self, mark: &mut Mark, element: usize) -> Option<usize> {
        if element < mark.at {
            return None;
        }
        *mark = self.skip(*mark, element);
        let stored = mark.stored;
        self.next(mark, element.checked_add(1)?).map(|_| stored)
    }
}
