//! Convolutions and pools: windows that slide over `[1, H, W, C]`. Padding is never visited: it adds nothing to a sum, never
//! wins a maximum and is not counted in a mean.

use penjing_format::Padding;

use super::Argument;
use super::kernel::Kernel;
use crate::ir::{Conv, Pool, Value};

/// Geometry of a sliding window.
struct Windows {
    taps: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    before: [usize; 2],
    image: [usize; 3],
    out: [usize; 3],
}

/// Height, width, channels of a value of shape `[1, H, W, C]`.
fn image(value: &Value) -> [usize; 3] {
    let dims = value.shape.dims();
    [dims[1] as usize, dims[2] as usize, dims[3] as usize]
}

fn wide(pair: [u32; 2]) -> [usize; 2] {
    pair.map(|v| v as usize)
}

impl Windows {
    fn of_pool(pool: &Pool, input: &Value, output: &Value) -> Self {
        Self::new(wide(pool.window), pool.stride, [1, 1], pool.padding, input, output)
    }

    fn of_conv(op: &Conv, input: &Value, output: &Value) -> Self {
        let taps = wide([op.weights.shape[1], op.weights.shape[2]]);
        Self::new(taps, op.stride, op.dilation, op.padding, input, output)
    }

    fn new(
        taps: [usize; 2],
        stride: [u32; 2],
        dilation: [u32; 2],
        padding: Padding,
        input: &Value,
        output: &Value,
    ) -> Self {
        Self {
            taps,
            stride: wide(stride),
            dilation: wide(dilation),
            before: wide([padding.top, padding.left]),
            image: image(input),
            out: image(output),
        }
    }

    /// Calls `visit` for each window in order, with the taps that lie inside the image: the number of the tap and of the
    /// input position, both row-major.
    fn each(&self, mut visit: impl FnMut(&[(usize, usize)])) {
        let mut inside = Vec::with_capacity(self.taps[0] * self.taps[1]);
        for oy in 0..self.out[0] {
            for ox in 0..self.out[1] {
                inside.clear();
                for ky in 0..self.taps[0] {
                    let Some(y) = self.position(0, oy, ky) else { continue };
                    for kx in 0..self.taps[1] {
                        let Some(x) = self.position(1, ox, kx) else { continue };
                        inside.push((ky * self.taps[1] + kx, y * self.image[1] + x));
                    }
                }
                visit(&inside);
            }
        }
    }

    /// Where in the image a tap of a window lies along one axis.
    fn position(&self, axis: usize, out: usize, tap: usize) -> Option<usize> {
        let at = out * self.stride[axis] + tap * self.dilation[axis];
        at.checked_sub(self.before[axis]).filter(|&at| at < self.image[axis])
    }

    fn outputs(&self) -> usize {
        self.out.iter().product()
    }
}

pub(super) fn conv2d(
    (x, input): Argument<'_>,
    output: &Value,
    kernel: &Kernel,
    op: &Conv,
) -> Vec<f32> {
    let windows = Windows::of_conv(op, input, output);
    let c = windows.image[2];
    let mut y = Vec::with_capacity(windows.outputs());
    let mut runs = Vec::new();
    windows.each(|taps| {
        runs.clear();
        runs.extend(taps.iter().map(|&(tap, at)| (tap * c, &x[at * c..(at + 1) * c])));
        kernel.products(&runs, &mut y);
    });
    y
}

/// Output channel `c * multiplier + j` is of input channel `c`.
pub(super) fn depthwise_conv2d(
    (x, input): Argument<'_>,
    output: &Value,
    kernel: &Kernel,
    op: &Conv,
) -> Vec<f32> {
    let windows = Windows::of_conv(op, input, output);
    let (c, oc) = (windows.image[2], windows.out[2]);
    let multiplier = oc / c;
    let mut y = Vec::with_capacity(windows.outputs());
    windows.each(|taps| {
        let start = y.len();
        y.extend_from_slice(&kernel.bias);
        let y = &mut y[start..];
        for &(tap, at) in taps {
            let (x, weights) =
                (&x[at * c..(at + 1) * c], &kernel.weights[tap * oc..(tap + 1) * oc]);
            if multiplier == 1 {
                for ((y, &x), &w) in y.iter_mut().zip(x).zip(weights) {
                    *y += x * w;
                }
            } else {
                for (i, (y, &w)) in y.iter_mut().zip(weights).enumerate() {
                    *y += x[i / multiplier] * w;
                }
            }
        }
    });
    y
}

pub(super) fn max_pool2d((x, input): Argument<'_>, output: &Value, pool: &Pool) -> Vec<f32> {
    let windows = Windows::of_pool(pool, input, output);
    let c = windows.image[2];
    let mut y = Vec::with_capacity(windows.outputs());
    windows.each(|taps| {
        let start = y.len();
        y.resize(start + c, f32::NEG_INFINITY);
        for &(_, at) in taps {
            for (y, &x) in y[start..].iter_mut().zip(&x[at * c..(at + 1) * c]) {
                *y = y.max(x);
            }
        }
    });
    y
}

pub(super) fn average_pool2d((x, input): Argument<'_>, output: &Value, pool: &Pool) -> Vec<f32> {
    let windows = Windows::of_pool(pool, input, output);
    let c = windows.image[2];
    let mut y = Vec::with_capacity(windows.outputs());
    windows.each(|taps| {
        let start = y.len();
        y.resize(start + c, 0.0);
        for &(_, at) in taps {
            for (y, &x) in y[start..].iter_mut().zip(&x[at * c..(at + 1) * c]) {
                *y += x;
            }
        }
        // a window that lies in the padding alone has no mean: it is refused where shapes are inferred
        let n = taps.len().max(1) as f32;
        for y in &mut y[start..] {
            *y /= n;
        }
    });
    y
}
