//! What a model's walk tells of its values, and which nodes become one group. It makes no op and places nothing.

use super::{format_error, image_bytes};
use crate::error::Error;
use alloc::vec;
use alloc::vec::Vec;
use penjing_format::read::{self, Step};
use penjing_format::{DataType, ModelView, TensorType};

/// The most images that a group runs on before the next group does: enough to share every load of a dense layer's weights.
const TILE_IMAGES: usize = 16;

/// What a tile's largest tensor may take, so that one group leaves its result in a near cache for the next.
const TILE_BYTES: u64 = 32 << 10;

/// What the walk tells of each value.
pub(super) struct Values {
    pub(super) inputs: Vec<TensorType>,
    pub(super) types: Vec<TensorType>,
    /// The value whose memory a value shares; itself, unless a reshape made it.
    pub(super) root: Vec<usize>,
    /// How often the memory of a root is read by nodes, reshapes aside.
    pub(super) readers: Vec<usize>,
    /// Whether a root is an output.
    pub(super) is_output: Vec<bool>,
}

impl Values {
    pub(super) fn new(
        model: &ModelView<'_>,
        steps: &[Step<'_>],
        outputs: &[u16],
    ) -> Result<Self, Error> {
        let inputs = (0..model.n_inputs())
            .map(|index| model.input_type(index))
            .collect::<Result<Vec<_>, _>>()
            .map_err(format_error)?;
        let mut types = inputs.clone();
        types.extend(steps.iter().map(|step| step.output.ty));
        let mut root: Vec<usize> = (0..types.len()).collect();
        let mut readers = vec![0; types.len()];
        for step in steps {
            if matches!(step.op, read::Op::Reshape(_)) {
                root[usize::from(step.output.id)] = root[usize::from(step.input.id)];
                continue;
            }
            for operand in step.operands() {
                readers[root[usize::from(operand.id)]] += 1;
            }
        }
        let mut is_output = vec![false; types.len()];
        for &id in outputs {
            is_output[root[usize::from(id)]] = true;
        }
        Ok(Self { inputs, types, root, readers, is_output })
    }

    /// The roots that a group reads, in order.
    pub(super) fn sources(&self, group: &GroupShape<'_>) -> Vec<usize> {
        group.first.operands().map(|operand| self.root[usize::from(operand.id)]).collect()
    }

    /// Whether `next` alone reads what `group` makes, reshaped or not, and is a dense layer.
    pub(super) fn feeds(&self, group: &GroupShape<'_>, next: &GroupShape<'_>) -> bool {
        let made = usize::from(group.last().output.id);
        matches!(next.first.op, read::Op::FullyConnected(_))
            && !is_dynamic(&next.first)
            && self.root[usize::from(next.first.input.id)] == made
            && self.readers[made] == 1
            && !self.is_output[made]
    }

    /// Splits the nodes into groups: a max-pool joins the convolution before it if nothing else reads that; reshapes vanish.
    pub(super) fn group<'a>(&self, steps: &[Step<'a>]) -> Vec<GroupShape<'a>> {
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
pub(super) fn tile_images(groups: &[GroupShape<'_>]) -> usize {
    let bytes = |group: &GroupShape<'_>| image_bytes(&group.last().output.ty);
    let largest = groups.iter().map(bytes).max().unwrap_or(0).max(1);
    usize::try_from(TILE_BYTES / largest).unwrap_or(1).clamp(1, TILE_IMAGES)
}

/// Whether a layer quantizes its input as it comes: reals over int8 weights.
pub(super) fn is_dynamic(step: &Step<'_>) -> bool {
    let layer = matches!(step.op, read::Op::Conv2d(_) | read::Op::FullyConnected(_));
    let weights = step.op.constants().filter(|_| layer && step.input.ty.dtype == DataType::F32);
    weights.is_some_and(|(weights, _)| weights.dtype == DataType::I8)
}

/// The nodes of a group.
pub(super) struct GroupShape<'a> {
    pub(super) first: Step<'a>,
    /// A max-pool that a convolution takes over.
    pub(super) pool: Option<Step<'a>>,
}

impl GroupShape<'_> {
    /// Whether the convolution may take over `pool`, which reads value `source`: no row of sums is needed twice.
    fn joins(&self, pool: &Step<'_>, source: usize) -> bool {
        let read::Op::MaxPool2d(op) = &pool.op else { return false };
        matches!(self.first.op, read::Op::Conv2d(_))
            && !is_dynamic(&self.first)
            && self.pool.is_none()
            && usize::from(self.first.output.id) == source
            && pool.input.ty.shape == self.first.output.ty.shape
            && op.stride[0] >= op.window[0]
    }

    pub(super) fn last(&self) -> &Step<'_> {
        self.pool.as_ref().unwrap_or(&self.first)
    }
}
