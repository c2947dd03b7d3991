//! Kernels for machines with little room: the inner loops of sessions in place, in plain Rust. `cortex_m` has the same by the
//! DSP instructions of a Cortex-M4 and later. Nothing here panics, whatever the lengths.

#[cfg(all(penjing_dsp, penjing_fpu))]
pub(crate) use super::cortex_m::requantize;
#[cfg(penjing_dsp)]
pub(crate) use super::cortex_m::{Patch, columns, fours};
#[cfg(not(penjing_dsp))]
use penjing_format::packing::stream::Fours;
#[cfg(not(all(penjing_dsp, penjing_fpu)))]
use penjing_quant::Requantize;

/// What a walk over groups of four yields.
pub(crate) struct Sum {
    /// Of products.
    pub(crate) sum: i32,
    /// Values that it passed.
    pub(crate) values: u32,
    /// Groups with members that it passed.
    pub(crate) groups: u32,
}

/// Elements of a patch that belong to four taps: four columns each.
pub(crate) const QUAD: usize = 16;

/// Where a tap's element for column 0 lies in a patch; those of columns 1 to 3 lie 2, 4 and 6 further. Taps 0 and 2 of four are
/// neighbours, and 1 and 3, since that is how SXTB16 splits a word of weights.
#[inline(always)]
pub(crate) const fn place(tap: usize) -> usize {
    (tap / 4).wrapping_mul(QUAD).wrapping_add((tap & 1).wrapping_mul(8)).wrapping_add((tap & 2) / 2)
}

/// `bias + sum w * x` for four columns of a patch. Weights are int8 in bytes; zeros take no multiplication.
#[cfg(not(penjing_dsp))]
#[inline(never)]
pub(crate) fn columns(row: &[u8], patch: &[i16], bias: i32) -> [i32; 4] {
    let (patches, _) = patch.as_chunks::<QUAD>();
    let (quads, rest) = row.as_chunks::<4>();
    let (mut t, mut u, mut v, mut w) = (bias, bias, bias, bias);
    // Written out: compilers that optimize for size leave loops over so little as they are.
    macro_rules! add {
        ($weight:ident, $($sum:ident += $x:ident),*) => {
            if $weight != 0 {
                let weight = i32::from($weight.cast_signed());
                $($sum = $sum.wrapping_add(weight.wrapping_mul(i32::from($x)));)*
            }
        };
    }
    let mut last = [0; 4];
    last.iter_mut().zip(rest).for_each(|(last, &weight)| *last = weight);
    let tail = core::iter::once(&last).filter(|_| !rest.is_empty());
    for (&[first, second, third, fourth], patch) in quads.iter().chain(tail).zip(patches) {
        let &[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = patch;
        add!(first, t += a, u += c, v += e, w += g);
        add!(second, t += i, u += k, v += m, w += o);
        add!(third, t += b, u += d, v += f, w += h);
        add!(fourth, t += j, u += l, v += n, w += p);
    }
    [t, u, v, w]
}

/// Four bytes of each of four rows, `stride` apart, as they lie in words.
#[inline(always)]
pub(crate) fn rows(bytes: &[u8], stride: usize) -> Option<[u32; 4]> {
    let second = bytes.get(stride..)?;
    let third = second.get(stride..)?;
    let fourth = third.get(stride..)?;
    let word = |bytes: &[u8]| bytes.first_chunk().map(|&four| u32::from_ne_bytes(four));
    Some([word(bytes)?, word(second)?, word(third)?, word(fourth)?])
}

/// Whether all bytes of four words are this one. Not `==` of arrays, which is a call.
#[inline(always)]
pub(crate) fn is_all(byte: u8, [a, b, c, d]: [u32; 4]) -> bool {
    let same = u32::from_ne_bytes([byte; 4]);
    ((a ^ same) | (b ^ same) | (c ^ same) | (d ^ same)) == 0
}

/// Four rows of four elements: what a pooled position of a convolution of 3 x 3 sees.
#[cfg(not(penjing_dsp))]
pub(crate) struct Patch([[i32; 4]; 4]);

#[cfg(not(penjing_dsp))]
impl Patch {
    /// Of zeros.
    pub(crate) const EMPTY: Self = Self([[0; 4]; 4]);

    /// Reads `(byte ^ flip) - zero` from the first of `bytes` on, rows being `stride` apart. False, and nothing read, where all
    /// are 0; `None` where there are too few.
    #[inline(always)]
    pub(crate) fn load(
        &mut self,
        bytes: &[u8],
        stride: usize,
        flip: u8,
        zero: i32,
    ) -> Option<bool> {
        let rows = rows(bytes, stride)?;
        if is_all(zero as u8 ^ flip, rows) {
            return Some(false);
        }
        for (elements, word) in self.0.iter_mut().zip(rows) {
            for (element, byte) in elements.iter_mut().zip(word.to_ne_bytes()) {
                *element = i32::from(byte ^ flip).wrapping_sub(zero);
            }
        }
        Some(true)
    }

    /// The largest of the four sums `bias + sum w * x` of a 2 x 2 window, given 3 x 3 weights.
    #[inline(always)]
    pub(crate) fn largest(&self, row: &[u8; 9], bias: i32) -> i32 {
        let &[a, b, c, d, e, f, g, h, i] = row;
        let [first, second, third, fourth] = &self.0;
        let (mut p, mut q, mut r, mut s) = (bias, bias, bias, bias);
        // Written out: compilers that optimize for size leave loops over so little as they are.
        macro_rules! add {
            ($weight:ident, $above:ident, $below:ident, $left:literal, $right:literal) => {
                if $weight != 0 {
                    let weight = i32::from($weight.cast_signed());
                    p = p.wrapping_add(weight.wrapping_mul($above[$left]));
                    q = q.wrapping_add(weight.wrapping_mul($above[$right]));
                    r = r.wrapping_add(weight.wrapping_mul($below[$left]));
                    s = s.wrapping_add(weight.wrapping_mul($below[$right]));
                }
            };
        }
        add!(a, first, second, 0, 1);
        add!(b, first, second, 1, 2);
        add!(c, first, second, 2, 3);
        add!(d, second, third, 0, 1);
        add!(e, second, third, 1, 2);
        add!(f, second, third, 2, 3);
        add!(g, third, fourth, 0, 1);
        add!(h, third, fourth, 1, 2);
        add!(i, third, fourth, 2, 3);
        p.max(q).max(r.max(s))
    }
}

/// `clamp(round_ties_even(sum * multiplier))`.
#[cfg(not(all(penjing_dsp, penjing_fpu)))]
#[inline(always)]
pub(crate) fn requantize(sum: i32, multiplier: f32, [min, max]: [i32; 2]) -> i32 {
    Requantize { multiplier, zero_point: 0, min, max }.apply(sum)
}

/// The sum of the products of groups' members with the elements of `x` at their places; `None` where `x` is too short.
#[cfg(not(penjing_dsp))]
#[inline(always)]
pub(crate) fn fours(groups: &Fours<'_>, x: &[i16]) -> Option<Sum> {
    let mut values = groups.values.iter();
    let before = values.len();
    let (words, _) = groups.members.as_chunks::<4>();
    let mut words = words.iter().map(|&word| u32::from_le_bytes(word));
    let (mut live, mut sum) = (groups.live, 0_i32);
    let (mut members, mut left) = (words.next()?, 8_u32);
    if groups.odd {
        (members, left) = (members.wrapping_shr(4), 7);
    }
    let (fours, _) = x.as_chunks::<4>();
    while live != 0 {
        if left == 0 {
            (members, left) = (words.next()?, 8);
        }
        let &[a, b, c, d] = fours.get(live.trailing_zeros() as usize)?;
        // Written out for compilers that optimize for size.
        macro_rules! add {
            ($bit:literal, $x:ident) => {
                if members & $bit != 0 {
                    let weight = i32::from(values.next()?.cast_signed());
                    sum = sum.wrapping_add(weight.wrapping_mul(i32::from($x)));
                }
            };
        }
        add!(1, a);
        add!(2, b);
        add!(4, c);
        add!(8, d);
        (members, left) = (members.wrapping_shr(4), left.wrapping_sub(1));
        live &= live.wrapping_sub(1);
    }
    let values = before.wrapping_sub(values.len()) as u32;
    Some(Sum { sum, values, groups: groups.live.count_ones() })
}
