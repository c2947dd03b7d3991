//! Shapes in 32 bits against `penjing_format::infer`, whose rules they are: at random, and at the ends of every field.

use super::*;
use crate::in_place::moves::padded;
use penjing_format::{Padding, Pads, ReshapeTarget, Shape, infer};
use proptest::prelude::*;

/// Fewer elements than which a value must have here.
const LIMIT: usize = 1 << 28;

fn ty(dims: &[u32]) -> Ty {
    let (dims, rank) = ty::dims(dims.iter().copied()).unwrap();
    let (dtype, zero_point, scale) = (DataType::I8, 3, 0.5);
    Ty { dims, rank, dtype, zero_point, scale }
}

fn shape(dims: &[u32]) -> Shape {
    Shape::from_dims([1].into_iter().chain(dims.iter().copied())).unwrap()
}

/// What is inferred, where a session in place takes it: dimensions of a sample.
fn wanted<E>(inferred: Result<Shape, E>) -> Option<Vec<u32>> {
    let shape = inferred.ok().filter(|shape| shape.rank() <= 4)?;
    let few = shape.elements().is_some_and(|elements| elements < LIMIT);
    few.then(|| shape.dims()[1..].to_vec())
}

fn found(ty: Option<Ty>) -> Option<Vec<u32>> {
    let ty = ty?.checked().ok()?;
    Some(ty.dims[3 - usize::from(ty.rank)..].to_vec())
}

/// Small numbers often, and those at the ends of a u16.
fn number() -> impl Strategy<Value = u16> + Clone {
    prop_oneof![
        6 => 0..6_u16,
        1 => prop_oneof![Just(255_u16), Just(32_768), Just(65_534), Just(65_535)],
        1 => any::<u16>(),
    ]
}

/// Small dimensions often, and huge ones.
fn dim() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![
        6 => 1..12_u32,
        1 => prop_oneof![Just(1_u32 << 14), Just((1 << 27) + 1), Just(1 << 28), Just(u32::MAX)],
        1 => any::<u32>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn windows(
        (h, w, depth) in (dim(), dim(), 1..5_u32),
        channels in dim(),
        size in [number(), number()],
        stride in [number(), number()],
        dilation in [number(), number()],
        pads in [number(), number(), number(), number()],
    ) {
        let (input, [top, bottom, left, right]) = ([h, w, depth], pads);
        let window = Window {
            size,
            stride,
            dilation,
            before: [top, left],
            after: [bottom, right],
        };
        let padding = Padding {
            top: top.into(),
            bottom: bottom.into(),
            left: left.into(),
            right: right.into(),
        };
        let [wide, steps, apart] = [size, stride, dilation].map(|pair| pair.map(u32::from));
        let weights = Shape::from([channels, wide[0], wide[1], input[2]]);
        let sound = ty(&input).checked().is_ok();
        let conv = infer::conv2d(shape(&input), weights, steps, apart, padding);
        let over = window.over(&ty(&input), channels);
        prop_assert_eq!(found(over).filter(|_| sound), wanted(conv).filter(|_| sound));
        let pool = infer::max_pool2d(shape(&input), wide, steps, padding);
        let over = Window { dilation: [1; 2], ..window }.over(&ty(&input), input[2]);
        let over = over.filter(|_| window.sees());
        prop_assert_eq!(found(over).filter(|_| sound), wanted(pool).filter(|_| sound));
        // A window is over height and width.
        prop_assert_eq!(window.over(&ty(&input[..2]), channels), None);
    }

    #[test]
    fn reshapes(
        input in proptest::collection::vec(1..9_u32, 1..4),
        target in proptest::collection::vec(prop_oneof![
            4 => 1..9_i32,
            2 => Just(-1),
            1 => prop_oneof![Just(0), Just(-2), Just(i32::MAX), Just(i32::MIN)],
        ], 1..5),
        whole: bool,
    ) {
        let mut target = target;
        if whole {
            // The last dimension as the rest of the elements, so that some fit.
            let elements: i128 = input.iter().copied().map(i128::from).product();
            let others = target.iter().rev().skip(1);
            let others: i128 = others.map(|&dim| i128::from(dim).max(1)).product();
            let rest = elements.checked_div(others).filter(|rest| rest * others == elements);
            *target.last_mut().unwrap() = rest.map_or(1, |rest| rest as i32);
        }
        let stated = ReshapeTarget::from_dims([1].into_iter().chain(target.iter().copied()));
        let inferred = stated.map(|target| infer::reshape(shape(&input), target));
        let bytes: Vec<u8> = target.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        let want = inferred.and_then(wanted);
        let made = found(reshape(&ty(&input), Some(&bytes)).ok());
        // Several open dimensions are all 1, where the whole check takes none.
        if target.iter().filter(|&&dim| dim == -1).count() > 1 {
            prop_assert_eq!(want, None);
        } else {
            prop_assert_eq!(made, want);
        }
        let flat = found(reshape(&ty(&input), None).ok());
        prop_assert_eq!(flat, wanted(infer::reshape(shape(&input), ReshapeTarget::FLATTEN)));
    }

    #[test]
    fn pads(
        input in proptest::collection::vec(dim(), 1..4),
        pads in proptest::collection::vec([dim(), dim()], 1..4),
        alike: bool,
    ) {
        let mut pads = pads;
        if alike {
            pads.resize(input.len(), [1, 2]);
        }
        let sound = ty(&input).checked().is_ok();
        // Numbers of the file are signed, and negative ones refused.
        let all = pads.iter().flatten().all(|&pad| i32::try_from(pad).is_ok());
        let inferred = infer::pad(shape(&input), Pads::from_pairs(pads.iter().copied()).unwrap());
        let bytes: Vec<u8> = pads.iter().flatten().flat_map(|pad| pad.to_le_bytes()).collect();
        let made = found(padded(&ty(&input), Some(&bytes)).ok());
        prop_assert_eq!(made.filter(|_| sound), wanted(inferred).filter(|_| sound && all));
    }
}
