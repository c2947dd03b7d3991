//! Rounding to the nearest integer, ties to even, without `std`. Not a general `round`: the range is limited.

/// 1.5 * 2^23: adding it to a small f32 leaves no fraction bits, so the addition itself rounds to nearest even.
const MAGIC: f32 = 12_582_912.0;

/// Rounds to the nearest integer, ties to even, for `|x| <= 2^22`; callers clamp first.
///
/// `f32::round_ties_even` is not in `core`; this is the usual addition of 1.5 * 2^23, exact because IEEE additions
/// round to nearest even. It compiles to two additions, which vectorize everywhere.
#[inline(always)]
#[must_use]
pub fn round_ties_even(x: f32) -> f32 {
    (x + MAGIC) - MAGIC
}

/// As [`round_ties_even`], as an integer: the low bits of the sum. A cast would have to saturate, for which vectors take many
/// instructions.
#[inline(always)]
pub(crate) fn nearest(x: f32) -> i32 {
    ((x + MAGIC).to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn equals_the_standard_library_up_to_its_bound() {
        let mut x = -4_194_304.0_f32;
        while x <= 4_194_304.0 {
            for y in [x, x + 0.25, x + 0.5, x - 0.5, x.next_up(), x.next_down()] {
                if y.abs() <= 4_194_304.0 {
                    assert_eq!(round_ties_even(y), y.round_ties_even(), "{y}");
                    assert_eq!(nearest(y) as f32, y.round_ties_even(), "{y}");
                }
            }
            x += 1013.5;
        }
        for (x, want) in [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, 0.0), (-1.5, -2.0)] {
            assert_eq!(round_ties_even(x), want);
        }
    }
}
