//! The only planner: from a checked model to what a session runs. It walks the model once, expands weights, chooses kernels,
//! joins ops into groups and gives every intermediate tensor its place in one image's arena. It runs nothing.

use crate::arch::Isa;
use crate::arch::memory::ALIGNMENT;
use crate::budget::{Budget, product};
use crate::error::Error;
use crate::ops::conv_pool::{ConvPool, Planar};
use crate::ops::max_pool2d::MaxPool2d;
use crate::ops::{Failure, Op, Planning, conv2d, depthwise_conv2d, fully_connected};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use penjing_format::read::{self, Step};
use penjing_format::{DataType, ModelView, TensorType};

/// The most images that a group runs on before the next group does: enough to share every load of a dense layer's weights.
const TILE_IMAGES: usize = 16;

/// What a tile's largest tensor may take, so that one group leaves its result in a near cache for the next.
const TILE_BYTES: u64 = 32 << 10;

/// What a session runs: groups of ops in order, with their weights expanded and every tensor placed. Borrows nothing.
pub struct Plan {
    pub(crate) isa: Isa,
    /// One image of each graph input and output.
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Slot>,
    pub(crate) groups: Vec<Group>,
    /// Images of a tile: what a worker runs through all groups at once.
    pub(crate) images: usize,
    /// Bytes of one image's intermediate tensors.
    pub(crate) arena: usize,
    /// Bytes that the ops need beside them.
    pub(crate) scratch: usize,
    /// Bytes of weights and tables.
    pub(crate) own: u64,
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
    /// From this byte of the arena on, times the images of a tile.
    Arena(usize),
}

/// Ops that run as one.
pub(crate) struct Group {
    pub(crate) op: Op,
    pub(crate) input: Slot,
    pub(crate) output: Slot,
    /// The nodes of the file that it does; reshapes between them are nobody's.
    pub(crate) nodes: Range<usize>,
}

impl Plan {
    /// Plans a model for one instruction set.
    ///
    /// [`Error::TooLarge`] where weights, tables and one worker's arena exceed `max_bytes`: a small file may ask for much.
    pub fn new(model: &ModelView<'_>, isa: Isa, max_bytes: u64) -> Result<Self, Error> {
        let budget = Budget::new(max_bytes, 0);
        let steps = model.walk().collect::<Result<Vec<_>, _>>().map_err(format_error)?;
        let values = Values::new(model, &steps)?;
        let ports = values.inputs.iter().map(|ty| Port { dtype: ty.dtype, len: image_len(ty) });
        let shapes = values.group(&steps);
        let images = tile_images(&shapes);
        let mut plan = Self {
            isa,
            inputs: ports.collect(),
            outputs: Vec::new(),
            groups: Vec::new(),
            images,
            arena: 0,
            scratch: 0,
            own: 0,
        };
        let mut allocator = Allocator::new(&values);
        let mut planar: Option<Planar> = None;
        for (index, shape) in shapes.iter().enumerate() {
            let next = shapes.get(index + 1).filter(|next| values.feeds(shape, next));
            budget.fits(image_bytes(&shape.last().output.ty))?;
            let planning = Planning { isa, images, budget: &budget };
            let made = make_op(shape, planning, planar.take(), next.is_some())?;
            planar = made.planar;
            let output = allocator.place(shape, planar.as_ref());
            let input = allocator.slot(values.root[usize::from(shape.first.input.id)]);
            plan.scratch = plan.scratch.max(made.op.scratch(images));
            plan.arena = allocator.size;
            let nodes = shape.first.index..shape.last().index + 1;
            plan.groups.push(Group { op: made.op, input, output, nodes });
            budget.fits(plan.arena_bytes())?;
        }
        plan.own = budget.taken();
        let output = |id: u16| allocator.slot(values.root[usize::from(id)]);
        plan.outputs = model.outputs().map(output).collect();
        Ok(plan)
    }

    /// Bytes of one worker's arena: a tile's intermediate tensors and the kernels' scratch.
    #[must_use]
    pub fn arena_bytes(&self) -> u64 {
        self.arena as u64 * self.images as u64 + self.scratch as u64
    }

    /// The groups in the order in which they run.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = GroupInfo> {
        self.groups.iter().map(|group| GroupInfo {
            nodes: group.nodes.clone(),
            name: group.op.name(),
            macs: group.op.macs(),
        })
    }
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

/// What the walk tells of each value.
struct Values {
    inputs: Vec<TensorType>,
    types: Vec<TensorType>,
    /// The value whose memory a value shares; itself, unless a reshape made it.
    root: Vec<usize>,
    /// Number of nodes that read the memory of a root, reshapes aside.
    readers: Vec<usize>,
    is_output: Vec<bool>,
}

impl Values {
    fn new(model: &ModelView<'_>, steps: &[Step<'_>]) -> Result<Self, Error> {
        let inputs = (0..model.n_inputs())
            .map(|index| model.input_type(index))
            .collect::<Result<Vec<_>, _>>()
            .map_err(format_error)?;
        let mut types = inputs.clone();
        types.extend(steps.iter().map(|step| step.output.ty));
        let mut root: Vec<usize> = (0..types.len()).collect();
        let mut readers = vec![0; types.len()];
        for step in steps {
            let source = root[usize::from(step.input.id)];
            if matches!(step.op, read::Op::Reshape(_)) {
                root[usize::from(step.output.id)] = source;
            } else {
                readers[source] += 1;
            }
        }
        let mut is_output = vec![false; types.len()];
        for id in model.outputs() {
            is_output[root[usize::from(id)]] = true;
        }
        Ok(Self { inputs, types, root, readers, is_output })
    }

    /// Whether `next` alone reads what `group` makes, reshaped or not, and is a dense layer.
    fn feeds(&self, group: &GroupShape<'_>, next: &GroupShape<'_>) -> bool {
        let made = usize::from(group.last().output.id);
        matches!(next.first.op, read::Op::FullyConnected(_))
            && self.root[usize::from(next.first.input.id)] == made
            && self.readers[made] == 1
            && !self.is_output[made]
    }

    /// Splits the nodes into groups: a max-pool joins the convolution before it if nothing else reads that; reshapes vanish.
    fn group<'a>(&self, steps: &[Step<'a>]) -> Vec<GroupShape<'a>> {
        let mut groups: Vec<GroupShape<'a>> = Vec::new();
        for step in steps {
            let source = self.root[usize::from(step.input.id)];
            let private = self.readers[source] == 1 && !self.is_output[source];
            match (&step.op, groups.last_mut()) {
                (read::Op::Reshape(_), _) => {}
                (read::Op::MaxPool2d(_), Some(last)) if private && last.joins(step, source) => {
                    last.pool = Some(*step);
                }
                _ => groups.push(GroupShape { first: *step, pool: None }),
            }
        }
        groups
    }
}

/// Images of a tile: fewer where tensors are large.
fn tile_images(groups: &[GroupShape<'_>]) -> usize {
    let bytes = |group: &GroupShape<'_>| image_bytes(&group.last().output.ty);
    let largest = groups.iter().map(bytes).max().unwrap_or(0).max(1);
    usize::try_from(TILE_BYTES / largest).unwrap_or(1).clamp(1, TILE_IMAGES)
}

/// The nodes of a group.
struct GroupShape<'a> {
    first: Step<'a>,
    /// A max-pool that a convolution takes over.
    pool: Option<Step<'a>>,
}

impl GroupShape<'_> {
    /// Whether the convolution may take over `pool`, which reads value `source`: no row of sums is needed twice.
    fn joins(&self, pool: &Step<'_>, source: usize) -> bool {
        let read::Op::MaxPool2d(op) = &pool.op else { return false };
        matches!(self.first.op, read::Op::Conv2d(_))
            && self.pool.is_none()
            && usize::from(self.first.output.id) == source
            && pool.input.ty.shape == self.first.output.ty.shape
            && op.stride[0] >= op.window[0]
    }

    fn last(&self) -> &Step<'_> {
        self.pool.as_ref().unwrap_or(&self.first)
    }
}

/// Gives tensors their places: first fit among those alive at the same time.
struct Allocator<'a> {
    values: &'a Values,
    /// By value; of roots that have a place.
    slots: Vec<Option<Slot>>,
    /// Groups that are still to read a root.
    unread: Vec<usize>,
    /// What of the arena is still needed, by address: from, to, root.
    alive: Vec<(usize, usize, usize)>,
    /// Bytes of one image's tensors.
    size: usize,
}

impl<'a> Allocator<'a> {
    fn new(values: &'a Values) -> Self {
        let slot = |index, ty: &TensorType| {
            Some(Slot { place: Place::Input(index), dtype: ty.dtype, len: image_len(ty) })
        };
        let mut slots: Vec<Option<Slot>> =
            values.inputs.iter().enumerate().map(|(index, ty)| slot(index, ty)).collect();
        slots.resize(values.types.len(), None);
        let unread = values.readers.clone();
        Self { values, slots, unread, alive: Vec::new(), size: 0 }
    }

    /// The place of a root's image.
    fn slot(&self, root: usize) -> Slot {
        // Every node's input precedes it, and outputs are values of the model: all are placed when asked for.
        self.slots[root].unwrap_or(Slot { place: Place::Arena(0), dtype: DataType::F32, len: 0 })
    }

    /// Places the group's output beside everything alive, its input included, then lets go of what no later group reads.
    /// A `planar` output is bytes in a layout that only its reader knows.
    fn place(&mut self, group: &GroupShape<'_>, planar: Option<&Planar>) -> Slot {
        let output = &group.last().output;
        let (dtype, len) = match planar {
            Some(planar) => (DataType::U8, planar.bytes()),
            None => (output.ty.dtype, image_len(&output.ty)),
        };
        let bytes = len * dtype.size();
        let (mut at, mut rank): (usize, usize) = (0, 0);
        for &(start, end, _) in &self.alive {
            if at + bytes <= start {
                break;
            }
            at = at.max(end.next_multiple_of(ALIGNMENT));
            rank += 1;
        }
        self.size = self.size.max((at + bytes).next_multiple_of(ALIGNMENT));
        let slot = Slot { place: Place::Arena(at), dtype, len };
        self.slots[usize::from(output.id)] = Some(slot);
        self.alive.insert(rank, (at, at + bytes, usize::from(output.id)));
        let source = self.values.root[usize::from(group.first.input.id)];
        self.unread[source] = self.unread[source].saturating_sub(1);
        let (unread, is_output) = (&self.unread, &self.values.is_output);
        self.alive.retain(|&(_, _, root)| unread[root] > 0 || is_output[root]);
        slot
    }
}

/// An op, and the layout in which its result lies where that is its reader's affair alone.
struct Made {
    op: Op,
    planar: Option<Planar>,
}

/// Makes a group's op: expands its weights and chooses its kernels. `planar` is how its input lies, where that is special;
/// `private` says that a dense layer reads its result and nobody else does.
fn make_op(
    group: &GroupShape<'_>,
    planning: Planning<'_>,
    planar: Option<Planar>,
    private: bool,
) -> Result<Made, Error> {
    let step = &group.first;
    let node = step.index;
    let (input, output) = (&step.input.ty, &step.output.ty);
    let unsupported = |what| Error::Unsupported { node, what };
    let failed = |failure| match failure {
        Failure::Rank => unsupported("a tensor of this rank"),
        Failure::TooLarge => unsupported("an image of more than 4 GiB"),
        Failure::Memory(overdraft) => overdraft.into(),
        Failure::Packing(source) => Error::Weights { node, source },
    };
    let params = |ty: &TensorType| ty.quantization.ok_or(unsupported("integers without a scale"));
    let pool = |step: &Step<'_>| match &step.op {
        read::Op::MaxPool2d(op) => MaxPool2d::new(op, step.input.ty.shape, step.output.ty.shape),
        _ => None,
    };
    let rank = || failed(Failure::Rank);
    let op = match &step.op {
        read::Op::Conv2d(op) => {
            let pool = group.pool.as_ref().map(|step| pool(step).ok_or_else(rank)).transpose()?;
            if let Some(pool) = &pool {
                let made = ConvPool::new(planning, op, pool, input, output).map_err(failed)?;
                if let Some(mut op) = made {
                    let planar = private.then(|| op.keep_planar().clone());
                    return Ok(Made { op: Op::ConvPool(Box::new(op)), planar });
                }
            }
            let mut conv = conv2d::Conv2d::new(planning, op, input, output).map_err(failed)?;
            if let Some(pool) = pool {
                conv.fuse(pool);
            }
            Op::Conv2d(Box::new(conv))
        }
        read::Op::DepthwiseConv2d(op) => {
            let conv = depthwise_conv2d::DepthwiseConv2d::new(planning, op, input, output);
            Op::DepthwiseConv2d(Box::new(conv.map_err(failed)?))
        }
        read::Op::FullyConnected(op) => {
            let planar = planar.as_ref();
            let op = fully_connected::FullyConnected::new(planning, op, input, output, planar);
            Op::FullyConnected(Box::new(op.map_err(failed)?))
        }
        read::Op::MaxPool2d(_) => Op::MaxPool2d(pool(step).ok_or_else(rank)?),
        read::Op::Quantize if input.dtype != DataType::F32 => {
            return Err(unsupported("a quantization of integers"));
        }
        read::Op::Quantize => Op::Quantize(params(output)?),
        read::Op::Dequantize => Op::Dequantize(params(input)?),
        // `group` has left them out: they share their input's memory.
        read::Op::Reshape(_) => return Err(unsupported("a reshape")),
        read::Op::AveragePool2d(_) => return Err(unsupported("an average pool")),
        read::Op::Mean => return Err(unsupported("a mean")),
        read::Op::Add(_) => return Err(unsupported("an addition")),
        read::Op::Mul(_) => return Err(unsupported("a multiplication")),
        read::Op::Pad(_) => return Err(unsupported("padding")),
        read::Op::Concat(_) => return Err(unsupported("a concatenation")),
        read::Op::Relu(_) => return Err(unsupported("a relu of its own")),
        read::Op::Softmax => return Err(unsupported("a softmax")),
        read::Op::Logistic => return Err(unsupported("a logistic function")),
        read::Op::Tanh => return Err(unsupported("a hyperbolic tangent")),
    };
    Ok(Made { op, planar: None })
}
