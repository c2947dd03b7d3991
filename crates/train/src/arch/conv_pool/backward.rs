//! The backward pass of convolution + bias + ReLU + max-pool: each pooled gradient goes to the patch that won. The forward
//! pass is in `forward`.

use super::{Geometry, INACTIVE};
use crate::arch::Kernel;
use crate::arch::simd::Simd;

/// Backward pass: adds into `dw`, `db` and `dx`.
pub(crate) struct Backward<'a> {
    /// Sizes.
    pub(crate) geometry: Geometry,
    /// `[n, image, in_channels]`, padded.
    pub(crate) x: &'a [f32],
    /// `[out_channels, kernel, in_channels]`.
    pub(crate) w: &'a [f32],
    /// Gradient of the pooled result, `[n, output, out_channels]`.
    pub(crate) grad: &'a [f32],
    /// From the forward pass, slack included.
    pub(crate) argmax: &'a [u8],
    /// Gradient of `w`.
    pub(crate) dw: &'a mut [f32],
    /// Gradient of the bias.
    pub(crate) db: &'a mut [f32],
    /// Gradient of `x`, where wanted.
    pub(crate) dx: Option<&'a mut [f32]>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Backward { geometry: g, x, w, grad, argmax, dw, db, dx } = self;
        let routed = Routed { grad, argmax };
        if g.run() < 8 {
            if g.is_3x3x1() && g.out_channels.div_ceil(S::LANES) == 2 {
                weights_in_lanes::<S, 3, 3, 2>(simd, &g, x, &routed, dw, db);
            } else {
                weights_in_lanes::<S, 0, 0, 0>(simd, &g, x, &routed, dw, db);
            }
        } else {
            by_channel(simd, &g, &routed, db, |base, o, gradient| {
                let dw = &mut dw[o * g.patch_len()..][..g.patch_len()];
                for (r, dw) in dw.chunks_exact_mut(g.run()).enumerate() {
                    axpy(simd, gradient, &x[base + r * g.row()..][..g.run()], dw);
                }
            });
        }
        let Some(dx) = dx else { return };
        let mut unused = vec![0.0; g.out_channels];
        by_channel(simd, &g, &routed, &mut unused, |base, o, gradient| {
            let w = &w[o * g.patch_len()..][..g.patch_len()];
            for (r, w) in w.chunks_exact(g.run()).enumerate() {
                axpy(simd, gradient, w, &mut dx[base + r * g.row()..][..g.run()]);
            }
        });
    }
}

/// The gradient of the pooled result and the phase that each value goes to.
struct Routed<'a> {
    grad: &'a [f32],
    argmax: &'a [u8],
}

/// Calls `f(start of the winning patch in x, out_channel, gradient)` for each active pooled value, in order, and sums
/// the gradients of each channel into `db`.
#[inline(always)]
fn by_channel<S: Simd>(
    _: S,
    g: &Geometry,
    routed: &Routed<'_>,
    db: &mut [f32],
    mut f: impl FnMut(usize, usize, f32),
) {
    let phases = g.phases();
    let oc = g.out_channels;
    let cells = routed.grad.chunks_exact(oc).zip(routed.argmax.chunks_exact(oc));
    for (cell, (grad, argmax)) in cells.enumerate() {
        let (n, position) = (cell / g.cells(), cell % g.cells());
        let base = n * g.image_len() + g.base(position / g.output[1], position % g.output[1]);
        for o in 0..oc {
            if argmax[o] != INACTIVE {
                db[o] += grad[o];
                f(base + phases[usize::from(argmax[o])], o, grad[o]);
            }
        }
    }
}

/// `y += a * x`.
#[inline(always)]
fn axpy<S: Simd>(simd: S, a: f32, x: &[f32], y: &mut [f32]) {
    let factor = simd.splat(a);
    let whole = x.len() / S::LANES * S::LANES;
    for (x, y) in S::chunks(x).iter().zip(S::chunks_mut(y)) {
        let sum = simd.mul_add(factor, simd.load(x), simd.load(y));
        simd.store(sum, y);
    }
    if whole < x.len() {
        let (x, y) = (&x[whole..], &mut y[whole..]);
        let sum = simd.mul_add(factor, simd.load_part(x), simd.load_part(y));
        simd.store_part(sum, y);
    }
}

/// Gradients of weights and bias with the output channels in the lanes: best where kernel rows are shorter than a vector.
/// Sums each image by itself first, which keeps rounding errors small.
#[inline(always)]
fn weights_in_lanes<S: Simd, const KH: usize, const RUN: usize, const VECTORS: usize>(
    simd: S,
    g: &Geometry,
    x: &[f32],
    routed: &Routed<'_>,
    dw: &mut [f32],
    db: &mut [f32],
) {
    let vectors = if VECTORS > 0 { VECTORS } else { g.out_channels.div_ceil(S::LANES) };
    let width = vectors * S::LANES;
    // The row past the patch gathers the bias's gradient.
    let mut sums = vec![0.0; (g.patch_len() + 1) * width];
    let mut part = vec![0.0; sums.len()];
    let phases = g.phases();
    let mut cell = 0;
    for image in x.chunks_exact(g.image_len()) {
        part.fill(0.0);
        for py in 0..g.output[0] {
            for px in 0..g.output[1] {
                let base = g.base(py, px);
                let part = S::chunks_mut(&mut part);
                let at = cell * g.out_channels;
                let mut v = 0;
                while v < vectors {
                    if vectors - v >= 2 {
                        let lanes = [at + v * S::LANES, v, vectors];
                        cell_backward::<S, KH, RUN, 2>(
                            simd,
                            g,
                            image,
                            (base, &phases),
                            routed,
                            lanes,
                            part,
                        );
                        v += 2;
                    } else {
                        let lanes = [at + v * S::LANES, v, vectors];
                        cell_backward::<S, KH, RUN, 1>(
                            simd,
                            g,
                            image,
                            (base, &phases),
                            routed,
                            lanes,
                            part,
                        );
                        v += 1;
                    }
                }
                cell += 1;
            }
        }
        for (sum, &part) in sums.iter_mut().zip(&part) {
            *sum += part;
        }
    }
    let patch = g.patch_len();
    for (o, db) in db.iter_mut().enumerate() {
        for (tap, dw) in dw[o * patch..(o + 1) * patch].iter_mut().enumerate() {
            *dw += sums[tap * width + o];
        }
        *db += sums[patch * width + o];
    }
}

/// `NV` vectors of one cell; `lanes` is the place in the gradient, the first vector, and the vectors of a tap.
#[inline(always)]
fn cell_backward<S: Simd, const KH: usize, const RUN: usize, const NV: usize>(
    simd: S,
    g: &Geometry,
    image: &[f32],
    (base, phases): (usize, &[usize]),
    routed: &Routed<'_>,
    lanes: [usize; 3],
    part: &mut [S::A],
) {
    let mut grad = [simd.splat(0.0); NV];
    let mut arg = grad;
    for i in 0..NV {
        let at = lanes[0] + i * S::LANES;
        grad[i] = simd.load_part(&routed.grad[at..]);
        arg[i] = simd.load_bytes(&routed.argmax[at..]);
    }
    let (fours, rest) = phases.as_chunks::<4>();
    let mut phase = 0;
    for four in fours {
        let split = split_by_phase::<S, NV, 4>(simd, &grad, &arg, phase);
        patches_backward::<S, KH, RUN, NV, 4>(simd, g, image, base, four, &split, lanes, part);
        phase += 4;
    }
    for one in rest.as_chunks::<1>().0 {
        let split = split_by_phase::<S, NV, 1>(simd, &grad, &arg, phase);
        patches_backward::<S, KH, RUN, NV, 1>(simd, g, image, base, one, &split, lanes, part);
        phase += 1;
    }
}

/// The gradient where phase `phase + i` won, zeros elsewhere, for each `i` below `G`.
#[inline(always)]
fn split_by_phase<S: Simd, const NV: usize, const G: usize>(
    simd: S,
    grad: &[S::V; NV],
    arg: &[S::V; NV],
    phase: usize,
) -> [[S::V; NV]; G] {
    let zero = simd.splat(0.0);
    let mut split = [[zero; NV]; G];
    for (i, row) in split.iter_mut().enumerate() {
        let index = simd.splat((phase + i) as f32);
        for v in 0..NV {
            row[v] = simd.select(simd.equal(arg[v], index), grad[v], zero);
        }
    }
    split
}

#[inline(always)]
#[allow(clippy::too_many_arguments)] // A struct of them would be spelled out at each call just the same.
fn patches_backward<S: Simd, const KH: usize, const RUN: usize, const NV: usize, const G: usize>(
    simd: S,
    g: &Geometry,
    image: &[f32],
    base: usize,
    phases: &[usize; G],
    split: &[[S::V; NV]; G],
    lanes: [usize; 3],
    part: &mut [S::A],
) {
    let (rows, run) = if RUN > 0 { (KH, RUN) } else { (g.kernel[0], g.run()) };
    let (v, vectors) = if RUN > 0 { (0, NV) } else { (lanes[1], lanes[2]) };
    for r in 0..rows {
        let mut pixels: [&[f32]; G] = [&[]; G];
        for i in 0..G {
            pixels[i] = &image[base + phases[i] + r * g.row()..][..run];
        }
        let sums = &mut part[r * run * vectors..][..run * vectors];
        for j in 0..run {
            for i in 0..NV {
                let sum = &mut sums[j * vectors + v + i];
                let mut acc = simd.load(sum);
                for p in 0..G {
                    acc = simd.mul_add(simd.splat(pixels[p][j]), split[p][i], acc);
                }
                simd.store(acc, sum);
            }
        }
    }
    for i in 0..NV {
        let sum = &mut part[rows * run * vectors + v + i];
        let mut acc = simd.load(sum);
        for row in split {
            acc = simd.add(acc, row[i]);
        }
        simd.store(acc, sum);
    }
}
