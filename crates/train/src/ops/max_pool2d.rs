//! Max-pooling of NHWC images with the whole gradient going to the first maximum. The fused one is in `conv_relu_pool`.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{Window, shaped_like, values, with_values};

const NAME: &str = "max_pool2d";

struct MaxPool {
    window: Window,
    output: [usize; 2],
    /// For each result, which element of `x` it came from.
    argmax: Mutex<Vec<u32>>,
}

impl MaxPool {
    /// Rows (or columns) of the image under the window at `position`: padding is left out, so it never wins.
    fn span(&self, axis: usize, position: usize, size: usize) -> std::ops::Range<usize> {
        let start = position * self.window.stride[axis];
        let before = self.window.padding[2 * axis];
        let end = (start + self.window.kernel[axis]).saturating_sub(before).min(size);
        start.saturating_sub(before)..end
    }

    fn pool(&self, x: &[f32], [n, h, w, c]: [usize; 4]) -> (Vec<f32>, Vec<u32>) {
        let [out_h, out_w] = self.output;
        let mut y = vec![0.0; n * out_h * out_w * c];
        let mut argmax = vec![0; y.len()];
        let cells = y.chunks_exact_mut(c).zip(argmax.chunks_exact_mut(c));
        for (cell, (best, arg)) in cells.enumerate() {
            let (image, position) = (cell / (out_h * out_w), cell % (out_h * out_w));
            let columns = self.span(1, position % out_w, w);
            let mut first = true;
            for row in self.span(0, position / out_w, h) {
                for column in columns.clone() {
                    let at = ((image * h + row) * w + column) * c;
                    for i in 0..c {
                        if first || x[at + i] > best[i] {
                            best[i] = x[at + i];
                            arg[i] = (at + i) as u32;
                        }
                    }
                    first = false;
                }
            }
        }
        (y, argmax)
    }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let (y, argmax) = self.pool(values(NAME, storage, layout)?, [n, h, w, c]);
        *self.argmax.lock().expect("no panic while locked") = argmax;
        Ok((CpuStorage::F32(y), Shape::from((n, self.output[0], self.output[1], c))))
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let argmax = self.argmax.lock().expect("no panic while locked");
        let mut dx = vec![0.0; arg.elem_count()];
        with_values(NAME, grad_res, |grad| {
            for (&at, &g) in argmax.iter().zip(grad) {
                dx[at as usize] += g;
            }
            Ok(())
        })?;
        shaped_like(dx, arg).map(Some)
    }
}

/// Largest value under the window: `[n, h, w, c]` to `[n, out_h, out_w, c]`.
///
/// Padding never wins. Among equal values the first in row-major order of the window takes the whole gradient.
///
/// # Errors
/// A tensor that is not 4-dimensional f32 on the CPU, a window that does not fit, padding not smaller than the window.
pub fn max_pool2d(x: &Tensor, window: &Window) -> Result<Tensor> {
    let (_, h, w, c) = x.dims4()?;
    let output = window.checked_output(NAME, h, w)?;
    let [top, bottom, left, right] = window.padding;
    if top.max(bottom) >= window.kernel[0] || left.max(right) >= window.kernel[1] {
        bail!("{NAME}: expected padding smaller than the kernel, found {window:?}");
    }
    if c == 0 || u32::try_from(x.elem_count()).is_err() {
        bail!("{NAME}: expected 1 to 2^32 - 1 elements, found shape {:?}", x.shape());
    }
    let op = MaxPool { window: *window, output, argmax: Mutex::default() };
    x.contiguous()?.apply_op1(op)
}
