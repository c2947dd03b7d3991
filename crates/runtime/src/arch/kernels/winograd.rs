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
    fn run<S: Set>(self, set: S) {
        let zero_point = self.zero_point;
        self.shape.clear_margins(self.planes);
        match self.image {
            Input::F32(x) => {
                split(self.shape, x, self.planes, |row, evens, odds| {
                    unzip(set.reals(), row, evens, odds);
                });
            }
            Input::U8(x) => split(self.shape, x, self.planes, |row, evens, odds| {
                convert(row, evens, odds, |q| (i32::from(q) - zero_point) as f32);
            }),
            Input::I8(x) => split(self.shape, x, self.planes, |row, evens, odds| {
                convert(row, evens, odds, |q| (i32::from(q) - zero_point) as f32);
            }),
        }
    }
}

impl Parity {
    /// Fills with 0 what no pixel takes.
    fn clear_margins(&self, planes: &mut [f32]) {
        for (index, plane) in planes.chunks_exact_mut(self.plane).enumerate() {
            let parity = [index / 2, index % 2];
            // Of the rows and columns of a plane, those that pixels take.
            let ends = |axis: usize, at: usize| at.saturating_sub(parity[axis]).div_ceil(2);
            let first = [0, 1].map(|axis| ends(axis, self.pad[axis]));
            let end = [0, 1].map(|axis| ends(axis, self.pad[axis] + self.image[axis]));
            let mut clear = 0;
            for row in first[0]..end[0] {
                plane[clear..row * self.pitch + first[1]].fill(0.0);
                clear = row * self.pitch + end[1];
            }
            plane[clear..].fill(0.0);
        }
    }
}

/// Has `deal` deal each row's pixels out to its place in the planes of the even and of the odd ones.
#[inline(always)]
fn split<T: Copy>(
    shape: &Parity,
    image: &[T],
    planes: &mut [f32],
    deal: impl Fn(&[T], &mut [f32], &mut [f32]),
) {
    let [_, width] = shape.image;
    let [top, left] = shape.pad;
    for (y, row) in (top..).zip(image.chunks_exact(width)) {
        let planes = &mut planes[y % 2 * 2 * shape.plane..][..2 * shape.plane];
        let (mut evens, mut odds) = planes.split_at_mut(shape.plane);
        if left % 2 == 1 {
            core::mem::swap(&mut evens, &mut odds);
        }
        let at = |x: usize| y / 2 * shape.pitch + x / 2;
        let (evens, odds) = (&mut evens[at(left)..], &mut odds[at(left + 1)..]);
        deal(row, &mut evens[..width.div_ceil(2)], &mut odds[..width / 2]);
    }
}

/// By vectors, of which the last may overlap the one before.
#[inline(always)]
fn unzip<R: Reals>(reals: R, row: &[f32], evens: &mut [f32], odds: &mut [f32]) {
    let Some(last) = odds.len().checked_sub(R::LANES) else {
        return convert(row, evens, odds, |x| x);
    };
    assert!(row.len() >= 2 * odds.len() && evens.len() >= odds.len(), "row");
    let mut at = 0;
    loop {
        // SAFETY: `at` is at most `last`: a vector of `odds` and of `evens` lies behind it, and two of the row behind its
        // double.
        unsafe {
            let from = row.as_ptr().add(2 * at).cast::<u32>();
            let [even, odd] = reals.unzip(reals.operand(from), reals.operand(from.add(R::LANES)));
            reals.store(even, evens.as_mut_ptr().add(at));
            reals.store(odd, odds.as_mut_ptr().add(at));
        }
        if at == last {
            break;
        }
        at = last.min(at + R::LANES);
    }
    if let (1, Some(to), Some(&x)) = (row.len() % 2, evens.last_mut(), row.last()) {
        *to = x;
    }
}

#[inline(always)]
fn convert<T: Copy>(row: &[T], evens: &mut [f32], odds: &mut [f32], convert: impl Fn(T) -> f32) {
    let (pairs, last) = row.as_chunks::<2>();
    for ((even, odd), pair) in evens.iter_mut().zip(&mut *odds).zip(pairs) {
        (*even, *odd) = (convert(pair[0]), convert(pair[1]));
    }
    if let (Some(to), Some(&x)) = (evens.last_mut(), last.first()) {
        *to = convert(x);
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
    /// f32, clamped if asked. The mask has all bits of a lane that holds a position and none of one that does not.
    Reals { clamp: Option<[f32; 2]>, mask: &'a [f32] },
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
        let job = Job {
            weights: self.weights,
            bias: self.bias,
            finish: self.finish,
            out: self.out.as_mut_ptr(),
            pitch: row * bytes,
            bytes,
        };
        // Sets of few registers load an operand for every product: a weight that serves two groups is loaded once.
        let together = if S::REGISTERS < 32 { 2 } else { 1 };
        let mut v = [[[reals.zero(); 4]; 4]; 2];
        let (mut at, mut ready) = ([0; 2], 0);
        for group in 0..groups {
            let first = group * lanes;
            // SAFETY: the last element is `first + lanes + pitch` of a plane, below its length as asserted; weights, bias,
            // multipliers, mask and output reach as far as asserted.
            unsafe {
                let from = &raw const self.planes[first];
                if !patch(reals, from, pitch, plane, &mut v[ready]) {
                    job.background(set, first);
                    continue;
                }
                at[ready] = first;
                ready += 1;
                if ready == together {
                    match ready {
                        2 => job.groups(set, &v, at),
                        _ => job.groups(set, &[v[0]], [at[0]]),
                    }
                    ready = 0;
                }
            }
        }
        if ready == 1 {
            // SAFETY: as above.
            unsafe { job.groups(set, &[v[0]], [at[0]]) };
        }
    }
}

/// What every group of positions is run with.
struct Job<'a> {
    weights: &'a [f32],
    bias: &'a [f32],
    finish: Finish<'a>,
    out: *mut u8,
    /// Bytes from one channel to the next.
    pitch: usize,
    /// Of an element.
    bytes: usize,
}

impl Job<'_> {
    /// Runs `G` groups, of which the first positions are `at`.
    ///
    /// # Safety
    /// There are 16 weights for each bias; the groups lie within mask and output.
    #[inline(always)]
    unsafe fn groups<S: Set, const G: usize>(
        &self,
        set: S,
        v: &[Patch<S::Reals>; G],
        at: [usize; G],
    ) {
        for channel in 0..self.bias.len() {
            // SAFETY: by this function's contract.
            unsafe {
                let best = pooled::<S, G>(set, v, self.weights.as_ptr().add(16 * channel));
                for g in 0..G {
                    self.write(set, best[g], channel, at[g]);
                }
            }
        }
    }

    /// Writes a group all of whose patches are 0.
    ///
    /// # Safety
    /// As of [`groups`](Self::groups).
    #[inline(always)]
    unsafe fn background<S: Set>(&self, set: S, first: usize) {
        for channel in 0..self.bias.len() {
            // SAFETY: by this function's contract.
            unsafe { self.write(set, set.reals().zero(), channel, first) };
        }
    }

    /// # Safety
    /// As of [`groups`](Self::groups), for this channel.
    #[inline(always)]
    unsafe fn write<S: Set>(
        &self,
        set: S,
        sums: <S::Reals as Reals>::R,
        channel: usize,
        first: usize,
    ) {
        let reals = set.reals();
        // SAFETY: by this function's contract; a finish has a multiplier for each bias.
        unsafe {
            let bias = reals.splat(self.bias.as_ptr().add(channel).cast());
            let y = reals.add(sums, bias);
            let to = self.out.add(channel * self.pitch + first * self.bytes);
            match self.finish {
                Finish::Reals { clamp, mask } => {
                    let y = match clamp {
                        Some([lo, hi]) => {
                            reals.min(reals.max(y, reals.splat_real(lo)), reals.splat_real(hi))
                        }
                        None => y,
                    };
                    let mask = reals.operand(mask.as_ptr().add(first).cast());
                    reals.store(reals.and(y, mask), to.cast());
                }
                Finish::Codes { bounds: (lo, hi), shift, multipliers } => {
                    let multiplier = multipliers.as_ptr().add(channel);
                    let y = reals.mul(y, reals.splat(multiplier.cast()));
                    let y = reals.max(y, reals.splat_real(lo));
                    let y = reals.min(y, reals.splat_real(hi));
                    set.store_codes(y, shift, to);
                }
            }
        }
    }
}

/// A 4x4 patch of every lane, `[row][column]`.
type Patch<R> = [[<R as Reals>::R; 4]; 4];

/// Writes `V = B^T d B` of the patch `d` of every lane; whether any element of `d` is other than 0.
///
/// # Safety
/// From `from` on, `pitch + 1 + LANES` elements can be read in each of four planes, `plane` elements apart.
#[inline(always)]
unsafe fn patch<R: Reals>(
    reals: R,
    from: *const f32,
    pitch: usize,
    plane: usize,
    v: &mut Patch<R>,
) -> bool {
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
        return false;
    }
    let mut t = d;
    for c in 0..4 {
        t[0][c] = reals.sub(d[0][c], d[2][c]);
        t[1][c] = reals.add(d[1][c], d[2][c]);
        t[2][c] = reals.sub(d[2][c], d[1][c]);
        t[3][c] = reals.sub(d[1][c], d[3][c]);
    }
    for r in 0..4 {
        v[r][0] = reals.sub(t[r][0], t[r][2]);
        v[r][1] = reals.add(t[r][1], t[r][2]);
        v[r][2] = reals.sub(t[r][2], t[r][1]);
        v[r][3] = reals.sub(t[r][1], t[r][3]);
    }
    true
}

/// The largest of the four outputs `A^T (U * V) A` of every lane, for `G` groups.
///
/// # Safety
/// 16 weights can be read.
#[inline(always)]
unsafe fn pooled<S: Set, const G: usize>(
    set: S,
    v: &[Patch<S::Reals>; G],
    weights: *const f32,
) -> [<S::Reals as Reals>::R; G] {
    let reals = set.reals();
    let mut y = [[[reals.zero(); 2]; 2]; G];
    for j in 0..4 {
        // SAFETY: by this function's contract.
        let u = |i: usize| unsafe { reals.splat(weights.add(4 * j + i).cast()) };
        let u = [u(0), u(1), u(2), u(3)];
        for g in 0..G {
            let m1 = reals.mul(v[g][1][j], u[1]);
            // Either costs one multiplier slot or two adder slots; wide sets have adders to spare, narrow ones have not.
            let (sum, difference) = if S::REGISTERS < 32 {
                (reals.dot(m1, v[g][2][j], u[2]), reals.dot_sub(m1, v[g][2][j], u[2]))
            } else {
                let m2 = reals.mul(v[g][2][j], u[2]);
                (reals.add(m1, m2), reals.sub(m1, m2))
            };
            let upper = reals.dot(sum, v[g][0][j], u[0]);
            let lower = reals.dot_sub(difference, v[g][3][j], u[3]);
            for (r, s) in [upper, lower].into_iter().enumerate() {
                let [left, right] = y[g][r];
                y[g][r] = match j {
                    0 => [s, right],
                    1 => [reals.add(left, s), s],
                    2 => [reals.add(left, s), reals.sub(right, s)],
                    _ => [left, reals.sub(right, s)],
                };
            }
        }
    }
    let mut best = [reals.zero(); G];
    for g in 0..G {
        let [[a, b], [c, d]] = y[g];
        best[g] = reals.max(reals.max(a, b), reals.max(c, d));
    }
    best
}
