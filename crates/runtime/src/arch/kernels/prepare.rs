//! Inputs laid out for the kernels: codes shifted or centred, rows padded, channels brought to whole vectors. One pass over an
//! image; plain loops that LLVM vectorizes for each set.

use super::super::Kernel;
use super::super::lanes::{Codes, Set};
use super::super::memory::cast_mut;
use crate::tensor::Input;

/// Where an image's rows go in a plane, in elements.
#[derive(Clone, Debug)]
pub(crate) struct PlaneShape {
    /// Rows of the image.
    pub(crate) rows: usize,
    /// Pixels of a row.
    pub(crate) width: usize,
    /// Of the image's rows and columns, every so many are taken; `rows` and `width` count those.
    pub(crate) every: [usize; 2],
    /// Pixels of the image's own rows.
    pub(crate) image_width: usize,
    /// Channels of a pixel.
    pub(crate) channels: usize,
    /// Channels of a pixel in the plane; past the image's own there is padding.
    pub(crate) plane_channels: usize,
    /// Times that a channel is repeated in the plane.
    pub(crate) repeat: usize,
    /// Elements from one row to the next in the plane.
    pub(crate) pitch: usize,
    /// The first pixel's element in the plane.
    pub(crate) first: usize,
    /// Elements of the plane.
    pub(crate) len: usize,
}

impl PlaneShape {
    /// Whether the plane is the image as it is.
    pub(crate) fn is_plain(&self) -> bool {
        self.first == 0
            && self.repeat == 1
            && self.every == [1, 1]
            && self.plane_channels == self.channels
            && self.pitch == self.width * self.channels
    }
}

/// Writes one image to its plane.
pub(crate) struct Prepare<'a> {
    pub(crate) shape: &'a PlaneShape,
    pub(crate) image: Input<'a>,
    /// Of the image's codes; not used for reals.
    pub(crate) zero_point: i32,
    /// Reals are [`Codes::F32`].
    pub(crate) codes: Codes,
    pub(crate) plane: &'a mut [u8],
}

/// What a code is shifted by to lie in the plane as `codes`, u8 input or i8; with the zero point it tells what stands for 0.
pub(crate) fn shift(codes: Codes, unsigned: bool, zero_point: i32) -> i32 {
    match (codes, unsigned) {
        (Codes::F32 | Codes::I16, _) => -zero_point,
        (Codes::U8, true) | (Codes::I8, false) => 0,
        (Codes::U8, false) => 128,
        (Codes::I8, true) => -128,
    }
}

impl Kernel for Prepare<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let Prepare { shape, image, zero_point, codes, plane } = self;
        let plane = &mut plane[..shape.len * codes.bytes()];
        match image {
            Input::F32(x) => rows(shape, x, cast_mut(plane), 0.0, |x| x),
            Input::U8(x) => fill(shape, x, codes, true, zero_point, plane),
            Input::I8(x) => fill(shape, x, codes, false, zero_point, plane),
        }
    }
}

#[inline(always)]
fn fill<T: Copy + Into<i32>>(
    shape: &PlaneShape,
    image: &[T],
    codes: Codes,
    unsigned: bool,
    zero_point: i32,
    plane: &mut [u8],
) {
    let shift = shift(codes, unsigned, zero_point);
    let zero = zero_point + shift;
    match codes {
        Codes::F32 => rows(shape, image, cast_mut(plane), 0.0, |q| (q.into() + shift) as f32),
        Codes::I16 => {
            let shift = shift as i16;
            rows(shape, image, cast_mut(plane), 0_i16, |q| (q.into() as i16).wrapping_add(shift))
        }
        // Modulo 256 the shift is exact, and it is the same for u8 and i8.
        Codes::U8 | Codes::I8 => {
            let shift = shift as u8;
            rows(shape, image, plane, zero as u8, |q| (q.into() as u8).wrapping_add(shift))
        }
    }
}

#[inline(always)]
fn rows<T: Copy, P: Copy>(
    shape: &PlaneShape,
    image: &[T],
    plane: &mut [P],
    zero: P,
    convert: impl Fn(T) -> P + Copy,
) {
    let row_len = shape.width * shape.plane_channels;
    let same = shape.plane_channels == shape.channels && shape.repeat == 1;
    let image_row = shape.image_width * shape.channels;
    let mut end = 0;
    let picked = image.chunks_exact(image_row).step_by(shape.every[0]).take(shape.rows);
    for (y, row) in picked.enumerate() {
        let start = shape.first + y * shape.pitch;
        // What lies between the rows, and what their pixels do not fill, is padding.
        plane[end..start].fill(zero);
        end = start + row_len;
        let to = &mut plane[start..end];
        if same && shape.every[1] == 1 {
            convert_all(row, to, convert);
            continue;
        }
        let pixels = row.chunks_exact(shape.channels).step_by(shape.every[1]);
        if same {
            for (to, pixel) in to.chunks_exact_mut(shape.channels).zip(pixels) {
                convert_all(pixel, to, convert);
            }
            continue;
        }
        for (to, pixel) in to.chunks_exact_mut(shape.plane_channels).zip(pixels) {
            let (to, rest) = to.split_at_mut(shape.channels * shape.repeat);
            rest.fill(zero);
            if shape.repeat == 1 {
                convert_all(pixel, to, convert);
            } else {
                for (to, &x) in to.chunks_exact_mut(shape.repeat).zip(pixel) {
                    to.fill(convert(x));
                }
            }
        }
    }
    plane[end..].fill(zero);
}

/// Blocks of constant length cost no loop of their own where a pixel has few channels.
#[inline(always)]
fn convert_all<T: Copy, P: Copy>(from: &[T], to: &mut [P], convert: impl Fn(T) -> P) {
    debug_assert_eq!(from.len(), to.len(), "blocks of both are paired");
    let (blocks, rest) = from.as_chunks::<16>();
    let (to_blocks, to_rest) = to.as_chunks_mut::<16>();
    for (to, from) in to_blocks.iter_mut().zip(blocks) {
        // All read before any is written: nothing to prove about aliases.
        *to = from.map(&convert);
    }
    for (to, &x) in to_rest.iter_mut().zip(rest) {
        *to = convert(x);
    }
}
