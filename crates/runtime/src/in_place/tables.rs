//! Ops of one element at a time, and softmax.

use super::flaw::Flaw;
use super::step::Step;
use super::ty::Ty;
use penjing_format::{Activation, DataType};
use penjing_quant::{
    Codes, Softmax, Table, logistic_table, relu_table, requantize_table, tanh_table,
};

fn map(input: &[u8], output: &mut [u8], of: impl Fn(u8) -> u8) {
    for (place, &byte) in output.iter_mut().zip(input) {
        *place = of(byte);
    }
}

fn look_up(input: &[u8], output: &mut [u8], table: &Table) -> Option<()> {
    map(input, output, |byte| table.get(usize::from(byte)).copied().unwrap_or(0));
    Some(())
}

/// The reals that an activation by itself keeps a result within.
#[inline(never)]
pub(super) fn ends(step: &Step<'_>) -> Result<(f32, f32), Flaw> {
    let bounds =
        Activation::from_code(step.node.activation).map_or((None, None), Activation::bounds);
    match bounds {
        (None, None) => Err(Flaw::Refused("activation")),
        (lo, hi) => Ok((lo.unwrap_or(f32::NEG_INFINITY), hi.unwrap_or(f32::INFINITY))),
    }
}

#[inline(never)]
pub(super) fn relu(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Result<(), Flaw> {
    let (lo, hi) = ends(step)?;
    let (from, to) = (step.input.grid(), step.output.grid());
    if from == to {
        let [min, max] = to.bounds_alone(lo, hi, -128, 127);
        map(input, output, |byte| i32::from(byte.cast_signed()).max(min).min(max) as u8);
        return Ok(());
    }
    look_up(input, output, &relu_table(from, to, [lo, hi])).ok_or(Flaw::BROKEN)
}

#[inline(never)]
pub(super) fn logistic(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    look_up(input, output, &logistic_table(step.input.grid(), step.output.grid()))
}

#[inline(never)]
pub(super) fn tanh(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    look_up(input, output, &tanh_table(step.input.grid(), step.output.grid()))
}

fn codes(ty: &Ty) -> Codes {
    if ty.dtype == DataType::U8 { Codes::U8 } else { Codes::I8 }
}

#[inline(never)]
pub(super) fn quantize(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    let (from, to) = (&step.input, &step.output);
    let (codes_out, grid) = (codes(to), to.grid());
    if from.dtype == DataType::F32 {
        for (place, &bits) in output.iter_mut().zip(input.as_chunks::<4>().0) {
            let real = f32::from_ne_bytes(bits);
            *place = grid.quantize(real, codes_out.min, codes_out.max) as u8;
        }
        return Some(());
    }
    look_up(input, output, &requantize_table((codes(from), from.grid()), (codes_out, grid)))
}

#[inline(never)]
pub(super) fn dequantize(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    let (grid, signed) = (step.input.grid(), step.input.dtype == DataType::I8);
    for (place, &byte) in output.as_chunks_mut::<4>().0.iter_mut().zip(input) {
        let code = if signed { i32::from(byte.cast_signed()) } else { i32::from(byte) };
        *place = grid.dequantize(code).to_ne_bytes();
    }
    Some(())
}

/// Over the last dimension; `scratch` takes the exponentials of a row.
#[inline(never)]
pub(super) fn softmax(
    step: &Step<'_>,
    input: &[u8],
    output: &mut [u8],
    scratch: &mut [u32],
) -> Option<()> {
    let len = (step.input.channels() as usize).max(1);
    let (scale, grid) = (step.input.scale, step.output.grid());
    let exponentials = scratch.get_mut(..len)?;
    let mut rows = input.chunks_exact(len);
    for places in output.chunks_exact_mut(len) {
        let row = rows.next()?;
        let largest = row.iter().fold(i8::MIN, |best, byte| best.max(byte.cast_signed()));
        let mut sum = 0.0;
        for (exponential, byte) in exponentials.iter_mut().zip(row) {
            let below = largest.wrapping_sub(byte.cast_signed()).cast_unsigned();
            let e = Softmax::exponential(scale, below);
            sum += e;
            *exponential = e.to_bits();
        }
        let factor = Softmax::factor_on(grid, sum);
        for (place, &exponential) in places.iter_mut().zip(&*exponentials) {
            *place = Softmax::code_on(grid, f32::from_bits(exponential), factor).cast_unsigned();
        }
    }
    Some(())
}
