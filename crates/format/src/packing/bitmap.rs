//! Packing of the non-zero elements alone, with one bit an element that tells which they are.
//!
//! Bit `i % 8` of byte `i / 8` of the mask belongs to row-major element `i`. A row's start is found by counting bits, so a
//! walk keeps two numbers a row: the next element and the next stored value.

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

/// Checked bytes of a bitmap-packed constant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    dtype: DataType,
    mask: &'a [u8],
    values: &'a [u8],
    elements: usize,
}

impl<'a> View<'a> {
    /// `mask` must hold one bit an element and zeros after the last, `values` one element of `dtype` a set bit.
    pub fn new(
        dtype: DataType,
        mask: &'a [u8],
        values: &'a [u8],
        elements: usize,
    ) -> Result<Self, PackingError> {
        bits::check_end("mask", mask, elements, elements)?;
        let expected = ones(mask).saturating_mul(dtype.size());
        if values.len() != expected {
            return Err(PackingError::Length { part: "values", expected, found: values.len() });
        }
        Ok(Self { dtype, mask, values, elements })
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

    /// The mask, `ceil(elements / 8)` bytes.
    #[must_use]
    pub fn mask(&self) -> &'a [u8] {
        self.mask
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

    pub(super) fn expand<T: Element, O: From<T> + Default + Clone>(&self, out: &mut [O]) {
        out.fill(O::default());
        let mut values = scalars::<T>(self.values);
        for (chunk, &byte) in out.chunks_mut(8).zip(self.mask) {
            let mut bits = byte;
            while bits != 0 {
                let slot = usize::try_from(bits.trailing_zeros()).ok();
                bits &= bits.wrapping_sub(1);
                if let (Some(slot), Some(value)) =
                    (slot.and_then(|slot| chunk.get_mut(slot)), values.next())
                {
                    *slot = value.into();
                }
            }
        }
    }

    /// The elements `start..end`, whose first stored value is number `value`.
    pub(super) fn row<T: Element>(
        &self,
        start: usize,
        end: usize,
        value: usize,
    ) -> Option<Row<'a, T>> {
        (end <= self.elements).then_some(Row {
            mask: self.mask,
            values: self.values,
            start,
            at: start,
            end,
            value,
            element: core::marker::PhantomData,
        })
    }

    /// Stored elements among `start..end`.
    #[must_use]
    pub fn rank(&self, start: usize, end: usize) -> usize {
        rank(self.mask, start, end)
    }
}

/// Set bits of the whole slice.
fn ones(mask: &[u8]) -> usize {
    let (words, rest) = mask.as_chunks::<8>();
    let count = |sum: usize, bits: u32| sum.saturating_add(usize::try_from(bits).unwrap_or(0));
    let sum = words.iter().map(|&word| u64::from_ne_bytes(word).count_ones()).fold(0, count);
    rest.iter().map(|byte| byte.count_ones()).fold(sum, count)
}

/// Set bits among `start..end`.
fn rank(mask: &[u8], start: usize, end: usize) -> usize {
    let before = |bits: usize| -> u8 {
        let used = u32::try_from(bits % 8).unwrap_or(0);
        1_u8.wrapping_shl(used).wrapping_sub(1)
    };
    let byte = |index: usize, keep: u8| -> usize {
        let bits = mask.get(index).map_or(0, |&byte| byte & keep).count_ones();
        usize::try_from(bits).unwrap_or(0)
    };
    let (first, last) = (start / 8, end / 8);
    if start >= end {
        return 0;
    }
    if first == last {
        return byte(first, before(end) & !before(start));
    }
    let whole = mask.get(first.saturating_add(1)..last).map_or(0, ones);
    byte(first, !before(start)).saturating_add(whole).saturating_add(byte(last, before(end)))
}

/// The non-zero elements of one row; see [`super::Row`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    mask: &'a [u8],
    values: &'a [u8],
    start: usize,
    /// The next element to look at.
    at: usize,
    end: usize,
    /// The next stored value's number.
    value: usize,
    element: core::marker::PhantomData<T>,
}

impl<T: Element> Row<'_, T> {
    pub(super) fn at(&mut self, column: u32) -> Option<T> {
        let element = self.start.checked_add(usize::try_from(column).ok()?)?;
        if element < self.at || element >= self.end {
            return None;
        }
        if element > self.at {
            self.value = self.value.saturating_add(rank(self.mask, self.at, element));
        }
        self.at = element.saturating_add(1);
        let bit = u32::try_from(element % 8).ok()?;
        if self.mask.get(element / 8)?.wrapping_shr(bit) & 1 == 0 {
            return None;
        }
        let value = scalar_at(self.values, self.value);
        self.value = self.value.saturating_add(1);
        value
    }
}

impl<T> Row<'_, T> {
    pub(super) fn mark(&self) -> Mark {
        Mark { value: self.value, ..Mark::default() }
    }
}

impl<T: Element> Iterator for Row<'_, T> {
    type Item = (u32, T);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.end {
            let bit = u32::try_from(self.at % 8).ok()?;
            let bits = self.mask.get(self.at / 8)?.wrapping_shr(bit);
            if bits == 0 {
                self.at = (self.at / 8).saturating_add(1).saturating_mul(8);
                continue;
            }
            let element = self.at.saturating_add(usize::try_from(bits.trailing_zeros()).ok()?);
            self.at = element.saturating_add(1);
            if element >= self.end {
                return None;
            }
            let value = scalar_at(self.values, self.value)?;
            self.value = self.value.saturating_add(1);
            return Some((u32::try_from(element.checked_sub(self.start)?).ok()?, value));
        }
        None
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        let passed = self.value.saturating_mul(T::SIZE);
        let mut values = scalars::<T>(self.values.get(passed..).unwrap_or_default());
        let (mut at, mut folded) = (self.at, init);
        while at < self.end {
            let offset = at % 8;
            let here = 64_usize.saturating_sub(offset).min(self.end.saturating_sub(at));
            let mut bits = bits_at(self.mask, at / 8, offset, here);
            let first = at.saturating_sub(self.start);
            while bits != 0 {
                let next = usize::try_from(bits.trailing_zeros()).unwrap_or(0);
                let column = u32::try_from(first.saturating_add(next)).ok();
                let (Some(column), Some(value)) = (column, values.next()) else { return folded };
                folded = f(folded, (column, value));
                bits &= bits.wrapping_sub(1);
            }
            at = at.saturating_add(here);
        }
        folded
    }
}

/// `count` bits of the mask, at most 64, from bit `offset` of `byte` on; those past its end are 0.
#[inline]
fn bits_at(mask: &[u8], byte: usize, offset: usize, count: usize) -> u64 {
    let word = bits::word(mask.get(byte..).unwrap_or_default());
    let shift = |by: usize| u32::try_from(by).unwrap_or(0);
    let past = 64_usize.saturating_sub(count);
    word.wrapping_shr(shift(offset)) & u64::MAX.wrapping_shr(shift(past))
}

/// Mask and stored values of `values`.
#[cfg(feature = "write")]
#[must_use]
pub fn pack<T: Element>(values: &[T]) -> (std::vec::Vec<u8>, std::vec::Vec<u8>) {
    let mut mask = std::vec::Vec::with_capacity(values.len().div_ceil(8));
    let mut stored = std::vec::Vec::new();
    for chunk in values.chunks(8) {
        let mut byte = 0_u8;
        for (bit, &value) in (0_u32..8).zip(chunk) {
            if value != T::default() {
                byte |= 1_u8.wrapping_shl(bit);
                value.append_le(&mut stored);
            }
        }
        mask.push(byte);
    }
    (mask, stored)
}
