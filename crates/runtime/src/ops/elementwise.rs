//! Ops that look at one element at a time. The rules are `penjing_quant`'s; they are kernels so that the compiler makes vectors of
//! the set's width of them. Those that change no element's size may write over their input.

use super::binary::clamp;
use super::mismatch;
use crate::arch::lanes::Set;
use crate::arch::{Isa, Kernel};
use crate::tensor::{Input, Output};
use alloc::boxed::Box;
use penjing_format::QuantParams;
use penjing_quant::{Table, logistic, tanh};

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

/// An op whose results are as large as its elements.
pub(crate) struct Unary {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
}

/// What becomes of an element.
pub(crate) enum Function {
    /// Of 8-bit codes, whatever their types.
    Table(Box<Table>),
    /// Of i8, within these codes.
    Clamp([i8; 2]),
    ClampReals([f32; 2]),
    Logistic,
    Tanh,
}

impl Function {
    pub(crate) fn table(table: Table) -> Self {
        Function::Table(Box::new(table))
    }
}

impl Unary {
    /// Without an input it lies in `output`.
    pub(crate) fn run(&self, isa: Isa, input: Option<Input<'_>>, output: Output<'_>) {
        if let Function::Table(table) = &self.function {
            // No set has vectors that look up as many as 256 entries.
            let (input, output) = (input.map(Input::bytes), output.into_bytes());
            return over(input, output, |code: u8| table[usize::from(code)]);
        }
        isa.dispatch(RunUnary { op: self, input, output });
    }
}

struct RunUnary<'a> {
    op: &'a Unary,
    input: Option<Input<'a>>,
    output: Output<'a>,
}

impl Kernel for RunUnary<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        match (&self.op.function, self.output) {
            (&Function::Clamp([lo, hi]), Output::I8(out)) => {
                over(self.input.map(Input::codes), out, |q: i8| q.max(lo).min(hi));
            }
            (&Function::ClampReals(bounds), Output::F32(out)) => {
                over(self.input.map(Input::reals), out, |x| clamp(x, bounds));
            }
            (Function::Logistic, Output::F32(out)) => {
                over(self.input.map(Input::reals), out, logistic);
            }
            (Function::Tanh, Output::F32(out)) => over(self.input.map(Input::reals), out, tanh),
            (_, output) => mismatch(self.op.name, output.dtype(), output.dtype()),
        }
    }
}

#[inline(always)]
fn map<T: Copy, U>(from: &[T], to: &mut [U], convert: impl Fn(T) -> U) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = convert(from);
    }
}

/// As [`map`]; without `from` over what is there.
#[inline(always)]
fn over<T: Copy>(from: Option<&[T]>, to: &mut [T], convert: impl Fn(T) -> T) {
    match from {
        Some(from) => map(from, to, convert),
        None => {
            for to in to {
                *to = convert(*to);
            }
        }
    }
}
