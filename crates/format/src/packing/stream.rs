//! Walks of a constant's stored elements for machines with little room: 32-bit words, no division in a loop, and of all packings
//! only the code of those that the caller names. Their meaning is each packing's module's; a test holds the two against each other.

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
use super::values::Levels;
use super::{blocks, columns, n_of_m};
use crate::lean::LeanWeights;
use crate::read::layout::weights as codes;

/// Sets of packings: bit `code` for each that a walk must know, by the schema's codes.
pub mod set {
    /// Every element.
    pub const DENSE: u32 = 1;
    /// A bit an element.
    pub const BITMAP: u32 = 1 << 1;
    /// A bitmap of two levels.
    pub const GROUPS: u32 = 1 << 2;
    /// Codes of gaps.
    pub const GAPS: u32 = 1 << 3;
    /// So many of each group.
    pub const N_OF_M: u32 = 1 << 4;
    /// Blocks.
    pub const BLOCKS: u32 = 1 << 5;
    /// Columns.
    pub const COLUMNS: u32 = 1 << 6;
    /// Elements of less than 8 bits, in any of them.
    pub const BITS: u32 = 1 << 7;
    /// All of them.
    pub const ALL: u32 = (1 << 8) - 1;
}

/// Where a walk stands: what has to be known of the elements before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamMark {
    /// The next element to look at; of gaps, the one that the next code counts from.
    pub at: u32,
    /// Stored elements before it.
    pub stored: u32,
    /// Codes before it, of gaps; groups with bits of their own before its group, of groups.
    pub code: u32,
}

/// The stored int8 elements of a constant, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    values: &'a [u8],
    index: &'a [u8],
    /// The second level of groups.
    members: &'a [u8],
    elements: u32,
    columns: u32,
    /// Stored elements of gaps.
    stored: u32,
    packing: u8,
    bits: u8,
    zero: bool,
    /// Elements of a group or block; bits of a gap.
    size: u8,
    kept: u8,
}

/// Groups of four whole elements. See [`Stream::fours`].
#[derive(Clone, Copy, Debug)]
pub struct Fours<'a> {
    /// A bit for each of up to 24 groups, the lowest first: whether it has members.
    pub live: u32,
    /// At least 20 bytes: four bits for each group that has members.
    pub members: &'a [u8],
    /// Whether they begin in the middle of the first byte.
    pub odd: bool,
    /// At least 96 bytes: the members' values.
    pub values: &'a [u8],
}

impl<'a> Stream<'a> {
    /// Of no element.
    pub const EMPTY: Self = Self {
        values: &[],
        index: &[],
        members: &[],
        elements: 0,
        columns: 0,
        stored: 0,
        packing: codes::DENSE,
        bits: 0,
        zero: false,
        size: 0,
        kept: 0,
    };

    /// Becomes that of weights of so many elements in rows of `columns`. False, and not to be used, where their bytes are too few
    /// or their packing is none of `SET`.
    #[must_use]
    pub fn read<const SET: u32>(
        &mut self,
        weights: &LeanWeights<'a>,
        elements: u32,
        columns: u32,
    ) -> bool {
        let (packing, bits) = (weights.packing, weights.value_bits);
        let known = packing < codes::CODED && SET.wrapping_shr(packing.into()) & 1 == 1;
        if !known || bits > 7 || (bits != 0 && SET & set::BITS == 0) {
            return false;
        }
        let masked = matches!(packing, codes::BITMAP | codes::GROUPS | codes::GAPS);
        let size = if packing == codes::GAPS { weights.gap_bits } else { weights.group };
        let bytes = |bits: u32| bits.div_ceil(8) as usize;
        (self.values, self.index, self.members) = (weights.values, weights.index, &[]);
        (self.elements, self.columns) = (elements, columns);
        self.stored = if bits == 0 { self.values.len() as u32 } else { weights.stored };
        (self.packing, self.bits, self.zero) = (packing, bits, !masked && !weights.no_zero);
        (self.size, self.kept) = (size, weights.kept);
        match packing {
            codes::GROUPS => {
                let groups = elements.wrapping_add(size.into()).wrapping_sub(1);
                let groups = groups.checked_div(size.into()).unwrap_or(u32::MAX);
                let Some((index, members)) = self.index.split_at_checked(bytes(groups)) else {
                    return false;
                };
                (self.index, self.members) = (index, members);
                (2..=32).contains(&size)
            }
            codes::BITMAP => self.index.len() >= bytes(elements),
            codes::GAPS => (1..=8).contains(&size),
            codes::DENSE if bits == 0 => self.values.len() == elements as usize,
            _ => true,
        }
    }

    /// The elements as they lie, where all of them are stored in whole bytes.
    #[must_use]
    pub fn whole(&self) -> Option<&'a [u8]> {
        (self.packing == codes::DENSE && self.bits == 0).then_some(self.values)
    }

    /// Number of elements, zeros included.
    #[must_use]
    pub fn elements(&self) -> u32 {
        self.elements
    }

    /// Stored element number `stored`; 0 past the last.
    #[inline(always)]
    fn value<const SET: u32>(&self, stored: u32) -> i8 {
        if SET & set::BITS != 0 && self.bits != 0 {
            return self.narrow(stored);
        }
        self.values.get(stored as usize).map_or(0, |&byte| byte.cast_signed())
    }

    #[inline(never)]
    fn narrow(&self, stored: u32) -> i8 {
        let code = bits_at(self.values, stored.wrapping_mul(self.bits.into()), self.bits.into());
        Levels::level(self.bits, self.zero, u64::from(code))
    }

    /// Calls `visit` with each stored element from the mark on and before `end`, and its value; the mark passes them. Values of 0
    /// may be among them.
    #[inline(always)]
    pub fn advance<const SET: u32>(
        &self,
        mark: &mut StreamMark,
        end: u32,
        mut visit: impl FnMut(u32, i8),
    ) {
        let end = end.min(self.elements);
        match self.packing {
            codes::DENSE if SET & set::DENSE != 0 => {
                for element in mark.at..end {
                    visit(element, self.value::<SET>(element));
                }
                *mark = StreamMark { at: end.max(mark.at), stored: end.max(mark.at), code: 0 };
            }
            codes::BITMAP if SET & set::BITMAP != 0 => self.bitmap::<SET>(mark, end, visit),
            codes::GROUPS if SET & set::GROUPS != 0 => self.groups::<SET>(mark, end, visit),
            codes::GAPS if SET & set::GAPS != 0 => self.gaps::<SET>(mark, end, visit),
            codes::N_OF_M if SET & set::N_OF_M != 0 => {
                let (elements, index) = (self.elements as usize, self.index);
                if let Ok(view) = n_of_m::View::new(self.kept, self.size, index, elements) {
                    self.positions::<SET>(&view, mark, end, visit);
                }
            }
            codes::BLOCKS if SET & set::BLOCKS != 0 => {
                let (elements, index) = (self.elements as usize, self.index);
                if let Ok(view) = blocks::View::new(self.size, index, elements) {
                    self.positions::<SET>(&view, mark, end, visit);
                }
            }
            codes::COLUMNS if SET & set::COLUMNS != 0 => {
                let (elements, index) = (self.elements as usize, self.index);
                if let Ok(view) = columns::View::new(self.columns as usize, index, elements) {
                    self.positions::<SET>(&view, mark, end, visit);
                }
            }
            _ => mark.at = end.max(mark.at),
        }
    }

    /// The bits and values of up to 24 groups of four whole elements from the mark on, for a kernel that reads ahead without asking:
    /// `None` where they end near the end of their bytes, where the range does not begin and end with a group, and of other
    /// packings.
    #[inline(always)]
    #[must_use]
    pub fn fours(&self, mark: &StreamMark, end: u32) -> Option<Fours<'a>> {
        let fits = self.packing == codes::GROUPS && self.size == 4 && self.bits == 0;
        let groups = end.wrapping_sub(mark.at) / 4;
        if !fits || (mark.at | end) & 3 != 0 || groups > 24 || end > self.elements {
            return None;
        }
        let live = bits_at(self.index, mark.at / 4, groups);
        let members = self.members.get((mark.code / 2) as usize..)?;
        let values = self.values.get(mark.stored as usize..)?;
        let ahead = members.len() >= 20 && values.len() >= 96;
        ahead.then_some(Fours { live, members, odd: mark.code & 1 == 1, values })
    }

    /// Writes every element, zeros included, to `out`; those past its end are left out.
    #[inline(never)]
    pub fn expand<const SET: u32>(&self, out: &mut [u8]) {
        out.fill(0);
        self.advance::<SET>(&mut StreamMark::default(), self.elements, |element, value| {
            if let Some(byte) = out.get_mut(element as usize) {
                *byte = value.cast_unsigned();
            }
        });
    }

    /// Passes all elements before `end`.
    pub fn skip<const SET: u32>(&self, mark: &mut StreamMark, end: u32) {
        let end = end.min(self.elements);
        if end <= mark.at {
            return;
        }
        match self.packing {
            codes::BITMAP if SET & set::BITMAP != 0 => {
                mark.stored = mark.stored.wrapping_add(ones(self.index, mark.at, end));
                mark.at = end;
            }
            codes::GROUPS if SET & set::GROUPS != 0 => {
                let size = u32::from(self.size);
                let split = |at: u32| (at.checked_div(size), at.checked_rem(size));
                let ((from, inner), (to, rest)) = (split(mark.at), split(end));
                let (from, inner) = (from.unwrap_or(0), inner.unwrap_or(0));
                let (to, rest) = (to.unwrap_or(0), rest.unwrap_or(0));
                let begin = mark.code.wrapping_mul(size);
                let begin =
                    if is_set(self.index, from) { begin.wrapping_add(inner) } else { begin };
                mark.code = mark.code.wrapping_add(ones(self.index, from, to));
                let stop = mark.code.wrapping_mul(size);
                let stop = if is_set(self.index, to) { stop.wrapping_add(rest) } else { stop };
                mark.stored = mark.stored.wrapping_add(ones(self.members, begin, stop));
                mark.at = end;
            }
            _ => self.advance::<SET>(mark, end, |_, _| {}),
        }
    }

    #[inline(always)]
    fn bitmap<const SET: u32>(
        &self,
        mark: &mut StreamMark,
        end: u32,
        mut visit: impl FnMut(u32, i8),
    ) {
        let (mut at, mut stored) = (mark.at, mark.stored);
        while at < end {
            let count = end.wrapping_sub(at).min(25);
            let mut word = bits_at(self.index, at, count);
            while word != 0 {
                visit(at.wrapping_add(word.trailing_zeros()), self.value::<SET>(stored));
                stored = stored.wrapping_add(1);
                word &= word.wrapping_sub(1);
            }
            at = at.wrapping_add(count);
        }
        (mark.at, mark.stored) = (at, stored);
    }

    #[inline(always)]
    fn groups<const SET: u32>(
        &self,
        mark: &mut StreamMark,
        end: u32,
        mut visit: impl FnMut(u32, i8),
    ) {
        let size = u32::from(self.size);
        let (mut stored, mut code) = (mark.stored, mark.code);
        let mut group = mark.at.checked_div(size).unwrap_or(0);
        let mut first = group.wrapping_mul(size);
        // Members before the mark are passed.
        let mut passed = mark.at.wrapping_sub(first);
        while first < end {
            let mut live = bits_at(self.index, group, 25);
            let mut base = first;
            for _ in 0..25 {
                if live == 0 || base >= end {
                    break;
                }
                if live & 1 != 0 {
                    let left = end.wrapping_sub(base);
                    let mut members = bits_at(self.members, code.wrapping_mul(size), size);
                    members &= u32::MAX.wrapping_shl(passed);
                    if left < size {
                        members &= !u32::MAX.wrapping_shl(left);
                    } else {
                        code = code.wrapping_add(1);
                    }
                    while members != 0 {
                        visit(
                            base.wrapping_add(members.trailing_zeros()),
                            self.value::<SET>(stored),
                        );
                        stored = stored.wrapping_add(1);
                        members &= members.wrapping_sub(1);
                    }
                }
                passed = 0;
                live = live.wrapping_shr(1);
                base = base.wrapping_add(size);
            }
            passed = 0;
            group = group.wrapping_add(25);
            first = first.wrapping_add(size.wrapping_mul(25));
        }
        *mark = StreamMark { at: end.max(mark.at), stored, code };
    }

    #[inline(always)]
    fn gaps<const SET: u32>(
        &self,
        mark: &mut StreamMark,
        end: u32,
        mut visit: impl FnMut(u32, i8),
    ) {
        let bits = u32::from(self.size);
        let escape = !u32::MAX.wrapping_shl(bits);
        let last = self.index.len().saturating_mul(8) as u32;
        let stop = self.stored;
        let StreamMark { mut at, mut stored, code } = *mark;
        let mut bit = code.wrapping_mul(bits);
        while stored < stop && bit.wrapping_add(bits) <= last {
            let gap = bits_at(self.index, bit, bits);
            let element = at.wrapping_add(gap);
            if gap != escape {
                if element >= end {
                    break;
                }
                visit(element, self.value::<SET>(stored));
                stored = stored.wrapping_add(1);
                at = element.wrapping_add(1);
            } else {
                at = element;
            }
            bit = bit.wrapping_add(bits);
        }
        *mark = StreamMark { at, stored, code: bit.checked_div(bits).unwrap_or(0) };
    }

    #[inline(never)]
    fn positions<const SET: u32>(
        &self,
        view: &impl Positions,
        mark: &mut StreamMark,
        end: u32,
        mut visit: impl FnMut(u32, i8),
    ) {
        let usize_of = |number: u32| number as usize;
        let mut wide = Mark {
            at: usize_of(mark.at),
            stored: usize_of(mark.stored),
            code: usize_of(mark.code),
        };
        loop {
            let stored = wide.stored as u32;
            let Some(element) = view.next(&mut wide, usize_of(end)) else { break };
            visit(element as u32, self.value::<SET>(stored));
        }
        *mark =
            StreamMark { at: end.max(mark.at), stored: wide.stored as u32, code: wide.code as u32 };
    }
}

/// Up to 32 bits from bit `from` on; those past the end are 0.
#[inline(always)]
fn bits_at(bytes: &[u8], from: u32, count: u32) -> u32 {
    let rest = bytes.get((from / 8) as usize..).unwrap_or(&[]);
    let (shift, mask) = (from % 8, !u32::MAX.checked_shl(count).unwrap_or(0));
    let word = match rest.first_chunk() {
        Some(&word) => u32::from_le_bytes(word),
        None => {
            rest.iter().rev().fold(0, |word: u32, &byte| word.wrapping_shl(8) | u32::from(byte))
        }
    };
    let mut bits = word.wrapping_shr(shift);
    if count > 25 {
        // The fifth byte may be needed.
        let high = rest.get(4).map_or(0, |&byte| u32::from(byte));
        bits |= high.wrapping_shl(31_u32.wrapping_sub(shift)).wrapping_shl(1);
    }
    bits & mask
}

fn is_set(bytes: &[u8], bit: u32) -> bool {
    bits_at(bytes, bit, 1) != 0
}

/// Bits that are 1 among `from..end`.
#[inline(never)]
fn ones(bytes: &[u8], from: u32, end: u32) -> u32 {
    let some = |from: u32, end: u32| {
        let count = end.wrapping_sub(from).min(24);
        bits_at(bytes, from, count).count_ones()
    };
    // Bits up to a whole byte, whole words, and the rest.
    let head = from.next_multiple_of(8).min(end);
    let mut sum = some(from, head);
    let rest = bytes.get((head / 8) as usize..(end / 8) as usize).unwrap_or(&[]);
    let (words, _) = rest.as_chunks::<4>();
    for &word in words {
        sum = sum.wrapping_add(u32::from_le_bytes(word).count_ones());
    }
    let mut at = head.wrapping_add((words.len() as u32).wrapping_mul(32));
    while at < end {
        sum = sum.wrapping_add(some(at, end));
        at = at.wrapping_add(24);
    }
    sum
}
