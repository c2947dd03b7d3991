//! Reading a model without a heap: bounds, then meaning, then borrowed views.
//!
//! `table` follows the flatbuffers layout and checks every step; `layout` names the schema's fields; `structure` follows all
//! of a file once; `view`, `ops`, `fields` and `weights` are typed; `walk` and `types` infer every value's type; `check` holds the file against its
//! meaning.
//! None of it allocates, recurses over the file or panics, whatever the bytes. The executor is not here.

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

mod check;
mod fields;
pub(crate) mod layout;
mod numbers;
mod ops;
mod sections;
mod structure;
mod table;
mod types;
mod view;
mod walk;
mod weights;

pub use ops::{
    AveragePool2d, Binary, Concat, Constant, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d,
    Op, Pad, Reshape, Scales,
};
pub use sections::{Part, Section};
pub use table::Numbers;
#[cfg(feature = "alloc")]
pub(crate) use view::WeightsPlaces;
pub use view::{Labels, ModelView, Node, Normalization, Value};
pub use walk::{Operand, Step, TensorType, Walk};
