//! Every op on every instruction set against the oracle over random shapes, types, zero points and extreme values: integers bit
//! for bit, reals within `1e-5 * (sum |x * w| + |bias|)`. Batches and threads are `invariance`'s.

mod support;

use penjing_format::write::{MaxPool2d, Model as Spec, Node, Op, PackingChoice, Value};
use penjing_format::{DataType, QuantParams};
use penjing_runtime::Model;
use proptest::prelude::*;
use support::{Data, TYPES};

/// Runs three images of a model and holds them against the oracle.
fn conforms(spec: &Spec, packing: PackingChoice, seed: u64, slack: f64) {
    let model = support::model(spec, packing);
    let info = model.inputs().next().unwrap();
    let images = Data::noise(info.dtype, 3 * info.shape.elements().unwrap(), seed);
    conforms_on(&model, &images, slack);
}

fn conforms_on(model: &Model, images: &Data, slack: f64) {
    for &isa in support::instruction_sets() {
        let mut session = support::session_on(model, isa, 1);
        let results = support::run(&mut session, model, images, 3).unwrap();
        support::check(isa, model, images, &results, 3, slack);
        if isa == support::instruction_sets()[0] {
            support::in_place::agrees(model, 3, std::slice::from_ref(images), &[results]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn conv2d_with_and_without_a_pool(case in support::conv_case()) {
        if let Some(spec) = case.spec() {
            conforms(&spec, support::some_packing(&spec, case.seed), case.seed, 1.0);
        }
    }

    /// The opening of a network for grey images, which has kernels of its own.
    #[test]
    fn patches_of_a_grey_image(
        dtype in 0..3_usize,
        size in [3..32_u32, 3..40],
        out_channels in 1..16_u32,
        pads in [0..3_u32, 0..3, 0..3, 0..3],
        blank: bool,
        dense in proptest::option::of(1..40_u32),
        seed: u64,
    ) {
        let case = support::ConvCase {
            dtype: TYPES[dtype],
            input: [size[0], size[1], 1],
            kernel: [3, 3],
            out_channels,
            stride: [1, 1],
            dilation: [1, 1],
            pads,
            pool: Some(([2, 2], [2, 2], [0; 4])),
            seed,
        };
        let Some(mut spec) = case.spec() else { return Ok(()) };
        let dense = dense.filter(|_| case.dtype != DataType::F32);
        if let Some(out) = dense {
            support::flatten_into_dense(&mut spec, &case, out);
        }
        let model = support::model(&spec, PackingChoice::Auto);
        let mut images = Data::noise(case.dtype, 3 * (size[0] * size[1]) as usize, seed);
        if blank {
            // Most of an image at real 0, which kernels may skip.
            images.blank(support::params(case.dtype, 0.02, seed >> 11).zero_point, 3);
        }
        if case.dtype != DataType::F32 {
            conforms_on(&model, &images, 0.0);
            return Ok(());
        }
        for &isa in support::instruction_sets() {
            let found = support::run(&mut support::session_on(&model, isa, 1), &model, &images, 3);
            support::check_by_magnitude(isa, &spec, &model, &images, &found.unwrap(), 3);
        }
    }

    #[test]
    fn depthwise_conv2d(case in support::depthwise_case()) {
        if let Some(spec) = case.spec() {
            conforms(&spec, support::some_packing(&spec, case.seed), case.seed, 1.0);
        }
    }

    #[test]
    fn fully_connected(dtype in 0..3_usize, features in 1..300_u32, out in 1..14_u32, seed: u64) {
        let spec = support::dense_spec(TYPES[dtype], features, out, seed);
        conforms(&spec, support::some_packing(&spec, seed), seed, 1.0);
    }

    #[test]
    fn max_pool2d(
        dtype in 0..3_usize,
        shape in [1..12_u32, 1..12, 1..10],
        window in [1..5_u32, 1..5],
        stride in [1..5_u32, 1..5],
        pads in [0..4_u32, 0..4, 0..4, 0..4],
        seed: u64,
    ) {
        let dtype = TYPES[dtype];
        let shape = [1, shape[0], shape[1], shape[2]].into();
        let padding = support::padding(pads[0], pads[1], pads[2], pads[3]);
        if penjing_format::infer::max_pool2d(shape, window, stride, padding).is_ok() {
            let pool = Op::MaxPool2d(MaxPool2d { window, stride, padding });
            let input = support::input_value(dtype, shape, support::params(dtype, 0.1, seed));
            let nodes = vec![Node::new(pool, None)];
            conforms(&Spec { inputs: vec![input], nodes, ..Spec::default() }, PackingChoice::Auto, seed, 1.0);
        }
    }

    #[test]
    fn quantize_and_dequantize(to_u8: bool, len in 1..70_u32, scale in 1e-4..2.0_f32, seed: u64) {
        let dtype = if to_u8 { DataType::U8 } else { DataType::I8 };
        let params = support::params(dtype, scale, seed);
        let unused = QuantParams::PIXEL;
        let reals = support::input_value(DataType::F32, [1, len].into(), unused);
        let codes = Value { dtype: Some(dtype), quantization: Some(params), ..Value::default() };
        let nodes = vec![Node::new(Op::Quantize, Some(codes.clone()))];
        conforms(&Spec { inputs: vec![reals], nodes, ..Spec::default() }, PackingChoice::Auto, seed, 0.0);
        let input = support::input_value(dtype, [1, len].into(), params);
        let nodes = vec![Node::new(Op::Dequantize, None)];
        conforms(&Spec { inputs: vec![input], nodes, ..Spec::default() }, PackingChoice::Auto, seed, 0.0);
    }
}

/// A 1x1 kernel with a stride reads some pixels only; behind the image it reads padding.
#[test]
fn strided_1x1_kernels_read_what_is_there() {
    for dtype in TYPES {
        for (size, stride, behind) in
            [(1, [2, 1], 3), (5, [2, 2], 0), (5, [1, 3], 2), (7, [2, 1], 4), (6, [4, 4], 1)]
        {
            let case = support::ConvCase {
                dtype,
                input: [size, size + 1, 6],
                kernel: [1, 1],
                out_channels: 9,
                stride,
                dilation: [1, 1],
                pads: [0, behind, 0, behind],
                pool: None,
                seed: u64::from(size) * 77 + 5,
            };
            conforms(&case.spec().unwrap(), PackingChoice::Auto, 3, 1.0);
        }
    }
}

/// Reals as a trained network has them: pixels in 0..1 on a blank ground, weights and biases of one magnitude. There Winograd's
/// sums keep the rule of all others.
#[test]
fn patches_of_trained_reals_keep_the_rule() {
    use penjing_format::write::{Constant, Conv2d};
    let mut noise = support::Noise(7);
    let mut unit = |scale: f32| ((noise.next() >> 40) as f32 / (1 << 23) as f32 - 1.0) * scale;
    let conv = Op::Conv2d(Conv2d {
        weights: Constant::f32([12, 3, 3, 1].into(), (0..108).map(|_| unit(0.5)).collect()),
        bias: Some(Constant::bias_f32((0..12).map(|_| unit(0.1) + 0.15).collect())),
        stride: [1, 1],
        dilation: [1, 1],
        padding: support::padding(0, 0, 0, 0),
        activation: penjing_format::Activation::Relu,
    });
    let pool = MaxPool2d { window: [2, 2], stride: [2, 2], padding: support::padding(0, 0, 0, 0) };
    let input = support::input_value(DataType::F32, [1, 28, 28, 1].into(), QuantParams::PIXEL);
    let nodes = vec![Node::new(conv, None), Node::new(Op::MaxPool2d(pool), None)];
    let spec = Spec { inputs: vec![input], nodes, ..Spec::default() };
    let model = support::model(&spec, PackingChoice::Auto);
    let pixel = |_| if unit(1.0) > 0.2 { (unit(127.5) + 127.5).round() / 255.0 } else { 0.0 };
    conforms_on(&model, &Data::F32((0..3 * 784).map(pixel).collect()), 1.0);
}

/// More taps than one chunk of f32 sums, in runs longer and shorter than a chunk.
#[test]
fn conv2d_of_many_taps() {
    for (seed, dtype) in TYPES.into_iter().enumerate() {
        for (channels, kernel, dilation) in [(300, [1, 1], 1), (100, [3, 3], 1), (257, [2, 2], 2)] {
            let case = support::ConvCase {
                dtype,
                input: [6, 9, channels],
                kernel,
                out_channels: 7,
                stride: [1, 1],
                dilation: [dilation, dilation],
                pads: [1, 1, 1, 1],
                pool: None,
                seed: seed as u64 * 7 + 1,
            };
            conforms(&case.spec().unwrap(), PackingChoice::Auto, 5, 1.0);
        }
    }
}

/// One large product and many that are each half a unit in its last place: a sum in one long row would lose them all.
#[test]
fn small_products_add_up() {
    use penjing_format::write::{Constant, Conv2d, DepthwiseConv2d, FullyConnected};
    let weights = |len: usize| (0..len).map(|i| if i == 0 { 1.0 } else { 5.9e-8 }).collect();
    let activation = penjing_format::Activation::None;
    let (stride, dilation, padding) = ([1, 1], [1, 1], support::padding(0, 0, 0, 0));
    let conv = Op::Conv2d(Conv2d {
        weights: Constant::f32([1, 1, 1, 256].into(), weights(256)),
        bias: None,
        stride,
        dilation,
        padding,
        activation,
    });
    let depthwise = Op::DepthwiseConv2d(DepthwiseConv2d {
        weights: Constant::f32([1, 16, 16, 1].into(), weights(256)),
        bias: None,
        stride,
        dilation,
        padding,
        activation,
    });
    let dense = |features: u32| {
        let lanes = (0..features).map(|i| if i < 16 { 1.0 } else { 5.9e-8 }).collect();
        Op::FullyConnected(FullyConnected {
            weights: Constant::f32([1, features].into(), lanes),
            bias: None,
            activation,
        })
    };
    for (op, shape) in [
        (conv, [1, 1, 1, 256].into()),
        (depthwise, [1, 16, 16, 1].into()),
        (dense(2048), [1, 2048].into()),
        (dense(4096), penjing_format::Shape::from([1, 4096])),
    ] {
        let input = support::input_value(DataType::F32, shape, QuantParams::PIXEL);
        let spec =
            Spec { inputs: vec![input], nodes: vec![Node::new(op, None)], ..Spec::default() };
        let model = support::model(&spec, PackingChoice::Dense);
        conforms_on(&model, &Data::F32(vec![1.0; 3 * shape.elements().unwrap()]), 1.0);
    }
}

/// Winograd's transforms of weights near the largest reals would overflow where the products do not.
#[test]
fn patches_of_huge_weights_stay_finite() {
    use penjing_format::write::{Constant, Conv2d};
    let conv = Op::Conv2d(Conv2d {
        weights: Constant::f32([2, 3, 3, 1].into(), vec![2e38; 18]),
        bias: None,
        stride: [1, 1],
        dilation: [1, 1],
        padding: support::padding(0, 0, 0, 0),
        activation: penjing_format::Activation::Relu,
    });
    let pool = MaxPool2d { window: [2, 2], stride: [2, 2], padding: support::padding(0, 0, 0, 0) };
    let input = support::input_value(DataType::F32, [1, 4, 4, 1].into(), QuantParams::PIXEL);
    let nodes = vec![Node::new(conv, None), Node::new(Op::MaxPool2d(pool), None)];
    let spec = Spec { inputs: vec![input], nodes, ..Spec::default() };
    let model = support::model(&spec, PackingChoice::Auto);
    conforms_on(&model, &Data::F32(vec![1e-38; 3 * 16]), 1.0);
}

/// Every input and weight at the end of its range: the sums that an integer kernel may not saturate on the way to.
#[test]
fn extreme_codes_do_not_saturate() {
    use penjing_format::write::{Constant, FullyConnected};
    for (dtype, zero_point, code) in [(DataType::U8, 0, 255_u8), (DataType::I8, 127, 128)] {
        for weight in [-127_i8, 127] {
            let dense = Op::FullyConnected(FullyConnected {
                weights: Constant::i8([3, 2028].into(), vec![0.01], vec![weight; 3 * 2028]),
                bias: None,
                activation: penjing_format::Activation::None,
            });
            let out =
                QuantParams { scale: 0.01 * 0.1 * 255.0 * 127.0 * 2028.0 / 100.0, zero_point: 0 };
            let input = QuantParams { scale: 0.1, zero_point };
            let spec = Spec {
                inputs: vec![support::input_value(dtype, [1, 2028].into(), input)],
                nodes: vec![Node::new(dense, support::i8_value(false, out))],
                ..Spec::default()
            };
            let model = support::model(&spec, PackingChoice::Auto);
            let images = match dtype {
                DataType::U8 => Data::U8(vec![code; 2028]),
                _ => Data::I8(vec![code as i8; 2028]),
            };
            let sign = weight.signum() * if zero_point == 0 { 1 } else { -1 };
            for &isa in support::instruction_sets() {
                let mut session = support::session_on(&model, isa, 1);
                let found = support::run(&mut session, &model, &images, 1).unwrap();
                assert_eq!(found, Data::I8(vec![100 * sign; 3]), "{isa}");
            }
        }
    }
}

/// Sums of a convolution beyond 2^24, where f32 has no odd integers, brought back by the bias to where one step shows.
#[test]
fn sums_that_outgrow_f32_stay_exact() {
    use penjing_format::write::{Constant, Conv2d};
    for channels in [600_u32, 1025, 5000] {
        let sum = 255 * 127 * channels as i32;
        let conv = Op::Conv2d(Conv2d {
            weights: Constant::i8(
                [4, 1, 1, channels].into(),
                vec![1.0],
                vec![127; 4 * channels as usize],
            ),
            bias: Some(Constant::bias((0..4).map(|o| o * 11 - 20 - sum).collect())),
            stride: [1, 1],
            dilation: [1, 1],
            padding: support::padding(0, 0, 0, 0),
            activation: penjing_format::Activation::None,
        });
        let one = QuantParams { scale: 1.0, zero_point: 0 };
        let input = support::input_value(DataType::U8, [1, 1, 1, channels].into(), one);
        let nodes = vec![Node::new(conv, support::i8_value(false, one))];
        let spec = Spec { inputs: vec![input], nodes, ..Spec::default() };
        let model = support::model(&spec, PackingChoice::Auto);
        let images = Data::U8(vec![255; channels as usize]);
        for &isa in support::instruction_sets() {
            let mut session = support::session_on(&model, isa, 1);
            let found = support::run(&mut session, &model, &images, 1).unwrap();
            assert_eq!(found, Data::I8(vec![-20, -9, 2, 13]), "{isa}, {channels}");
        }
    }
}
