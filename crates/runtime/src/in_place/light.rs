//! Ops without weights.

use super::flaw::Flaw;
use super::step::{Step, Walk};
use super::ty::Ty;

pub(super) fn output<const OPS: u32>(
    _walk: &Walk<'_, '_>,
    _step: &Step<'_>,
    _own: u32,
) -> Result<Ty, Flaw> {
    Err(Flaw::Unsupported("an op that this session was not made for"))
}

pub(super) fn scratch_words<const OPS: u32>(_step: &Step<'_>) -> Result<u32, Flaw> {
    Err(Flaw::Unsupported("an op that this session was not made for"))
}

pub(super) fn run<const OPS: u32>(
    _run: &super::run::Run<'_, '_>,
    _walk: &Walk<'_, '_>,
    _step: &Step<'_>,
    _index: usize,
    _arena: &mut [u32],
) -> Result<(), Flaw> {
    Err(Flaw::Unsupported("an op that this session was not made for"))
}
