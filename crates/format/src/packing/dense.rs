//! Packing of every element, row-major.

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

#[cfg(feature = "write")]
use super::element::Element;
use super::positions::{Mark, Positions};

/// Every element is stored.
#[derive(Clone, Copy, Debug)]
pub struct View {
    elements: usize,
}

impl View {
    /// Of so many elements.
    #[must_use]
    pub fn new(elements: usize) -> Self {
        Self { elements }
    }
}

impl Positions for View {
    #[inline]
    fn next(&self, mark: &mut Mark, end: usize) -> Option<usize> {
        let element = mark.at;
        if element >= end.min(self.elements) {
            return None;
        }
        mark.at = element.saturating_add(1);
        mark.stored = mark.at;
        Some(element)
    }

    fn skip(&self, from: Mark, end: usize) -> Mark {
        Mark { at: end, stored: end, ..from }
    }

    #[inline]
    fn fold<B>(&self, from: Mark, end: usize, init: B, visit: impl FnMut(B, usize) -> B) -> B {
        (from.at..end.min(self.elements)).fold(init, visit)
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
