//! What becomes of finished sums: pooled, requantized or activated, row by row. Plain loops that LLVM vectorizes for each set.

use super::super::Kernel;
use super::super::lanes::{Set, centred_bounds};
use core::ops::Range;
use penjing_quant::Requantize;

/// 1.5 * 2^23: the low mantissa bits of a sum with it are the rounded integer, so that one addition rounds to nearest even
/// and converts where `as i32` would have to saturate.
const MAGIC: f32 = 12_582_912.0;

/// Pools a row of sums along its columns into another; joins what is there unless it is the window's first row.
pub(crate) struct Pool<'a, T> {
    pub(crate) shape: &'a PoolRow,
    /// `[width][lanes]`.
    pub(crate) row: &'a [T],
    /// `[out_width][lanes]`.
    pub(crate) pooled: &'a mut [T],
    pub(crate) first: bool,
}

/// The columns of a pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolRow {
    /// Input columns of each output column's window; none is empty.
    pub(crate) windows: alloc::vec::Vec<Range<usize>>,
    /// Sums of a column: channels, rounded up to whole tiles.
    pub(crate) lanes: usize,
}

impl<T: Copy + PartialOrd> Kernel for Pool<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let lanes = self.shape.lanes;
        let places = self.pooled.chunks_exact_mut(lanes);
        for (window, place) in self.shape.windows.iter().zip(places) {
            let mut row = self.row[window.start * lanes..window.end * lanes].chunks_exact(lanes);
            if let Some(column) = row.next().filter(|_| self.first) {
                place.copy_from_slice(column);
            } else {
                row = self.row[window.start * lanes..window.end * lanes].chunks_exact(lanes);
            }
            for column in row {
                for (best, &x) in place.iter_mut().zip(column) {
                    *best = if x > *best { x } else { *best };
                }
            }
        }
    }
}

/// Integer sums, `[positions][lanes]`, to codes, `[positions][channels]`. Bit for bit what [`Requantize::apply`] makes of each.
pub(crate) struct ToCodes<'a> {
    pub(crate) sums: &'a [i32],
    pub(crate) lanes: usize,
    /// One a channel.
    pub(crate) multipliers: &'a [f32],
    /// Its own multiplier is not used.
    pub(crate) rule: Requantize,
    pub(crate) out: &'a mut [i8],
}

impl Kernel for ToCodes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let channels = self.multipliers.len();
        let rows = self.sums.chunks_exact(self.lanes).zip(self.out.chunks_exact_mut(channels));
        for (sums, out) in rows {
            for ((&sum, &multiplier), out) in sums.iter().zip(self.multipliers).zip(out) {
                *out = code(sum, multiplier, self.rule);
            }
        }
    }
}

/// Clamping before the rounding equals clamping after it, since the bounds are integers; it keeps the magic sum in its domain.
#[inline(always)]
pub(crate) fn code(sum: i32, multiplier: f32, rule: Requantize) -> i8 {
    let (lo, hi) = centred_bounds(rule);
    let y = sum as f32 * multiplier;
    let y = if y > lo { y } else { lo };
    let y = if y < hi { y } else { hi };
    let bits = (y + MAGIC).to_bits() as i32;
    bits.wrapping_add(rule.zero_point.wrapping_sub(MAGIC.to_bits() as i32)) as i8
}

/// f32 sums, `[positions][lanes]`, to reals, `[positions][channels]`, with ReLU if asked: it takes NaN to 0.
pub(crate) struct ToReals<'a> {
    pub(crate) sums: &'a [f32],
    pub(crate) lanes: usize,
    pub(crate) channels: usize,
    pub(crate) relu: bool,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for ToReals<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let rows = self.sums.chunks_exact(self.lanes).zip(self.out.chunks_exact_mut(self.channels));
        for (sums, out) in rows {
            if self.relu {
                for (out, &sum) in out.iter_mut().zip(sums) {
                    *out = if sum > 0.0 { sum } else { 0.0 };
                }
            } else {
                out.copy_from_slice(&sums[..self.channels]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Isa;

    #[test]
    fn codes_are_quants() {
        let rule = |zero_point, min| Requantize { multiplier: 0.0, zero_point, min, max: 127 };
        let sums: Vec<i32> =
            (-40_000..40_000).step_by(7).chain([1 << 24, -(1 << 24), i32::MAX, i32::MIN]).collect();
        for name in Isa::NAMES {
            let Ok(isa) = Isa::from_name(name) else { continue };
            for m in [1e-9_f32, 0.003_906_25, 0.5, 0.001_234_567, 1.0, 3.7, 1e9] {
                for rule in [rule(0, -128), rule(-128, -128), rule(5, 5), rule(127, -128)] {
                    let want: Vec<i8> = sums
                        .iter()
                        .map(|&sum| Requantize { multiplier: m, ..rule }.apply(sum) as i8)
                        .collect();
                    let (mut out, multipliers) = (vec![0; sums.len()], vec![m; sums.len()]);
                    isa.dispatch(ToCodes {
                        sums: &sums,
                        lanes: sums.len(),
                        multipliers: &multipliers,
                        rule,
                        out: &mut out,
                    });
                    assert_eq!(out, want, "{name} {m} {rule:?}");
                }
            }
        }
    }
}
