//! How a window slides over a padded image: the geometry that convolutions share, and the tables of addresses it comes to.

use super::Failure;
use crate::arch::kernels::conv::Gather;
use crate::arch::kernels::prepare::PlaneShape;
use crate::budget::product;
use alloc::vec::Vec;
use penjing_format::{Padding, Shape};

/// Axis pairs are (rows, columns).
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) input: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Above and to the left.
    pub(crate) pad: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) out_channels: usize,
}

impl Window {
    /// Weights are `[_, KH, KW, _]`. Refuses other ranks, and extents that memory cannot address.
    pub(crate) fn new(
        [input, weights, output]: [Shape; 3],
        stride: [u32; 2],
        dilation: [u32; 2],
        padding: Padding,
    ) -> Result<Self, Failure> {
        let pair = |[a, b]: [u32; 2]| [a as usize, b as usize];
        let dims = |shape: Shape| shape.as_4d().ok_or(Failure::Rank);
        let ([_, h, w, channels], [_, out_h, out_w, out_c]) = (dims(input)?, dims(output)?);
        let [_, kernel_h, kernel_w, _] = dims(weights)?;
        let (kernel, output) = ([kernel_h, kernel_w], [out_h, out_w]);
        for (axis, (pad, len)) in [(padding.top, h), (padding.left, w)].into_iter().enumerate() {
            let windows = u64::from(output[axis]) * u64::from(stride[axis]);
            let taps = u64::from(kernel[axis]) * u64::from(dilation[axis]);
            let most = (windows + taps).max(u64::from(pad) + u64::from(len));
            isize::try_from(most).map_err(|_| Failure::TooLarge)?;
        }
        Ok(Self {
            input: pair([h, w]),
            channels: channels as usize,
            kernel: pair(kernel),
            stride: pair(stride),
            dilation: pair(dilation),
            pad: pair([padding.top, padding.left]),
            output: pair(output),
            out_channels: out_c as usize,
        })
    }

    /// Elements of one image.
    pub(crate) fn image_len(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    pub(crate) fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Rows or columns that the windows cover, padding and all; at least the image and what precedes it.
    fn extent(&self, axis: usize) -> usize {
        let covered = (self.output[axis] - 1) * self.stride[axis]
            + (self.kernel[axis] - 1) * self.dilation[axis]
            + 1;
        covered.max(self.pad[axis] + self.input[axis])
    }

    /// Bytes of a plane of elements of so many bytes.
    pub(crate) fn plane_bytes(&self, plane_channels: usize, bytes: usize) -> u64 {
        product(&[self.extent(0), self.extent(1), plane_channels, bytes])
    }

    /// The padded image, with `plane_channels` elements a pixel, and `slack` elements more.
    pub(crate) fn plane(&self, plane_channels: usize, repeat: usize, slack: usize) -> PlaneShape {
        let pitch = self.extent(1) * plane_channels;
        PlaneShape {
            rows: self.input[0],
            width: self.input[1],
            every: [1, 1],
            image_width: self.input[1],
            channels: self.channels,
            plane_channels,
            repeat,
            pitch,
            first: self.pad[0] * pitch + self.pad[1] * plane_channels,
            len: self.extent(0) * pitch + slack,
        }
    }

    /// The same window over the pixels alone that a 1x1 kernel with a stride reads, and a plane of those; `None` for others.
    pub(crate) fn picked(&self, slack: usize) -> Option<(Self, PlaneShape)> {
        if self.kernel != [1, 1] || self.stride == [1, 1] || self.pad != [0, 0] {
            return None;
        }
        // Padding behind the image adds outputs that read no pixel.
        let pixels = |axis: usize| self.input[axis].div_ceil(self.stride[axis]);
        let input = [0, 1].map(|axis| self.output[axis].min(pixels(axis)));
        let window = Self { input, stride: [1, 1], ..self.clone() };
        let plane = window.plane(self.channels, 1, slack);
        Some((window, PlaneShape { every: self.stride, image_width: self.input[1], ..plane }))
    }

    /// The first tap's byte for every output position, row by row.
    pub(crate) fn bases(&self, plane: &PlaneShape, bytes: usize) -> impl Iterator<Item = usize> {
        let step = [self.stride[0] * plane.pitch, self.stride[1] * plane.plane_channels];
        let columns = self.output[1];
        (0..self.positions()).map(move |p| (p / columns * step[0] + p % columns * step[1]) * bytes)
    }

    /// The pixel of every tap of every output position, positions row by row, taps column by column; `None` outside of the image.
    pub(crate) fn places(&self) -> impl Iterator<Item = Option<usize>> {
        let [kernel_h, kernel_w] = self.kernel;
        let columns = self.output[1];
        (0..self.positions() * kernel_h * kernel_w).map(move |place| {
            let (position, tap) = (place / (kernel_h * kernel_w), place % (kernel_h * kernel_w));
            let out = [position / columns, position % columns];
            let tap = [tap % kernel_h, tap / kernel_h];
            let inside = |axis: usize| {
                let at = out[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
                at.checked_sub(self.pad[axis]).filter(|&at| at < self.input[axis])
            };
            Some(inside(0)? * self.input[1] + inside(1)?)
        })
    }

    /// Bytes of the tables that [`gather`](Self::gather) makes, of so many taps.
    pub(crate) fn table_bytes(&self, taps: usize) -> u64 {
        let tap = size_of::<u32>() + size_of::<(usize, usize)>();
        product(&[self.output[0], self.output[1], size_of::<u32>()])
            .saturating_add(product(&[taps, tap]))
    }

    /// Taps of an output channel.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// The runs of taps that lie side by side in a plane: (first tap of the kernel in row-major order, taps, elements from the
    /// window's start).
    pub(crate) fn runs(&self, plane: &PlaneShape) -> Vec<(usize, usize, usize)> {
        let [kernel_h, kernel_w] = self.kernel;
        let channels = plane.plane_channels;
        let row = |r: usize| r * self.dilation[0] * plane.pitch;
        if self.dilation[1] == 1 {
            let len = kernel_w * channels;
            return (0..kernel_h).map(|r| (r * len, len, row(r))).collect();
        }
        let tap = |r: usize, s: usize| {
            let at = row(r) + s * self.dilation[1] * channels;
            ((r * kernel_w + s) * channels, channels, at)
        };
        (0..kernel_h).flat_map(|r| (0..kernel_w).map(move |s| tap(r, s))).collect()
    }

    /// The addresses of all taps, `per_dword` of them to a dword; and each tap's dword and part.
    ///
    /// `None` where an address exceeds 32 bits.
    pub(crate) fn gather(
        &self,
        plane: &PlaneShape,
        bytes: usize,
    ) -> Option<(Gather, Vec<(usize, usize)>)> {
        let per_dword = 4 / bytes;
        let (mut offsets, mut taps) = (Vec::new(), Vec::new());
        for (first, len, at) in self.runs(plane) {
            debug_assert_eq!(first, taps.len());
            for tap in 0..len {
                if tap % per_dword == 0 {
                    offsets.push((at + tap) * bytes);
                }
                taps.push((offsets.len() - 1, tap % per_dword));
            }
        }
        Gather::new(self.bases(plane, bytes), &offsets).map(|gather| (gather, taps))
    }
}
