//! Convolution of any kernel, stride and padding, as a matrix product over patches (im2col), one image at a time. The
//! pattern convolution + ReLU + max-pool has a faster op in `conv_relu_pool`.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::padding::Padding;
use super::{Window, shaped_like, values, with_values};
use crate::arch::elementwise::ColumnSums;
use crate::arch::gemm::{NN, TN};
use crate::arch::{Isa, current_isa};

const NAME: &str = "conv2d";

/// Checked sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvShape {
    /// Sizes and padding of `x`.
    pub(super) padding: Padding,
    /// Height and width of the result.
    pub(super) output: [usize; 2],
    /// Output channels.
    pub(super) out_channels: usize,
    /// The window.
    pub(super) window: Window,
}

impl ConvShape {
    /// Checks that `x` `[n, h, w, in]`, `w` `[out, kh, kw, in]` and `b` `[out]` belong together.
    pub(super) fn new(
        op: &str,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        window: &Window,
    ) -> Result<Self> {
        let (n, height, width, channels) = x.dims4()?;
        let output = window.checked_output(op, height, width)?;
        let out_channels = w.dims4()?.0;
        let [kh, kw] = window.kernel;
        if w.dims() != [out_channels, kh, kw, channels] || b.dims() != [out_channels] {
            bail!(
                "{op}: expected w [out, {kh}, {kw}, {channels}] and b [out], found w {:?} and b {:?}",
                w.dims(),
                b.dims()
            );
        }
        if x.elem_count() == 0 || w.elem_count() == 0 {
            bail!("{op}: expected no size of 0, found x {:?} and w {:?}", x.dims(), w.dims());
        }
        let padding = Padding { dims: [n, height, width, channels], around: window.padding };
        Ok(ConvShape { padding, output, out_channels, window: *window })
    }

    /// Elements of one padded image.
    fn image_len(&self) -> usize {
        self.padding.padded_len() / self.padding.dims[0]
    }

    /// Output positions of one image.
    fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Weights of one output channel.
    fn patch_len(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.padding.dims[3]
    }

    /// Calls `f(offset in the patch matrix [positions, patch], offset in a padded image)` for each kernel row, whose
    /// elements lie side by side in both; returns nothing else.
    fn kernel_rows(&self, mut f: impl FnMut(usize, usize)) {
        let channels = self.padding.dims[3];
        let row = self.padding.padded()[1] * channels;
        let run = self.window.kernel[1] * channels;
        let mut to = 0;
        for y in 0..self.output[0] {
            for x in 0..self.output[1] {
                let corner = y * self.window.stride[0] * row + x * self.window.stride[1] * channels;
                for r in 0..self.window.kernel[0] {
                    f(to, corner + r * row);
                    to += run;
                }
            }
        }
    }

    /// The patches of one padded image, `[positions, patch]`, into `columns`.
    fn gather(&self, image: &[f32], columns: &mut [f32]) {
        let run = self.window.kernel[1] * self.padding.dims[3];
        self.kernel_rows(|to, from| {
            columns[to..to + run].copy_from_slice(&image[from..from + run]);
        });
    }

    /// Adds patches back onto the padded image that [`ConvShape::gather`] took them from.
    fn scatter(&self, columns: &[f32], image: &mut [f32]) {
        let run = self.window.kernel[1] * self.padding.dims[3];
        self.kernel_rows(|from, to| {
            for (sum, &value) in image[to..to + run].iter_mut().zip(&columns[from..from + run]) {
                *sum += value;
            }
        });
    }
}

struct Conv2d {
    isa: Isa,
    shape: ConvShape,
}

impl Conv2d {
    fn forward(&self, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f32> {
        let shape = &self.shape;
        let (k, n) = (shape.patch_len(), shape.out_channels);
        // Channels side by side, so that the product's lanes are channels.
        let mut by_patch = vec![0.0; k * n];
        for (o, row) in w.chunks_exact(k).enumerate() {
            for (tap, &value) in row.iter().enumerate() {
                by_patch[tap * n + o] = value;
            }
        }
        let padded = shape.padding.pad(x);
        let per_image = shape.positions() * n;
        let mut columns = vec![0.0; shape.positions() * k];
        let mut y = vec![0.0; shape.padding.dims[0] * per_image];
        for (image, c) in padded.chunks_exact(shape.image_len()).zip(y.chunks_exact_mut(per_image))
        {
            shape.gather(image, &mut columns);
            self.isa.dispatch(NN { a: &columns, b: &by_patch, bias, c, k, n });
        }
        y
    }

    fn weight_gradient(&self, x: &[f32], grad: &[f32]) -> Vec<f32> {
        let shape = &self.shape;
        let (k, n) = (shape.patch_len(), shape.out_channels);
        let padded = shape.padding.pad(x);
        let mut columns = vec![0.0; shape.positions() * k];
        let mut dw = vec![0.0; n * k];
        let images = padded.chunks_exact(shape.image_len());
        for (image, grad) in images.zip(grad.chunks_exact(shape.positions() * n)) {
            shape.gather(image, &mut columns);
            self.isa.dispatch(TN { a: grad, b: &columns, c: &mut dw, i: n, j: k });
        }
        dw
    }

    fn input_gradient(&self, w: &[f32], grad: &[f32]) -> Vec<f32> {
        let shape = &self.shape;
        let (k, n) = (shape.patch_len(), shape.out_channels);
        let mut columns = vec![0.0; shape.positions() * k];
        let mut dx = vec![0.0; shape.padding.padded_len()];
        let images = dx.chunks_exact_mut(shape.image_len());
        for (image, grad) in images.zip(grad.chunks_exact(shape.positions() * n)) {
            self.isa.dispatch(NN { a: grad, b: w, bias: &[], c: &mut columns, k: n, n: k });
            shape.scatter(&columns, image);
        }
        shape.padding.crop(dx)
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = values(NAME, x, x_layout)?;
        let y = self.forward(x, values(NAME, w, w_layout)?, values(NAME, b, b_layout)?);
        let shape = &self.shape;
        let dims = (shape.padding.dims[0], shape.output[0], shape.output[1], shape.out_channels);
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        with_values(NAME, grad_res, |grad| {
            let mut gradients = (None, None, None);
            if x.track_op() {
                let dx = with_values(NAME, w, |w| Ok(self.input_gradient(w, grad)))?;
                gradients.0 = Some(shaped_like(dx, x)?);
            }
            if w.track_op() {
                let dw = with_values(NAME, x, |x| Ok(self.weight_gradient(x, grad)))?;
                gradients.1 = Some(shaped_like(dw, w)?);
            }
            if b.track_op() {
                let columns = self.shape.out_channels;
                let db = self.isa.dispatch(ColumnSums { x: grad, columns });
                gradients.2 = Some(shaped_like(db, b)?);
            }
            Ok(gradients)
        })
    }
}

/// Convolution plus bias: `x` `[n, h, w, in]`, `w` `[out, kh, kw, in]`, `b` `[out]` to `[n, out_h, out_w, out]`.
///
/// The gradient of `x` is computed only where `x` is part of a graph with variables.
///
/// # Errors
/// Shapes that do not agree, a window that does not fit, tensors that are not f32 on the CPU.
pub fn conv2d(x: &Tensor, w: &Tensor, b: &Tensor, window: &Window) -> Result<Tensor> {
    let op = Conv2d { isa: current_isa()?, shape: ConvShape::new(NAME, x, w, b, window)? };
    x.contiguous()?.apply_op3(&w.contiguous()?, &b.contiguous()?, op)
}
