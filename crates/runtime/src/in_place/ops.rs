//! What a session may be asked to do, as a set of bits, so that a program links no more than its model needs.

use penjing_format::lean::op;
use penjing_format::packing::stream::set;

/// Ops begin after the bits of packings.
const FIRST: u32 = 7;

/// The bit of an op by its code in the file.
pub(super) const fn bit(op: u8) -> u32 {
    1_u32.wrapping_shl(FIRST.wrapping_add(op as u32))
}

/// Convolutions of any shape, and those whose sums a max-pool takes at once.
pub(super) const WINDOWS: u32 = 1 << 25;
/// Convolutions of 3 x 3 over one channel under a max-pool of 2 x 2.
pub(super) const PATCHES: u32 = 1 << 26;
/// Fully connected layers of a stored value.
pub(super) const ROWS: u32 = 1 << 27;
/// Fully connected layers of values as a convolution yields them.
pub(super) const FEED: u32 = 1 << 28;
/// Max-pools of a stored value.
pub(super) const POOL: u32 = 1 << 29;

/// Everything that this version runs in place.
pub const ALL: u32 = (1 << 30) - 1;

/// Ops with a window.
pub(super) const WINDOWED: u32 =
    bit(op::CONV_2D) | bit(op::DEPTHWISE_CONV_2D) | bit(op::MAX_POOL_2D) | bit(op::AVERAGE_POOL_2D);

/// Pools.
pub(super) const POOLS: u32 = bit(op::MAX_POOL_2D) | bit(op::AVERAGE_POOL_2D);

/// All packings but the plain one.
pub(super) const PACKED: u32 = set::ALL & !set::DENSE;

/// Whether `bits` are among those of a session; of other sets, the compiler drops what is asked for.
#[inline(always)]
pub(super) const fn has<const OPS: u32>(bits: u32) -> bool {
    OPS & bits != 0
}

/// The op of a node, and the packing of its weights.
#[cfg(feature = "alloc")]
pub(super) fn of(step: &super::step::Step<'_>) -> u32 {
    let weights = &step.weights;
    let packing = if weights.out_channels == 0 { 0 } else { 1 << weights.packing.min(6) };
    bit(step.node.op) | packing | if weights.value_bits == 0 { 0 } else { set::BITS }
}
