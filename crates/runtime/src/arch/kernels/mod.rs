//! Kernels, each written once over the traits of `lanes` and compiled for every instruction set. They know vectors and tables
//! of addresses; geometry is `ops`'.
//!
//! A kernel's `run` and all that it calls must be `#[inline(always)]`: only so does it take on the instruction set of the
//! entry function. It must not hand closures to functions that may not be inlined.
#![allow(
    clippy::needless_range_loop,
    reason = "an index names a register: loops over them are unrolled"
)]

pub(crate) mod conv;
pub(crate) mod depthwise;
pub(crate) mod dot;
pub(crate) mod patches;
pub(crate) mod prepare;
pub(crate) mod roof;
pub(crate) mod rows;
pub(crate) mod winograd;
