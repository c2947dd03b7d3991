//! Packing of every element, row-major, little-endian.

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

use super::PackingError;
use super::element::{Element, scalar_at, scalars};
use crate::dtype::DataType;

/// Checked bytes of a dense constant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    dtype: DataType,
    data: &'a [u8],
    elements: usize,
}

impl<'a> View<'a> {
    /// `data` must hold exactly `elements` elements of `dtype`.
    pub fn new(dtype: DataType, data: &'a [u8], elements: usize) -> Result<Self, PackingError> {
        let expected = elements.saturating_mul(dtype.size());
        if data.len() != expected {
            return Err(PackingError::Length { part: "data", expected, found: data.len() });
        }
        Ok(Self { dtype, data, elements })
    }

    /// The elements' type.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The elements' bytes, as they lie in the file: 4-aligned from its start, so that a runtime may use them in place.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// All elements; none where `T` is not their type.
    pub fn iter<T: Element>(&self) -> impl ExactSizeIterator<Item = T> + Clone + use<'a, T> {
        scalars(if T::DTYPE == self.dtype { self.data } else { &[] })
    }

    pub(super) fn expand<T: Element, O: From<T>>(&self, out: &mut [O]) {
        for (slot, value) in out.iter_mut().zip(scalars::<T>(self.data)) {
            *slot = value.into();
        }
    }

    /// The elements `start..end`.
    pub(super) fn row<T: Element>(&self, start: usize, end: usize) -> Option<Row<'a, T>> {
        let bytes = start.checked_mul(T::SIZE)?..end.checked_mul(T::SIZE)?;
        Some(Row { data: self.data.get(bytes)?, column: 0, element: core::marker::PhantomData })
    }
}

/// The non-zero elements of one row; see [`super::Row`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    data: &'a [u8],
    column: u32,
    element: core::marker::PhantomData<T>,
}

impl<T: Element> Row<'_, T> {
    pub(super) fn at(&mut self, column: u32) -> Option<T> {
        if column < self.column {
            return None;
        }
        self.column = column.saturating_add(1);
        let value = scalar_at(self.data, usize::try_from(column).ok()?)?;
        (value != T::default()).then_some(value)
    }
}

impl<T: Element> Iterator for Row<'_, T> {
    type Item = (u32, T);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let column = self.column;
            let value: T = scalar_at(self.data, usize::try_from(column).ok()?)?;
            self.column = column.checked_add(1)?;
            if value != T::default() {
                return Some((column, value));
            }
        }
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, f: F) -> B {
        let passed =
            usize::try_from(self.column).ok().and_then(|column| column.checked_mul(T::SIZE));
        let rest = passed.and_then(|passed| self.data.get(passed..)).unwrap_or_default();
        (self.column..)
            .zip(scalars::<T>(rest))
            .filter(|&(_, value)| value != T::default())
            .fold(init, f)
    }
}

/// The bytes of `values`.
#[cfg(feature = "write")]
#[must_use]
pub fn pack<T: Element>(values: &[T]) -> std::vec::Vec<u8> {
    let mut data = std::vec::Vec::with_capacity(values.len().saturating_mul(T::SIZE));
    for &value in values {
        value.append_le(&mut data);
    }
    data
}
