//! Packing of the non-zero elements alone, with a code of a few bits before each that tells how many zeros precede it.
//!
//! Codes have `bits` bits, the first in the lowest bits of the first byte. The largest code is an escape: as many zeros as its
//! value, and no element. Nothing follows the last stored element's code but the zeros that fill its byte. A walk keeps three
//! numbers a row ([`Mark`]): the next code, the element that it counts from, and the next stored value.

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

use super::element::{Element, scalar_at, scalars};
use super::{Mark, PackingError, bits};
use crate::dtype::DataType;

/// Bits that a code may have.
pub const BITS: core::ops::RangeInclusive<u8> = 1..=8;

/// Bytes of a gap-packed constant. Walks of any bytes are safe; whether the codes fit the elements is
/// [`check_codes`](Self::check_codes)'s.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    dtype: DataType,
    codes: Codes<'a>,
    values: &'a [u8],
    elements: usize,
}

/// The stream of codes.
#[derive(Clone, Copy, Debug)]
struct Codes<'a> {
    bytes: &'a [u8],
    bits: u8,
}

impl<'a> View<'a> {
    /// `codes` of `bits` bits, [`BITS`], and the stored elements' bytes, a whole number of `dtype`'s.
    pub fn new(
        dtype: DataType,
        bits: u8,
        codes: &'a [u8],
        values: &'a [u8],
        elements: usize,
    ) -> Result<Self, PackingError> {
        if !BITS.contains(&bits) {
            return Err(PackingError::CodeBits { found: bits });
        }
        let stored = values.len().checked_div(dtype.size()).unwrap_or(0);
        let expected = stored.saturating_mul(dtype.size());
        if expected != values.len() {
            return Err(PackingError::Length { part: "values", expected, found: values.len() });
        }
        Ok(Self { dtype, codes: Codes { bytes: codes, bits }, values, elements })
    }

    /// The elements' type.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// Number of elements, zeros included.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Bits of a code.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.codes.bits
    }

    /// The codes' bytes.
    #[must_use]
    pub fn codes(&self) -> &'a [u8] {
        self.codes.bytes
    }

    /// The non-zero elements' bytes, in order, 4-aligned from the file's start.
    #[must_use]
    pub fn values(&self) -> &'a [u8] {
        self.values
    }

    /// Number of stored elements.
    #[must_use]
    pub fn nnz(&self) -> usize {
        self.values.len().checked_div(self.dtype.size()).unwrap_or(0)
    }

    /// The stored elements; none where `T` is not their type.
    pub fn iter_stored<T: Element>(&self) -> impl ExactSizeIterator<Item = T> + Clone + use<'a, T> {
        scalars(if T::DTYPE == self.dtype { self.values } else { &[] })
    }

    /// Whether there is a code for every stored element, none lies past the last element, and the codes end with the last one.
    pub fn check_codes(&self) -> Result<(), PackingError> {
        let mark = self.skip(Mark::default(), self.elements);
        if mark.value < self.nnz() {
            return Err(PackingError::Codes { stored: mark.value, elements: self.elements });
        }
        let used = mark.code.saturating_mul(usize::from(self.codes.bits));
        bits::check_end("codes", self.codes.bytes, used, self.elements)
    }

    pub(super) fn expand<T: Element, O: From<T> + Default + Clone>(&self, out: &mut [O]) {
        out.fill(O::default());
        let row = self.row::<T>(0, self.elements, Mark::default());
        row.into_iter().for_each(|row| {
            row.for_each(|(index, value)| {
                let index = usize::try_from(index).ok();
                if let Some(slot) = index.and_then(|index| out.get_mut(index)) {
                    *slot = value.into();
                }
            });
        });
    }

    /// The elements `start..end`; `from` is what [`skip`](Self::skip) has found for `start`.
    pub(super) fn row<T: Element>(
        &self,
        start: usize,
        end: usize,
        from: Mark,
    ) -> Option<Row<'a, T>> {
        (end <= self.elements).then_some(Row {
            codes: self.codes,
            values: self.values,
            start,
            end,
            mark: from,
            element: core::marker::PhantomData,
        })
    }

    /// Where the walk goes on that has passed all elements before `end`.
    pub(super) fn skip(&self, from: Mark, end: usize) -> Mark {
        let near = self.codes.pass(from, end, self.nnz());
        self.codes.scan(near, end, self.nnz(), (), |(), _| ()).0
    }
}

/// Past the stored element that the mark's code has led to.
fn after(mark: Mark, element: usize) -> Mark {
    Mark {
        value: mark.value.wrapping_add(1),
        code: mark.code.wrapping_add(1),
        at: element.wrapping_add(1),
    }
}

impl Codes<'_> {
    /// Folds the elements that codes lead to, from the mark on to before `end`, and no more than `stored` from the constant's
    /// start on; returns where it stands then. Codes past the last byte count as 0.
    #[inline(always)]
    fn scan<B>(
        self,
        from: Mark,
        end: usize,
        stored: usize,
        init: B,
        mut visit: impl FnMut(B, usize) -> B,
    ) -> (Mark, B) {
        let bits = usize::from(self.bits);
        let escape = u64::MAX.wrapping_shr(64_u32.saturating_sub(u32::from(self.bits)));
        // As many codes as lie whole in the bytes of a word, whatever bit the first begins at.
        let whole = 57_usize.checked_div(bits).unwrap_or(0);
        let (mut mark, mut folded) = (from, init);
        while mark.value < stored {
            let bit = mark.code.wrapping_mul(bits);
            let Some(rest) = self.bytes.get(bit / 8..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            let mut word = bits::word(rest).wrapping_shr(u32::try_from(bit % 8).unwrap_or(0));
            for _ in 0..whole {
                // Nothing belongs to the constant after its last stored element, not even an escape.
                if mark.value >= stored {
                    return (mark, folded);
                }
                let code = word & escape;
                word = word.wrapping_shr(u32::from(self.bits));
                // A code has 8 bits at most.
                let element = mark.at.wrapping_add(code as usize);
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

    /// Passes whole words of codes that lead to no element from `end` on and to less than `stored` in all, without a branch a
    /// code: which ones are escapes is hard to foresee.
    fn pass(self, from: Mark, end: usize, stored: usize) -> Mark {
        let bits = usize::from(self.bits);
        let escape = u64::MAX.wrapping_shr(64_u32.saturating_sub(u32::from(self.bits)));
        let whole = 57_usize.checked_div(bits).unwrap_or(0);
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
                next.value = next.value.wrapping_add(element);
                next.at = next.at.wrapping_add(code as usize).wrapping_add(element);
            }
            if next.at > end || next.value >= stored {
                return mark;
            }
            next.code = next.code.wrapping_add(whole);
            mark = next;
        }
    }

    /// The element that the next code other than an escape leads to; the mark passes the escapes before it.
    #[inline]
    fn find(self, mark: &mut Mark) -> Option<usize> {
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

/// The non-zero elements of one row; see [`super::Row`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    codes: Codes<'a>,
    values: &'a [u8],
    start: usize,
    end: usize,
    mark: Mark,
    element: core::marker::PhantomData<T>,
}

impl<T: Element> Row<'_, T> {
    pub(super) fn at(&mut self, column: u32) -> Option<T> {
        let wanted = self.start.checked_add(usize::try_from(column).ok()?)?;
        if wanted >= self.end {
            return None;
        }
        loop {
            let value = scalar_at(self.values, self.mark.value)?;
            let element = self.codes.find(&mut self.mark)?;
            if element > wanted {
                return None;
            }
            self.mark = after(self.mark, element);
            if element == wanted {
                return Some(value);
            }
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }
}

impl<T: Element> Iterator for Row<'_, T> {
    type Item = (u32, T);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let value = scalar_at(self.values, self.mark.value)?;
        let element = self.codes.find(&mut self.mark)?;
        if element >= self.end {
            return None;
        }
        let column = u32::try_from(element.checked_sub(self.start)?).ok()?;
        self.mark = after(self.mark, element);
        Some((column, value))
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        let passed = self.mark.value.saturating_mul(T::SIZE);
        let mut values = scalars::<T>(self.values.get(passed..).unwrap_or_default());
        let stored = self.mark.value.saturating_add(values.len());
        let visit = |folded, element: usize| {
            let column = element.checked_sub(self.start).and_then(|at| u32::try_from(at).ok());
            match (column, values.next()) {
                (Some(column), Some(value)) => f(folded, (column, value)),
                _ => folded,
            }
        };
        self.codes.scan(self.mark, self.end, stored, init, visit).1
    }
}

/// Codes of so many bits, within [`BITS`], and stored values of `values`.
#[cfg(feature = "write")]
#[must_use]
pub fn pack<T: Element>(values: &[T], bits: u8) -> (std::vec::Vec<u8>, std::vec::Vec<u8>) {
    let escape = u8::MAX.wrapping_shr(8_u32.saturating_sub(u32::from(bits)));
    let (mut codes, mut stored) = (std::vec::Vec::new(), std::vec::Vec::new());
    let (mut word, mut filled) = (0_u16, 0_u8);
    let mut push = |code: u8| {
        word |= u16::from(code).wrapping_shl(u32::from(filled));
        filled = filled.saturating_add(bits);
        if let (8.., [low, high]) = (filled, word.to_le_bytes()) {
            codes.push(low);
            word = u16::from(high);
            filled = filled.saturating_sub(8);
        }
    };
    let mut gap = 0_usize;
    for &value in values {
        if value == T::default() {
            gap = gap.saturating_add(1);
            continue;
        }
        while gap >= usize::from(escape) {
            push(escape);
            gap = gap.saturating_sub(usize::from(escape));
        }
        push(u8::try_from(gap).unwrap_or(escape));
        gap = 0;
        value.append_le(&mut stored);
    }
    if filled > 0 {
        codes.extend(word.to_le_bytes().first());
    }
    (codes, stored)
}
