//! What int8 will make of activations and weights, inside training, with a straight-through gradient. The arithmetic is
//! `penjing_quant`'s; choosing scales and ranges is not done here.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use penjing_quant::{QuantParams, WEIGHT_MAX};

use super::{shaped_like, values, with_values};
use crate::arch::elementwise::{
    FakeQuantize, FakeQuantizeWeights, MinMax, PassInside, PassWeights,
};
use crate::arch::{Isa, current_isa};

const ACTIVATION: &str = "fake_quantize_activation";
const WEIGHTS: &str = "fake_quantize_weights";

/// A scale is the largest weight divided by 127 and rounded, so that weight may lie a rounding above 127 times the scale;
/// it must not lose its gradient for that.
const EDGE: f32 = 1.0 + 4.0 * f32::EPSILON;

struct Activation {
    isa: Isa,
    params: QuantParams,
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        ACTIVATION
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(ACTIVATION, storage, layout)?;
        let y = self.isa.dispatch(FakeQuantize { x, params: self.params });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let (low, high) = self.params.range_i8();
        let dx = with_values(ACTIVATION, arg, |x| {
            with_values(ACTIVATION, grad_res, |grad| {
                Ok(self.isa.dispatch(PassInside { x, grad, low, high }))
            })
        })?;
        shaped_like(dx, arg).map(Some)
    }
}

/// `params.fake_quantize_i8` of each element, any shape. The gradient passes where `x` lies in the range that int8 can
/// represent, ends included, and is zero elsewhere.
///
/// # Errors
/// Parameters that are no int8 parameters, a tensor that is not f32 on the CPU.
pub fn fake_quantize_activation(x: &Tensor, params: QuantParams) -> Result<Tensor> {
    if !params.is_valid(-128, 127) {
        bail!("{ACTIVATION}: expected a positive scale and an int8 zero point, found {params:?}");
    }
    x.contiguous()?.apply_op1(Activation { isa: current_isa()?, params })
}

struct Weights {
    isa: Isa,
    scales: Vec<f32>,
}

impl CustomOp1 for Weights {
    fn name(&self) -> &'static str {
        WEIGHTS
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let w = values(WEIGHTS, storage, layout)?;
        let y = self.isa.dispatch(FakeQuantizeWeights { w, scales: &self.scales });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let limits: Vec<f32> = self.scales.iter().map(|s| s * WEIGHT_MAX as f32 * EDGE).collect();
        let dw = with_values(WEIGHTS, arg, |w| {
            with_values(WEIGHTS, grad_res, |grad| {
                Ok(self.isa.dispatch(PassWeights { w, grad, limits: &limits }))
            })
        })?;
        shaped_like(dw, arg).map(Some)
    }
}

/// `penjing_quant::fake_quantize_weight` of each element of `w` `[out_channels, ...]`: symmetric, narrow range
/// `[-127, 127]`. `scales` holds one scale for the tensor or one an output channel. The gradient passes where
/// `|w| <= 127 * scale`, up to a rounding, and is zero elsewhere.
///
/// # Errors
/// Another number of scales, a scale that is not finite and positive, a tensor that is not f32 on the CPU.
pub fn fake_quantize_weights(w: &Tensor, scales: &[f32]) -> Result<Tensor> {
    let channels = w.dims().first().copied().unwrap_or(1);
    if scales.len() != 1 && scales.len() != channels {
        bail!("{WEIGHTS}: expected 1 or {channels} scales, found {}", scales.len());
    }
    if let Some(scale) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
        bail!("{WEIGHTS}: expected finite positive scales, found {scale}");
    }
    w.contiguous()?.apply_op1(Weights { isa: current_isa()?, scales: scales.to_vec() })
}

/// Smallest and largest value of a tensor: what a moving range observes. `(inf, -inf)` of an empty one; NaN is left out.
///
/// # Errors
/// A tensor that is not f32 on the CPU.
pub fn min_max(x: &Tensor) -> Result<(f32, f32)> {
    let isa = current_isa()?;
    with_values("min_max", x, |x| Ok(isa.dispatch(MinMax(x))))
}
