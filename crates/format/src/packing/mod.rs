//! How a constant's elements are laid out: one module a packing, and the enum over their checked views.
//!
//! Each packing can be expanded to plain elements and walked per output row and per input feature with O(1) state a row. A
//! new one is a table in the schema, a module here, and a variant of [`Packed`]. No kernel and no op knows a packing.

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

pub mod bitmap;
mod bits;
mod columns;
pub mod dense;
mod element;
pub mod gaps;
mod row;

pub use element::{Element, Scalar};
pub(crate) use element::{scalar_at, scalars};
pub use row::{Row, Rows};

use columns::ColumnMagnitudes;

use crate::dtype::DataType;
use core::fmt;

/// Why bytes are no packing of a constant, or cannot be expanded as asked.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackingError {
    /// A part has the wrong number of bytes.
    Length {
        /// `data`, `mask`, `codes` or `values`.
        part: &'static str,
        /// Bytes it must have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// A mask's or codes' last byte has bits set past the last element.
    PaddingBits {
        /// Elements of the constant.
        elements: usize,
        /// The last byte.
        last: u8,
    },
    /// Codes have a number of bits that none may have.
    CodeBits {
        /// Bits stated.
        found: u8,
    },
    /// A stored element has no code, or its code leads past the last element.
    Codes {
        /// Its number among the stored elements.
        stored: usize,
        /// Elements of the constant.
        elements: usize,
    },
    /// A packing of non-zero elements stores a zero.
    StoredZero {
        /// Its number among the stored elements.
        index: usize,
    },
    /// An f32 element is infinite or not a number.
    NotFinite {
        /// Its number among the stored elements.
        index: usize,
    },
    /// Elements were asked for as another type.
    ElementType {
        /// The type asked for.
        expected: DataType,
        /// The elements' type.
        found: DataType,
    },
    /// The output has not one place an element.
    OutputLength {
        /// Elements of the constant.
        expected: usize,
        /// Places given.
        found: usize,
    },
}

impl fmt::Display for PackingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { part, expected, found } => {
                write!(f, "packing.{part}: expected {expected} bytes, found {found}")
            }
            Self::PaddingBits { elements, last } => {
                write!(f, "packing: bits set past element {elements} (last byte {last:#04x})")
            }
            Self::CodeBits { found } => {
                write!(f, "packing.bits: expected 1 to 8, found {found}")
            }
            Self::Codes { stored, elements } => {
                write!(f, "packing.codes: stored element {stored} has no place among {elements}")
            }
            Self::StoredZero { index } => {
                write!(f, "packing.values: stored element {index} is zero")
            }
            Self::NotFinite { index } => {
                write!(f, "packing: stored element {index} is not a finite number")
            }
            Self::ElementType { expected, found } => {
                write!(f, "elements: expected {expected}, found {found}")
            }
            Self::OutputLength { expected, found } => {
                write!(f, "output: expected {expected} elements, found {found}")
            }
        }
    }
}

impl core::error::Error for PackingError {}

/// The elements of a constant in any packing, row-major.
#[derive(Clone, Copy, Debug)]
pub enum Packed<'a> {
    /// Every element.
    Dense(dense::View<'a>),
    /// Non-zero elements and a mask.
    Bitmap(bitmap::View<'a>),
    /// Non-zero elements and the gaps between them.
    Gaps(gaps::View<'a>),
}

/// Where a walk of a constant stands: before a row, all that has to be known of what precedes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Stored values before it, of packings that store non-zero elements alone.
    value: usize,
    /// Codes before it, of gaps.
    code: usize,
    /// The element that the next code counts from, of gaps.
    at: usize,
}

impl<'a> Packed<'a> {
    /// The elements' type.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        match self {
            Packed::Dense(view) => view.dtype(),
            Packed::Bitmap(view) => view.dtype(),
            Packed::Gaps(view) => view.dtype(),
        }
    }

    /// Number of elements, zeros included.
    #[must_use]
    pub fn elements(&self) -> usize {
        match self {
            Packed::Dense(view) => view.elements(),
            Packed::Bitmap(view) => view.elements(),
            Packed::Gaps(view) => view.elements(),
        }
    }

    /// Number of non-zero elements. Counts them where the packing stores zeros too.
    #[must_use]
    pub fn nnz(&self) -> usize {
        fn count<T: Element>(view: &dense::View<'_>) -> usize {
            view.iter::<T>().filter(|value| *value != T::default()).count()
        }
        match self {
            Packed::Dense(view) => match view.dtype() {
                DataType::F32 => count::<f32>(view),
                DataType::I8 => count::<i8>(view),
                DataType::I16 => count::<i16>(view),
                DataType::I32 => count::<i32>(view),
                DataType::U8 => view.data().iter().filter(|&&value| value != 0).count(),
            },
            Packed::Bitmap(view) => view.nnz(),
            Packed::Gaps(view) => view.nnz(),
        }
    }

    /// Bytes that the elements take in the file.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        match self {
            Packed::Dense(view) => view.data().len(),
            Packed::Bitmap(view) => view.mask().len().saturating_add(view.values().len()),
            Packed::Gaps(view) => view.codes().len().saturating_add(view.values().len()),
        }
    }

    /// Writes every element, zeros included, to `out`, which must have that many places and be of their type.
    pub fn expand_i8(&self, out: &mut [i8]) -> Result<(), PackingError> {
        self.expand::<i8, i8>(out)
    }

    /// Writes every element, zeros included, to `out`, which must have that many places and be of their type.
    pub fn expand_f32(&self, out: &mut [f32]) -> Result<(), PackingError> {
        self.expand::<f32, f32>(out)
    }

    /// Writes every element (of i8, i16 or i32: biases) widened to `out`, which must have that many places.
    pub fn expand_i32(&self, out: &mut [i32]) -> Result<(), PackingError> {
        match self.dtype() {
            DataType::I8 => self.expand::<i8, i32>(out),
            DataType::I16 => self.expand::<i16, i32>(out),
            _ => self.expand::<i32, i32>(out),
        }
    }

    fn expand<T: Element, O: From<T> + Default + Clone>(
        &self,
        out: &mut [O],
    ) -> Result<(), PackingError> {
        if self.dtype() != T::DTYPE {
            return Err(PackingError::ElementType { expected: T::DTYPE, found: self.dtype() });
        }
        if self.elements() != out.len() {
            return Err(PackingError::OutputLength { expected: self.elements(), found: out.len() });
        }
        match self {
            Packed::Dense(view) => view.expand::<T, O>(out),
            Packed::Bitmap(view) => view.expand::<T, O>(out),
            Packed::Gaps(view) => view.expand::<T, O>(out),
        }
        Ok(())
    }

    /// The non-zero elements of row `row` of rows of `row_len`; `None` where `T` is not the elements' type or there is no
    /// such row. Finding a row may cost a count over what precedes it: use [`rows`](Self::rows) to visit all.
    #[must_use]
    pub fn row<T: Element>(&self, row: usize, row_len: usize) -> Option<Row<'a, T>> {
        let start = row.checked_mul(row_len)?;
        let end = start.checked_add(row_len)?;
        if T::DTYPE != self.dtype() || end > self.elements() {
            return None;
        }
        self.row_at(start, end, self.skip(Mark::default(), 0, start))
    }

    /// All rows of `row_len` elements, in order; none where `T` is not the elements' type or `row_len` is 0.
    #[must_use]
    pub fn rows<T: Element>(&self, row_len: usize) -> Rows<'a, T> {
        Rows::new(*self, row_len)
    }

    /// `sum |w|` of each column of rows of `columns` elements of i8, columns ascending; none of another type.
    pub(crate) fn column_magnitudes(&self, columns: usize) -> ColumnMagnitudes<'a> {
        let columns = if self.dtype() == DataType::I8 { columns } else { 0 };
        ColumnMagnitudes::new(*self, columns)
    }

    /// Where the walk stands that has passed the elements `start..end`, with `from` before them.
    fn skip(&self, from: Mark, start: usize, end: usize) -> Mark {
        match self {
            Packed::Dense(_) => from,
            Packed::Bitmap(view) => {
                Mark { value: from.value.saturating_add(view.rank(start, end)), ..from }
            }
            Packed::Gaps(view) => view.skip(from, end),
        }
    }

    fn row_at<T: Element>(&self, start: usize, end: usize, from: Mark) -> Option<Row<'a, T>> {
        match self {
            Packed::Dense(view) => view.row(start, end).map(Row::Dense),
            Packed::Bitmap(view) => view.row(start, end, from.value).map(Row::Bitmap),
            Packed::Gaps(view) => view.row(start, end, from).map(Row::Gaps),
        }
    }

    /// Whether every stored element may be there: no zeros where only others are stored, f32 finite.
    pub fn check_elements(&self) -> Result<(), PackingError> {
        fn zero<T: Element>(mut stored: impl Iterator<Item = T>) -> Result<(), PackingError> {
            let found = stored.position(|value| value == T::default());
            found.map_or(Ok(()), |index| Err(PackingError::StoredZero { index }))
        }
        fn finite(mut stored: impl Iterator<Item = f32>) -> Result<(), PackingError> {
            let found = stored.position(|value| !value.is_finite());
            found.map_or(Ok(()), |index| Err(PackingError::NotFinite { index }))
        }
        let (dtype, values) = match self {
            Packed::Dense(view) => return finite(view.iter()),
            Packed::Bitmap(view) => (view.dtype(), view.values()),
            Packed::Gaps(view) => {
                view.check_codes()?;
                (view.dtype(), view.values())
            }
        };
        match dtype {
            DataType::F32 => {
                finite(scalars(values))?;
                zero::<f32>(scalars(values))
            }
            DataType::I16 => zero::<i16>(scalars(values)),
            DataType::I32 => zero::<i32>(scalars(values)),
            // A byte is zero in either sign.
            DataType::I8 | DataType::U8 => zero::<i8>(scalars(values)),
        }
    }
}
