//! What the next element is expected to be: the contexts of each of its bits. What a context has seen, and how several are
//! mixed, is `mix`'s.
//!
//! An element is a bit that tells whether it is zero, a sign, the distance of its exponent from the largest (three bits, and
//! eight more where it is 7 or more), and the bits below its highest one.

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
use super::mix::{Slot, Weights, mixed, single};
use super::near::Near;
use super::number::{Parts, bits_below};
use crate::packing::Element;

/// Questions about a magnitude that are mixed: 7 on the way to a distance, 3 for each distance's two highest bits.
const QUESTIONS: usize = 32;

/// The distance that eight bits more go on from.
const FAR: u32 = 7;

/// Bits below the highest that have chances at all: two that are mixed, four that are not.
const LEARNED: u32 = 6;

// Where each context's slots start.
const ZERO_BY_ALL: usize = 0;
const ZERO_BY_PATTERN: usize = ZERO_BY_ALL + 32;
const ZERO_BY_CHANNEL: usize = ZERO_BY_PATTERN + 128;
const SIGN_BY_SUM: usize = ZERO_BY_CHANNEL + 64;
const SIGN_BY_PATTERN: usize = SIGN_BY_SUM + 64;
const SIZE_BY_SIGN: usize = SIGN_BY_PATTERN + 81;
const SIZE_BY_CHANNEL: usize = SIZE_BY_SIGN + 2 * QUESTIONS;
const SIZE_BY_SUM: usize = SIZE_BY_CHANNEL + 32 * QUESTIONS;
const SIZE_BY_MEAN: usize = SIZE_BY_SUM + 32 * QUESTIONS;
const LOW_BITS: usize = SIZE_BY_MEAN + 16 * QUESTIONS;
const SLOTS: usize = LOW_BITS + 8 * 4;

/// All that is learned while a constant is coded: about 12.5 KiB.
pub(super) struct Model {
    slots: [Slot; SLOTS],
    zero: Weights,
    sign: Weights,
    sizes: [Weights; QUESTIONS],
}

/// `number` up to 3; then two steps for each doubling.
#[inline]
pub(super) fn coarse(number: u32) -> usize {
    let coarse = match number {
        0..4 => number,
        _ => {
            let log = 31_u32.wrapping_sub(number.leading_zeros());
            let half = number.wrapping_shr(log.wrapping_sub(1)) & 1;
            log.wrapping_mul(2) | half
        }
    };
    coarse as usize
}

/// `coarse` of a sum of either sign, `middle` for 0.
#[inline]
fn coarse_signed(sum: i32, middle: usize) -> usize {
    let size = coarse(sum.unsigned_abs());
    if sum < 0 { middle.wrapping_sub(size) } else { middle.wrapping_add(size) }
}

impl Model {
    pub(super) fn new() -> Self {
        let mut slots = [Slot::NEW; SLOTS];
        slots.iter_mut().skip(LOW_BITS).for_each(|slot| *slot = Slot::EVEN);
        Self {
            slots,
            zero: Weights::new(3),
            sign: Weights::new(2),
            sizes: [Weights::new(4); QUESTIONS],
        }
    }

    /// Codes one element. An encoder is told which; what a decoder is told does not matter. `top` is the largest exponent.
    #[inline]
    pub(super) fn code<T: Element>(
        &mut self,
        coder: &mut impl Coder,
        near: &Near,
        top: u32,
        element: Option<Parts>,
    ) -> Option<Parts> {
        let at = [
            ZERO_BY_ALL.wrapping_add(coarse(near.activity())),
            ZERO_BY_PATTERN.wrapping_add(near.zeros()),
            ZERO_BY_CHANNEL.wrapping_add(near.channel % 64),
        ];
        if !mixed(coder, &mut self.slots, at, &mut self.zero, element.is_some()) {
            return None;
        }
        // A decoder's stand-in.
        let known = element.unwrap_or(Parts { negative: false, exponent: top, below: 0 });
        let sum = near.sum();
        let at = [
            SIGN_BY_SUM.wrapping_add(coarse_signed(sum, 32)),
            SIGN_BY_PATTERN.wrapping_add(near.signs()),
        ];
        let negative = mixed(coder, &mut self.slots, at, &mut self.sign, known.negative);
        let agreeing = if negative { sum.wrapping_neg() } else { sum };
        let contexts = [
            SIZE_BY_SIGN.wrapping_add(usize::from(negative)),
            SIZE_BY_CHANNEL.wrapping_add(near.channel % 32),
            SIZE_BY_SUM.wrapping_add(coarse_signed(agreeing / 8, 16)),
            SIZE_BY_MEAN.wrapping_add(coarse(near.mean())),
        ];
        let distance = self.distance(coder, contexts, top.wrapping_sub(known.exponent));
        let exponent = top.wrapping_sub(distance);
        let bits = bits_below::<T>(exponent).min(31);
        let below = self.below(coder, contexts, distance.min(FAR), bits, known.below);
        Some(Parts { negative, exponent, below })
    }

    /// One of the mixed bits of a magnitude.
    #[inline]
    fn size_bit(
        &mut self,
        coder: &mut impl Coder,
        contexts: [usize; 4],
        question: u32,
        bit: bool,
    ) -> bool {
        let question = question as usize;
        let mut at = contexts;
        for (at, width) in at.iter_mut().zip([2, 32, 32, 16]) {
            *at = at.wrapping_add(question.wrapping_mul(width));
        }
        match self.sizes.get_mut(question) {
            Some(weights) => mixed(coder, &mut self.slots, at, weights, bit),
            None => false,
        }
    }

    /// How far the exponent is from the largest.
    #[inline]
    fn distance(&mut self, coder: &mut impl Coder, contexts: [usize; 4], distance: u32) -> u32 {
        let near = distance.min(FAR);
        let mut path = 1_u32;
        for at in (0..3).rev() {
            let bit = near.wrapping_shr(at) & 1 == 1;
            let bit = self.size_bit(coder, contexts, path, bit);
            path = path.wrapping_shl(1) | u32::from(bit);
        }
        let near = path & FAR;
        if near < FAR {
            return near;
        }
        near.wrapping_add(coder.plain(8, distance.wrapping_sub(FAR)))
    }

    /// The `bits` below the highest of a magnitude `distance` from the largest.
    #[inline]
    fn below(
        &mut self,
        coder: &mut impl Coder,
        contexts: [usize; 4],
        distance: u32,
        bits: u32,
        below: u32,
    ) -> u32 {
        let mut path = 0_u32;
        for at in 0..bits.min(LEARNED) {
            let bit = below.wrapping_shr(bits.wrapping_sub(1).wrapping_sub(at)) & 1 == 1;
            let bit = if at < 2 {
                // 8 is the first's question at distance 0; 9 and 10 the second's.
                let question = distance.wrapping_mul(3).wrapping_add(8);
                let step = if at == 0 { 0 } else { path.wrapping_add(1) };
                self.size_bit(coder, contexts, question.wrapping_add(step), bit)
            } else {
                let slot = distance.wrapping_mul(4).wrapping_add(at.wrapping_sub(2));
                match self.slots.get_mut(LOW_BITS.wrapping_add(slot as usize)) {
                    Some(slot) => single(coder, slot, bit),
                    None => false,
                }
            };
            path = path.wrapping_shl(1) | u32::from(bit);
        }
        let plain = bits.saturating_sub(LEARNED);
        path.wrapping_shl(plain) | coder.plain(plain, below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_small_and_its_contexts_do_not_overlap() {
        assert!(size_of::<Model>() <= 13 * 1024, "{}", size_of::<Model>());
        let largest_row = 127 * 12;
        assert!(coarse(largest_row + 127 * 4 + 127) < 32);
        assert!(coarse(largest_row) < 32);
        assert!(coarse(largest_row / 8) < 16);
        assert!(coarse(2 * 127) < 16);
    }

    #[test]
    fn coarse_has_two_steps_a_doubling() {
        let found: [usize; 10] = [0, 3, 4, 5, 6, 7, 8, 11, 12, 191].map(coarse);
        assert_eq!(found, [0, 3, 4, 4, 5, 5, 6, 6, 7, 14]);
        for number in 0..5000 {
            assert!((0..=1).contains(&(coarse(number + 1) - coarse(number))));
        }
        assert_eq!([-4, 0, 4].map(|sum| coarse_signed(sum, 16)), [12, 16, 20]);
    }
}
