//! One worker: a plan and the memory to run it on a tile of images at a time. Threads and batches' checks are `session`'s.

use crate::arch::memory::{Buffer, cast, cast_mut};
use crate::plan::{Group, Place, Plan, Slot};
use crate::tensor::{Input, Output};
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

/// Who is told when a group has run.
pub(crate) trait Trace {
    /// A tile's first group is about to run.
    fn start(&mut self);
    /// Group `group` has run on so many images, and the next is about to.
    fn end(&mut self, group: usize, images: usize);
}

/// Nobody.
impl Trace for () {
    fn start(&mut self) {}
    fn end(&mut self, _: usize, _: usize) {}
}

/// Memory of a tile's intermediate tensors and of the kernels' scratch.
pub(crate) struct Worker {
    arena: Buffer,
    scratch: Buffer,
}

impl Worker {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            arena: Buffer::zeroed(plan.arena * plan.images),
            scratch: Buffer::zeroed(plan.scratch),
        }
    }

    /// Runs `images` of a batch, a tile after the other. What one image comes to does not depend on its neighbours: kernels
    /// sum in an order of their own.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        inputs: &(impl Inputs + ?Sized),
        outputs: &mut (impl Outputs + ?Sized),
        images: Range<usize>,
        trace: &mut impl Trace,
    ) {
        for first in images.clone().step_by(plan.images) {
            let tile = first..images.end.min(first + plan.images);
            let outside = |index: usize| {
                let len = plan.inputs[index].len;
                inputs.input(index).part(tile.start * len..tile.end * len)
            };
            trace.start();
            for (index, group) in plan.groups.iter().enumerate() {
                let (input, output) = pair(&mut self.arena, plan, group, tile.len(), outside);
                let scratch = self.scratch.get_mut();
                group.op.run(plan.isa, input, output, tile.len(), scratch);
                trace.end(index, tile.len());
            }
            for (index, slot) in plan.outputs.iter().enumerate() {
                let from = match slot.place {
                    Place::Input(index) => outside(index),
                    Place::Arena(at) => {
                        let at = at * plan.images;
                        let bytes = &self.arena.get::<u8>()[at..at + tile.len() * slot.bytes()];
                        view(slot.dtype, bytes)
                    }
                };
                outputs.output(index).copy_at(tile.start * slot.len, from);
            }
        }
    }
}

/// A group's input, to read, and its output, to write; `outside` lends graph inputs.
fn pair<'a, 'o: 'a>(
    arena: &'a mut Buffer,
    plan: &Plan,
    group: &Group,
    images: usize,
    outside: impl Fn(usize) -> Input<'o>,
) -> (Input<'a>, Output<'a>) {
    let range = |slot: &Slot, at: usize| at * plan.images..at * plan.images + images * slot.bytes();
    let Place::Arena(to) = group.output.place else {
        unreachable!("the planner writes to the arena alone")
    };
    let to = range(&group.output, to);
    let arena = arena.get_mut::<u8>();
    match group.input.place {
        Place::Input(index) => (outside(index), view_mut(group.output.dtype, &mut arena[to])),
        Place::Arena(from) => match arena.get_disjoint_mut([range(&group.input, from), to]) {
            Ok([from, to]) => (view(group.input.dtype, from), view_mut(group.output.dtype, to)),
            Err(error) => unreachable!("live tensors overlap: {error}"),
        },
    }
}

fn view(dtype: DataType, bytes: &[u8]) -> Input<'_> {
    match dtype {
        DataType::U8 => Input::U8(bytes),
        DataType::I8 => Input::I8(cast(bytes)),
        DataType::F32 | DataType::I16 | DataType::I32 => Input::F32(cast(bytes)),
    }
}

fn view_mut(dtype: DataType, bytes: &mut [u8]) -> Output<'_> {
    match dtype {
        DataType::U8 => Output::U8(bytes),
        DataType::I8 => Output::I8(cast_mut(bytes)),
        DataType::F32 | DataType::I16 | DataType::I32 => Output::F32(cast_mut(bytes)),
    }
}
