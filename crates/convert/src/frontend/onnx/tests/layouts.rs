//! Axis orders: what ONNX has channels first, the graph has channels last, and no element is in another place than it means.

use super::model::{Int, Ints, Model, noise};
use super::{assert_close, ops, outputs};

/// A naive dense layer on a flattened `[C, H, W]` image that is given as `[H, W, C]`.
fn dense_of_image(image: &[f32], [c, h, w]: [usize; 3], weights: &[f32]) -> Vec<f32> {
    let chw = |k: usize| image[(k / w % h * w + k % w) * c + k / (h * w)];
    let rows = weights.chunks(c * h * w);
    rows.map(|row| row.iter().enumerate().map(|(k, v)| v * chw(k)).sum()).collect()
}

fn flattened(flatten: impl Fn(&mut Model, &str) -> String) {
    let mut m = Model::new();
    let x = m.input(&[0, 3, 4, 5]);
    let x = flatten(&mut m, &x);
    let w = m.noise(&[7, 60]);
    let y = m.node("Gemm", &[&x, &w], &[("transB", Int(1))]);
    m.output(&y);
    let graph = m.read().unwrap();
    assert_eq!(graph.inputs[0].shape.dims(), [1, 4, 5, 3]);
    assert_eq!(ops(&graph), ["reshape", "fully_connected"]);
    let image: Vec<f32> = noise(90).split_off(30);
    let wanted = dense_of_image(&image, [3, 4, 5], &noise(420));
    assert_close(&outputs(&graph, &[&image])[0], &wanted);
}

#[test]
fn a_dense_layer_takes_up_the_order_of_a_flattened_image() {
    flattened(|m, x| m.node("Flatten", &[x], &[]));
}

#[test]
fn and_of_a_reshaped_one_with_a_shape_computed_from_the_batch() {
    flattened(|m, x| {
        let shape = m.node("Shape", &[x], &[]);
        let at = m.integers(&[0]);
        let batch = m.node("Gather", &[&shape, &at], &[]);
        let rest = m.integers(&[-1]);
        let target = m.node("Concat", &[&batch, &rest], &[("axis", Int(0))]);
        m.node("Reshape", &[x, &target], &[])
    });
}

#[test]
fn ops_between_the_flattening_and_the_layer_keep_the_order() {
    let mut m = Model::new();
    let x = m.input(&[0, 3, 4, 5]);
    let x = m.node("Flatten", &[&x], &[]);
    let c = m.noise(&[60]);
    let x = m.node("Add", &[&x, &c], &[]);
    let w = m.noise(&[7, 60]);
    let y = m.node("Gemm", &[&x, &w], &[("transB", Int(1))]);
    m.output(&y);
    let graph = m.read().unwrap();
    let image = noise(60);
    let chw = noise(60);
    let sum = |k: usize| image[k] + chw[k % 3 * 20 + k / 3];
    let summed: Vec<f32> = (0..60).map(sum).collect();
    let wanted = dense_of_image(&summed, [3, 4, 5], &noise(420));
    assert_close(&outputs(&graph, &[&image])[0], &wanted);
}

#[test]
fn a_file_that_is_nhwc_itself_stays_as_it_is() {
    let mut m = Model::new();
    let x = m.input(&[0, 5, 4, 2]);
    let x = m.node("Transpose", &[&x], &[("perm", Ints(&[0, 3, 1, 2]))]);
    let w = m.noise(&[3, 2, 2, 2]);
    let x = m.node("Conv", &[&x, &w], &[]);
    let y = m.node("Transpose", &[&x], &[("perm", Ints(&[0, 2, 3, 1]))]);
    m.output(&y);
    let graph = m.read().unwrap();
    assert_eq!(ops(&graph), ["conv2d"]);
    assert_eq!(graph.inputs[0].shape.dims(), [1, 5, 4, 2]);
    assert_eq!(graph.nodes[0].output.shape.dims(), [1, 4, 3, 3]);
}

#[test]
fn one_channel_is_turned_by_a_reshape() {
    let mut m = Model::new();
    let x = m.input(&[0, 4, 6, 1]);
    let shape = m.integers(&[-1, 1, 4, 6]);
    let x = m.node("Reshape", &[&x, &shape], &[]);
    let w = m.noise(&[2, 1, 3, 3]);
    let y = m.node("Conv", &[&x, &w], &[]);
    m.output(&y);
    let graph = m.read().unwrap();
    assert_eq!(ops(&graph), ["conv2d"]);
    assert_eq!(graph.inputs[0].shape.dims(), [1, 4, 6, 1]);
}

#[test]
fn constants_broadcast_by_onnx_axes() {
    let mut m = Model::new();
    let x = m.input(&[1, 2, 2, 3]);
    let per_channel = m.reals(&[1, 2, 1, 1], &[10.0, 20.0]);
    let per_column = m.reals(&[3], &[1.0, 2.0, 3.0]);
    let x = m.node("Add", &[&x, &per_channel], &[]);
    let x = m.node("Mul", &[&x, &per_column], &[]);
    m.output(&x);
    let graph = m.read().unwrap();
    let wanted = [10., 20., 20., 40., 30., 60., 10., 20., 20., 40., 30., 60.];
    assert_close(&outputs(&graph, &[&[0.0; 12]])[0], &wanted);
}

#[test]
fn a_gate_of_the_channels_is_multiplied_with_the_image() {
    let mut m = Model::new();
    let x = m.input(&[1, 2, 2, 2]);
    let gate = m.node("GlobalAveragePool", &[&x], &[]);
    let y = m.node("Mul", &[&x, &gate], &[]);
    m.output(&y);
    let graph = m.read().unwrap();
    let found = outputs(&graph, &[&[1., 2., 3., 4., 5., 6., 7., 8.]]);
    assert_close(&found[0], &[4., 10., 12., 20., 20., 30., 28., 40.]);
}

#[test]
fn one_dimension_is_two_of_height_one() {
    let mut m = Model::new();
    let x = m.input(&[1, 2, 4]);
    let w = m.reals(&[1, 2, 2], &[1.0, 2.0, 10.0, 20.0]);
    let y = m.node("Conv", &[&x, &w], &[]);
    m.output(&y);
    let graph = m.read().unwrap();
    assert_eq!(graph.inputs[0].shape.dims(), [1, 4, 2]);
    assert_eq!(graph.value(graph.outputs[0]).shape.dims(), [1, 3, 1]);
    // (step, channel) pairs
    let found = outputs(&graph, &[&[1., 5., 2., 6., 3., 7., 4., 8.]]);
    assert_close(&found[0], &[1. + 4. + 50. + 120., 2. + 6. + 60. + 140., 3. + 8. + 70. + 160.]);
}

#[test]
fn a_dense_layer_at_each_step_is_a_convolution() {
    let mut m = Model::new();
    let x = m.input(&[1, 2, 3]);
    let x = m.node("Transpose", &[&x], &[("perm", Ints(&[0, 2, 1]))]);
    let w = m.reals(&[2, 1], &[1.0, 10.0]);
    let y = m.node("MatMul", &[&x, &w], &[]);
    m.output(&y);
    let graph = m.read().unwrap();
    let found = outputs(&graph, &[&[1., 2., 3., 4., 5., 6.]]);
    // the channels of each step lie together
    assert_eq!(graph.inputs[0].shape.dims(), [1, 3, 2]);
    assert_close(&found[0], &[21., 43., 65.]);
}

#[test]
fn channels_are_joined_at_the_end() {
    let mut m = Model::new();
    let x = m.input(&[1, 2, 1, 2]);
    let y = m.node("Concat", &[&x, &x], &[("axis", Int(1))]);
    let pads = m.integers(&[0, 1, 0, 0, 0, 0, 0, 1]);
    let y = m.node("Pad", &[&y, &pads], &[]);
    m.output(&y);
    let graph = m.read().unwrap();
    let found = outputs(&graph, &[&[1., 2., 3., 4.]]);
    let wanted = [0., 1., 2., 1., 2., 0., 3., 4., 3., 4., 0., 0., 0., 0., 0.];
    assert_close(&found[0], &wanted);
}

#[test]
fn nodes_may_stand_in_any_order_and_dead_ones_may_be_anything() {
    let mut m = Model::new();
    let x = m.input(&[1, 4]);
    let a = m.node("Sigmoid", &[&x], &[]);
    m.node("Erf", &[&x], &[]);
    let b = m.node("Tanh", &[&a], &[]);
    m.output(&b);
    m.graph().node.reverse();
    assert_eq!(ops(&m.read().unwrap()), ["logistic", "tanh"]);
}
