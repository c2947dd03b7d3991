//! Depthwise sums: channels in lanes, of reals or of integers that are exact in them. Planes, tables and rounding are `ops`'.
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::lanes::{CHUNK_F32, EXACT_PRODUCTS, Lanes, Reals, Set};
use super::super::memory::Plain;
use super::conv::Gather;
use core::marker::PhantomData;
use core::ops::Range;

/// Sums at once: enough to hide a product's latency, and few enough for the registers.
const SUMS: usize = 8;

/// Reals of a cache line.
const LINE: usize = 16;

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
        // Two vectors of a pixel lie in one cache line where a line is more than one: whoever loads it takes both.
        let pair = if lanes < LINE { channels / (2 * lanes) * 2 * lanes } else { 0 };
        let place = |channel: usize| Place::<J> {
            plane: &raw const self.plane[channel],
            offsets: self.gather.offsets(),
            weights: &raw const self.weights[channel],
            bias: &raw const self.bias[channel],
            channels,
            sums: PhantomData,
        };
        for (block, bases) in bases.chunks(SUMS / 2).enumerate() {
            for channel in (0..pair).step_by(2 * lanes) {
                let sums = &mut self.sums[block * (SUMS / 2) * channels + channel..];
                // SAFETY: measured above; `channel` plus two vectors is at most `channels`.
                unsafe { place(channel).block::<_, { SUMS / 2 }, 2>(reals, bases, sums) };
            }
        }
        for (block, bases) in bases.chunks(SUMS).enumerate() {
            for channel in (pair..channels).step_by(lanes) {
                let sums = &mut self.sums[block * SUMS * channels + channel..];
                // SAFETY: as above, for one vector.
                unsafe { place(channel).block::<_, SUMS, 1>(reals, bases, sums) };
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
    /// `V` vectors of channels of up to `M` positions; a missing one repeats the last.
    ///
    /// # Safety
    /// The vectors can be read at every base and offset of the plane, at `weights` for every tap, `channels` apart, and at
    /// `bias`.
    #[inline(always)]
    unsafe fn block<R: Reals, const M: usize, const V: usize>(
        &self,
        reals: R,
        bases: &[u32],
        sums: &mut [J::Sum],
    ) {
        let mut inputs = [self.plane.cast::<u8>(); M];
        for m in 0..M {
            let base = bases[m.min(bases.len() - 1)];
            // SAFETY: inside the plane, by this function's contract.
            inputs[m] = unsafe { inputs[m].add(base as usize) };
        }
        assert!(sums.len() >= (bases.len().min(M) - 1) * self.channels + V * R::LANES, "sums");
        let sums = sums.as_mut_ptr();
        let mut weights = self.weights;
        for (chunk, offsets) in self.offsets.chunks(J::CHUNK).enumerate() {
            let mut acc = [[reals.zero(); V]; M];
            for &offset in offsets {
                // SAFETY: by this function's contract.
                unsafe {
                    let mut w = [reals.operand(weights.cast()); V];
                    for v in 1..V {
                        w[v] = reals.operand(weights.add(v * R::LANES).cast());
                    }
                    for m in 0..M {
                        let x = inputs[m].add(offset as usize).cast::<u32>();
                        for v in 0..V {
                            let x = reals.operand(x.add(v * R::LANES));
                            acc[m][v] = reals.dot(acc[m][v], x, w[v]);
                        }
                    }
                    weights = weights.wrapping_add(self.channels);
                }
            }
            for m in 0..M {
                if m >= bases.len() {
                    break;
                }
                for v in 0..V {
                    // SAFETY: a row of `sums`, as asserted; the rest by this function's contract.
                    unsafe {
                        let to = sums.add(m * self.channels + v * R::LANES);
                        let base = if chunk == 0 { self.bias.add(v * R::LANES) } else { to };
                        J::join(reals, acc[m][v], base, to);
                    }
                }
            }
        }
    }
}
