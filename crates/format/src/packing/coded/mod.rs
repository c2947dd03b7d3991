//! Packing of every element as one stream of range-coded bits, whose chances are learned from the elements before.
//!
//! A stream is far smaller than the other packings and has no rows to walk: it is decoded once, whole, into memory that its
//! caller lends. Decoding takes about 13 KiB of stack and no heap. docs/format.md describes the stream to the bit.
//!
//! `coder` turns bits and their chances to bytes, `mix` learns chances, `model` says which bits an element is and what each
//! depends on, `near` finds an element's neighbours, `number` splits elements of every type alike.

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

mod coder;
mod mix;
mod model;
mod near;
mod number;

use self::coder::{Coder, Decoder};
use self::model::Model;
use self::near::{Distances, Near};
use super::PackingError;
use super::element::Element;
use super::positions::{Mark, Positions};
use crate::dtype::DataType;

/// Bytes before the coded bits: the largest exponent, and how many pixels a line has.
const HEAD: usize = 2;

/// The bytes of a coded constant, of which the head is checked and the rest is not: [`decode`](Self::decode) does that.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    dtype: DataType,
    period: u16,
    data: &'a [u8],
    elements: usize,
}

impl<'a> View<'a> {
    /// `data` is empty, and all elements zero, or holds a head of two bytes and a stream. `period` is how far before an element
    /// its neighbour to the left lies.
    pub fn new(
        dtype: DataType,
        period: u16,
        data: &'a [u8],
        elements: usize,
    ) -> Result<Self, PackingError> {
        let found = data.len();
        if elements == 0 && found > 0 {
            return Err(PackingError::Length { part: "values", expected: 0, found });
        }
        if let Some(&exponent) = data.first() {
            if found < HEAD {
                return Err(PackingError::Length { part: "values", expected: HEAD, found });
            }
            let largest = number::largest_exponent(dtype);
            if u32::from(exponent) > largest {
                return Err(PackingError::Exponent { largest, found: exponent });
            }
        }
        Ok(Self { dtype, period, data, elements })
    }

    /// The elements' type.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// Number of elements, zeros included.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The head and the stream.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// How far before an element its neighbour to the left lies; 0 where it has none.
    #[must_use]
    pub fn period(&self) -> u16 {
        self.period
    }

    /// Writes every element to `out`, which must have that many places and be of their type. `row_len` is what the stream was
    /// packed with; another one yields other elements or an error. Takes time linear in `out`'s length, whatever the bytes, and
    /// ends soon after the stream does: past it all bits are ones, and no type has an element of ones alone.
    ///
    /// F32 elements may be infinite or not numbers: check them. After an error `out` holds anything.
    pub fn decode<T: Element>(&self, row_len: usize, out: &mut [T]) -> Result<(), PackingError> {
        if self.dtype != T::DTYPE {
            return Err(PackingError::ElementType { expected: T::DTYPE, found: self.dtype });
        }
        if self.elements != out.len() {
            return Err(PackingError::OutputLength { expected: self.elements, found: out.len() });
        }
        out.fill(T::default());
        let [top, pixels, stream @ ..] = self.data else { return Ok(()) };
        let mut decoder = Decoder::new(stream);
        let shape = Shape { row_len, period: self.period, top: *top, pixels: *pixels };
        walk(&mut decoder, shape, out)?;
        decoder.finish(HEAD, self.elements)
    }
}

/// Nothing can be walked before it is decoded.
impl Positions for View<'_> {
    fn next(&self, _: &mut Mark, _: usize) -> Option<usize> {
        None
    }

    fn skip(&self, from: Mark, end: usize) -> Mark {
        Mark { at: end, ..from }
    }
}

/// What is known of a constant before its elements.
#[derive(Clone, Copy)]
struct Shape {
    row_len: usize,
    period: u16,
    top: u8,
    pixels: u8,
}

/// Codes all of `out`, in order: an encoder reads it, a decoder writes it.
fn walk<T: Element>(
    coder: &mut impl Coder,
    shape: Shape,
    out: &mut [T],
) -> Result<(), PackingError> {
    let top = u32::from(shape.top);
    let (period, pixels) = (usize::from(shape.period), usize::from(shape.pixels));
    let distances = Distances::new(shape.row_len, period, pixels);
    let mut model = Model::new();
    let (mut column, mut channel) = (0_usize, 0_usize);
    for index in 0..out.len() {
        let Some((before, [slot, ..])) = out.split_at_mut_checked(index) else { break };
        let near = Near::new(before, column, channel, &distances, top);
        let parts = model.code::<T>(coder, &near, top, number::split(*slot));
        *slot = match parts.map(number::join) {
            None => T::default(),
            Some(Some(element)) => element,
            Some(None) => return Err(PackingError::Coded { element: index }),
        };
        column = column.wrapping_add(1);
        channel = channel.wrapping_add(1);
        if channel == period {
            channel = 0;
        }
        if column == shape.row_len {
            (column, channel) = (0, 0);
        }
    }
    Ok(())
}

#[cfg(feature = "write")]
mod pack;
#[cfg(feature = "write")]
pub use pack::pack;
