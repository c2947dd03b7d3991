//! What becomes of finished sums: pooled, requantized or activated, row by row.
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::lanes::{Lanes, MAX_LANES, Reals, Set, centred_bounds};
use super::super::memory::Plain;
use core::ops::Range;
use penjing_quant::Requantize;

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
            let mut columns = window.clone();
            if self.first
                && let Some(column) = columns.next()
            {
                place.copy_from_slice(&self.row[column * lanes..][..lanes]);
            }
            for column in self.row[columns.start * lanes..columns.end * lanes].chunks_exact(lanes) {
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
    pub(crate) channels: usize,
    /// One a channel, and whatever up to a whole vector.
    pub(crate) multipliers: &'a [f32],
    /// Its own multiplier is not used.
    pub(crate) rule: Requantize,
    pub(crate) out: &'a mut [i8],
}

impl Kernel for ToCodes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        let reals = set.reals();
        // Clamping before the rounding equals clamping after it, since the bounds are integers.
        let (lo, hi) = centred_bounds(self.rule);
        let (lo, hi) = (reals.splat_real(lo), reals.splat_real(hi));
        let padded = self.channels.next_multiple_of(<S::Reals as Lanes>::LANES);
        assert!(self.lanes >= padded && self.multipliers.len() >= padded, "lanes");
        let (sums, multipliers) = (self.sums.as_ptr(), self.multipliers.as_ptr());
        assert!(self.sums.len() >= self.out.len() / self.channels * self.lanes, "sums");
        // SAFETY: `padded` sums a position and multipliers, as asserted.
        let write = |position: usize, channel: usize, to: *mut i8| unsafe {
            let multiplier = reals.operand(multipliers.add(channel).cast());
            let sums = set.reals_of(sums.add(position * self.lanes + channel));
            let y = reals.min(reals.max(reals.mul(sums, multiplier), lo), hi);
            set.store_i8(y, self.rule.zero_point, to);
        };
        vectors(<S::Reals as Lanes>::LANES, self.channels, self.out, write);
    }
}

/// f32 sums, `[positions][lanes]`, to reals, `[positions][channels]`, clamped if asked: that takes NaN to the lower bound.
pub(crate) struct ToReals<'a> {
    pub(crate) sums: &'a [f32],
    pub(crate) lanes: usize,
    pub(crate) channels: usize,
    pub(crate) clamp: Option<[f32; 2]>,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for ToReals<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        let reals = set.reals();
        let vector = <S::Reals as Lanes>::LANES;
        assert!(self.lanes >= self.channels.next_multiple_of(vector), "lanes");
        assert!(self.sums.len() >= self.out.len() / self.channels * self.lanes, "sums");
        let sums = self.sums.as_ptr();
        let clamp = self.clamp.map(|bounds| bounds.map(|bound| reals.splat_real(bound)));
        // SAFETY: whole vectors of sums, as asserted.
        let write = |position: usize, channel: usize, to: *mut f32| unsafe {
            let y = reals.operand(sums.add(position * self.lanes + channel).cast());
            let y = match clamp {
                Some([lo, hi]) => reals.min(reals.max(y, lo), hi),
                None => y,
            };
            reals.store(y, to);
        };
        vectors(vector, self.channels, self.out, write);
    }
}

/// Has `write` put every vector of every position's channels, given by position and first channel, to its place, where it may
/// write a whole vector.
#[inline(always)]
fn vectors<T: Plain>(
    vector: usize,
    channels: usize,
    out: &mut [T],
    write: impl Fn(usize, usize, *mut T),
) {
    let whole = channels / vector * vector;
    for position in 0..out.len() / channels {
        let row = &mut out[position * channels..];
        for channel in (0..whole).step_by(vector) {
            write(position, channel, &raw mut row[channel]);
        }
        let part = channels - whole;
        if part == 0 {
            continue;
        }
        let row = &mut row[whole..];
        if row.len() >= vector {
            // What of it is past this position's channels, the next position overwrites.
            write(position, whole, row.as_mut_ptr());
        } else {
            let mut last = [row[0]; MAX_LANES];
            write(position, whole, last.as_mut_ptr());
            row[..part].copy_from_slice(&last[..part]);
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
        // Three channels of 16 lanes, so that vectors end within a position and at the end.
        let extremes = [1 << 24, -(1 << 24), i32::MAX, i32::MIN];
        let sums: Vec<i32> = (-40_000..40_000).step_by(7).chain(extremes).collect();
        let rows: Vec<i32> =
            sums.iter().flat_map(|&sum| [[sum; 3].as_slice(), &[0; 13]].concat()).collect();
        for name in Isa::NAMES {
            let Ok(isa) = Isa::from_name(name) else { continue };
            for m in [1e-9_f32, 0.003_906_25, 0.5, 0.001_234_567, 1.0, 3.7, 1e9] {
                for rule in [rule(0, -128), rule(-128, -128), rule(5, 5), rule(127, -128)] {
                    let code = |&sum: &i32| Requantize { multiplier: m, ..rule }.apply(sum) as i8;
                    let want: Vec<i8> = sums.iter().flat_map(|sum| [code(sum); 3]).collect();
                    let mut out = vec![0; want.len()];
                    isa.dispatch(ToCodes {
                        sums: &rows,
                        lanes: 16,
                        channels: 3,
                        multipliers: &[m; 16],
                        rule,
                        out: &mut out,
                    });
                    assert_eq!(out, want, "{name} {m} {rule:?}");
                }
            }
        }
    }
}
