//! Inner kernels in plain Rust, shaped so that LLVM vectorizes them for any target (SSE2 on plain x86-64).
//! They know rows, lanes and runs; fusion, memory and the choice among them belong to `ops` and `plan`.

use super::{ConvRow, PoolRow};
use core::ops::Range;
use penjing_quant::Requantize;

/// Taps summed in registers before they join the row. At most 514, so that sums of `|q - zero_point| <= 255` times
/// `|w| <= 128` stay below 2^24 and are exact in f32; fewer keeps f32's rounding error small.
const CHUNK_TAPS: usize = 256;

/// Partial sums of a dot product; fixed, since they fix the order of summation.
const DOT_LANES: usize = 8;

/// What a convolution's sums are collected in: f32, or i32 where an integer convolution outgrows f32's exact range.
pub(crate) trait Accumulator: Copy + PartialOrd {
    /// `self + partial`, where `partial` is exact if the convolution is of integers.
    fn plus(self, partial: f32) -> Self;
}

impl Accumulator for f32 {
    #[inline(always)]
    fn plus(self, partial: f32) -> f32 {
        self + partial
    }
}

impl Accumulator for i32 {
    #[inline(always)]
    fn plus(self, partial: f32) -> i32 {
        // The file's check has shown that no accumulator leaves i32.
        self.wrapping_add(partial as i32)
    }
}

/// Writes one output row of a convolution to `row`, `[out_width][out_lanes]`.
///
/// `L` output channels sit in lanes; `P` neighbouring outputs share the loads of their weights. The sum of an output runs
/// over (kernel row, kernel column, channel) in this order, in chunks of `CHUNK_TAPS`, wherever it lies.
pub(crate) fn conv_row<A: Accumulator, const L: usize, const P: usize>(
    job: &ConvRow<'_, A>,
    row: &mut [A],
) {
    let taps = job.kernel[0] * job.kernel[1] * job.channels;
    let tiles = job.weights.as_chunks::<L>().0.chunks_exact(taps);
    for (tile, (weights, bias)) in tiles.zip(job.bias.as_chunks::<L>().0).enumerate() {
        let tile = Tile { job, weights, bias, offset: tile * L };
        let mut column = 0;
        while column < job.out_width {
            let inside = job.inside.contains(&column);
            if inside && column + P <= job.inside.end {
                if taps <= CHUNK_TAPS && job.dilation[1] == 1 {
                    tile.short::<P>(column, row);
                } else {
                    tile.block::<P>(0..job.kernel[1], column, row);
                }
                column += P;
            } else {
                tile.block::<1>(job.clip_column(column), column, row);
                column += 1;
            }
        }
    }
}

/// `L` output channels of a row.
struct Tile<'a, A, const L: usize> {
    job: &'a ConvRow<'a, A>,
    /// `[kernel_h][kernel_w][channels]` of lanes.
    weights: &'a [[f32; L]],
    bias: &'a [A; L],
    /// The first of these channels.
    offset: usize,
}

impl<A: Accumulator, const L: usize> Tile<'_, A, L> {
    /// As `block`, where one chunk holds all taps and each kernel row is one run inside the input.
    #[inline(always)]
    fn short<const P: usize>(&self, column: usize, row: &mut [A]) {
        let job = self.job;
        let step = job.stride_w * job.channels;
        let run = job.kernel[1] * job.channels;
        let x = (column * job.stride_w - job.pad_left) * job.channels;
        let mut sum = [[0.0; L]; P];
        for r in job.kernel_rows.clone() {
            let line = (job.top + r * job.dilation[0] - job.pad_top) * job.width * job.channels;
            let weights = &self.weights[r * run..(r + 1) * run];
            accumulate(&mut sum, job.input, line + x, step, weights);
        }
        self.join(column, row, &sum, true);
    }

    /// `P` neighbouring outputs, of whose windows the kernel columns `columns` lie inside the input.
    fn block<const P: usize>(&self, columns: Range<usize>, column: usize, row: &mut [A]) {
        let job = self.job;
        // Taps that lie side by side in memory make one run.
        let (runs, run) = match job.dilation[1] {
            1 => (usize::from(!columns.is_empty()), columns.len() * job.channels),
            _ => (columns.len(), job.channels),
        };
        let step = job.stride_w * job.channels;
        let mut sum = [[0.0; L]; P];
        let (mut taps, mut chunks) = (0, 0);
        for r in job.kernel_rows.clone() {
            let line = (job.top + r * job.dilation[0] - job.pad_top) * job.width;
            for s in columns.start..columns.start + runs {
                let x = column * job.stride_w + s * job.dilation[1] - job.pad_left;
                let mut x = (line + x) * job.channels;
                let mut w = (r * job.kernel[1] + s) * job.channels;
                let end = w + run;
                while w < end {
                    let n = (end - w).min(CHUNK_TAPS - taps);
                    accumulate(&mut sum, job.input, x, step, &self.weights[w..w + n]);
                    (x, w, taps) = (x + n, w + n, taps + n);
                    if taps == CHUNK_TAPS {
                        self.join(column, row, &sum, chunks == 0);
                        (sum, taps, chunks) = ([[0.0; L]; P], 0, chunks + 1);
                    }
                }
            }
        }
        if taps > 0 || chunks == 0 {
            self.join(column, row, &sum, chunks == 0);
        }
    }

    /// Adds a chunk's sums to the outputs from `column` on, or to the bias for their first chunk.
    #[inline(always)]
    fn join<const P: usize>(&self, column: usize, row: &mut [A], sum: &[[f32; L]; P], first: bool) {
        for (p, sum) in sum.iter().enumerate() {
            let at = (column + p) * self.job.out_lanes + self.offset;
            let Some(places) = row[at..].first_chunk_mut::<L>() else { return };
            let base = if first { *self.bias } else { *places };
            for l in 0..L {
                places[l] = base[l].plus(sum[l]);
            }
        }
    }
}

/// `sum[p][l] += input[x + p * step + t] * weights[t][l]` for every tap `t`.
#[inline(always)]
fn accumulate<const L: usize, const P: usize>(
    sum: &mut [[f32; L]; P],
    input: &[f32],
    x: usize,
    step: usize,
    weights: &[[f32; L]],
) {
    let n = weights.len();
    let lines: [&[f32]; P] = core::array::from_fn(|p| &input[x + p * step..][..n]);
    for (t, w) in weights.iter().enumerate() {
        for p in 0..P {
            let value = lines[p][t];
            for l in 0..L {
                sum[p][l] += value * w[l];
            }
        }
    }
}

/// Pools one convolution row, `[width][lanes]`, along its columns into `pooled`, `[out_width][lanes]`; joins what is there
/// unless it is the window's first row.
pub(crate) fn pool_row<A: Accumulator, const L: usize>(
    job: &PoolRow,
    row: &[A],
    pooled: &mut [A],
    first: bool,
) {
    let (row, pooled) = (row.as_chunks::<L>().0, pooled.as_chunks_mut::<L>().0);
    let tiles = job.lanes / L;
    for column in 0..job.out_width {
        let window = job.clip_column(column);
        for tile in 0..tiles {
            let place = &mut pooled[column * tiles + tile];
            let mut best = if first { row[window.start * tiles + tile] } else { *place };
            for s in window.clone() {
                let x = &row[s * tiles + tile];
                for l in 0..L {
                    best[l] = if x[l] > best[l] { x[l] } else { best[l] };
                }
            }
            *place = best;
        }
    }
}

/// f32 sums, `[width][lanes]`, to an output row, `[width][channels]`, with ReLU if asked.
pub(crate) fn store_row<const L: usize>(
    sums: &[f32],
    relu: bool,
    channels: usize,
    out: &mut [f32],
) {
    let lanes = channels.div_ceil(L) * L;
    for (sums, out) in sums.chunks_exact(lanes).zip(out.chunks_exact_mut(channels)) {
        let (tiles, rest) = out.as_chunks_mut::<L>();
        // ReLU takes NaN to 0, as the dense layer's does; without it NaN stays.
        let activate = |x: f32| if x > 0.0 || !relu { x } else { 0.0 };
        let mut values = sums.as_chunks::<L>().0.iter().map(|sums| sums.map(activate));
        tiles.iter_mut().zip(&mut values).for_each(|(tile, values)| *tile = values);
        if let Some(values) = values.next() {
            rest.copy_from_slice(&values[..rest.len()]);
        }
    }
}

/// Integer sums, `[width][lanes]`, to an output row of codes, `[width][channels]`. `multipliers` has one a lane.
pub(crate) fn requantize_row<A: Requantized, const L: usize>(
    sums: &[A],
    multipliers: &[f32],
    rule: Requantize,
    channels: usize,
    out: &mut [i8],
) {
    let lanes = multipliers.len();
    let multipliers = multipliers.as_chunks::<L>().0;
    for (sums, out) in sums.chunks_exact(lanes).zip(out.chunks_exact_mut(channels)) {
        let (tiles, rest) = out.as_chunks_mut::<L>();
        let mut codes =
            sums.as_chunks::<L>().0.iter().zip(multipliers).map(|(sums, multipliers)| -> [i8; L] {
                core::array::from_fn(|l| sums[l].requantized(multipliers[l], rule))
            });
        tiles.iter_mut().zip(&mut codes).for_each(|(tile, codes)| *tile = codes);
        if let Some(codes) = codes.next() {
            rest.copy_from_slice(&codes[..rest.len()]);
        }
    }
}

/// An exact integer sum, and what [`Requantize::apply`] makes of it, bit for bit.
pub(crate) trait Requantized: Accumulator {
    /// The code for a channel with this multiplier; `rule.multiplier` is not used.
    fn requantized(self, multiplier: f32, rule: Requantize) -> i8;
}

impl Requantized for f32 {
    #[inline(always)]
    fn requantized(self, multiplier: f32, rule: Requantize) -> i8 {
        /// 1.5 * 2^23: the low mantissa bits of a sum with it are the rounded integer, so that one addition rounds and
        /// converts where `as i32` would have to saturate.
        const MAGIC: f32 = 12_582_912.0;
        let lo = (rule.min - rule.zero_point) as f32;
        let hi = (rule.max - rule.zero_point) as f32;
        let y = self * multiplier;
        let y = if y > lo { y } else { lo };
        let y = if y < hi { y } else { hi };
        let bits = (y + MAGIC).to_bits() as i32;
        bits.wrapping_add(rule.zero_point.wrapping_sub(MAGIC.to_bits() as i32)) as i8
    }
}

impl Requantized for i32 {
    #[inline(always)]
    fn requantized(self, multiplier: f32, rule: Requantize) -> i8 {
        (self as f32).requantized(multiplier, rule)
    }
}

/// `out[o] = bias[o] + sum(x[i] * weights[o][i])`: `DOT_LANES` partial sums over `i` mod `DOT_LANES`, then the lanes.
pub(crate) fn dense_f32(x: &[f32], weights: &[f32], bias: &[f32], out: &mut [f32]) {
    let n = x.len();
    let row = |o: usize| &weights[o * n..(o + 1) * n];
    for (pair, (out, bias)) in out.chunks_mut(2).zip(bias.chunks(2)).enumerate() {
        match (out, bias) {
            ([out_0, out_1], [bias_0, bias_1]) => {
                let [dot_0, dot_1] = dots_f32(x, [row(2 * pair), row(2 * pair + 1)]);
                (*out_0, *out_1) = (bias_0 + dot_0, bias_1 + dot_1);
            }
            (out, bias) => out[0] = bias[0] + dots_f32(x, [row(2 * pair)])[0],
        }
    }
}

#[inline(always)]
fn dots_f32<const R: usize>(x: &[f32], rows: [&[f32]; R]) -> [f32; R] {
    let mut lanes = [[0.0_f32; DOT_LANES]; R];
    let (blocks, tail) = x.as_chunks::<DOT_LANES>();
    let rows = rows.map(|row| row.as_chunks::<DOT_LANES>());
    let row_blocks = rows.map(|(row_blocks, _)| &row_blocks[..blocks.len()]);
    for (i, x) in blocks.iter().enumerate() {
        for r in 0..R {
            for l in 0..DOT_LANES {
                lanes[r][l] += x[l] * row_blocks[r][i][l];
            }
        }
    }
    core::array::from_fn(|r| {
        for ((lane, x), w) in lanes[r].iter_mut().zip(tail).zip(rows[r].1) {
            *lane += x * w;
        }
        let l = &lanes[r];
        ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
    })
}

/// `out[o] = bias[o] + sum(x[i] * weights[o][i])` in i32, which the file's check has shown to hold it.
pub(crate) fn dense_i16(x: &[i16], weights: &[i16], bias: &[i32], out: &mut [i32]) {
    let n = x.len();
    for (o, (out, &bias)) in out.iter_mut().zip(bias).enumerate() {
        *out = bias.wrapping_add(dot_i16(x, &weights[o * n..(o + 1) * n]));
    }
}

/// Sums of products of i16; blocks of constant length are what LLVM turns into `pmaddwd`.
#[inline(always)]
fn dot_i16(x: &[i16], w: &[i16]) -> i32 {
    const BLOCK: usize = 64;
    let product = |(&x, &w): (&i16, &i16)| i32::from(x) * i32::from(w);
    let (x_blocks, x_tail) = x.as_chunks::<BLOCK>();
    let (w_blocks, w_tail) = w.as_chunks::<BLOCK>();
    let mut sum = 0_i32;
    for (x, w) in x_blocks.iter().zip(w_blocks) {
        let block = x.iter().zip(w).map(product).fold(0, i32::wrapping_add);
        sum = sum.wrapping_add(block);
    }
    x_tail.iter().zip(w_tail).map(product).fold(sum, i32::wrapping_add)
}

/// 8-bit codes as `q - zero_point`, in f32 (`|q - zero_point| <= 255`, exact).
pub(crate) fn center_f32<T: Copy + Into<i32>>(codes: &[T], zero_point: i32, out: &mut [f32]) {
    for (out, &q) in out.iter_mut().zip(codes) {
        *out = q.into().wrapping_sub(zero_point) as f32;
    }
}

/// 8-bit codes as `q - zero_point`, in i16.
pub(crate) fn center_i16<T: Copy + Into<i16>>(codes: &[T], zero_point: i32, out: &mut [i16]) {
    let zero_point = zero_point as i16;
    for (out, &q) in out.iter_mut().zip(codes) {
        *out = q.into().wrapping_sub(zero_point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requantization_of_exact_sums_is_quants() {
        let rule = |zero_point, min| Requantize { multiplier: 0.0, zero_point, min, max: 127 };
        let sums = (-40_000..40_000).step_by(7).chain([1 << 24, -(1 << 24), i32::MAX, i32::MIN]);
        for sum in sums {
            for m in [1e-9_f32, 0.003_906_25, 0.5, 0.001_234_567, 1.0, 3.7, 1e9] {
                for rule in [rule(0, -128), rule(-128, -128), rule(5, 5), rule(127, -128)] {
                    let want = Requantize { multiplier: m, ..rule }.apply(sum) as i8;
                    assert_eq!(sum.requantized(m, rule), want, "{sum} {m} {rule:?}");
                    assert_eq!((sum as f32).requantized(m, rule), want, "{sum} {m} {rule:?}");
                }
            }
        }
    }

    #[test]
    fn dots_of_every_length_are_exact() {
        for n in [1_usize, 7, 8, 63, 64, 65, 130] {
            let x: Vec<i16> = (0..n).map(|i| (i as i16 * 37) % 256 - 255).collect();
            let w: Vec<i16> = (0..n).map(|i| 127 - (i as i16 * 53) % 255).collect();
            let want: i64 = x.iter().zip(&w).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum();
            assert_eq!(i64::from(dot_i16(&x, &w)), want);
            let x: Vec<f32> = x.iter().map(|&x| f32::from(x)).collect();
            let w: Vec<f32> = w.iter().map(|&w| f32::from(w)).collect();
            assert_eq!(dots_f32(&x, [&w, &x])[0], want as f32);
        }
    }
}
