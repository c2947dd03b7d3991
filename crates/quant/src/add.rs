//! The sum of two codes of different grids, in integers alone.

use crate::{QuantParams, round_ties_even};

/// `y = (((a - zero_a) * m_a + (b - zero_b) * m_b + 2^(shift - 1)) >> shift) + zero_point`, clamped to `[min, max]`.
///
/// With `r = s_in / s_out` in f32 for each operand, `shift = 20 - floor(log2(max(r_a, r_b)))` and `m = round(r * 2^shift)`:
/// the larger multiplier has 21 bits, so that nothing leaves int32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add {
    /// `m_a` and `m_b`.
    pub multipliers: [i32; 2],
    /// What zero points and rounding add before the shift.
    pub bias: i32,
    /// 1 to 30.
    pub shift: u32,
    /// Zero point of the result.
    pub zero_point: i32,
    /// Smallest code of the result; a fused activation raises it.
    pub min: i32,
    /// Largest code of the result.
    pub max: i32,
}

impl Add {
    /// The rule for int8 operands of grids `a` and `b`. `bounds` are the smallest and the largest code of the result.
    ///
    /// A ratio of scales beyond 2^19 counts as 2^19; one whose operand cannot move the result by half a step stays at 30 bits
    /// of shift, where it does not either.
    #[must_use]
    pub fn new(a: QuantParams, b: QuantParams, out: QuantParams, bounds: [i32; 2]) -> Self {
        let ratios = [a, b].map(|operand| (operand.scale / out.scale).min(524_288.0));
        let largest = ratios[0].max(ratios[1]);
        let exponent = (largest.to_bits() >> 23) as i32 - 127;
        let shift = (20 - exponent).clamp(1, 30) as u32;
        let unit = (1_u32 << shift) as f32;
        let multipliers = ratios.map(|ratio| round_ties_even(ratio * unit) as i32);
        let zeros = multipliers[0] * a.zero_point + multipliers[1] * b.zero_point;
        let [min, max] = bounds;
        let bias = (1 << (shift - 1)) - zeros;
        Self { multipliers, bias, shift, zero_point: out.zero_point, min, max }
    }

    /// Applies the rule to two int8 codes.
    #[inline(always)]
    #[must_use]
    pub fn apply(self, a: i8, b: i8) -> i8 {
        self.saturate(a, b).max(self.min as i8).min(self.max as i8)
    }

    /// As [`apply`](Self::apply) where [`is_unbounded`](Self::is_unbounded): vectors saturate as they narrow.
    #[inline(always)]
    #[must_use]
    pub fn saturate(self, a: i8, b: i8) -> i8 {
        let [m_a, m_b] = self.multipliers;
        let sum = i32::from(a) * m_a + i32::from(b) * m_b + self.bias;
        ((sum >> self.shift) + self.zero_point).clamp(-128, 127) as i8
    }

    /// Whether the bounds are int8's own, as those of a ReLU on its usual grid are too.
    #[must_use]
    pub fn is_unbounded(self) -> bool {
        self.min <= -128 && self.max >= 127
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn grid(scale: f32, zero_point: i32) -> QuantParams {
        QuantParams { scale, zero_point }
    }

    #[test]
    fn nothing_leaves_int32_whatever_the_scales() {
        for scale in [f32::MIN_POSITIVE, 1e-20, 1e-3, 0.7, 1.0, 300.0, 1e20, f32::MAX] {
            for (z_a, z_b) in [(-128, -128), (127, 127), (-128, 127), (0, 5)] {
                let rule = Add::new(grid(scale, z_a), grid(1.0, z_b), grid(1.0, 3), [-128, 127]);
                for (a, b) in [(-128, -128), (127, 127), (-128, 127), (0, 0)] {
                    // Overflow would panic in a test.
                    let y = i32::from(rule.apply(a, b));
                    let real = f64::from(scale) * f64::from(i32::from(a) - z_a)
                        + f64::from(i32::from(b) - z_b)
                        + 3.0;
                    assert!((f64::from(y) - real.clamp(-128.0, 127.0)).abs() <= 0.51, "{rule:?}");
                }
            }
        }
    }

    #[test]
    fn operands_that_move_nothing() {
        let rule = Add::new(grid(1e-30, 9), grid(1e-25, -7), grid(1.0, 4), [-128, 127]);
        assert_eq!((rule.apply(-128, 127), rule.apply(127, -128)), (4, 4));
    }

    #[test]
    fn the_activation_holds() {
        let out = grid(0.05, -8);
        let rule = Add::new(grid(0.1, 0), grid(0.1, 0), out, out.bounds_i8(0.0, 6.0));
        assert_eq!((rule.apply(-3, -4), rule.apply(1, 2), rule.apply(100, 100)), (-8, -2, 112));
    }
}
