//! exp, logistic and tanh, without a library, the same on every machine: additions, multiplications and divisions of f64 in a fixed
//! order, of which compilers make vectors. What they return is rounded to f32 once.

/// `exp(x)` within 1e-14 of itself for `|x| <= 150`, beyond which it stays where f32 has 0 and infinity anyway.
#[inline(always)]
fn exp64(x: f64) -> f64 {
    /// 1.5 * 2^52: adding it rounds to the nearest integer, which is then in the low bits.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    /// ln 2 in two parts; multiples of the first by small integers are exact.
    const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    /// `1 / k!`, from 11 down: the first left out is below 1e-14 of the sum where `|r| <= ln 2 / 2`.
    const TAYLOR: [f64; 12] = [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let x = if x > -150.0 { x } else { -150.0 };
    let x = if x < 150.0 { x } else { 150.0 };
    let shifted = x * core::f64::consts::LOG2_E + MAGIC;
    let k = shifted - MAGIC;
    let r = (x - k * LN_2[0]) - k * LN_2[1];
    let mut sum = 0.0;
    for term in TAYLOR {
        sum = sum * r + term;
    }
    // The low bits of `shifted` are k, which goes to the exponent.
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    sum * power
}

/// `exp(x)`; NaN of NaN.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    let y = exp64(f64::from(x)) as f32;
    if x.is_nan() { x } else { y }
}

/// `1 / (1 + exp(-x))`; NaN of NaN.
#[inline(always)]
#[must_use]
pub fn logistic(x: f32) -> f32 {
    let y = (1.0 / (1.0 + exp64(-f64::from(x)))) as f32;
    if x.is_nan() { x } else { y }
}

/// The hyperbolic tangent; NaN of NaN.
#[inline(always)]
#[must_use]
pub fn tanh(x: f32) -> f32 {
    let wide = f64::from(x);
    let e = exp64(-2.0 * wide.abs());
    let large = ((1.0 - e) / (1.0 + e)).copysign(wide);
    // Near 0 the difference cancels; the series' next term is below 1e-12 of it.
    let small = wide * (1.0 - wide * wide * (1.0 / 3.0));
    let y = if wide.abs() < 1e-3 { small } else { large } as f32;
    if x.is_nan() { x } else { y }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// Every so manieth f32 of both signs; the standard library's f64 is the truth.
    fn close(name: &str, ours: impl Fn(f32) -> f32, truth: impl Fn(f64) -> f64) {
        let mut worst = 0_u32;
        for bits in (0..0x7f80_0000_u32).step_by(10_007) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let (y, want) = (ours(x), truth(f64::from(x)) as f32);
                let ulps = y.to_bits().abs_diff(want.to_bits());
                assert!(ulps <= 1, "{name}({x}): {y}, expected {want}");
                worst += ulps;
            }
        }
        // Half of the last place but for one in millions.
        assert!(worst <= 2, "{name}: {worst} are not the nearest f32");
    }

    #[test]
    fn functions_are_the_nearest_f32() {
        close("exp", exp, f64::exp);
        close("logistic", logistic, |x| 1.0 / (1.0 + (-x).exp()));
        close("tanh", tanh, f64::tanh);
    }

    #[test]
    fn ends_and_nan() {
        let (inf, ninf) = (f32::INFINITY, f32::NEG_INFINITY);
        assert_eq!((exp(ninf), exp(0.0), exp(inf)), (0.0, 1.0, inf));
        assert_eq!((logistic(ninf), logistic(0.0), logistic(inf)), (0.0, 0.5, 1.0));
        assert_eq!((tanh(ninf), tanh(inf)), (-1.0, 1.0));
        assert_eq!(tanh(-0.0).to_bits(), (-0.0_f32).to_bits());
        assert!(exp(f32::NAN).is_nan() && logistic(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
    }
}
