//! Convolutions and dense layers of int8 weights over reals: the input is quantized as it comes, each image or each position over
//! its own range, the products are the integer kernels', and the sums become reals again.

use super::sums::{Weighted, image_of, next, place_of, real_bounds};
use super::window::Window;
use super::{Failure, Planning, mismatch};
use crate::arch::Isa;
use crate::arch::kernels::conv::{Gather, Product};
use crate::arch::kernels::dynamic::{Decode, Decoding, Encode};
use crate::arch::kernels::prepare::{PlaneShape, Prepare, shift};
use crate::arch::kernels::target::Target;
use crate::arch::lanes::Codes;
use crate::arch::memory::{room, take};
use crate::arch::{Clamp, Integers};
use crate::budget::product;
use crate::operand::{self, Weights};
use crate::tensor::{Input, Output};
use alloc::vec;
use alloc::vec::Vec;
use penjing_format::{Conv2d, FullyConnected, Padding, Shape};

/// Sums that a run of positions may have: what stays in the nearest cache beside weights and inputs.
const RUN_SUMS: usize = 4096;

/// The fewest positions of a run, a multiple of every kernel's block.
const RUN_POSITIONS: usize = 24;

/// Vectors of a lane each that it keeps: sums of weights, scales, biases, and zeros for the kernels to start from.
const LANE_VECTORS: usize = 4;

/// A planned layer.
pub(crate) struct Dynamic {
    pub(crate) name: &'static str,
    window: Window,
    /// Elements that have a range in common: of a position, or of an image.
    row: usize,
    plane: PlaneShape,
    codes: Codes,
    gather: Gather,
    weights: Weights,
    /// Vectors of a tile of output channels.
    tile: usize,
    /// One a lane: sums of weights, their scales, biases.
    sums: Vec<i32>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    zeros: Vec<i32>,
    clamp: Clamp,
}

impl Dynamic {
    pub(crate) fn conv2d(
        planning: Planning<'_>,
        op: &Conv2d<'_>,
        input: Shape,
        output: Shape,
    ) -> Result<Self, Failure> {
        let window =
            Window::new([input, op.weights.shape, output], op.stride, op.dilation, op.padding)?;
        // Where a position reads one pixel and no two the same, it has a range of its own.
        let own =
            window.kernel == [1, 1] && window.stride == [1, 1] && op.padding == Padding::default();
        let row = if own { window.channels } else { window.image_len() };
        let weighted =
            Weighted { weights: &op.weights, bias: op.bias.as_ref(), activation: op.activation };
        Self::new(planning, "conv2d", weighted, window, row)
    }

    /// A convolution of one pixel.
    pub(crate) fn fully_connected(
        planning: Planning<'_>,
        op: &FullyConnected<'_>,
    ) -> Result<Self, Failure> {
        let [outputs, features] = op.weights.shape.as_2d().ok_or(Failure::Rank)?;
        let shapes = [[1, 1, 1, features], [outputs, 1, 1, features], [1, 1, 1, outputs]];
        let window = Window::new(shapes.map(Shape::from), [1, 1], [1, 1], Padding::default())?;
        let (weights, bias) = (&op.weights, op.bias.as_ref());
        let weighted = Weighted { weights, bias, activation: op.activation };
        Self::new(planning, "fully_connected", weighted, window, features as usize)
    }

    fn new(
        planning: Planning<'_>,
        name: &'static str,
        op: Weighted<'_>,
        window: Window,
        row: usize,
    ) -> Result<Self, Failure> {
        let traits = planning.isa.traits();
        let (codes, channels) = (traits.codes, window.out_channels);
        let tile = super::conv2d::tile(channels, traits.lanes, traits.registers);
        let width = tile * traits.lanes;
        let lanes = channels.next_multiple_of(width);
        // Before anything of the kind is made; a run of taps may leave its last dword in part.
        let dwords = window.taps() / codes.per_dword() + window.kernel[0] * window.kernel[1];
        planning.budget.take(window.table_bytes(window.taps()))?;
        planning.budget.take(product(&[dwords + LANE_VECTORS, lanes, size_of::<u32>()]))?;
        planning.budget.fits(window.plane_bytes(window.channels, codes.bytes()))?;
        // A run's last dword may reach past its taps, up to 3 bytes past the plane.
        let plane = window.plane(window.channels, 1, codes.per_dword() - 1);
        let (gather, taps) = window.gather(&plane, codes.bytes()).ok_or(Failure::TooLarge)?;
        let dwords = gather.dwords();
        let mut weights = Weights::zeroed(dwords * lanes, codes);
        let place = |channel: usize| {
            let (first, taps) = (channel / width * dwords * width + channel % width, &taps);
            move |tap: usize| (first + taps[tap].0 * width, taps[tap].1)
        };
        let mut sums = vec![0; lanes];
        weights.fill(op.weights, place, |channel, sum| sums[channel] = sum);
        let mut scales: Vec<f32> = (0..channels).map(|c| op.weights.scales.get(c)).collect();
        scales.resize(lanes, 0.0);
        let (bias, zeros) = (operand::bias_f32(op.bias, lanes)?, vec![0; lanes]);
        let clamp = real_bounds(op.activation);
        Ok(Self {
            name,
            window,
            row,
            plane,
            codes,
            gather,
            weights,
            tile,
            sums,
            scales,
            bias,
            zeros,
            clamp,
        })
    }

    pub(crate) fn macs(&self) -> u64 {
        (self.window.positions() * self.window.out_channels * self.window.taps()) as u64
    }

    /// Positions whose sums are made at once.
    fn run_positions(&self) -> usize {
        let run = RUN_SUMS / self.zeros.len() / RUN_POSITIONS * RUN_POSITIONS;
        run.max(RUN_POSITIONS).min(self.window.positions())
    }

    /// Ranges of an image.
    fn rows(&self) -> usize {
        self.window.image_len() / self.row
    }

    pub(crate) fn scratch(&self) -> usize {
        room::<u8>(self.window.image_len())
            + room::<f32>(self.rows())
            + room::<i32>(self.rows())
            + room::<u8>(self.plane.len * self.codes.bytes())
            + room::<i32>(self.run_positions() * self.zeros.len())
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
        for image in 0..images {
            match (image_of(input, image, images), place_of(&mut output, image, images)) {
                (Input::F32(reals), Output::F32(out)) => self.image(isa, reals, out, scratch),
                (input, output) => mismatch(self.name, input.dtype(), output.dtype()),
            }
        }
    }

    fn image(&self, isa: Isa, reals: &[f32], mut out: &mut [f32], mut scratch: &mut [u8]) {
        let codes = take::<u8>(&mut scratch, reals.len());
        let steps = take::<f32>(&mut scratch, self.rows());
        let zeros = take::<i32>(&mut scratch, self.rows());
        isa.dispatch(Encode { reals, len: self.row, codes, steps, zeros });
        // One code stands for 0 in all of a plane: an image's own; where positions differ nothing is padded, and none will do.
        let zero_point = if let [zero] = zeros { *zero } else { 0 };
        let plane = take::<u8>(&mut scratch, self.plane.len * self.codes.bytes());
        let (shape, image) = (&self.plane, Input::U8(codes));
        isa.dispatch(Prepare { shape, image, zero_point, codes: self.codes, plane });
        let shift = shift(self.codes, true, zero_point);
        zeros.iter_mut().for_each(|zero| *zero += shift);
        let (lanes, channels) = (self.zeros.len(), self.window.out_channels);
        let run = self.run_positions();
        let sums = take::<i32>(&mut scratch, run * lanes);
        let to = Decoding {
            weights: &self.sums,
            scales: &self.scales,
            bias: &self.bias,
            channels,
            clamp: self.clamp,
        };
        for first in (0..self.window.positions()).step_by(run) {
            let positions = first..self.window.positions().min(first + run);
            let rows = if zeros.len() == 1 { 0..1 } else { positions.clone() };
            let sums = &mut sums[..positions.len() * lanes];
            let out = next(&mut out, positions.len() * channels);
            isa.dispatch(Product::<Integers> {
                gather: &self.gather,
                positions,
                plane,
                weights: self.weights.dwords(),
                bias: &self.zeros,
                target: Target::Sums(sums),
                tile: self.tile,
            });
            let (zeros, steps) = (&zeros[rows.clone()], &steps[rows]);
            isa.dispatch(Decode { to: &to, sums, zeros, steps, out });
        }
    }
}
