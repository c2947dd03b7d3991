//! Borrowed batches of elements that go into a session and come out of it. Shapes are the model's; nothing is owned here.

use crate::arch::memory::{bytes_of, bytes_of_mut};
#[cfg(feature = "alloc")]
use core::ops::Range;
use penjing_format::DataType;

/// A batch of one input tensor: images one after the other, each row-major.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// 8-bit unsigned codes.
    U8(&'a [u8]),
    /// 8-bit signed codes.
    I8(&'a [i8]),
    /// Reals.
    F32(&'a [f32]),
}

/// Where a batch of one output tensor goes: images one after the other, each row-major.
#[derive(Debug)]
pub enum Output<'a> {
    /// 8-bit unsigned codes.
    U8(&'a mut [u8]),
    /// 8-bit signed codes.
    I8(&'a mut [i8]),
    /// Reals.
    F32(&'a mut [f32]),
}

macro_rules! for_each_type {
    ($self:expr, $kind:ident, $x:ident => $body:expr) => {
        match $self {
            $kind::U8($x) => $body,
            $kind::I8($x) => $body,
            $kind::F32($x) => $body,
        }
    };
}

impl<'a> Input<'a> {
    /// Type of the elements.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        match self {
            Input::U8(_) => DataType::U8,
            Input::I8(_) => DataType::I8,
            Input::F32(_) => DataType::F32,
        }
    }

    /// Number of elements, over the whole batch.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        for_each_type!(self, Input, x => x.len())
    }

    /// The elements' bytes.
    pub(crate) fn bytes(self) -> &'a [u8] {
        for_each_type!(self, Input, x => bytes_of(x))
    }

    /// Of a tensor that the planner has seen to be int8.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn codes(self) -> &'a [i8] {
        match self {
            Input::I8(x) => x,
            other => unreachable!("the planner pairs types: {} with i8", other.dtype()),
        }
    }

    /// Of a tensor that the planner has seen to be real.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn reals(self) -> &'a [f32] {
        match self {
            Input::F32(x) => x,
            other => unreachable!("the planner pairs types: {} with f32", other.dtype()),
        }
    }

    /// Elements `range`.
    #[cfg(feature = "alloc")]
    pub(crate) fn part(self, range: Range<usize>) -> Input<'a> {
        match self {
            Input::U8(x) => Input::U8(&x[range]),
            Input::I8(x) => Input::I8(&x[range]),
            Input::F32(x) => Input::F32(&x[range]),
        }
    }
}

impl<'a> Output<'a> {
    /// The places' bytes, lent.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        for_each_type!(self, Output, x => bytes_of_mut(x))
    }

    /// The places' bytes.
    #[cfg(feature = "alloc")]
    pub(crate) fn into_bytes(self) -> &'a mut [u8] {
        for_each_type!(self, Output, x => bytes_of_mut(x))
    }

    /// Type of the elements.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        match self {
            Output::U8(_) => DataType::U8,
            Output::I8(_) => DataType::I8,
            Output::F32(_) => DataType::F32,
        }
    }

    /// Number of elements, over the whole batch.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        for_each_type!(self, Output, x => x.len())
    }

    /// The same places, for a while.
    #[cfg(feature = "alloc")]
    pub(crate) fn reborrow(&mut self) -> Output<'_> {
        match self {
            Output::U8(x) => Output::U8(x),
            Output::I8(x) => Output::I8(x),
            Output::F32(x) => Output::F32(x),
        }
    }

    /// Places `range`.
    #[cfg(feature = "alloc")]
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        match self {
            Output::U8(x) => Output::U8(&mut x[range]),
            Output::I8(x) => Output::I8(&mut x[range]),
            Output::F32(x) => Output::F32(&mut x[range]),
        }
    }

    /// Copies `from`, of the same type, to the places from element `at` on.
    #[cfg(feature = "alloc")]
    pub(crate) fn copy_at(&mut self, at: usize, from: Input<'_>) {
        match (self, from) {
            (Output::U8(to), Input::U8(from)) => to[at..at + from.len()].copy_from_slice(from),
            (Output::I8(to), Input::I8(from)) => to[at..at + from.len()].copy_from_slice(from),
            (Output::F32(to), Input::F32(from)) => to[at..at + from.len()].copy_from_slice(from),
            (to, from) => {
                unreachable!("the planner pairs types: {} with {}", to.dtype(), from.dtype())
            }
        }
    }
}

macro_rules! conversions {
    ($($type:ty => $variant:ident),*) => {$(
        impl<'a> From<&'a [$type]> for Input<'a> {
            fn from(elements: &'a [$type]) -> Self {
                Input::$variant(elements)
            }
        }

        #[cfg(feature = "alloc")]
        impl<'a> From<&'a alloc::vec::Vec<$type>> for Input<'a> {
            fn from(elements: &'a alloc::vec::Vec<$type>) -> Self {
                Input::$variant(elements)
            }
        }

        impl<'a, const N: usize> From<&'a [$type; N]> for Input<'a> {
            fn from(elements: &'a [$type; N]) -> Self {
                Input::$variant(elements)
            }
        }

        impl<'a> From<&'a mut [$type]> for Output<'a> {
            fn from(places: &'a mut [$type]) -> Self {
                Output::$variant(places)
            }
        }

        #[cfg(feature = "alloc")]
        impl<'a> From<&'a mut alloc::vec::Vec<$type>> for Output<'a> {
            fn from(places: &'a mut alloc::vec::Vec<$type>) -> Self {
                Output::$variant(places)
            }
        }

        impl<'a, const N: usize> From<&'a mut [$type; N]> for Output<'a> {
            fn from(places: &'a mut [$type; N]) -> Self {
                Output::$variant(places)
            }
        }
    )*};
}

conversions!(u8 => U8, i8 => I8, f32 => F32);
