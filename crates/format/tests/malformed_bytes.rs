//! Files that our writer cannot make, built with flatc's code: each is sound in layout and has its hash, and lacks or misstates
//! one field; and the limit of accumulators to the last unit. What a writer's caller can get wrong is in `malformed.rs`, damaged
//! bytes are in `codes.rs`, weights that are no packing in `packed_files.rs`.
#![cfg(feature = "write")]

mod common;

use common::raw::{self, Raw, RawWeights};
use penjing_format::packing::PackingError;
use penjing_format::{DataType, Error, ModelView, Shape, ShapeError};

/// Opens a file and returns what it reads of its node's output.
fn output(raw: &Raw) -> penjing_format::TensorType {
    let bytes = raw.bytes();
    let step = ModelView::open(&bytes).unwrap().walk().next().unwrap();
    step.unwrap().output.ty
}

#[test]
fn the_file_that_the_others_alter_is_valid() {
    let ty = output(&Raw::default());
    assert_eq!((ty.shape, ty.dtype), ([1, 2].into(), DataType::I8));
}

#[test]
fn what_is_missing_is_named() {
    refused!(|raw| raw.op = 0, Error::Missing { .. }, "node 0 (node), op: missing");
    refused!(|raw| raw.plain(0), Error::Missing { .. }, "node 0 (node), op: missing");
    refused!(|raw| raw.weights = None, Error::Missing { .. }, "weights: missing");
    refused!(
        |raw| raw.weights().out_channels = 0,
        Error::Missing { .. },
        "weights.out_channels: missing"
    );
    refused!(|raw| raw.nodes = 0, Error::Missing { .. }, "nodes: missing");
    refused!(|raw| raw.input_shape = None, Error::Missing { .. }, "input 0, shape: missing");
    refused!(|raw| raw.input_scale = 0.0, Error::Missing { .. }, "input 0, scale: missing");
    refused!(
        |raw| (raw.value.1, raw.value.2) = (0.0, 0),
        Error::Missing { .. },
        "node 0 (fully_connected), scale: missing"
    );
    // A value whose shape is stated may be read by any node, so it states all.
    refused!(
        |raw| {
            raw.plain(raw::RESHAPE);
            (raw.shape, raw.value) = (Some(vec![2]), (raw::I8, 0.0, 0));
        },
        Error::Missing { .. },
        "node 0 (reshape), scale: missing"
    );
}

/// An element type that is not stated is i8 beside a scale, and f32 beside none.
#[test]
fn what_is_left_out_is_the_usual() {
    let unstated = Raw { input_dtype: 0, value: (0, 0.25, -1), ..Raw::default() };
    assert_eq!(output(&unstated), output(&Raw::default()));
    // [2] of f32 by [1, 2] of f32.
    let weights = RawWeights {
        values: Some([1.0_f32, 2.0].map(f32::to_le_bytes).concat()),
        scale: vec![],
        out_channels: 1,
        ..RawWeights::default()
    };
    let float = Raw {
        input_dtype: 0,
        input_scale: 0.0,
        weights: Some(weights),
        value: (0, 0.0, 0),
        ..Raw::default()
    };
    assert_eq!(output(&float).dtype, DataType::F32);
    // A reshape without a target flattens, a pool's window is 2 x 2, and its stride the window.
    let plain = |op, shape: &[u32]| {
        let mut raw = Raw { input_shape: Some(shape.into()), value: (0, 0.0, 0), ..Raw::default() };
        raw.plain(op);
        output(&raw).shape
    };
    assert_eq!(plain(raw::RESHAPE, &[2, 3, 4]), [1, 24].into());
    assert_eq!(plain(raw::MAX_POOL_2D, &[6, 9, 4]), [1, 3, 4, 4].into());
}

#[test]
fn fields_without_a_use_are_named() {
    let unexpected = |alter: &dyn Fn(&mut Raw), op: u8, field: &str| {
        let error = common::raw::refusal(|raw| {
            raw.input_shape = Some(vec![2, 2, 1]);
            raw.plain(op);
            alter(raw);
        });
        let Error::Unexpected { place } = error else { panic!("{error:?}") };
        assert_eq!(place.field, field, "{error}");
        assert!(error.to_string().ends_with("not expected there"), "{error}");
    };
    for op in [raw::MAX_POOL_2D, raw::RESHAPE, raw::QUANTIZE, raw::DEQUANTIZE] {
        unexpected(&|raw| raw.weights = Some(RawWeights::default()), op, "weights");
        unexpected(&|raw| raw.bias = Some(vec![]), op, "bias");
        unexpected(&|raw| raw.activation = 1, op, "activation");
        if op != raw::MAX_POOL_2D {
            unexpected(&|raw| raw.window = Some([0, 0, 1]), op, "window");
        }
        if op != raw::RESHAPE {
            unexpected(&|raw| raw.target = Some(vec![-1]), op, "target");
        }
    }
    unexpected(&|raw| raw.window = Some([0, 0, 2]), raw::MAX_POOL_2D, "window.dilation_h");
    let weighted = |raw: &mut Raw| raw.weights = Some(RawWeights::default());
    for op in [raw::FULLY_CONNECTED, raw::DEPTHWISE_CONV_2D] {
        let target = |raw: &mut Raw| {
            weighted(raw);
            raw.target = Some(vec![-1]);
        };
        unexpected(&target, op, "target");
    }
    let window = |raw: &mut Raw| {
        weighted(raw);
        raw.window = Some([0, 0, 1]);
    };
    unexpected(&window, raw::FULLY_CONNECTED, "window");
    refused!(|raw| raw.weights().index = Some(vec![0]), Error::Unexpected { .. }, "weights.index");
}

#[test]
fn codes_that_are_none_are_named() {
    // Whatever else the node has: a later version's op may have any of it.
    refused!(|raw| raw.op = 99, Error::UnknownCode { found: 99, .. }, "node 0 (node), op");
    refused!(|raw| raw.plain(18), Error::UnknownCode { found: 18, .. }, "node 0 (node), op");
    for packing in [8, 9, 255] {
        refused!(
            |raw| raw.weights().packing = packing,
            Error::UnknownCode { .. },
            "weights.packing: unknown code"
        );
    }
    // 4 and 5 were i16 and i32, which only a bias may be of.
    for dtype in [4, 5] {
        refused!(|raw| raw.input_dtype = dtype, Error::UnknownCode { .. }, "input 0, dtype");
        refused!(|raw| raw.value.0 = dtype, Error::UnknownCode { .. }, "node 0 (fully_connected)");
    }
    refused!(|raw| raw.activation = 4, Error::UnknownCode { found: 4, .. }, "activation");
}

#[test]
fn types_that_do_not_go_together_are_named() {
    let float = |raw: &mut Raw| {
        raw.weights().scale.clear();
        raw.weights().values = Some(vec![0; 16]);
    };
    refused!(float, Error::ElementType { .. }, "inputs: expected f32, found i8");
    // int8 weights take an f32 input, quantized as it comes; what they yield is f32.
    let f32_input = |raw: &mut Raw| (raw.input_dtype, raw.input_scale) = (raw::F32, 0.0);
    refused!(f32_input, Error::ElementType { .. }, "dtype: expected f32, found i8");
    let nothing = |raw: &mut Raw| (raw.input_dtype, raw.input_scale) = (0, 0.0);
    refused!(nothing, Error::ElementType { .. }, "dtype: expected f32, found i8");
    let scaled = |raw: &mut Raw| {
        f32_input(raw);
        raw.value.0 = 0;
    };
    refused!(scaled, Error::Quantization { .. }, "scale: expected none, since the value is f32");
    let depthwise = |raw: &mut Raw| {
        f32_input(raw);
        (raw.op, raw.input_shape) = (raw::DEPTHWISE_CONV_2D, Some(vec![1, 1, 2]));
        (raw.window, raw.value) = (Some([1, 2, 1]), (0, 0.0, 0));
    };
    refused!(depthwise, Error::ElementType { .. }, "inputs: expected i8 or u8, found f32");
    refused!(
        |raw| raw.value.0 = raw::U8,
        Error::ElementType { .. },
        "dtype: expected i8, found u8"
    );
    refused!(
        |raw| raw.plain(raw::DEQUANTIZE),
        Error::ElementType { .. },
        "node 0 (dequantize), dtype: expected f32, found i8"
    );
    refused!(
        |raw| {
            raw.plain(raw::QUANTIZE);
            raw.value.0 = raw::F32;
        },
        Error::ElementType { .. },
        "node 0 (quantize), dtype: expected i8 or u8, found f32"
    );
    // Its shape makes it whole, and without a scale it is f32.
    refused!(
        |raw| {
            raw.plain(raw::RESHAPE);
            (raw.shape, raw.value) = (Some(vec![2]), (0, 0.0, 0));
        },
        Error::ElementType { found: DataType::F32, .. },
        "node 0 (reshape), dtype: expected i8, found f32"
    );
    let unstated = |op: u8| {
        move |raw: &mut Raw| {
            raw.plain(op);
            raw.value.0 = 0;
        }
    };
    refused!(
        unstated(raw::DEQUANTIZE),
        Error::Quantization { .. },
        "scale: expected none, since the value is f32"
    );
    refused!(
        unstated(raw::RESHAPE),
        Error::Quantization { .. },
        "node 0 (reshape), scale: expected that of the input"
    );
    refused!(|raw| raw.input_dtype = raw::F32, Error::Quantization { .. }, "input 0, scale");
    refused!(|raw| raw.value.2 = -129, Error::ZeroPoint { found: -129, .. }, "[-128, 127]");
    refused!(|raw| raw.value.1 = 0.0, Error::Number { .. }, "node 0 (fully_connected), scale");
}

/// A layer that quantizes its input as it comes has a bias of reals, and sums of codes up to 255 apart from a zero point.
#[test]
fn an_f32_input_of_int8_weights_is_checked() {
    let dynamic = |raw: &mut Raw| {
        (raw.input_dtype, raw.input_scale, raw.value) = (raw::F32, 0.0, (0, 0.0, 0));
    };
    let mut raw = Raw { bias: Some(vec![0; 8]), ..Raw::default() };
    dynamic(&mut raw);
    let bytes = raw.bytes();
    let step = ModelView::open(&bytes).unwrap().walk().next().unwrap().unwrap();
    let (weights, bias) = step.op.constants().unwrap();
    assert_eq!((weights.dtype, bias.unwrap().dtype), (DataType::I8, DataType::F32));
    assert_eq!((step.output.ty.dtype, step.output.ty.quantization), (DataType::F32, None));
    let narrow = |raw: &mut Raw| {
        dynamic(raw);
        raw.bias = Some(vec![0; 4]);
    };
    refused!(narrow, Error::Packing { .. }, "bias");
    let not_finite = |raw: &mut Raw| {
        dynamic(raw);
        raw.bias = Some([0.0_f32, f32::NAN].map(f32::to_le_bytes).concat());
    };
    refused!(not_finite, Error::Packing { .. }, "bias");
    let no_scale = |raw: &mut Raw| {
        dynamic(raw);
        raw.weights().scale = vec![0.5, -0.5];
    };
    refused!(no_scale, Error::Number { index: 1, .. }, "weights.scale");
    let scales = |raw: &mut Raw| {
        dynamic(raw);
        raw.weights().scale = vec![0.5; 3];
    };
    refused!(scales, Error::Count { expected: 2, found: 3, .. }, "weights.scale");
}

/// The width of a bias is what fills the vector.
#[test]
fn biases_are_as_wide_as_they_are_long() {
    for (len, dtype) in [(2, DataType::I8), (4, DataType::I16), (8, DataType::I32)] {
        let bytes = Raw { bias: Some(vec![1; len]), ..Raw::default() }.bytes();
        let step = ModelView::open(&bytes).unwrap().walk().next().unwrap().unwrap();
        let (_, bias) = step.op.constants().unwrap();
        assert_eq!(bias.unwrap().dtype, dtype);
    }
    for found in [0, 1, 3, 6, 7, 9, 16] {
        let error = common::raw::refusal(|raw| raw.bias = Some(vec![0; found]));
        let Error::Packing { place, source } = error else { panic!("{error:?}") };
        assert_eq!(place.field, "bias");
        assert_eq!(source, PackingError::Length { part: "values", expected: 8, found });
    }
}

#[test]
fn shapes_that_no_tensor_has_are_named() {
    let input = |shape: &[u32]| {
        let shape = shape.to_vec();
        move |raw: &mut Raw| raw.input_shape = Some(shape.clone())
    };
    // The batch is the sixth dimension.
    refused!(input(&[1; 6]), Error::Count { expected: 5, found: 6, .. }, "input 0, shape");
    refused!(input(&[2, 0]), Error::Shape { .. }, "input 0, shape");
    refused!(input(&[65_536; 2]), Error::Shape { source: ShapeError::Overflow, .. }, "u32");
    refused!(
        input(&[2, 1]),
        Error::Shape { source: ShapeError::Rank { .. }, .. },
        "expected 2 dimensions"
    );
    refused!(
        |raw| raw.weights().out_channels = u32::MAX,
        Error::Shape { source: ShapeError::Overflow, .. },
        "weights"
    );
    for (shape, expected) in [(vec![3], Shape::from([1, 3])), (vec![1, 2], [1, 1, 2].into())] {
        let error = common::raw::refusal(|raw| raw.shape = Some(shape.clone()));
        let Error::ShapeMismatch { place, expected: inferred, found } = error else {
            panic!("{error:?}")
        };
        assert_eq!((place.field, inferred, found), ("shape", [1, 2].into(), expected));
    }
    let target = |dims: &[i32]| {
        let dims = dims.to_vec();
        move |raw: &mut Raw| {
            raw.plain(raw::RESHAPE);
            raw.target = Some(dims.clone());
        }
    };
    refused!(target(&[1; 6]), Error::Count { expected: 5, found: 6, .. }, "target");
    for dims in [&[3][..], &[-1, -1], &[0], &[-2], &[i32::MIN], &[]] {
        refused!(target(dims), Error::Shape { .. }, "node 0 (reshape), shape");
    }
}

#[test]
fn numbers_that_break_the_arithmetic_are_named() {
    let scale = |scale: &[f32]| {
        let scale = scale.to_vec();
        move |raw: &mut Raw| raw.weights().scale.clone_from(&scale)
    };
    refused!(scale(&[0.5; 3]), Error::Count { expected: 2, found: 3, .. }, "weights.scale");
    for found in [-0.5, 0.0, f32::NAN, f32::INFINITY] {
        refused!(scale(&[1.0, found]), Error::Number { index: 1, .. }, "weights.scale");
        let zero_point = |raw: &mut Raw| raw.value = (raw::I8, found, 1);
        refused!(zero_point, Error::Number { index: 0, .. }, "scale");
    }
    for (weights, output) in [(1e20, 1e-20), (1e-30, 1e30)] {
        let quotient = |raw: &mut Raw| {
            raw.weights().scale = vec![weights];
            raw.value.1 = output;
        };
        refused!(quotient, Error::Number { index: 0, .. }, "output scale");
    }
}

#[test]
fn outputs_that_are_no_values_are_named() {
    refused!(|raw| raw.outputs = Some(vec![]), Error::Count { found: 0, .. }, "outputs");
    refused!(
        |raw| raw.outputs = Some(vec![2]),
        Error::ValueId { limit: 2, found: 2, .. },
        "outputs"
    );
}

#[test]
fn normalizations_that_divide_by_nothing_are_named() {
    let numbers = |mean: &[f32], std: &[f32]| {
        let numbers = (mean.to_vec(), std.to_vec());
        move |raw: &mut Raw| raw.normalization = Some(numbers.clone())
    };
    refused!(numbers(&[0.0], &[1.0, 0.0]), Error::Number { index: 1, .. }, "normalization.std");
    refused!(numbers(&[f32::NAN], &[1.0]), Error::Number { index: 0, .. }, "normalization.mean");
    refused!(numbers(&[0.0; 3], &[1.0]), Error::Count { expected: 2, found: 3, .. }, "mean");
    refused!(numbers(&[0.0], &[]), Error::Count { found: 0, .. }, "normalization.std");
}

/// An i8 input with zero point 0 reaches 128 from it; the sum of 2^17 - 1 weights of -128 and the bias meet the limit exactly.
#[test]
fn accumulators_may_reach_the_limit_and_not_pass_it() {
    const INPUTS: u32 = (1 << 17) - 1;
    let model = |bias: i32| Raw {
        input_shape: Some(vec![INPUTS]),
        weights: Some(RawWeights {
            values: Some([vec![1; INPUTS as usize], vec![0x80; INPUTS as usize]].concat()),
            ..RawWeights::default()
        }),
        bias: Some([0, bias].map(i32::to_le_bytes).concat()),
        ..Raw::default()
    };
    // 128 * 128 * (2^17 - 1) = 2^31 - 2^14
    let room = (1 << 14) - 1;
    for bias in [room, -room] {
        assert!(ModelView::open(&model(bias).bytes()).is_ok());
    }
    for bias in [room + 1, -room - 1] {
        let error = ModelView::open(&model(bias).bytes()).unwrap_err();
        assert!(
            matches!(error, Error::Accumulator { channel: 1, worst: 0x8000_0000, .. }),
            "{error}"
        );
    }
}

/// Without a bias, sums that reach the limit in the last channel are seen as in the first.
#[test]
fn accumulators_are_summed_to_the_last_channel() {
    const INPUTS: usize = 1 << 17;
    for channel in [0, 2] {
        let mut values = vec![0_u8; 3 * INPUTS];
        values[channel * INPUTS..][..INPUTS].fill(0x80);
        let weights = |values: Vec<u8>| {
            Some(RawWeights { values: Some(values), out_channels: 3, ..RawWeights::default() })
        };
        let raw = |values| Raw {
            input_shape: Some(vec![INPUTS as u32]),
            weights: weights(values),
            ..Raw::default()
        };
        let error = ModelView::open(&raw(values.clone()).bytes()).unwrap_err();
        assert!(
            matches!(error, Error::Accumulator { channel: c, worst: 0x8000_0000, .. } if c == channel),
            "{error}"
        );
        values[channel * INPUTS] = 0x81;
        assert!(ModelView::open(&raw(values).bytes()).is_ok());
    }
}
