//! One image through the nodes, along the table that planning made.

use super::conv::Streamed;
use super::flaw::Flaw;
use super::lend::Lent;
use super::light;
use super::ops::{self, has};
use super::plan::STREAMED;
use super::step::Walk;
use crate::tensor::Input;
use penjing_format::lean::{Lean, op};

/// What a run reads.
#[derive(Clone, Copy)]
pub(super) struct Run<'r, 'a> {
    pub(super) model: &'r Lean<'a>,
    /// Where each node's value and scratch memory lie, in words of the arena.
    pub(super) table: &'r [[u32; 2]],
    pub(super) inputs: &'r [Input<'r>],
}

impl<'a> Run<'_, 'a> {
    /// Runs all nodes.
    #[inline(never)]
    pub(super) fn nodes<const OPS: u32>(&self, arena: &mut [u32]) -> Result<(), Flaw> {
        let mut walk = Walk::new(self.model);
        let mut index = 0;
        while index < self.table.len() {
            walk.go::<OPS>(index)?;
            if has::<OPS>(ops::PATCHES | ops::WINDOWS) && walk.step.node.op == op::CONV_2D {
                self.streamed::<OPS>(&mut walk, &mut index, arena)?;
            } else {
                light::run::<OPS>(self, &walk, index, arena)?;
            }
            index = index.wrapping_add(1);
        }
        Ok(())
    }

    /// Whether a reshape's value lies where its input does.
    pub(super) fn is_alias(&self, input: u32) -> bool {
        input as usize >= self.model.n_inputs()
    }

    /// A convolution and what is joined to it.
    #[inline(never)]
    fn streamed<const OPS: u32>(
        &self,
        walk: &mut Walk<'_, 'a>,
        index: &mut usize,
        arena: &mut [u32],
    ) -> Result<(), Flaw> {
        let more = |node: usize| self.table.get(node).is_some_and(|&[at, _]| at == STREAMED);
        let mut streamed = Streamed::EMPTY;
        streamed.join::<OPS>(walk, index, &more)?;
        let scratch = streamed.scratch_words::<OPS>()?;
        let lent = Lent::new(self.table, arena, *index, &streamed.output, scratch);
        let lent = lent.ok_or(Flaw::BROKEN)?;
        let input = self.value(&lent, streamed.id, &streamed.input).ok_or(Flaw::BROKEN)?;
        streamed.run::<OPS>(input, lent.output, lent.scratch).ok_or(Flaw::BROKEN)
    }
}
