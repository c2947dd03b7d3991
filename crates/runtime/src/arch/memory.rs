//! Bytes that hold any of the kernels' elements: aligned to a cache line, viewed as one type at a time.
//! What lies where is the planner's and each op's business.
#![allow(unsafe_code)]

#[cfg(feature = "alloc")]
use alloc::{vec, vec::Vec};

/// Alignment of a [`Buffer`] and of what [`take`] hands out: a cache line, and a vector of any instruction set.
#[cfg(feature = "alloc")]
pub(crate) const ALIGNMENT: usize = 64;

#[cfg(feature = "alloc")]
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

/// Zeroed bytes that start on a cache line.
#[cfg(feature = "alloc")]
#[derive(Clone)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
}

/// Elements without padding or forbidden bit patterns.
///
/// # Safety
/// Every bit pattern is a value, none has padding, and the alignment divides a cache line's 64 bytes.
pub(crate) unsafe trait Plain: Copy + 'static {}

// SAFETY: primitive numbers.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for i8 {}
// SAFETY: as above.
unsafe impl Plain for i16 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}

#[cfg(feature = "alloc")]
impl Buffer {
    /// At least `bytes` zeros.
    pub(crate) fn zeroed(bytes: usize) -> Self {
        Self { lines: vec![Line([0; ALIGNMENT]); bytes.div_ceil(ALIGNMENT)] }
    }

    /// All of it as elements of one type.
    pub(crate) fn get<T: Plain>(&self) -> &[T] {
        let bytes = self.lines.len() * ALIGNMENT;
        // SAFETY: the lines are `bytes` initialized bytes in a row, aligned for any `Plain` type, all of whose bit patterns
        // are values; the borrow is handed on.
        unsafe { core::slice::from_raw_parts(self.lines.as_ptr().cast(), bytes / size_of::<T>()) }
    }

    /// All of it as elements of one type, to be written.
    pub(crate) fn get_mut<T: Plain>(&mut self) -> &mut [T] {
        let bytes = self.lines.len() * ALIGNMENT;
        let start = self.lines.as_mut_ptr();
        // SAFETY: as in `get`; the borrow is unique, and a `Plain` value leaves no byte uninitialized.
        unsafe { core::slice::from_raw_parts_mut(start.cast(), bytes / size_of::<T>()) }
    }
}

/// Bytes as elements of one type.
///
/// # Panics
/// Where they are not aligned for it or no whole number of elements.
#[cfg(feature = "alloc")]
pub(crate) fn cast<T: Plain>(bytes: &[u8]) -> &[T] {
    // SAFETY: `Plain` types have no forbidden bit patterns.
    match unsafe { bytes.align_to() } {
        ([], elements, []) => elements,
        _ => unreachable!("{} bytes are no aligned elements", bytes.len()),
    }
}

/// As [`cast`], to be written.
#[cfg(feature = "alloc")]
pub(crate) fn cast_mut<T: Plain>(bytes: &mut [u8]) -> &mut [T] {
    let len = bytes.len();
    // SAFETY: `Plain` types have no forbidden bit patterns, and none that would be forbidden as bytes.
    match unsafe { bytes.align_to_mut() } {
        ([], elements, []) => elements,
        _ => unreachable!("{len} bytes are no aligned elements"),
    }
}

/// The bytes of elements.
pub(crate) fn bytes_of<T: Plain>(elements: &[T]) -> &[u8] {
    // SAFETY: a `Plain` type's bytes are all initialized, and a byte has no alignment.
    unsafe { core::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// The bytes of elements, to be written.
pub(crate) fn bytes_of_mut<T: Plain>(elements: &mut [T]) -> &mut [u8] {
    let len = size_of_val(elements);
    // SAFETY: as in `bytes_of`; the borrow is unique, and whatever is written is a value.
    unsafe { core::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), len) }
}

/// Bytes that `take` needs for `len` elements.
#[cfg(feature = "alloc")]
pub(crate) const fn room<T: Plain>(len: usize) -> usize {
    (len * size_of::<T>()).next_multiple_of(ALIGNMENT)
}

/// Cuts `len` elements off the front of aligned scratch memory; [`room`] tells how many bytes that takes.
#[cfg(feature = "alloc")]
pub(crate) fn take<'a, T: Plain>(scratch: &mut &'a mut [u8], len: usize) -> &'a mut [T] {
    let (front, rest) = core::mem::take(scratch).split_at_mut(room::<T>(len));
    *scratch = rest;
    &mut cast_mut(front)[..len]
}

/// The whole words of some bytes, without what lies before the first aligned one.
pub(crate) fn words(bytes: &mut [u8]) -> &mut [u32] {
    // SAFETY: any bits are a u32, and any bits of a u32 are bytes.
    let (_, words, _) = unsafe { bytes.align_to_mut() };
    words
}

/// Words as twice as many halves.
pub(crate) fn halves(words: &mut [u32]) -> &mut [i16] {
    // SAFETY: any bits are an i16, and any bits of two of them are a u32.
    let (_, halves, _) = unsafe { words.align_to_mut() };
    halves
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_aligned_and_apart() {
        let mut buffer = Buffer::zeroed(room::<f32>(3) + room::<i16>(40));
        let mut scratch = buffer.get_mut::<u8>();
        let reals = take::<f32>(&mut scratch, 3);
        let codes = take::<i16>(&mut scratch, 40);
        reals.fill(1.0);
        codes.fill(-1);
        assert_eq!(
            (reals.as_ptr() as usize % ALIGNMENT, codes.as_ptr() as usize % ALIGNMENT),
            (0, 0)
        );
        assert_eq!((reals, scratch.len()), (&mut [1.0; 3][..], 0));
        assert_eq!(bytes_of(codes), [255; 80]);
        assert_eq!(cast::<i16>(bytes_of(codes)), [-1; 40]);
    }
}
