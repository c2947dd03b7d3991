//! Convolution of any kernel, stride, dilation, padding and channel count, with the max-pool that may follow it.
//!
//! It works a row of outputs at a time: sums, then the pool over whole rows of sums, then the activation's codes or reals.
//! A pool before requantization or ReLU is exact, since both are monotone. Integers run as exact integers in f32 lanes.

use super::max_pool2d::MaxPool2d;
use super::{Quantization, Requantization, Scratch, ScratchSize, mismatch};
use crate::arch::{ConvKernels, ConvRow, Kernels, PoolRow, SumKernels, clip};
use crate::operand;
use crate::tensor::{Input, Output};
use alloc::vec::Vec;
use core::ops::Range;
use penjing_format::{Activation, Conv2d as Attributes, DataType, PackingError, Shape};

/// Integers up to this are exact in f32.
const EXACT_F32: u64 = 1 << 24;

/// A planned convolution.
pub(crate) struct Conv2d {
    geometry: Geometry,
    /// `[tile][kernel_h][kernel_w][channels][lanes]`.
    weights: Vec<f32>,
    sums: Sums,
    pool: Option<MaxPool2d>,
    kernels: &'static ConvKernels,
}

/// What sums are collected in, and what they become.
enum Sums {
    F32 {
        bias: Vec<f32>,
        relu: bool,
    },
    /// Integers that f32 holds exactly whatever the input.
    NarrowI8 {
        bias: Vec<f32>,
        zero_point: i32,
        to: Requantization,
    },
    /// Integers that may pass 2^24.
    WideI8 {
        bias: Vec<i32>,
        zero_point: i32,
        to: Requantization,
    },
}

/// Axis pairs are (rows, columns).
struct Geometry {
    input: [usize; 2],
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pad: [usize; 2],
    /// Of the convolution, before a pool.
    output: [usize; 2],
    out_channels: usize,
    out_lanes: usize,
    /// Output columns whose windows lie inside the input.
    inside: Range<usize>,
}

impl Geometry {
    /// `None` unless the shapes have rank 4.
    fn new(op: &Attributes<'_>, input: Shape, output: Shape, lanes: usize) -> Option<Self> {
        let pair = |[a, b]: [u32; 2]| [a as usize, b as usize];
        let ([_, h, w, channels], [_, out_h, out_w, out_c]) = (input.as_4d()?, output.as_4d()?);
        let [_, kernel_h, kernel_w, _] = op.weights.shape.as_4d()?;
        let (kernel, stride, dilation) =
            (pair([kernel_h, kernel_w]), pair(op.stride), pair(op.dilation));
        let pad = pair([op.padding.top, op.padding.left]);
        let [_, width] = pair([h, w]);
        let [_, out_width] = pair([out_h, out_w]);
        let first = pad[1].div_ceil(stride[1]).min(out_width);
        let room = (width + pad[1]).checked_sub((kernel[1] - 1) * dilation[1] + 1);
        let end = room.map_or(first, |room| room / stride[1] + 1).clamp(first, out_width);
        Some(Self {
            input: pair([h, w]),
            channels: channels as usize,
            kernel,
            stride,
            dilation,
            pad,
            output: pair([out_h, out_w]),
            out_channels: out_c as usize,
            out_lanes: (out_c as usize).next_multiple_of(lanes),
            inside: first..end,
        })
    }

    /// Elements of a row of sums.
    fn row_len(&self) -> usize {
        self.output[1] * self.out_lanes
    }
}

impl Conv2d {
    /// Expands the weights; integers where there is a quantization. `Ok(None)` unless the shapes have rank 4.
    pub(crate) fn new(
        kernels: &Kernels,
        op: &Attributes<'_>,
        input: Shape,
        output: Shape,
        quantization: Option<Quantization>,
    ) -> Result<Option<Self>, PackingError> {
        let channels = output.last().unwrap_or(0) as usize;
        let kernels = kernels.conv_for(channels);
        let Some(geometry) = Geometry::new(op, input, output, kernels.lanes) else {
            return Ok(None);
        };
        let lanes = geometry.out_lanes;
        let sums = match quantization {
            None => Sums::F32 {
                bias: operand::bias_f32(op.bias.as_ref(), lanes)?,
                relu: op.activation == Activation::Relu,
            },
            Some(quantization) => {
                let bias = operand::bias_i32(op.bias.as_ref(), lanes)?;
                let to =
                    Requantization::new(&op.weights, quantization, op.activation, channels, lanes);
                let zero_point = quantization.input.zero_point;
                let worst = operand::worst_accumulator(&op.weights, &bias, quantization.reach);
                if worst <= EXACT_F32 {
                    let bias = bias.iter().map(|&b| b as f32).collect();
                    Sums::NarrowI8 { bias, zero_point, to }
                } else {
                    Sums::WideI8 { bias, zero_point, to }
                }
            }
        };
        let weights = operand::conv_lanes(&op.weights, kernels.lanes);
        Ok(Some(Self { geometry, weights, sums, pool: None, kernels }))
    }

    /// Takes over the pool of its output. Rows that two windows share would be computed twice: the planner avoids that.
    pub(crate) fn fuse(&mut self, pool: MaxPool2d) {
        self.pool = Some(pool);
    }

    pub(crate) fn scratch(&self) -> ScratchSize {
        let geometry = &self.geometry;
        let pooled = self.pool.as_ref().map_or(0, |pool| pool.output[1] * geometry.out_lanes);
        let rows = geometry.row_len() + pooled;
        let input = geometry.input[0] * geometry.input[1] * geometry.channels;
        match self.sums {
            Sums::F32 { .. } => ScratchSize { f32: rows, ..Default::default() },
            Sums::NarrowI8 { .. } => ScratchSize { f32: input + rows, ..Default::default() },
            Sums::WideI8 { .. } => ScratchSize { f32: input, i32: rows, ..Default::default() },
        }
    }

    /// Runs on one image.
    pub(crate) fn run(
        &self,
        kernels: &Kernels,
        input: Input<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) {
        let channels = self.geometry.out_channels;
        match (&self.sums, input, output) {
            (Sums::F32 { bias, relu }, Input::F32(x), Output::F32(out)) => {
                let mut out = out.chunks_exact_mut(self.out_row_len());
                self.rows(&self.kernels.f32, x, bias, &mut scratch.f32, |sums| {
                    if let Some(out) = out.next() {
                        (self.kernels.store)(sums, *relu, channels, out);
                    }
                });
            }
            (Sums::NarrowI8 { bias, zero_point, to }, input, Output::I8(out)) => {
                let (x, rows) = scratch.f32.split_at_mut(input.len());
                center(kernels, input, *zero_point, x);
                let mut out = out.chunks_exact_mut(self.out_row_len());
                self.rows(&self.kernels.f32, x, bias, rows, |sums| {
                    if let Some(out) = out.next() {
                        let requantize = self.kernels.f32.requantize;
                        requantize(sums, &to.multipliers, to.rule, channels, out);
                    }
                });
            }
            (Sums::WideI8 { bias, zero_point, to }, input, Output::I8(out)) => {
                let x = &mut scratch.f32[..input.len()];
                center(kernels, input, *zero_point, x);
                let mut out = out.chunks_exact_mut(self.out_row_len());
                self.rows(&self.kernels.i32, x, bias, &mut scratch.i32, |sums| {
                    if let Some(out) = out.next() {
                        let requantize = self.kernels.i32.requantize;
                        requantize(sums, &to.multipliers, to.rule, channels, out);
                    }
                });
            }
            (_, input, output) => mismatch("conv2d", input.dtype(), output.dtype()),
        }
    }

    /// Elements of a row of the output, after the pool.
    fn out_row_len(&self) -> usize {
        let width = self.pool.as_ref().map_or(self.geometry.output[1], |pool| pool.output[1]);
        width * self.geometry.out_channels
    }

    /// Hands every row of sums, pooled if there is a pool, to `emit`, in order.
    fn rows<A>(
        &self,
        kernels: &SumKernels<A>,
        input: &[f32],
        bias: &[A],
        scratch: &mut [A],
        mut emit: impl FnMut(&[A]),
    ) {
        let (row, rest) = scratch.split_at_mut(self.geometry.row_len());
        let Some(pool) = &self.pool else {
            for y in 0..self.geometry.output[0] {
                (kernels.conv)(&self.row(input, bias, y), row);
                emit(row);
            }
            return;
        };
        let columns = PoolRow {
            window: pool.window[1],
            stride: pool.stride[1],
            pad_left: pool.pad[1],
            width: pool.input[1],
            out_width: pool.output[1],
            lanes: self.geometry.out_lanes,
        };
        let pooled = &mut rest[..columns.out_width * columns.lanes];
        for pool_y in 0..pool.output[0] {
            let window = pool.window_at(0, pool_y);
            for y in window.clone() {
                (kernels.conv)(&self.row(input, bias, y), row);
                (kernels.pool)(&columns, row, pooled, y == window.start);
            }
            emit(pooled);
        }
    }

    /// The job of output row `y`.
    fn row<'a, A>(&'a self, input: &'a [f32], bias: &'a [A], y: usize) -> ConvRow<'a, A> {
        let g = &self.geometry;
        let top = y * g.stride[0];
        ConvRow {
            input,
            weights: &self.weights,
            bias,
            kernel: g.kernel,
            dilation: g.dilation,
            stride_w: g.stride[1],
            pad_top: g.pad[0],
            pad_left: g.pad[1],
            width: g.input[1],
            channels: g.channels,
            out_width: g.output[1],
            out_lanes: g.out_lanes,
            top,
            kernel_rows: clip(top, g.pad[0], g.kernel[0], g.dilation[0], g.input[0]),
            inside: g.inside.clone(),
        }
    }
}

fn center(kernels: &Kernels, input: Input<'_>, zero_point: i32, out: &mut [f32]) {
    match input {
        Input::I8(q) => (kernels.center_i8_f32)(q, zero_point, out),
        Input::U8(q) => (kernels.center_u8_f32)(q, zero_point, out),
        Input::F32(_) => mismatch("conv2d", DataType::F32, DataType::I8),
    }
}
