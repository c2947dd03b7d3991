//! Symmetric quantization of weights and the int32 bias that goes with it. Activations live in `params`.

use crate::params::clamp;
use crate::round_ties_even;

/// Largest weight code: the narrow range `[-127, 127]`, zero point 0.
pub const WEIGHT_MAX: i32 = 127;

/// Floor of a weight scale, for tensors whose weights are all zero: a tiny scale would blow the quantized bias up to the
/// ends of int32.
pub const MIN_WEIGHT_SCALE: f32 = 1e-6;

/// Scale of weights whose largest magnitude is `max_abs`: `max_abs / 127`, at least [`MIN_WEIGHT_SCALE`].
#[inline]
#[must_use]
pub fn weight_scale(max_abs: f32) -> f32 {
    (max_abs / WEIGHT_MAX as f32).max(MIN_WEIGHT_SCALE)
}

/// Scales of a tensor quantized per output channel, in place: each channel's largest magnitude becomes its scale.
///
/// A channel whose weights are all zero (pruning leaves such; magnitudes below [`MIN_WEIGHT_SCALE`] count as zero) has no
/// scale of its own. It takes the largest scale of the
/// tensor: its codes are zero with any scale, and its bias then has the magnitude of its neighbours' and fits as narrow
/// an integer.
pub fn channel_scales(max_abs: &mut [f32]) {
    let largest = max_abs.iter().fold(0.0_f32, |a, &b| a.max(b));
    for m in max_abs {
        *m = weight_scale(if *m >= MIN_WEIGHT_SCALE { *m } else { largest });
    }
}

/// Weight to int8: `round_ties_even(w * (1 / scale))` clamped to `[-127, 127]`; NaN maps to -127.
#[inline(always)]
#[must_use]
pub fn quantize_weight(w: f32, scale: f32) -> i8 {
    round_ties_even(clamp(w * (1.0 / scale), -127.0, 127.0)) as i32 as i8
}

/// Integer weight to real: `scale * q`.
#[inline(always)]
#[must_use]
pub fn dequantize_weight(q: i8, scale: f32) -> f32 {
    scale * f32::from(q)
}

/// What int8 makes of a weight: `dequantize_weight(quantize_weight(w))`. Zero stays +0.0.
#[inline(always)]
#[must_use]
pub fn fake_quantize_weight(w: f32, scale: f32) -> f32 {
    // Adding +0.0 turns a -0.0 (from a small negative weight) into what the integer path gives.
    scale * round_ties_even(clamp(w * (1.0 / scale), -127.0, 127.0)) + 0.0
}

/// Real scale of a bias: `s_in * s_w`, in f32.
#[inline]
#[must_use]
pub fn bias_scale(s_in: f32, s_w: f32) -> f32 {
    s_in * s_w
}

/// Bias to int32: `round(b / (s_in * s_w))`, ties to even, saturated to `[-limit, limit]`.
///
/// The division runs in f64, where int32 is exact. `limit` leaves room for the accumulator: bias plus the largest dot
/// product must stay within int32.
#[must_use]
pub fn quantize_bias(b: f32, s_in: f32, s_w: f32, limit: i32) -> i32 {
    /// 1.5 * 2^52: the f64 twin of the f32 magic number.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let x = f64::from(b) / f64::from(bias_scale(s_in, s_w));
    let limit = f64::from(limit);
    let x = if x > -limit { x } else { -limit };
    let x = if x < limit { x } else { limit };
    ((x + MAGIC) - MAGIC) as i32
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn fake_quantize_is_dequantize_of_quantize() {
        for max_abs in [0.0, 1e-8, 0.37, 12.0] {
            let s = weight_scale(max_abs);
            for i in -5000..=5000 {
                let w = max_abs * i as f32 / 4500.0;
                let want = dequantize_weight(quantize_weight(w, s), s);
                assert_eq!(
                    fake_quantize_weight(w, s).to_bits(),
                    want.to_bits(),
                    "{w} at scale {s}"
                );
            }
        }
    }

    #[test]
    fn the_largest_weight_gets_the_largest_code() {
        let s = weight_scale(0.83);
        assert_eq!(quantize_weight(0.83, s), 127);
        assert_eq!(quantize_weight(-0.83, s), -127);
        assert_eq!(quantize_weight(-0.0, s), 0);
        assert_eq!(quantize_weight(f32::NAN, s), -127);
    }

    #[test]
    fn a_dead_channel_takes_the_largest_scale() {
        let mut scales = [0.5, 0.0, 1.27];
        channel_scales(&mut scales);
        assert_eq!(scales, [0.5 / 127.0, 1.27 / 127.0, 1.27 / 127.0]);
        let mut dead = [0.0, 0.0];
        channel_scales(&mut dead);
        assert_eq!(dead, [MIN_WEIGHT_SCALE; 2]);
    }

    #[test]
    fn bias_rounds_to_even_and_saturates() {
        assert_eq!(quantize_bias(2.5, 1.0, 1.0, 100), 2);
        assert_eq!(quantize_bias(3.5, 1.0, 1.0, 100), 4);
        assert_eq!(quantize_bias(-1e9, 1.0, 1.0, 100), -100);
        assert_eq!(quantize_bias(1e9, 1.0, 1.0, i32::MAX), 1_000_000_000);
        assert_eq!(quantize_bias(f32::MAX, 1e-3, 1e-3, i32::MAX), i32::MAX);
    }
}
