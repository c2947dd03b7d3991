//! Both ends of a layer that quantizes its input as it comes: reals to codes before its product, integer sums to reals after it.
#![allow(unsafe_code)]

use super::super::lanes::{Lanes, MAX_LANES, Reals, Set};
use super::super::{Clamp, Kernel};
use penjing_quant::Dynamic;

/// Rows of reals to codes, each over its own range.
pub(crate) struct Encode<'a> {
    /// `[rows][len]`.
    pub(crate) reals: &'a [f32],
    pub(crate) len: usize,
    pub(crate) codes: &'a mut [u8],
    /// Of each row, what a step is and the code that stands for 0.
    pub(crate) steps: &'a mut [f32],
    pub(crate) zeros: &'a mut [i32],
}

impl Kernel for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let rows = self.reals.chunks_exact(self.len).zip(self.codes.chunks_exact_mut(self.len));
        for ((row, codes), (step, zero)) in rows.zip(self.steps.iter_mut().zip(self.zeros)) {
            let grid = Dynamic::of(row);
            (*step, *zero) = (grid.inverse, grid.zero_point);
            for (code, &x) in codes.iter_mut().zip(row) {
                *code = grid.quantize(x);
            }
        }
    }
}

/// What a layer makes of integer sums.
pub(crate) struct Decoding<'a> {
    /// Of each lane, the sum of its weights.
    pub(crate) weights: &'a [i32],
    /// Of each lane, what its weights' step is.
    pub(crate) scales: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) clamp: Clamp,
}

/// Integer sums, `[positions][lanes]`, to reals, `[positions][channels]`:
/// `((sum - zero * sum of weights) * step) * scale + bias`, where the last two may be rounded as one.
pub(crate) struct Decode<'a> {
    pub(crate) to: &'a Decoding<'a>,
    pub(crate) sums: &'a mut [i32],
    /// One a position, or one for all: what stands for 0 in the sums, and what a step is.
    pub(crate) zeros: &'a [i32],
    pub(crate) steps: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Decode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        let Decode { to, sums, zeros, steps, out } = self;
        let lanes = to.weights.len();
        let (positions, shared) = (sums.len() / lanes, steps.len() == 1);
        let of = |position: usize| if shared { 0 } else { position };
        let vector = <S::Reals as Lanes>::LANES;
        assert!(lanes >= to.channels.next_multiple_of(vector), "lanes");
        assert!(to.scales.len() >= lanes && to.bias.len() >= lanes, "scales and biases");
        assert!(positions * to.channels >= out.len(), "sums");
        for (position, sums) in sums.chunks_exact_mut(lanes).enumerate() {
            let zero = zeros[of(position)];
            // Sums and products may wrap, but not what is left.
            for (sum, &weights) in sums.iter_mut().zip(to.weights) {
                *sum = sum.wrapping_sub(zero.wrapping_mul(weights));
            }
        }
        // Functions, not closures: those are not always inlined, and then every vector would be a call.
        let whole = to.channels / vector * vector;
        for (position, (sums, out)) in
            sums.chunks_exact(lanes).zip(out.chunks_exact_mut(to.channels)).enumerate()
        {
            let step = steps[of(position)];
            for channel in (0..whole).step_by(vector) {
                // SAFETY: whole vectors of lanes and of channels, as asserted.
                unsafe { reals_at(set, to, step, (sums, channel), out.as_mut_ptr().add(channel)) };
            }
            if whole < to.channels {
                let mut part = [0.0; MAX_LANES];
                // SAFETY: a whole vector of lanes, as asserted, and room for the widest.
                unsafe { reals_at(set, to, step, (sums, whole), part.as_mut_ptr()) };
                let rest = &mut out[whole..];
                rest.copy_from_slice(&part[..rest.len()]);
            }
        }
    }
}

/// A vector of sums from lane `channel` on, as reals at `out`.
///
/// # Safety
/// `sums`, the lanes of `to` and `out` must have a whole vector there.
#[inline(always)]
unsafe fn reals_at<S: Set>(
    set: S,
    to: &Decoding<'_>,
    step: f32,
    (sums, channel): (&[i32], usize),
    out: *mut f32,
) {
    let reals = set.reals();
    // SAFETY: the caller lends whole vectors.
    unsafe {
        let sum = set.reals_of(sums.as_ptr().add(channel));
        let scale = reals.operand(to.scales.as_ptr().add(channel).cast());
        let bias = reals.operand(to.bias.as_ptr().add(channel).cast());
        let y = reals.dot(bias, reals.mul(sum, reals.splat_real(step)), scale);
        let y = match to.clamp {
            Some([lo, hi]) => {
                let (lo, hi) = (reals.splat_real(lo), reals.splat_real(hi));
                reals.min(reals.max(y, lo), hi)
            }
            None => y,
        };
        reals.store(y, out);
    }
}
