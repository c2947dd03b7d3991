//! From ops to places: for how long the memory of each value is needed, what may lie where an input lay, and then where all lies.

use super::arena::{self, Block};
use super::make::Made;
use super::values::Values;
use super::{Place, Placement, Slot, image_len};
use crate::budget::{Budget, Overdraft, product};
use alloc::vec;
use alloc::vec::Vec;
use penjing_format::{DataType, TensorType};

/// Takes the groups in order. Values that share memory by reshapes are one: a root.
pub(super) struct Placing<'a> {
    values: &'a Values,
    images: usize,
    groups: usize,
    /// Reads that are still to come, by root.
    unread: Vec<usize>,
    blocks: Vec<Block>,
    /// By root, the block in which it lies, if it does.
    block: Vec<Option<usize>>,
    /// By root; of those that have a block, the place is not known yet.
    slots: Vec<Slot>,
    /// Roots with a block, in the order of groups, and whether they took an input's.
    made: Vec<(usize, bool)>,
}

/// What it comes to.
pub(super) struct Placed {
    /// By root.
    pub(super) slots: Vec<Slot>,
    pub(super) placements: Vec<Placement>,
    pub(super) bytes: usize,
}

impl<'a> Placing<'a> {
    pub(super) fn new(values: &'a Values, images: usize) -> Self {
        let slot = |(index, ty): (usize, &TensorType)| Slot {
            place: Place::Input(index),
            dtype: ty.dtype,
            len: image_len(ty),
        };
        Self {
            values,
            images,
            groups: 0,
            unread: values.readers.clone(),
            blocks: Vec::new(),
            block: vec![None; values.types.len()],
            slots: values.types.iter().enumerate().map(slot).collect(),
            made: Vec::new(),
        }
    }

    /// Takes the next group, which makes `root`, into account. Its output gets a block, or that of an input if nothing needs
    /// that any more, the op can, and the sizes agree; the op is told which.
    pub(super) fn add(&mut self, root: usize, made: &mut Made) {
        let group = self.groups;
        self.groups += 1;
        if let Some(planar) = &made.planar {
            // Bytes in a layout that only its reader knows.
            (self.slots[root].dtype, self.slots[root].len) = (DataType::U8, planar.bytes());
        }
        for &source in &made.sources {
            self.unread[source] = self.unread[source].saturating_sub(1);
            self.extend(source, group);
        }
        let free = (0..made.sources.len()).find(|&index| self.is_free(root, made, index));
        if let Some(index) = free {
            self.block[root] = self.block[made.sources[index]];
            made.write_over(index);
        } else {
            self.block[root] = Some(self.blocks.len());
            let slot = &self.slots[root];
            let bytes = product(&[slot.len, slot.dtype.size(), self.images]);
            self.blocks.push(Block { bytes, groups: group..=group });
        }
        self.made.push((root, free.is_some()));
        self.extend(root, group);
    }

    /// Whether the result may be written over source `index`: it is nobody else's any more.
    fn is_free(&self, root: usize, made: &Made, index: usize) -> bool {
        let source = made.sources[index];
        made.op.may_write_over(index)
            && self.block[source].is_some()
            && self.unread[source] == 0
            && !self.values.is_output[source]
            && made.sources.iter().filter(|&&other| other == source).count() == 1
            && self.slots[source].bytes() == self.slots[root].bytes()
    }

    /// Keeps a root to the end of a group.
    fn extend(&mut self, root: usize, group: usize) {
        if let Some(block) = self.block[root].and_then(|block| self.blocks.get_mut(block)) {
            block.groups = *block.groups.start()..=group;
        }
    }

    /// Places all blocks.
    pub(super) fn place(mut self, budget: &Budget) -> Result<Placed, Overdraft> {
        let last = self.groups.saturating_sub(1);
        for root in 0..self.values.types.len() {
            if self.values.is_output[root] {
                self.extend(root, last);
            }
        }
        budget.fits(arena::most_alive(&self.blocks))?;
        let layout = arena::place(&self.blocks);
        budget.fits(layout.bytes)?;
        let mut placements = Vec::with_capacity(self.made.len());
        for (root, in_place) in self.made {
            let Some(block) = self.block[root] else { continue };
            // The budget has seen that addresses hold all of it.
            let offset = layout.offsets[block];
            self.slots[root].place = Place::Arena(offset as usize);
            let Block { bytes, groups } = &self.blocks[block];
            let (bytes, groups) = (*bytes, *groups.start()..groups.end() + 1);
            placements.push(Placement { value: root, offset, bytes, groups, in_place });
        }
        Ok(Placed { slots: self.slots, placements, bytes: layout.bytes as usize })
    }
}
