//! Depthwise convolution of any kernel, stride, padding, dilation and depth multiplier. Output channels are in lanes; codes are
//! exact integers in f32 lanes.

use super::sums::{self, Quantization, Rows, Sums, Weighted, image_of, place_of};
use super::window::Window;
use super::{Failure, Planning, mismatch};
use crate::arch::kernels::conv::Gather;
use crate::arch::kernels::depthwise::{IntegerSums, Join, RealSums, RunDepthwise};
use crate::arch::kernels::prepare::{PlaneShape, Prepare};
use crate::arch::lanes::Codes;
use crate::arch::memory::{bytes_of_mut, room, take};
use crate::arch::{Floats, Integers, Isa};
use crate::budget::product;
use crate::operand::Weights;
use crate::tensor::{Input, Output};
use alloc::vec::Vec;
use penjing_format::{DepthwiseConv2d as Attributes, TensorType};

/// Sums that a run of positions may have.
const RUN_SUMS: usize = 4096;

/// A planned depthwise convolution.
pub(crate) struct DepthwiseConv2d {
    window: Window,
    plane: PlaneShape,
    /// Whether the image itself can serve as the plane.
    direct: bool,
    gather: Gather,
    /// `[taps][lanes]`.
    weights: Weights,
    /// Output channels, rounded up to whole vectors.
    lanes: usize,
    sums: Sums,
}

impl DepthwiseConv2d {
    pub(crate) fn new(
        planning: Planning<'_>,
        op: &Attributes<'_>,
        input: &TensorType,
        output: &TensorType,
    ) -> Result<Self, Failure> {
        let shapes = [input.shape, op.weights.shape, output.shape];
        let window = Window::new(shapes, op.stride, op.dilation, op.padding)?;
        let vector = planning.isa.traits().lanes;
        let quantization = Quantization::of(input, output);
        let channels = window.out_channels;
        let lanes = channels.next_multiple_of(vector);
        let weighted =
            Weighted { weights: &op.weights, bias: op.bias.as_ref(), activation: op.activation };
        let [kernel_h, kernel_w] = window.kernel;
        let taps = kernel_h * kernel_w;
        planning.budget.take(window.table_bytes(taps))?;
        planning.budget.take(product(&[taps + Sums::DWORDS, lanes, size_of::<u32>()]))?;
        planning.budget.fits(window.plane_bytes(lanes, size_of::<f32>()))?;
        let sums = Sums::new(weighted, quantization, channels, lanes)?;
        let plane = window.plane(lanes, channels / window.channels, 0);
        let mut offsets = Vec::with_capacity(kernel_h * kernel_w);
        for r in 0..kernel_h {
            for s in 0..kernel_w {
                let at = r * window.dilation[0] * plane.pitch + s * window.dilation[1] * lanes;
                offsets.push(4 * at);
            }
        }
        let gather = Gather::new(window.bases(&plane, 4), &offsets).ok_or(Failure::TooLarge)?;
        let mut weights = Weights::zeroed(offsets.len() * lanes, Codes::F32);
        weights.fill(&op.weights, |_| |at| (at / channels * lanes + at % channels, 0), |_, _| ());
        let whole =
            gather.end(&(0..window.positions())) + 4 * (lanes - 1) <= 4 * window.image_len();
        let direct = quantization.is_none() && plane.is_plain() && whole;
        Ok(Self { window, plane, direct, gather, weights, lanes, sums })
    }

    pub(crate) fn macs(&self) -> u64 {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        (self.window.positions() * self.window.out_channels * taps) as u64
    }

    /// Positions whose sums are made at once.
    fn run_positions(&self) -> usize {
        (RUN_SUMS / self.lanes).max(4).min(self.window.positions())
    }

    fn plane_len(&self) -> usize {
        if self.direct { 0 } else { self.plane.len }
    }

    pub(crate) fn scratch(&self) -> usize {
        room::<f32>(self.plane_len()) + room::<f32>(self.run_positions() * self.lanes)
    }

    /// Runs on `images` images.
    pub(crate) fn run(
        &self,
        isa: Isa,
        input: Input<'_>,
        mut output: Output<'_>,
        images: usize,
        scratch: &mut [u8],
    ) {
        for index in 0..images {
            let mut scratch = &mut *scratch;
            let plane = take::<f32>(&mut scratch, self.plane_len());
            let image = image_of(input, index, images);
            let plane = match image {
                Input::F32(image) if self.direct => image,
                image => {
                    let (shape, zero_point) = (&self.plane, self.sums.zero_point());
                    let (codes, to) = (Codes::F32, bytes_of_mut(plane));
                    isa.dispatch(Prepare { shape, image, zero_point, codes, plane: to });
                    plane
                }
            };
            match (&self.sums, place_of(&mut output, index, images)) {
                (Sums::Reals { bias, clamp }, Output::F32(mut out)) => {
                    self.rows::<RealSums>(isa, plane, bias, scratch, |sums, channels| {
                        let to = sums::next(&mut out, sums.len() / self.lanes * channels);
                        Floats::emit(isa, sums, self.lanes, channels, *clamp, to);
                    });
                }
                (Sums::Codes { bias, to: rule, .. }, Output::I8(mut out)) => {
                    self.rows::<IntegerSums>(isa, plane, bias, scratch, |sums, channels| {
                        let to = sums::next(&mut out, sums.len() / self.lanes * channels);
                        Integers::emit(isa, sums, self.lanes, channels, rule.rule(), to);
                    });
                }
                (_, output) => mismatch("depthwise_conv2d", input.dtype(), output.dtype()),
            }
        }
    }

    /// Hands all sums to `emit` in order, a run of positions at a time, with the number of output channels.
    fn rows<J: Join>(
        &self,
        isa: Isa,
        plane: &[f32],
        bias: &[J::Sum],
        mut scratch: &mut [u8],
        mut emit: impl FnMut(&[J::Sum], usize),
    ) {
        let run = self.run_positions();
        let row = take::<J::Sum>(&mut scratch, run * self.lanes);
        let positions = self.window.positions();
        for first in (0..positions).step_by(run) {
            let end = positions.min(first + run);
            let sums = &mut row[..(end - first) * self.lanes];
            isa.dispatch(RunDepthwise::<J> {
                gather: &self.gather,
                positions: first..end,
                plane,
                weights: &self.weights.reals()[..self.gather.dwords() * self.lanes],
                bias,
                sums,
            });
            emit(sums, self.window.out_channels);
        }
    }
}
