//! Ops without weights.

use super::flaw::Flaw;
use super::ops::{self, has};
use super::run::Run;
use super::step::{Step, Walk};
use super::ty::Ty;
use penjing_format::DataType;
use penjing_format::lean::op;

const UNKNOWN: Flaw = Flaw::Unsupported("an op that this session was not made for");

/// The type of the value of node `index`, where the walk stands.
pub(super) fn output<const OPS: u32>(walk: &Walk<'_, '_>, _index: usize) -> Result<Ty, Flaw> {
    let Step { node, window, input, .. } = &walk.step;
    match node.op {
        op::MAX_POOL_2D | op::AVERAGE_POOL_2D if has::<OPS>(ops::POOLS) => {
            if input.dtype != DataType::I8 {
                return Err(Flaw::Unsupported("element type"));
            }
            let ty = window.over(input, input.channels()).filter(|_| window.sees());
            ty.ok_or(Flaw::Refused("window"))?.checked()
        }
        _ => Err(UNKNOWN),
    }
}

pub(super) fn scratch_words<const OPS: u32>(_step: &Step<'_>) -> Result<u32, Flaw> {
    Err(UNKNOWN)
}

pub(super) fn run<const OPS: u32>(
    _run: &Run<'_, '_>,
    _walk: &Walk<'_, '_>,
    _index: usize,
    _arena: &mut [u32],
) -> Result<(), Flaw> {
    Err(UNKNOWN)
}
