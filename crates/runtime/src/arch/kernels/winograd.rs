//! A 3x3 convolution of one channel with a 2x2 max-pool behind it: each pooled output is one 4x4 patch, by Winograd's
//! F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). Pooled positions are in lanes.
//!
//! Codes stay exact: `4 * U` and `V` are integers, and every partial sum stays below 2^24 quarters.
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::lanes::{Lanes, Reals, Set};
use crate::tensor::Input;

/// Where patches lie: four planes, by parity of row and of column, so that a patch's element is one load for all lanes.
#[derive(Clone, Debug)]
pub(crate) struct Parity {
    /// Height and width of the image.
    pub(crate) image: [usize; 2],
    /// Rows above and columns to the left of it.
    pub(crate) pad: [usize; 2],
    /// Elements from one row of a plane to the next; also lanes from one row of pooled positions to the next.
    pub(crate) pitch: usize,
    /// Elements of one plane.
    pub(crate) plane: usize,
    /// Vectors of pooled positions.
    pub(crate) groups: usize,
}

/// Splits an image into its planes; codes are centred.
pub(crate) struct Split<'a> {
    pub(crate) shape: &'a Parity,
    pub(crate) image: Input<'a>,
    pub(crate) zero_point: i32,
    pub(crate) planes: &'a mut [f32],
}

impl Kernel for Split<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let zero_point = self.zero_point;
        self.planes.fill(0.0);
        match self.image {
            Input::F32(x) => split(self.shape, x, self.planes, |x| x),
            Input::U8(x) => {
                split(self.shape, x, self.planes, |q| (i32::from(q) - zero_point) as f32);
            }
            Input::I8(x) => {
                split(self.shape, x, self.planes, |q| (i32::from(q) - zero_point) as f32);
            }
        }
    }
}

#[inline(always)]
fn split<T: Copy>(shape: &Parity, image: &[T], planes: &mut [f32], convert: impl Fn(T) -> f32) {
    let [_, width] = shape.image;
    for (y, row) in image.chunks_exact(width).enumerate() {
        let y = y + shape.pad[0];
        for column in 0..width.min(2) {
            let x = column + shape.pad[1];
            let plane = 2 * (y % 2) + x % 2;
            let at = plane * shape.plane + y / 2 * shape.pitch + x / 2;
            let to = &mut planes[at..at + (width - column).div_ceil(2)];
            let (pairs, last) = row[column..].as_chunks::<2>();
            let (to, rest) = to.split_at_mut(pairs.len());
            for (to, pair) in to.iter_mut().zip(pairs) {
                *to = convert(pair[0]);
            }
            if let (Some(to), Some(&x)) = (rest.first_mut(), last.first()) {
                *to = convert(x);
            }
        }
    }
}

/// Weights of one output channel, `[9]` in row order, as `U = G g G^T`, column by column.
pub(crate) fn transform(g: [f32; 9]) -> [f32; 16] {
    let line = |[a, b, c]: [f32; 3]| [a, (a + b + c) * 0.5, (a - b + c) * 0.5, c];
    let rows: [[f32; 4]; 3] =
        core::array::from_fn(|r| line([g[3 * r], g[3 * r + 1], g[3 * r + 2]]));
    let mut u = [0.0; 16];
    for j in 0..4 {
        u[4 * j..4 * j + 4].copy_from_slice(&line([rows[0][j], rows[1][j], rows[2][j]]));
    }
    u
}

/// What one image's patches come to, `[channels][groups * LANES]`.
pub(crate) struct ConvPool<'a> {
    pub(crate) shape: &'a Parity,
    /// The four planes.
    pub(crate) planes: &'a [f32],
    /// `[channels][16]`.
    pub(crate) weights: &'a [f32],
    /// One a channel.
    pub(crate) bias: &'a [f32],
    pub(crate) finish: Finish<'a>,
    pub(crate) out: &'a mut [u8],
}

/// What a pooled sum becomes.
#[derive(Clone, Copy)]
pub(crate) enum Finish<'a> {
    /// f32. The mask has all bits of a lane that holds a position and none of one that does not.
    Reals { relu: bool, mask: &'a [f32] },
    /// Codes as the set lays them out: bounds of the centred code, what is added to it, a multiplier a channel.
    Codes { bounds: (f32, f32), shift: i32, multipliers: &'a [f32] },
}

impl Kernel for ConvPool<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        let reals = set.reals();
        let lanes = <S::Reals as Lanes>::LANES;
        let (groups, pitch, plane) = (self.shape.groups, self.shape.pitch, self.shape.plane);
        let (channels, row) = (self.bias.len(), groups * lanes);
        let bytes = match self.finish {
            Finish::Reals { mask, .. } => {
                assert!(mask.len() >= row, "mask");
                4
            }
            Finish::Codes { multipliers, .. } => {
                assert!(multipliers.len() >= channels, "multipliers");
                <S::Ints as super::super::lanes::Ints>::CODES.bytes()
            }
        };
        assert!(plane > row + pitch && self.planes.len() >= 4 * plane, "planes");
        assert!(self.weights.len() >= 16 * channels, "weights");
        assert!(self.out.len() >= channels * row * bytes, "output");
        let tail = Tail { bias: self.bias, finish: self.finish };
        for group in 0..groups {
            let first = group * lanes;
            let out = self.out[first * bytes..].as_mut_ptr();
            // SAFETY: the last element is `first + lanes + pitch` of a plane, below its length as asserted.
            let v = unsafe { patch(reals, &raw const self.planes[first], pitch, plane) };
            let mut channel = 0;
            let Some(v) = v else {
                while channel < channels {
                    // SAFETY: bias, multipliers, mask and output reach as far as asserted.
                    unsafe {
                        let to = out.add(channel * row * bytes);
                        tail.write(set, [reals.zero()], channel, first, to, 0);
                    }
                    channel += 1;
                }
                continue;
            };
            while channel + 2 <= channels && S::REGISTERS < 32 {
                // SAFETY: two channels of weights, bias, multipliers and output, as asserted.
                unsafe {
                    let best =
                        pooled::<S::Reals, 2>(reals, &v, &raw const self.weights[16 * channel]);
                    let to = out.add(channel * row * bytes);
                    tail.write(set, best, channel, first, to, row * bytes);
                }
                channel += 2;
            }
            while channel < channels {
                // SAFETY: as above, for one channel.
                unsafe {
                    let best =
                        pooled::<S::Reals, 1>(reals, &v, &raw const self.weights[16 * channel]);
                    let to = out.add(channel * row * bytes);
                    tail.write(set, best, channel, first, to, 0);
                }
                channel += 1;
            }
        }
    }
}

/// What comes after the pool.
struct Tail<'a> {
    bias: &'a [f32],
    finish: Finish<'a>,
}

impl Tail<'_> {
    /// # Safety
    /// `C` channels from `channel` on have a bias and a multiplier, a mask reaches a vector past `first`, and a vector can be
    /// written at `to` for each channel, `pitch` bytes apart.
    #[inline(always)]
    unsafe fn write<S: Set, const C: usize>(
        &self,
        set: S,
        sums: [<S::Reals as Reals>::R; C],
        channel: usize,
        first: usize,
        to: *mut u8,
        pitch: usize,
    ) {
        let reals = set.reals();
        for c in 0..C {
            // SAFETY: by this function's contract.
            unsafe {
                let bias = reals.splat(self.bias.as_ptr().add(channel + c).cast());
                let y = reals.add(sums[c], bias);
                let to = to.add(c * pitch);
                match self.finish {
                    Finish::Reals { relu, mask } => {
                        let y = if relu { reals.max(y, reals.zero()) } else { y };
                        let mask = reals.operand(mask.as_ptr().add(first).cast());
                        reals.store(reals.and(y, mask), to.cast());
                    }
                    Finish::Codes { bounds: (lo, hi), shift, multipliers } => {
                        let multiplier = multipliers.as_ptr().add(channel + c);
                        let y = reals.mul(y, reals.splat(multiplier.cast()));
                        let y = reals.max(y, reals.splat_real(lo));
                        let y = reals.min(y, reals.splat_real(hi));
                        set.store_codes(y, shift, to);
                    }
                }
            }
        }
    }
}

/// `V = B^T d B` of the patch `d` of every lane, `[row][column]`; `None` where all of `d` is 0.
///
/// # Safety
/// From `from` on, `pitch + 1 + LANES` elements can be read in each of four planes, `plane` elements apart.
#[inline(always)]
unsafe fn patch<R: Reals>(
    reals: R,
    from: *const f32,
    pitch: usize,
    plane: usize,
) -> Option<[[R::R; 4]; 4]> {
    let mut d = [[reals.zero(); 4]; 4];
    let mut any = reals.zero();
    for r in 0..4 {
        for c in 0..4 {
            let at = (2 * (r % 2) + c % 2) * plane + r / 2 * pitch + c / 2;
            // SAFETY: by this function's contract.
            d[r][c] = unsafe { reals.operand(from.add(at).cast()) };
            any = reals.or(any, d[r][c]);
        }
    }
    if reals.is_zero(any) {
        return None;
    }
    let mut t = d;
    for c in 0..4 {
        t[0][c] = reals.sub(d[0][c], d[2][c]);
        t[1][c] = reals.add(d[1][c], d[2][c]);
        t[2][c] = reals.sub(d[2][c], d[1][c]);
        t[3][c] = reals.sub(d[1][c], d[3][c]);
    }
    let mut v = t;
    for r in 0..4 {
        v[r][0] = reals.sub(t[r][0], t[r][2]);
        v[r][1] = reals.add(t[r][1], t[r][2]);
        v[r][2] = reals.sub(t[r][2], t[r][1]);
        v[r][3] = reals.sub(t[r][1], t[r][3]);
    }
    Some(v)
}

/// The largest of the four outputs `A^T (U * V) A` of every lane, for `C` channels.
///
/// # Safety
/// `16 * C` weights can be read.
#[inline(always)]
unsafe fn pooled<R: Reals, const C: usize>(
    reals: R,
    v: &[[R::R; 4]; 4],
    weights: *const f32,
) -> [R::R; C] {
    let mut y = [[[reals.zero(); 2]; 2]; C];
    for j in 0..4 {
        for c in 0..C {
            // SAFETY: by this function's contract.
            let u = |i: usize| unsafe { reals.splat(weights.add(16 * c + 4 * j + i).cast()) };
            let (u0, u1, u2, u3) = (u(0), u(1), u(2), u(3));
            let m1 = reals.mul(v[1][j], u1);
            // Either costs one multiplier slot or two adder slots; wide sets have adders to spare, narrow ones have not.
            let (sum, difference) = if C == 1 {
                let m2 = reals.mul(v[2][j], u2);
                (reals.add(m1, m2), reals.sub(m1, m2))
            } else {
                (reals.dot(m1, v[2][j], u2), reals.dot_sub(m1, v[2][j], u2))
            };
            let upper = reals.dot(sum, v[0][j], u0);
            let lower = reals.dot_sub(difference, v[3][j], u3);
            for (r, s) in [upper, lower].into_iter().enumerate() {
                let [left, right] = y[c][r];
                y[c][r] = match j {
                    0 => [s, right],
                    1 => [reals.add(left, s), s],
                    2 => [reals.add(left, s), reals.sub(right, s)],
                    _ => [left, reals.sub(right, s)],
                };
            }
        }
    }
    let mut best = [reals.zero(); C];
    for c in 0..C {
        let [[a, b], [d, e]] = y[c];
        best[c] = reals.max(reals.max(a, b), reals.max(d, e));
    }
    best
}
