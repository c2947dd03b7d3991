//! Which packing a constant takes, and its bytes: all that may be are made, and the smallest is kept. Layout in the file is
//! `build`'s, the packings themselves are `packing`'s.

#![forbid(unsafe_code)]

use super::constant::{Constant, ConstantData};
use super::generated::penjing::Packing;
use crate::attributes::ChannelAxis;
use crate::packing::{
    Element, Levels, bitmap, blocks, coded, columns, dense, gaps, groups, n_of_m,
};
use std::vec::Vec;

/// How weights are packed. Of all but [`Dense`](Self::Dense), the parameters (bits of a code, elements of a group) are those that
/// take the fewest bytes; int8 weights take fewer than 8 bits each where they have so few levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PackingChoice {
    /// Each the way that takes the fewest bytes and can be walked where it lies; of equals, what is quicker to walk.
    #[default]
    Auto,
    /// Every element, in whole bytes.
    Dense,
    /// Non-zero elements and a mask.
    Bitmap,
    /// Non-zero elements and a mask of two levels.
    Groups,
    /// Non-zero elements and the gaps between them.
    Gaps,
    /// So many elements of each group.
    NOfM,
    /// Blocks of consecutive elements that are not all zero.
    Blocks,
    /// Columns (input features) that are not all zero.
    Columns,
    /// Every element, entropy-coded: for the wire, to be decoded when the file is opened.
    Coded,
    /// Each the way that takes the fewest bytes, entropy-coded or not.
    Smallest,
}

impl PackingChoice {
    /// The choices whose files are walked where they lie.
    pub const IN_PLACE: [Self; 8] = [
        Self::Auto,
        Self::Dense,
        Self::Bitmap,
        Self::Groups,
        Self::Gaps,
        Self::NOfM,
        Self::Blocks,
        Self::Columns,
    ];

    /// The choices that may entropy-code.
    pub const DECODED: [Self; 2] = [Self::Coded, Self::Smallest];

    /// Its name on command lines and in errors.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dense => "dense",
            Self::Bitmap => "bitmap",
            Self::Groups => "groups",
            Self::Gaps => "gaps",
            Self::NOfM => "n-of-m",
            Self::Blocks => "blocks",
            Self::Columns => "columns",
            Self::Coded => "coded",
            Self::Smallest => "smallest",
        }
    }
}

/// What the file states of packed weights.
pub(super) struct PackedBytes {
    pub(super) packing: Packing,
    pub(super) values: Vec<u8>,
    pub(super) index: Vec<u8>,
    pub(super) value_bits: u8,
    pub(super) group: u8,
    pub(super) gap_bits: u8,
    pub(super) kept: u8,
    pub(super) no_zero: bool,
    pub(super) stored: u32,
    pub(super) period: u16,
}

/// What a number is where the file does not state it.
const GROUP: u8 = 4;
const GAP_BITS: u8 = 3;
const KEPT: u8 = 2;

impl PackedBytes {
    fn new(packing: Packing, index: Vec<u8>, values: Vec<u8>) -> Self {
        Self {
            packing,
            values,
            index,
            value_bits: 0,
            group: GROUP,
            gap_bits: GAP_BITS,
            kept: KEPT,
            no_zero: false,
            stored: 0,
            period: 0,
        }
    }

    /// Bytes of the file: a vector is filled up to a multiple of 4, the index costs its offset and its length, and a number that
    /// is not the usual one its own bytes.
    fn cost(&self) -> usize {
        let whole = |bytes: &Vec<u8>| bytes.len().next_multiple_of(4);
        let index = if self.index.is_empty() { 0 } else { whole(&self.index) + 8 };
        let bytes = [
            self.packing != Packing::Dense,
            self.value_bits != 0,
            self.group != GROUP,
            self.gap_bits != GAP_BITS,
            self.kept != KEPT,
            self.no_zero,
        ];
        let numbers = bytes.into_iter().filter(|&stated| stated).count();
        let period = if self.period == 0 { 0 } else { 2 };
        whole(&self.values) + index + numbers + period + if self.stored == 0 { 0 } else { 4 }
    }
}

/// The packed weights; `None` where they cannot be packed as asked.
pub(super) fn pack(
    constant: &Constant,
    axis: ChannelAxis,
    choice: PackingChoice,
) -> Option<PackedBytes> {
    let columns = axis.row_len(constant.shape).unwrap_or(1);
    match &constant.data {
        ConstantData::F32(data) => best(data, columns, choice, |_, _| None),
        ConstantData::I8(data) => best(data, columns, choice, |values, zero| {
            let levels = Levels::fewest(values, zero)?;
            Some((levels, levels.pack(values)?))
        }),
        ConstantData::I16(_) | ConstantData::I32(_) => None,
    }
}

/// Elements in fewer bits, if they have so few levels, with 0 among them or without.
type Narrow<T> = fn(&[T], bool) -> Option<(Levels, Vec<u8>)>;

fn best<T: Element>(
    data: &[T],
    columns: usize,
    choice: PackingChoice,
    narrow: Narrow<T>,
) -> Option<PackedBytes> {
    let packer = Packer {
        data,
        nonzero: data.iter().map(|value| *value != T::default()).collect(),
        columns,
        narrow,
    };
    let dense = || PackedBytes::new(Packing::Dense, Vec::new(), dense::pack(data));
    match choice {
        PackingChoice::Dense => Some(dense()),
        PackingChoice::Bitmap => packer.bitmap(),
        PackingChoice::Groups => packer.groups(),
        PackingChoice::Gaps => packer.gaps(),
        PackingChoice::NOfM => packer.n_of_m(),
        PackingChoice::Blocks => packer.blocks(),
        PackingChoice::Columns => packer.kept_columns(),
        PackingChoice::Coded => Some(packer.coded()),
        PackingChoice::Auto => packer.in_place(),
        PackingChoice::Smallest => smallest(packer.in_place().into_iter().chain([packer.coded()])),
    }
}

/// Of equals the first. Holds no more than two at a time, where they are made as they are asked for.
fn smallest(packed: impl IntoIterator<Item = PackedBytes>) -> Option<PackedBytes> {
    packed.into_iter().min_by_key(PackedBytes::cost)
}

/// Elements to be packed.
struct Packer<'d, T> {
    data: &'d [T],
    nonzero: Vec<bool>,
    columns: usize,
    narrow: Narrow<T>,
}

impl<T: Element> Packer<'_, T> {
    /// The stored elements after an index, in whole bytes or, where they have so few levels, in fewer bits. `state` adds what the
    /// packing states beside them.
    fn with_values(
        &self,
        packing: Packing,
        index: Vec<u8>,
        stored: &[bool],
        masked: bool,
        state: impl Fn(PackedBytes) -> PackedBytes,
    ) -> Option<PackedBytes> {
        let values: Vec<T> =
            self.data.iter().zip(stored).filter_map(|(&value, &is)| is.then_some(value)).collect();
        // The levels of masked packings never have a zero.
        let zeros = if masked { &[false][..] } else { &[true, false][..] };
        let narrow = zeros.iter().filter_map(|&zero| {
            let (levels, bytes) = (self.narrow)(&values, zero)?;
            let Levels::Bits { bits, .. } = levels else { return None };
            let packed = PackedBytes::new(packing, Vec::new(), bytes);
            Some(PackedBytes { value_bits: bits, no_zero: !masked && !zero, ..packed })
        });
        let whole =
            std::iter::once_with(|| PackedBytes::new(packing, Vec::new(), dense::pack(&values)));
        Some(PackedBytes { index, ..smallest(whole.chain(narrow).map(state))? })
    }

    /// In the smallest packing that is walked where it lies; of equals, what is walked the fastest.
    fn in_place(&self) -> Option<PackedBytes> {
        let packings = [
            Self::dense,
            Self::bitmap,
            Self::kept_columns,
            Self::blocks,
            Self::n_of_m,
            Self::groups,
            Self::gaps,
        ];
        smallest(packings.into_iter().filter_map(|packing| packing(self)))
    }

    fn coded(&self) -> PackedBytes {
        let (period, values) = coded::pack(self.data, self.columns);
        PackedBytes { period, ..PackedBytes::new(Packing::Coded, Vec::new(), values) }
    }

    fn dense(&self) -> Option<PackedBytes> {
        let all = std::vec![true; self.data.len()];
        self.with_values(Packing::Dense, Vec::new(), &all, false, |packed| packed)
    }

    fn bitmap(&self) -> Option<PackedBytes> {
        let index = bitmap::pack(self.nonzero.iter().copied());
        self.with_values(Packing::Bitmap, index, &self.nonzero, true, |packed| packed)
    }

    fn groups(&self) -> Option<PackedBytes> {
        // Only the index depends on the size.
        let sizes = groups::SIZES.map(|group| (group, groups::pack(&self.nonzero, group)));
        let (group, index) = sizes.min_by_key(|(_, index)| index.len())?;
        let state = |packed| PackedBytes { group, ..packed };
        self.with_values(Packing::Groups, index, &self.nonzero, true, state)
    }

    fn gaps(&self) -> Option<PackedBytes> {
        let codes = gaps::BITS.map(|bits| (bits, gaps::pack(&self.nonzero, bits)));
        let whole = |bits, len: usize| len.next_multiple_of(4) + usize::from(bits != GAP_BITS);
        let (gap_bits, codes) = codes.min_by_key(|(bits, codes)| whole(*bits, codes.len()))?;
        let stored = self.nonzero.iter().filter(|&&nonzero| nonzero).count();
        let stored = u32::try_from(stored).unwrap_or(u32::MAX);
        self.with_values(Packing::Gaps, codes, &self.nonzero, true, |packed| PackedBytes {
            gap_bits,
            stored: if packed.value_bits == 0 { 0 } else { stored },
            ..packed
        })
    }

    fn n_of_m(&self) -> Option<PackedBytes> {
        let of = |group: u8| {
            let counts = self.nonzero.chunks(usize::from(group));
            let most = counts.map(|group| group.iter().filter(|&&nonzero| nonzero).count()).max();
            let kept = u8::try_from(most.unwrap_or(0).max(1)).ok().filter(|&kept| kept < group)?;
            let (stored, index) = n_of_m::pack(&self.nonzero, kept, group)?;
            let state = |packed| PackedBytes { group, kept, ..packed };
            self.with_values(Packing::NOfM, index, &stored, false, state)
        };
        smallest([2, 4, 8, 16, 32].into_iter().filter_map(of))
    }

    fn blocks(&self) -> Option<PackedBytes> {
        // Longer blocks are whole rows or nothing.
        smallest((2..=64).filter_map(|group| {
            let (stored, index) = blocks::pack(&self.nonzero, group);
            let state = |packed| PackedBytes { group, ..packed };
            self.with_values(Packing::Blocks, index, &stored, false, state)
        }))
    }

    fn kept_columns(&self) -> Option<PackedBytes> {
        let (stored, index) = columns::pack(&self.nonzero, self.columns);
        self.with_values(Packing::Columns, index, &stored, false, |packed| packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(data: &[i8], choice: PackingChoice) -> Option<PackedBytes> {
        let shape = [8, u32::try_from(data.len() / 8).unwrap()].into();
        let constant = Constant::i8(shape, std::vec![1.0], data.to_vec());
        pack(&constant, ChannelAxis::First, choice)
    }

    #[test]
    fn auto_packs_the_smallest_way() {
        let every = |n: usize| -> Vec<i8> {
            (0..800).map(|i| if i % n == 0 { 100 - (i % 7) as i8 } else { 0 }).collect()
        };
        for data in [every(1), every(2), every(3), every(8), every(100), std::vec![0; 800]] {
            let costs =
                PackingChoice::IN_PLACE.map(|choice| packed(&data, choice).map(|p| p.cost()));
            let least = costs[1..].iter().flatten().min().copied();
            assert_eq!(costs[0], least, "{costs:?}");
        }
        let auto = |data: &[i8]| packed(data, PackingChoice::Auto).unwrap();
        assert_eq!(auto(&every(1)).packing, Packing::Dense);
        // Every third of 100 elements a row falls elsewhere in each row.
        assert_eq!(auto(&every(3)).packing, Packing::Gaps);
        assert_eq!(auto(&every(2)).packing, Packing::Columns, "the same columns in each row");
        let short = [0, 99, 0, 0, 5, 6, 0, 99];
        assert_eq!(auto(&short).packing, Packing::Dense, "an index costs more");
    }

    #[test]
    fn few_levels_take_few_bits() {
        let of = |levels: &[i8]| -> (u8, bool) {
            let data: Vec<i8> = (0..800).map(|i| levels[i * 7 % levels.len()]).collect();
            let packed = packed(&data, PackingChoice::Auto).unwrap();
            assert_eq!(packed.packing, Packing::Dense);
            (packed.value_bits, packed.no_zero)
        };
        assert_eq!(of(&[1, -1, -1]), (1, true));
        assert_eq!(of(&[2, -1, 1, -2, 1]), (2, true));
        assert_eq!(of(&[31, 1, -32, 5, 9, 8, 0, 7, 3]), (6, false));
        assert_eq!(of(&[64, 3, -64]), (7, true));
        assert_eq!(of(&[65, 3, -64]), (0, false));
    }

    #[test]
    fn two_of_four_needs_two_of_four() {
        let data: Vec<i8> = (0..800).map(|i| if i % 4 < 2 { 99 } else { 0 }).collect();
        let two = packed(&data, PackingChoice::NOfM).unwrap();
        assert_eq!((two.packing, two.kept), (Packing::NOfM, two.group / 2));
        assert!(packed(&[1; 800], PackingChoice::NOfM).is_none());
    }
}
