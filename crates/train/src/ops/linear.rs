//! The dense layer and its gradients. Convolutions without pooling use the same matrix kernels from `conv2d`.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::{shaped_like, values, with_values};
use crate::arch::elementwise::ColumnSums;
use crate::arch::gemm::{NN, NT, TN};
use crate::arch::{Isa, current_isa};

const NAME: &str = "linear";

struct Linear {
    isa: Isa,
}

impl CustomOp3 for Linear {
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
        let n = x_layout.dims()[0];
        let (out, k) = w_layout.shape().dims2()?;
        let mut c = vec![0.0; n * out];
        self.isa.dispatch(NT {
            a: values(NAME, x, x_layout)?,
            b: values(NAME, w, w_layout)?,
            bias: values(NAME, b, b_layout)?,
            c: &mut c,
            k,
        });
        Ok((CpuStorage::F32(c), Shape::from((n, out))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (out, k) = w.dims2()?;
        with_values(NAME, grad_res, |grad| {
            let dx = if x.track_op() {
                let mut dx = vec![0.0; x.elem_count()];
                with_values(NAME, w, |w| {
                    self.isa.dispatch(NN { a: grad, b: w, bias: &[], c: &mut dx, k: out, n: k });
                    Ok(())
                })?;
                Some(shaped_like(dx, x)?)
            } else {
                None
            };
            let dw = if w.track_op() {
                let mut dw = vec![0.0; out * k];
                with_values(NAME, x, |x| {
                    self.isa.dispatch(TN { a: grad, b: x, c: &mut dw, i: out, j: k });
                    Ok(())
                })?;
                Some(shaped_like(dw, w)?)
            } else {
                None
            };
            let db = if b.track_op() {
                let sums = self.isa.dispatch(ColumnSums { x: grad, columns: out });
                Some(shaped_like(sums, b)?)
            } else {
                None
            };
            Ok((dx, dw, db))
        })
    }
}

/// Dense layer: `y[n][o] = b[o] + sum over k of x[n][k] * w[o][k]`.
///
/// `x` is `[n, k]`, or `[n, ...]` with `k` elements a sample, flattened in memory order (H, W, C) without a reshape op, whose
/// backward pass would copy the gradient; `w` is `[out, k]`, `b` is `[out]`; the result is `[n, out]`.
///
/// # Errors
/// Shapes that do not agree, tensors that are not f32 on the CPU.
pub fn linear(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (out, k) = w.dims2()?;
    let fits = x.rank() >= 2 && x.dims()[1..].iter().product::<usize>() == k;
    if !fits || b.dims() != [out] {
        bail!(
            "{NAME}: expected x [n, {k}] and b [{out}] for w [{out}, {k}], found x {:?} and b {:?}",
            x.dims(),
            b.dims()
        );
    }
    let op = Linear { isa: current_isa()? };
    x.contiguous()?.apply_op3(&w.contiguous()?, &b.contiguous()?, op)
}
