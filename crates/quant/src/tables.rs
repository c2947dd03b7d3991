//! 8-bit ops of one operand as tables: what each of the 256 codes becomes.

use crate::functions::{exp, logistic, tanh};
use crate::{QuantParams, round_ties_even};

/// An 8-bit type: its smallest and largest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// -128 or 0.
    pub min: i32,
    /// 127 or 255.
    pub max: i32,
}

impl Codes {
    /// Of i8.
    pub const I8: Self = Self { min: -128, max: 127 };
    /// Of u8.
    pub const U8: Self = Self { min: 0, max: 255 };
}

/// What each code becomes, by the code's bits as u8, in the bits of its result's.
pub type Table = [u8; 256];

fn table(from: Codes, to: Codes, result: impl Fn(i32) -> i64) -> Table {
    let mut table = [0; 256];
    for code in from.min..=from.max {
        let y = result(code).clamp(i64::from(to.min), i64::from(to.max));
        // The low byte of a code is its bits, whether signed or not.
        table[usize::from(code as u8)] = y as u8;
    }
    table
}

/// From one 8-bit grid to another. Within a type `((q - z_in) * m + 128 >> 8) + z_out`, with `m = round(256 * (s_in / s_out))`,
/// ties to even; between i8 and u8 by [`FixedPoint::scale`]. So LiteRT's default path has it.
#[must_use]
pub fn requantize_table(from: (Codes, QuantParams), to: (Codes, QuantParams)) -> Table {
    let ((from, a), (to, b)) = (from, to);
    let ratio = a.scale / b.scale;
    // Beyond, every code but the zero point's saturates anyway.
    let multiplier = round_ties_even((256.0 * ratio).min(4_194_304.0)) as i64;
    let fixed = FixedPoint::new(f64::from(a.scale) / f64::from(b.scale));
    table(from, to, |code| {
        let steps = i64::from(code - a.zero_point);
        let scaled = if from == to { (steps * multiplier + 128) >> 8 } else { fixed.scale(steps) };
        scaled + i64::from(b.zero_point)
    })
}

/// An activation by itself, from one int8 grid to another: `(q - z_in) * (s_in / s_out)` by [`FixedPoint::scale`], and clamped to
/// the codes of the activation's ends, [`QuantParams::bounds_alone`].
#[must_use]
pub fn relu_table(input: QuantParams, output: QuantParams, [lo, hi]: [f32; 2]) -> Table {
    let [low, high] = output.bounds_alone(lo, hi, Codes::I8.min, Codes::I8.max).map(i64::from);
    let fixed = FixedPoint::new(f64::from(input.scale) / f64::from(output.scale));
    table(Codes::I8, Codes::I8, |code| {
        let steps = i64::from(code - input.zero_point);
        (fixed.scale(steps) + i64::from(output.zero_point)).max(low).min(high)
    })
}

/// A factor as a 31-bit integer and a power of two.
struct FixedPoint {
    multiplier: i64,
    exponent: i32,
}

impl FixedPoint {
    fn new(factor: f64) -> Self {
        // As `frexp`: factor = fraction * 2^exponent with a fraction in [0.5, 1). Factors of two f32 are normal f64.
        let bits = factor.to_bits();
        let exponent = (bits >> 52) as i32 - 1022;
        let fraction = f64::from_bits((bits & ((1 << 52) - 1)) | (1022 << 52));
        let multiplier = (fraction * 2_147_483_648.0 + 0.5) as i64;
        match multiplier {
            2_147_483_648 => Self { multiplier: 1 << 30, exponent: exponent + 1 },
            _ => Self { multiplier, exponent },
        }
    }

    /// Rounds twice: to the product's high bits, a half upward, then by what remains of the exponent, a half away from zero.
    fn scale(&self, steps: i64) -> i64 {
        // Codes are 9 bits: whatever is shifted further left saturates.
        let product = (steps << self.exponent.clamp(0, 16)) * self.multiplier;
        let high = (product + (1 << 30)) >> 31;
        match (-self.exponent).clamp(0, 40) {
            0 => high,
            shift => ((high.abs() + (1 << (shift - 1))) >> shift) * high.signum(),
        }
    }
}

/// What a function of reals becomes between two int8 grids: `quantize(f(dequantize(q)))`.
fn function_table(input: QuantParams, output: QuantParams, f: impl Fn(f32) -> f32) -> Table {
    table(Codes::I8, Codes::I8, |code| i64::from(output.quantize_i8(f(input.dequantize(code)))))
}

/// Logistic between two int8 grids.
#[must_use]
pub fn logistic_table(input: QuantParams, output: QuantParams) -> Table {
    function_table(input, output, logistic)
}

/// Hyperbolic tangent between two int8 grids.
#[must_use]
pub fn tanh_table(input: QuantParams, output: QuantParams) -> Table {
    function_table(input, output, tanh)
}

/// Softmax of int8 codes: with `e[d] = exp(-s_in * d)` of how far a code lies below the row's largest,
/// `y = floor(e * (1 / (sum * s_out)) + 0.5) + zero_point`, clamped, every operation rounded to f32, the sum taken in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// `e[d]`.
    pub exponentials: [f32; 256],
    /// Grid of the result.
    pub output: QuantParams,
}

impl Softmax {
    /// From codes of scale `input` to grid `output`.
    #[must_use]
    pub fn new(input: f32, output: QuantParams) -> Self {
        let mut exponentials = [0.0; 256];
        for (d, e) in exponentials.iter_mut().enumerate() {
            *e = Self::exponential(input, d as u8);
        }
        Self { exponentials, output }
    }

    /// The exponential of a code of scale `input` so far below its row's largest.
    #[must_use]
    pub fn exponential(input: f32, below: u8) -> f32 {
        exp(-input * f32::from(below))
    }

    /// What an exponential is multiplied with, given the sum of its row's.
    #[inline(always)]
    #[must_use]
    pub fn factor(&self, sum: f32) -> f32 {
        Self::factor_on(self.output, sum)
    }

    /// As [`factor`](Self::factor), without a table of exponentials.
    #[inline(always)]
    #[must_use]
    pub fn factor_on(output: QuantParams, sum: f32) -> f32 {
        1.0 / (sum * output.scale)
    }

    /// The code of an exponential.
    #[inline(always)]
    #[must_use]
    pub fn code(&self, exponential: f32, factor: f32) -> i8 {
        Self::code_on(self.output, exponential, factor)
    }

    /// As [`code`](Self::code), without a table of exponentials.
    #[inline(always)]
    #[must_use]
    pub fn code_on(output: QuantParams, exponential: f32, factor: f32) -> i8 {
        let reach = (127 - output.zero_point) as f32;
        let steps = exponential * factor + 0.5;
        // Not negative: truncation is floor. What lies beyond the last code, infinities among it, is clamped before.
        let steps = if steps < reach { steps } else { reach };
        (steps as i32 + output.zero_point) as i8
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
    fn equal_grids_change_nothing_and_unsigned_ones_shift() {
        let signed = (Codes::I8, grid(0.3, -7));
        let same = requantize_table(signed, signed);
        assert!((0..=255).all(|code| same[usize::from(code)] == code));
        let shifted = requantize_table((Codes::U8, grid(0.3, 121)), signed);
        assert!((0..=255_u8).all(|code| shifted[usize::from(code)] == code.wrapping_sub(128)));
    }

    #[test]
    fn requantized_codes_are_as_near_as_the_rule_allows() {
        for (from, to) in [(Codes::I8, Codes::I8), (Codes::U8, Codes::I8), (Codes::I8, Codes::U8)] {
            for ratio in [1e-30_f32, 0.01, 0.37, 1.0, 1.9, 77.0, 1e30] {
                let (a, b) = (grid(ratio, from.min + 100), grid(1.0, to.min + 30));
                let table = requantize_table((from, a), (to, b));
                for code in from.min..=from.max {
                    let byte = table[usize::from(code as u8)];
                    let found = if to.min == 0 { i32::from(byte) } else { i32::from(byte as i8) };
                    let steps = f64::from(code - a.zero_point);
                    let real = steps * f64::from(ratio) + f64::from(b.zero_point);
                    let real = real.clamp(f64::from(to.min), f64::from(to.max));
                    // The second rounds twice: to whole steps of the product, then to half of those or less.
                    let error = if from == to { 0.5 + steps.abs() / 512.0 } else { 0.7501 };
                    assert!((f64::from(found) - real).abs() <= error, "{code} {ratio} {found}");
                }
            }
        }
    }

    #[test]
    fn an_activation_moves_to_its_grid_and_ends_there() {
        let (input, output) = (grid(0.1, -3), grid(0.05, 10));
        let table = relu_table(input, output, [0.0, 1.0]);
        let real = |code: i8| output.dequantize(i32::from(table[usize::from(code as u8)] as i8));
        let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(near(real(-3), 0.0) && near(real(2), 0.5) && near(real(7), 1.0));
        assert!(near(real(-128), 0.0) && near(real(127), 1.0));
        // A tie, 1.5 steps, is rounded upward on both sides.
        let halves = relu_table(grid(0.5, 0), grid(1.0, 0), [-2.0, f32::INFINITY]);
        assert_eq!([3_i8, -3, -1].map(|code| halves[usize::from(code as u8)] as i8), [2, -1, 0]);
    }

    #[test]
    fn tables_of_functions_hold_their_ends() {
        let table = logistic_table(grid(0.1, 0), grid(1.0 / 256.0, -128));
        assert_eq!([128, 0, 127].map(|at| table[at] as i8), [-128, 0, 127]);
        let table = tanh_table(grid(0.1, 0), grid(1.0 / 128.0, 0));
        assert_eq!([128, 0, 127].map(|at| table[at] as i8), [-128, 0, 127]);
    }

    #[test]
    fn softmax_is_one_in_all() {
        let rule = Softmax::new(0.1, grid(1.0 / 256.0, -128));
        assert_eq!(rule.exponentials[0], 1.0);
        let factor = rule.factor(2.0);
        assert_eq!((rule.code(1.0, factor), rule.code(0.0, factor)), (0, -128));
        assert_eq!(rule.code(1.0, rule.factor(1.0)), 127);
        let absurd = Softmax::new(1.0, grid(f32::from_bits(1), 127));
        assert_eq!(absurd.code(1.0, absurd.factor(1.0)), 127);
    }
}
