//! From packed constants to what kernels read: layouts, lanes, widened integers. Made once, when a session is planned.
//! No kernel knows a packing and no packing knows a kernel: here they meet.

use alloc::vec;
use alloc::vec::Vec;
use penjing_format::packing::Element;
use penjing_format::{Constant, DataType, Packed, PackingError};

/// Weights `[O, KH, KW, I]` as tiles of output channels: `[tile][kh][kw][i][lanes]`, in f32 (integers are exact there).
/// Lanes past the last channel hold 0.
pub(crate) fn conv_lanes(weights: &Constant<'_>, lanes: usize) -> Vec<f32> {
    let channels = first(weights);
    let taps = weights.packed.elements() / channels;
    let mut out = vec![0.0; channels.next_multiple_of(lanes) * taps];
    let place =
        |channel: usize, tap: usize| ((channel / lanes) * taps + tap) * lanes + channel % lanes;
    match weights.dtype {
        DataType::F32 => each::<f32>(&weights.packed, taps, |o, t, w| out[place(o, t)] = w),
        _ => each::<i8>(&weights.packed, taps, |o, t, w| out[place(o, t)] = f32::from(w)),
    }
    out
}

/// Weights `[out, in]` as they are, in f32.
pub(crate) fn dense_f32(weights: &Constant<'_>) -> Result<Vec<f32>, PackingError> {
    let mut out = vec![0.0; weights.packed.elements()];
    weights.packed.expand_f32(&mut out)?;
    Ok(out)
}

/// Integer weights `[out, in]` widened to i16.
pub(crate) fn dense_i16(weights: &Constant<'_>) -> Vec<i16> {
    let features = weights.packed.elements() / first(weights);
    let mut out = vec![0; weights.packed.elements()];
    each::<i8>(&weights.packed, features, |o, i, w| out[o * features + i] = i16::from(w));
    out
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

/// Output channels; at least 1, so that it may divide.
fn first(weights: &Constant<'_>) -> usize {
    weights.shape.first().map_or(1, |first| first as usize).max(1)
}
