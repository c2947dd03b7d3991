//! Kernels for machines with little room: the inner loops of sessions in place, in plain Rust. `cortex_m` has the same by the
//! DSP instructions of a Cortex-M4 and later. Nothing here panics, whatever the lengths.

use penjing_quant::Requantize;

/// Elements of a patch that belong to four taps: four columns each.
pub(crate) const QUAD: usize = 16;

/// Where a tap's element for column 0 lies in a patch; those of columns 1 to 3 lie 2, 4 and 6 further. Taps 0 and 2 of four are
/// neighbours, and 1 and 3, since that is how SXTB16 splits a word of weights.
#[inline(always)]
pub(crate) const fn place(tap: usize) -> usize {
    (tap / 4).wrapping_mul(QUAD).wrapping_add((tap & 1).wrapping_mul(8)).wrapping_add((tap & 2) / 2)
}

/// `bias + sum w * x` for four columns of a patch. Weights are int8 in bytes; zeros take no multiplication.
#[inline(never)]
pub(crate) fn columns(row: &[u8], patch: &[i16], bias: i32) -> [i32; 4] {
    let mut sums = [bias; 4];
    let (patches, _) = patch.as_chunks::<QUAD>();
    for (taps, patch) in row.chunks(4).zip(patches) {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *patch;
        let columns = [[a, c, e, g], [i, k, m, o], [b, d, f, h], [j, l, n, p]];
        for (&weight, column) in taps.iter().zip(columns) {
            if weight != 0 {
                let weight = i32::from(weight.cast_signed());
                for (sum, x) in sums.iter_mut().zip(column) {
                    *sum = sum.wrapping_add(weight.wrapping_mul(i32::from(x)));
                }
            }
        }
    }
    sums
}

/// Four rows of four elements: what a pooled position of a convolution of 3 x 3 sees.
pub(crate) struct Patch([[i32; 4]; 4]);

impl Patch {
    /// From the first of `bytes`, rows being `stride` apart: `(byte ^ flip) - zero`. The inner `None`: all are 0; the outer: there
    /// are too few.
    #[inline(always)]
    pub(crate) fn load(bytes: &[u8], stride: usize, flip: u8, zero: i32) -> Option<Option<Self>> {
        let background = u32::from_ne_bytes([(zero as u8) ^ flip; 4]);
        let (mut patch, mut rest, mut differ) = ([[0; 4]; 4], bytes, 0);
        for (index, row) in patch.iter_mut().enumerate() {
            if index > 0 {
                rest = rest.get(stride..)?;
            }
            let four = *rest.first_chunk::<4>()?;
            differ |= u32::from_ne_bytes(four) ^ background;
            *row = four.map(|byte| i32::from(byte ^ flip).wrapping_sub(zero));
        }
        Some((differ != 0).then_some(Self(patch)))
    }

    /// The largest of the four sums `bias + sum w * x` of a 2 x 2 window, given 3 x 3 weights.
    #[inline(always)]
    pub(crate) fn largest(&self, row: &[u8], bias: i32) -> i32 {
        let Self([first, second, third, fourth]) = self;
        let Some(&[a, b, c, d, e, f, g, h, i]) = row.first_chunk::<9>() else { return bias };
        let mut sums = [bias; 4];
        let mut add = |weight: u8, [p, q]: [i32; 2], [r, s]: [i32; 2]| {
            if weight != 0 {
                let weight = i32::from(weight.cast_signed());
                for (sum, x) in sums.iter_mut().zip([p, q, r, s]) {
                    *sum = sum.wrapping_add(weight.wrapping_mul(x));
                }
            }
        };
        for (weights, above, below) in
            [([a, b, c], first, second), ([d, e, f], second, third), ([g, h, i], third, fourth)]
        {
            let ([x, y, z], &[p, q, r, s], &[t, u, v, w]) = (weights, above, below);
            add(x, [p, q], [t, u]);
            add(y, [q, r], [u, v]);
            add(z, [r, s], [v, w]);
        }
        let [p, q, r, s] = sums;
        p.max(q).max(r.max(s))
    }
}

/// `clamp(round_ties_even(sum * multiplier))`.
#[inline(always)]
pub(crate) fn requantize(sum: i32, multiplier: f32, [min, max]: [i32; 2]) -> i32 {
    Requantize { multiplier, zero_point: 0, min, max }.apply(sum)
}
