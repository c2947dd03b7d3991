//! The flatbuffers layout: tables, vectors and strings over raw bytes, every step checked. No meaning is known here.
//!
//! A table starts with the distance (i32, subtracted) to its vtable: u16 bytes of the vtable, u16 bytes of the table, then a
//! u16 a field, where the field lies in the table or 0 for its default. Vectors, strings and tables lie at u32 distances ahead.

use super::layout::{Field, ROOT};
use crate::error::{Error, Fault, Owner};
use crate::packing::{Scalar, scalar_at, scalars};
use core::ops::Range;

/// A broken step: the field that was followed, the byte, the fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defect {
    pub(super) field: Field,
    pub(super) at: usize,
    pub(super) fault: Fault,
}

impl core::fmt::Debug for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

impl Defect {
    /// The error for a caller, with the owner of the field.
    pub(super) fn of(self, owner: Owner) -> Error {
        Error::Layout { place: owner.field(self.field.name), at: self.at, fault: self.fault }
    }
}

type Read<T> = Result<T, Defect>;

/// The file, and the field that is being followed (for errors).
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    field: Field,
}

impl<'a> Cursor<'a> {
    fn defect<T>(self, at: usize, fault: Fault) -> Read<T> {
        Err(Defect { field: self.field, at, fault })
    }

    /// The number at `at`, which must be a multiple of its size.
    fn scalar<T: Scalar>(self, at: usize) -> Read<T> {
        if at.checked_rem(T::SIZE) != Some(0) {
            return self.defect(at, Fault::Unaligned);
        }
        self.range(at, T::SIZE).map(T::from_le)
    }

    fn range(self, at: usize, len: usize) -> Read<&'a [u8]> {
        match at.checked_add(len).and_then(|end| self.bytes.get(at..end)) {
            Some(bytes) => Ok(bytes),
            None => self.defect(at, Fault::OutOfBounds),
        }
    }

    /// Where the u32 distance at `at` leads.
    fn forward(self, at: usize) -> Read<usize> {
        let distance: u32 = self.scalar(at)?;
        match usize::try_from(distance).ok().and_then(|distance| at.checked_add(distance)) {
            Some(to) => Ok(to),
            None => self.defect(at, Fault::OutOfBounds),
        }
    }

    /// The bytes of the elements (`size` bytes each, so aligned) of the vector at `at`.
    fn vector(self, at: usize, size: usize) -> Read<&'a [u8]> {
        let len: u32 = self.scalar(at)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX).saturating_mul(size);
        self.range(at.saturating_add(4), len)
    }

    fn string(self, at: usize) -> Read<&'a str> {
        let bytes = self.vector(at, 1)?;
        let Ok(string) = core::str::from_utf8(bytes) else {
            return self.defect(at, Fault::NotUtf8);
        };
        let end = at.saturating_add(4).saturating_add(bytes.len());
        match self.bytes.get(end) {
            Some(0) => Ok(string),
            _ => self.defect(end, Fault::NotTerminated),
        }
    }

    fn table(self, at: usize) -> Read<Table<'a>> {
        let back: i32 = self.scalar(at)?;
        let distance = usize::try_from(back.unsigned_abs()).unwrap_or(usize::MAX);
        let vtable = if back > 0 { at.checked_sub(distance) } else { at.checked_add(distance) };
        let Some(vtable) = vtable else {
            return self.defect(at, Fault::OutOfBounds);
        };
        let len: u16 = self.scalar(vtable)?;
        if !len.is_multiple_of(2) {
            return self.defect(vtable, Fault::Unaligned);
        }
        let (vtable_at, vtable) = (vtable, self.range(vtable, usize::from(len))?);
        Ok(Table { bytes: self.bytes, at, vtable_at, vtable })
    }
}

/// A table whose vtable lies inside the file. Its fields are checked when they are read.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    vtable_at: usize,
    vtable: &'a [u8],
}

impl<'a> Table<'a> {
    /// A table in which every field has its default.
    pub(super) fn empty(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, vtable_at: 0, vtable: &[] }
    }

    /// The table that the file starts with.
    pub(super) fn root(bytes: &'a [u8]) -> Read<Self> {
        let cursor = Cursor { bytes, field: ROOT };
        cursor.table(cursor.forward(0)?)
    }

    /// Bytes of the vtable, which tables may share.
    pub(super) fn vtable_len(&self) -> usize {
        self.vtable.len()
    }

    /// Where field `id` lies; `None` where it has its default.
    fn position(&self, id: u16) -> Option<usize> {
        // Two u16 before the first field: the vtable's size and the table's.
        let offset: u16 = scalar_at(self.vtable, usize::from(id).saturating_add(2))?;
        (offset != 0).then(|| self.at.saturating_add(usize::from(offset)))
    }

    fn cursor(&self, field: Field) -> Cursor<'a> {
        Cursor { bytes: self.bytes, field }
    }

    /// Whether a field is there.
    pub(super) fn has(&self, field: Field) -> bool {
        self.position(field.id).is_some()
    }

    /// Where the table lies, by the size that its vtable states and not past the file's end, and where the vtable lies.
    pub(super) fn places(&self) -> (Range<usize>, Range<usize>) {
        // No field is read by it, and so nothing else is held against it.
        let size = scalar_at::<u16>(self.vtable, 1).map_or(0, usize::from);
        let end = self.at.saturating_add(size).min(self.bytes.len());
        let vtable_end = self.vtable_at.saturating_add(self.vtable.len());
        (self.at..end, self.vtable_at..vtable_end)
    }

    /// Where the vector of a field lies, its length included, whose elements have `size` bytes.
    pub(super) fn vector_place(&self, field: Field, size: usize) -> Read<Option<Range<usize>>> {
        self.follow(field, |cursor, at| {
            let bytes = cursor.vector(at, size)?.len();
            Ok(at..at.saturating_add(4).saturating_add(bytes))
        })
    }

    /// Where a field lies in the file.
    #[cfg(feature = "alloc")]
    pub(super) fn place(&self, field: Field) -> Option<usize> {
        self.position(field.id)
    }

    /// The number in a field, `default` where it is absent.
    pub(super) fn scalar<T: Scalar>(&self, field: Field, default: T) -> Read<T> {
        self.position(field.id).map_or(Ok(default), |at| self.cursor(field).scalar(at))
    }

    fn follow<T>(
        &self,
        field: Field,
        read: impl FnOnce(Cursor<'a>, usize) -> Read<T>,
    ) -> Read<Option<T>> {
        let Some(at) = self.position(field.id) else { return Ok(None) };
        let cursor = self.cursor(field);
        read(cursor, cursor.forward(at)?).map(Some)
    }

    pub(super) fn table(&self, field: Field) -> Read<Option<Table<'a>>> {
        self.follow(field, Cursor::table)
    }

    pub(super) fn string(&self, field: Field) -> Read<Option<&'a str>> {
        self.follow(field, Cursor::string)
    }

    /// A vector of bytes.
    pub(super) fn bytes(&self, field: Field) -> Read<Option<&'a [u8]>> {
        self.follow(field, |cursor, at| cursor.vector(at, 1))
    }

    /// A vector of numbers.
    pub(super) fn numbers<T: Scalar>(&self, field: Field) -> Read<Option<Numbers<'a, T>>> {
        self.follow(field, |cursor, at| {
            cursor
                .vector(at, T::SIZE)
                .map(|bytes| Numbers { bytes, element: core::marker::PhantomData })
        })
    }

    /// A vector of tables.
    pub(super) fn offsets(&self, field: Field) -> Read<Option<Offsets<'a>>> {
        self.follow(field, |cursor, at| {
            let elements = cursor.vector(at, 4)?;
            let first = at.saturating_add(4);
            Ok(Offsets { bytes: self.bytes, first, len: elements.len() / 4, field })
        })
    }
}

/// A vector of tables.
#[derive(Clone, Copy)]
pub(super) struct Offsets<'a> {
    bytes: &'a [u8],
    first: usize,
    len: usize,
    field: Field,
}

impl<'a> Offsets<'a> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// `None` past the end.
    fn follow(&self, index: usize) -> Option<Read<(Cursor<'a>, usize)>> {
        let at = self.first.checked_add(index.checked_mul(4)?)?;
        let cursor = Cursor { bytes: self.bytes, field: self.field };
        (index < self.len).then(|| cursor.forward(at).map(|to| (cursor, to)))
    }

    pub(super) fn table(&self, index: usize) -> Option<Read<Table<'a>>> {
        self.follow(index).map(|to| to.and_then(|(cursor, at)| cursor.table(at)))
    }
}

/// A vector of numbers in the file.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a, T> {
    bytes: &'a [u8],
    element: core::marker::PhantomData<T>,
}

impl<'a, T: Scalar> Numbers<'a, T> {
    pub(super) const EMPTY: Self = Self { bytes: &[], element: core::marker::PhantomData };

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().checked_div(T::SIZE).unwrap_or(0)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Number `index`; `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        scalar_at(self.bytes, index)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + Clone + use<'a, T> {
        scalars(self.bytes)
    }
}
