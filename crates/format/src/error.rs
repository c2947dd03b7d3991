//! Why a file is refused. One enum, naming the place in the graph, what was expected and what was found.

use crate::dtype::DataType;
use crate::infer::ShapeError;
use crate::packing::PackingError;
use crate::shape::Shape;
use core::fmt;

/// Where in a model an error lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Who has the field.
    pub owner: Owner,
    /// The field's path below the owner, in the schema's names.
    pub field: &'static str,
}

/// The part of a model that has a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The model itself.
    Model,
    /// A graph input, by its index.
    Input(usize),
    /// A node, by its index and its op's name (`node` where it is unknown).
    Node(usize, &'static str),
}

impl Owner {
    /// A field of this owner.
    #[must_use]
    pub fn field(self, field: &'static str) -> Place {
        Place { owner: self, field }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner {
            Owner::Model => write!(f, "model, {}", self.field),
            Owner::Input(index) => write!(f, "input {index}, {}", self.field),
            Owner::Node(index, op) => write!(f, "node {index} ({op}), {}", self.field),
        }
    }
}

/// What is wrong with the flatbuffers layout at some byte.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Something would lie past the end of the file or before its start.
    OutOfBounds,
    /// A number does not lie at a multiple of its size.
    Unaligned,
    /// A string has no zero after it.
    NotTerminated,
    /// A string is not UTF-8.
    NotUtf8,
    /// The parts of the file, counted as often as they are referred to, exceed a multiple of its length: a file that makes a
    /// reader do far more work than its size justifies.
    TooMuchSharing,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::OutOfBounds => "reaches past the file",
            Fault::Unaligned => "is not aligned to its size",
            Fault::NotTerminated => "is not followed by a zero byte",
            Fault::NotUtf8 => "is not UTF-8",
            Fault::TooMuchSharing => "makes the file refer to the same bytes too often",
        })
    }
}

/// Why a file is no model that this version can run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Error {
    /// Too short to hold a header.
    TooShort {
        /// Bytes of a header.
        expected: usize,
        /// Its bytes.
        found: usize,
    },
    /// Bytes 4..8 are not `PNJ1`.
    Identifier {
        /// What they are.
        found: [u8; 4],
    },
    /// The flatbuffers layout is broken.
    Layout {
        /// The field that was followed.
        place: Place,
        /// Byte of the file.
        at: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// Written for a later version.
    Version {
        /// The latest version that this crate reads.
        expected: u16,
        /// The file's.
        found: u16,
    },
    /// A field that must be there is not.
    Missing {
        /// The field.
        place: Place,
    },
    /// A field that its node's op or packing has no use for.
    Unexpected {
        /// The field.
        place: Place,
    },
    /// The bytes are not those that were hashed when the file was written.
    Hash {
        /// The hash of the bytes.
        expected: u64,
        /// The hash that the file states.
        found: u64,
    },
    /// Weights are entropy-coded and have to be decoded before they can be walked: `penjing_format::expand` does.
    Coded {
        /// The field.
        place: Place,
    },
    /// A code of an enum that this version does not know.
    UnknownCode {
        /// The field.
        place: Place,
        /// The code.
        found: u8,
    },
    /// More, or fewer, of something than there may be.
    Count {
        /// The vector.
        place: Place,
        /// How many there must be; for a limit, the most.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Shapes that do not go together, or a shape that no tensor can have.
    Shape {
        /// The field.
        place: Place,
        /// Why.
        source: ShapeError,
    },
    /// A stated shape is not the inferred one.
    ShapeMismatch {
        /// The field.
        place: Place,
        /// The inferred shape.
        expected: Shape,
        /// The stated one.
        found: Shape,
    },
    /// An element type that may not be there.
    ElementType {
        /// The field.
        place: Place,
        /// The types that may be.
        expected: &'static str,
        /// The type found.
        found: DataType,
    },
    /// A constant's bytes are no packing of it.
    Packing {
        /// The constant.
        place: Place,
        /// Why.
        source: PackingError,
    },
    /// A number that must be finite and, for scales and deviations, positive.
    Number {
        /// The field.
        place: Place,
        /// Its index in the field.
        index: usize,
        /// What is asked of it.
        expected: &'static str,
        /// The number.
        found: f32,
    },
    /// A zero point outside the integers of its type.
    ZeroPoint {
        /// The field.
        place: Place,
        /// The integers of the type.
        expected: (i32, i32),
        /// The zero point.
        found: i32,
    },
    /// A quantization where there may be none, or another one than the input hands on.
    Quantization {
        /// The field.
        place: Place,
        /// What is asked.
        expected: &'static str,
    },
    /// A value's number is not below the limit.
    ValueId {
        /// The field.
        place: Place,
        /// The values that may be named are those below it.
        limit: usize,
        /// The number.
        found: usize,
    },
    /// A value that is used elsewhere than by the next node must state its type.
    NotStated {
        /// Who uses it.
        place: Place,
        /// The value.
        value: usize,
        /// What it does not state.
        field: &'static str,
    },
    /// A sum of products could leave an i32.
    Accumulator {
        /// The constant.
        place: Place,
        /// The output channel.
        channel: usize,
        /// The largest magnitude that its sum can reach.
        worst: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { expected, found } => {
                write!(f, "not a model: expected at least {expected} bytes, found {found}")
            }
            Self::Identifier { found } => {
                write!(
                    f,
                    "not a model: expected PNJ1 at byte 4, found \"{}\"",
                    found.escape_ascii()
                )
            }
            Self::Layout { place, at, fault } => write!(f, "{place}: byte {at} {fault}"),
            Self::Version { expected, found } => {
                write!(f, "the file needs format version {found}, this is {expected}")
            }
            Self::Missing { place } => write!(f, "{place}: missing"),
            Self::Unexpected { place } => write!(f, "{place}: not expected there"),
            Self::Hash { expected, found } => write!(
                f,
                "content hash: expected {expected:016x} of these bytes, found {found:016x}: the file is damaged"
            ),
            Self::Coded { place } => {
                write!(f, "{place}: entropy-coded, and this reader runs files where they lie")
            }
            Self::UnknownCode { place, found } => write!(f, "{place}: unknown code {found}"),
            Self::Count { place, expected, found } => {
                write!(f, "{place}: expected {expected}, found {found}")
            }
            Self::Shape { place, source } => write!(f, "{place}: {source}"),
            Self::ShapeMismatch { place, expected, found } => {
                write!(f, "{place}: expected {expected}, found {found}")
            }
            Self::ElementType { place, expected, found } => {
                write!(f, "{place}: expected {expected}, found {found}")
            }
            Self::Packing { place, source } => write!(f, "{place}: {source}"),
            Self::Number { place, index, expected, found } => {
                write!(f, "{place}: number {index} must be {expected}, found {found}")
            }
            Self::ZeroPoint { place, expected: (min, max), found } => {
                write!(f, "{place}: expected an integer in [{min}, {max}], found {found}")
            }
            Self::Quantization { place, expected } => write!(f, "{place}: expected {expected}"),
            Self::ValueId { place, limit, found } => {
                write!(f, "{place}: expected a value below {limit}, found {found}")
            }
            Self::NotStated { place, value, field } => write!(
                f,
                "{place}: value {value} is not the one just before, so it must state its {field}"
            ),
            Self::Accumulator { place, channel, worst } => write!(
                f,
                "{place}: output channel {channel} could reach {worst}, expected at most {}",
                i32::MAX
            ),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Shape { source, .. } => Some(source),
            Self::Packing { source, .. } => Some(source),
            _ => None,
        }
    }
}
