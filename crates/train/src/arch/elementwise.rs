//! Loops over elements: ReLU, fake quantization, sums of columns, the Adam update. Plain scalar code that LLVM vectorizes
//! for the instruction set that it is dispatched to; none of it fuses a multiplication with an addition, so its results
//! are the same on all of them. Loops, not iterator chains that collect: those may stay calls outside the instruction set.

use penjing_quant::{QuantParams, fake_quantize_weight};

use super::Kernel;
use super::simd::Simd;

/// `y = x` above 0, else 0; NaN stays.
pub(crate) struct Relu<'a>(pub(crate) &'a [f32]);

impl Kernel for Relu<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f32> {
        let mut out = vec![0.0; self.0.len()];
        for (out, &x) in out.iter_mut().zip(self.0) {
            *out = if x <= 0.0 { 0.0 } else { x };
        }
        out
    }
}

/// The gradient of [`Relu`] from its result: zero where the result is 0.
pub(crate) struct ReluBackward<'a> {
    /// Result of the forward pass.
    pub(crate) y: &'a [f32],
    /// Gradient of the result.
    pub(crate) grad: &'a [f32],
}

impl Kernel for ReluBackward<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f32> {
        let mut out = vec![0.0; self.y.len()];
        for ((out, &y), &g) in out.iter_mut().zip(self.y).zip(self.grad) {
            *out = if y == 0.0 { 0.0 } else { g };
        }
        out
    }
}

/// What int8 makes of activations.
pub(crate) struct FakeQuantize<'a> {
    /// Values.
    pub(crate) x: &'a [f32],
    /// Scale and zero point.
    pub(crate) params: QuantParams,
}

impl Kernel for FakeQuantize<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f32> {
        let params = self.params;
        let mut out = vec![0.0; self.x.len()];
        for (out, &x) in out.iter_mut().zip(self.x) {
            *out = params.fake_quantize_i8(x);
        }
        out
    }
}

/// Passes the gradient where `low <= x <= high`, else zero.
pub(crate) struct PassInside<'a> {
    /// Values of the forward pass.
    pub(crate) x: &'a [f32],
    /// Gradient of the result.
    pub(crate) grad: &'a [f32],
    /// Lower end, included.
    pub(crate) low: f32,
    /// Upper end, included.
    pub(crate) high: f32,
}

impl Kernel for PassInside<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f32> {
        let (low, high) = (self.low, self.high);
        let mut out = vec![0.0; self.x.len()];
        for ((out, &x), &g) in out.iter_mut().zip(self.x).zip(self.grad) {
            *out = if (x >= low) & (x <= high) { g } else { 0.0 };
        }
        out
    }
}

/// What int8 makes of weights: `scales.len()` equal runs of `w`, a scale each.
pub(crate) struct FakeQuantizeWeights<'a> {
    /// Weights, out_channels first.
    pub(crate) w: &'a [f32],
    /// One scale a run.
    pub(crate) scales: &'a [f32],
}

impl Kernel for FakeQuantizeWeights<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f32> {
        let mut out = vec![0.0; self.w.len()];
        let run = (self.w.len() / self.scales.len().max(1)).max(1);
        for ((out, w), &scale) in
            out.chunks_exact_mut(run).zip(self.w.chunks_exact(run)).zip(self.scales)
        {
            for (out, &w) in out.iter_mut().zip(w) {
                *out = fake_quantize_weight(w, scale);
            }
        }
        out
    }
}

/// Passes the gradient of weights where `|w| <= limit`, a limit for each of `limits.len()` equal runs.
pub(crate) struct PassWeights<'a> {
    /// Weights of the forward pass.
    pub(crate) w: &'a [f32],
    /// Gradient of the result.
    pub(crate) grad: &'a [f32],
    /// Largest magnitude that passes, one a run.
    pub(crate) limits: &'a [f32],
}

impl Kernel for PassWeights<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f32> {
        let mut out = vec![0.0; self.w.len()];
        let run = (self.w.len() / self.limits.len().max(1)).max(1);
        let rows = self.w.chunks_exact(run).zip(self.grad.chunks_exact(run));
        for ((out, (w, g)), &limit) in out.chunks_exact_mut(run).zip(rows).zip(self.limits) {
            for ((out, &w), &g) in out.iter_mut().zip(w).zip(g) {
                *out = if w.abs() <= limit { g } else { 0.0 };
            }
        }
        out
    }
}

/// Sums over rows: `out[j] = sum over t of x[t][j]` for `x` of `[t, columns]`.
pub(crate) struct ColumnSums<'a> {
    /// `[t, columns]`.
    pub(crate) x: &'a [f32],
    /// Length of a row.
    pub(crate) columns: usize,
}

impl Kernel for ColumnSums<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f32> {
        let mut out = vec![0.0; self.columns];
        for row in self.x.chunks_exact(self.columns.max(1)) {
            for (sum, &x) in out.iter_mut().zip(row) {
                *sum += x;
            }
        }
        out
    }
}

/// Smallest and largest value; `(inf, -inf)` of nothing, NaN left out.
pub(crate) struct MinMax<'a>(pub(crate) &'a [f32]);

impl Kernel for MinMax<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (f32, f32) {
        // Sixteen independent lanes, or the loop would wait on one comparison after the other.
        const WIDTH: usize = 16;
        let mut low = [f32::INFINITY; WIDTH];
        let mut high = [f32::NEG_INFINITY; WIDTH];
        let (chunks, rest) = self.0.as_chunks::<WIDTH>();
        for chunk in chunks {
            for i in 0..WIDTH {
                low[i] = if chunk[i] < low[i] { chunk[i] } else { low[i] };
                high[i] = if chunk[i] > high[i] { chunk[i] } else { high[i] };
            }
        }
        let low = low.iter().chain(rest).fold(f32::INFINITY, |a, &b| a.min(b));
        let high = high.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        (low, high)
    }
}

/// One step of Adam over one parameter, in place.
pub(crate) struct AdamStep<'a> {
    /// Parameter, updated.
    pub(crate) w: &'a mut [f32],
    /// Its gradient.
    pub(crate) grad: &'a [f32],
    /// First moment, updated.
    pub(crate) m: &'a mut [f32],
    /// Second moment, updated.
    pub(crate) v: &'a mut [f32],
    /// `1 - beta_1` and `1 - beta_2`.
    pub(crate) rates: [f32; 2],
    /// Learning rate with both bias corrections in it.
    pub(crate) alpha: f32,
    /// Added to the root of `v`.
    pub(crate) epsilon: f32,
}

impl Kernel for AdamStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let AdamStep { w, grad, m, v, rates: [rate_m, rate_v], alpha, epsilon } = self;
        for (((w, &g), m), v) in w.iter_mut().zip(grad).zip(m).zip(v) {
            *m += (g - *m) * rate_m;
            *v += (g * g - *v) * rate_v;
            *w -= *m * alpha / (v.sqrt() + epsilon);
        }
    }
}
