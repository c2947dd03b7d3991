//! What the writer refuses before it writes, or because a reader would infer something else than what was given: one model for
//! each of its errors. What its own reader refuses is in `malformed.rs`.
#![cfg(feature = "write")]

mod common;

use penjing_format::write::{
    Constant, ConstantData, FullyConnected, Model, Op, PackingChoice, Reshape, Value, WriteError,
};
use penjing_format::{DataType, Error, ModelView, Shape, ShapeError};

fn refused(mut model: Model, alter: impl Fn(&mut Model)) -> WriteError {
    assert!(model.to_bytes(PackingChoice::Auto).is_ok(), "valid before");
    alter(&mut model);
    model.to_bytes(PackingChoice::Auto).unwrap_err()
}

/// The refusal of `small_f32` with an altered node 1: `[6]` by `[2, 6]`, with a bias.
fn dense(alter: impl Fn(&mut FullyConnected)) -> WriteError {
    refused(common::small_f32(), |model| {
        let Op::FullyConnected(op) = &mut model.nodes[1].op else { panic!("node 1 is dense") };
        alter(op);
    })
}

#[test]
fn reals_that_are_none() {
    for found in [f32::NEG_INFINITY, f32::INFINITY, f32::NAN] {
        let error = dense(|op| {
            let mut data = vec![1.0; 12];
            data[7] = found;
            op.weights = Constant::f32(op.weights.shape, data);
        });
        assert!(
            matches!(error, WriteError::NotFinite { node: 1, field: "weights", index: 7, .. }),
            "{error}"
        );
    }
    let error = dense(|op| op.bias = Some(Constant::bias_f32(vec![0.0, f32::NAN])));
    assert!(
        matches!(error, WriteError::NotFinite { node: 1, field: "bias", index: 1, .. }),
        "{error}"
    );
}

#[test]
fn data_of_another_length_than_its_shape() {
    let length = |error, field, expected, found| {
        assert_eq!(error, WriteError::DataLength { node: 1, field, expected, found }, "{error}");
    };
    length(dense(|op| op.weights.shape = [2, 5].into()), "weights", 10, 12);
    let bias = |count: usize| dense(|op| op.bias = Some(Constant::bias_f32(vec![1.0; count])));
    for found in [1, 3, 9] {
        length(bias(found), "bias", 2, found);
    }
    length(dense(|op| op.bias.as_mut().unwrap().shape = [3].into()), "bias", 3, 2);
    // Of a depthwise convolution neither the first dimension counts, which is 1, nor the input's channels, which are 2.
    for found in [1, 2, 5, 7] {
        let error = refused(common::small_depthwise(), |model| {
            let Op::DepthwiseConv2d(op) = &mut model.nodes[0].op else { panic!("depthwise") };
            op.bias = Some(Constant::bias(vec![3; found]));
        });
        assert_eq!(error, WriteError::DataLength { node: 0, field: "bias", expected: 6, found });
    }
}

#[test]
fn a_batch_that_is_not_1() {
    for shape in [&[2, 2, 3][..], &[3], &[]] {
        let found = Shape::new(shape).unwrap();
        let error = refused(common::small_f32(), |model| model.inputs[0].shape = Some(found));
        assert_eq!(error, WriteError::Batch { place: "input 0, shape".into(), found });
        let error = refused(common::small_f32(), |model| {
            model.nodes[0].value.as_mut().unwrap().shape = Some(found);
        });
        assert_eq!(error, WriteError::Batch { place: "node 0, shape".into(), found });
    }
    // A target is written without its batch; what would mean something else then is refused.
    for target in [&[-1, 2028][..], &[-1, 2, 1014], &[2, 1014], &[-1, -1], &[2, -1], &[]] {
        let target = common::target(target);
        let error = refused(common::article_f32(800), |model| {
            model.nodes[2].op = Op::Reshape(Reshape { target });
        });
        let WriteError::Invalid(Error::Shape { place, source: ShapeError::Reshape { .. } }) = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(place.field, "target");
    }
}

#[test]
fn windows_and_strides_of_0() {
    let zero = |error, field| assert_eq!(error, WriteError::Zero { node: 0, field }, "{error}");
    for numbers in [[0, 1], [2, 0], [0, 0]] {
        let error = refused(common::article_int8(800), |model| {
            let Op::Conv2d(op) = &mut model.nodes[0].op else { panic!("a convolution") };
            op.stride = numbers;
        });
        zero(error, "window.stride");
        let error = refused(common::small_depthwise(), |model| {
            let Op::DepthwiseConv2d(op) = &mut model.nodes[0].op else { panic!("depthwise") };
            op.stride = numbers;
        });
        zero(error, "window.stride");
        let error = refused(common::article_int8(800), |model| {
            let weights = common::weights(&mut model.nodes[0]);
            *weights = Constant::i8([12, numbers[0], numbers[1], 1].into(), vec![1.0], vec![]);
        });
        zero(error, "window.size");
        for (window, stride, field) in
            [(numbers, [1, 1], "window.size"), ([1, 1], numbers, "window.stride")]
        {
            let error = refused(common::small_int8(), |model| {
                let Op::MaxPool2d(op) = &mut model.nodes[1].op else { panic!("a pool") };
                (op.window, op.stride) = (window, stride);
            });
            assert_eq!(error, WriteError::Zero { node: 1, field });
        }
    }
}

#[test]
fn weights_of_another_shape_than_a_reader_infers() {
    let found = [2, 3, 2].into();
    let error = dense(|op| op.weights.shape = found);
    assert_eq!(error, WriteError::WeightsShape { node: 1, expected: [2, 6].into(), found });
    // Gaps lead anywhere: twice the channels would be no error to a reader.
    let error = refused(common::article_int8(800), |model| {
        common::weights(&mut model.nodes[0]).packing = Some(PackingChoice::Gaps);
        model.inputs[0].shape = Some([1, 28, 28, 2].into());
    });
    let (expected, found) = ([12, 3, 3, 2].into(), [12, 3, 3, 1].into());
    assert_eq!(error, WriteError::WeightsShape { node: 0, expected, found });
    // A kernel's rank is asked for before its window.
    let error = refused(common::article_int8(800), |model| {
        common::weights(&mut model.nodes[0]).shape = [12, 3, 3].into();
    });
    assert!(
        matches!(
            error,
            WriteError::Invalid(Error::Shape { source: ShapeError::Rank { expected: 4, .. }, .. })
        ),
        "{error:?}"
    );
}

#[test]
fn elements_of_a_type_that_has_no_place_there() {
    let element_type = |error: WriteError, on: &'static str, found: DataType| {
        let WriteError::ElementType { field, found: other, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!((field, other), (on, found), "{error}");
    };
    for (data, found) in [
        (ConstantData::I16(vec![1; 12]), DataType::I16),
        (ConstantData::I32(vec![1; 12]), DataType::I32),
    ] {
        let error = dense(|op| (op.weights.data, op.bias) = (data.clone(), None));
        element_type(error, "weights", found);
    }
    element_type(dense(|op| op.bias = Some(Constant::bias(vec![1; 2]))), "bias", DataType::I8);
    let error = refused(common::article_int8(800), |model| {
        let Op::Conv2d(op) = &mut model.nodes[0].op else { panic!("a convolution") };
        op.bias = Some(Constant::bias_f32(vec![1.0; 12]));
    });
    element_type(error, "bias", DataType::F32);
}

#[test]
fn scales_of_what_has_none_and_none_of_what_has_some() {
    let scales = |error: WriteError, on: &'static str, count: usize| {
        let WriteError::Scales { field, found, .. } = error else { panic!("{error:?}") };
        assert_eq!((field, found), (on, count), "{error}");
    };
    scales(dense(|op| op.weights.scales = vec![1.0]), "weights.scale", 1);
    scales(dense(|op| op.bias.as_mut().unwrap().scales = vec![1.0; 2]), "bias.scale", 2);
    for model in [common::article_int8(800), common::small_depthwise()] {
        let error = refused(model, |model| common::weights(&mut model.nodes[0]).scales.clear());
        scales(error, "weights.scale", 0);
    }
    let error = refused(common::article_int8(800), |model| {
        let Op::Conv2d(op) = &mut model.nodes[0].op else { panic!("a convolution") };
        op.bias.as_mut().unwrap().scales = vec![1.0];
    });
    scales(error, "bias.scale", 1);
    // No scale of an activation is 0, which a reader would take for none: another type.
    let error = refused(common::article_int8(800), |model| {
        model.inputs[0] = Value {
            quantization: Some(penjing_format::QuantParams { scale: 0.0, zero_point: 0 }),
            dtype: Some(DataType::I8),
            ..model.inputs[0].clone()
        };
    });
    assert!(matches!(error, WriteError::Invalid(Error::Number { .. })), "{error:?}");
}

/// No group of `small_f32`'s weights has a zero; one weights' own packing counts before the file's.
#[test]
fn a_packing_that_weights_do_not_have() {
    let error = common::small_f32().to_bytes(PackingChoice::NOfM).unwrap_err();
    assert_eq!(error, WriteError::Packing { node: 1, packing: "n-of-m" });
    assert_eq!(error.to_string(), "node 1, weights: cannot be packed as n-of-m");
    let mut model = common::small_f32();
    common::weights(&mut model.nodes[2]).packing = Some(PackingChoice::NOfM);
    let error = model.to_bytes(PackingChoice::Dense).unwrap_err();
    assert_eq!(error, WriteError::Packing { node: 2, packing: "n-of-m" });
    common::weights(&mut model.nodes[2]).packing = Some(PackingChoice::Bitmap);
    let bytes = model.to_bytes(PackingChoice::Dense).unwrap();
    let constants =
        ModelView::open(&bytes).unwrap().walk().filter_map(|s| s.unwrap().op.constants());
    let names: Vec<_> = constants.map(|(weights, _)| weights.packed.layout().name()).collect();
    assert_eq!(names, ["dense", "bitmap"]);
}

#[test]
fn labels_of_two_lines() {
    let error = refused(common::small_int8(), |model| model.labels[2] = "zw\nei".into());
    assert_eq!(error, WriteError::Label { index: 2 });
    assert!(error.to_string().contains("label 2"), "{error}");
}

#[test]
fn numbers_too_large_for_their_fields() {
    let error = refused(common::small_int8(), |model| {
        let Op::MaxPool2d(op) = &mut model.nodes[1].op else { panic!("a pool") };
        op.stride[0] = 65_536;
    });
    let (place, limit, found) = ("node 1, window.stride_h".into(), 65_535, 65_536);
    assert_eq!(error, WriteError::TooLarge { place, limit, found });
    assert!(error.to_string().starts_with("node 1, window.stride_h"), "{error}");
    let error = refused(common::small_int8(), |model| {
        model.inputs[0].quantization.as_mut().unwrap().zero_point = 40_000;
    });
    let (place, limit, found) = ("input 0, zero_point".into(), 32_767, 40_000);
    assert_eq!(error, WriteError::TooLarge { place, limit, found });
}

#[test]
fn constant_operands_of_another_shape_than_a_reader_infers() {
    let operand = |shape: Shape| {
        refused(common::joined::operand_f32(), |model| {
            let Op::Add(op) = &mut model.nodes[0].op else { panic!("a sum") };
            op.operand.as_mut().unwrap().shape = shape;
        })
    };
    let expected = Shape::from([1, 4, 4, 8]);
    for found in [Shape::from([128]), [4, 4, 8].into(), [1, 8, 4, 4].into()] {
        assert_eq!(operand(found), WriteError::WeightsShape { node: 0, expected, found });
    }
    let error = operand([1, 4, 4, 9].into());
    assert!(
        matches!(error, WriteError::DataLength { field: "weights", expected: 144, .. }),
        "{error:?}"
    );
    let error = refused(common::joined::operand_int8(9), |model| {
        let Op::Mul(op) = &mut model.nodes[1].op else { panic!("a product") };
        op.operand_zero_point = 40_000;
    });
    let place = "node 1, weights, zero_point".into();
    assert_eq!(error, WriteError::TooLarge { place, limit: 32_767, found: 40_000 });
}

#[test]
fn targets_that_no_file_can_state() {
    let error = refused(common::joined::joined_f32(), |model| {
        model.nodes[0].op = common::joined::pad(&[[0, 0], [0, 1 << 31], [0, 0]]);
    });
    let place = "node 0, target".into();
    assert_eq!(error, WriteError::TooLarge { place, limit: i32::MAX.into(), found: 1 << 31 });
    let axis = |axis| {
        refused(common::joined::joined_f32(), |model| {
            let Op::Concat(op) = &mut model.nodes[5].op else { panic!("values side by side") };
            op.axis = axis;
        })
    };
    // The batch is no axis to put values along.
    for number in [0, 4] {
        let error = axis(number);
        let WriteError::Invalid(Error::Number { place, .. } | Error::Shape { place, .. }) = error
        else {
            panic!("{error:?}")
        };
        assert!(["target", "shape"].contains(&place.field));
    }
    assert!(matches!(axis(u32::MAX), WriteError::TooLarge { .. }));
}
