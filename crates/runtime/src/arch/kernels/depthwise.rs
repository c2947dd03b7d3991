//! Depthwise sums: channels in lanes, of reals or of integers that are exact in them. Planes, tables and rounding are `ops`'.
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::lanes::{CHUNK_F32, EXACT_PRODUCTS, Lanes, Reals, Set};
use super::super::memory::Plain;
use super::conv::Gather;
use core::marker::PhantomData;
use core::ops::Range;

/// Positions that share a load of weights.
const BLOCK: usize = 8;

/// Writes `bias` plus the sums over taps to `sums`, `[positions][channels]`. Offset `k` of the gather is tap `k` of channel 0.
pub(crate) struct RunDepthwise<'a, J: Join> {
    pub(crate) gather: &'a Gather,
    pub(crate) positions: Range<usize>,
    pub(crate) plane: &'a [f32],
    /// `[taps][channels]`, whole vectors of channels.
    pub(crate) weights: &'a [f32],
    /// One a channel.
    pub(crate) bias: &'a [J::Sum],
    pub(crate) sums: &'a mut [J::Sum],
}

/// What f32 lanes are joined into.
pub(crate) trait Join {
    type Sum: Plain;
    /// Taps that may be summed in f32 before they are joined.
    const CHUNK: usize;
    /// # Safety
    /// `LANES` elements can be read at `base` and written at `to`.
    unsafe fn join<R: Reals>(reals: R, sums: R::R, base: *const Self::Sum, to: *mut Self::Sum);
}

/// Real sums.
pub(crate) struct RealSums;

/// Integer sums.
pub(crate) struct IntegerSums;

impl Join for RealSums {
    type Sum = f32;
    const CHUNK: usize = CHUNK_F32;
    #[inline(always)]
    unsafe fn join<R: Reals>(reals: R, sums: R::R, base: *const f32, to: *mut f32) {
        // SAFETY: by this function's contract.
        unsafe { reals.join(sums, base, to) }
    }
}

impl Join for IntegerSums {
    type Sum = i32;
    const CHUNK: usize = EXACT_PRODUCTS;
    #[inline(always)]
    unsafe fn join<R: Reals>(reals: R, sums: R::R, base: *const i32, to: *mut i32) {
        // SAFETY: by this function's contract.
        unsafe { reals.join_exact(sums, base, to) }
    }
}

impl<J: Join> Kernel for RunDepthwise<'_, J> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        let reals = set.reals();
        let lanes = <S::Reals as Lanes>::LANES;
        let channels = self.bias.len();
        let taps = self.gather.dwords();
        let bases = &self.gather.bases()[self.positions.clone()];
        // The last vector of channels is read from every tap of every position.
        assert!(channels.is_multiple_of(lanes), "channels");
        assert!(
            self.plane.len() * 4 + 4 >= self.gather.end(&self.positions) + channels * 4,
            "plane"
        );
        assert!(self.weights.len() >= taps * channels, "weights");
        assert!(self.sums.len() >= bases.len() * channels, "sums");
        for (block, bases) in bases.chunks(BLOCK).enumerate() {
            for channel in (0..channels).step_by(lanes) {
                let place = Place::<J> {
                    plane: &raw const self.plane[channel],
                    offsets: self.gather.offsets(),
                    weights: &raw const self.weights[channel],
                    bias: &raw const self.bias[channel],
                    channels,
                    sums: PhantomData,
                };
                let sums = &mut self.sums[block * BLOCK * channels + channel..];
                // SAFETY: measured above; `channel` plus a vector is at most `channels`.
                unsafe { place.block(reals, bases, sums) };
            }
        }
    }
}

struct Place<'a, J: Join> {
    plane: *const f32,
    offsets: &'a [u32],
    weights: *const f32,
    bias: *const J::Sum,
    channels: usize,
    sums: PhantomData<J>,
}

impl<J: Join> Place<'_, J> {
    /// One vector of channels of up to `BLOCK` positions; a missing one repeats the last.
    ///
    /// # Safety
    /// A vector can be read at every base and offset of the plane, at `weights` for every tap, `channels` apart, at `bias`,
    /// and written to `sums` for every base, `channels` apart.
    #[inline(always)]
    unsafe fn block<R: Reals>(&self, reals: R, bases: &[u32], sums: &mut [J::Sum]) {
        let mut inputs = [self.plane.cast::<u8>(); BLOCK];
        for m in 0..BLOCK {
            let base = bases[m.min(bases.len() - 1)];
            // SAFETY: inside the plane, by this function's contract.
            inputs[m] = unsafe { inputs[m].add(base as usize) };
        }
        assert!(sums.len() >= (bases.len().min(BLOCK) - 1) * self.channels + R::LANES, "sums");
        let sums = sums.as_mut_ptr();
        let mut weights = self.weights;
        let mut base = [self.bias; BLOCK];
        for offsets in self.offsets.chunks(J::CHUNK) {
            let mut acc = [reals.zero(); BLOCK];
            for &offset in offsets {
                // SAFETY: by this function's contract.
                unsafe {
                    let w = reals.operand(weights.cast());
                    for m in 0..BLOCK {
                        let x = reals.operand(inputs[m].add(offset as usize).cast());
                        acc[m] = reals.dot(acc[m], x, w);
                    }
                    weights = weights.wrapping_add(self.channels);
                }
            }
            for m in 0..BLOCK {
                if m >= bases.len() {
                    break;
                }
                // SAFETY: a row of `sums`, as asserted; the rest by this function's contract.
                unsafe {
                    let to = sums.add(m * self.channels);
                    J::join(reals, acc[m], base[m], to);
                    base[m] = to;
                }
            }
        }
    }
}
