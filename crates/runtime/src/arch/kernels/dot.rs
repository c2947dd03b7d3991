//! Dense layers with few outputs: dot products with lanes along the features, for blocks of images and outputs.
#![allow(unsafe_code)]

use super::super::lanes::{Lanes, Set};
use super::super::{Arithmetic, Kernel};
use core::ops::Range;

/// Writes `bias + dot` to `sums`, `[images][pitch]`; past the outputs a row is left as it is.
pub(crate) struct RunDot<'a, A: Arithmetic> {
    /// `[images][dwords]`.
    pub(crate) inputs: &'a [u32],
    /// `[outputs][dwords]`.
    pub(crate) weights: &'a [u32],
    /// Of a row of inputs or weights: a multiple of the lanes.
    pub(crate) dwords: usize,
    pub(crate) outputs: usize,
    /// One an output.
    pub(crate) bias: &'a [A::Sum],
    pub(crate) pitch: usize,
    pub(crate) sums: &'a mut [A::Sum],
}

impl<A: Arithmetic> Kernel for RunDot<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        let lanes = A::lanes(set);
        let (dwords, weights, pitch) = (self.dwords, self.weights, self.pitch);
        let bias = &self.bias[..self.outputs];
        let width = <A::Lanes<S> as Lanes>::LANES;
        let limit =
            chunk(self.outputs, width).min(<A::Lanes<S> as Lanes>::CHUNK.saturating_mul(width));
        let chunk = dwords.div_ceil(dwords.div_ceil(limit)).next_multiple_of(width);
        for sums in self.sums.chunks_mut(pitch) {
            sums[..bias.len()].copy_from_slice(bias);
        }
        for start in (0..dwords).step_by(chunk) {
            let range = start..dwords.min(start + chunk);
            let mut image = 0;
            let at_once = if S::REGISTERS >= 32 { 4 } else { 2 };
            for sums in self.sums.chunks_mut(at_once * pitch) {
                let images = sums.len() / pitch;
                let inputs = &self.inputs[image * dwords..(image + images) * dwords];
                let job = Dot {
                    inputs,
                    weights,
                    dwords,
                    outputs: bias.len(),
                    pitch,
                    sums,
                    range: range.clone(),
                };
                match (images, S::REGISTERS >= 32) {
                    (1, false) => job.run::<A::Lanes<S>, 1, 5>(lanes),
                    (1, true) => job.run::<A::Lanes<S>, 1, 10>(lanes),
                    (_, false) => job.run::<A::Lanes<S>, 2, 5>(lanes),
                    (_, true) => job.run::<A::Lanes<S>, 4, 5>(lanes),
                }
                image += images;
            }
        }
    }
}

/// Bytes of the nearest cache that operands may take: all but 4 KB of the smallest one in use.
const CACHE: usize = 28 << 10;

/// Dwords of a row that are run for all images before the next ones, so that their weights stay in the nearest cache.
fn chunk(outputs: usize, lanes: usize) -> usize {
    (CACHE / (4 * (outputs + 2))).next_multiple_of(lanes).max(32 * lanes)
}

struct Dot<'a, T> {
    inputs: &'a [u32],
    weights: &'a [u32],
    dwords: usize,
    outputs: usize,
    pitch: usize,
    sums: &'a mut [T],
    /// Of the dwords.
    range: Range<usize>,
}

impl<T: Copy> Dot<'_, T> {
    /// Up to `I` images, `O` outputs at a time; missing ones repeat the last.
    #[inline(always)]
    fn run<L: Lanes<Sum = T>, const I: usize, const O: usize>(self, lanes: L) {
        let outputs = self.outputs;
        let images = self.inputs.len() / self.dwords;
        assert!(self.dwords.is_multiple_of(L::LANES) && outputs > 0 && images > 0);
        assert!(self.weights.len() >= outputs * self.dwords && self.pitch >= outputs);
        assert!(self.range.end <= self.dwords && self.range.len().is_multiple_of(L::LANES));
        for first in (0..outputs).step_by(O) {
            let mut inputs = [self.inputs.as_ptr(); I];
            let mut weights = [self.weights.as_ptr(); O];
            for i in 0..I {
                // SAFETY: a row that the assertions have measured.
                inputs[i] = unsafe { inputs[i].add(i.min(images - 1) * self.dwords) };
            }
            for o in 0..O {
                // SAFETY: as above.
                weights[o] = unsafe { weights[o].add((first + o).min(outputs - 1) * self.dwords) };
            }
            // SAFETY: the range lies within the rows.
            let acc = unsafe {
                block::<L, I, O>(lanes, inputs, weights, self.range.start, self.range.end)
            };
            for i in 0..images.min(I) {
                let row = &mut self.sums[i * self.pitch..][..outputs][first..];
                for (four, row) in row.chunks_mut(4).enumerate().take(O.div_ceil(4)) {
                    let mut quad = [lanes.zero(); 4];
                    for o in 0..4.min(O - 4 * four) {
                        quad[o] = acc[i][4 * four + o];
                    }
                    let totals = lanes.total(quad);
                    for o in 0..row.len().min(O - 4 * four) {
                        row[o] = L::plus(row[o], totals[o]);
                    }
                }
            }
        }
    }
}

/// # Safety
/// Dwords `start..end`, a multiple of the lanes, can be read at every pointer.
#[inline(always)]
unsafe fn block<L: Lanes, const I: usize, const O: usize>(
    lanes: L,
    inputs: [*const u32; I],
    weights: [*const u32; O],
    start: usize,
    end: usize,
) -> [[L::V; O]; I] {
    let mut acc = [[lanes.zero(); O]; I];
    let mut k = start;
    while k < end {
        // SAFETY: by this function's contract.
        unsafe {
            let mut x = [lanes.operand(inputs[0].add(k)); I];
            for i in 1..I {
                x[i] = lanes.operand(inputs[i].add(k));
            }
            for o in 0..O {
                let w = lanes.operand(weights[o].add(k));
                for i in 0..I {
                    acc[i][o] = lanes.dot(acc[i][o], x[i], w);
                }
            }
        }
        k += L::LANES;
    }
    acc
}
