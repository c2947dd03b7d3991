//! Dense layers with few outputs: dot products with lanes along the features, for blocks of images and outputs.
#![allow(unsafe_code)]

use super::super::lanes::{Lanes, Set};
use super::super::{Arithmetic, Kernel};

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
        let mut image = 0;
        for sums in self.sums.chunks_mut(4 * pitch) {
            let images = sums.len() / pitch;
            let inputs = &self.inputs[image * dwords..(image + images) * dwords];
            let job = Dot { inputs, weights, dwords, bias, pitch, sums };
            match (images, S::REGISTERS >= 32) {
                (1, false) => job.run::<A::Lanes<S>, 1, 5>(lanes),
                (1, true) => job.run::<A::Lanes<S>, 1, 10>(lanes),
                (_, false) => job.run::<A::Lanes<S>, 4, 2>(lanes),
                (_, true) => job.run::<A::Lanes<S>, 4, 5>(lanes),
            }
            image += images;
        }
    }
}

struct Dot<'a, T> {
    inputs: &'a [u32],
    weights: &'a [u32],
    dwords: usize,
    bias: &'a [T],
    pitch: usize,
    sums: &'a mut [T],
}

impl<T: Copy> Dot<'_, T> {
    /// Up to `I` images, `O` outputs at a time; missing ones repeat the last.
    #[inline(always)]
    fn run<L: Lanes<Sum = T>, const I: usize, const O: usize>(self, lanes: L) {
        let outputs = self.bias.len();
        let images = self.inputs.len() / self.dwords;
        assert!(self.dwords.is_multiple_of(L::LANES) && outputs > 0 && images > 0);
        assert!(self.weights.len() >= outputs * self.dwords && self.pitch >= outputs);
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
            for i in 0..images {
                let end = (first + O).min(outputs);
                let row = &mut self.sums[i * self.pitch..][first..end];
                row.copy_from_slice(&self.bias[first..end]);
            }
            for start in (0..self.dwords).step_by(L::CHUNK.saturating_mul(L::LANES)) {
                let end = self.dwords.min(start.saturating_add(L::CHUNK.saturating_mul(L::LANES)));
                // SAFETY: `start..end` lies within the rows.
                let acc = unsafe { block::<L, I, O>(lanes, inputs, weights, start, end) };
                for i in 0..I {
                    if i >= images {
                        break;
                    }
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
