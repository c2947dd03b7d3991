//! Element types of the file. Not tensors, and no arithmetic.

use core::fmt;

/// The type of a tensor's elements; little-endian in the file.
///
/// Activations are `F32`, `I8` or `U8`, weights `F32` or `I8`, biases `F32`, `I8`, `I16` or `I32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// IEEE 754 binary32.
    F32,
    /// Two's complement, 8 bits.
    I8,
    /// Unsigned, 8 bits.
    U8,
    /// Two's complement, 16 bits.
    I16,
    /// Two's complement, 32 bits.
    I32,
}

impl DataType {
    /// Bytes an element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            DataType::I8 | DataType::U8 => 1,
            DataType::I16 => 2,
            DataType::F32 | DataType::I32 => 4,
        }
    }

    /// The code of an activation's type in the file, by schemas/model.fbs; 0 there means "not stated".
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            DataType::F32 => 1,
            DataType::I8 => 2,
            DataType::U8 => 3,
            // Of biases alone, whose bytes tell.
            DataType::I16 | DataType::I32 => 0,
        }
    }

    /// The type of a code; `None` for 0 and for codes that this version does not know.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(DataType::F32),
            2 => Some(DataType::I8),
            3 => Some(DataType::U8),
            _ => None,
        }
    }

    /// The smallest and the largest integer of the type; `None` for `F32`.
    #[must_use]
    pub const fn integer_range(self) -> Option<(i32, i32)> {
        match self {
            DataType::F32 => None,
            DataType::I8 => Some((-128, 127)),
            DataType::U8 => Some((0, 255)),
            DataType::I16 => Some((-32_768, 32_767)),
            DataType::I32 => Some((i32::MIN, i32::MAX)),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DataType::F32 => "f32",
            DataType::I8 => "i8",
            DataType::U8 => "u8",
            DataType::I16 => "i16",
            DataType::I32 => "i32",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_return_and_ranges_fit_sizes() {
        for code in 0..=255 {
            let Some(dtype) = DataType::from_code(code) else {
                assert!(code == 0 || code > 3);
                continue;
            };
            assert_eq!(dtype.code(), code);
            if let Some((min, max)) = dtype.integer_range() {
                let codes = i64::from(max) - i64::from(min) + 1;
                assert_eq!(codes, 1 << (8 * dtype.size()));
            }
        }
    }
}
