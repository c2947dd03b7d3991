//! Matrix product with a vector: one image's features by weights `[out, in]`.

use super::{Quantization, Requantization, Scratch, ScratchSize, mismatch};
use crate::arch::Kernels;
use crate::operand;
use crate::tensor::{Input, Output};
use alloc::vec::Vec;
use penjing_format::{Activation, DataType, FullyConnected as Attributes, PackingError};
use penjing_quant::Requantize;

/// A planned fully connected op.
pub(crate) enum FullyConnected {
    F32 { weights: Vec<f32>, bias: Vec<f32>, relu: bool },
    I8 { weights: Vec<i16>, bias: Vec<i32>, features: usize, zero_point: i32, to: Requantization },
}

impl FullyConnected {
    /// Expands the weights; integers where there is a quantization.
    pub(crate) fn new(
        op: &Attributes<'_>,
        quantization: Option<Quantization>,
    ) -> Result<Self, PackingError> {
        let [out, features] = op.weights.shape.as_2d().unwrap_or_default().map(|dim| dim as usize);
        let Some(quantization) = quantization else {
            return Ok(Self::F32 {
                weights: operand::dense_f32(&op.weights)?,
                bias: operand::bias_f32(op.bias.as_ref(), out)?,
                relu: op.activation == Activation::Relu,
            });
        };
        Ok(Self::I8 {
            weights: operand::dense_i16(&op.weights),
            bias: operand::bias_i32(op.bias.as_ref(), out)?,
            features,
            zero_point: quantization.input.zero_point,
            to: Requantization::new(&op.weights, quantization, op.activation, out, out),
        })
    }

    pub(crate) fn scratch(&self) -> ScratchSize {
        match self {
            Self::F32 { .. } => ScratchSize::default(),
            Self::I8 { bias, features, .. } => {
                ScratchSize { i32: bias.len(), i16: *features, f32: 0 }
            }
        }
    }

    /// Runs on one image.
    pub(crate) fn run(
        &self,
        kernels: &Kernels,
        input: Input<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) {
        match (self, input, output) {
            (Self::F32 { weights, bias, relu }, Input::F32(x), Output::F32(out)) => {
                (kernels.dense_f32)(x, weights, bias, out);
                if *relu {
                    out.iter_mut().for_each(|y| *y = if *y > 0.0 { *y } else { 0.0 });
                }
            }
            (Self::I8 { weights, bias, features, zero_point, to }, input, Output::I8(out)) => {
                let x = &mut scratch.i16[..*features];
                match input {
                    Input::I8(q) => (kernels.center_i8_i16)(q, *zero_point, x),
                    Input::U8(q) => (kernels.center_u8_i16)(q, *zero_point, x),
                    Input::F32(_) => mismatch("fully_connected", input.dtype(), DataType::I8),
                }
                let sums = &mut scratch.i32[..bias.len()];
                (kernels.dense_i16)(x, weights, bias, sums);
                for ((out, &sum), &multiplier) in out.iter_mut().zip(&*sums).zip(&to.multipliers) {
                    *out = Requantize { multiplier, ..to.rule }.apply(sum) as i8;
                }
            }
            (_, input, output) => mismatch("fully_connected", input.dtype(), output.dtype()),
        }
    }
}
