//! From packed constants to what kernels read: tiles of lanes, dwords of codes, widened integers. Made once, when a session is
//! planned. No kernel knows a packing and no packing knows a kernel: here they meet.

use crate::arch::lanes::Codes;
use crate::arch::memory::Buffer;
use alloc::vec;
use alloc::vec::Vec;
use penjing_format::packing::Element;
use penjing_format::{Constant, DataType, Packed, PackingError};

/// One weight as reals and integers have it.
#[derive(Clone, Copy)]
pub(crate) enum Weight {
    Real(f32),
    Code(i8),
}

/// Visits every non-zero weight with its row (first dimension) and its place in the row.
pub(crate) fn each_weight(weights: &Constant<'_>, mut visit: impl FnMut(usize, usize, Weight)) {
    let row_len = weights.packed.elements() / first(weights);
    match weights.dtype {
        DataType::F32 => {
            each::<f32>(&weights.packed, row_len, |row, at, w| visit(row, at, Weight::Real(w)));
        }
        _ => each::<i8>(&weights.packed, row_len, |row, at, w| visit(row, at, Weight::Code(w))),
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

    /// Puts one weight into a dword, as its code number `part`.
    pub(crate) fn put(&mut self, dword: usize, part: usize, weight: Weight) {
        let at = dword * self.codes.per_dword() + part;
        match (weight, self.codes) {
            (Weight::Real(w), _) => self.buffer.get_mut::<f32>()[at] = w,
            (Weight::Code(w), Codes::F32) => self.buffer.get_mut::<f32>()[at] = f32::from(w),
            (Weight::Code(w), Codes::I16) => self.buffer.get_mut::<i16>()[at] = i16::from(w),
            (Weight::Code(w), Codes::U8 | Codes::I8) => self.buffer.get_mut::<i8>()[at] = w,
        }
    }

    pub(crate) fn dwords(&self) -> &[u32] {
        self.buffer.get()
    }

    pub(crate) fn reals(&self) -> &[f32] {
        self.buffer.get()
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
    each_weight(weights, |row, _, weight| {
        if let Weight::Code(w) = weight {
            bias[row] = bias[row].wrapping_sub(zero.wrapping_mul(i32::from(w)));
        }
    });
}

/// The largest `reach * sum|w| + |bias|` of any output channel: what its accumulator may come to.
pub(crate) fn worst_accumulator(weights: &Constant<'_>, bias: &[i32], reach: u32) -> u64 {
    let row_len = weights.packed.elements() / first(weights);
    let rows = weights.packed.rows::<i8>(row_len);
    rows.zip(bias)
        .map(|(row, bias)| {
            let sum: u64 = row.map(|(_, w)| u64::from(w.unsigned_abs())).sum();
            sum.saturating_mul(u64::from(reach)) + u64::from(bias.unsigned_abs())
        })
        .max()
        .unwrap_or(0)
}

/// Visits every non-zero element with its row and column.
fn each<T: Element>(packed: &Packed<'_>, row_len: usize, mut visit: impl FnMut(usize, usize, T)) {
    for (row, elements) in packed.rows::<T>(row_len).enumerate() {
        for (column, value) in elements {
            visit(row, column as usize, value);
        }
    }
}

/// Length of the first dimension; at least 1, so that it may divide.
fn first(weights: &Constant<'_>) -> usize {
    weights.shape.first().map_or(1, |first| first as usize).max(1)
}
