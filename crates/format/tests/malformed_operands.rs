//! Values, constants, pads and axes of which the shapes do not go together, and integers without a rule: files that are sound in
//! layout and have their hash. Fields, counts and types are in `malformed_ops.rs`.
#![cfg(feature = "write")]

mod common;

use common::joined::of_two;
use common::nodes::{joined, open, operand, plain, target};
use common::raw::{self, Raw};
use penjing_format::write::{Model, Node, Op, PackingChoice, WriteError};
use penjing_format::{DataType, Error, ShapeError};

#[test]
fn shapes_that_do_not_go_together_are_named() {
    for elements in [2, 4, 5, 23, 25, u32::MAX] {
        let mut raw = operand(raw::ADD, &[2, 4, 3], 1);
        raw.weights().out_channels = elements;
        let words = "expected 1, a channel's or a sample's elements";
        refuses!(raw, Error::Shape { source: ShapeError::Operand { .. }, .. }, words);
    }
    let mut none = operand(raw::MUL, &[2, 4, 3], 1);
    none.weights().out_channels = 0;
    refuses!(none, Error::Missing { .. }, "weights.out_channels: missing");
    let mut short = operand(raw::MUL, &[2, 4, 3], 24);
    short.weights().values = Some(vec![1; 23]);
    refuses!(short, Error::Packing { .. }, "node 0 (mul), weights");
    for shape in [&[2][..], &[4, 4], &[1, 4, 4, 1]] {
        let rank = plain(raw::MEAN, shape, false);
        refuses!(
            rank,
            Error::Shape { source: ShapeError::Rank { .. }, .. },
            "expected 4 dimensions"
        );
        let rank = plain(raw::AVERAGE_POOL_2D, shape, false);
        refuses!(
            rank,
            Error::Shape { source: ShapeError::Rank { .. }, .. },
            "expected 4 dimensions"
        );
    }
    let mut large = plain(raw::AVERAGE_POOL_2D, &[4, 4, 1], false);
    large.window = Some([5, 1, 1]);
    refuses!(large, Error::Shape { source: ShapeError::WindowTooLarge { .. }, .. }, "5 elements");
    let batch = plain(raw::SOFTMAX, &[], true);
    refuses!(batch, Error::Shape { source: ShapeError::NoAxis { .. }, .. }, "beside the batch");
}

#[test]
fn pads_that_fit_no_input_are_named() {
    let pad = |pads: &[i32]| target(raw::PAD, &[4, 6, 3], pads);
    let mut none = pad(&[]);
    none.target = None;
    refuses!(none, Error::Missing { .. }, "node 0 (pad), target: missing");
    refuses!(pad(&[0; 5]), Error::Count { found: 5, .. }, "target");
    refuses!(pad(&[0; 12]), Error::Count { expected: 10, found: 12, .. }, "target");
    refuses!(
        pad(&[0, 1, -1, 0, 0, 0]),
        Error::Number { index: 2, .. },
        "must be at least 0, found -1"
    );
    refuses!(pad(&[0, 0, 0, 0, 0, i32::MIN]), Error::Number { index: 5, .. }, "target");
    for pads in [&[][..], &[0; 2], &[0; 4], &[0; 8], &[0; 10]] {
        refuses!(pad(pads), Error::Shape { source: ShapeError::Pads { .. }, .. }, "but the batch");
    }
    // Of one dimension, and of all.
    let most = i32::MAX;
    let overflow = pad(&[most, most, 0, 0, 0, 0]);
    refuses!(
        overflow,
        Error::Shape { source: ShapeError::Overflow, .. },
        "more elements than a u32"
    );
    let overflow = pad(&[most, 0, most, 0, 0, 0]);
    refuses!(
        overflow,
        Error::Shape { source: ShapeError::Overflow, .. },
        "more elements than a u32"
    );
}

#[test]
fn axes_that_are_none_are_named() {
    let concat = |axis: &[i32]| target(raw::CONCAT, &[4, 6, 3], axis);
    for found in [0, 2] {
        refuses!(concat(&[0; 2][..found]), Error::Count { expected: 1, .. }, "target");
    }
    for axis in [-1, i32::MIN] {
        refuses!(concat(&[axis]), Error::Number { index: 0, .. }, "must be at least 0");
    }
    for axis in [3, i32::MAX] {
        refuses!(
            concat(&[axis]),
            Error::Shape { source: ShapeError::Axis { .. }, .. },
            "after the batch"
        );
    }
    let scalar = joined(raw::CONCAT, &[], &[0, 0]);
    refuses!(scalar, Error::Shape { source: ShapeError::Axis { .. }, .. }, "after the batch");
    let long = joined(raw::CONCAT, &[1 << 31], &[0, 0]);
    refuses!(long, Error::Shape { source: ShapeError::Overflow, .. }, "more elements");
}

/// Inputs that differ, which takes two of them.
#[test]
fn values_that_do_not_go_together_are_named() {
    let refusal = |op: Op, alter: &dyn Fn(&mut Model)| {
        let mut model = common::joined::joined_int8();
        model.nodes.truncate(4);
        model.outputs = vec![];
        model.nodes[3] = Node { op, ..model.nodes[3].clone() };
        alter(&mut model);
        match model.to_bytes(PackingChoice::Auto) {
            Err(WriteError::Invalid(error)) => error,
            other => panic!("expected a refusal, found {:?}", other.map(|bytes| bytes.len())),
        }
    };
    let add = || Op::Add(of_two(penjing_format::Activation::None));
    let concat = |axis| Op::Concat(penjing_format::Concat { axis });
    let vector = |shape: &[u32]| {
        let shape = penjing_format::Shape::new(shape);
        move |model: &mut Model| model.inputs[1].shape = shape
    };
    for shape in [&[1, 2][..], &[1, 1, 1, 3], &[1, 4, 2, 1], &[1, 1, 1, 1, 2]] {
        let error = refusal(add(), &vector(shape));
        let Error::Shape { source: ShapeError::Broadcast { .. }, .. } = error else {
            panic!("{error}")
        };
    }
    for (axis, shape) in [(3, &[1, 4, 2, 2][..]), (2, &[1, 4, 3, 1]), (3, &[1, 4, 6])] {
        let same = |model: &mut Model| {
            vector(shape)(model);
            model.inputs[1].quantization = model.inputs[0].quantization;
        };
        let error = refusal(concat(axis), &same);
        let Error::Shape { source: ShapeError::Concat { .. }, .. } = error else {
            panic!("{error}")
        };
    }
    let error = refusal(concat(3), &vector(&[1, 4, 3, 1]));
    assert!(matches!(error, Error::Quantization { .. }), "{error:?}");
    assert!(error.to_string().contains("one type and quantization of all inputs"), "{error}");
    let real = |model: &mut Model| {
        (model.inputs[1].dtype, model.inputs[1].quantization) = (Some(DataType::F32), None);
    };
    let error = refusal(add(), &real);
    assert!(error.to_string().contains("node 3 (add), inputs: expected i8, found f32"), "{error}");
    let error = refusal(concat(3), &real);
    assert!(matches!(error, Error::Quantization { .. }), "{error:?}");
}

/// At each end of what the rules of docs/numerics.md are defined for, and just past it.
#[test]
fn ratios_of_scales_without_a_rule_are_named() {
    let with = |mut raw: Raw, input: f32, output: f32| {
        (raw.input_scale, raw.value.1) = (input, output);
        open(&raw).map(|_| ())
    };
    let number = |found: Result<(), Error>, field: &str| {
        let Err(Error::Number { place, index: 0, .. }) = found else { panic!("{found:?}") };
        assert_eq!(place.field, field);
    };
    let below = |x: f32| f32::from_bits(x.to_bits() - 1);
    let above = |x: f32| f32::from_bits(x.to_bits() + 1);
    let sum = || joined(raw::ADD, &[2], &[0, 0]);
    for ratio in [1.0 / 1024.0, 1.0, below(256.0)] {
        assert_eq!(with(sum(), ratio, 1.0), Ok(()));
    }
    for ratio in [below(1.0 / 1024.0), 256.0, 1e30] {
        number(with(sum(), ratio, 1.0), "scale");
    }
    number(with(sum(), 1e30, 1e-30), "scale");
    // The larger operand counts, whichever it is.
    let constant = |scale: f32| {
        let mut raw = operand(raw::ADD, &[2], 1);
        raw.weights().scale = vec![scale];
        raw
    };
    assert_eq!(with(constant(1e-30), 0.5, 1.0), Ok(()));
    assert_eq!(with(constant(0.5), 1e-30, 1.0), Ok(()));
    number(with(constant(256.0), 0.5, 1.0), "scale");
    number(with(constant(1e-30), 1e-30, 1.0), "scale");
    let codes = || plain(raw::QUANTIZE, &[2], true);
    for ratio in [1.0 / 256.0, 1.0, 128.0] {
        assert_eq!(with(codes(), ratio, 1.0), Ok(()));
    }
    for ratio in [below(1.0 / 256.0), above(128.0), 1e30] {
        number(with(codes(), ratio, 1.0), "scale");
    }
    let clamp = || Raw { activation: 1, ..plain(raw::RELU, &[2], true) };
    for ratio in [1.0 / 256.0, 1.0, 128.0] {
        assert_eq!(with(clamp(), ratio, 1.0), Ok(()));
    }
    for ratio in [below(1.0 / 256.0), above(128.0)] {
        number(with(clamp(), ratio, 1.0), "scale");
    }
    let product = || joined(raw::MUL, &[2], &[0, 0]);
    assert_eq!(with(product(), 1e-10, 1e-25), Ok(()));
    for (input, output) in [(1e30, 1.0), (1e-30, 1.0), (1e10, 1e-30)] {
        number(with(product(), input, output), "scale");
    }
    let mean = || plain(raw::MEAN, &[4, 4, 1], true);
    assert_eq!(with(mean(), 1e-10, 1e10), Ok(()));
    for (input, output) in [(1e30, 1e-30), (1e-30, 1e30)] {
        number(with(mean(), input, output), "scale");
    }
}

#[test]
fn numbers_of_a_constant_operand_are_named() {
    for op in [raw::ADD, raw::MUL] {
        for zero_point in [-129, 128, i16::MAX, i16::MIN] {
            let mut raw = operand(op, &[2], 1);
            raw.weights().zero_point = zero_point;
            refuses!(raw, Error::ZeroPoint { expected: (-128, 127), .. }, "weights.zero_point");
        }
        for found in [-0.5, 0.0, f32::NAN, f32::INFINITY] {
            let mut raw = operand(op, &[2], 1);
            raw.weights().scale = vec![found];
            refuses!(raw, Error::Number { index: 0, .. }, "weights.scale");
        }
        let mut raw = operand(op, &[2], 2);
        raw.weights().scale = vec![0.5; 2];
        refuses!(raw, Error::Count { expected: 1, found: 2, .. }, "weights.scale");
        let mut raw = operand(op, &[2], 1);
        (raw.input_dtype, raw.input_scale, raw.value) = (raw::F32, 0.0, (0, 0.0, 0));
        raw.weights().scale.clear();
        raw.weights().values = Some(f32::NAN.to_le_bytes().into());
        refuses!(raw, Error::Packing { .. }, "weights");
    }
}

/// 256 times the elements of a mean must fit an i32: of an image, or of the part of a window that can lie in it.
#[test]
fn sums_of_a_mean_that_could_leave_int32_are_named() {
    let mean = |h, w| open(&plain(raw::MEAN, &[h, w, 1], false)).map(|_| ());
    assert_eq!(mean(2047, 4098), Ok(()));
    refuses!(
        plain(raw::MEAN, &[2048, 4096, 1], false),
        Error::Accumulator { worst: 0x8000_0000, .. },
        "inputs"
    );
    let real = Raw {
        input_dtype: raw::F32,
        input_scale: 0.0,
        ..plain(raw::MEAN, &[2048, 4096, 1], false)
    };
    assert!(open(&real).is_ok());
    let pool = |h: u16, w: u16, shape: &[u32]| Raw {
        window: Some([h, w, 1]),
        ..plain(raw::AVERAGE_POOL_2D, shape, false)
    };
    assert!(open(&pool(2047, 4098, &[5000, 5000, 1])).is_ok());
    refuses!(pool(2048, 4096, &[5000, 5000, 1]), Error::Accumulator { .. }, "window");
}
