//! QDQ: which patterns become integers, and that each becomes exactly those that the file states.

use penjing_format::{Activation, DataType, QuantParams};

use super::model::{FLOAT, INT8, Int, Ints, Model, UINT8};
use super::ops;
use crate::ir::{Bias, Graph, Op, WeightData};

/// Input, QDQ, `Conv` with per-channel weights and a bias in its units, then what `after` makes, QDQ.
fn conv(elem_type: i32, shift: i32, after: impl Fn(&mut Model, &str) -> String) -> Model {
    let mut m = Model::new();
    let x = m.input(&[1, 2, 3, 3]);
    let grid = m.grid(elem_type, 0.5, 3 + shift);
    let x = m.qdq(&x, &grid);
    let w = m.codes(INT8, &[2, 2, 1, 1], &[1, -2, 3, -128]);
    let (scales, zeros) = (m.reals(&[2], &[0.25, 0.125]), m.codes(INT8, &[2], &[0, 0]));
    let w = m.node("DequantizeLinear", &[&w, &scales, &zeros], &[("axis", Int(0))]);
    let b = m.codes(6, &[2], &[1000, -7]);
    let b_scales = m.reals(&[2], &[0.125, 0.0625]);
    let b = m.node("DequantizeLinear", &[&b, &b_scales], &[("axis", Int(0))]);
    let y = m.node("Conv", &[&x, &w, &b], &[]);
    let y = after(&mut m, &y);
    let grid = m.grid(elem_type, 2.0, -5 + shift);
    let y = m.quantize(&y, &grid);
    m.output(&y);
    m
}

fn check_conv(graph: &Graph, activation: Activation) {
    assert_eq!(ops(graph), ["quantize", "conv2d"]);
    let Op::Conv2d(op) = &graph.nodes[1].op else { panic!("not a convolution") };
    assert_eq!(op.weights.data, WeightData::I8(vec![1, -2, 3, -128], vec![0.25, 0.125]));
    assert_eq!(op.bias, Bias::I32(vec![1000, -7]));
    assert_eq!(op.activation, activation);
    let grids = graph.nodes.iter().map(|node| (node.output.dtype, node.output.quantization));
    let wanted = [(0.5, 3), (2.0, -5)];
    let wanted = wanted.map(|(scale, zero_point)| Some(QuantParams { scale, zero_point }));
    assert!(grids.eq(wanted.map(|grid| (DataType::I8, grid))));
}

#[test]
fn a_layer_between_dequantize_and_quantize_is_one_of_integers() {
    check_conv(&conv(INT8, 0, |_, y| y.to_owned()).read().unwrap(), Activation::None);
}

#[test]
fn its_activation_is_fused() {
    let graph = conv(INT8, 0, |m, y| m.node("Relu", &[y], &[])).read().unwrap();
    check_conv(&graph, Activation::Relu);
    let clip = |m: &mut Model, y: &str| {
        let (low, high) = (m.reals(&[], &[0.0]), m.reals(&[], &[6.0]));
        m.node("Clip", &[y, &low, &high], &[])
    };
    check_conv(&conv(INT8, 0, clip).read().unwrap(), Activation::Relu6);
}

#[test]
fn unsigned_codes_are_shifted() {
    check_conv(&conv(UINT8, 128, |_, y| y.to_owned()).read().unwrap(), Activation::None);
}

/// A dense layer of integers on the graph's input, whose weights are of a type around a zero point.
fn dense(elem_type: i32, codes: &[i32], zero_point: i32) -> Model {
    let mut m = Model::new();
    let x = m.input_of("x", UINT8, &[0, 2]);
    let grid = m.grid(UINT8, 0.5, 7);
    let x = m.dequantize(&x, &grid);
    let w = m.codes(elem_type, &[2, 2], codes);
    let w_grid = m.grid(elem_type, 0.25, zero_point);
    let w = m.dequantize(&w, &w_grid);
    let y = m.node("MatMul", &[&x, &w], &[]);
    let y = m.qdq(&y, &grid);
    m.output(&y);
    m
}

#[test]
fn an_input_of_pixels_stays_unsigned_and_weights_around_128_are_symmetric() {
    for model in [dense(INT8, &[1, 2, 3, 4], 0), dense(UINT8, &[129, 130, 131, 132], 128)] {
        let graph = model.read().unwrap();
        assert_eq!(ops(&graph), ["fully_connected", "dequantize"]);
        assert_eq!(graph.inputs[0].dtype, DataType::U8);
        let grid = QuantParams { scale: 0.5, zero_point: 7 };
        assert_eq!(graph.inputs[0].quantization, Some(grid));
        let Op::FullyConnected(op) = &graph.nodes[0].op else { panic!("not a dense layer") };
        // [in, out] to [out, in]
        assert_eq!(op.weights.data, WeightData::I8(vec![1, 3, 2, 4], vec![0.25]));
    }
}

#[test]
fn weights_off_their_middle_are_refused() {
    let error = dense(INT8, &[1, 2, 3, 4], 1).read().unwrap_err().to_string();
    assert!(error.contains("symmetric") && error.contains("MatMul"), "{error}");
    assert!(dense(UINT8, &[1, 2, 3, 4], 127).read().is_err());
}

#[test]
fn weights_that_the_file_holds_as_reals_are_quantized_as_it_says() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let grid = m.grid(INT8, 0.5, 0);
    let x = m.qdq(&x, &grid);
    // ties to even; clamped
    let w = m.reals(&[2, 2], &[0.25, 0.75, -0.5, 100.0]);
    let w_grid = m.grid(INT8, 0.5, 0);
    let w = m.qdq(&w, &w_grid);
    let b = m.reals(&[2], &[1.0, 0.125]);
    let y = m.node("Gemm", &[&x, &w, &b], &[("transB", Int(1))]);
    let y = m.quantize(&y, &grid);
    let graph = m.output(&y).read().unwrap();
    let Op::FullyConnected(op) = &graph.nodes[1].op else { panic!("not a dense layer") };
    assert_eq!(op.weights.data, WeightData::I8(vec![0, 2, -1, 127], vec![0.5]));
    // a bias of reals is rounded to units of 0.5 times 0.5
    assert_eq!(op.bias, Bias::I32(vec![4, 0]));
}

#[test]
fn scales_may_lie_along_the_columns_of_a_matrix() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let grid = m.grid(INT8, 0.5, 0);
    let x = m.qdq(&x, &grid);
    let w = m.reals(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let (scales, zeros) = (m.reals(&[3], &[1.0, 0.5, 0.25]), m.codes(INT8, &[3], &[0, 0, 0]));
    let w = m.node("QuantizeLinear", &[&w, &scales, &zeros], &[("axis", Int(1))]);
    let w = m.node("DequantizeLinear", &[&w, &scales, &zeros], &[("axis", Int(-1))]);
    let y = m.node("MatMul", &[&x, &w], &[]);
    let y = m.quantize(&y, &grid);
    let graph = m.output(&y).read().unwrap();
    let Op::FullyConnected(op) = &graph.nodes[1].op else { panic!("not a dense layer") };
    let wanted = WeightData::I8(vec![1, 4, 4, 10, 12, 24], vec![1.0, 0.5, 0.25]);
    assert_eq!(op.weights.data, wanted);
}

#[test]
fn what_only_moves_codes_keeps_their_grid() {
    let mut m = Model::new();
    let x = m.input_of("x", INT8, &[1, 1, 4, 4]);
    let grid = m.grid(INT8, 0.5, -3);
    let x = m.dequantize(&x, &grid);
    let pool = [("kernel_shape", Ints(&[2, 2])), ("strides", Ints(&[2, 2]))];
    let y = m.node("MaxPool", &[&x], &pool);
    let y = m.qdq(&y, &grid);
    let y = m.node("Relu", &[&y], &[]);
    let y = m.node("Flatten", &[&y], &[]);
    let y = m.quantize(&y, &grid);
    let graph = m.output(&y).read().unwrap();
    assert_eq!(ops(&graph), ["max_pool2d", "relu", "reshape"]);
    assert!(graph.nodes.iter().all(|node| node.output.dtype == DataType::I8));
}

#[test]
fn sums_products_and_joins_have_the_grids_that_are_stated() {
    let mut m = Model::new();
    let x = m.input(&[1, 2, 2, 2]);
    let (grid, other) = (m.grid(INT8, 0.5, 1), m.grid(INT8, 0.25, 2));
    let a = m.qdq(&x, &grid);
    let y = m.node("Add", &[&a, &a], &[]);
    let b = m.qdq(&y, &other);
    let c = m.codes(INT8, &[1, 2, 1, 1], &[5, -6]);
    let c_grid = m.grid(INT8, 0.125, 9);
    let c = m.dequantize(&c, &c_grid);
    let y = m.node("Mul", &[&b, &c], &[]);
    let d = m.qdq(&y, &other);
    let y = m.node("Concat", &[&a, &d], &[("axis", Int(1))]);
    let y = m.quantize(&y, &other);
    let graph = m.output(&y).read().unwrap();
    assert_eq!(ops(&graph), ["quantize", "add", "mul", "quantize", "concat"]);
    let Op::Mul(op) = &graph.nodes[2].op else { panic!("not a product") };
    let operand = op.operand.as_ref().unwrap();
    assert_eq!(operand.data, WeightData::I8(vec![5, -6], vec![0.125]));
    assert_eq!(operand.zero_point, 9);
    let last = graph.nodes[4].output.quantization;
    assert_eq!(last, Some(QuantParams { scale: 0.25, zero_point: 2 }));
}

#[test]
fn what_the_file_computes_in_reals_stays_so() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let grid = m.grid(INT8, 0.5, 1);
    let x = m.qdq(&x, &grid);
    let y = m.node("Softmax", &[&x], &[]);
    m.output(&y);
    let graph = m.read().unwrap();
    assert_eq!(ops(&graph), ["quantize", "dequantize", "softmax"]);
}

/// The error of a dense layer whose input, weights and output are quantized, or not.
fn mixed(input: bool, weights: bool, output: bool) -> Result<Graph, crate::ImportError> {
    let mut m = Model::new();
    let mut x = m.input_of("x", FLOAT, &[1, 2]);
    let (grid, w_grid) = (m.grid(INT8, 0.5, 1), m.grid(INT8, 0.5, 0));
    let mut w = m.reals(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    if input {
        x = m.qdq(&x, &grid);
    }
    if weights {
        w = m.qdq(&w, &w_grid);
    }
    let mut y = m.node("MatMul", &[&x, &w], &[]);
    if output {
        y = m.qdq(&y, &grid);
    }
    m.output(&y);
    m.read()
}

#[test]
fn a_layer_is_of_integers_or_of_reals_and_nothing_between() {
    assert!(mixed(true, true, true).is_ok() && mixed(false, false, false).is_ok());
    // quantized, but not for this layer
    assert!(mixed(true, false, false).is_ok() && mixed(false, false, true).is_ok());
    for [input, weights, output] in
        [[true, true, false], [false, true, true], [false, true, false], [true, false, true]]
    {
        let error = mixed(input, weights, output).unwrap_err().to_string();
        assert!(error.contains("(MatMul MatMul") && error.contains("quantized"), "{error}");
    }
}

#[test]
fn codes_are_read_on_the_grid_on_which_they_were_made() {
    let mut m = Model::new();
    let x = m.input(&[1, 2]);
    let (grid, other) = (m.grid(INT8, 0.5, 1), m.grid(INT8, 0.25, 1));
    let x = m.quantize(&x, &grid);
    let x = m.dequantize(&x, &other);
    let error = m.output(&x).read().unwrap_err().to_string();
    assert!(error.contains("scale 0.5, zero point 1"), "{error}");
}

#[test]
fn sums_that_could_leave_32_bits_are_refused() {
    let model = |bias: i32| {
        let mut m = Model::new();
        let x = m.input(&[1, 1]);
        let grid = m.grid(INT8, 0.5, 1);
        let x = m.qdq(&x, &grid);
        let w = m.codes(INT8, &[1, 1], &[127]);
        let w_grid = m.grid(INT8, 0.5, 0);
        let w = m.dequantize(&w, &w_grid);
        let (b, b_scale) = (m.codes(6, &[1], &[bias]), m.reals(&[], &[0.25]));
        let b = m.node("DequantizeLinear", &[&b, &b_scale], &[]);
        let y = m.node("Gemm", &[&x, &w, &b], &[]);
        let y = m.qdq(&y, &grid);
        m.output(&y).read()
    };
    assert!(model(i32::MAX - 255 * 127).is_ok());
    let error = model(i32::MAX - 255 * 127 + 1).unwrap_err().to_string();
    assert!(error.contains("output channel 0"), "{error}");
}

#[test]
fn an_average_on_another_grid_is_rounded_once() {
    let pool = |scale: f32| {
        let mut m = Model::new();
        let x = m.input_of("x", INT8, &[1, 1, 3, 3]);
        let (grid, other) = (m.grid(INT8, 0.5, 0), m.grid(INT8, scale, 0));
        let x = m.dequantize(&x, &grid);
        let y = m.node("AveragePool", &[&x], &[("kernel_shape", Ints(&[2, 2]))]);
        let y = m.quantize(&y, &other);
        m.output(&y).read().unwrap()
    };
    assert_eq!(ops(&pool(0.5)), ["average_pool2d"]);
    let graph = pool(0.25);
    assert_eq!(ops(&graph), ["depthwise_conv2d"]);
    // 1 + 2 + 3 + 4 halves over 4, in quarters: 5
    let codes = [1., 2., 0., 3., 4., 0., 0., 0., 0.].map(|q: f32| q * 0.5);
    assert_eq!(super::outputs(&graph, &[&codes])[0][0], 1.25);
}
