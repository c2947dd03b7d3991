//! Where every value lies in the arena: first fit, in the order of the nodes. And which nodes run as one: a convolution with the
//! max-pool and the fully connected layer after it, so that neither of the values between them is stored.
//!
//! The arena begins with a table of two words a node, which stays: where the node's value lies, and its scratch memory. While
//! planning three more words a value follow.

use super::conv::Streamed;
use super::flaw::Flaw;
use super::ops::{self, has};
use super::step::{Step, Walk, input_count, input_id};
use super::ty::Ty;
use penjing_format::lean::{Lean, LeanNode, op};

/// In the table: the value goes straight into the next node.
pub(super) const STREAMED: u32 = u32::MAX;

/// Nodes of a model at most: placing compares every pair of values.
const MOST_NODES: usize = 1024;

/// A plan in the making, in the arena's words.
pub(super) struct Plan<'m, 'a, 't> {
    model: &'m Lean<'a>,
    /// Two words a node.
    table: &'t mut [[u32; 2]],
    /// Of each value: until which node it is needed, where it ends in words, and how often it is read.
    lives: &'t mut [[u32; 3]],
}

/// Words that planning takes.
pub(super) fn table_words(model: &Lean<'_>) -> Result<usize, Flaw> {
    let (inputs, nodes) = (model.n_inputs(), model.n_nodes());
    if nodes == 0 || inputs == 0 {
        return Err(Flaw::Refused("nodes or inputs"));
    }
    if nodes > MOST_NODES || inputs > MOST_NODES {
        return Err(Flaw::Unsupported("more than 1024 nodes or inputs"));
    }
    Ok(nodes.wrapping_mul(5).wrapping_add(inputs.wrapping_mul(3)))
}

/// Plans in `words`, which must be as many as [`table_words`] says or more; returns the words of the whole arena, and the last
/// value's type. `failed` is the node that an error is about.
pub(super) fn plan<const OPS: u32>(
    model: &Lean<'_>,
    words: &mut [u32],
    failed: &mut usize,
) -> Result<(u32, Ty), Flaw> {
    let needed = table_words(model)?;
    let small = Flaw::Arena((needed as u32).wrapping_mul(4));
    let words = words.get_mut(..needed).ok_or(small)?;
    words.fill(0);
    let (table, lives) =
        words.split_at_mut_checked(model.n_nodes().wrapping_mul(2)).ok_or(small)?;
    let mut plan = Plan { model, table: table.as_chunks_mut().0, lives: lives.as_chunks_mut().0 };
    plan.live(failed)?;
    let (used, last) = plan.place::<OPS>(failed)?;
    let table = (model.n_nodes() as u32).wrapping_mul(2);
    // What planning took beside the table is free again.
    Ok((table.saturating_add(used).max(needed as u32), last))
}

impl Plan<'_, '_, '_> {
    /// Value `id` is needed until a node, and read so often more.
    fn need(&mut self, id: u32, until: u32, reads: u32) -> Option<()> {
        let [last, _, readers] = self.lives.get_mut(id as usize)?;
        *last = until.max(*last);
        *readers = readers.saturating_add(reads);
        Some(())
    }

    /// Until which node each value is needed: backward, so that what a reshape hands on is needed as long as its result.
    fn live(&mut self, failed: &mut usize) -> Result<(), Flaw> {
        let inputs = self.model.n_inputs();
        // A graph's outputs are read once more, by the caller: no node alone may have them.
        match self.model.outputs()? {
            None => {
                let last = self.lives.len().wrapping_sub(1) as u32;
                self.need(last, STREAMED, 2).ok_or(Flaw::BROKEN)?;
            }
            Some(ids) => {
                for &id in ids.as_chunks::<2>().0 {
                    let id = u32::from(u16::from_le_bytes(id));
                    self.need(id, STREAMED, 2).ok_or(Flaw::Refused("outputs"))?;
                }
            }
        }
        let mut node = LeanNode::default();
        for index in (0..self.model.n_nodes()).rev() {
            *failed = index;
            self.model.node(index, &mut node)?;
            let own = inputs.wrapping_add(index) as u32;
            let until = match (node.op, self.lives.get(own as usize)) {
                (op::RESHAPE, Some(&[last, ..])) => last.max(index as u32),
                _ => index as u32,
            };
            for input in 0..input_count(&node) {
                let id = input_id(&node, input, own)?;
                self.need(id, until, 1).ok_or(Flaw::BROKEN)?;
            }
        }
        Ok(())
    }

    /// Whether one node alone reads the value of node `index`.
    fn sole(&self, index: usize) -> bool {
        let id = self.model.n_inputs().wrapping_add(index);
        self.lives.get(id).is_some_and(|&[.., readers]| readers == 1)
    }

    /// Places every value that is stored; returns the words that they take, and the last value's type.
    #[inline(never)]
    fn place<const OPS: u32>(&mut self, index: &mut usize) -> Result<(u32, Ty), Flaw> {
        let mut walk = Walk::new(self.model);
        let mut used = 0_u32;
        *index = 0;
        loop {
            let first = *index;
            walk.go::<OPS>(first)?;
            let alias = self.alias(&walk.step);
            let scratch = self.scratch::<OPS>(&mut walk, index)?;
            let output = &walk.types[0];
            // A reshape's value lies where its input does; of a graph input it is copied.
            let at = alias.unwrap_or_else(|| self.fit(first, output.words()));
            used = used.max(self.put(*index, at, output.words()));
            if scratch > 0 {
                let at = self.fit(first, scratch);
                used = used.max(at.saturating_add(scratch));
                if let Some([_, own]) = self.table.get_mut(*index) {
                    *own = at;
                }
            }
            *index = index.wrapping_add(1);
            if *index >= self.model.n_nodes() {
                return Ok((used, *output));
            }
        }
    }

    /// Words of scratch memory of a node; of a convolution with what is joined to it, whose last node `index` becomes.
    #[inline(never)]
    fn scratch<'a, const OPS: u32>(
        &mut self,
        walk: &mut Walk<'_, 'a>,
        index: &mut usize,
    ) -> Result<u32, Flaw> {
        if !(has::<OPS>(ops::PATCHES | ops::WINDOWS) && walk.step.node.op == op::CONV_2D) {
            return super::light::scratch_words::<OPS>(&walk.step);
        }
        let first = *index;
        let mut streamed = Streamed::EMPTY;
        streamed.join::<OPS>(walk, index, &|node| self.sole(node))?;
        for entry in self.table.get_mut(first..*index).unwrap_or_default() {
            *entry = [STREAMED; 2];
        }
        streamed.scratch_words::<OPS>()
    }

    /// Where a reshape's input lies, of one of a stored value.
    fn alias(&self, step: &Step<'_>) -> Option<u32> {
        let node = (step.id as usize).checked_sub(self.model.n_inputs())?;
        (step.node.op == op::RESHAPE).then(|| self.table.get(node).map(|&[at, _]| at)).flatten()
    }

    /// Notes where the value of a node lies; returns where it ends.
    fn put(&mut self, index: usize, at: u32, words: u32) -> u32 {
        if let Some(entry) = self.table.get_mut(index) {
            *entry = [at, 0];
        }
        let end = at.saturating_add(words);
        let id = self.model.n_inputs().wrapping_add(index);
        if let Some([last, place, _]) = self.lives.get_mut(id) {
            // Nobody may read it; while its node runs it is written all the same.
            *last = (index as u32).max(*last);
            *place = end;
        }
        end
    }

    /// The lowest place for so many words beside everything that is needed at node `first` or later.
    fn fit(&self, first: usize, words: u32) -> u32 {
        let inputs = self.model.n_inputs();
        let live = || {
            let lives = self.lives.iter().skip(inputs);
            self.table.iter().zip(lives).filter_map(move |(&[at, _], &[last, end, _])| {
                (end > at && at != STREAMED && last >= first as u32).then_some((at, end))
            })
        };
        let mut at = 0_u32;
        loop {
            let stop = at.saturating_add(words);
            // Past the first that is in the way: every step ends at another value's end.
            let in_the_way = live().find(|&(from, end)| at < end && from < stop);
            match in_the_way {
                Some((_, end)) if words > 0 => at = end,
                _ => return at,
            }
        }
    }
}

/// The ops, packings and ways that a planned model uses.
#[cfg(feature = "alloc")]
pub(super) fn used(model: &Lean<'_>, words: &[u32]) -> Result<u32, Flaw> {
    let (table, _) = words.as_chunks::<2>();
    let table = table.get(..model.n_nodes()).ok_or(Flaw::BROKEN)?;
    let mut walk = Walk::new(model);
    let (mut used, mut index) = (0, 0);
    while index < table.len() {
        walk.go::<{ ops::ALL }>(index)?;
        used |= ops::of(&walk.step);
        if walk.step.node.op == op::CONV_2D {
            let more = |node: usize| table.get(node).is_some_and(|&[at, _]| at == STREAMED);
            let first = index;
            let mut streamed = Streamed::EMPTY;
            streamed.join::<{ ops::ALL }>(&mut walk, &mut index, &more)?;
            used |= streamed.ways();
            let mut joined = Walk::new(model);
            for node in 0..=index {
                joined.go::<{ ops::ALL }>(node)?;
                used |= if node > first { ops::of(&joined.step) } else { 0 };
            }
        } else {
            used |= match walk.step.node.op {
                op::FULLY_CONNECTED => ops::ROWS,
                op::MAX_POOL_2D => ops::POOL,
                _ => 0,
            };
        }
        index = index.wrapping_add(1);
    }
    Ok(used)
}
