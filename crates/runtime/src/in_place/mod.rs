//! Sessions in memory that the caller lends: no heap, no threads, no panic, one image a run. For microcontrollers; the same code
//! runs anywhere, and a test holds its results equal to those of [`Session`](crate::Session) bit for bit.
//!
//! What is *not* here: instruction sets with wide vectors (`ops` and `arch` of the other sessions), and the whole check of a file
//! ([`ModelView::open`](penjing_format::ModelView::open)): this reader holds the content hash against the bytes and every field
//! against what it uses, and is safe for any bytes.
//!
//! Nothing is prepared but a table of places: each run walks the nodes again, and reads weights where they lie. Weights stay
//! packed. A convolution, the max-pool after it and the fully connected layer after that run as one (`conv`).

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod binary;
mod conv;
mod dense;
mod depthwise;
mod feed;
mod flaw;
mod gather;
mod lend;
mod light;
mod moves;
mod ops;
mod patches;
mod plan;
mod pools;
mod run;
mod session;
mod step;
mod sums;
mod tables;
mod ty;

pub use ops::ALL;
#[cfg(not(feature = "alloc"))]
pub use session::Session;
pub use session::{Arena, InPlace};
#[cfg(feature = "alloc")]
pub use session::{arena_bytes, ops};

/// Cuts so many words off the front of scratch memory.
#[inline(never)]
fn take<'s>(scratch: &mut &'s mut [u32], words: u32) -> Option<&'s mut [u32]> {
    let (front, rest) = core::mem::take(scratch).split_at_mut_checked(words as usize)?;
    *scratch = rest;
    Some(front)
}
