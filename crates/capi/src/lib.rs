//! The runtime for C: `libpenjing.a`, `libpenjing.so` and their header, `include/penjing.h`, which `cargo xtask codegen` makes
//! of this crate. The documentation here is written for C, since that is where it goes.
//!
//! Each exported function checks its pointers and lengths, calls the runtime, and turns what it says into a
//! [`PenjingStatus`] and, with `std`, a message; no panic leaves it. What is *not* here: anything that the runtime does not
//! do by itself.
//!
//! Without the feature `std` (on by default) the library is `no_std` and without a heap: models and sessions lie in
//! storage that the C program lends.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(unsafe_code, reason = "a C interface is raw pointers")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the text of each function, for C, says what it asks"
)]

mod boundary;
mod buffers;
mod failure;

// In the header's order.
mod status;

#[cfg(feature = "std")]
mod message;

mod model;

mod info;

mod session;

mod run;

#[cfg(not(feature = "std"))]
mod panic;

pub use buffers::{PenjingInput, PenjingOutput};
pub use info::*;
#[cfg(feature = "std")]
pub use message::penjing_error_message;
pub use model::*;
pub use run::{penjing_session_run, penjing_session_run_many};
pub use session::*;
pub use status::{PenjingStatus, penjing_status_text, penjing_version};
