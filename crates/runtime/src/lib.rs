//! Opens a Penjing model file, plans it once and runs it; small enough to be linked alone.
//!
//! [`Model`] holds a checked file (memory-mapped, owned or `'static`); [`Session`] is made from it once and then runs
//! batches of any size without allocating. Axis order is the file's: NHWC activations, images one after the other.
//!
//! Integer results are the same bit for bit on every instruction set; no result depends on the batch or on the number of
//! threads. What is *not* here: the file's layout and its checks (`penjing_format`), the arithmetic's rules
//! (`penjing_quant`), training and conversion.
//!
//! Without the feature `std` (on by default) the crate is `no_std`: no memory maps, one thread. Without `alloc`, too, there is no
//! heap either: [`Model::from_static`] and [`Session::in_place`] remain, which run a model in memory that the caller lends.
#![cfg_attr(not(any(test, feature = "std")), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod arch;
#[cfg(feature = "alloc")]
mod budget;
mod error;
#[cfg(feature = "alloc")]
mod exec;
pub mod in_place;
#[cfg(feature = "alloc")]
mod operand;
#[cfg(feature = "alloc")]
mod ops;
#[cfg(feature = "alloc")]
mod plan;
#[cfg(feature = "std")]
mod profile;
#[cfg(feature = "std")]
pub mod reference;
#[cfg(feature = "alloc")]
pub mod roofline;
#[cfg(feature = "alloc")]
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
#[cfg(feature = "alloc")]
pub use arch::Isa;
pub use error::{Error, Port, RunError};
pub use in_place::InPlace;
#[cfg(not(feature = "alloc"))]
pub use in_place::Session;
pub use penjing_format::{DataType, ModelView, Shape};
#[cfg(feature = "alloc")]
pub use plan::{GroupInfo, Placement, Plan, PlanOptions};
#[cfg(feature = "std")]
pub use profile::{GroupProfile, Profile};
#[cfg(feature = "alloc")]
pub use session::{Session, SessionOptions};
#[cfg(feature = "signed")]
pub use signed::{PublicKey, SignatureError, Signer, verify};
pub use storage::Model;
#[cfg(feature = "alloc")]
pub use storage::{OpenOptions, TensorInfo};
pub use tensor::{Input, Output};
#[cfg(feature = "std")]
pub use threads::ThreadPool;
