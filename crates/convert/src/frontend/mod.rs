//! Front ends: each reads one kind of trained network into an [`crate::ir::Graph`]. They lower nothing.

pub(crate) mod checkpoint;
