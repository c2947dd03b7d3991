//! Random numbers that depend on the seed and on what they are for, never on what was drawn before.
//!
//! Every use (initial weights, an epoch's permutation, a step's shifts) has a ChaCha stream of its own, so a resumed run
//! needs no generator state: the step number says it all. Nothing here is for secrets.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is for; the discriminant is part of the stream's number, so it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Initial weights; the index is the layer's.
    Init = 1,
    /// The order of the samples; the index is the epoch.
    Permutation = 2,
    /// Random shifts of a batch; the index is the step.
    Shift = 3,
}

/// A seeded stream of numbers.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream for one purpose of one stage (0 baseline, 1 prune, 2 qat), so that a pruning run does not repeat the
    /// order of the baseline that it starts from.
    pub(crate) fn new(seed: u64, stage: u8, purpose: Purpose, index: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(stage) << 56 | (purpose as u64) << 48 | index);
        Self(rng)
    }

    /// Uniform in `0..n`; the bias is below `n / 2^64`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in `[-limit, limit)`, in steps of `limit / 2^23`.
    pub(crate) fn symmetric(&mut self, limit: f32) -> f32 {
        let unit = (self.0.next_u32() >> 8) as f32 / (1_u32 << 24) as f32;
        (2.0 * unit - 1.0) * limit
    }

    /// A permutation of `0..n` (Fisher and Yates).
    pub(crate) fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_every_index_once_and_depends_on_the_epoch() {
        let draw = |epoch| Stream::new(7, 0, Purpose::Permutation, epoch).permutation(1000);
        let (a, b) = (draw(0), draw(1));
        assert_eq!(a, draw(0));
        assert_ne!(a, b);
        let mut sorted = a.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(i, &v)| i == v as usize));
        // a uniform permutation has one fixed point on average
        assert!(a.iter().enumerate().filter(|(i, v)| *i == **v as usize).count() < 8);
    }

    #[test]
    fn draws_fill_their_range() {
        let mut s = Stream::new(0, 1, Purpose::Shift, 3);
        let mut seen = [0_usize; 5];
        let mut sum = 0.0;
        for _ in 0..5000 {
            seen[s.below(5) as usize] += 1;
            let x = s.symmetric(0.5);
            assert!((-0.5..0.5).contains(&x));
            sum += x;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert!(sum.abs() < 75.0, "{sum}");
    }
}
