//! The session: opens, plans and checks what a caller hands over.

use super::flaw::Flaw;
use super::lend::{fits, output_type};
use super::ops::ALL;
use super::plan;
use super::run::Run;
use super::ty::Ty;
use crate::arch::memory::words;
use crate::error::{Error, Port, RunError};
use crate::storage::Model;
use crate::tensor::{Input, Output};
use penjing_format::lean::Lean;

/// Memory for a session in place, aligned for it. As a `static mut` or on a stack, behind whatever makes it exclusive.
#[repr(C, align(8))]
pub struct Arena<const BYTES: usize>(pub [u8; BYTES]);

impl<const BYTES: usize> Arena<BYTES> {
    /// All zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; BYTES])
    }
}

impl<const BYTES: usize> Default for Arena<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where sessions are made. Without the feature `alloc` there are none of its own type: [`in_place`](Session::in_place) is all.
#[cfg(not(feature = "alloc"))]
#[derive(Debug)]
pub enum Session {}

#[cfg(feature = "alloc")]
use crate::session::Session;

impl Session {
    /// A session in memory that the caller lends, of whatever this version runs in place; see [`InPlace::new`].
    ///
    /// # Errors
    /// As of [`InPlace::new`].
    pub fn in_place<'a>(model: &'a Model, arena: &'a mut [u8]) -> Result<InPlace<'a>, Error> {
        InPlace::new(model, arena)
    }
}

/// A session in memory that the caller lends: allocates nothing, runs on one thread and one image at a time, reads weights where
/// they lie. `OPS` is what may be linked, [`ALL`] or what `penjing convert --rust` writes beside a model: ops, packings and ways
/// of running that are not among them leave no code in the program, and a model that needs one is refused.
pub struct InPlace<'a, const OPS: u32 = ALL> {
    model: Lean<'a>,
    words: &'a mut [u32],
    /// Of the last value, and how many outputs there are.
    last: Ty,
    outputs: usize,
}

impl<'a, const OPS: u32> InPlace<'a, OPS> {
    /// Checks what the model needs and plans it.
    ///
    /// The arena's exact size is what `penjing inspect` shows, for an address that is a multiple of 4; up to three bytes more for
    /// another one.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where the arena is too small, [`Error::Unsupported`] and [`Error::Refused`] with the node.
    pub fn new(model: &'a Model, arena: &'a mut [u8]) -> Result<Self, Error> {
        Self::of_whole(model.bytes(), arena)
    }

    /// As [`new`](Self::new), of bytes that are checked no further than without the feature `alloc`: for tests and fuzzing.
    #[doc(hidden)]
    pub fn of_bytes(file: &'a [u8], arena: &'a mut [u8]) -> Result<Self, Error> {
        Lean::open(file).map_err(|source| Error::Header { source })?;
        Self::of_whole(file, arena)
    }

    fn of_whole(file: &'a [u8], arena: &'a mut [u8]) -> Result<Self, Error> {
        let (bytes, before) = (arena.len(), arena.as_ptr().align_offset(align_of::<u32>()));
        let words = words(arena);
        let mut node = 0;
        let planned = Self::plan(file, words, &mut node);
        planned.map_err(|flaw| flaw.at(node, bytes, before))
    }

    fn plan(file: &'a [u8], words: &'a mut [u32], node: &mut usize) -> Result<Self, Flaw> {
        let model = Lean::assume_whole(file)?;
        let (needed, last) = plan::plan::<OPS>(&model, words, node)?;
        if (needed as usize) > words.len() {
            return Err(Flaw::Arena(needed.saturating_mul(4)));
        }
        let outputs = model.outputs()?.map_or(1, |ids| ids.len() / 2);
        let session = Self { model, words, last, outputs };
        for index in 0..model.n_inputs() {
            // Also those that nobody reads.
            Ty::stated(&model.input(index)?)?;
        }
        for index in 0..outputs {
            output_type(&session.model, index, &session.last)
                .map_err(|_| Flaw::Refused("outputs"))?;
        }
        Ok(session)
    }

    /// Runs one image through a model with one input and one output.
    pub fn run<'i, 'o>(
        &mut self,
        input: impl Into<Input<'i>>,
        output: impl Into<Output<'o>>,
    ) -> Result<(), RunError> {
        self.run_many(&[input.into()], &mut [output.into()])
    }

    /// Runs one image through a model with any number of inputs and outputs, each in the file's order.
    pub fn run_many(
        &mut self,
        inputs: &[Input<'_>],
        outputs: &mut [Output<'_>],
    ) -> Result<(), RunError> {
        let expected = self.model.n_inputs();
        if inputs.len() != expected {
            return Err(RunError::Count { of: "inputs", expected, found: inputs.len() });
        }
        if outputs.len() != self.outputs {
            let (expected, found) = (self.outputs, outputs.len());
            return Err(RunError::Count { of: "outputs", expected, found });
        }
        for (index, input) in inputs.iter().enumerate() {
            let ty = self.model.input(index).ok().and_then(|value| Ty::stated(&value).ok());
            fits(Port::Input(index), ty.ok_or(RunError::Model)?, input.dtype(), input.len())?;
        }
        for (index, output) in outputs.iter().enumerate() {
            let (_, ty) = output_type(&self.model, index, &self.last)?;
            fits(Port::Output(index), ty, output.dtype(), output.len())?;
        }
        let nodes = self.model.n_nodes().wrapping_mul(2);
        let (table, arena) = self.words.split_at_mut_checked(nodes).ok_or(RunError::Model)?;
        let run = Run { model: &self.model, table: table.as_chunks().0, inputs };
        run.nodes::<OPS>(arena).map_err(|_| RunError::Model)?;
        run.outputs(arena, outputs, &self.last).ok_or(RunError::Model)
    }
}

/// Bytes of the arena that a session in place needs for this model.
///
/// # Errors
/// As of [`InPlace::new`].
#[cfg(feature = "alloc")]
pub fn arena_bytes(model: &Model) -> Result<usize, Error> {
    let mut node = 0;
    let planned = Lean::assume_whole(model.bytes()).map_err(Flaw::from).and_then(|lean| {
        let mut words = alloc::vec![0; plan::table_words(&lean)?];
        plan::plan::<ALL>(&lean, &mut words, &mut node)
    });
    planned.map(|(words, _)| (words as usize).saturating_mul(4)).map_err(|flaw| flaw.at(node, 0, 0))
}

/// What a session in place needs to be made of for this model, and no more: its `OPS`.
///
/// # Errors
/// As of [`InPlace::new`].
#[cfg(feature = "alloc")]
pub fn ops(model: &Model) -> Result<u32, Error> {
    let (mut node, mut used) = (0, 0);
    let planned = Lean::assume_whole(model.bytes()).map_err(Flaw::from).and_then(|lean| {
        let mut words = alloc::vec![0; plan::table_words(&lean)?];
        plan::plan::<ALL>(&lean, &mut words, &mut node)?;
        used = plan::used(&lean, &words)?;
        Ok(())
    });
    planned.map(|()| used).map_err(|flaw| flaw.at(node, 0, 0))
}
