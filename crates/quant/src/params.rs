//! Per-tensor affine quantization of activations. Weights are symmetric and live in `weights`.

use crate::round::{nearest, round_ties_even};

/// Scale and zero point of one tensor: `real = scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantParams {
    /// Size of one step, in real units; finite and positive.
    pub scale: f32,
    /// The integer that stands for real 0.
    pub zero_point: i32,
}

impl QuantParams {
    /// An 8-bit image as reals in `[0, 1]`: scale 1/255, zero point 0.
    pub const PIXEL: QuantParams = QuantParams { scale: 1.0 / 255.0, zero_point: 0 };

    /// Real value to an integer in `[min, max]`: `round_ties_even(x * (1 / scale)) + zero_point`, clamped.
    ///
    /// A multiplication by the reciprocal, not a division: the two differ near ties and LiteRT multiplies.
    /// NaN maps to `min`.
    #[inline(always)]
    #[must_use]
    pub fn quantize(self, x: f32, min: i32, max: i32) -> i32 {
        let lo = (min - self.zero_point) as f32;
        let hi = (max - self.zero_point) as f32;
        nearest(clamp(x * (1.0 / self.scale), lo, hi)) + self.zero_point
    }

    /// Real value to int8, the whole range `[-128, 127]`.
    #[inline(always)]
    #[must_use]
    pub fn quantize_i8(self, x: f32) -> i8 {
        self.quantize(x, -128, 127) as i8
    }

    /// Real value to uint8, `[0, 255]`.
    #[inline(always)]
    #[must_use]
    pub fn quantize_u8(self, x: f32) -> u8 {
        self.quantize(x, 0, 255) as u8
    }

    /// Integer to real: `scale * (q - zero_point)`.
    #[inline(always)]
    #[must_use]
    pub fn dequantize(self, q: i32) -> f32 {
        self.scale * (q - self.zero_point) as f32
    }

    /// What an int8 tensor makes of `x`: `dequantize(quantize_i8(x))`.
    #[inline(always)]
    #[must_use]
    pub fn fake_quantize_i8(self, x: f32) -> f32 {
        // The integer detour of `quantize` and back is exact in f32, so it can be skipped: that keeps training loops in
        // floating-point lanes. A test holds the two equal.
        let lo = (-128 - self.zero_point) as f32;
        let hi = (127 - self.zero_point) as f32;
        self.scale * round_ties_even(clamp(x * (1.0 / self.scale), lo, hi))
    }

    /// The reals that int8 can represent: `[dequantize(-128), dequantize(127)]`. A straight-through gradient passes
    /// inside and is zero outside.
    #[inline]
    #[must_use]
    pub fn range_i8(self) -> (f32, f32) {
        (self.dequantize(-128), self.dequantize(127))
    }

    /// The codes that stand for the bounds of an activation: each `round_ties_even(bound / scale + zero_point)`, clamped to
    /// int8. A division, unlike in [`quantize`](Self::quantize): LiteRT's default path computes bounds so.
    #[must_use]
    pub fn bounds_i8(self, lo: f32, hi: f32) -> [i32; 2] {
        [lo, hi].map(|bound| {
            let code = bound / self.scale + self.zero_point as f32;
            round_ties_even(clamp(code, -128.0, 127.0)) as i32
        })
    }

    /// As [`bounds_i8`](Self::bounds_i8), for an activation that is a node of its own and for codes of `min` to `max`:
    /// `round(bound / scale) + zero_point`, ties away from zero, as LiteRT does there.
    #[must_use]
    pub fn bounds_alone(self, lo: f32, hi: f32, min: i32, max: i32) -> [i32; 2] {
        [lo, hi].map(|bound| {
            // In f64 the halves are added exactly, and a cast truncates.
            let steps = f64::from(clamp(bound / self.scale, -512.0, 512.0));
            let steps = if steps < 0.0 { steps - 0.5 } else { steps + 0.5 } as i32;
            // Not `clamp`, which panics where there is no such range.
            (steps + self.zero_point).max(min).min(max)
        })
    }

    /// Whether the scale is finite and positive and the zero point lies in `[min, max]`.
    #[must_use]
    pub fn is_valid(self, min: i32, max: i32) -> bool {
        self.scale.is_finite() && self.scale > 0.0 && (min..=max).contains(&self.zero_point)
    }
}

/// `f32::clamp` without its panic and with NaN going to `lo`; min/max in this order compile to two instructions.
#[inline(always)]
pub(crate) fn clamp(x: f32, lo: f32, hi: f32) -> f32 {
    let x = if x > lo { x } else { lo };
    if x < hi { x } else { hi }
}

/// An observed range of real values, to be turned into int8 parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ActivationRange {
    /// Smallest value seen.
    pub min: f32,
    /// Largest value seen.
    pub max: f32,
}

impl ActivationRange {
    /// The int8 parameters of this range, widened to hold 0 so that real 0 has an exact code.
    ///
    /// `scale = (max - min) / 255`, `zero_point = round_ties_even(-128 - min / scale)` clamped to int8: the "nudged"
    /// range of Jacob et al. 2018 (arXiv 1712.05877, section 3). An empty range gets scale 1.
    #[must_use]
    pub fn params_i8(self) -> QuantParams {
        let min = self.min.min(0.0);
        let max = self.max.max(0.0);
        let scale = (max - min) / 255.0;
        if !(scale.is_finite() && scale >= f32::MIN_POSITIVE) {
            return QuantParams { scale: 1.0, zero_point: 0 };
        }
        let zero_point = round_ties_even(clamp(-128.0 - min / scale, -128.0, 127.0));
        QuantParams { scale, zero_point: zero_point as i32 }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn fake_quantize_is_dequantize_of_quantize() {
        for range in [(-1.0, 3.2), (0.0, 6.0), (-7.5, 0.0), (-0.001, 1e-4), (-300.0, 5e4)] {
            let p = ActivationRange { min: range.0, max: range.1 }.params_i8();
            let mut x = range.0 - 0.3 * (range.1 - range.0);
            let step = (range.1 - range.0) / 4099.0;
            while x < range.1 + 0.3 * (range.1 - range.0) {
                let want = p.dequantize(i32::from(p.quantize_i8(x)));
                assert_eq!(p.fake_quantize_i8(x), want, "{x} with {p:?}");
                x += step;
            }
        }
    }

    #[test]
    fn every_code_survives_a_round_trip() {
        let p = ActivationRange { min: -1.3, max: 2.9 }.params_i8();
        for q in -128..=127 {
            assert_eq!(i32::from(p.quantize_i8(p.dequantize(q))), q);
        }
        for q in 0..=255 {
            assert_eq!(
                i32::from(QuantParams::PIXEL.quantize_u8(QuantParams::PIXEL.dequantize(q))),
                q
            );
        }
    }

    #[test]
    fn zero_is_exact_and_a_relu_range_uses_every_code() {
        let p = ActivationRange { min: 0.0, max: 4.0 }.params_i8();
        assert_eq!(p.zero_point, -128);
        assert_eq!(p.fake_quantize_i8(0.0), 0.0);
        assert_eq!(p.quantize_i8(4.0), 127);
        let p = ActivationRange { min: 1.0, max: 4.0 }.params_i8();
        assert_eq!((p.zero_point, p.scale), (-128, 4.0 / 255.0));
    }

    #[test]
    fn activations_end_at_codes() {
        let p = QuantParams { scale: 0.05, zero_point: -8 };
        assert_eq!(p.bounds_i8(0.0, f32::INFINITY), [-8, 127]);
        assert_eq!(p.bounds_i8(0.0, 6.0), [-8, 112]);
        assert_eq!(p.bounds_i8(-1.0, 1.0), [-28, 12]);
        // A grid that ends before the activation does keeps its own end; a coarse one rounds to the even code.
        let fine = QuantParams { scale: 1.0 / 64.0, zero_point: 127 };
        assert_eq!(fine.bounds_i8(0.0, 6.0), [127, 127]);
        assert_eq!(QuantParams { scale: 4.0, zero_point: 0 }.bounds_i8(0.0, 6.0), [0, 2]);
    }

    #[test]
    fn activations_of_their_own_round_ties_away_from_zero() {
        let coarse = QuantParams { scale: 4.0, zero_point: 3 };
        assert_eq!(coarse.bounds_alone(0.0, 6.0, -128, 127), [3, 5]);
        assert_eq!(coarse.bounds_i8(0.0, 6.0), [3, 4]);
        let pair = QuantParams { scale: 2.0, zero_point: 200 };
        assert_eq!(pair.bounds_alone(-1.0, 1.0, 0, 255), [199, 201]);
        assert_eq!(pair.bounds_alone(0.0, f32::INFINITY, 0, 255), [200, 255]);
    }

    #[test]
    fn hostile_values_stay_in_range() {
        let p = QuantParams { scale: 0.5, zero_point: 3 };
        assert_eq!(p.quantize_i8(f32::NAN), -128);
        assert_eq!(p.quantize_i8(f32::INFINITY), 127);
        assert_eq!(p.quantize_i8(f32::NEG_INFINITY), -128);
        let empty = ActivationRange { min: 0.0, max: 0.0 }.params_i8();
        assert!(empty.is_valid(-128, 127));
        let nan = ActivationRange { min: f32::NAN, max: f32::NAN }.params_i8();
        assert!(nan.is_valid(-128, 127));
    }
}
