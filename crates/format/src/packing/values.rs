//! The stored elements of a constant, whichever they are: whole little-endian numbers, or int8 numbers of 1 to 7 bits. Where
//! they belong is the packings' business.
//!
//! A number of `bits` bits is in two's complement where 0 is among its levels. Without 0 its codes, ascending, stand for
//! `-2^(bits-1) ..= -1` and then `1 ..= 2^(bits-1)`.

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

use super::element::{Element, scalar_at, scalars};
use super::{PackingError, bits};
use crate::dtype::DataType;

/// Bits that an int8 element may be cut down to.
pub const BITS: core::ops::RangeInclusive<u8> = 1..=7;

/// Stored elements.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    dtype: DataType,
    bytes: &'a [u8],
    levels: Levels,
    count: usize,
}

/// What a stored element can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Levels {
    /// Whatever the type holds.
    Whole,
    /// Int8 in so few bits, [`BITS`].
    Bits {
        /// Bits of an element.
        bits: u8,
        /// Whether 0 is among the levels.
        zero: bool,
    },
}

impl Levels {
    /// The level of a code of `bits` bits.
    #[inline]
    pub(super) fn level(bits: u8, zero: bool, code: u64) -> i8 {
        // Codes have 7 bits at most, so that nothing here leaves an i16.
        let code = i16::try_from(code).unwrap_or(0);
        let half = 1_i16.wrapping_shl(u32::from(bits.saturating_sub(1)));
        let upper = code >= half;
        let level = match (zero, upper) {
            (true, true) => code.wrapping_sub(half).wrapping_sub(half),
            (true, false) => code,
            (false, true) => code.wrapping_sub(half).wrapping_add(1),
            (false, false) => code.wrapping_sub(half),
        };
        i8::try_from(level).unwrap_or(0)
    }

    /// The code of a level that there is.
    #[cfg(feature = "write")]
    fn code(self, level: i8) -> Option<u8> {
        let Levels::Bits { bits, zero } = self else { return None };
        let half = 1_i16.wrapping_shl(u32::from(bits.saturating_sub(1)));
        let level = i16::from(level);
        let code = match (zero, level) {
            (true, ..=-1) => level.saturating_add(half).saturating_add(half),
            (true, _) if level < half => level,
            (false, ..=-1) => level.saturating_add(half),
            (false, 1..) if level <= half => level.saturating_add(half).saturating_sub(1),
            _ => return None,
        };
        let least = if zero && level < 0 { half } else { 0 };
        u8::try_from(code).ok().filter(|_| code >= least)
    }

    /// The fewest bits whose levels hold all of `values`, with or without 0; `None` where that takes a whole byte.
    #[cfg(feature = "write")]
    #[must_use]
    pub fn fewest(values: &[i8], zero: bool) -> Option<Self> {
        BITS.map(|bits| Levels::Bits { bits, zero })
            .find(|levels| values.iter().all(|&value| levels.code(value).is_some()))
    }

    /// The elements' bytes; `None` where one is not among the levels.
    #[cfg(feature = "write")]
    #[must_use]
    pub fn pack(self, values: &[i8]) -> Option<std::vec::Vec<u8>> {
        let Levels::Bits { bits, .. } = self else { return None };
        let mut writer = bits::Writer::default();
        for &value in values {
            writer.push(self.code(value)?, bits);
        }
        Some(writer.finish())
    }
}

impl<'a> Values<'a> {
    /// `count` elements in exactly as many bytes as they take; `None`: however many whole elements there are.
    pub fn new(
        dtype: DataType,
        levels: Levels,
        bytes: &'a [u8],
        count: Option<usize>,
    ) -> Result<Self, PackingError> {
        match levels {
            Levels::Whole => {
                let whole = bytes.len().checked_div(dtype.size()).unwrap_or(0);
                let count = count.unwrap_or(whole);
                let expected = count.saturating_mul(dtype.size());
                if bytes.len() != expected {
                    let (part, found) = ("values", bytes.len());
                    return Err(PackingError::Length { part, expected, found });
                }
                Ok(Self { dtype, bytes, levels, count })
            }
            Levels::Bits { bits, .. } => {
                if !BITS.contains(&bits) || dtype != DataType::I8 {
                    return Err(PackingError::ValueBits { found: bits, dtype });
                }
                let count = count.unwrap_or(0);
                bits::check_end("values", bytes, count.saturating_mul(usize::from(bits)))?;
                Ok(Self { dtype, bytes, levels, count })
            }
        }
    }

    /// The elements' type.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// How the elements are stored.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.levels
    }

    /// The elements' bytes, as they lie in the file: 4-aligned from its start, so that a runtime may use them in place.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of stored elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Stored element `index`; `None` past the end and where `T` is not their type.
    #[inline]
    #[must_use]
    pub fn get<T: Element>(&self, index: usize) -> Option<T> {
        match self.levels {
            Levels::Whole if T::DTYPE == self.dtype => scalar_at(self.bytes, index),
            Levels::Bits { bits, zero } if index < self.count => {
                T::from_i8(Levels::level(bits, zero, Self::code(self.bytes, bits, index)?))
            }
            _ => None,
        }
    }

    /// The stored elements from number `first` on; none where `T` is not their type.
    pub fn iter<T: Element>(&self, first: usize) -> Iter<'a, T> {
        match self.levels {
            Levels::Whole => Iter::Whole(self.whole(first)),
            Levels::Bits { .. } => Iter::Bits(self.of_bits(first)),
        }
    }

    /// As [`iter`](Self::iter), of whole elements.
    pub(super) fn whole<T: Element>(&self, first: usize) -> Whole<'a, T> {
        let passed = first.saturating_mul(T::SIZE);
        let same = T::DTYPE == self.dtype && self.levels == Levels::Whole;
        let rest = if same { self.bytes.get(passed..).unwrap_or_default() } else { &[] };
        Whole { chunks: rest.chunks_exact(T::SIZE), element: core::marker::PhantomData }
    }

    /// As [`iter`](Self::iter), of elements of a few bits.
    pub(super) fn of_bits<T: Element>(&self, first: usize) -> OfBits<'a, T> {
        OfBits { values: *self, next: first, element: core::marker::PhantomData }
    }

    /// `sum |w|` of stored int8 elements of these numbers; 0 of other types.
    pub(super) fn magnitude(&self, stored: core::ops::Range<usize>) -> u64 {
        // At most 2^32 elements of 128: far below 2^64.
        let add = |sum: u64, magnitude: u8| sum.wrapping_add(u64::from(magnitude));
        match self.levels {
            Levels::Whole if self.dtype == DataType::I8 => {
                let bytes = self.bytes.get(stored).unwrap_or_default();
                // In parts whose sums a u32 holds, which the compiler adds side by side.
                bytes
                    .chunks(1 << 16)
                    .map(|part| {
                        let magnitudes = part.iter().map(|&byte| byte.cast_signed().unsigned_abs());
                        magnitudes.fold(0_u32, |sum, magnitude| sum.wrapping_add(magnitude.into()))
                    })
                    .fold(0, |sum: u64, part| sum.wrapping_add(u64::from(part)))
            }
            Levels::Bits { .. } => {
                let count = stored.end.saturating_sub(stored.start);
                let values = self.of_bits::<i8>(stored.start).take(count);
                values.map(i8::unsigned_abs).fold(0, add)
            }
            Levels::Whole => 0,
        }
    }

    /// Whether f32 are finite and, unless zeros may be stored, no element is zero.
    pub(super) fn check(&self, zeros: bool) -> Result<(), PackingError> {
        fn zero<T: Element>(bytes: &[u8]) -> Result<(), PackingError> {
            let found = scalars::<T>(bytes).position(|value| value == T::default());
            found.map_or(Ok(()), |index| Err(PackingError::StoredZero { index }))
        }
        if self.dtype == DataType::F32
            && let Some(index) = scalars::<f32>(self.bytes).position(|value| !value.is_finite())
        {
            return Err(PackingError::NotFinite { index });
        }
        match (self.levels, self.dtype) {
            _ if zeros => Ok(()),
            (Levels::Bits { bits, zero }, _) => {
                let found = (0..self.count)
                    .position(|index| zero && Self::code(self.bytes, bits, index) == Some(0));
                found.map_or(Ok(()), |index| Err(PackingError::StoredZero { index }))
            }
            (Levels::Whole, DataType::F32) => zero::<f32>(self.bytes),
            (Levels::Whole, DataType::I8 | DataType::U8) => zero::<i8>(self.bytes),
            (Levels::Whole, DataType::I16) => zero::<i16>(self.bytes),
            (Levels::Whole, DataType::I32) => zero::<i32>(self.bytes),
        }
    }

    /// The code of element `index`, of so many bits.
    #[inline]
    fn code(bytes: &[u8], bits: u8, index: usize) -> Option<u64> {
        let bit = index.checked_mul(usize::from(bits))?;
        Some(bits::at(bytes, bit, usize::from(bits)))
    }
}

/// Stored elements in order.
#[derive(Clone, Debug)]
pub enum Iter<'a, T> {
    /// Of whole bytes.
    Whole(Whole<'a, T>),
    /// Of a few bits.
    Bits(OfBits<'a, T>),
}

impl<T: Element> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            Iter::Whole(values) => values.next(),
            Iter::Bits(values) => values.next(),
        }
    }
}

/// Stored elements of whole bytes, in order.
#[derive(Clone, Debug)]
pub struct Whole<'a, T> {
    chunks: core::slice::ChunksExact<'a, u8>,
    element: core::marker::PhantomData<T>,
}

impl<T: Element> Iterator for Whole<'_, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        self.chunks.next().map(T::from_le)
    }
}

/// Stored elements of a few bits, in order.
#[derive(Clone, Debug)]
pub struct OfBits<'a, T> {
    values: Values<'a>,
    next: usize,
    element: core::marker::PhantomData<T>,
}

impl<T: Element> Iterator for OfBits<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let value = self.values.get(self.next)?;
        self.next = self.next.saturating_add(1);
        Some(value)
    }
}
