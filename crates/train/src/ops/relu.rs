//! ReLU whose gradient at exactly 0 is 0, as TensorFlow's. The fused one is in `conv_relu_pool`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{shaped_like, values, with_values};
use crate::arch::elementwise::{Relu, ReluBackward};
use crate::arch::{Isa, current_isa};

const NAME: &str = "relu";

struct ReluOp {
    isa: Isa,
}

impl CustomOp1 for ReluOp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.isa.dispatch(Relu(values(NAME, storage, layout)?));
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let dx = with_values(NAME, res, |y| {
            with_values(NAME, grad_res, |grad| Ok(self.isa.dispatch(ReluBackward { y, grad })))
        })?;
        shaped_like(dx, arg).map(Some)
    }
}

/// `max(x, 0)` of any shape. The gradient is 0 where `x <= 0`; NaN stays NaN.
///
/// # Errors
/// A tensor that is not f32 on the CPU.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(ReluOp { isa: current_isa()? })
}
