//! Matrix products of dense layers and of convolutions laid out as matrices: row-major f32, three transpositions.
//!
//! Single-threaded, with a fixed order of every sum. Not a BLAS: no packing, no alpha, sizes of small networks.

use super::Kernel;
use super::simd::Simd;

/// `c[m][n] = bias[n] + sum over k of a[m][k] * b[n][k]`: the forward pass of a dense layer.
pub(crate) struct NT<'a> {
    /// `[m, k]`.
    pub(crate) a: &'a [f32],
    /// `[n, k]`.
    pub(crate) b: &'a [f32],
    /// `[n]`.
    pub(crate) bias: &'a [f32],
    /// `[m, n]`, overwritten.
    pub(crate) c: &'a mut [f32],
    /// Length of the sums.
    pub(crate) k: usize,
}

impl Kernel for NT<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let NT { a, b, bias, c, k } = self;
        let n = bias.len();
        if n == 0 {
            return;
        }
        let mut c_rows = c.chunks_exact_mut(2 * n);
        let mut a_rows = a.chunks_exact((2 * k).max(1));
        if k == 0 {
            c.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(bias));
            return;
        }
        for (c_pair, a_pair) in (&mut c_rows).zip(&mut a_rows) {
            nt_rows::<S, 2>(simd, a_pair, b, bias, c_pair, k);
        }
        let rest = c_rows.into_remainder();
        if !rest.is_empty() {
            nt_rows::<S, 1>(simd, a_rows.remainder(), b, bias, rest, k);
        }
    }
}

#[inline(always)]
fn nt_rows<S: Simd, const R: usize>(
    simd: S,
    a: &[f32],
    b: &[f32],
    bias: &[f32],
    c: &mut [f32],
    k: usize,
) {
    let n = bias.len();
    let mut from = 0;
    while from < n {
        let b = &b[from * k..];
        let bias = &bias[from..];
        let c = &mut c[from..];
        from += match n - from {
            1 => nt_block::<S, R, 1>(simd, a, b, bias, c, [n, k]),
            2 => nt_block::<S, R, 2>(simd, a, b, bias, c, [n, k]),
            3 => nt_block::<S, R, 3>(simd, a, b, bias, c, [n, k]),
            4 => nt_block::<S, R, 4>(simd, a, b, bias, c, [n, k]),
            _ => nt_block::<S, R, 5>(simd, a, b, bias, c, [n, k]),
        };
    }
}

/// `R` rows of `a` against `C` rows of `b`; returns `C`. `nk` is the row stride of `c` and the length of the sums.
#[inline(always)]
fn nt_block<S: Simd, const R: usize, const C: usize>(
    simd: S,
    a: &[f32],
    b: &[f32],
    bias: &[f32],
    c: &mut [f32],
    nk: [usize; 2],
) -> usize {
    let [n, k] = nk;
    let whole = k / S::LANES;
    let mut acc = [[simd.splat(0.0); C]; R];
    let mut a_rows: [&[S::A]; R] = [&[]; R];
    let mut b_rows: [&[S::A]; C] = [&[]; C];
    for r in 0..R {
        a_rows[r] = &S::chunks(&a[r * k..(r + 1) * k])[..whole];
    }
    for j in 0..C {
        b_rows[j] = &S::chunks(&b[j * k..(j + 1) * k])[..whole];
    }
    for i in 0..whole {
        let mut x = [simd.splat(0.0); R];
        for r in 0..R {
            x[r] = simd.load(&a_rows[r][i]);
        }
        for j in 0..C {
            let w = simd.load(&b_rows[j][i]);
            for r in 0..R {
                acc[r][j] = simd.mul_add(x[r], w, acc[r][j]);
            }
        }
    }
    let tail = whole * S::LANES;
    for j in 0..C {
        for r in 0..R {
            let mut sum = acc[r][j];
            if tail < k {
                let x = simd.load_part(&a[r * k + tail..(r + 1) * k]);
                let w = simd.load_part(&b[j * k + tail..(j + 1) * k]);
                sum = simd.mul_add(x, w, sum);
            }
            c[r * n + j] = bias[j] + simd.sum(sum);
        }
    }
    C
}

/// `c[m][n] = bias[n] + sum over k of a[m][k] * b[k][n]`; an empty bias counts as zeros.
pub(crate) struct NN<'a> {
    /// `[m, k]`.
    pub(crate) a: &'a [f32],
    /// `[k, n]`.
    pub(crate) b: &'a [f32],
    /// `[n]` or empty.
    pub(crate) bias: &'a [f32],
    /// `[m, n]`, overwritten.
    pub(crate) c: &'a mut [f32],
    /// Length of the sums.
    pub(crate) k: usize,
    /// Columns of `b` and `c`.
    pub(crate) n: usize,
}

impl Kernel for NN<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let NN { a, b, bias, c, k, n } = self;
        let m = c.len().checked_div(n).unwrap_or(0);
        let mut row = 0;
        while row < m {
            let (a, c) = (&a[row * k..], &mut c[row * n..]);
            if m - row >= 4 {
                nn_rows::<S, 4>(simd, a, b, bias, c, [n, k]);
                row += 4;
            } else {
                nn_rows::<S, 1>(simd, a, b, bias, c, [n, k]);
                row += 1;
            }
        }
    }
}

#[inline(always)]
fn nn_rows<S: Simd, const R: usize>(
    simd: S,
    a: &[f32],
    b: &[f32],
    bias: &[f32],
    c: &mut [f32],
    nk: [usize; 2],
) {
    let n = nk[0];
    let mut col = 0;
    while col + 2 * S::LANES <= n {
        nn_block::<S, R, 2>(simd, a, b, bias, c, nk, col);
        col += 2 * S::LANES;
    }
    while col < n {
        nn_block::<S, R, 1>(simd, a, b, bias, c, nk, col);
        col += S::LANES;
    }
}

/// `R` rows and `V` vectors of columns from `col`; only a block of one vector may reach past column `n`.
#[inline(always)]
fn nn_block<S: Simd, const R: usize, const V: usize>(
    simd: S,
    a: &[f32],
    b: &[f32],
    bias: &[f32],
    c: &mut [f32],
    nk: [usize; 2],
    col: usize,
) {
    let [n, k] = nk;
    let width = (V * S::LANES).min(n - col);
    let mut acc = [[simd.splat(0.0); V]; R];
    if !bias.is_empty() {
        for v in 0..V {
            let start = simd.load_part(&bias[col + v * S::LANES..col + width]);
            for row in &mut acc {
                row[v] = start;
            }
        }
    }
    let mut a_rows: [&[f32]; R] = [&[]; R];
    for r in 0..R {
        a_rows[r] = &a[r * k..(r + 1) * k];
    }
    let partial = width < V * S::LANES;
    for i in 0..k {
        let b_row = &b[i * n + col..i * n + col + width];
        let mut w = [simd.splat(0.0); V];
        for v in 0..V {
            let part = &b_row[v * S::LANES..];
            w[v] = if partial { simd.load_part(part) } else { simd.load_slice(part) };
        }
        for r in 0..R {
            let x = simd.splat(a_rows[r][i]);
            for v in 0..V {
                acc[r][v] = simd.mul_add(x, w[v], acc[r][v]);
            }
        }
    }
    for r in 0..R {
        let c_row = &mut c[r * n + col..r * n + col + width];
        for v in 0..V {
            let part = &mut c_row[v * S::LANES..];
            if partial {
                simd.store_part(acc[r][v], part);
            } else {
                simd.store_slice(acc[r][v], part);
            }
        }
    }
}

/// `c[i][j] += sum over t of a[t][i] * b[t][j]`: the gradient of a weight, rows `t` being samples or positions.
pub(crate) struct TN<'a> {
    /// `[t, i]`.
    pub(crate) a: &'a [f32],
    /// `[t, j]`.
    pub(crate) b: &'a [f32],
    /// `[i, j]`, added to.
    pub(crate) c: &'a mut [f32],
    /// Columns of `a`, rows of `c`.
    pub(crate) i: usize,
    /// Columns of `b` and `c`.
    pub(crate) j: usize,
}

impl Kernel for TN<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let TN { a, b, c, i, j } = self;
        if i == 0 || j == 0 {
            return;
        }
        let mut from = 0;
        while from < i {
            let c = &mut c[from * j..];
            from += match i - from {
                1 => tn_rows::<S, 1>(simd, a, b, c, [i, j], from),
                2 => tn_rows::<S, 2>(simd, a, b, c, [i, j], from),
                3 => tn_rows::<S, 3>(simd, a, b, c, [i, j], from),
                4 => tn_rows::<S, 4>(simd, a, b, c, [i, j], from),
                _ => tn_rows::<S, 5>(simd, a, b, c, [i, j], from),
            };
        }
    }
}

/// Rows `from..from + R` of the result, which `c` starts at; returns `R`.
#[inline(always)]
fn tn_rows<S: Simd, const R: usize>(
    simd: S,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    ij: [usize; 2],
    from: usize,
) -> usize {
    let mut col = 0;
    while col + 2 * S::LANES <= ij[1] {
        tn_block::<S, R, 2>(simd, a, b, c, ij, [from, col]);
        col += 2 * S::LANES;
    }
    while col < ij[1] {
        tn_block::<S, R, 1>(simd, a, b, c, ij, [from, col]);
        col += S::LANES;
    }
    R
}

/// `R` rows and `V` vectors of columns; only a block of one vector may reach past the last column.
#[inline(always)]
fn tn_block<S: Simd, const R: usize, const V: usize>(
    simd: S,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    ij: [usize; 2],
    corner: [usize; 2],
) {
    let ([i, j], [from, col]) = (ij, corner);
    let width = (V * S::LANES).min(j - col);
    let partial = width < V * S::LANES;
    let mut acc = [[simd.splat(0.0); V]; R];
    for (a_row, b_row) in a.chunks_exact(i).zip(b.chunks_exact(j)) {
        let a_part: &[f32; R] = a_row[from..].first_chunk().expect("R columns are left");
        let b_part = &b_row[col..col + width];
        let mut x = [simd.splat(0.0); V];
        for v in 0..V {
            let part = &b_part[v * S::LANES..];
            x[v] = if partial { simd.load_part(part) } else { simd.load_slice(part) };
        }
        for r in 0..R {
            let g = simd.splat(a_part[r]);
            for v in 0..V {
                acc[r][v] = simd.mul_add(g, x[v], acc[r][v]);
            }
        }
    }
    for r in 0..R {
        let c_row = &mut c[r * j + col..r * j + col + width];
        for v in 0..V {
            let part = &mut c_row[v * S::LANES..];
            let sum = simd.add(simd.load_part(part), acc[r][v]);
            simd.store_part(sum, part);
        }
    }
}
