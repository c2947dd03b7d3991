//! Depthwise convolution of any kernel, stride, padding, dilation and depth multiplier. Output channels are in lanes; codes are
//! exact integers in f32 lanes.

use super::sums::{Quantization, Sums, Weighted, image_of, place_of};
use super::window::Window;
use super::{Failure, Planning, mismatch};
use crate::arch::Isa;
use crate::arch::kernels::conv::Gather;
use crate::arch::kernels::depthwise::{Indirect, IntegerSums, RealSums, RunDepthwise, Taps};
use crate::arch::kernels::prepare::{PlaneShape, Prepare};
use crate::arch::lanes::Codes;
use crate::arch::memory::{bytes_of_mut, room, take};
use crate::budget::product;
use crate::operand::Weights;
use crate::tensor::{Input, Output};
use alloc::vec::Vec;
use penjing_format::{DepthwiseConv2d as Attributes, TensorType};

/// Bytes of a table of all taps that are worth a plane saved.
const MAX_TABLE: u64 = 64 << 10;

/// A planned depthwise convolution.
pub(crate) struct DepthwiseConv2d {
    window: Window,
    plane: PlaneShape,
    /// For the image itself, where it needs no plane.
    table: Option<Indirect>,
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
        // Column by column, as LiteRT sums reals: where a later layer quantizes them, the last bit may decide about a code.
        let mut offsets = Vec::with_capacity(kernel_h * kernel_w);
        for s in 0..kernel_w {
            for r in 0..kernel_h {
                let at = r * window.dilation[0] * plane.pitch + s * window.dilation[1] * lanes;
                offsets.push(4 * at);
            }
        }
        let gather = Gather::new(window.bases(&plane, 4), &offsets).ok_or(Failure::TooLarge)?;
        let mut weights = Weights::zeroed(offsets.len() * lanes, Codes::F32);
        let place = |at: usize| {
            let (tap, channel) = (at / channels, at % channels);
            let tap = tap % kernel_w * kernel_h + tap / kernel_w;
            (tap * lanes + channel, 0)
        };
        weights.fill(&op.weights, |_| &place, |_, _| ());
        let table = Self::table(&window, planning, quantization.is_none(), lanes)?;
        Ok(Self { window, plane, table, gather, weights, lanes, sums })
    }

    /// The taps of the image itself, where no plane is needed: reals that lie in whole vectors.
    fn table(
        window: &Window,
        planning: Planning<'_>,
        reals: bool,
        lanes: usize,
    ) -> Result<Option<Indirect>, Failure> {
        let taps = window.kernel[0] * window.kernel[1];
        let bytes = product(&[window.positions(), taps, size_of::<u32>()]);
        if !reals || lanes != window.channels || bytes > MAX_TABLE {
            return Ok(None);
        }
        planning.budget.take(bytes)?;
        let places = window.places().map(|pixel| pixel.map(|pixel| 4 * pixel * lanes));
        Indirect::new(places, taps).ok_or(Failure::TooLarge).map(Some)
    }

    pub(crate) fn macs(&self) -> u64 {
        let taps = self.window.kernel[0] * self.window.kernel[1];
        (self.window.positions() * self.window.out_channels * taps) as u64
    }

    fn plane_len(&self) -> usize {
        if self.table.is_some() { 0 } else { self.plane.len }
    }

    pub(crate) fn scratch(&self) -> usize {
        room::<f32>(self.plane_len())
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
            let (plane, taps) = match (image, &self.table) {
                (Input::F32(image), Some(table)) => (image, Taps::Indirect(table)),
                (image, _) => {
                    let (shape, zero_point) = (&self.plane, self.sums.zero_point());
                    let (codes, to) = (Codes::F32, bytes_of_mut(plane));
                    isa.dispatch(Prepare { shape, image, zero_point, codes, plane: to });
                    (&*plane, Taps::Padded(&self.gather))
                }
            };
            let weights = &self.weights.reals()[..self.gather.dwords() * self.lanes];
            let channels = self.window.out_channels;
            match (&self.sums, place_of(&mut output, index, images)) {
                (Sums::Reals { bias, clamp: rule }, Output::F32(out)) => {
                    let rule = *rule;
                    isa.dispatch(RunDepthwise::<RealSums> {
                        taps,
                        plane,
                        weights,
                        bias,
                        rule,
                        channels,
                        out,
                    });
                }
                (Sums::Codes { bias, to, .. }, Output::I8(out)) => {
                    let rule = to.rule();
                    isa.dispatch(RunDepthwise::<IntegerSums> {
                        taps,
                        plane,
                        weights,
                        bias,
                        rule,
                        channels,
                        out,
                    });
                }
                (_, output) => mismatch("depthwise_conv2d", input.dtype(), output.dtype()),
            }
        }
    }
}
