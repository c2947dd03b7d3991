//! Why a call failed: what only a C interface can get wrong, and the runtime's own errors. The message is made where there
//! is `std`; a device does not link formatting.

use crate::status::PenjingStatus;
use penjing_runtime::{Error, Port, RunError};

/// Why a call failed.
#[derive(Debug)]
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only messages tell all"))]
pub(crate) enum Failure {
    /// A null pointer, and to what.
    Null(&'static str),
    /// A number of which there is no such thing.
    Index { of: &'static str, count: usize, found: usize },
    /// Bytes for a text and the zero after it.
    Room { needed: usize, found: usize },
    /// An address.
    Alignment { of: What, expected: usize, found: usize },
    /// Two buffers that share bytes.
    Overlap(What, What),
    /// Bytes that are no whole number of elements.
    Elements { of: Port, expected: usize, found: usize },
    /// Bytes that no memory has.
    Extent { of: What, found: usize },
    /// More inputs or outputs than there is room for.
    #[cfg(not(feature = "std"))]
    Ports,
    /// A tensor's type cannot be told: of bytes that were not checked as a whole.
    Type(penjing_format::Error),
    /// A model cannot be opened or planned.
    Open(Error),
    /// A batch cannot be run.
    Run(RunError),
    /// A panic's message.
    #[cfg(feature = "std")]
    Panic(String),
}

/// Memory of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Model,
    ModelStorage,
    SessionStorage,
    Arena,
    Port(Port),
}

impl Failure {
    pub(crate) fn status(&self) -> PenjingStatus {
        match self {
            Failure::Null(_) => PenjingStatus::NullPointer,
            Failure::Index { .. } => PenjingStatus::Index,
            Failure::Room { .. } => PenjingStatus::Room,
            Failure::Alignment { .. } => PenjingStatus::Alignment,
            Failure::Overlap(..) => PenjingStatus::Overlap,
            Failure::Elements { .. } | Failure::Extent { .. } => PenjingStatus::Length,
            #[cfg(not(feature = "std"))]
            Failure::Ports => PenjingStatus::Unsupported,
            Failure::Type(_) => PenjingStatus::Format,
            Failure::Open(error) => of_open(error),
            Failure::Run(error) => of_run(error),
            #[cfg(feature = "std")]
            Failure::Panic(_) => PenjingStatus::Internal,
        }
    }
}

fn of_open(error: &Error) -> PenjingStatus {
    match error {
        #[cfg(feature = "std")]
        Error::Io { .. } => PenjingStatus::Io,
        #[cfg(feature = "std")]
        Error::Format { .. } => PenjingStatus::Format,
        Error::Header { .. } | Error::Refused { .. } | Error::Weights { .. } => {
            PenjingStatus::Format
        }
        Error::Unsupported { .. } => PenjingStatus::Unsupported,
        Error::TooLarge { .. } => PenjingStatus::Memory,
        #[cfg(feature = "std")]
        Error::Isa { .. } => PenjingStatus::Isa,
        #[cfg(feature = "std")]
        Error::Thread { .. } => PenjingStatus::Threads,
        Error::NoThreads { .. } => PenjingStatus::Threads,
        _ => PenjingStatus::Other,
    }
}

fn of_run(error: &RunError) -> PenjingStatus {
    match error {
        RunError::Count { .. } => PenjingStatus::Count,
        RunError::Partial { .. } | RunError::Length { .. } => PenjingStatus::Length,
        RunError::Model => PenjingStatus::Format,
        RunError::Worker => PenjingStatus::Internal,
        _ => PenjingStatus::Other,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Open(error)
    }
}

impl From<penjing_format::Error> for Failure {
    fn from(error: penjing_format::Error) -> Self {
        Failure::Type(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Failure::Run(error)
    }
}

#[cfg(feature = "std")]
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Null(what) => write!(f, "{what}: expected a pointer, found null"),
            Failure::Index { of, count, found } => {
                write!(f, "{of}: expected a number below {count}, found {found}")
            }
            Failure::Room { needed, found } => {
                write!(f, "text: expected room for {needed} bytes, found {found}")
            }
            Failure::Alignment { of, expected, found } => {
                write!(f, "{of}: expected an address that {expected} divides, found {found:#x}")
            }
            Failure::Overlap(one, other) => {
                write!(f, "{one} and {other}: expected memory of their own, found shared bytes")
            }
            Failure::Elements { of, expected, found } => {
                write!(f, "{of}: expected a multiple of {expected} bytes, found {found}")
            }
            Failure::Extent { of, found } => {
                write!(f, "{of}: expected bytes that memory can hold, found {found}")
            }
            Failure::Type(error) => write!(f, "model: {error}"),
            Failure::Open(error) => error.fmt(f),
            Failure::Run(error) => error.fmt(f),
            Failure::Panic(message) => write!(f, "a defect of the library: {message}"),
        }
    }
}

#[cfg(feature = "std")]
impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Model => f.write_str("model"),
            What::ModelStorage => f.write_str("storage of the model"),
            What::SessionStorage => f.write_str("storage of the session"),
            What::Arena => f.write_str("arena"),
            What::Port(port) => port.fmt(f),
        }
    }
}
