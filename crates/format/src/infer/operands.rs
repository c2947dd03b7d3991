//! Shapes of ops with several operands, and of padding. Windows and weights are the module's above.

use super::{ShapeError, checked, elements};
use crate::attributes::Pads;
use crate::shape::{MAX_RANK, Shape};

/// What one element of a constant operand is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperandExtent {
    /// All elements: the operand has one.
    One,
    /// Those of one channel, the input's last dimension.
    Channel,
    /// One element of each sample.
    Element,
}

impl OperandExtent {
    /// By an input's shape and the operand's elements; where these say several things, the first of the enum.
    pub fn of(input: Shape, found: u32) -> Result<Self, ShapeError> {
        let [_, sample @ ..] = input.dims() else {
            return Err(ShapeError::NoAxis { found: input });
        };
        let channels = sample.last().copied().unwrap_or(1);
        match found {
            1 => Ok(Self::One),
            _ if found == channels => Ok(Self::Channel),
            _ if elements(sample.iter().copied()) == Ok(found) => Ok(Self::Element),
            _ => Err(ShapeError::Operand { input, found }),
        }
    }
}

/// The shape of a constant operand of so many elements: `[1]`, `[C]` or the input's with batch 1.
pub fn operand(input: Shape, found: u32) -> Result<Shape, ShapeError> {
    match OperandExtent::of(input, found)? {
        OperandExtent::One => Ok([1].into()),
        OperandExtent::Channel => Ok([found].into()),
        OperandExtent::Element => {
            let dims = core::iter::once(1).chain(input.dims().iter().skip(1).copied());
            Shape::from_dims(dims).ok_or(ShapeError::Operand { input, found })
        }
    }
}

/// Of two values: as many dimensions, each equal or 1 on one side, the batch equal.
pub fn add_mul(first: Shape, second: Shape) -> Result<Shape, ShapeError> {
    let error = ShapeError::Broadcast { first, second };
    if first.rank() != second.rank() || first.first() != second.first() {
        return Err(error);
    }
    let mut dims = [0; MAX_RANK];
    for (dim, pair) in dims.iter_mut().zip(first.dims().iter().zip(second.dims())) {
        *dim = match pair {
            (&a, &b) if a == b || b == 1 => a,
            (1, &b) => b,
            _ => return Err(error),
        };
    }
    checked(Shape::from_dims(dims.into_iter().take(first.rank())).ok_or(error)?)
}

/// Values side by side along `axis`, the batch being 0 and none of them.
pub fn concat(axis: u32, inputs: impl IntoIterator<Item = Shape>) -> Result<Shape, ShapeError> {
    let mut inputs = inputs.into_iter();
    let Some(first) = inputs.next() else { return Err(ShapeError::Zero { of: "inputs" }) };
    let along = usize::try_from(axis).unwrap_or(usize::MAX);
    let none = ShapeError::Axis { axis, input: first };
    let own = *first.dims().get(along).filter(|_| along > 0).ok_or(none)?;
    let mut sum = own;
    for found in inputs {
        let error = ShapeError::Concat { axis, first, found };
        let pairs = first.dims().iter().zip(found.dims()).enumerate();
        let differ = pairs.into_iter().any(|(index, (a, b))| index != along && a != b);
        if differ || first.rank() != found.rank() {
            return Err(error);
        }
        let more = *found.dims().get(along).ok_or(error)?;
        sum = sum.checked_add(more).ok_or(ShapeError::Overflow)?;
    }
    let dims = first.dims().iter().enumerate();
    let dims = dims.map(|(index, &dim)| if index == along { sum } else { dim });
    checked(Shape::from_dims(dims).ok_or(none)?)
}

/// The input with so many elements more before and after each dimension but the batch.
pub fn pad(input: Shape, pads: Pads) -> Result<Shape, ShapeError> {
    let error = ShapeError::Pads { input, found: pads.pairs().len() };
    let [batch, sample @ ..] = input.dims() else { return Err(error) };
    if sample.len() != pads.pairs().len() {
        return Err(error);
    }
    let mut dims = [0; MAX_RANK];
    for (dim, (&own, &[before, after])) in dims.iter_mut().zip(sample.iter().zip(pads.pairs())) {
        let padded = own.checked_add(before).and_then(|sum| sum.checked_add(after));
        *dim = padded.ok_or(ShapeError::Overflow)?;
    }
    let dims = core::iter::once(*batch).chain(dims.into_iter().take(sample.len()));
    checked(Shape::from_dims(dims).ok_or(error)?)
}
