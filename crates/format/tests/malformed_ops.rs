//! Files that misstate an op that joins values, pools by the mean, pads or applies a function: each is sound in layout and has its
//! hash, and is wrong in one way. Shapes and numbers are in `malformed_operands.rs`, layers with weights in
//! `malformed_bytes.rs`.
#![cfg(feature = "write")]

mod common;

use common::nodes::{joined, open, operand, plain, relu, target};
use common::raw::{self, Raw, RawWeights};
use penjing_format::{DataType, Error};

#[test]
fn the_files_that_the_others_alter_are_valid() {
    let image = [4, 6, 3];
    for (raw, shape) in [
        (plain(raw::AVERAGE_POOL_2D, &image, false), &[1, 2, 3, 3][..]),
        (plain(raw::MEAN, &image, false), &[1, 3]),
        (plain(raw::MEAN, &image, true), &[1, 3]),
        (operand(raw::ADD, &image, 1), &[1, 4, 6, 3]),
        (operand(raw::MUL, &image, 3), &[1, 4, 6, 3]),
        (operand(raw::ADD, &image, 72), &[1, 4, 6, 3]),
        (joined(raw::ADD, &image, &[0, 0]), &[1, 4, 6, 3]),
        (joined(raw::MUL, &image, &[0, 0]), &[1, 4, 6, 3]),
        (joined(raw::CONCAT, &image, &[0, 0, 0]), &[1, 4, 6, 9]),
        (joined(raw::CONCAT, &image, &[0]), &[1, 4, 6, 3]),
        (target(raw::CONCAT, &image, &[0]), &[1, 4, 6, 3]),
        (target(raw::PAD, &image, &[1, 0, 0, 2, 0, 0]), &[1, 5, 8, 3]),
        (relu(1), &[1, 2]),
        (relu(2), &[1, 2]),
        (relu(3), &[1, 2]),
        (Raw { activation: 1, ..plain(raw::RELU, &[2], true) }, &[1, 2]),
        (plain(raw::SOFTMAX, &[2], true), &[1, 2]),
        (plain(raw::LOGISTIC, &image, true), &[1, 4, 6, 3]),
        (plain(raw::TANH, &image, true), &[1, 4, 6, 3]),
        (plain(raw::QUANTIZE, &[2], true), &[1, 2]),
    ] {
        let ty = open(&raw).unwrap_or_else(|error| panic!("op {}: {error}", raw.op));
        assert_eq!((ty.shape.dims(), ty.dtype), (shape, DataType::I8), "op {}", raw.op);
        let handed_on = raw.value.1 == 0.0;
        let expected = if handed_on { (1.0, 0) } else { (0.25, -1) };
        let found = ty.quantization.map(|params| (params.scale, params.zero_point));
        assert_eq!(found, Some(expected), "op {}", raw.op);
    }
}

#[test]
fn fields_without_a_use_are_named() {
    let unexpected = |mut raw: Raw, alter: &dyn Fn(&mut Raw), field: &str| {
        alter(&mut raw);
        let error = open(&raw).expect_err("the field has no use");
        let Error::Unexpected { place } = error else { panic!("op {}: {error:?}", raw.op) };
        assert_eq!(place.field, field, "op {}: {error}", raw.op);
    };
    let image = [4, 6, 3];
    let all = [
        (plain(raw::AVERAGE_POOL_2D, &image, false), "window"),
        (plain(raw::MEAN, &image, false), ""),
        (operand(raw::ADD, &image, 1), "weights activation"),
        (operand(raw::MUL, &image, 1), "weights activation"),
        (target(raw::PAD, &image, &[0; 6]), "target"),
        (joined(raw::CONCAT, &image, &[0]), "target"),
        (relu(1), "activation"),
        (plain(raw::SOFTMAX, &image, true), ""),
        (plain(raw::LOGISTIC, &image, true), ""),
        (plain(raw::TANH, &image, true), ""),
    ];
    for (raw, uses) in all {
        let again = || Raw {
            weights: if uses.contains("weights") { Some(RawWeights::default()) } else { None },
            target: raw.target.clone(),
            inputs: raw.inputs.clone(),
            activation: raw.activation,
            ..plain(raw.op, &image, raw.value.1 != 0.0)
        };
        unexpected(again(), &|raw| raw.bias = Some(vec![]), "bias");
        for (field, alter) in [
            (
                "weights",
                &(|raw: &mut Raw| raw.weights = Some(RawWeights::default())) as &dyn Fn(&mut Raw),
            ),
            ("activation", &|raw| raw.activation = 1),
            ("window", &|raw| raw.window = Some([0, 0, 1])),
            ("target", &|raw| raw.target = Some(vec![0])),
        ] {
            if !uses.contains(field) {
                unexpected(again(), alter, field);
            }
        }
    }
    let pool = || plain(raw::AVERAGE_POOL_2D, &image, false);
    unexpected(pool(), &|raw| raw.window = Some([0, 0, 2]), "window.dilation_h");
    // A zero point belongs to a constant operand of integers.
    let reals = |raw: &mut Raw| {
        (raw.input_dtype, raw.input_scale, raw.value) = (raw::F32, 0.0, (0, 0.0, 0));
        raw.weights().scale.clear();
        raw.weights().values = Some(vec![0; 4]);
        raw.weights().zero_point = 1;
    };
    unexpected(operand(raw::ADD, &image, 1), &reals, "weights.zero_point");
    unexpected(Raw::default(), &|raw| raw.weights().zero_point = 1, "weights.zero_point");
}

#[test]
fn activations_that_are_none_are_named() {
    refuses!(relu(0), Error::Missing { .. }, "node 0 (relu), activation: missing");
    refuses!(relu(4), Error::UnknownCode { found: 4, .. }, "node 0 (relu), activation");
    let mut sum = operand(raw::ADD, &[2], 1);
    sum.activation = 255;
    refuses!(sum, Error::UnknownCode { found: 255, .. }, "node 0 (add), activation");
}

#[test]
fn values_that_are_too_many_or_too_few_are_named() {
    for op in [raw::ADD, raw::MUL] {
        for (inputs, found) in [(&[][..], 0), (&[0], 1), (&[0; 3], 3)] {
            let error = open(&joined(op, &[2], inputs)).expect_err("not of two");
            let Error::Count { place, expected, found: count } = error else { panic!("{error:?}") };
            assert_eq!(
                (place.field, expected, count),
                ("inputs", if found == 0 { 1 } else { 2 }, found)
            );
        }
        refuses!(plain(op, &[2], true), Error::Count { expected: 2, found: 1, .. }, "inputs");
        let mut both = operand(op, &[2], 1);
        both.inputs = Some(vec![0, 0]);
        refuses!(both, Error::Count { expected: 1, found: 2, .. }, "inputs");
    }
    refuses!(joined(raw::CONCAT, &[2], &[]), Error::Count { expected: 1, found: 0, .. }, "inputs");
    for inputs in [&[0, 1][..], &[1, 0], &[0, 0, u16::MAX]] {
        refuses!(joined(raw::CONCAT, &[2], inputs), Error::ValueId { limit: 1, .. }, "inputs");
    }
    refuses!(joined(raw::ADD, &[2], &[0, 1]), Error::ValueId { limit: 1, found: 1, .. }, "inputs");
    for op in [raw::AVERAGE_POOL_2D, raw::MEAN, raw::RELU, raw::SOFTMAX, raw::PAD] {
        let mut two = joined(op, &[4, 4, 1], &[0, 0]);
        two.activation = u8::from(op == raw::RELU);
        two.target = (op == raw::PAD).then(|| vec![0; 6]);
        refuses!(two, Error::Count { expected: 1, found: 2, .. }, "inputs");
    }
}

#[test]
fn types_that_do_not_go_together_are_named() {
    let of = |mut raw: Raw, dtype: u8, scale: f32| {
        (raw.input_dtype, raw.input_scale) = (dtype, scale);
        raw
    };
    for raw in [
        plain(raw::AVERAGE_POOL_2D, &[4, 4, 1], false),
        plain(raw::MEAN, &[4, 4, 1], false),
        operand(raw::ADD, &[2], 1),
        joined(raw::MUL, &[2], &[0, 0]),
        relu(1),
        plain(raw::SOFTMAX, &[2], true),
        plain(raw::LOGISTIC, &[2], true),
        plain(raw::TANH, &[2], true),
    ] {
        let raw = of(raw, raw::U8, 1.0);
        refuses!(raw, Error::ElementType { found: DataType::U8, .. }, "inputs: expected f32 or i8");
    }
    // Integers beside reals.
    let mut sum = of(operand(raw::ADD, &[2], 1), raw::F32, 0.0);
    sum.value = (0, 0.0, 0);
    refuses!(sum, Error::ElementType { .. }, "node 0 (add), weights: expected f32, found i8");
    let mut product = operand(raw::MUL, &[2], 1);
    product.weights().scale.clear();
    product.weights().values = Some(vec![0; 4]);
    refuses!(product, Error::ElementType { .. }, "node 0 (mul), weights: expected i8, found f32");
    // Results whose scale nobody else has.
    for op in [raw::SOFTMAX, raw::LOGISTIC, raw::TANH, raw::QUANTIZE] {
        refuses!(plain(op, &[2], false), Error::Missing { .. }, "scale: missing");
        let mut unsigned = plain(op, &[2], true);
        (unsigned.value.0, unsigned.value.2) = (raw::U8, 0);
        assert_eq!(open(&unsigned).is_ok(), op == raw::QUANTIZE, "op {op}");
    }
    let mut sum = joined(raw::ADD, &[2], &[0, 0]);
    sum.value = (0, 0.0, 0);
    refuses!(sum, Error::Missing { .. }, "node 0 (add), scale: missing");
    // Those that hand on what they read, and reals.
    for mut raw in [plain(raw::AVERAGE_POOL_2D, &[4, 4, 1], false), target(raw::PAD, &[2], &[0; 2])]
    {
        raw.value = (0, 0.25, -1);
        refuses!(raw, Error::Quantization { .. }, "scale: expected that of the input");
    }
    let mut concat = joined(raw::CONCAT, &[2], &[0, 0]);
    concat.value = (0, 0.25, -1);
    refuses!(concat, Error::Quantization { .. }, "scale: expected that of the input");
    for op in [raw::MEAN, raw::RELU, raw::SOFTMAX, raw::TANH] {
        let mut real = of(plain(op, &[4, 4, 1], true), raw::F32, 0.0);
        real.activation = u8::from(op == raw::RELU);
        real.value.0 = raw::F32;
        refuses!(real, Error::Quantization { .. }, "scale: expected none");
    }
}
