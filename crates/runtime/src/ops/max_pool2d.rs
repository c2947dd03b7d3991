//! Max pooling of any element type by itself; a pool right after a convolution is the convolution's (`conv2d`).

use super::mismatch;
use super::sums::{image_of, place_of};
use crate::arch::lanes::Set;
use crate::arch::{Isa, Kernel};
use crate::tensor::{Input, Output};
use core::ops::Range;
use penjing_format::{MaxPool2d as Attributes, Shape};

/// A window that slides over `[height, width, channels]`.
#[derive(Clone, Debug)]
pub(crate) struct MaxPool2d {
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) window: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Padding above and to the left.
    pub(crate) pad: [usize; 2],
}

impl MaxPool2d {
    /// `None` unless both shapes are `[1, H, W, C]`.
    pub(crate) fn new(op: &Attributes, input: Shape, output: Shape) -> Option<Self> {
        let ([_, h, w, c], [_, out_h, out_w, _]) = (input.as_4d()?, output.as_4d()?);
        let pair = |[a, b]: [u32; 2]| [a as usize, b as usize];
        Some(Self {
            input: pair([h, w]),
            output: pair([out_h, out_w]),
            channels: c as usize,
            window: pair(op.window),
            stride: pair(op.stride),
            pad: pair([op.padding.top, op.padding.left]),
        })
    }

    /// The input rows (axis 0) or columns (axis 1) of the window at `position`; never none.
    pub(crate) fn window_at(&self, axis: usize, position: usize) -> Range<usize> {
        let start = position * self.stride[axis];
        clip_window(start, self.pad[axis], self.window[axis], self.input[axis])
    }

    /// Runs on `images` images.
    pub(crate) fn run(&self, isa: Isa, input: Input<'_>, mut output: Output<'_>, images: usize) {
        for index in 0..images {
            let output = place_of(&mut output, index, images);
            isa.dispatch(Pool { op: self, input: image_of(input, index, images), output });
        }
    }

    #[inline(always)]
    fn pool<T: Copy + PartialOrd>(&self, input: &[T], output: &mut [T]) {
        let (width, channels) = (self.input[1], self.channels);
        let mut places = output.chunks_exact_mut(channels);
        for row in 0..self.output[0] {
            let rows = self.window_at(0, row);
            for column in 0..self.output[1] {
                let Some(best) = places.next() else { return };
                let columns = self.window_at(1, column);
                let first = (rows.start * width + columns.start) * channels;
                best.copy_from_slice(&input[first..first + channels]);
                for r in rows.clone() {
                    let line = (r * width + columns.start) * channels;
                    let line = &input[line..line + columns.len() * channels];
                    for x in line.chunks_exact(channels) {
                        for (best, &x) in best.iter_mut().zip(x) {
                            *best = if x > *best { x } else { *best };
                        }
                    }
                }
            }
        }
    }
}

/// One image; a plain loop that LLVM vectorizes for each set.
struct Pool<'a> {
    op: &'a MaxPool2d,
    input: Input<'a>,
    output: Output<'a>,
}

impl Kernel for Pool<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        match (self.input, self.output) {
            (Input::F32(x), Output::F32(out)) => self.op.pool(x, out),
            (Input::I8(x), Output::I8(out)) => self.op.pool(x, out),
            (Input::U8(x), Output::U8(out)) => self.op.pool(x, out),
            (input, output) => mismatch("max_pool2d", input.dtype(), output.dtype()),
        }
    }
}

/// The elements of an axis of `len` that lie in a pool's window starting at `start` of the axis with `pad` before it.
#[inline]
fn clip_window(start: usize, pad: usize, window: usize, len: usize) -> Range<usize> {
    start.max(pad) - pad..(start + window).min(pad + len) - pad
}
