//! What schemas/model.fbs says that weights hold, read off flatc's accessors bit by bit and without a thought for speed: an
//! answer that owes nothing to the reader under test. Not a test itself.

use penjing_format::write::generated::penjing as flatc;

/// Bit `at` of a stream, the first in the lowest bit of the first byte.
fn bit(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at / 8] >> (at % 8) & 1)
}

/// `count` bits from bit `from` on.
fn number(bytes: &[u8], from: usize, count: usize) -> usize {
    (0..count).map(|at| bit(bytes, from + at) << at).sum()
}

/// Which elements are stored, of so many in rows of `columns`.
fn places(weights: flatc::Weights<'_>, elements: usize, columns: usize) -> Vec<usize> {
    let index = weights.index().map_or(&[][..], |index| index.bytes());
    let group = usize::from(weights.group());
    let all = 0..elements;
    match weights.packing() {
        flatc::Packing::Dense => all.collect(),
        flatc::Packing::Bitmap => all.filter(|&at| bit(index, at) == 1).collect(),
        flatc::Packing::Blocks => all.filter(|&at| bit(index, at / group) == 1).collect(),
        // Of billions of elements, if nothing is stored.
        flatc::Packing::Columns if index.iter().all(|&byte| byte == 0) => Vec::new(),
        flatc::Packing::Columns => all.filter(|&at| bit(index, at % columns) == 1).collect(),
        flatc::Packing::Groups => {
            let members = &index[elements.div_ceil(group).div_ceil(8)..];
            let live = |at: usize| (0..at).map(|group| bit(index, group)).sum::<usize>();
            let stored = |&at: &usize| {
                let own = at / group;
                bit(index, own) == 1 && bit(members, live(own) * group + at % group) == 1
            };
            all.filter(stored).collect()
        }
        flatc::Packing::NOfM => {
            let kept = usize::from(weights.kept());
            let bits = (group - 1).ilog2() as usize + 1;
            let stored = 0..elements / group * kept;
            stored.map(|at| at / kept * group + number(index, at * bits, bits)).collect()
        }
        flatc::Packing::Gaps => {
            let (bits, mut from, mut next) = (usize::from(weights.gap_bits()), 0, 0);
            let values = weights.values().map_or(0, |values| values.len());
            let stored = match (weights.value_bits(), weights.scale().map_or(0, |s| s.len())) {
                (0, 0) => values / 4,
                (0, _) => values,
                _ => weights.stored() as usize,
            };
            let mut places = Vec::new();
            while places.len() < stored {
                let code = number(index, from, bits);
                from += bits;
                next += code;
                if code != (1 << bits) - 1 {
                    places.push(next);
                    next += 1;
                }
            }
            places
        }
        other => panic!("{other:?} is not read"),
    }
}

/// Stored element `index`.
fn value(weights: flatc::Weights<'_>, index: usize) -> f32 {
    let values = weights.values().map_or(&[][..], |values| values.bytes());
    let bits = usize::from(weights.value_bits());
    if weights.scale().is_none_or(|scale| scale.is_empty()) {
        return f32::from_le_bytes(values[4 * index..4 * index + 4].try_into().unwrap());
    }
    if bits == 0 {
        return f32::from(values[index] as i8);
    }
    let code = number(values, index * bits, bits) as i32;
    let half = 1 << (bits - 1);
    let masked = [flatc::Packing::Bitmap, flatc::Packing::Groups, flatc::Packing::Gaps];
    let level = match weights.no_zero() || masked.contains(&weights.packing()) {
        true if code < half => code - half,
        true => code - half + 1,
        false if code < half => code,
        false => code - 2 * half,
    };
    level as f32
}

/// The elements that are not zero, and where they are.
pub(crate) fn nonzero(
    weights: flatc::Weights<'_>,
    elements: usize,
    columns: usize,
) -> Vec<(usize, f32)> {
    let places = places(weights, elements, columns).into_iter().enumerate();
    let pairs = places.map(|(index, place)| (place, value(weights, index)));
    pairs.filter(|&(_, value)| value != 0.0).collect()
}
