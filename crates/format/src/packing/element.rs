//! Little-endian scalars, and which of them may be elements of a constant.

#![forbid(unsafe_code)]

use crate::dtype::DataType;

/// A little-endian number of the file.
pub trait Scalar: Copy + Default + core::fmt::Debug + 'static {
    /// Bytes.
    const SIZE: usize;

    /// The number in exactly [`SIZE`](Self::SIZE) bytes; of any other count, the default.
    fn from_le(bytes: &[u8]) -> Self;
}

macro_rules! scalar {
    ($($type:ty),*) => {$(
        impl Scalar for $type {
            const SIZE: usize = size_of::<$type>();

            #[inline(always)]
            fn from_le(bytes: &[u8]) -> Self {
                bytes.try_into().map(<$type>::from_le_bytes).unwrap_or_default()
            }
        }
    )*};
}

scalar!(u8, i8, u16, i16, u32, i32, f32);

/// Element `index` of little-endian `bytes`.
#[inline(always)]
pub(crate) fn scalar_at<T: Scalar>(bytes: &[u8], index: usize) -> Option<T> {
    let start = index.checked_mul(T::SIZE)?;
    bytes.get(start..start.checked_add(T::SIZE)?).map(T::from_le)
}

/// All elements of little-endian `bytes`.
pub(crate) fn scalars<T: Scalar>(
    bytes: &[u8],
) -> impl ExactSizeIterator<Item = T> + Clone + use<'_, T> {
    bytes.chunks_exact(T::SIZE).map(T::from_le)
}

/// An element type of constants: `f32`, `i8`, `i16` or `i32`.
pub trait Element: Scalar + PartialEq + sealed::Sealed {
    /// Its name in the file.
    const DTYPE: DataType;

    /// Its bits; zeros above those of narrow types.
    fn raw(self) -> u32;

    /// An int8 number, where this is the type of one; `None` of other types.
    fn from_i8(value: i8) -> Option<Self>;

    /// Appends its bytes. A negative zero is written as zero.
    #[cfg(feature = "write")]
    fn append_le(self, bytes: &mut std::vec::Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($type:ty = $dtype:ident, $from_i8:expr;)*) => {$(
        impl sealed::Sealed for $type {}

        impl Element for $type {
            const DTYPE: DataType = DataType::$dtype;

            #[inline(always)]
            fn raw(self) -> u32 {
                let mut raw = [0; 4];
                raw.iter_mut().zip(self.to_le_bytes()).for_each(|(slot, byte)| *slot = byte);
                u32::from_le_bytes(raw)
            }

            #[inline(always)]
            fn from_i8(value: i8) -> Option<Self> {
                let from: fn(i8) -> Option<Self> = $from_i8;
                from(value)
            }

            #[cfg(feature = "write")]
            fn append_le(self, bytes: &mut std::vec::Vec<u8>) {
                let value = if self == <$type>::default() { <$type>::default() } else { self };
                bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
    )*};
}

element! {
    f32 = F32, |_| None;
    i8 = I8, Some;
    i16 = I16, |_| None;
    i32 = I32, |_| None;
}
