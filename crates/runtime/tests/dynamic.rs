//! Layers that quantize their input as it comes, on every instruction set against the oracle: reals within
//! `1e-5 * (sum |q * w| + |bias|)`, which a code one step off would exceed.

mod support;

use penjing_format::write::{Model as Spec, Op, PackingChoice};
use penjing_format::{DataType, Shape};
use penjing_runtime::Model;
use proptest::prelude::*;
use support::Data;

/// Puts int8 weights where the spec has reals.
fn with_int8_weights(spec: &mut Spec, seed: u64) {
    for (node, seed) in spec.nodes.iter_mut().zip(seed..) {
        let weights = match &mut node.op {
            Op::Conv2d(op) => &mut op.weights,
            Op::FullyConnected(op) => &mut op.weights,
            _ => continue,
        };
        *weights = support::weights(weights.shape, false, seed.is_multiple_of(3), seed);
    }
}

fn conforms_on(model: &Model, images: &Data, count: usize) {
    for &isa in support::instruction_sets() {
        let mut session = support::session_on(model, isa, 1);
        let results = support::run(&mut session, model, images, count).unwrap();
        support::check(isa, model, images, &results, count, 1.0);
    }
}

fn conforms(mut spec: Spec, seed: u64) {
    with_int8_weights(&mut spec, seed);
    let model = support::model(&spec, support::some_packing(&spec, seed));
    let info = model.inputs().next().unwrap();
    conforms_on(&model, &Data::noise(info.dtype, 3 * info.shape.elements().unwrap(), seed), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn convolutions(case in support::conv_case()) {
        let case = support::ConvCase { dtype: DataType::F32, ..case };
        if let Some(spec) = case.spec() {
            conforms(spec, case.seed);
        }
    }

    /// Each pixel is quantized by itself.
    #[test]
    fn pointwise_convolutions(case in support::conv_case(), alone: bool) {
        let (dtype, kernel, stride) = (DataType::F32, [1, 1], [1, 1]);
        let pads = if alone { [0; 4] } else { case.pads };
        let case = support::ConvCase { dtype, kernel, stride, pads, ..case };
        if let Some(spec) = case.spec() {
            conforms(spec, case.seed);
        }
    }

    #[test]
    fn dense_layers(features in 1..700_u32, out in 1..80_u32, seed: u64) {
        conforms(support::dense_spec(DataType::F32, features, out, seed), seed);
    }
}

/// Reals, convolution, pool and dense layer: what one yields, the next quantizes.
#[test]
fn a_network_of_both() {
    let mut spec = support::network_spec(DataType::F32);
    let Op::FullyConnected(dense) = &mut spec.nodes[3].op else { panic!("a dense layer") };
    dense.weights = support::weights(dense.weights.shape, false, true, 5);
    let model = support::model(&spec, PackingChoice::Auto);
    conforms_on(&model, &Data::noise(DataType::F32, 3 * 12 * 14, 9), 3);
}

/// Images that have one value, whole or in most pixels, and images of very unlike magnitudes.
#[test]
fn images_without_a_range() {
    let case = |kernel, pads| support::ConvCase {
        dtype: DataType::F32,
        input: [5, 4, 6],
        kernel,
        out_channels: 20,
        stride: [1, 1],
        dilation: [1, 1],
        pads,
        pool: None,
        seed: 4,
    };
    for (kernel, pads) in [([3, 3], [1; 4]), ([1, 1], [0; 4]), ([1, 1], [1, 0, 0, 2])] {
        let mut spec = case(kernel, pads).spec().unwrap();
        with_int8_weights(&mut spec, 8);
        let model = support::model(&spec, PackingChoice::Auto);
        let len = Shape::from([1, 5, 4, 6]).elements().unwrap();
        let mut images = vec![0.0_f32; 4 * len];
        images[len..2 * len].fill(-2.5);
        images[2 * len + 3] = 7.0;
        for (at, x) in images[3 * len..].iter_mut().enumerate() {
            *x = (at % 7) as f32 * 10.0_f32.powi(at as i32 / 6 - 25);
        }
        conforms_on(&model, &Data::F32(images), 4);
    }
}
