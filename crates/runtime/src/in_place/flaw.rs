//! Why a node cannot be run in place, before it is known which one it is.

use crate::error::Error;
use penjing_format::lean;

/// What is wrong with a node or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A field, by name, that does not fit the rest.
    Refused(&'static str),
    /// What the format allows and this session does not do.
    Unsupported(&'static str),
    /// The arena is too small: bytes that are needed at least.
    Arena(u32),
}

impl From<lean::Flaw> for Flaw {
    fn from(flaw: lean::Flaw) -> Self {
        Flaw::Refused(flaw.text())
    }
}

impl Flaw {
    /// Sizes that planning saw to fit and that do not: of bytes that changed.
    pub(super) const BROKEN: Self = Flaw::Refused("sizes");

    /// The error of a node, given the bytes of the arena and how many of them lie before its first word.
    pub(super) fn at(self, node: usize, arena: usize, before: usize) -> Error {
        match self {
            Flaw::Refused(what) => Error::Refused { node, what },
            Flaw::Unsupported(what) => Error::Unsupported { node, what },
            Flaw::Arena(needed) => {
                let needed = u64::from(needed).saturating_add(before as u64);
                Error::TooLarge { needed, limit: arena as u64 }
            }
        }
    }
}
