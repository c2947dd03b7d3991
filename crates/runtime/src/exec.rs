//! One worker: a plan and the memory to run it on one image at a time. Threads and batches' checks are `session`'s.

use crate::ops::Scratch;
use crate::plan::{ArenaSize, Place, Plan, Slot};
use crate::tensor::{Input, Output};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use penjing_format::DataType;

/// What a worker reads its batch from.
pub(crate) trait Inputs {
    /// All images of input `index`.
    fn input(&self, index: usize) -> Input<'_>;
}

/// What a worker writes its batch to.
pub(crate) trait Outputs {
    /// All images of output `index`.
    fn output(&mut self, index: usize) -> Output<'_>;
}

impl Inputs for [Input<'_>] {
    fn input(&self, index: usize) -> Input<'_> {
        self[index]
    }
}

impl Outputs for [Output<'_>] {
    fn output(&mut self, index: usize) -> Output<'_> {
        self[index].reborrow()
    }
}

/// Memory of one image's intermediate tensors and of the kernels' scratch.
pub(crate) struct Worker {
    arena: Arena,
    scratch: Scratch,
}

impl Worker {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { arena: Arena::new(plan.arena), scratch: Scratch::new(plan.scratch) }
    }

    /// Runs `images` of a batch, one after the other: what one image comes to cannot depend on its neighbours.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        inputs: &(impl Inputs + ?Sized),
        outputs: &mut (impl Outputs + ?Sized),
        images: Range<usize>,
    ) {
        let kernels = plan.isa.kernels();
        for image in images {
            let outside = |index: usize| {
                let len = plan.inputs[index].len;
                inputs.input(index).part(image * len..(image + 1) * len)
            };
            for group in &plan.groups {
                let (input, output) = self.arena.pair(&group.input, &group.output, outside);
                group.op.run(kernels, input, output, &mut self.scratch);
            }
            for (index, slot) in plan.outputs.iter().enumerate() {
                let from = match slot.place {
                    Place::Input(index) => outside(index),
                    Place::Arena(at) => self.arena.tensor(slot.dtype, at..at + slot.len),
                };
                outputs.output(index).copy_at(image * slot.len, from);
            }
        }
    }
}

/// One image's intermediate tensors, by type.
struct Arena {
    f32: Vec<f32>,
    i8: Vec<i8>,
    u8: Vec<u8>,
}

impl Arena {
    fn new(size: ArenaSize) -> Self {
        Self { f32: vec![0.0; size.f32], i8: vec![0; size.i8], u8: vec![0; size.u8] }
    }

    fn tensor(&self, dtype: DataType, range: Range<usize>) -> Input<'_> {
        match dtype {
            DataType::U8 => Input::U8(&self.u8[range]),
            DataType::I8 => Input::I8(&self.i8[range]),
            DataType::F32 | DataType::I16 | DataType::I32 => Input::F32(&self.f32[range]),
        }
    }

    /// A group's input, to read, and its output, to write; `outside` lends graph inputs.
    fn pair<'a, 'o: 'a>(
        &'a mut self,
        input: &Slot,
        output: &Slot,
        outside: impl Fn(usize) -> Input<'o>,
    ) -> (Input<'a>, Output<'a>) {
        let Place::Arena(to) = output.place else {
            unreachable!("the planner writes to the arena alone")
        };
        let to = to..to + output.len;
        let from = match input.place {
            Place::Arena(from) => from..from + input.len,
            Place::Input(index) => {
                let output = match output.dtype {
                    DataType::U8 => Output::U8(&mut self.u8[to]),
                    DataType::I8 => Output::I8(&mut self.i8[to]),
                    _ => Output::F32(&mut self.f32[to]),
                };
                return (outside(index), output);
            }
        };
        match (input.dtype, output.dtype) {
            (DataType::F32, DataType::F32) => {
                let (from, to) = split(&mut self.f32, from, to);
                (Input::F32(from), Output::F32(to))
            }
            (DataType::I8, DataType::I8) => {
                let (from, to) = split(&mut self.i8, from, to);
                (Input::I8(from), Output::I8(to))
            }
            (DataType::U8, DataType::U8) => {
                let (from, to) = split(&mut self.u8, from, to);
                (Input::U8(from), Output::U8(to))
            }
            (DataType::U8, DataType::I8) => {
                (Input::U8(&self.u8[from]), Output::I8(&mut self.i8[to]))
            }
            (DataType::F32, DataType::I8) => {
                (Input::F32(&self.f32[from]), Output::I8(&mut self.i8[to]))
            }
            (DataType::F32, DataType::U8) => {
                (Input::F32(&self.f32[from]), Output::U8(&mut self.u8[to]))
            }
            (DataType::I8, _) => (Input::I8(&self.i8[from]), Output::F32(&mut self.f32[to])),
            (_, _) => (Input::U8(&self.u8[from]), Output::F32(&mut self.f32[to])),
        }
    }
}

/// Two tensors of one type, which the planner has placed apart.
fn split<T>(memory: &mut [T], from: Range<usize>, to: Range<usize>) -> (&[T], &mut [T]) {
    match memory.get_disjoint_mut([from, to]) {
        Ok([from, to]) => (from, to),
        Err(error) => unreachable!("live tensors overlap: {error}"),
    }
}
