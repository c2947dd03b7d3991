//! Instruction sets: a token for each, and the one way into a kernel, [`Isa::dispatch`].
//!
//! A set is chosen once, when a session is planned. Kernels (`kernels`) are written once over the vectors of `lanes`, which
//! each set's own file implements; loops over geometry live in `ops`. Sessions in place have kernels of their own, `small`.

#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "portable kernels alone have no integer products of their own")
)]

/// Methods whose body is one expression of intrinsics.
#[cfg(all(feature = "alloc", any(target_arch = "x86_64", target_arch = "aarch64")))]
macro_rules! instructions {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty { $body:expr })*) => { $(
        #[inline(always)]
        fn $name(self $(, $arg: $ty)*) -> $out {
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { $body }
        }
    )* };
}

#[cfg(all(feature = "alloc", target_arch = "aarch64"))]
mod aarch64;
#[cfg(feature = "alloc")]
mod arithmetic;
#[cfg(penjing_dsp)]
mod cortex_m;
#[cfg(feature = "alloc")]
mod isa;
#[cfg(feature = "alloc")]
pub(crate) mod kernels;
#[cfg(feature = "alloc")]
pub(crate) mod lanes;
pub(crate) mod memory;
#[cfg(feature = "alloc")]
mod portable;
pub(crate) mod small;
#[cfg(all(feature = "alloc", target_arch = "x86_64"))]
mod x86;

#[cfg(feature = "alloc")]
pub(crate) use arithmetic::{Arithmetic, Bounds, Clamp, Floats, Integers, ToCode};
#[cfg(feature = "std")]
pub use isa::ISA_VARIABLE;
#[cfg(feature = "alloc")]
pub use isa::Isa;
#[cfg(feature = "alloc")]
pub(crate) use isa::Kernel;
