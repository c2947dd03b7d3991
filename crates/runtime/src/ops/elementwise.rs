//! Quantize and dequantize: between reals and codes, element by element. The rules are `penjing_quant`'s.

use super::mismatch;
use crate::tensor::{Input, Output};
use penjing_format::QuantParams;

/// f32 to i8 or u8.
pub(crate) fn quantize(params: QuantParams, input: Input<'_>, output: Output<'_>) {
    match (input, output) {
        (Input::F32(x), Output::I8(out)) => {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = params.quantize_i8(x);
            }
        }
        (Input::F32(x), Output::U8(out)) => {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = params.quantize_u8(x);
            }
        }
        (input, output) => mismatch("quantize", input.dtype(), output.dtype()),
    }
}

/// i8 or u8 to f32.
pub(crate) fn dequantize(params: QuantParams, input: Input<'_>, output: Output<'_>) {
    match (input, output) {
        (Input::I8(q), Output::F32(out)) => {
            for (out, &q) in out.iter_mut().zip(q) {
                *out = params.dequantize(i32::from(q));
            }
        }
        (Input::U8(q), Output::F32(out)) => {
            for (out, &q) in out.iter_mut().zip(q) {
                *out = params.dequantize(i32::from(q));
            }
        }
        (input, output) => mismatch("dequantize", input.dtype(), output.dtype()),
    }
}
