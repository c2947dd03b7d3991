//! The only planner: from a checked model to what a session runs. It walks the model once, expands weights, chooses kernels,
//! joins ops into groups and gives every intermediate tensor its place in one image's arena. It runs nothing.

use crate::arch::Isa;
use crate::error::Error;
use crate::ops::max_pool2d::MaxPool2d;
use crate::ops::{Op, Quantization, ScratchSize, conv2d, fully_connected};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use penjing_format::read::{self, Step};
use penjing_format::{DataType, ModelView, PackingError, TensorType};

/// Offsets in the arena are multiples of this many elements, so that kernels may count on whole vectors.
const ALIGNMENT: usize = 16;

/// What a session runs: groups of ops in order, with their weights expanded and every tensor placed. Borrows nothing.
pub struct Plan {
    pub(crate) isa: Isa,
    /// One image of each graph input and output.
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Slot>,
    pub(crate) groups: Vec<Group>,
    pub(crate) arena: ArenaSize,
    pub(crate) scratch: ScratchSize,
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

#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The caller's memory: graph input of this number.
    Input(usize),
    /// From this element on, in the arena of the tensor's type.
    Arena(usize),
}

/// Ops that run as one.
pub(crate) struct Group {
    pub(crate) op: Op,
    pub(crate) input: Slot,
    pub(crate) output: Slot,
}

/// Elements of one image's intermediate tensors, by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ArenaSize {
    pub(crate) f32: usize,
    pub(crate) i8: usize,
    pub(crate) u8: usize,
}

impl ArenaSize {
    fn of(&mut self, dtype: DataType) -> &mut usize {
        match dtype {
            DataType::U8 => &mut self.u8,
            DataType::I8 => &mut self.i8,
            DataType::F32 | DataType::I16 | DataType::I32 => &mut self.f32,
        }
    }

    fn bytes(self) -> u64 {
        4 * self.f32 as u64 + self.i8 as u64 + self.u8 as u64
    }
}

impl Plan {
    /// Plans a model for one instruction set.
    ///
    /// [`Error::ArenaTooLarge`] where one image's intermediate tensors exceed `max_arena_bytes`: a small file may ask for
    /// much.
    pub fn new(model: &ModelView<'_>, isa: Isa, max_arena_bytes: u64) -> Result<Self, Error> {
        let steps = model.walk().collect::<Result<Vec<_>, _>>().map_err(format_error)?;
        let values = Values::new(model, &steps)?;
        let ports = values.inputs.iter().map(|ty| Port { dtype: ty.dtype, len: image_len(ty) });
        let mut plan = Self {
            isa,
            inputs: ports.collect(),
            outputs: Vec::new(),
            groups: Vec::new(),
            arena: ArenaSize::default(),
            scratch: ScratchSize::default(),
        };
        let shapes = values.group(&steps);
        let mut allocator = Allocator::new(&values);
        for shape in &shapes {
            let output = allocator.place(shape);
            let input = allocator.slot(values.root[usize::from(shape.first.input.id)]);
            let op = make_op(shape, isa)?;
            plan.scratch = plan.scratch.max(op.scratch());
            plan.arena = allocator.size;
            plan.groups.push(Group { op, input, output });
            plan.within(max_arena_bytes)?;
        }
        let output = |id: u16| allocator.slot(values.root[usize::from(id)]);
        plan.outputs = model.outputs().map(output).collect();
        Ok(plan)
    }

    /// Bytes of one worker's arena: one image's intermediate tensors and the kernels' scratch.
    #[must_use]
    pub fn arena_bytes(&self) -> u64 {
        self.arena.bytes() + self.scratch.bytes()
    }

    fn within(&self, limit: u64) -> Result<(), Error> {
        let needed = self.arena_bytes();
        if needed > limit { Err(Error::ArenaTooLarge { needed, limit }) } else { Ok(()) }
    }
}

/// Elements of one image; the check has seen that the batch is 1 and that a u32 holds the product.
fn image_len(ty: &TensorType) -> usize {
    ty.shape.elements().unwrap_or(0)
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
    /// Roots in the arena that are still needed.
    alive: Vec<usize>,
    size: ArenaSize,
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
        Self { values, slots, unread, alive: Vec::new(), size: ArenaSize::default() }
    }

    /// The place of a root's image.
    fn slot(&self, root: usize) -> Slot {
        // Every node's input precedes it, and outputs are values of the model: all are placed when asked for.
        self.slots[root].unwrap_or(Slot { place: Place::Arena(0), dtype: DataType::F32, len: 0 })
    }

    /// Places the group's output beside everything alive, its input included, then lets go of what no later group reads.
    fn place(&mut self, group: &GroupShape<'_>) -> Slot {
        let output = &group.last().output;
        let (dtype, len) = (output.ty.dtype, image_len(&output.ty));
        let mut taken: Vec<(usize, usize)> = self
            .alive
            .iter()
            .filter_map(|&root| match self.slot(root) {
                Slot { place: Place::Arena(at), dtype: d, len } if d == dtype => Some((at, len)),
                _ => None,
            })
            .collect();
        taken.sort_unstable();
        let mut at = 0;
        for (start, taken_len) in taken {
            if at + len <= start {
                break;
            }
            at = at.max((start + taken_len).next_multiple_of(ALIGNMENT));
        }
        let size = self.size.of(dtype);
        *size = (*size).max(at + len);
        let slot = Slot { place: Place::Arena(at), dtype, len };
        self.slots[usize::from(output.id)] = Some(slot);
        self.alive.push(usize::from(output.id));
        let source = self.values.root[usize::from(group.first.input.id)];
        self.unread[source] = self.unread[source].saturating_sub(1);
        let (unread, is_output) = (&self.unread, &self.values.is_output);
        self.alive.retain(|&root| unread[root] > 0 || is_output[root]);
        slot
    }
}

/// Makes a group's op: expands its weights and chooses its kernels.
fn make_op(group: &GroupShape<'_>, isa: Isa) -> Result<Op, Error> {
    let step = &group.first;
    let (input, output) = (&step.input.ty, &step.output.ty);
    let rank = || Error::Unsupported { node: step.index, what: "a tensor whose rank is not 4" };
    let packing = |source: PackingError| Error::Weights { node: step.index, source };
    let params = |ty: &TensorType| {
        let what = "integers without a scale";
        ty.quantization.ok_or(Error::Unsupported { node: step.index, what })
    };
    match &step.op {
        read::Op::Conv2d(op) => {
            let quantization = Quantization::of(input, output);
            let kernels = isa.kernels();
            let conv = conv2d::Conv2d::new(kernels, op, input.shape, output.shape, quantization);
            let mut conv = conv.map_err(packing)?.ok_or_else(rank)?;
            if let Some(Step { op: read::Op::MaxPool2d(op), input, output, .. }) = &group.pool {
                conv.fuse(MaxPool2d::new(op, input.ty.shape, output.ty.shape).ok_or_else(rank)?);
            }
            Ok(Op::Conv2d(Box::new(conv)))
        }
        read::Op::FullyConnected(op) => {
            let quantization = Quantization::of(input, output);
            let op = fully_connected::FullyConnected::new(op, quantization).map_err(packing)?;
            Ok(Op::FullyConnected(op))
        }
        read::Op::MaxPool2d(op) => {
            MaxPool2d::new(op, input.shape, output.shape).map(Op::MaxPool2d).ok_or_else(rank)
        }
        read::Op::Quantize => params(output).map(Op::Quantize),
        read::Op::Dequantize => params(input).map(Op::Dequantize),
        // `group` has left them out: they share their input's memory.
        read::Op::Reshape(_) => Err(Error::Unsupported { node: step.index, what: "a reshape" }),
    }
}
