//! One worker: a plan and the memory to run it on a tile of images at a time. Threads and batches' checks are `session`'s.

use crate::arch::Isa;
use crate::arch::memory::{Buffer, cast, cast_mut};
use crate::plan::{Group, Place, Plan};
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
        Self { arena: Buffer::zeroed(plan.arena), scratch: Buffer::zeroed(plan.scratch) }
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
                let scratch = self.scratch.get_mut();
                run_group(plan.isa, group, self.arena.get_mut(), scratch, tile.len(), &outside);
                trace.end(index, tile.len());
            }
            for (index, slot) in plan.outputs.iter().enumerate() {
                let from = match slot.place {
                    Place::Input(index) => outside(index),
                    Place::Arena(at) => {
                        let bytes = &self.arena.get::<u8>()[at..at + tile.len() * slot.bytes()];
                        view(slot.dtype, bytes)
                    }
                };
                outputs.output(index).copy_at(tile.start * slot.len, from);
            }
        }
    }
}

/// Runs a group on the first images of a tile's arena. What lies before its output and what lies after it is lent to read, so
/// that any number of inputs may be one and the same; `outside` lends graph inputs.
fn run_group<'a, 'o: 'a>(
    isa: Isa,
    group: &Group,
    arena: &'a mut [u8],
    scratch: &mut [u8],
    images: usize,
    outside: &dyn Fn(usize) -> Input<'o>,
) {
    let Place::Arena(start) = group.output.place else {
        unreachable!("the planner writes to the arena alone")
    };
    let (before, rest) = arena.split_at_mut(start);
    let (output, after) = rest.split_at_mut(images * group.output.bytes());
    let (before, after, end) = (&*before, &*after, start + output.len());
    let lend = |index: usize| {
        let slot = group.inputs.get(index)?;
        let at = match slot.place {
            Place::Input(index) => return Some(outside(index)),
            Place::Arena(_) if group.in_place && index == 0 => return None,
            Place::Arena(at) => at,
        };
        let len = images * slot.bytes();
        let bytes = if at < start { &before[at..at + len] } else { &after[at - end..][..len] };
        Some(view(slot.dtype, bytes))
    };
    group.op.run(isa, &lend, view_mut(group.output.dtype, output), images, scratch);
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
