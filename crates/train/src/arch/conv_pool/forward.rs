//! The forward pass of convolution + bias + ReLU + max-pool. The gradients are in `backward`.

use super::{Geometry, INACTIVE};
use crate::arch::Kernel;
use crate::arch::simd::Simd;

/// Forward pass: the result is `(y, argmax)`, see [`Pooled`].
pub(crate) struct Forward<'a> {
    /// Sizes.
    pub(crate) geometry: Geometry,
    /// `[n, image, in_channels]`, padded.
    pub(crate) x: &'a [f32],
    /// `[out_channels, kernel, in_channels]`.
    pub(crate) w: &'a [f32],
    /// `[out_channels]`.
    pub(crate) bias: &'a [f32],
}

/// Result of [`Forward`].
pub(crate) struct Pooled {
    /// `[n, output, out_channels]`.
    pub(crate) y: Vec<f32>,
    /// Phase of the first maximum, or [`INACTIVE`]; as `y`, then some slack that vectors may read.
    pub(crate) argmax: Vec<u8>,
}

/// Weights as `[patch, vectors of out_channels]`, zeros in the spare lanes.
#[inline(always)]
fn pack<S: Simd>(w: &[f32], out_channels: usize, vectors: usize) -> Vec<f32> {
    let width = vectors * S::LANES;
    let patch = w.len() / out_channels;
    let mut packed = vec![0.0; patch * width];
    for (o, row) in w.chunks_exact(patch).enumerate() {
        for (tap, &value) in row.iter().enumerate() {
            packed[tap * width + o] = value;
        }
    }
    packed
}

impl Kernel for Forward<'_> {
    type Output = Pooled;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Pooled {
        let g = self.geometry;
        let vectors = g.out_channels.div_ceil(S::LANES);
        let packed = pack::<S>(self.w, g.out_channels, vectors);
        let mut bias = vec![0.0; vectors * S::LANES];
        bias[..g.out_channels].copy_from_slice(self.bias);
        let len = self.x.len() / g.image_len() * g.cells() * g.out_channels;
        let slack = vectors * S::LANES;
        let mut y = Vec::with_capacity(len + slack);
        y.resize(len + slack, 0.0);
        let mut out = Pooled { y, argmax: vec![INACTIVE; len + slack] };
        let args = ForwardArgs { g: &g, w: S::chunks(&packed), bias: S::chunks(&bias), vectors };
        if g.is_3x3x1() && g.pool == [2, 2] && vectors == 2 {
            forward::<S, 3, 3, 2>(simd, &args, self.x, &mut out);
        } else {
            forward::<S, 0, 0, 0>(simd, &args, self.x, &mut out);
        }
        out.y.truncate(len);
        out
    }
}

struct ForwardArgs<'a, A> {
    g: &'a Geometry,
    w: &'a [A],
    bias: &'a [A],
    vectors: usize,
}

/// All cells of all images; `KH`, `RUN` and `VECTORS` fix the kernel's rows, their length and the vectors, 0 leaves open.
/// Each cell overwrites what the spare lanes of the cell before it spilt.
#[inline(always)]
fn forward<S: Simd, const KH: usize, const RUN: usize, const VECTORS: usize>(
    simd: S,
    args: &ForwardArgs<'_, S::A>,
    x: &[f32],
    out: &mut Pooled,
) {
    let g = args.g;
    let vectors = if VECTORS > 0 { VECTORS } else { args.vectors };
    let phases = g.phases();
    let mut cell = 0;
    for image in x.chunks_exact(g.image_len()) {
        for py in 0..g.output[0] {
            for px in 0..g.output[1] {
                let base = g.base(py, px);
                let mut v = 0;
                while v < vectors {
                    let at = cell * g.out_channels + v * S::LANES;
                    let (y, arg) = (&mut out.y[at..], &mut out.argmax[at..]);
                    if vectors - v >= 2 {
                        cell_forward::<S, KH, RUN, 2>(
                            simd,
                            args,
                            image,
                            (base, &phases),
                            v,
                            (y, arg),
                        );
                        v += 2;
                    } else {
                        cell_forward::<S, KH, RUN, 1>(
                            simd,
                            args,
                            image,
                            (base, &phases),
                            v,
                            (y, arg),
                        );
                        v += 1;
                    }
                }
                cell += 1;
            }
        }
    }
}

/// `NV` vectors of channels of one cell.
#[inline(always)]
fn cell_forward<S: Simd, const KH: usize, const RUN: usize, const NV: usize>(
    simd: S,
    args: &ForwardArgs<'_, S::A>,
    image: &[f32],
    (base, phases): (usize, &[usize]),
    v: usize,
    (y, arg): (&mut [f32], &mut [u8]),
) {
    let mut top = Top { best: [simd.splat(f32::NEG_INFINITY); NV], arg: [simd.splat(0.0); NV] };
    let (fours, rest) = phases.as_chunks::<4>();
    let mut phase = 0;
    for four in fours {
        let acc = patches::<S, KH, RUN, NV, 4>(simd, args, image, base, four, v);
        phase = keep_largest(simd, &mut top, &acc, phase);
    }
    for one in rest.as_chunks::<1>().0 {
        let acc = patches::<S, KH, RUN, NV, 1>(simd, args, image, base, one, v);
        phase = keep_largest(simd, &mut top, &acc, phase);
    }
    let zero = simd.splat(0.0);
    for i in 0..NV {
        let cut = simd.at_most(top.best[i], zero);
        let at = i * S::LANES;
        simd.store_slice(simd.select(cut, zero, top.best[i]), &mut y[at..]);
        let inactive = simd.splat(f32::from(INACTIVE));
        simd.store_bytes(simd.select(cut, inactive, top.arg[i]), &mut arg[at..]);
    }
}

struct Top<V, const NV: usize> {
    best: [V; NV],
    arg: [V; NV],
}

/// Takes in phases `phase..phase + G`; an equal later one never wins. A NaN in phase 0 stays. Returns the next phase.
#[inline(always)]
fn keep_largest<S: Simd, const NV: usize, const G: usize>(
    simd: S,
    top: &mut Top<S::V, NV>,
    acc: &[[S::V; NV]; G],
    phase: usize,
) -> usize {
    for (i, row) in acc.iter().enumerate() {
        if phase + i == 0 {
            top.best = *row;
            continue;
        }
        let index = simd.splat((phase + i) as f32);
        for (v, &value) in row.iter().enumerate() {
            let wins = simd.greater(value, top.best[v]);
            top.best[v] = simd.select(wins, value, top.best[v]);
            top.arg[v] = simd.select(wins, index, top.arg[v]);
        }
    }
    phase + G
}

/// Bias plus the convolution at `G` phases, for vectors `v..v + NV` of the channels.
#[inline(always)]
fn patches<S: Simd, const KH: usize, const RUN: usize, const NV: usize, const G: usize>(
    simd: S,
    args: &ForwardArgs<'_, S::A>,
    image: &[f32],
    base: usize,
    phases: &[usize; G],
    v: usize,
) -> [[S::V; NV]; G] {
    let g = args.g;
    let (rows, run) = if RUN > 0 { (KH, RUN) } else { (g.kernel[0], g.run()) };
    let vectors = if RUN > 0 { NV } else { args.vectors };
    let mut acc = [[simd.splat(0.0); NV]; G];
    for i in 0..NV {
        let start = simd.load(&args.bias[v + i]);
        for row in &mut acc {
            row[i] = start;
        }
    }
    for r in 0..rows {
        let mut pixels: [&[f32]; G] = [&[]; G];
        for i in 0..G {
            pixels[i] = &image[base + phases[i] + r * g.row()..][..run];
        }
        let w = &args.w[r * run * vectors..][..run * vectors];
        for j in 0..run {
            for i in 0..NV {
                let weight = simd.load(&w[j * vectors + v + i]);
                for p in 0..G {
                    acc[p][i] = simd.mul_add(simd.splat(pixels[p][j]), weight, acc[p][i]);
                }
            }
        }
    }
    acc
}
