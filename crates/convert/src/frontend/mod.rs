//! Front ends: each turns one kind of file into the graph. What becomes of the graph is not their affair.

pub(crate) mod checkpoint;
mod error;

pub use error::ImportError;
