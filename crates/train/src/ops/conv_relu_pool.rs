//! Convolution + bias + ReLU + max-pool as one op, which keeps which position won. The separate ops are `conv2d`, `relu` and
//! `max_pool2d`; windows of more than 255 positions go through them.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::conv2d::{ConvShape, conv2d};
use super::padding::Padding;
use super::{Window, max_pool2d, relu, shaped_like, values, with_values};
use crate::arch::conv_pool::{Backward, Forward, Geometry, INACTIVE};
use crate::arch::{Isa, current_isa};

const NAME: &str = "conv_relu_pool";

struct ConvReluPool {
    isa: Isa,
    padding: Padding,
    geometry: Geometry,
    /// Which position under the window won, kept for the backward pass.
    argmax: Mutex<Vec<u8>>,
}

impl CustomOp3 for ConvReluPool {
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
        let geometry = self.geometry;
        let x = self.padding.pad(values(NAME, x, x_layout)?);
        let (w, bias) = (values(NAME, w, w_layout)?, values(NAME, b, b_layout)?);
        let pooled = self.isa.dispatch(Forward { geometry, x: &x, w, bias });
        *self.argmax.lock().expect("no panic while locked") = pooled.argmax;
        let [height, width] = geometry.output;
        let dims = (self.padding.dims[0], height, width, geometry.out_channels);
        Ok((CpuStorage::F32(pooled.y), Shape::from(dims)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let argmax = self.argmax.lock().expect("no panic while locked");
        let mut dw = vec![0.0; w.elem_count()];
        let mut db = vec![0.0; b.elem_count()];
        let mut dx = x.track_op().then(|| vec![0.0; self.padding.padded_len()]);
        with_values(NAME, x, |x| {
            let x = self.padding.pad(x);
            with_values(NAME, w, |w| {
                with_values(NAME, grad_res, |grad| {
                    self.isa.dispatch(Backward {
                        geometry: self.geometry,
                        x: &x,
                        w,
                        grad,
                        argmax: &argmax,
                        dw: &mut dw,
                        db: &mut db,
                        dx: dx.as_deref_mut(),
                    });
                    Ok(())
                })
            })
        })?;
        let dx = dx.map(|dx| shaped_like(self.padding.crop(dx), x)).transpose()?;
        let dw = if w.track_op() { Some(shaped_like(dw, w)?) } else { None };
        let db = if b.track_op() { Some(shaped_like(db, b)?) } else { None };
        Ok((dx, dw, db))
    }
}

/// `max_pool2d(relu(conv2d(x, w, b)))` in one pass: `x` `[n, h, w, in]`, `w` `[out, kh, kw, in]`, `b` `[out]` to
/// `[n, pooled_h, pooled_w, out]`.
///
/// The pooling windows must not overlap (stride equal to kernel) nor be padded; rows and columns that fill no window are
/// dropped. The whole gradient goes to the first maximum in row-major order, and nowhere where the maximum is `<= 0`.
///
/// # Errors
/// Shapes that do not agree, a window that does not fit, another kind of pooling, tensors that are not f32 on the CPU.
pub fn conv_relu_pool(
    x: &Tensor,
    w: &Tensor,
    b: &Tensor,
    conv: &Window,
    pool: &Window,
) -> Result<Tensor> {
    if pool.stride != pool.kernel || pool.padding != [0; 4] {
        bail!("{NAME}: expected pooling with stride = kernel and no padding, found {pool:?}");
    }
    if pool.kernel[0] * pool.kernel[1] > usize::from(INACTIVE) {
        return max_pool2d(&relu(&conv2d(x, w, b, conv)?)?, pool);
    }
    let shape = ConvShape::new(NAME, x, w, b, conv)?;
    let geometry = Geometry {
        image: shape.padding.padded(),
        in_channels: shape.padding.dims[3],
        out_channels: shape.out_channels,
        kernel: conv.kernel,
        stride: conv.stride,
        pool: pool.kernel,
        output: pool.checked_output(NAME, shape.output[0], shape.output[1])?,
    };
    let op = ConvReluPool {
        isa: current_isa()?,
        padding: shape.padding,
        geometry,
        argmax: Mutex::default(),
    };
    x.contiguous()?.apply_op3(&w.contiguous()?, &b.contiguous()?, op)
}
