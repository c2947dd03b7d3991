//! Everything that can go wrong between a file and its results. Errors of the file's content are `penjing_format`'s, wrapped.

#[cfg(feature = "alloc")]
use crate::budget::Overdraft;
#[cfg(feature = "alloc")]
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use penjing_format::{DataType, PackingError};

/// Why a model cannot be opened or planned.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    #[cfg(feature = "std")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are no model that this version runs.
    #[cfg(feature = "alloc")]
    Format {
        /// The file, where the bytes come from one.
        path: Option<String>,
        /// What is wrong with it, and where.
        source: Box<penjing_format::Error>,
    },
    /// The file is not signed as it must be.
    #[cfg(all(feature = "signed", feature = "alloc"))]
    Signature {
        /// The file, where the bytes come from one.
        path: Option<String>,
        /// What is wrong with its signature.
        source: crate::SignatureError,
    },
    /// The bytes are no model that a session in place runs.
    Header {
        /// What is wrong with them.
        source: penjing_format::lean::Flaw,
    },
    /// A node that does not go together with the rest, found by a session in place.
    Refused {
        /// Index of the node.
        node: usize,
        /// The field that does not fit.
        what: &'static str,
    },
    /// A node's constants do not expand to what its op expects.
    Weights {
        /// Index of the node.
        node: usize,
        /// What does not fit.
        source: PackingError,
    },
    /// A node that the format allows and this runtime has no kernel for.
    Unsupported {
        /// Index of the node.
        node: usize,
        /// What is missing.
        what: &'static str,
    },
    /// A node that the model does not have.
    NoNode {
        /// What was asked for.
        node: usize,
        /// How many there are.
        nodes: usize,
    },
    /// The session, or the model decoded, needs more memory than the options grant. Found out before any of it is allocated.
    TooLarge {
        /// Bytes that it needs at least.
        needed: u64,
        /// Bytes granted: [`SessionOptions::max_bytes`](crate::SessionOptions::max_bytes) or
        /// [`OpenOptions::max_bytes`](crate::OpenOptions::max_bytes).
        limit: u64,
    },
    /// An instruction set that this version does not know or this machine does not have.
    #[cfg(feature = "alloc")]
    Isa {
        /// What was asked for.
        requested: String,
        /// Whether this version knows it; then the machine lacks it.
        known: bool,
        /// What this machine has.
        choices: Vec<&'static str>,
    },
    /// A worker thread cannot be started.
    #[cfg(feature = "std")]
    Thread {
        /// What the system says.
        source: std::io::Error,
    },
    /// Several threads where there are none: the crate was built without `std`.
    NoThreads {
        /// Threads asked for.
        requested: usize,
    },
}

#[cfg(feature = "alloc")]
impl From<Overdraft> for Error {
    fn from(Overdraft { needed, limit }: Overdraft) -> Self {
        Error::TooLarge { needed, limit }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "std")]
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
            #[cfg(feature = "alloc")]
            Error::Format { path: Some(path), source } => write!(f, "{path}: {source}"),
            #[cfg(feature = "alloc")]
            Error::Format { path: None, source } => write!(f, "model: {source}"),
            #[cfg(all(feature = "signed", feature = "alloc"))]
            Error::Signature { path: Some(path), source } => write!(f, "{path}: {source}"),
            #[cfg(all(feature = "signed", feature = "alloc"))]
            Error::Signature { path: None, source } => write!(f, "model: {source}"),
            Error::Header { source } => write!(f, "model: {}", source.text()),
            Error::Refused { node, what } => write!(f, "node {node}: {what} does not fit"),
            Error::Weights { node, source } => write!(f, "node {node}: {source}"),
            Error::Unsupported { node, what } => write!(f, "node {node}: {what}"),
            Error::NoNode { node, nodes } => {
                write!(f, "node: expected one of the model's {nodes}, found {node}")
            }
            Error::TooLarge { needed, limit } => {
                write!(f, "memory: expected at most {limit} bytes, needed are {needed} or more")
            }
            #[cfg(feature = "alloc")]
            Error::Isa { requested, known, choices } => {
                let lacks = if *known { ", which this machine lacks" } else { "" };
                write!(
                    f,
                    "instruction set: expected one of {choices:?}, found \"{requested}\"{lacks}"
                )
            }
            #[cfg(feature = "std")]
            Error::Thread { source } => write!(f, "worker thread: {source}"),
            Error::NoThreads { requested } => {
                write!(f, "threads: expected 1 in a build without std, found {requested}")
            }
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            #[cfg(feature = "std")]
            Error::Io { source, .. } | Error::Thread { source } => Some(source),
            #[cfg(feature = "alloc")]
            Error::Format { source, .. } => Some(source.as_ref()),
            #[cfg(all(feature = "signed", feature = "alloc"))]
            Error::Signature { source, .. } => Some(source),
            Error::Weights { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A tensor that a caller hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Input of this number.
    Input(usize),
    /// Output of this number.
    Output(usize),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Input(index) => write!(f, "input {index}"),
            Port::Output(index) => write!(f, "output {index}"),
        }
    }
}

/// Why a batch cannot be run. Nothing was run then, except after [`Worker`](Self::Worker).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunError {
    /// The wrong number of tensors.
    Count {
        /// `inputs` or `outputs`.
        of: &'static str,
        /// What the model has.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// Elements of the wrong type.
    DataType {
        /// The tensor.
        port: Port,
        /// The model's type.
        expected: DataType,
        /// What was given.
        found: DataType,
    },
    /// The first input is no whole number of images.
    Partial {
        /// The tensor.
        port: Port,
        /// Elements an image.
        per_image: usize,
        /// Elements given.
        found: usize,
    },
    /// A tensor for another number of images than the first input.
    Length {
        /// The tensor.
        port: Port,
        /// Images in the first input.
        batch: usize,
        /// Elements that so many images have.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A kernel panicked on one of a session's several threads: a defect of this crate. The outputs are incomplete; the
    /// session can go on.
    Worker,
    /// The model's bytes are no longer those that the session was made of. The outputs are incomplete.
    Model,
    /// A profile was made by a session of other groups.
    Profile {
        /// Groups of this session.
        expected: usize,
        /// Groups of the profile.
        found: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Count { of, expected, found } => {
                write!(f, "{of}: expected {expected}, found {found}")
            }
            RunError::DataType { port, expected, found } => {
                write!(f, "{port}: expected elements of {expected}, found {found}")
            }
            RunError::Partial { port, per_image, found } => {
                write!(f, "{port}: expected a multiple of {per_image} elements, found {found}")
            }
            RunError::Length { port, batch, expected, found } => write!(
                f,
                "{port}: expected {expected} elements for a batch of {batch}, found {found}"
            ),
            RunError::Worker => f.write_str("a kernel panicked on one of the session's threads"),
            RunError::Model => f.write_str("the model's bytes changed after the session was made"),
            RunError::Profile { expected, found } => write!(
                f,
                "profile: expected one of this session's {expected} groups, found {found} of another's"
            ),
        }
    }
}

impl core::error::Error for RunError {}
