//! Elements of every type as sign, exponent and the bits below, so that one model serves them all. No coding.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use crate::dtype::DataType;
use crate::packing::Element;

/// A number other than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) negative: bool,
    /// Of integers the bits of the magnitude; of f32 the eight bits of IEEE 754.
    pub(super) exponent: u32,
    /// The magnitude's bits below its highest; of f32 all 23 of the significand.
    pub(super) below: u32,
}

/// The largest exponent that elements of a type may have.
pub(super) fn largest_exponent(dtype: DataType) -> u32 {
    match dtype {
        DataType::F32 => 255,
        _ => u32::try_from(dtype.size()).unwrap_or(0).saturating_mul(8),
    }
}

/// Bits below the highest of a magnitude of this exponent.
#[inline]
pub(super) fn bits_below<T: Element>(exponent: u32) -> u32 {
    if T::DTYPE == DataType::F32 { 23 } else { exponent.saturating_sub(1) }
}

/// An integer's bits, widened.
#[inline]
fn integer<T: Element>(element: T) -> i32 {
    let above = 32_u32.wrapping_sub(u32::try_from(T::SIZE).unwrap_or(0).wrapping_mul(8));
    element.raw().wrapping_shl(above).cast_signed().wrapping_shr(above)
}

/// The parts of an element; `None` for zero of either sign.
#[inline]
pub(super) fn split<T: Element>(element: T) -> Option<Parts> {
    if element == T::default() {
        return None;
    }
    if T::DTYPE == DataType::F32 {
        let raw = element.raw();
        let exponent = raw.wrapping_shr(23) & 0xff;
        return Some(Parts {
            negative: raw.wrapping_shr(31) == 1,
            exponent,
            below: raw & 0x7f_ffff,
        });
    }
    let value = integer(element);
    let magnitude = value.unsigned_abs();
    let exponent = 32_u32.wrapping_sub(magnitude.leading_zeros());
    let highest = 1_u32.wrapping_shl(exponent.wrapping_sub(1));
    Some(Parts { negative: value < 0, exponent, below: magnitude ^ highest })
}

/// The element of these parts; `None` where its type has none, or it is zero.
#[inline]
pub(super) fn join<T: Element>(parts: Parts) -> Option<T> {
    let Parts { negative, exponent, below } = parts;
    let raw = if T::DTYPE == DataType::F32 {
        u32::from(negative).wrapping_shl(31) | exponent.checked_shl(23)? | below
    } else {
        let magnitude = 1_u32.checked_shl(exponent.checked_sub(1)?)? | below;
        if negative { magnitude.wrapping_neg() } else { magnitude }
    };
    let element = raw.to_le_bytes().get(..T::SIZE).map(T::from_le)?;
    (split(element) == Some(parts)).then_some(element)
}

/// An element for comparison with others: -127 to 127, where a magnitude of the largest exponent, `top`, has 64 or more. Small
/// integers stay what they are.
#[inline]
pub(super) fn level<T: Element>(element: T, top: u32) -> i32 {
    if T::DTYPE == DataType::F32 {
        let Some(Parts { negative, exponent, below }) = split(element) else { return 0 };
        let magnitude = (below | 0x80_0000).wrapping_shr(17).cast_signed();
        let magnitude = magnitude.wrapping_shr(top.saturating_sub(exponent).min(31));
        return if negative { magnitude.wrapping_neg() } else { magnitude };
    }
    let value = integer(element);
    let magnitude = value.unsigned_abs().wrapping_shr(top.saturating_sub(7)).cast_signed();
    if value < 0 { magnitude.wrapping_neg() } else { magnitude }
}
