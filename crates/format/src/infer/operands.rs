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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_one_a_channels_or_a_samples_elements() {
        let input = Shape::from([7, 4, 6, 3]);
        assert_eq!(operand(input, 1), Ok([1].into()));
        assert_eq!(operand(input, 3), Ok([3].into()));
        assert_eq!(operand(input, 72), Ok([1, 4, 6, 3].into()));
        for found in [0, 2, 4, 6, 24, 504] {
            assert_eq!(operand(input, found), Err(ShapeError::Operand { input, found }));
        }
        // Of a vector both are one; of a single element all three.
        assert_eq!(operand([7, 5].into(), 5), Ok([5].into()));
        assert_eq!(operand([7, 1, 1].into(), 1), Ok([1].into()));
        assert_eq!(operand([7].into(), 1), Ok([1].into()));
        assert!(matches!(operand(Shape::default(), 1), Err(ShapeError::NoAxis { .. })));
    }

    #[test]
    fn dimensions_of_1_are_stretched_on_either_side() {
        let image = Shape::from([7, 4, 6, 3]);
        for (second, expected) in [
            ([7, 4, 6, 3], Some([7, 4, 6, 3])),
            ([7, 1, 1, 3], Some([7, 4, 6, 3])),
            ([7, 4, 6, 1], Some([7, 4, 6, 3])),
            ([7, 2, 6, 3], None),
            // A batch is no dimension to stretch.
            ([1, 4, 6, 3], None),
        ] {
            let second = Shape::from(second);
            let expected = expected.map(Shape::from);
            assert_eq!(add_mul(image, second).ok(), expected);
            assert_eq!(add_mul(second, image).ok(), expected);
        }
        assert_eq!(add_mul([7, 4, 1].into(), [7, 1, 5].into()), Ok([7, 4, 5].into()));
        assert!(add_mul(image, [7, 3].into()).is_err());
        let (tall, wide) = ([1, 65_536, 1].into(), [1, 1, 65_536].into());
        assert_eq!(add_mul(tall, wide), Err(ShapeError::Overflow));
    }

    #[test]
    fn values_lie_side_by_side_along_one_axis() {
        let of = |dims: [u32; 3]| Shape::from(dims);
        let three = [of([7, 2, 3]), of([7, 2, 1]), of([7, 2, 5])];
        assert_eq!(concat(2, three), Ok(of([7, 2, 9])));
        assert_eq!(concat(1, [three[0], of([7, 4, 3])]), Ok(of([7, 6, 3])));
        assert_eq!(concat(1, [three[0]]), Ok(three[0]));
        assert!(matches!(concat(1, three), Err(ShapeError::Concat { .. })));
        let fewer = Shape::from([7, 2]);
        assert!(matches!(concat(2, [three[0], fewer]), Err(ShapeError::Concat { .. })));
        assert!(matches!(concat(2, [fewer, three[0]]), Err(ShapeError::Axis { .. })));
        for axis in [0, 3, u32::MAX] {
            assert!(matches!(concat(axis, three), Err(ShapeError::Axis { .. })));
        }
        assert_eq!(concat(1, []), Err(ShapeError::Zero { of: "inputs" }));
        let half = Shape::from([1, 1 << 31]);
        assert_eq!(concat(1, [half, half]), Err(ShapeError::Overflow));
    }

    #[test]
    fn padding_grows_every_dimension_but_the_batch() {
        let pads = |pairs: &[[u32; 2]]| Pads::from_pairs(pairs.iter().copied()).expect("few");
        let input = Shape::from([7, 4, 6, 3]);
        assert_eq!(pad(input, pads(&[[1, 2], [0, 0], [0, 5]])), Ok([7, 7, 6, 8].into()));
        for found in [0, 2, 4, 5] {
            let error = ShapeError::Pads { input, found };
            assert_eq!(pad(input, pads(&[[0; 2]; 5][..found])), Err(error));
        }
        let most = u32::MAX;
        assert_eq!(pad([1, 1].into(), pads(&[[most, 0]])), Err(ShapeError::Overflow));
        assert_eq!(pad([1, 1].into(), pads(&[[most, most]])), Err(ShapeError::Overflow));
        assert_eq!(pad([1, 2, 2].into(), pads(&[[1 << 30; 2]; 2])), Err(ShapeError::Overflow));
        assert_eq!(Pads::from_pairs([[0; 2]; 6]), None);
    }
}
