//! Opens a Penjing model file, plans it once and runs it; small enough to be linked alone.
//!
//! [`Model`] holds a checked file (memory-mapped, owned or `'static`); [`Session`] is made from it once and then runs
//! batches of any size without allocating. Axis order is the file's: NHWC activations, images one after the other.
//!
//! Integer results are the same bit for bit on every instruction set; no result depends on the batch or on the number of
//! threads. What is *not* here: the file's layout and its checks (`penjing_format`), the arithmetic's rules
//! (`penjing_quant`), training and conversion.
//!
//! Without the feature `std` (on by default) the crate is `no_std` with `alloc`: no memory maps, one thread.
#![cfg_attr(not(any(test, feature = "std")), no_std)]

extern crate alloc;

mod arch;
mod budget;
mod error;
mod exec;
mod operand;
mod ops;
mod plan;
#[cfg(feature = "std")]
mod profile;
#[cfg(feature = "std")]
pub mod reference;
pub mod roofline;
mod session;
#[cfg(feature = "signed")]
mod signed;
mod storage;
mod tensor;
#[cfg(feature = "std")]
mod threads;
#[cfg(feature = "std")]
mod workers;

#[cfg(feature = "std")]
pub use arch::ISA_VARIABLE;
pub use arch::Isa;
pub use error::{Error, Port, RunError};
pub use penjing_format::{DataType, ModelView, Shape};
pub use plan::{GroupInfo, Placement, Plan, PlanOptions};
#[cfg(feature = "std")]
pub use profile::{GroupProfile, Profile};
pub use session::{Session, SessionOptions};
#[cfg(feature = "signed")]
pub use signed::{PublicKey, SignatureError, Signer, verify};
pub use storage::{Model, OpenOptions, TensorInfo};
pub use tensor::{Input, Output};
#[cfg(feature = "std")]
pub use threads::ThreadPool;
