//! Single ops of reals: attributes, defaults, what is folded into a layer and what becomes a node.

use penjing_format::{Activation, Padding};

use super::model::{Float, Int, Ints, Model, Tensor, Text, noise, reals};
use super::{assert_close, ops, outputs};
use crate::ir::{Graph, Op};

fn conv(x: &[i64], w: &[i64], attributes: &[(&str, super::model::Attribute<'_>)]) -> Graph {
    let mut m = Model::new();
    let x = m.input(x);
    let w = m.noise(w);
    let y = m.node("Conv", &[&x, &w], attributes);
    m.output(&y).read().unwrap()
}

fn padding(graph: &Graph) -> [u32; 4] {
    let (Op::Conv2d(op) | Op::DepthwiseConv2d(op)) = &graph.nodes[0].op else {
        panic!("not a convolution")
    };
    let Padding { top, bottom, left, right } = op.padding;
    [top, bottom, left, right]
}

#[test]
fn padding_is_stated_or_made_by_auto_pad() {
    let (x, w) = ([1, 1, 6, 7], [2, 1, 3, 2]);
    let stride = || ("strides", Ints(&[2, 2]));
    let auto = |mode| conv(&x, &w, &[("auto_pad", Text(mode)), stride()]);
    assert_eq!(padding(&auto("SAME_UPPER")), [0, 1, 0, 1]);
    assert_eq!(padding(&auto("SAME_LOWER")), [1, 0, 1, 0]);
    assert_eq!(padding(&auto("VALID")), [0; 4]);
    let stated = conv(&x, &w, &[("pads", Ints(&[1, 2, 3, 4])), stride()]);
    assert_eq!(padding(&stated), [1, 3, 2, 4]);
    assert_eq!(stated.nodes[0].output.shape.dims(), [1, 4, 6, 2]);
}

#[test]
fn a_group_a_channel_is_a_depthwise_convolution() {
    let graph = conv(&[1, 2, 1, 1], &[4, 1, 1, 1], &[("group", Int(2))]);
    assert_eq!(ops(&graph), ["depthwise_conv2d"]);
    let w = noise(4);
    let wanted = [w[0], w[1], 10.0 * w[2], 10.0 * w[3]];
    assert_close(&outputs(&graph, &[&[1.0, 10.0]])[0], &wanted);
}

#[test]
fn normalization_and_activation_join_the_layer_before_them() {
    let mut m = Model::new();
    let x = m.input(&[1, 1, 1, 1]);
    let (w, b) = (m.reals(&[2, 1, 1, 1], &[2.0, 3.0]), m.reals(&[2], &[1.0, -1.0]));
    let facts: Vec<String> = [[2.0, 4.0], [0.5, 0.25], [1.0, 2.0], [4.0, 1.0]]
        .iter()
        .map(|values| m.reals(&[2], values))
        .collect();
    let y = m.node("Conv", &[&x, &w, &b], &[]);
    let inputs: Vec<&str> = std::iter::once(&y).chain(&facts).map(String::as_str).collect();
    let y = m.node("BatchNormalization", &inputs, &[("epsilon", Float(0.0))]);
    let y = m.node("Relu", &[&y], &[]);
    let graph = m.output(&y).read().unwrap();
    assert_eq!(ops(&graph), ["conv2d"]);
    // (2x + 1 - 1) / 2 * 2 + 0.5; (3x - 1 - 2) / 1 * 4 + 0.25, not below 0
    assert_close(&outputs(&graph, &[&[3.0]])[0], &[6.5, 24.25]);
    assert_close(&outputs(&graph, &[&[-3.0]])[0], &[0.0, 0.0]);
}

#[test]
fn nothing_is_folded_into_a_layer_that_another_reads() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let (w, c) = (m.reals(&[2, 2], &[1.0, 0.0, 0.0, 1.0]), m.reals(&[1], &[5.0]));
    let y = m.node("MatMul", &[&x, &w], &[]);
    let z = m.node("Add", &[&y, &c], &[]);
    m.output(&y);
    let graph = m.output(&z).read().unwrap();
    assert_eq!(ops(&graph), ["fully_connected", "add"]);
    let found = outputs(&graph, &[&[1.0, 2.0]]);
    assert_eq!(found, [vec![1.0, 2.0], vec![6.0, 7.0]]);
}

#[test]
fn a_gemm_takes_its_factor_and_its_bias() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let (w, b) = (m.reals(&[2, 1], &[1.0, 2.0]), m.reals(&[1], &[0.5]));
    let y = m.node("Gemm", &[&x, &w, &b], &[("alpha", Float(0.5))]);
    let graph = m.output(&y).read().unwrap();
    assert_eq!(outputs(&graph, &[&[2.0, 4.0]])[0], [5.5]);
}

#[test]
fn clips_are_activations() {
    for (low, high, wanted) in [
        (0.0, 6.0, Activation::Relu6),
        (-1.0, 1.0, Activation::ReluN1To1),
        (0.0, f32::INFINITY, Activation::Relu),
        (-0.0, f32::MAX, Activation::Relu),
    ] {
        let mut m = Model::new();
        let x = m.input(&[1, 2]);
        let (low, high) = (m.reals(&[], &[low]), m.reals(&[], &[high]));
        let y = m.node("Clip", &[&x, &low, &high], &[]);
        let graph = m.output(&y).read().unwrap();
        assert!(matches!(graph.nodes[0].op, Op::Relu(found) if found == wanted));
    }
}

#[test]
fn an_average_that_counts_padding_pads_first() {
    let pool = |counts: i64| {
        let mut m = Model::new();
        let x = m.input(&[1, 1, 2, 2]);
        let attributes = [
            ("kernel_shape", Ints(&[2, 2])),
            ("pads", Ints(&[1, 1, 0, 0])),
            ("count_include_pad", Int(counts)),
        ];
        let y = m.node("AveragePool", &[&x], &attributes);
        m.output(&y).read().unwrap()
    };
    assert_eq!(ops(&pool(0)), ["average_pool2d"]);
    assert_eq!(ops(&pool(1)), ["pad", "average_pool2d"]);
    assert_close(&outputs(&pool(0), &[&[4., 8., 12., 16.]])[0], &[4., 6., 8., 10.]);
    assert_close(&outputs(&pool(1), &[&[4., 8., 12., 16.]])[0], &[1., 3., 4., 10.]);
}

#[test]
fn means_over_height_and_width_are_one_op() {
    for (op, attributes, rank) in [
        ("GlobalAveragePool", vec![], 4),
        ("ReduceMean", vec![("axes", Ints(&[2, 3])), ("keepdims", Int(0))], 2),
        ("ReduceMean", vec![("axes", Ints(&[-1, -2]))], 4),
        ("AveragePool", vec![("kernel_shape", Ints(&[2, 2]))], 4),
    ] {
        let mut m = Model::new();
        let x = m.input(&[1, 2, 2, 2]);
        let y = m.node(op, &[&x], &attributes);
        let graph = m.output(&y).read().unwrap();
        assert_eq!(ops(&graph)[0], "mean");
        let output = graph.value(graph.outputs[0]);
        assert_eq!(output.shape.rank(), rank);
        assert_eq!(outputs(&graph, &[&[1., 2., 3., 4., 5., 6., 7., 8.]])[0], [4.0, 5.0]);
    }
}

#[test]
fn differences_and_quotients_by_constants_are_sums_and_products() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let (a, b) = (m.reals(&[], &[127.5]), m.reals(&[2], &[2.0, 4.0]));
    let y = m.node("Sub", &[&x, &a], &[]);
    let y = m.node("Div", &[&y, &b], &[]);
    let graph = m.output(&y).read().unwrap();
    assert_eq!(ops(&graph), ["add", "mul"]);
    assert_eq!(outputs(&graph, &[&[127.5, 129.5]])[0], [0.0, 0.5]);
}

#[test]
fn constants_may_be_nodes_and_raw_bytes() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let mut proto = reals(&[2], &[]);
    proto.raw_data = [1.0_f32, -0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let c = m.node("Constant", &[], &[("value", Tensor(proto))]);
    let y = m.node("Add", &[&x, &c], &[]);
    let y = m.node("Dropout", &[&y], &[]);
    let y = m.node("Identity", &[&y], &[]);
    let graph = m.output(&y).read().unwrap();
    assert_eq!(ops(&graph), ["add"]);
    let found = &outputs(&graph, &[&[1.0, -0.0]])[0];
    assert_eq!(found[..], [2.0, 0.0]);
    assert!(found[1].is_sign_positive());
}

#[test]
fn outputs_have_the_names_of_the_file() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let y = m.node("Tanh", &[&x], &[]);
    let z = m.node("Identity", &[&y], &[]);
    m.output(&y).output(&z).output(&x);
    let graph = m.read().unwrap();
    let names = graph.outputs.iter().map(|&id| graph.value(id).name.as_deref());
    assert!(names.eq([Some("Tanh0"), Some("Identity1"), Some("x")]));
    assert_eq!(graph.inputs[0].name.as_deref(), Some("x"));
}
