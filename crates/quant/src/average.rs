//! Means of codes: of a pool's window, on the same grid, and over height and width, to any grid.

use crate::QuantParams;
use crate::params::clamp;
use crate::round::nearest;

/// The mean of a pool's window: the sum of the codes over their count, rounded half away from zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    reciprocal: f64,
}

impl Average {
    /// Of `count` codes, at least 1.
    #[must_use]
    pub fn new(count: u32) -> Self {
        Self { reciprocal: 1.0 / f64::from(count.max(1)) }
    }

    /// Applies the rule to a sum of 8-bit codes.
    #[inline(always)]
    #[must_use]
    pub fn apply(self, sum: i32) -> i32 {
        /// 1.5 * 2^52: adding it rounds to the nearest integer, which is then in the low bits.
        const MAGIC: f64 = 6_755_399_441_055_744.0;
        // A quarter lifts a tie by 1 / (4 count), and nothing else to one: its neighbours are 1 / (2 count) from a half or
        // more. That is far above f64's error, so that the reciprocal does for a division.
        let real = f64::from(sum);
        let magnitude = (real.abs() + 0.25) * self.reciprocal;
        (magnitude.copysign(real) + MAGIC).to_bits() as i32
    }
}

/// `y = round_ties_even(f32(sum) * multiplier + bias)`, clamped to `[min, max]`, where `sum` is that of the raw codes and the
/// addition is rounded to f32 too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// `(1 / count) * (s_in / s_out)`, each operation rounded to f32.
    pub multiplier: f32,
    /// `zero_out - (zero_in * count) * multiplier`, likewise.
    pub bias: f32,
    /// Smallest code of the result.
    pub min: i32,
    /// Largest code of the result.
    pub max: i32,
}

impl Mean {
    /// Of `count` codes on grid `input`, to grid `output` and codes within `bounds`.
    #[must_use]
    pub fn new(count: u32, input: QuantParams, output: QuantParams, bounds: [i32; 2]) -> Self {
        let count = count.max(1) as f32;
        let multiplier = (1.0 / count) * (input.scale / output.scale);
        let bias = output.zero_point as f32 - (input.zero_point as f32 * count) * multiplier;
        let [min, max] = bounds;
        Self { multiplier, bias, min, max }
    }

    /// Applies the rule to a sum of raw codes.
    #[inline(always)]
    #[must_use]
    pub fn apply(self, sum: i32) -> i32 {
        let y = sum as f32 * self.multiplier + self.bias;
        nearest(clamp(y, self.min as f32, self.max as f32))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn averages_round_half_away_from_zero() {
        for count in [1, 2, 3, 4, 6, 7, 125, 8_191, 1 << 20, (1 << 23) + 1] {
            let rule = Average::new(count);
            let n = i64::from(count);
            for code in [-128_i64, -127, -3, -1, 0, 1, 2, 126, 127, 254, 255] {
                for near in [-(n / 2) - 1, -(n / 2), 1 - n / 2, -1, 0, 1, n / 2, n / 2 + 1] {
                    let sum = code * n + near;
                    let Ok(small) = i32::try_from(sum) else { continue };
                    let magnitude = (2 * sum.abs() + n) / (2 * n);
                    assert_eq!(i64::from(rule.apply(small)), magnitude * sum.signum(), "{sum}/{n}");
                }
            }
        }
    }

    #[test]
    fn means_move_between_grids() {
        let (input, output) = (
            QuantParams { scale: 0.1, zero_point: -3 },
            QuantParams { scale: 0.05, zero_point: 10 },
        );
        let rule = Mean::new(4, input, output, [-128, 127]);
        // Codes less their zero point: 2 + 4 + 6 + 8; the mean is 0.5.
        assert_eq!(rule.apply(20 - 4 * 3), 20);
        assert_eq!((rule.apply(i32::MAX), rule.apply(i32::MIN)), (127, -128));
    }
}
