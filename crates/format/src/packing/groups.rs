//! Packing of the non-zero elements alone, with a bitmap of two levels: one bit for each group of elements, then, for each group
//! that has a non-zero element, one bit for each of its elements.
//!
//! The first level fills whole bytes; the second follows from the next byte on, without gaps between groups. The last group has
//! bits for all its places, those past the last element being 0. Non-zero weights cluster, and a group without any costs one bit.
//! A walk keeps three numbers a row ([`Mark`]): the next element, its stored value's number, and how many groups with bits of
//! their own precede its group.

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

/// Checked index of a constant in groups.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// A bit a group.
    groups: &'a [u8],
    /// The bits of groups that have some, one after the other.
    members: &'a [u8],
    /// Elements of a group; never 0.
    size: usize,
    elements: usize,
}

impl<'a> View<'a> {
    /// `index` must hold both levels exactly. Walks of any bits are safe; whether they are those of a constant is
    /// [`check_bits`](Self::check_bits)'s.
    pub fn new(size: u8, index: &'a [u8], elements: usize) -> Result<Self, PackingError> {
        if !SIZES.contains(&size) {
            return Err(PackingError::GroupSize {
                expected: (*SIZES.start(), *SIZES.end()),
                found: size,
            });
        }
        let size = usize::from(size);
        let count = elements.div_ceil(size);
        let (expected, found) = (count.div_ceil(8), index.len());
        let Some((groups, members)) = index.split_at_checked(expected) else {
            return Err(PackingError::Length { part: "index", expected, found });
        };
        bits::check_end("index", groups, count)?;
        let live = bits::ones(groups);
        bits::check_end("index", members, live.saturating_mul(size))?;
        Ok(Self { groups, members, size, elements })
    }

    /// Whether no group's bits are all 0 and none are past the last element.
    pub fn check_bits(&self) -> Result<(), PackingError> {
        let live = bits::ones(self.groups);
        if let Some(group) = (0..live).find(|&live| self.members_of(live) == 0) {
            return Err(PackingError::EmptyGroup { group });
        }
        // Of the last group, where the elements do not fill it.
        let (group, place) = self.split(self.elements);
        if place > 0 && bits::is_set(self.groups, group) {
            let last = self.members_of(live.saturating_sub(1));
            if bits::shifted(last, place) != 0 {
                let last = self.members.last().copied().unwrap_or(0);
                return Err(PackingError::PaddingBits { part: "index", used: self.elements, last });
            }
        }
        Ok(())
    }

    /// Elements of a group.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Number of stored elements.
    #[must_use]
    pub fn stored(&self) -> usize {
        bits::ones(self.members)
    }

    /// The bits of the group that `live` groups with bits precede.
    #[inline]
    fn members_of(&self, live: usize) -> u64 {
        bits::at(self.members, live.saturating_mul(self.size), self.size)
    }

    /// The group of an element, and the element's place in it.
    fn split(&self, element: usize) -> (usize, usize) {
        let (group, place) = (element.checked_div(self.size), element.checked_rem(self.size));
        (group.unwrap_or(0), place.unwrap_or(0))
    }

    /// How many bits of the second level belong to elements before this one, which `live` groups with bits precede.
    fn bits_before(&self, element: usize, live: usize) -> usize {
        let (group, place) = self.split(element);
        let own = if bits::is_set(self.groups, group) { place } else { 0 };
        live.saturating_mul(self.size).saturating_add(own)
    }
}

impl Positions for View<'_> {
    fn next(&self, mark: &mut Mark, end: usize) -> Option<usize> {
        let end = end.min(self.elements);
        let (mut group, mut place) = self.split(mark.at);
        let past = self.split(end.saturating_add(self.size).saturating_sub(1)).0;
        while let Some(live) = bits::next_set(self.groups, group, past) {
            if live != group {
                (group, place) = (live, 0);
            }
            let first = group.saturating_mul(self.size);
            let here = bits::shifted(self.members_of(mark.code), place);
            if here != 0 {
                let step = usize::try_from(here.trailing_zeros()).ok()?;
                let element = first.saturating_add(place).saturating_add(step);
                if element >= end {
                    *mark = Mark { at: end, ..*mark };
                    return None;
                }
                mark.at = element.saturating_add(1);
                mark.stored = mark.stored.saturating_add(1);
                if mark.at >= first.saturating_add(self.size) {
                    mark.code = mark.code.saturating_add(1);
                }
                return Some(element);
            }
            let next = first.saturating_add(self.size);
            if next > end {
                *mark = Mark { at: end, ..*mark };
                return None;
            }
            *mark = Mark { at: next, code: mark.code.saturating_add(1), ..*mark };
            (group, place) = (group.saturating_add(1), 0);
        }
        mark.at = mark.at.max(end);
        None
    }

    fn skip(&self, from: Mark, end: usize) -> Mark {
        if end <= from.at {
            return from;
        }
        let live = bits::rank(self.groups, self.split(from.at).0, self.split(end).0);
        let code = from.code.saturating_add(live);
        let passed = self.bits_before(from.at, from.code)..self.bits_before(end, code);
        let stored = bits::rank(self.members, passed.start, passed.end);
        Mark { at: end, stored: from.stored.saturating_add(stored), code }
    }

    /// Gathers the bits of as many groups as a word holds, without a branch a group, and walks those.
    #[inline]
    fn fold<B>(&self, from: Mark, end: usize, init: B, mut visit: impl FnMut(B, usize) -> B) -> B {
        let end = end.min(self.elements);
        let (mut group, place) = self.split(from.at);
        let together = bits::MOST.checked_div(self.size).unwrap_or(1);
        let (mut live, mut folded) = (from.code, init);
        let mut passed = bits::low(place);
        let mut first = from.at.saturating_sub(place);
        while first < end {
            let here = bits::at(self.groups, group, together);
            let mut word = self.gather(here, together, &mut live) & !passed;
            passed = 0;
            let left = end.saturating_sub(first);
            if left < 64 {
                word &= bits::low(left);
            }
            while word != 0 {
                let member = usize::try_from(word.trailing_zeros()).unwrap_or(0);
                folded = visit(folded, first.saturating_add(member));
                word &= word.wrapping_sub(1);
            }
            group = group.saturating_add(together);
            first = first.saturating_add(together.saturating_mul(self.size));
        }
        folded
    }
}

impl View<'_> {
    /// The elements' bits of `together` groups, of which `here` tells which have some; `live` is how many such groups precede them.
    #[inline]
    fn gather(&self, here: u64, together: usize, live: &mut usize) -> u64 {
        let count = usize::try_from(here.count_ones()).unwrap_or(0);
        // No more bits than a word can begin with anywhere in a byte.
        let first = live.saturating_mul(self.size);
        let mut members = bits::at(self.members, first, together.saturating_mul(self.size));
        *live = live.saturating_add(count);
        let (size, all) = (u32::try_from(self.size).unwrap_or(0), bits::low(self.size));
        let (mut word, mut at) = (0_u64, 0_u32);
        for place in 0..together {
            // All ones of a group that has bits, otherwise 0.
            let live = (bits::shifted(here, place) & 1).wrapping_neg();
            word |= (members & all & live).wrapping_shl(at);
            members = members.wrapping_shr(size & live as u32);
            at = at.wrapping_add(size);
        }
        word
    }
}

/// Both levels of elements of which `stored` tells which are stored, in groups of `size`, within [`SIZES`].
#[cfg(feature = "write")]
#[must_use]
pub fn pack(stored: &[bool], size: u8) -> std::vec::Vec<u8> {
    let groups = || stored.chunks(usize::from(size.max(1)));
    let any = |group: &[bool]| group.contains(&true);
    let mut index = super::bitmap::pack(groups().map(any));
    let mut members = bits::Writer::default();
    for group in groups().filter(|group| any(group)) {
        for place in 0..usize::from(size) {
            members.push(u8::from(group.get(place) == Some(&true)), 1);
        }
    }
    index.extend(members.finish());
    index
}
