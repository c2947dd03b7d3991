//! Pieces of the arena while a node runs: its value and its scratch memory to be written, everything else to be read.

use super::run::Run;
use super::ty::Ty;
use crate::arch::memory::{bytes_of, bytes_of_mut};
use crate::error::{Port, RunError};
use crate::tensor::Output;

/// The arena, cut around what a node writes.
pub(super) struct Lent<'x> {
    /// The node's value.
    pub(super) output: &'x mut [u8],
    pub(super) scratch: &'x mut [u32],
    /// What lies before, between and after the two, each with its first word's number.
    rest: [(usize, &'x [u32]); 3],
}

impl<'x> Lent<'x> {
    /// For node `index`, of a value of type `ty` and so many words of scratch memory.
    #[inline(never)]
    pub(super) fn new(
        table: &[[u32; 2]],
        arena: &'x mut [u32],
        index: usize,
        ty: &Ty,
        scratch: u32,
    ) -> Option<Self> {
        let &[output, own] = table.get(index)?;
        let (output, words) = (output as usize, ty.words() as usize);
        let end = output.checked_add(words)?;
        let (own, len) = if scratch == 0 { (end, 0) } else { (own as usize, scratch as usize) };
        let (low, high) = if own < output {
            ((own, len), (output, words))
        } else {
            ((output, words), (own, len))
        };
        let (before, rest) = arena.split_at_mut_checked(low.0)?;
        let (first, rest) = rest.split_at_mut_checked(low.1)?;
        let low_end = low.0.checked_add(low.1)?;
        let (between, rest) = rest.split_at_mut_checked(high.0.checked_sub(low_end)?)?;
        let (second, after) = rest.split_at_mut_checked(high.1)?;
        let (written, scratch) = if own < output { (second, first) } else { (first, second) };
        let rest = [(0, &*before), (low_end, &*between), (high.0.checked_add(high.1)?, &*after)];
        Some(Self { output: bytes_of_mut(written).get_mut(..ty.bytes() as usize)?, scratch, rest })
    }

    fn read(&self, at: usize, ty: &Ty) -> Option<&'x [u8]> {
        let (first, words) = self.rest.iter().rev().find(|&&(first, _)| first <= at)?;
        let words = words.get(at.checked_sub(*first)?..)?.get(..ty.words() as usize)?;
        bytes_of(words).get(..ty.bytes() as usize)
    }
}

impl<'r> Run<'r, '_> {
    /// The bytes of a value, by its number and type.
    pub(super) fn value<'x>(&self, lent: &Lent<'x>, id: u32, ty: &Ty) -> Option<&'x [u8]>
    where
        'r: 'x,
    {
        match (id as usize).checked_sub(self.model.n_inputs()) {
            None => self.inputs.get(id as usize)?.bytes().get(..ty.bytes() as usize),
            Some(node) => lent.read(self.table.get(node)?[0] as usize, ty),
        }
    }

    /// Hands the graph's values over, which were seen to fit.
    pub(super) fn outputs(
        &self,
        arena: &[u32],
        outputs: &mut [Output<'_>],
        last: &Ty,
    ) -> Option<()> {
        for (index, output) in outputs.iter_mut().enumerate() {
            let (id, ty) = output_type(self.model, index, last).ok()?;
            let from = match id.checked_sub(self.model.n_inputs()) {
                None => self.inputs.get(id)?.bytes(),
                Some(node) => bytes_of(arena.get(self.table.get(node)?[0] as usize..)?),
            };
            let to = output.bytes_mut();
            for (to, &from) in to.iter_mut().zip(from.get(..ty.bytes() as usize)?) {
                *to = from;
            }
        }
        Some(())
    }
}

/// Number and type of output `index`, where `last` is the last value's type.
pub(super) fn output_type(
    model: &penjing_format::lean::Lean<'_>,
    index: usize,
    last: &Ty,
) -> Result<(usize, Ty), RunError> {
    let end = model.n_inputs().wrapping_add(model.n_nodes()).wrapping_sub(1);
    let id = match model.outputs().map_err(|_| RunError::Model)? {
        None => end,
        Some(ids) => {
            let id = ids.as_chunks::<2>().0.get(index).ok_or(RunError::Model)?;
            usize::from(u16::from_le_bytes(*id))
        }
    };
    if id == end {
        return Ok((id, *last));
    }
    let value = model.value(id).map_err(|_| RunError::Model)?;
    Ok((id, Ty::stated(&value).map_err(|_| RunError::Model)?))
}

/// Whether a tensor is one image of a value.
pub(super) fn fits(
    port: Port,
    ty: Ty,
    found: penjing_format::DataType,
    len: usize,
) -> Result<(), RunError> {
    if ty.dtype != found {
        return Err(RunError::DataType { port, expected: ty.dtype, found });
    }
    let expected = ty.elements() as usize;
    if len != expected {
        return Err(RunError::Length { port, batch: 1, expected, found: len });
    }
    Ok(())
}
