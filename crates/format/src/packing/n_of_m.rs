//! Packing of at most `kept` non-zero elements in each group of `group` (N:M sparsity, such as 2:4).
//!
//! Every group stores exactly `kept` elements, ascending; where fewer are non-zero, zeros are among them. The index has the
//! place of each in its group, in as many bits as the largest place takes, from the lowest bit of the first byte on. A stored
//! element's number tells its group, so a walk keeps the next element and its stored value's number.

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

/// Elements that a group may have.
pub const SIZES: core::ops::RangeInclusive<u8> = 2..=32;

/// Checked index of an N:M constant.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    index: &'a [u8],
    group: usize,
    kept: usize,
    /// Bits of a place.
    bits: usize,
    elements: usize,
}

impl<'a> View<'a> {
    /// `index` must hold the places of all groups, which must fill the constant. Walks of any places are safe; whether they are
    /// those of a constant is [`check_places`](Self::check_places)'s.
    pub fn new(
        kept: u8,
        group: u8,
        index: &'a [u8],
        elements: usize,
    ) -> Result<Self, PackingError> {
        if !SIZES.contains(&group) {
            return Err(PackingError::GroupSize {
                expected: (*SIZES.start(), *SIZES.end()),
                found: group,
            });
        }
        if kept == 0 || kept >= group {
            return Err(PackingError::Kept { group, found: kept });
        }
        let bits = usize::from(place_bits(group));
        let (group, kept) = (usize::from(group), usize::from(kept));
        if elements.checked_rem(group) != Some(0) {
            return Err(PackingError::Groups { group, elements });
        }
        let view = Self { index, group, kept, bits, elements };
        bits::check_end("index", index, view.stored().saturating_mul(bits))?;
        Ok(view)
    }

    /// Whether the places of each group ascend and are in it.
    pub fn check_places(&self) -> Result<(), PackingError> {
        let mut before = None;
        for stored in 0..self.stored() {
            before = before.filter(|_| stored.checked_rem(self.kept) != Some(0));
            let place = self.place(stored);
            if place >= self.group || before.is_some_and(|before| before >= place) {
                return Err(PackingError::Place { stored, group: self.group });
            }
            before = Some(place);
        }
        Ok(())
    }

    /// Elements of a group.
    #[must_use]
    pub fn group(&self) -> usize {
        self.group
    }

    /// Stored elements of a group.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Number of stored elements.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.elements.checked_div(self.group).unwrap_or(0).saturating_mul(self.kept)
    }

    /// The place of a stored element in its group.
    #[inline]
    fn place(&self, stored: usize) -> usize {
        let place = bits::at(self.index, stored.saturating_mul(self.bits), self.bits);
        usize::try_from(place).unwrap_or(0)
    }

    /// The element that a stored value belongs to.
    #[inline]
    fn element(&self, stored: usize) -> usize {
        let group = stored.checked_div(self.kept).unwrap_or(0);
        group.saturating_mul(self.group).saturating_add(self.place(stored))
    }
}

impl Positions for View<'_> {
    #[inline]
    fn next(&self, mark: &mut Mark, end: usize) -> Option<usize> {
        let element = self.element(mark.stored);
        if element >= end.min(self.elements) {
            return None;
        }
        mark.at = element.saturating_add(1);
        mark.stored = mark.stored.saturating_add(1);
        Some(element)
    }

    fn skip(&self, from: Mark, end: usize) -> Mark {
        let whole = end.checked_div(self.group).unwrap_or(0).saturating_mul(self.kept);
        let mut stored = whole;
        while stored < whole.saturating_add(self.kept) && self.element(stored) < end {
            stored = stored.saturating_add(1);
        }
        Mark { at: end, stored, ..from }
    }
}

/// Bits of a place in a group.
fn place_bits(group: u8) -> u8 {
    u8::try_from(group.saturating_sub(1).checked_ilog2().unwrap_or(0))
        .unwrap_or(0)
        .saturating_add(1)
}

/// Which elements are stored, and the index; `None` where a group has more than `kept` non-zero ones or groups do not fill the
/// constant.
#[cfg(feature = "write")]
#[must_use]
pub fn pack(
    nonzero: &[bool],
    kept: u8,
    group: u8,
) -> Option<(std::vec::Vec<bool>, std::vec::Vec<u8>)> {
    let groups = nonzero.chunks_exact(usize::from(group));
    if group == 0 || !groups.remainder().is_empty() {
        return None;
    }
    let mut stored = std::vec::Vec::with_capacity(nonzero.len());
    let mut index = bits::Writer::default();
    for group_bits in groups {
        let needed = u8::try_from(group_bits.iter().filter(|&&nonzero| nonzero).count()).ok()?;
        let mut spare = kept.checked_sub(needed)?;
        for (place, &nonzero) in (0_u8..).zip(group_bits) {
            let fill = !nonzero && spare > 0;
            spare = spare.saturating_sub(u8::from(fill));
            stored.push(nonzero || fill);
            if nonzero || fill {
                index.push(place, place_bits(group));
            }
        }
    }
    Some((stored, index.finish()))
}
