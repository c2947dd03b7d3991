//! Grids of reals that are quantized as they come: unsigned codes over the range of one row or one image. Weights and biases are
//! `weights`'s, trained ranges are `params`'s.

use crate::round_ties_even;

/// How the reals of one range become codes from 0 to 255: `real = inverse * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamic {
    /// Steps of a real unit.
    pub scale: f32,
    /// `1 / scale`, rounded: the size of a step.
    pub inverse: f32,
    /// The code that stands for 0.
    pub zero_point: i32,
}

impl Dynamic {
    /// Of reals from `min` to `max`, either of which may lie on the other side of 0.
    ///
    /// A range of 0, or so small that its scale would be infinite, has one code: every real stands for 0. A range that is
    /// infinite or NaN has steps that are.
    #[must_use]
    pub fn of_range(min: f32, max: f32) -> Self {
        let (min, max) = (smaller(min, 0.0), larger(max, 0.0));
        let scale = 255.0 / (max - min);
        if scale == f32::INFINITY {
            return Self { scale: 0.0, inverse: 1.0, zero_point: 0 };
        }
        let zero = -min * scale;
        // An infinite range makes it NaN.
        let zero_point = if zero > 0.0 { round_ties_even(zero) as i32 } else { 0 };
        Self { scale, inverse: 1.0 / scale, zero_point }
    }

    /// The range of some reals, 0 among them, NaN not looked at.
    #[inline(always)]
    #[must_use]
    pub fn of(reals: &[f32]) -> Self {
        // So many that a vector of any set has one a lane.
        let mut ends = ([0.0_f32; 16], [0.0_f32; 16]);
        let (blocks, rest) = reals.as_chunks::<16>();
        for block in blocks {
            for ((lo, hi), &x) in ends.0.iter_mut().zip(&mut ends.1).zip(block) {
                (*lo, *hi) = (smaller(x, *lo), larger(x, *hi));
            }
        }
        // By halves: one after the other, sixteen comparisons would wait for each other.
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                ends.0[lane] = smaller(ends.0[lane + half], ends.0[lane]);
                ends.1[lane] = larger(ends.1[lane + half], ends.1[lane]);
            }
        }
        let min = rest.iter().fold(ends.0[0], |lo, &x| smaller(x, lo));
        Self::of_range(min, rest.iter().fold(ends.1[0], |hi, &x| larger(x, hi)))
    }

    /// `round_ties_even(x * scale) + zero_point`, clamped; NaN maps to 0.
    #[inline(always)]
    #[must_use]
    pub fn quantize(self, x: f32) -> u8 {
        let (lo, hi) = ((-self.zero_point) as f32, (255 - self.zero_point) as f32);
        // The bounds are integers: clamping first equals clamping last.
        let steps = smaller(larger(x * self.scale, lo), hi);
        // `round_ties_even` leaves the integer in the low bits of its sum, where it is had without a conversion that minds NaN.
        let rounded = (steps + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits());
        (rounded as i32).wrapping_add(self.zero_point) as u8
    }
}

/// 1.5 * 2^23: beside it an f32 holds integers alone.
const MAGIC: f32 = 12_582_912.0;

/// `b` where `a` is NaN.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// `b` where `a` is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_span_the_range_and_0() {
        let grid = Dynamic::of(&[-1.0, 0.5, 4.0, 0.25]);
        assert_eq!(grid, Dynamic { scale: 51.0, inverse: 1.0 / 51.0, zero_point: 51 });
        let codes = [-1.0, 0.0, 0.5, 1.0, 1.5, 4.0].map(|x| grid.quantize(x));
        assert_eq!(codes, [0, 51, 77, 102, 127, 255]);
        assert_eq!([f32::NAN, -9.0, 9.0].map(|x| grid.quantize(x)), [0, 0, 255]);
        // All on one side of 0, which has a code all the same.
        assert_eq!(Dynamic::of(&[3.0, 2.55]).zero_point, 0);
        assert_eq!(Dynamic::of(&[-3.0, -2.55]).zero_point, 255);
        assert_eq!(Dynamic::of(&[2.0, 255.0]).quantize(2.5), 2);
    }

    #[test]
    fn the_range_is_that_of_all_reals() {
        for at in 0..40 {
            let mut reals = [0.125_f32; 40];
            (reals[at], reals[39 - at]) = (-7.5, 18.0);
            assert_eq!(Dynamic::of(&reals), Dynamic::of_range(-7.5, 18.0), "{at}");
        }
    }

    #[test]
    fn ranges_without_steps_have_one_code() {
        for reals in [&[][..], &[0.0, -0.0], &[1e-40, -1e-41], &[f32::NAN]] {
            let grid = Dynamic::of(reals);
            assert_eq!((grid.inverse, grid.zero_point), (1.0, 0), "{reals:?}");
            assert!(reals.iter().all(|&x| grid.quantize(x) == 0), "{reals:?}");
        }
        let endless = Dynamic::of(&[1.0, f32::INFINITY]);
        assert_eq!((endless.scale, endless.inverse, endless.zero_point), (0.0, f32::INFINITY, 0));
        let grid = Dynamic::of(&[f32::NEG_INFINITY, 1.0]);
        assert_eq!((grid.quantize(1.0), grid.quantize(f32::NEG_INFINITY)), (0, 0));
    }
}
