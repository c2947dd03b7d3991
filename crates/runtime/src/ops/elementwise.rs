//! Quantize and dequantize: between reals and codes, element by element. The rules are `penjing_quant`'s; they are kernels so
//! that the compiler makes vectors of the set's width of them.

use super::mismatch;
use crate::arch::Kernel;
use crate::arch::lanes::Set;
use crate::tensor::{Input, Output};
use penjing_format::QuantParams;

/// f32 to i8 or u8.
pub(crate) struct Quantize<'a> {
    pub(crate) params: QuantParams,
    pub(crate) input: Input<'a>,
    pub(crate) output: Output<'a>,
}

impl Kernel for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let params = self.params;
        match (self.input, self.output) {
            (Input::F32(x), Output::I8(out)) => map(x, out, |x| params.quantize_i8(x)),
            (Input::F32(x), Output::U8(out)) => map(x, out, |x| params.quantize_u8(x)),
            (input, output) => mismatch("quantize", input.dtype(), output.dtype()),
        }
    }
}

/// i8 or u8 to f32.
pub(crate) struct Dequantize<'a> {
    pub(crate) params: QuantParams,
    pub(crate) input: Input<'a>,
    pub(crate) output: Output<'a>,
}

impl Kernel for Dequantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let params = self.params;
        match (self.input, self.output) {
            (Input::I8(q), Output::F32(out)) => map(q, out, |q| params.dequantize(i32::from(q))),
            (Input::U8(q), Output::F32(out)) => map(q, out, |q| params.dequantize(i32::from(q))),
            (input, output) => mismatch("dequantize", input.dtype(), output.dtype()),
        }
    }
}

#[inline(always)]
fn map<T: Copy, U>(from: &[T], to: &mut [U], convert: impl Fn(T) -> U) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = convert(from);
    }
}
