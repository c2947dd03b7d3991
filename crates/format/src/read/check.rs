//! Whether a file whose layout is sound also means something: versions, numbers, types, constants, labels. `walk` infers the
//! types and refuses what does not go together; here is the rest.

use super::numbers;
use super::ops::{Constant, Op};
use super::types::check_type;
use super::view::{ModelView, Normalization, not_positive, positive};
use super::walk::{Step, TensorType};
use crate::attributes::ChannelAxis;
use crate::dtype::DataType;
use crate::error::{Error, Owner, Place};
use crate::packing::{Element, Layout, Packed, Row};
use crate::shape::Shape;
use penjing_quant::{QuantParams, Requantize};

/// The largest distance of a code from its zero point where an f32 input is quantized as it comes: both are from 0 to 255.
const DYNAMIC_REACH: u64 = 255;

/// Values are numbered by u16.
const MAX_VALUES: usize = u16::MAX as usize;

/// What becomes of entropy-coded weights.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CodedWeights {
    /// The file is refused.
    Refused,
    /// Their elements are not looked at.
    PassedOver,
}

/// Checks all of `model`, whose layout is sound.
pub(super) fn model(model: ModelView<'_>, coded: CodedWeights) -> Result<(), Error> {
    counts(&model)?;
    for index in 0..model.n_inputs() {
        check_type(model.input_type(index)?, Owner::Input(index))?;
    }
    let mut last = None;
    for step in model.walk() {
        let step = step?;
        constants(&step, coded)?;
        numbers::check(&step)?;
        last = Some(step.output.ty);
    }
    let first_output = outputs(&model, last)?;
    if let (Some(labels), Some(ty)) = (model.labels(), first_output) {
        let classes = ty.shape.last().and_then(|last| usize::try_from(last).ok()).unwrap_or(0);
        let found = labels.iter().count();
        if found != classes {
            let place = Owner::Model.field("labels");
            return Err(Error::Count { place, expected: classes, found });
        }
    }
    match model.normalization() {
        Some(numbers) => normalization(numbers, model.input_type(0)?.shape),
        None => Ok(()),
    }
}

fn counts(model: &ModelView<'_>) -> Result<(), Error> {
    for (count, field) in [(model.n_inputs(), "inputs"), (model.n_nodes(), "nodes")] {
        if count == 0 {
            return Err(Error::Missing { place: Owner::Model.field(field) });
        }
    }
    if model.n_values() > MAX_VALUES {
        let place = Owner::Model.field("nodes");
        return Err(Error::Count { place, expected: MAX_VALUES, found: model.n_values() });
    }
    Ok(())
}

/// Returns the first output's type; `last` is the last value's.
fn outputs(model: &ModelView<'_>, last: Option<TensorType>) -> Result<Option<TensorType>, Error> {
    let place = Owner::Model.field("outputs");
    if model.has_outputs() && model.outputs().len() == 0 {
        return Err(Error::Count { place, expected: 1, found: 0 });
    }
    let mut first = None;
    for id in model.outputs() {
        let (limit, found) = (model.n_values(), usize::from(id));
        if found >= limit {
            return Err(Error::ValueId { place, limit, found });
        }
        let is_last = found.checked_add(1) == Some(limit);
        let ty = if is_last { last } else { Some(model.require_type(id, place)?) };
        first = first.or(ty);
    }
    Ok(first)
}

fn normalization(numbers: Normalization<'_>, input: Shape) -> Result<(), Error> {
    let channels = input.last().and_then(|last| usize::try_from(last).ok()).unwrap_or(0);
    let fields = [(numbers.mean, "normalization.mean"), (numbers.std, "normalization.std")];
    for (vector, field) in fields {
        let place = Owner::Model.field(field);
        if vector.len() != 1 && vector.len() != channels {
            return Err(Error::Count { place, expected: channels, found: vector.len() });
        }
        for (index, found) in vector.iter().enumerate() {
            if field == "normalization.std" {
                positive(found).ok_or(not_positive(place, index, found))?;
            } else if !found.is_finite() {
                return Err(Error::Number { place, index, expected: "finite", found });
            }
        }
    }
    Ok(())
}

/// Weights and bias of a node, if it has them. The walk has seen that the shapes and the weights' type fit the input.
fn constants(step: &Step<'_>, coded: CodedWeights) -> Result<(), Error> {
    let owner = Owner::Node(step.index, step.op.name());
    let Some((weights, bias)) = step.op.constants() else { return Ok(()) };
    let axis = step.op.channel_axis().unwrap_or(ChannelAxis::First);
    match (weights.packed.layout(), coded) {
        (Layout::Coded(_), CodedWeights::Refused) => {
            return Err(Error::Coded { place: owner.field("weights.packing") });
        }
        // What is not decoded has nothing stored, here and in the sums below.
        (Layout::Coded(_), CodedWeights::PassedOver) => {}
        _ => elements(&weights, owner.field("weights"))?,
    }
    if let Some(bias) = bias {
        elements(&bias, owner.field("bias"))?;
    }
    if weights.dtype == DataType::F32 || matches!(step.op, Op::Add(_) | Op::Mul(_)) {
        return Ok(());
    }
    if step.input.ty.dtype == DataType::F32 {
        scales((&weights, axis), None, owner)?;
        return accumulators((&weights, axis), None, DYNAMIC_REACH, owner);
    }
    let (Some(input), Some(output)) = (step.input.ty.quantization, step.output.ty.quantization)
    else {
        return Err(Error::Missing { place: owner.field("scale") });
    };
    scales((&weights, axis), Some([input.scale, output.scale]), owner)?;
    let reach = reach(step.input.ty.dtype, input);
    accumulators((&weights, axis), bias, reach, owner)
}

fn elements(constant: &Constant<'_>, place: Place) -> Result<(), Error> {
    constant.packed.check_elements().map_err(|source| Error::Packing { place, source })
}

/// One scale for the tensor or one a channel, each positive, with a requantization multiplier that f32 holds where integers come
/// out, given the scales of input and output.
fn scales(
    (weights, axis): (&Constant<'_>, ChannelAxis),
    grids: Option<[f32; 2]>,
    owner: Owner,
) -> Result<(), Error> {
    let place = owner.field("weights.scale");
    let channels = channels(weights, axis);
    let stated = weights.scales.len();
    if stated != 1 && stated != channels {
        return Err(Error::Count { place, expected: channels, found: stated });
    }
    for index in 0..stated {
        let found = weights.scales.get(index);
        positive(found).ok_or(not_positive(place, index, found))?;
        let Some([input, output]) = grids else { continue };
        let found = Requantize::to_i8(input, found, output, 0, [-128, 127]).multiplier;
        let expected = "such that input scale * weight scale / output scale is finite and positive";
        positive(found).ok_or(Error::Number { place, index, expected, found })?;
    }
    Ok(())
}

fn channels(weights: &Constant<'_>, axis: ChannelAxis) -> usize {
    axis.channels(weights.shape).and_then(|channels| usize::try_from(channels).ok()).unwrap_or(0)
}

/// The largest distance of an activation from its zero point.
fn reach(dtype: DataType, params: QuantParams) -> u64 {
    let (min, max) = dtype.integer_range().unwrap_or((0, 0));
    u64::from(params.zero_point.abs_diff(min).max(params.zero_point.abs_diff(max)))
}

/// For each output channel, `reach * sum |w| + |bias|` must fit an i32.
fn accumulators(
    (weights, axis): (&Constant<'_>, ChannelAxis),
    bias: Option<Constant<'_>>,
    reach: u64,
    owner: Owner,
) -> Result<(), Error> {
    let place = owner.field("weights");
    let biases = |packed| Biases::of(packed).ok_or(Error::Missing { place });
    let biases = bias.map(|bias| biases(bias.packed)).transpose()?;
    let limits = Limits { reach, place, biases, channels: channels(weights, axis) };
    match axis {
        ChannelAxis::First => {
            let row_len = axis.row_len(weights.shape).unwrap_or(0);
            limits.hold(weights.packed.row_magnitudes(row_len))
        }
        ChannelAxis::Last => {
            // A few bytes can state billions of channels. Those after the last stored weight have nothing to add up.
            let mut left = weights.packed.magnitude();
            let sums = weights.packed.column_magnitudes(limits.channels).enumerate();
            limits.hold(sums.take_while(|&(_, sum)| {
                let some = left > 0;
                left = left.saturating_sub(sum);
                some
            }))
        }
    }
}

/// What the sums of a node's channels must keep to.
struct Limits<'a> {
    reach: u64,
    place: Place,
    biases: Option<Biases<'a>>,
    channels: usize,
}

impl Limits<'_> {
    /// `sums` are of channels, ascending; those left out are 0.
    fn hold(self, mut sums: impl Iterator<Item = (usize, u64)>) -> Result<(), Error> {
        let (reach, place) = (self.reach, self.place);
        let fits = |channel, sum: u64, bias| {
            let worst = sum.saturating_mul(reach).saturating_add(bias);
            if worst > u64::from(i32::MAX.unsigned_abs()) {
                return Err(Error::Accumulator { place, channel, worst });
            }
            Ok(())
        };
        let Some(mut biases) = self.biases else {
            return sums.try_for_each(|(channel, sum)| fits(channel, sum, 0));
        };
        // Every channel has a bias, of bytes of its own.
        let mut next = sums.next();
        for channel in 0..self.channels {
            let sum = match next {
                Some((own, sum)) if own == channel => {
                    next = sums.next();
                    sum
                }
                _ => 0,
            };
            fits(channel, sum, biases.magnitude(channel))?;
        }
        Ok(())
    }
}

/// A walk over integer biases of any width.
enum Biases<'a> {
    I8(Row<'a, i8>),
    I16(Row<'a, i16>),
    I32(Row<'a, i32>),
}

impl<'a> Biases<'a> {
    fn of(packed: Packed<'a>) -> Option<Self> {
        let len = packed.elements();
        match packed.dtype() {
            DataType::I8 => packed.row(0, len).map(Biases::I8),
            DataType::I16 => packed.row(0, len).map(Biases::I16),
            DataType::I32 => packed.row(0, len).map(Biases::I32),
            DataType::F32 | DataType::U8 => None,
        }
    }

    /// `|bias|` of a channel; channels must ascend.
    fn magnitude(&mut self, channel: usize) -> u64 {
        fn take<T: Element + Into<i64>>(row: &mut Row<'_, T>, channel: usize) -> u64 {
            let value = u32::try_from(channel).ok().and_then(|channel| row.at(channel));
            value.map_or(0, |value| value.into().unsigned_abs())
        }
        match self {
            Biases::I8(row) => take(row, channel),
            Biases::I16(row) => take(row, channel),
            Biases::I32(row) => take(row, channel),
        }
    }
}
