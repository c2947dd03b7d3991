//! A 3x3 convolution of one channel of codes with a 2x2 max-pool behind it, by integer products: each pooled output is one 4x4
//! patch, whose four sums share the loads of its rows. Pooled positions are in lanes. Reals are `winograd`'s.
//!
//! Rows lie in two planes, by parity, so that a row of patches for all lanes is one load.
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::lanes::{Codes, Ints, Lanes, Pairs, Quads, Reals, Set};
use super::super::memory::cast_mut;
use super::prepare::shift;
use super::winograd::Parity;
use crate::tensor::Input;

/// Dwords of weights of a channel.
pub(crate) const DWORDS: usize = 6;

/// Splits an image into its planes, as the set's integer products read codes.
pub(crate) struct SplitRows<'a> {
    /// Its pitch and plane count pairs of pixels.
    pub(crate) shape: &'a Parity,
    pub(crate) image: Input<'a>,
    pub(crate) zero_point: i32,
    pub(crate) codes: Codes,
    pub(crate) planes: &'a mut [u8],
}

impl Kernel for SplitRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let (zero_point, codes) = (self.zero_point, self.codes);
        match self.image {
            Input::U8(x) => {
                let shift = shift(codes, true, zero_point);
                split(self.shape, x, codes, zero_point + shift, shift, self.planes);
            }
            Input::I8(x) => {
                let shift = shift(codes, false, zero_point);
                split(self.shape, x, codes, zero_point + shift, shift, self.planes);
            }
            Input::F32(_) => unreachable!("codes"),
        }
    }
}

#[inline(always)]
fn split<T: Copy + Into<i32>>(
    shape: &Parity,
    image: &[T],
    codes: Codes,
    zero: i32,
    shift: i32,
    planes: &mut [u8],
) {
    match codes {
        Codes::I16 => {
            let shift = shift as i16;
            rows(shape, image, cast_mut(planes), 0_i16, |q| (q.into() as i16).wrapping_add(shift));
        }
        _ => {
            let shift = shift as u8;
            rows(shape, image, planes, zero as u8, |q| (q.into() as u8).wrapping_add(shift));
        }
    }
}

#[inline(always)]
fn rows<T: Copy, P: Copy>(
    shape: &Parity,
    image: &[T],
    planes: &mut [P],
    zero: P,
    convert: impl Fn(T) -> P,
) {
    let [height, width] = shape.image;
    let [top, left] = shape.pad;
    planes.fill(zero);
    for (y, row) in image.chunks_exact(width).enumerate().take(height) {
        let y = y + top;
        let at = 2 * (y % 2 * shape.plane + y / 2 * shape.pitch) + left;
        for (to, &x) in planes[at..at + width].iter_mut().zip(row) {
            *to = convert(x);
        }
    }
}

/// What one image's patches come to, as codes, `[channels][groups * LANES]`.
pub(crate) struct Patches<'a> {
    pub(crate) shape: &'a Parity,
    /// The two planes.
    pub(crate) planes: &'a [u8],
    /// `[channels][DWORDS]`, from [`pairs`] or [`quads`].
    pub(crate) weights: &'a [u32],
    /// One a channel, for products of codes as they lie.
    pub(crate) bias: &'a [i32],
    /// One a channel, for centred codes: the sum of a patch that is real 0.
    pub(crate) rest: &'a [i32],
    /// What stands for real 0 in the planes.
    pub(crate) zero: u8,
    /// Of the centred code.
    pub(crate) bounds: (f32, f32),
    /// Added to the centred code.
    pub(crate) shift: i32,
    pub(crate) multipliers: &'a [f32],
    pub(crate) out: &'a mut [u8],
}

/// Runs [`Patches`] by the set's own integer products.
pub(crate) struct RunPatches<'a>(pub(crate) Patches<'a>);

impl Kernel for RunPatches<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        set.patches(self.0);
    }
}

/// Weights of one channel, `[9]` in row order, as pairs of i16: three rows' first two, then the last column by halves.
pub(crate) fn pairs(g: [i8; 9]) -> [u32; DWORDS] {
    let pair = |low: i8, high: i8| {
        u32::from(i16::from(low) as u16) | u32::from(i16::from(high) as u16) << 16
    };
    [
        pair(g[0], g[1]),
        pair(g[3], g[4]),
        pair(g[6], g[7]),
        pair(g[2], g[5]),
        pair(g[8], 0),
        pair(0, g[8]),
    ]
}

/// Weights of one channel, `[9]` in row order, as quads of i8: rows for the left column of a patch's sums, then for the right.
pub(crate) fn quads(g: [i8; 9]) -> [u32; DWORDS] {
    let quad = |bytes: [i8; 4]| u32::from_le_bytes(bytes.map(|w| w as u8));
    [
        quad([g[0], g[1], g[2], 0]),
        quad([g[3], g[4], g[5], 0]),
        quad([g[6], g[7], g[8], 0]),
        quad([0, g[0], g[1], g[2]]),
        quad([0, g[3], g[4], g[5]]),
        quad([0, g[6], g[7], g[8]]),
    ]
}

/// How a set holds the patches of all lanes, and sums them.
trait Body<S: Set>: Copy {
    /// `None` where all of them are real 0.
    ///
    /// # Safety
    /// A vector and three codes of pairs, and 64 bytes of quads, can be read from each of the two planes' rows at `from`.
    unsafe fn load(set: S, from: *const u8, pitch: usize, plane: usize, zero: u8) -> Option<Self>;
    /// The four sums of a channel on top of `bias`.
    ///
    /// # Safety
    /// `DWORDS` weights can be read.
    unsafe fn sums(
        &self,
        set: S,
        bias: <S::Ints as Lanes>::V,
        weights: *const u32,
    ) -> [<S::Ints as Lanes>::V; 4];
}

/// Rows as pairs.
#[derive(Clone, Copy)]
struct PairPatch<W> {
    /// `[row][first column]`.
    rows: [[W; 2]; 4],
    /// Columns 2 and 3 of a row and the next, `[row][column]`.
    columns: [[W; 2]; 3],
}

impl<S: Set> Body<S> for PairPatch<<S::Ints as Lanes>::W>
where
    S::Ints: Pairs,
{
    #[inline(always)]
    unsafe fn load(set: S, from: *const u8, pitch: usize, plane: usize, _: u8) -> Option<Self> {
        let ints = set.ints();
        // SAFETY: by this function's contract.
        let read = |r: usize, column: usize| unsafe {
            let at = 4 * (r % 2 * plane + r / 2 * pitch) + 2 * column;
            ints.operand(from.add(at).cast())
        };
        let rows = [
            [read(0, 0), read(0, 1)],
            [read(1, 0), read(1, 1)],
            [read(2, 0), read(2, 1)],
            [read(3, 0), read(3, 1)],
        ];
        let last = [read(0, 2), read(1, 2), read(2, 2), read(3, 2)];
        let mut any = ints.or(rows[0][0], last[0]);
        for r in 1..4 {
            any = ints.or(any, ints.or(rows[r][0], last[r]));
        }
        if ints.is_zero(any) {
            return None;
        }
        let mut columns = [[rows[0][0]; 2]; 3];
        for r in 0..3 {
            columns[r] = [ints.evens(last[r], last[r + 1]), ints.odds(last[r], last[r + 1])];
        }
        Some(Self { rows, columns })
    }

    #[inline(always)]
    unsafe fn sums(
        &self,
        set: S,
        bias: <S::Ints as Lanes>::V,
        weights: *const u32,
    ) -> [<S::Ints as Lanes>::V; 4] {
        let ints = set.ints();
        // SAFETY: by this function's contract.
        let w = |k: usize| unsafe { ints.splat(weights.add(k).cast()) };
        let (w0, w1, w2, column, corner) = (w(0), w(1), w(2), w(3), [w(4), w(5)]);
        let mut sums = [bias; 4];
        for a in 0..2 {
            for b in 0..2 {
                let sum = ints.dot(bias, self.rows[a][b], w0);
                let sum = ints.dot(sum, self.rows[a + 1][b], w1);
                let sum = ints.dot(sum, self.rows[a + 2][b], w2);
                let sum = ints.dot(sum, self.columns[a][b], column);
                sums[2 * a + b] = ints.dot(sum, self.columns[2][b], corner[a]);
            }
        }
        sums
    }
}

/// Rows as quads.
#[derive(Clone, Copy)]
struct QuadPatch<W>([W; 4]);

impl<S: Set> Body<S> for QuadPatch<<S::Ints as Lanes>::W>
where
    S::Ints: Quads,
{
    #[inline(always)]
    unsafe fn load(set: S, from: *const u8, pitch: usize, plane: usize, zero: u8) -> Option<Self> {
        let ints = set.ints();
        // SAFETY: by this function's contract.
        let read = |r: usize| unsafe { ints.spread(from.add(2 * (r % 2 * plane + r / 2 * pitch))) };
        let rows = [read(0), read(1), read(2), read(3)];
        if ints.all_equal(rows, zero) { None } else { Some(Self(rows)) }
    }

    #[inline(always)]
    unsafe fn sums(
        &self,
        set: S,
        bias: <S::Ints as Lanes>::V,
        weights: *const u32,
    ) -> [<S::Ints as Lanes>::V; 4] {
        let ints = set.ints();
        // SAFETY: by this function's contract.
        let w = |k: usize| unsafe { ints.splat(weights.add(k).cast()) };
        let (left, right) = ([w(0), w(1), w(2)], [w(3), w(4), w(5)]);
        let mut sums = [bias; 4];
        for k in 0..3 {
            for a in 0..2 {
                sums[2 * a] = ints.dot(sums[2 * a], self.0[a + k], left[k]);
                sums[2 * a + 1] = ints.dot(sums[2 * a + 1], self.0[a + k], right[k]);
            }
        }
        sums
    }
}

impl Patches<'_> {
    /// For sets whose products are of pairs.
    #[inline(always)]
    pub(crate) fn run_pairs<S: Set>(self, set: S)
    where
        S::Ints: Pairs,
    {
        self.run::<S, PairPatch<<S::Ints as Lanes>::W>>(set);
    }

    /// For sets whose products are of quads.
    #[inline(always)]
    pub(crate) fn run_quads<S: Set>(self, set: S)
    where
        S::Ints: Quads,
    {
        self.run::<S, QuadPatch<<S::Ints as Lanes>::W>>(set);
    }

    #[inline(always)]
    fn run<S: Set, B: Body<S>>(self, set: S) {
        let ints = set.ints();
        let lanes = <S::Ints as Lanes>::LANES;
        let bytes = <S::Ints as Ints>::CODES.bytes();
        let (groups, pitch, plane) = (self.shape.groups, self.shape.pitch, self.shape.plane);
        let (channels, row) = (self.bias.len(), groups * lanes);
        let reach = 2 * (plane + pitch + row + 2) * bytes + READ_SLACK;
        assert!(self.planes.len() >= reach, "planes");
        assert!(self.weights.len() >= DWORDS * channels, "weights");
        assert!(self.rest.len() >= channels && self.multipliers.len() >= channels, "channels");
        assert!(self.out.len() >= channels * row * bytes, "output");
        let (weights, bias) = (self.weights.as_ptr(), self.bias.as_ptr());
        for group in 0..groups {
            let first = group * lanes;
            let out = self.out[first * bytes..].as_mut_ptr();
            // SAFETY: the planes are as long as asserted.
            let patch = unsafe {
                let from = self.planes.as_ptr().add(2 * first * bytes);
                B::load(set, from, pitch, plane, self.zero)
            };
            let Some(patch) = patch else {
                for channel in 0..channels {
                    // SAFETY: measured above.
                    unsafe {
                        let sum = ints.splat_sum(self.rest.as_ptr().add(channel));
                        let to = out.add(channel * row * bytes);
                        self.finish(set, set.best([sum; 4]), channel, to);
                    }
                }
                continue;
            };
            for channel in 0..channels {
                // SAFETY: measured above.
                unsafe {
                    let bias = ints.splat_sum(bias.add(channel));
                    let sums = patch.sums(set, bias, weights.add(DWORDS * channel));
                    let to = out.add(channel * row * bytes);
                    self.finish(set, set.best(sums), channel, to);
                }
            }
        }
    }

    /// # Safety
    /// The channel has a multiplier, and a vector of codes can be written at `to`.
    #[inline(always)]
    unsafe fn finish<S: Set>(
        &self,
        set: S,
        best: <S::Reals as Reals>::R,
        channel: usize,
        to: *mut u8,
    ) {
        let reals = set.reals();
        let (lo, hi) = self.bounds;
        // SAFETY: by this function's contract.
        unsafe {
            let multiplier = reals.splat(self.multipliers.as_ptr().add(channel).cast());
            let y = reals.mul(best, multiplier);
            let y = reals.min(reals.max(y, reals.splat_real(lo)), reals.splat_real(hi));
            set.store_codes(y, self.shift, to);
        }
    }
}

/// Bytes past the last patch that a vector load may touch.
pub(crate) const READ_SLACK: usize = 64;
