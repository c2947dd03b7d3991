//! flatc's output from schemas/tflite.fbs, made by `cargo xtask codegen` and never edited. Nothing is written by hand here
//! but this head.

#[rustfmt::skip]
#[allow(missing_docs, unsafe_code, unreachable_pub, unused_qualifications, unused_imports, elided_lifetimes_in_paths)]
#[allow(rust_2018_idioms, mismatched_lifetime_syntaxes, deprecated, unsafe_op_in_unsafe_fn, dead_code)]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks)]
mod tflite;

pub use tflite::tflite::*;
