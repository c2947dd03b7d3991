//! The only planner: from a checked model to what a session runs. It walks the model once, expands weights, chooses kernels,
//! joins ops into groups and gives every intermediate tensor its place in a tile's arena. It runs nothing.

mod arena;
mod make;
mod placing;
mod values;

use self::make::{Made, make_op};
use self::placing::Placing;
use self::values::{GroupShape, Values, tile_images};
use crate::arch::Isa;
use crate::budget::{Budget, product};
use crate::error::Error;
use crate::ops::conv_pool::Planar;
use crate::ops::{Op, Planning};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use penjing_format::{DataType, ModelView, TensorType};

/// What a session runs: groups of ops in order, with their weights expanded and every tensor placed. Borrows nothing.
pub struct Plan {
    pub(crate) isa: Isa,
    /// One image of each graph input and output.
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Slot>,
    pub(crate) groups: Vec<Group>,
    /// Images of a tile: what a worker runs through all groups at once.
    pub(crate) images: usize,
    /// Bytes of a tile's intermediate tensors.
    pub(crate) arena: usize,
    /// Bytes that the ops need beside them.
    pub(crate) scratch: usize,
    /// Bytes of weights and tables.
    pub(crate) own: u64,
    placements: Vec<Placement>,
}

/// What to plan, and for what.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// The most bytes that weights, tables and one worker's arena may take.
    pub max_bytes: u64,
    /// Only the nodes up to this one, whose value is then the one output: a look into a network.
    pub until: Option<usize>,
    /// The most images that are run at once: more share a load of the weights and take as many arenas. 0 for what suits the
    /// tensors' sizes; more than that is never taken.
    pub tile_images: usize,
}

impl Default for PlanOptions {
    /// The whole model, 256 MiB.
    fn default() -> Self {
        Self { max_bytes: 256 << 20, until: None, tile_images: 0 }
    }
}

/// What a group is, whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// The file's nodes that the group does.
    pub nodes: Range<usize>,
    /// What it does, such as `conv2d+max_pool2d`.
    pub name: &'static str,
    /// Multiplications of an input by a weight, an image; padding counts.
    pub macs: u64,
}

/// Where a tile's image of an intermediate tensor lies in a worker's arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The value's number in the file: graph inputs first, then one a node.
    pub value: usize,
    /// Its first byte in the arena.
    pub offset: u64,
    /// Bytes of the tile's images of it.
    pub bytes: u64,
    /// The groups that need it: from the one that makes it to the last that reads it.
    pub groups: Range<usize>,
    /// Whether it lies where one of its group's inputs was.
    pub in_place: bool,
}

/// One image of a graph input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    pub(crate) dtype: DataType,
    pub(crate) len: usize,
}

/// Where one image of a tensor lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) dtype: DataType,
    /// Elements.
    pub(crate) len: usize,
}

impl Slot {
    pub(crate) fn bytes(&self) -> usize {
        self.len * self.dtype.size()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The caller's memory: graph input of this number.
    Input(usize),
    /// From this byte of the arena on: a tile's images, one after the other.
    Arena(usize),
}

/// Ops that run as one.
pub(crate) struct Group {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Slot>,
    pub(crate) output: Slot,
    /// Whether the output takes the place of the first input.
    pub(crate) in_place: bool,
    /// The nodes of the file that it does; reshapes between them are nobody's.
    pub(crate) nodes: Range<usize>,
}

impl Plan {
    /// Plans a model for one instruction set.
    ///
    /// [`Error::TooLarge`] where weights, tables and one worker's arena exceed `max_bytes`: a small file may ask for much.
    pub fn new(model: &ModelView<'_>, isa: Isa, max_bytes: u64) -> Result<Self, Error> {
        Self::with_options(model, isa, PlanOptions { max_bytes, ..PlanOptions::default() })
    }

    /// As [`new`](Self::new), with all options.
    pub fn with_options(
        model: &ModelView<'_>,
        isa: Isa,
        options: PlanOptions,
    ) -> Result<Self, Error> {
        let budget = Budget::new(options.max_bytes, 0);
        let (nodes, outputs) = wanted(model, options.until)?;
        let steps =
            model.walk().take(nodes).collect::<Result<Vec<_>, _>>().map_err(format_error)?;
        let values = Values::new(model, &steps, &outputs)?;
        let shapes = values.group(&steps);
        let images = match (tile_images(&shapes), options.tile_images) {
            (suiting, 0) => suiting,
            (suiting, most) => suiting.min(most),
        };
        let mut made = make_all(&values, &shapes, Planning { isa, images, budget: &budget })?;
        let mut placing = Placing::new(&values, images);
        for (shape, made) in shapes.iter().zip(&mut made) {
            placing.add(usize::from(shape.last().output.id), made);
        }
        let placed = placing.place(&budget)?;
        let mut plan = Self {
            isa,
            inputs: values.inputs.iter().map(Port::new).collect(),
            outputs: Vec::new(),
            groups: Vec::with_capacity(made.len()),
            images,
            arena: placed.bytes,
            scratch: made.iter().map(|made| made.op.scratch(images)).max().unwrap_or(0),
            own: 0,
            placements: placed.placements,
        };
        let slot = |root: usize| placed.slots[root];
        for (shape, made) in shapes.iter().zip(made) {
            let inputs = made.sources.iter().map(|&root| slot(root)).collect();
            let output = slot(usize::from(shape.last().output.id));
            let (nodes, in_place) = (shape.first.index..shape.last().index + 1, made.in_place);
            plan.groups.push(Group { op: made.op, inputs, output, in_place, nodes });
        }
        budget.fits(plan.arena_bytes())?;
        plan.own = budget.taken();
        plan.outputs = outputs.iter().map(|&id| slot(values.root[usize::from(id)])).collect();
        Ok(plan)
    }

    /// Bytes of one worker's arena: a tile's intermediate tensors and the kernels' scratch.
    #[must_use]
    pub fn arena_bytes(&self) -> u64 {
        self.arena as u64 + self.scratch as u64
    }

    /// Of these, bytes of intermediate tensors: from the first to the end of the one that ends highest.
    #[must_use]
    pub fn tensor_bytes(&self) -> u64 {
        self.arena as u64
    }

    /// Images that run through all groups at once.
    #[must_use]
    pub fn tile_images(&self) -> usize {
        self.images
    }

    /// Where intermediate tensors lie, in the order in which groups make them.
    #[must_use]
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// The groups in the order in which they run.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = GroupInfo> {
        self.groups.iter().map(|group| GroupInfo {
            nodes: group.nodes.clone(),
            name: group.op.name(),
            macs: group.op.macs(),
        })
    }

    #[cfg(all(test, feature = "std"))]
    pub(crate) fn of_groups(inputs: Vec<Port>, outputs: Vec<Slot>, groups: Vec<Group>) -> Self {
        let (isa, placements) = (Isa::PORTABLE, Vec::new());
        Self { isa, inputs, outputs, groups, images: 1, arena: 64, scratch: 0, own: 0, placements }
    }
}

impl Port {
    fn new(ty: &TensorType) -> Self {
        Self { dtype: ty.dtype, len: image_len(ty) }
    }
}

/// How many nodes to plan, and which values are asked for.
fn wanted(model: &ModelView<'_>, until: Option<usize>) -> Result<(usize, Vec<u16>), Error> {
    let nodes = model.n_nodes();
    let Some(node) = until else { return Ok((nodes, model.outputs().collect())) };
    let value = model.n_inputs().checked_add(node).filter(|_| node < nodes);
    let value = value.and_then(|value| u16::try_from(value).ok());
    let value = value.ok_or(Error::NoNode { node, nodes })?;
    Ok((node + 1, vec![value]))
}

/// Makes the ops in order: what one leaves in a layout of its own, the next must know.
fn make_all(
    values: &Values,
    shapes: &[GroupShape<'_>],
    planning: Planning<'_>,
) -> Result<Vec<Made>, Error> {
    let mut made: Vec<Made> = Vec::with_capacity(shapes.len());
    let mut planar: Option<Planar> = None;
    for (index, shape) in shapes.iter().enumerate() {
        let next = shapes.get(index + 1).filter(|next| values.feeds(shape, next));
        planning.budget.fits(image_bytes(&shape.last().output.ty))?;
        let one = make_op(values, shape, planning, planar.take(), next.is_some())?;
        planning.budget.fits(one.op.scratch(planning.images) as u64)?;
        planar.clone_from(&one.planar);
        made.push(one);
    }
    Ok(made)
}

/// Elements of one image; the check has seen that the batch is 1 and that a u32 holds the product.
fn image_len(ty: &TensorType) -> usize {
    ty.shape.elements().unwrap_or(0)
}

/// Bytes of one image; more than memory may have.
fn image_bytes(ty: &TensorType) -> u64 {
    product(&[image_len(ty), ty.dtype.size()])
}

fn format_error(source: penjing_format::Error) -> Error {
    Error::Format { path: None, source: Box::new(source) }
}
