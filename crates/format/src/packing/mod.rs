//! How a constant's elements are laid out: one module a packing, the enum over their checked views, and walks over any of them.
//!
//! A packing says which elements are stored (a module each, under the trait of `positions`); `values` says in what bits they are.
//! The two go together freely. Each packing can be expanded to plain elements and walked per output row and per input feature
//! with O(1) state a row. A new one is a number in the schema, a module here, and a variant of [`Layout`]. No kernel and no op
//! knows a packing.

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
pub mod blocks;
pub mod coded;
pub mod columns;
pub mod dense;
mod element;
mod error;
pub mod gaps;
pub mod groups;
mod magnitudes;
pub mod n_of_m;
mod positions;
mod row;
pub mod stream;
pub mod values;

pub use element::{Element, Scalar};
pub(crate) use element::{scalar_at, scalars};
pub use error::PackingError;
pub use row::{Row, Rows};
pub use values::{Levels, Values};

use magnitudes::ColumnMagnitudes;
use positions::{Mark, Positions};

use crate::dtype::DataType;

/// Which elements of a constant are stored: one checked view a packing.
#[derive(Clone, Copy, Debug)]
pub enum Layout<'a> {
    /// Every element.
    Dense(dense::View),
    /// Non-zero elements and a mask.
    Bitmap(bitmap::View<'a>),
    /// Non-zero elements and a mask of two levels.
    Groups(groups::View<'a>),
    /// Non-zero elements and the gaps between them.
    Gaps(gaps::View<'a>),
    /// So many elements of each group, and their places.
    NOfM(n_of_m::View<'a>),
    /// Blocks of consecutive elements and a mask of blocks.
    Blocks(blocks::View<'a>),
    /// Columns and a mask of columns.
    Columns(columns::View<'a>),
    /// Every element, in a stream that has to be decoded first: a walk meets no element.
    Coded(coded::View<'a>),
}

/// Does the same with whichever view a layout holds.
macro_rules! each {
    ($layout:expr, $view:pat => $body:expr) => {
        match $layout {
            Layout::Dense($view) => $body,
            Layout::Bitmap($view) => $body,
            Layout::Groups($view) => $body,
            Layout::Gaps($view) => $body,
            Layout::NOfM($view) => $body,
            Layout::Blocks($view) => $body,
            Layout::Columns($view) => $body,
            Layout::Coded($view) => $body,
        }
    };
}
use each;

impl Layout<'_> {
    /// The packing's name in listings and on command lines.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Layout::Dense(_) => "dense",
            Layout::Bitmap(_) => "bitmap",
            Layout::Groups(_) => "groups",
            Layout::Gaps(_) => "gaps",
            Layout::NOfM(_) => "n-of-m",
            Layout::Blocks(_) => "blocks",
            Layout::Columns(_) => "columns",
            Layout::Coded(_) => "coded",
        }
    }

    /// Whether zeros may be among the stored elements.
    fn stores_zeros(&self) -> bool {
        !matches!(self, Layout::Bitmap(_) | Layout::Groups(_) | Layout::Gaps(_))
    }
}

/// The elements of a constant in any packing, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    layout: Layout<'a>,
    values: Values<'a>,
    elements: usize,
    /// Bytes that tell which elements are stored.
    index_bytes: usize,
}

impl<'a> Packed<'a> {
    /// So many elements, of which `values` are those that `layout` says are stored; `index_bytes` tell which.
    #[must_use]
    pub fn new(
        layout: Layout<'a>,
        values: Values<'a>,
        elements: usize,
        index_bytes: usize,
    ) -> Self {
        Self { layout, values, elements, index_bytes }
    }

    /// Every element, in whole bytes.
    pub fn dense(dtype: DataType, bytes: &'a [u8], elements: usize) -> Result<Self, PackingError> {
        let values = Values::new(dtype, Levels::Whole, bytes, Some(elements))?;
        Ok(Self::new(Layout::Dense(dense::View::new(elements)), values, elements, 0))
    }

    /// Which elements are stored.
    #[must_use]
    pub fn layout(&self) -> Layout<'a> {
        self.layout
    }

    /// What is stored.
    #[must_use]
    pub fn values(&self) -> Values<'a> {
        self.values
    }

    /// The elements' type.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        self.values.dtype()
    }

    /// Number of elements, zeros included.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Number of non-zero elements. Counts them where the packing stores zeros too.
    #[must_use]
    pub fn nnz(&self) -> usize {
        fn count<T: Element>(values: &Values<'_>) -> usize {
            values.iter::<T>(0).filter(|value| *value != T::default()).count()
        }
        if !self.layout.stores_zeros() {
            return self.values.len();
        }
        match self.dtype() {
            DataType::F32 => count::<f32>(&self.values),
            DataType::I8 | DataType::U8 => count::<i8>(&self.values),
            DataType::I16 => count::<i16>(&self.values),
            DataType::I32 => count::<i32>(&self.values),
        }
    }

    /// Bytes that the elements take in the file.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.index_bytes.saturating_add(self.values.bytes().len())
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
        if self.elements != out.len() {
            return Err(PackingError::OutputLength { expected: self.elements, found: out.len() });
        }
        out.fill(O::default());
        if let Some(row) = self.row_at::<T>(0, self.elements, Mark::default()) {
            row.for_each(|(index, value)| {
                let index = usize::try_from(index).ok();
                if let Some(slot) = index.and_then(|index| out.get_mut(index)) {
                    *slot = value.into();
                }
            });
        }
        Ok(())
    }

    /// The non-zero elements of row `row` of rows of `row_len`; `None` where `T` is not the elements' type or there is no
    /// such row. Finding a row may cost a count over what precedes it: use [`rows`](Self::rows) to visit all.
    #[must_use]
    pub fn row<T: Element>(&self, row: usize, row_len: usize) -> Option<Row<'a, T>> {
        let start = row.checked_mul(row_len)?;
        let end = start.checked_add(row_len)?;
        if T::DTYPE != self.dtype() || end > self.elements {
            return None;
        }
        self.row_at(start, end, self.skip(Mark::default(), start))
    }

    /// All rows of `row_len` elements, in order; none where `T` is not the elements' type or `row_len` is 0.
    #[must_use]
    pub fn rows<T: Element>(&self, row_len: usize) -> Rows<'a, T> {
        Rows::new(*self, row_len)
    }

    /// `sum |w|` of all elements of i8; 0 of another type.
    pub(crate) fn magnitude(&self) -> u64 {
        self.values.magnitude(0..self.values.len())
    }

    /// `sum |w|` of each row of `row_len` elements of i8 that has stored ones, with its number, in order; none of another type.
    /// Stored elements follow each other row by row in every packing, so that only how many a row has needs to be known.
    pub(crate) fn row_magnitudes(
        &self,
        row_len: usize,
    ) -> impl Iterator<Item = (usize, u64)> + use<'a> {
        let packed = *self;
        let elements = if self.dtype() == DataType::I8 { self.elements } else { 0 };
        let mut mark = Mark::default();
        core::iter::from_fn(move || {
            // Rows without a stored element may be billions in a few bytes: the walk leaps over them.
            let mut ahead = mark;
            let element = each!(&packed.layout, view => view.next(&mut ahead, elements))?;
            let row = element.checked_div(row_len)?;
            let next = packed.skip(mark, row.saturating_add(1).saturating_mul(row_len));
            let sum = packed.values.magnitude(mark.stored..next.stored);
            mark = next;
            Some((row, sum))
        })
    }

    /// `sum |w|` of each column of rows of `columns` elements of i8, columns ascending; none of another type.
    pub(crate) fn column_magnitudes(&self, columns: usize) -> ColumnMagnitudes<'a> {
        let columns = if self.dtype() == DataType::I8 { columns } else { 0 };
        ColumnMagnitudes::new(*self, columns)
    }

    /// Where the walk stands that has passed all elements before `end`.
    fn skip(&self, from: Mark, end: usize) -> Mark {
        each!(&self.layout, view => view.skip(from, end))
    }

    /// The elements `start..end`; `from` is what [`skip`](Self::skip) has found for `start`.
    fn row_at<T: Element>(&self, start: usize, end: usize, from: Mark) -> Option<Row<'a, T>> {
        (end <= self.elements).then(|| Row::new(*self, start, end, from))
    }

    /// Whether every stored element has its place and may be there: no zeros where only others are stored, f32 finite.
    pub fn check_elements(&self) -> Result<(), PackingError> {
        match &self.layout {
            Layout::Gaps(view) => view.check_codes()?,
            Layout::Groups(view) => view.check_bits()?,
            Layout::NOfM(view) => view.check_places()?,
            _ => {}
        }
        self.values.check(self.layout.stores_zeros())
    }
}
