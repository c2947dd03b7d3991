//! Why bytes are no packing of a constant. What is wrong with a file as a whole is `crate::Error`'s.

#![forbid(unsafe_code)]

use crate::dtype::DataType;
use core::fmt;

/// Why bytes are no packing of a constant, or cannot be expanded as asked.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackingError {
    /// A part has the wrong number of bytes.
    Length {
        /// `index` or `values`.
        part: &'static str,
        /// Bytes it must have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// A last byte has bits set past the last one that means something.
    PaddingBits {
        /// `index` or `values`.
        part: &'static str,
        /// Bits that mean something.
        used: usize,
        /// The last byte.
        last: u8,
    },
    /// Codes have a number of bits that none may have.
    CodeBits {
        /// Bits stated.
        found: u8,
    },
    /// Elements have a number of bits that none of their type may have.
    ValueBits {
        /// Bits stated.
        found: u8,
        /// The elements' type.
        dtype: DataType,
    },
    /// Groups or blocks have a number of elements that none may have.
    GroupSize {
        /// Elements that they may have.
        expected: (u8, u8),
        /// Elements stated.
        found: u8,
    },
    /// A group keeps no element, or all of them.
    Kept {
        /// Elements of a group.
        group: u8,
        /// Elements kept.
        found: u8,
    },
    /// Groups or rows do not fill the constant.
    Groups {
        /// Elements of a group or of a row.
        group: usize,
        /// Elements of the constant.
        elements: usize,
    },
    /// A group that is said to have stored elements has none.
    EmptyGroup {
        /// Its number among those that are said to have some.
        group: usize,
    },
    /// A stored element's place is not in its group, or not after the one before.
    Place {
        /// Its number among the stored elements.
        stored: usize,
        /// Elements of a group.
        group: usize,
    },
    /// A stored element has no code, or its code leads past the last element.
    Codes {
        /// Its number among the stored elements.
        stored: usize,
        /// Elements of the constant.
        elements: usize,
    },
    /// A coded stream leads to an element that its type does not have; or, where it is the number of elements, it does not end
    /// as the last one asks.
    Coded {
        /// The element's number.
        element: usize,
    },
    /// A coded constant's largest exponent is beyond its type's.
    Exponent {
        /// The type's largest.
        largest: u32,
        /// The one stated.
        found: u8,
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
                write!(f, "{part}: expected {expected} bytes, found {found}")
            }
            Self::PaddingBits { part, used, last } => {
                write!(f, "{part}: bits set past the {used} that it has (last byte {last:#04x})")
            }
            Self::CodeBits { found } => write!(f, "gap_bits: expected 1 to 8, found {found}"),
            Self::ValueBits { found, dtype } => {
                write!(f, "value_bits: expected 1 to 7 of i8, found {found} of {dtype}")
            }
            Self::GroupSize { expected: (least, most), found } => {
                write!(f, "group: expected {least} to {most}, found {found}")
            }
            Self::Kept { group, found } => {
                write!(
                    f,
                    "kept: expected at least 1 and less than the group's {group}, found {found}"
                )
            }
            Self::Groups { group, elements } => {
                write!(f, "groups of {group} do not fill {elements} elements")
            }
            Self::EmptyGroup { group } => {
                write!(f, "index: group {group} of those with stored elements has none")
            }
            Self::Place { stored, group } => write!(
                f,
                "index: stored element {stored} has no place after the one before in its group of {group}"
            ),
            Self::Codes { stored, elements } => {
                write!(f, "index: stored element {stored} has no place among {elements}")
            }
            Self::Coded { element } => {
                write!(f, "values: the stream is broken at element {element} or before")
            }
            Self::Exponent { largest, found } => {
                write!(f, "values: expected an exponent of at most {largest}, found {found}")
            }
            Self::StoredZero { index } => {
                write!(f, "values: stored element {index} is zero")
            }
            Self::NotFinite { index } => {
                write!(f, "values: stored element {index} is not a finite number")
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
