//! From an int32 accumulator to an 8-bit output: one f32 multiplication, one rounding.

use crate::params::clamp;
use crate::round::nearest;

/// `y = round_ties_even(f32(accumulator) * multiplier) + zero_point`, clamped to `[min, max]`.
///
/// The accumulator already holds the bias. The rule equals LiteRT's default (XNNPACK) path in every value tried; it is
/// monotone, so a max-pool may go before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requantize {
    /// `(s_in * s_w) / s_out`, each operation rounded to f32 in this order.
    pub multiplier: f32,
    /// Zero point of the output.
    pub zero_point: i32,
    /// Smallest output code; a fused ReLU raises it to the zero point.
    pub min: i32,
    /// Largest output code.
    pub max: i32,
}

impl Requantize {
    /// The rule for an int8 output. `bounds` are the smallest and the largest code: the type's, or those of a fused activation
    /// (see [`QuantParams::bounds_i8`](crate::QuantParams::bounds_i8)).
    #[must_use]
    pub fn to_i8(s_in: f32, s_w: f32, s_out: f32, zero_point: i32, bounds: [i32; 2]) -> Self {
        let [min, max] = bounds;
        Self { multiplier: (s_in * s_w) / s_out, zero_point, min, max }
    }

    /// Applies the rule. An f32 conversion of the accumulator rounds to nearest even above 2^24, as `cvtdq2ps` does.
    #[inline(always)]
    #[must_use]
    pub fn apply(self, accumulator: i32) -> i32 {
        // Clamping before the rounding equals clamping after it: the bounds are integers. It keeps the magic-number
        // rounding in its domain and the final conversion away from what instruction sets disagree on.
        let lo = (self.min - self.zero_point) as f32;
        let hi = (self.max - self.zero_point) as f32;
        nearest(clamp(accumulator as f32 * self.multiplier, lo, hi)) + self.zero_point
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::QuantParams;
    use std::vec::Vec;

    /// numerics.md to the letter, in the standard library's words.
    fn stated(r: Requantize, accumulator: i32) -> i32 {
        let product = accumulator as f32 * r.multiplier;
        let rounded = product.clamp(i32::MIN as f32, 2_147_483_520.0).round_ties_even() as i64;
        (rounded + i64::from(r.zero_point)).clamp(i64::from(r.min), i64::from(r.max)) as i32
    }

    #[test]
    fn equals_the_rule_as_stated() {
        let mut accumulators: Vec<i32> = (-70_000..70_000).step_by(7).collect();
        accumulators.extend([i32::MIN, i32::MIN + 1, i32::MAX, i32::MAX - 1, 0, 1, -1]);
        for m in [1e-9_f32, 0.003_906_25, 0.5, 0.001_234_567, 1.0, 3.7, 1e9] {
            for (zero_point, min, max) in
                [(0, -128, 127), (-128, -128, 127), (5, 5, 127), (127, -128, 127)]
            {
                let r = Requantize { multiplier: m, zero_point, min, max };
                for &a in &accumulators {
                    assert_eq!(r.apply(a), stated(r, a), "{a} by {r:?}");
                }
            }
        }
    }

    #[test]
    fn ties_go_to_even() {
        let r = Requantize { multiplier: 0.5, zero_point: 0, min: -128, max: 127 };
        assert_eq!([1, 3, 5, -1, -3].map(|a| r.apply(a)), [0, 2, 2, 0, -2]);
    }

    #[test]
    fn relu_clamps_at_the_zero_point() {
        let out = QuantParams { scale: 0.01, zero_point: -7 };
        let r = Requantize::to_i8(0.1, 0.1, 0.01, -7, out.bounds_i8(0.0, f32::INFINITY));
        assert_eq!(r.apply(-1000), -7);
        assert_eq!(r.apply(3), -4);
    }
}
