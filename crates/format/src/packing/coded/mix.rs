//! Chances that are learned: a slot for each context a bit is seen in, and the mixture of several slots' opinions. Which
//! contexts a bit has is `model`'s.
//!
//! Integers alone, so that every machine decodes the same. *Evidence* is `log2(p / (1 - p))` in steps of 1/256: adding
//! evidence is multiplying odds, which is how independent opinions combine.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use super::coder::Coder;

/// Steps of evidence to a factor of two in odds.
const UNIT: u32 = 256;

/// The strongest evidence, just below odds of 4096.
const STRONGEST: i32 = 12 * UNIT as i32 - 1;

/// A weight of one.
const ONE: i32 = 1 << 16;

/// The largest weight: more than what arises, and little enough that four opinions of at most 11 * 256 stay within 32 bits.
const LARGEST: i32 = 2 * ONE;

/// `256 * log2(1 + (2 j + 1) / 256)`, rounded: the binary logarithm in the middle of each 128th between powers of two.
const LOG2: [u8; 128] = [
    1, 4, 7, 10, 13, 16, 18, 21, 24, 26, 29, 32, 34, 37, 40, 42, 45, 47, 50, 52, 55, 57, 60, 62,
    65, 67, 69, 72, 74, 77, 79, 81, 84, 86, 88, 90, 93, 95, 97, 99, 102, 104, 106, 108, 110, 112,
    114, 117, 119, 121, 123, 125, 127, 129, 131, 133, 135, 137, 139, 141, 143, 145, 147, 149, 151,
    153, 155, 156, 158, 160, 162, 164, 166, 168, 169, 171, 173, 175, 177, 178, 180, 182, 184, 185,
    187, 189, 191, 192, 194, 196, 198, 199, 201, 203, 204, 206, 208, 209, 211, 212, 214, 216, 217,
    219, 220, 222, 224, 225, 227, 228, 230, 231, 233, 234, 236, 238, 239, 241, 242, 244, 245, 247,
    248, 249, 251, 252, 254, 255,
];

/// `65536 / (1 + 2^(-j / 2))`, rounded: the chance that evidence of `128 j` stands for.
const CHANCE: [u16; 25] = [
    32_768, 38_390, 43_691, 48_418, 52_429, 55_691, 58_254, 60_214, 61_681, 62_762, 63_550, 64_119,
    64_528, 64_820, 65_028, 65_176, 65_281, 65_355, 65_408, 65_446, 65_472, 65_491, 65_504, 65_513,
    65_520,
];

/// `65536 / (2 n + 3)`, rounded down: how far, in 32768ths, a slot moves that has seen `n` bits.
const PACE: [u16; 256] = {
    let mut pace = [0; 256];
    let (mut rest, mut seen) = (pace.as_mut_slice(), 0_u32);
    while let Some((first, others)) = rest.split_first_mut() {
        *first = 65536_u32.wrapping_div(seen.wrapping_mul(2).wrapping_add(3)) as u16;
        seen = seen.wrapping_add(1);
        rest = others;
    }
    pace
};

/// The evidence of each 64 chances: of the one in their middle.
const EVIDENCE: [i16; 1024] = {
    let mut evidence = [0; 1024];
    let (mut rest, mut middle) = (evidence.as_mut_slice(), 32_u32);
    while let Some((first, others)) = rest.split_first_mut() {
        *first = log2(middle).wrapping_sub(log2(65536_u32.wrapping_sub(middle))) as i16;
        middle = middle.wrapping_add(64);
        rest = others;
    }
    evidence
};

/// How often a bit was set in one context, recent ones counting more once there are many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Of 65536 cases; 32 at least.
    chance: u16,
    /// Bits seen; 255 stands for more.
    seen: u8,
}

impl Slot {
    /// Knows nothing.
    pub(super) const NEW: Self = Self { chance: 1 << 15, seen: 0 };

    /// Believes as if from some bits that both are as likely.
    pub(super) const EVEN: Self = Self { chance: 1 << 15, seen: 12 };

    #[inline]
    fn evidence(self) -> i32 {
        EVIDENCE.get(usize::from(self.chance.wrapping_shr(6))).map_or(0, |&e| i32::from(e))
    }

    #[inline]
    fn learn(&mut self, bit: bool) {
        let pace = PACE.get(usize::from(self.seen)).map_or(0, |&pace| i32::from(pace));
        let chance = i32::from(self.chance);
        let target = if bit { 65535_i32 } else { 0 };
        // The difference has 16 bits and the pace 15.
        let moved = target.wrapping_sub(chance).wrapping_mul(pace).wrapping_shr(15);
        self.chance = chance.wrapping_add(moved).max(32) as u16;
        self.seen = self.seen.saturating_add(1);
    }
}

/// `256 * log2(number)` of 1 to 65535, within 2.
const fn log2(number: u32) -> i32 {
    let whole = 31_u32.wrapping_sub(number.leading_zeros());
    // Eight bits from the highest set one on; the highest is known.
    let eighth = number.wrapping_shl(7).wrapping_shr(whole) & 0x7f;
    let part = match LOG2.split_at(eighth as usize).1.first() {
        Some(&part) => part as u32,
        None => 0,
    };
    whole.wrapping_mul(UNIT).wrapping_add(part) as i32
}

/// The chance, of 65536, that `evidence` within [`STRONGEST`] stands for: a line between every two entries of the table.
#[inline]
fn chance(evidence: i32) -> u32 {
    let strength = evidence.unsigned_abs();
    let entry = |at: u32| CHANCE.get(at as usize).map_or(0, |&chance| u32::from(chance));
    let at = strength.wrapping_shr(7);
    let (from, to) = (entry(at), entry(at.wrapping_add(1)));
    let part = to.wrapping_sub(from).wrapping_mul(strength & 0x7f).wrapping_shr(7);
    let chance = from.wrapping_add(part);
    if evidence < 0 { 65536_u32.wrapping_sub(chance) } else { chance }
}

/// The weights of up to four opinions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights([i32; 4]);

impl Weights {
    /// Of `inputs` opinions, together a little more than one: they rarely say the same.
    pub(super) const fn new(inputs: i32) -> Self {
        match (ONE + ONE / 8).checked_div(inputs) {
            Some(weight) => Self([weight; 4]),
            None => Self([0; 4]),
        }
    }
}

/// Codes a bit by what the slots `at` say of it, then tells them and the weights what it was.
#[inline]
pub(super) fn mixed<const INPUTS: usize>(
    coder: &mut impl Coder,
    slots: &mut [Slot],
    at: [usize; INPUTS],
    weights: &mut Weights,
    bit: bool,
) -> bool {
    let (mut opinions, mut sum) = ([0; INPUTS], 0_i32);
    for ((opinion, &at), &weight) in opinions.iter_mut().zip(&at).zip(&weights.0) {
        *opinion = slots.get(at).map_or(0, |slot| slot.evidence());
        sum = sum.wrapping_add(opinion.wrapping_mul(weight));
    }
    let evidence = sum.wrapping_shr(16).clamp(-STRONGEST, STRONGEST);
    let expected = chance(evidence);
    let bit = coder.code(expected, bit);
    // Of 17 bits, and an opinion has 13.
    let error = if bit { 65536_i32 } else { 0 }.wrapping_sub(expected.cast_signed());
    for ((opinion, weight), at) in opinions.into_iter().zip(&mut weights.0).zip(at) {
        let step = opinion.wrapping_mul(error).wrapping_shr(16);
        *weight = weight.wrapping_add(step).clamp(-LARGEST, LARGEST);
        if let Some(slot) = slots.get_mut(at) {
            slot.learn(bit);
        }
    }
    bit
}

/// Codes a bit by what one slot says of it.
#[inline]
pub(super) fn single(coder: &mut impl Coder, slot: &mut Slot, bit: bool) -> bool {
    let bit = coder.code(u32::from(slot.chance), bit);
    slot.learn(bit);
    bit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_what_they_say() {
        for (j, &found) in LOG2.iter().enumerate() {
            let exact = 256.0 * (1.0 + (2.0 * j as f64 + 1.0) / 256.0).log2();
            assert_eq!(f64::from(found), exact.round(), "logarithm {j}");
        }
        for (j, &found) in CHANCE.iter().enumerate() {
            let exact = 65536.0 / (1.0 + (-(j as f64) / 2.0).exp2());
            assert_eq!(f64::from(found), exact.round(), "chance {j}");
        }
        for (n, &found) in PACE.iter().enumerate() {
            assert_eq!(usize::from(found), 65536 / (2 * n + 3), "pace {n}");
        }
    }

    #[test]
    fn evidence_and_chances_undo_each_other() {
        for (step, &evidence) in EVIDENCE.iter().enumerate() {
            let middle = 64.0 * step as f64 + 32.0;
            let exact = 256.0 * (middle / (65536.0 - middle)).log2();
            assert!((f64::from(evidence) - exact).abs() < 4.0, "evidence {step}");
            let back = f64::from(chance(i32::from(evidence)));
            let odds = back / (65536.0 - back) * (65536.0 - middle) / middle;
            assert!((0.9..1.1).contains(&odds), "chance {step}: {back} of {middle}");
        }
        for evidence in -STRONGEST..=STRONGEST {
            assert!((1..=65535).contains(&chance(evidence)));
            assert_eq!(chance(evidence) + chance(-evidence), 65536);
        }
    }

    /// Neither slots nor weights leave what the arithmetic of 32 bits has room for.
    #[test]
    fn one_bit_forever_stays_within_bounds() {
        let strongest = EVIDENCE.iter().map(|e| i32::from(*e).abs()).max().unwrap();
        assert!(4 * i64::from(strongest) * i64::from(LARGEST) < i64::from(i32::MAX));
        for bit in [false, true] {
            let mut slot = Slot::NEW;
            for _ in 0..100_000 {
                slot.learn(bit);
            }
            // A step is rounded down, so that the last ones up are none.
            assert_eq!(slot.chance, if bit { 65391 } else { 32 });
        }
    }
}
