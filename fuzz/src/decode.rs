//! A packed constant by docs/format.md, bit by bit, from what flatc's reader gives: the simplest program that could be right. It
//! shares nothing with `penjing_format::packing`.

use penjing_format::write::generated::penjing::{Packing, Weights};

/// The elements of weights that our reader accepted, row-major, f32 and int8 alike; rows are of `columns` elements.
pub(crate) fn elements(weights: Weights<'_>, len: usize, columns: usize) -> Vec<f32> {
    let values = weights.values().map_or(&[][..], |values| values.bytes());
    let index = weights.index().map_or(&[][..], |index| index.bytes());
    let stored = stored(weights, index, len, columns);
    let mut next = 0;
    let mut value = || {
        next += 1;
        value(weights, values, next - 1)
    };
    stored.into_iter().map(|stored| if stored { value() } else { 0.0 }).collect()
}

/// `count` bits from bit `from` on, the first the lowest.
fn bits(bytes: &[u8], from: usize, count: usize) -> usize {
    (0..count).map(|i| usize::from(bytes[(from + i) / 8] >> ((from + i) % 8) & 1) << i).sum()
}

/// Stored element `index`.
fn value(weights: Weights<'_>, bytes: &[u8], index: usize) -> f32 {
    let masked = [Packing::Bitmap, Packing::Groups, Packing::Gaps].contains(&weights.packing());
    let width = usize::from(weights.value_bits());
    if weights.scale().is_none_or(|scale| scale.is_empty()) {
        let bytes = bytes[4 * index..][..4].try_into().expect("four bytes");
        return f32::from_le_bytes(bytes);
    }
    if width == 0 {
        return f32::from(bytes[index] as i8);
    }
    let (code, half) = (bits(bytes, width * index, width) as i16, 1_i16 << (width - 1));
    f32::from(match (weights.no_zero() || masked, code >= half) {
        (false, false) => code,
        (false, true) => code - 2 * half,
        (true, false) => code - half,
        (true, true) => code - half + 1,
    })
}

/// Which elements are stored.
fn stored(weights: Weights<'_>, index: &[u8], len: usize, columns: usize) -> Vec<bool> {
    let bit = |at| bits(index, at, 1) == 1;
    let group = usize::from(weights.group());
    match weights.packing() {
        Packing::Dense => vec![true; len],
        Packing::Bitmap => (0..len).map(bit).collect(),
        Packing::Blocks => (0..len).map(|i| bit(i / group)).collect(),
        Packing::Columns => (0..len).map(|i| bit(i % columns)).collect(),
        Packing::Groups => {
            let groups = len.div_ceil(group);
            let members = groups.div_ceil(8) * 8;
            let mut before = Vec::with_capacity(groups);
            let mut live = 0;
            for group in 0..groups {
                before.push(live);
                live += usize::from(bit(group));
            }
            let member = |i: usize| bit(members + before[i / group] * group + i % group);
            (0..len).map(|i| bit(i / group) && member(i)).collect()
        }
        Packing::NOfM => {
            let (kept, width) = (usize::from(weights.kept()), (group - 1).ilog2() as usize + 1);
            let mut stored = vec![false; len];
            for number in 0..len / group * kept {
                stored[number / kept * group + bits(index, number * width, width)] = true;
            }
            stored
        }
        Packing::Gaps => gaps(weights, index, len),
        other => panic!("ours accepts {other:?}, which is not known here"),
    }
}

fn gaps(weights: Weights<'_>, index: &[u8], len: usize) -> Vec<bool> {
    let size = if weights.scale().is_none_or(|scale| scale.is_empty()) { 4 } else { 1 };
    let whole = weights.values().map_or(0, |values| values.len()) / size;
    let count = if weights.value_bits() == 0 { whole } else { weights.stored() as usize };
    let width = usize::from(weights.gap_bits());
    let (mut stored, mut at, mut code, mut found) = (vec![false; len], 0, 0, 0);
    while found < count {
        let gap = bits(index, code * width, width);
        (code, at) = (code + 1, at + gap);
        if gap != (1 << width) - 1 {
            stored[at] = true;
            (found, at) = (found + 1, at + 1);
        }
    }
    stored
}
