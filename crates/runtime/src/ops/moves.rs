//! Ops that compute nothing: real 0 around an image, and values side by side. They move bytes, whatever the type.

use alloc::vec;
use alloc::vec::Vec;
use penjing_format::{DataType, Pads, Shape, TensorType};

/// A planned padding.
pub(crate) struct Pad {
    /// Outermost first; inner dimensions without padding are parts of the last.
    dims: Vec<Dim>,
    /// The byte that elements of real 0 consist of.
    zero: u8,
}

/// A padded dimension, in bytes.
struct Dim {
    before: usize,
    after: usize,
    /// Its indices in the input; of the innermost, all bytes as one.
    len: usize,
}

impl Pad {
    pub(crate) fn new(pads: Pads, input: &TensorType) -> Self {
        // The zero point's low byte is its code; of f32, +0.0 has no bit set.
        let zero = input.quantization.map_or(0, |params| params.zero_point as u8);
        let mut dims = vec![];
        let mut unit = input.dtype.size();
        let sample = input.shape.dims().iter().skip(1).map(|&dim| dim as usize);
        let pairs = sample.zip(pads.pairs().iter().map(|pair| pair.map(|pad| pad as usize)));
        for (len, [before, after]) in pairs.collect::<Vec<_>>().into_iter().rev() {
            match dims.last_mut() {
                // Nothing inside is padded yet: the dimension is a part of its neighbour.
                None if [before, after] == [0, 0] => unit *= len,
                None => {
                    dims.push(Dim { before: before * unit, after: after * unit, len: len * unit });
                    unit *= before + len + after;
                }
                Some(_) => {
                    dims.push(Dim { before: before * unit, after: after * unit, len });
                    unit *= before + len + after;
                }
            }
        }
        if dims.is_empty() {
            dims.push(Dim { before: 0, after: 0, len: unit });
        }
        dims.reverse();
        Self { dims, zero }
    }

    /// Runs on `images` images.
    pub(crate) fn run(&self, mut input: &[u8], mut output: &mut [u8], images: usize) {
        for _ in 0..images {
            self.fill(&self.dims, &mut input, &mut output);
        }
    }

    fn fill(&self, dims: &[Dim], input: &mut &[u8], output: &mut &mut [u8]) {
        let Some((dim, inner)) = dims.split_first() else { return };
        next(output, dim.before).fill(self.zero);
        if inner.is_empty() {
            let (front, rest) = input.split_at(dim.len);
            next(output, dim.len).copy_from_slice(front);
            *input = rest;
        } else {
            for _ in 0..dim.len {
                self.fill(inner, input, output);
            }
        }
        next(output, dim.after).fill(self.zero);
    }
}

/// Cuts the next `len` bytes off the front.
fn next<'a>(left: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (front, rest) = core::mem::take(left).split_at_mut(len);
    *left = rest;
    front
}

/// A planned concatenation.
pub(crate) struct Concat {
    /// Bytes of an input for each index of the dimensions before the axis, one an input.
    parts: Vec<usize>,
    /// Their sum.
    pitch: usize,
}

impl Concat {
    /// `axis` counts the batch.
    pub(crate) fn new(axis: u32, dtype: DataType, inputs: impl Iterator<Item = Shape>) -> Self {
        let part = |shape: Shape| {
            let inner = shape.dims().iter().skip(axis as usize);
            inner.map(|&dim| dim as usize).product::<usize>() * dtype.size()
        };
        let parts: Vec<usize> = inputs.map(part).collect();
        let pitch = parts.iter().sum();
        Self { parts, pitch }
    }

    /// Puts every input of a tile to its places. Images are one more dimension before the axis.
    pub(crate) fn run<'a>(&self, lend: impl Fn(usize) -> Option<&'a [u8]>, output: &mut [u8]) {
        let mut first = 0;
        for (index, &len) in self.parts.iter().enumerate() {
            let input = lend(index).unwrap_or(&[]);
            for (from, to) in input.chunks_exact(len).zip(output.chunks_exact_mut(self.pitch)) {
                to[first..first + len].copy_from_slice(from);
            }
            first += len;
        }
    }
}
