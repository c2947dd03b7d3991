//! Kernels, each written once over the traits of `lanes` and compiled for every instruction set. They know vectors and tables
//! of addresses; geometry is `ops`'.
//!
//! A kernel's `run` and all that it calls must be `#[inline(always)]`: only so does it take on the instruction set of the
//! entry function. It must not hand closures to functions that may not be inlined.
#![allow(
    clippy::needless_range_loop,
    reason = "an index names a register: loops over them are unrolled"
)]

/// Runs a block for `$v` from 0 on, below `$end`, which is constant and at most 24. Written out, since sums that a loop indexes
/// would lie in memory wherever the compiler does not unroll it in time.
macro_rules! unrolled {
    ($v:ident < $end:expr, $body:block) => {
        unrolled!($v, $end, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23)
    };
    ($v:ident, $end:expr, $body:block, $($at:literal)*) => { $(
        if $at < $end {
            let $v: usize = $at;
            $body
        }
    )* };
}

pub(crate) mod conv;
pub(crate) mod depthwise;
pub(crate) mod dot;
pub(crate) mod dynamic;
pub(crate) mod patches;
pub(crate) mod prepare;
pub(crate) mod roof;
pub(crate) mod rows;
pub(crate) mod target;
pub(crate) mod winograd;
