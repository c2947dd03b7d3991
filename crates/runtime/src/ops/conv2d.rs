//! Convolution of any kernel, stride, dilation, padding and channel count, with the max-pool that may follow it.
//!
//! Output channels are in lanes; sums of a run of positions are made, pooled by whole rows if a pool follows, then turned into
//! codes or reals. A pool before requantization or ReLU is exact, since both are monotone.

use super::max_pool2d::MaxPool2d;
use super::sums::{self, Quantization, Rows, Sums, Weighted, image_of, place_of};
use super::window::Window;
use super::{Failure, Planning, mismatch};
use crate::arch::kernels::conv::{Gather, Product};
use crate::arch::kernels::prepare::{PlaneShape, Prepare, shift};
use crate::arch::kernels::rows::{Pool, PoolRow};
use crate::arch::kernels::target::Target;
use crate::arch::lanes::Codes;
use crate::arch::memory::{room, take};
use crate::arch::{Floats, Integers, Isa};
use crate::budget::product;
use crate::operand::Weights;
use crate::tensor::{Input, Output};
use core::ops::Range;
use penjing_format::{Conv2d as Attributes, TensorType};

/// Outputs that a run of positions may have where there are several tiles: what stays in the nearest cache beside weights.
const RUN_SUMS: usize = 4096;

/// The fewest positions of a run, a multiple of every kernel's block.
const RUN_POSITIONS: usize = 24;

/// A planned convolution.
pub(crate) struct Conv2d {
    window: Window,
    plane: PlaneShape,
    /// Whether the image itself can serve as the plane.
    direct: bool,
    codes: Codes,
    gather: Gather,
    weights: Weights,
    /// Vectors of a tile of output channels.
    tile: usize,
    /// Lanes of a vector.
    vector: usize,
    /// Output channels, rounded up to whole tiles.
    lanes: usize,
    sums: Sums,
    pool: Option<(MaxPool2d, PoolRow)>,
}

impl Conv2d {
    pub(crate) fn new(
        planning: Planning<'_>,
        op: &Attributes<'_>,
        input: &TensorType,
        output: &TensorType,
    ) -> Result<Self, Failure> {
        let shapes = [input.shape, op.weights.shape, output.shape];
        let mut window = Window::new(shapes, op.stride, op.dilation, op.padding)?;
        let traits = planning.isa.traits();
        let quantization = Quantization::of(input, output);
        let tile = tile(window.out_channels, traits.lanes, traits.registers);
        let width = tile * traits.lanes;
        let lanes = window.out_channels.next_multiple_of(width);
        let weighted =
            Weighted { weights: &op.weights, bias: op.bias.as_ref(), activation: op.activation };
        let codes = if quantization.is_some() { traits.codes } else { Codes::F32 };
        // Before anything of the kind is made; a run of taps may leave its last dword in part.
        let runs = window.kernel[0] * window.kernel[1];
        let dwords = window.taps() / codes.per_dword() + runs;
        planning.budget.take(window.table_bytes(window.taps()))?;
        planning.budget.take(product(&[dwords + Sums::DWORDS, lanes, size_of::<u32>()]))?;
        planning.budget.fits(window.plane_bytes(window.channels, codes.bytes()))?;
        let mut sums = Sums::new(weighted, quantization, window.out_channels, lanes)?;
        // A run's last dword may reach past its taps, up to 3 bytes past the plane.
        let slack = codes.per_dword() - 1;
        let mut plane = window.plane(window.channels, 1, slack);
        let image_bytes = window.image_len() * codes.bytes();
        let raw = match quantization {
            None => true,
            Some(q) => shift(codes, q.unsigned, 1) == 0 && codes.bytes() == 1,
        };
        if let Some(picked) = window.picked(slack).filter(|_| !raw) {
            (window, plane) = picked;
        }
        let (gather, taps) = window.gather(&plane, codes.bytes()).ok_or(Failure::TooLarge)?;
        let dwords = gather.dwords();
        let mut weights = Weights::zeroed(dwords * lanes, codes);
        let place = |channel: usize| {
            let (first, taps) = (channel / width * dwords * width + channel % width, &taps);
            move |tap: usize| (first + taps[tap].0 * width, taps[tap].1)
        };
        let mut folding = sums.folding(quantization, |unsigned, zero_point| {
            zero_point + shift(codes, unsigned, zero_point)
        });
        weights.fill(&op.weights, place, |channel, sum| folding.take(channel, sum));
        let direct = raw && plane.is_plain() && gather.end(&(0..window.positions())) <= image_bytes;
        Ok(Self {
            window,
            plane,
            direct,
            codes,
            gather,
            weights,
            tile,
            vector: traits.lanes,
            lanes,
            sums,
            pool: None,
        })
    }

    /// Takes over the pool of its output. Rows that two windows share would be computed twice: the planner avoids that.
    pub(crate) fn fuse(&mut self, pool: MaxPool2d) {
        let windows = (0..pool.output[1]).map(|column| pool.window_at(1, column)).collect();
        let row = PoolRow { windows, lanes: self.lanes };
        self.pool = Some((pool, row));
    }

    /// Whether it does a pool too.
    pub(crate) fn is_fused(&self) -> bool {
        self.pool.is_some()
    }

    pub(crate) fn macs(&self) -> u64 {
        let taps = self.window.kernel[0] * self.window.kernel[1] * self.window.channels;
        (self.window.positions() * self.window.out_channels * taps) as u64
    }

    /// Positions whose sums are made at once.
    fn run_positions(&self) -> usize {
        if self.pool.is_some() {
            return self.window.output[1];
        }
        if self.lanes == self.tile * self.vector {
            return self.window.positions();
        }
        let run = (RUN_SUMS / self.lanes / RUN_POSITIONS * RUN_POSITIONS).max(RUN_POSITIONS);
        run.min(self.window.positions())
    }

    fn plane_bytes(&self) -> usize {
        if self.direct { 0 } else { self.plane.len * self.codes.bytes() }
    }

    pub(crate) fn scratch(&self) -> usize {
        let pooled = self.pool.as_ref().map_or(0, |(pool, _)| {
            room::<f32>(self.run_positions() * self.lanes)
                + room::<f32>(pool.output[1] * self.lanes)
        });
        room::<u8>(self.plane_bytes()) + pooled
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
            let mut scratch = &mut *scratch;
            let plane = take::<u8>(&mut scratch, self.plane_bytes());
            let image_in = image_of(input, image, images);
            let plane = if self.direct {
                image_in.bytes()
            } else {
                let (shape, codes) = (&self.plane, self.codes);
                let zero_point = self.sums.zero_point();
                isa.dispatch(Prepare { shape, image: image_in, zero_point, codes, plane });
                plane
            };
            match (&self.sums, place_of(&mut output, image, images)) {
                (Sums::Reals { bias, clamp }, Output::F32(out)) => {
                    self.rows::<Floats>(isa, plane, bias, *clamp, out, scratch);
                }
                (Sums::Codes { bias, to, .. }, Output::I8(out)) => {
                    self.rows::<Integers>(isa, plane, bias, to.rule(), out, scratch);
                }
                (_, output) => mismatch("conv2d", input.dtype(), output.dtype()),
            }
        }
    }

    /// Makes all outputs in order, a run of positions at a time, pooled if there is a pool.
    fn rows<A: Rows>(
        &self,
        isa: Isa,
        plane: &[u8],
        bias: &[A::Sum],
        rule: A::Rule<'_>,
        mut out: &mut [A::Out],
        mut scratch: &mut [u8],
    ) {
        let (run, channels) = (self.run_positions(), self.window.out_channels);
        let product = |positions: Range<usize>, target: Target<'_, '_, A>| {
            let (gather, weights, tile) = (&self.gather, self.weights.dwords(), self.tile);
            isa.dispatch(Product { gather, positions, plane, weights, bias, target, tile });
        };
        let Some((pool, columns)) = &self.pool else {
            let positions = self.window.positions();
            for first in (0..positions).step_by(run) {
                let end = positions.min(first + run);
                let out = sums::next(&mut out, (end - first) * channels);
                product(first..end, Target::Out { rule, channels, out });
            }
            return;
        };
        let row = take::<A::Sum>(&mut scratch, run * self.lanes);
        let pooled = take::<A::Sum>(&mut scratch, columns.windows.len() * self.lanes);
        for pool_y in 0..pool.output[0] {
            let window = pool.window_at(0, pool_y);
            for y in window.clone() {
                product(y * run..(y + 1) * run, Target::Sums(row));
                isa.dispatch(Pool { shape: columns, row, pooled, first: y == window.start });
            }
            let to = sums::next(&mut out, columns.windows.len() * channels);
            A::emit(isa, pooled, self.lanes, channels, rule, to);
        }
    }
}

/// Vectors of a tile: what pads `channels` least; among equals, the most.
pub(crate) fn tile(channels: usize, lanes: usize, registers: usize) -> usize {
    let most = if registers >= 32 { 4 } else { 3 };
    let padded = |tile: usize| channels.next_multiple_of(tile * lanes);
    (1..=most).rev().min_by_key(|&tile| padded(tile)).unwrap_or(1)
}
