//! From packed constants to what kernels read: tiles of lanes, dwords of codes, widened integers. Made once, when a session is
//! planned. No kernel knows a packing and no packing knows a kernel: here they meet.

use crate::arch::lanes::Codes;
use crate::arch::memory::Buffer;
use alloc::vec;
use alloc::vec::Vec;
use penjing_format::packing::Element;
use penjing_format::{Constant, DataType, PackingError};

/// One weight as reals and integers have it.
#[derive(Clone, Copy)]
pub(crate) enum Weight {
    Real(f32),
    Code(i8),
}

/// Visits every non-zero weight with its row (first dimension) and its place in the row.
pub(crate) fn each_weight(weights: &Constant<'_>, mut visit: impl FnMut(usize, usize, Weight)) {
    match weights.dtype {
        DataType::F32 => each::<f32>(weights, |row, at, w| visit(row, at, Weight::Real(w))),
        _ => each::<i8>(weights, |row, at, w| visit(row, at, Weight::Code(w))),
    }
}

/// Weights as kernels read them: bytes, whose dwords hold reals or codes.
pub(crate) struct Weights {
    buffer: Buffer,
    codes: Codes,
}

impl Weights {
    /// Zeros for this many dwords; reals are [`Codes::F32`].
    pub(crate) fn zeroed(dwords: usize, codes: Codes) -> Self {
        Self { buffer: Buffer::zeroed(4 * dwords), codes }
    }

    /// Puts every non-zero weight where `place` of its row and then of its place in the row says: a dword, and the number of
    /// the code in it. Tells `sum` the sum of each row of integers.
    pub(crate) fn fill<P: Fn(usize) -> (usize, usize)>(
        &mut self,
        weights: &Constant<'_>,
        place: impl Fn(usize) -> P,
        sum: impl FnMut(usize, i32),
    ) {
        let (buffer, per_dword) = (&mut self.buffer, self.codes.per_dword());
        match (weights.dtype, self.codes) {
            (DataType::F32, _) => {
                put(weights, buffer.get_mut(), per_dword, place, |_, _| (), |w: f32| (w, 0));
            }
            (_, Codes::F32) => {
                let convert = |w: i8| (f32::from(w), i32::from(w));
                put(weights, buffer.get_mut(), per_dword, place, sum, convert);
            }
            (_, Codes::I16) => {
                let convert = |w: i8| (i16::from(w), i32::from(w));
                put(weights, buffer.get_mut(), per_dword, place, sum, convert);
            }
            (_, Codes::U8 | Codes::I8) => {
                let convert = |w: i8| (w, i32::from(w));
                put(weights, buffer.get_mut(), per_dword, place, sum, convert);
            }
        }
    }

    pub(crate) fn dwords(&self) -> &[u32] {
        self.buffer.get()
    }

    pub(crate) fn reals(&self) -> &[f32] {
        self.buffer.get()
    }
}

fn put<T: Element, U, P: Fn(usize) -> (usize, usize)>(
    weights: &Constant<'_>,
    out: &mut [U],
    per_dword: usize,
    place: impl Fn(usize) -> P,
    mut sum: impl FnMut(usize, i32),
    convert: impl Fn(T) -> (U, i32),
) {
    for (row, elements) in weights.packed.rows::<T>(row_len(weights)).enumerate() {
        let place = place(row);
        let total = elements.fold(0_i32, |total, (column, weight)| {
            let (dword, part) = place(column as usize);
            let (element, integer) = convert(weight);
            out[dword * per_dword + part] = element;
            total.wrapping_add(integer)
        });
        sum(row, total);
    }
}

/// A bias of reals, one a channel, then zeros up to `len`; zeros where there is none.
pub(crate) fn bias_f32(bias: Option<&Constant<'_>>, len: usize) -> Result<Vec<f32>, PackingError> {
    let mut out = vec![0.0; len];
    if let Some(bias) = bias {
        bias.packed.expand_f32(&mut out[..bias.packed.elements()])?;
    }
    Ok(out)
}

/// A bias of integers, widened, one a channel, then zeros up to `len`; zeros where there is none.
pub(crate) fn bias_i32(bias: Option<&Constant<'_>>, len: usize) -> Result<Vec<i32>, PackingError> {
    let mut out = vec![0; len];
    if let Some(bias) = bias {
        bias.packed.expand_i32(&mut out[..bias.packed.elements()])?;
    }
    Ok(out)
}

/// Takes from each bias what a kernel's sum will hold too much: `zero * sum(w)` of the row, modulo 2^32 as kernels sum.
pub(crate) fn fold_zero(weights: &Constant<'_>, bias: &mut [i32], zero: i32) {
    each::<i8>(weights, |row, _, w| take_zero(&mut bias[row], zero, i32::from(w)));
}

/// What [`fold_zero`] takes for a sum of weights.
#[inline(always)]
pub(crate) fn take_zero(bias: &mut i32, zero: i32, sum: i32) {
    *bias = bias.wrapping_sub(zero.wrapping_mul(sum));
}

/// The largest `reach * sum|w| + |bias|` of any output channel: what its accumulator may come to.
pub(crate) fn worst_accumulator(weights: &Constant<'_>, bias: &[i32], reach: u32) -> u64 {
    let mut worst: Vec<u64> = bias.iter().map(|bias| u64::from(bias.unsigned_abs())).collect();
    each::<i8>(weights, |row, _, w| {
        if let Some(worst) = worst.get_mut(row) {
            *worst = worst.saturating_add(u64::from(w.unsigned_abs()) * u64::from(reach));
        }
    });
    worst.into_iter().max().unwrap_or(0)
}

/// Visits every non-zero element with its row, by the first dimension, and its place in the row.
fn each<T: Element>(weights: &Constant<'_>, mut visit: impl FnMut(usize, usize, T)) {
    for (row, elements) in weights.packed.rows::<T>(row_len(weights)).enumerate() {
        elements.for_each(|(column, value)| visit(row, column as usize, value));
    }
}

/// Elements of a row, by the first dimension.
fn row_len(weights: &Constant<'_>) -> usize {
    let first = weights.shape.first().map_or(1, |first| first as usize).max(1);
    weights.packed.elements() / first
}
