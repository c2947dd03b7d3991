//! Where tensors lie: each for as long as it is needed, beside all others that are needed then. It knows sizes and times only.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::RangeInclusive;

/// Bytes that are needed from one group to another, both included.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) bytes: u64,
    pub(super) groups: RangeInclusive<usize>,
}

/// Where blocks begin, and how much memory holds them all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) offsets: Vec<u64>,
    pub(super) bytes: u64,
}

/// A cache line, as the arena itself is aligned.
const ALIGNMENT: u64 = crate::arch::memory::ALIGNMENT as u64;

/// Beyond so many blocks only the order of time is tried: the others' cost grows with the square, and a file may be hostile.
const MOST_SEARCHED: usize = 1024;

/// Times that a block which ends too high is moved to the front of an order.
const ROUNDS: usize = 64;

/// Blocks must come in the order in which they are first needed. First fit by time, by size, and by size times time; then
/// whatever ends highest is placed earlier, for a few rounds, unless no layout can be smaller.
pub(super) fn place(blocks: &[Block]) -> Layout {
    let by_time: Vec<usize> = (0..blocks.len()).collect();
    let mut best = first_fit_by_time(blocks);
    let least = most_alive(blocks);
    if blocks.len() > MOST_SEARCHED || best.bytes <= least {
        return best;
    }
    let mut by_size = by_time.clone();
    by_size.sort_by_key(|&index| Reverse(blocks[index].bytes));
    let mut by_area = by_time.clone();
    by_area.sort_by_key(|&index| {
        let Block { bytes, groups } = &blocks[index];
        Reverse(bytes.saturating_mul((groups.end() - groups.start() + 1) as u64))
    });
    for mut order in [by_size, by_area, by_time] {
        for _ in 0..ROUNDS {
            let layout = first_fit(blocks, &order);
            let end = |&index: &usize| layout.offsets[index].saturating_add(padded(&blocks[index]));
            let Some(highest) = (0..order.len()).max_by_key(|&at| end(&order[at])) else { break };
            if layout.bytes < best.bytes {
                best = layout;
            }
            if best.bytes <= least || highest == 0 {
                break;
            }
            let moved = order.remove(highest);
            order.insert(0, moved);
        }
        if best.bytes <= least {
            break;
        }
    }
    best
}

fn padded(block: &Block) -> u64 {
    block.bytes.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX)
}

/// The most bytes that are needed at one time: no layout is smaller.
pub(super) fn most_alive(blocks: &[Block]) -> u64 {
    let groups = blocks.iter().map(|block| block.groups.end() + 2).max().unwrap_or(0);
    let mut change = vec![(0_u128, 0_u128); groups];
    for block in blocks {
        change[*block.groups.start()].0 += u128::from(padded(block));
        change[block.groups.end() + 1].1 += u128::from(padded(block));
    }
    let alive = change.iter().scan(0_u128, |alive, (more, less)| {
        *alive = *alive + more - less;
        Some(*alive)
    });
    alive.max().map_or(0, |bytes| u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Places blocks in their order, remembering only what is alive.
fn first_fit_by_time(blocks: &[Block]) -> Layout {
    let mut alive: Vec<(u64, usize)> = Vec::new();
    let mut layout = Layout { offsets: Vec::with_capacity(blocks.len()), bytes: 0 };
    for (index, block) in blocks.iter().enumerate() {
        alive.retain(|&(_, other)| blocks[other].groups.end() >= block.groups.start());
        let taken =
            alive.iter().map(|&(at, other)| (at, at.saturating_add(padded(&blocks[other]))));
        let (at, rank) = gap(taken, padded(block));
        alive.insert(rank, (at, index));
        layout.offsets.push(at);
        layout.bytes = layout.bytes.max(at.saturating_add(padded(block)));
    }
    layout
}

/// Places blocks in any order, each at the lowest place that nothing needed at its time has.
fn first_fit(blocks: &[Block], order: &[usize]) -> Layout {
    let mut layout = Layout { offsets: vec![0; blocks.len()], bytes: 0 };
    // By place.
    let mut placed: Vec<(u64, usize)> = Vec::with_capacity(order.len());
    for &index in order {
        let block = &blocks[index];
        let meets = |other: &Block| {
            other.groups.start() <= block.groups.end() && block.groups.start() <= other.groups.end()
        };
        let beside = placed.iter().filter(|&&(_, other)| meets(&blocks[other]));
        let (at, _) = gap(
            beside.map(|&(at, other)| (at, at.saturating_add(padded(&blocks[other])))),
            padded(block),
        );
        let rank = placed.partition_point(|&(other, _)| other <= at);
        placed.insert(rank, (at, index));
        layout.offsets[index] = at;
        layout.bytes = layout.bytes.max(at.saturating_add(padded(block)));
    }
    layout
}

/// The lowest place of so many bytes among taken ones, which come by where they begin and may overlap, and how many come before.
fn gap(taken: impl Iterator<Item = (u64, u64)>, bytes: u64) -> (u64, usize) {
    let (mut at, mut rank) = (0, 0);
    for (start, end) in taken {
        if bytes <= start.saturating_sub(at) {
            break;
        }
        at = at.max(end);
        rank += 1;
    }
    (at, rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: u64, groups: RangeInclusive<usize>) -> Block {
        Block { bytes: bytes * ALIGNMENT, groups }
    }

    fn check(blocks: &[Block]) -> u64 {
        let layout = place(blocks);
        for (index, a) in blocks.iter().enumerate() {
            assert_eq!(layout.offsets[index] % ALIGNMENT, 0);
            assert!(layout.offsets[index] + a.bytes <= layout.bytes);
            for (other, b) in blocks.iter().enumerate().skip(index + 1) {
                let together =
                    a.groups.start() <= b.groups.end() && b.groups.start() <= a.groups.end();
                let (at, to) = (layout.offsets[index], layout.offsets[other]);
                let apart = at + a.bytes <= to || to + b.bytes <= at;
                assert!(!together || apart, "{index} and {other} of {blocks:?}");
            }
        }
        assert!(layout.bytes >= most_alive(blocks));
        layout.bytes / ALIGNMENT
    }

    #[test]
    fn a_chain_takes_its_largest_pair() {
        let blocks = [block(3, 0..=1), block(5, 1..=2), block(2, 2..=3), block(6, 3..=4)];
        assert_eq!(check(&blocks), 8);
        assert_eq!(check(&[]), 0);
        assert_eq!(check(&[Block { bytes: 1, groups: 0..=0 }]), 1);
    }

    /// By time the third lands above the long second, since the first's place is too small for it.
    #[test]
    fn a_growing_tensor_goes_below_a_long_one() {
        let blocks = [block(1, 0..=1), block(1, 1..=4), block(4, 2..=3), block(1, 3..=4)];
        assert_eq!(first_fit_by_time(&blocks).bytes / ALIGNMENT, 6);
        assert_eq!(check(&blocks), 6);
        let blocks = [block(1, 0..=1), block(2, 1..=4), block(4, 2..=3), block(4, 4..=5)];
        assert_eq!(first_fit_by_time(&blocks).bytes / ALIGNMENT, 7);
        assert_eq!(check(&blocks), 6);
    }

    #[test]
    fn random_blocks_never_meet_and_come_near_the_least() {
        let mut state = 7_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let (mut found, mut least) = (0, 0);
        for _ in 0..200 {
            let blocks: Vec<Block> = (0..next(40))
                .map(|start| {
                    let most = 1 + next(8);
                    block(1 + next(30) as u64, start..=start + 1 + next(most))
                })
                .collect();
            found += check(&blocks);
            least += most_alive(&blocks) / ALIGNMENT;
        }
        assert!(found * 100 <= least * 102, "{found} where {least} are needed");
    }
}
