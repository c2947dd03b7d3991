//! What the TFLite front end makes of small files: which nodes, shapes, constants and grids. Files that it refuses are
//! tflite_refusals.rs's, broken bytes tflite_hostile.rs's.

mod support;

use penjing_convert::ir::{Bias, Graph, Op, WeightData};
use penjing_convert::tflite;
use penjing_format::{Activation, DataType, Padding, QuantParams};

use support::fb::{self, BuiltinOperator as Code};
use support::nets::*;
use support::{Level, Net, Operator, Sparsity, Tensor};

fn graph(net: &Net) -> Graph {
    tflite::read(&net.bytes(), "test").unwrap_or_else(|error| panic!("{error}"))
}

/// The nodes' ops and output shapes.
fn outline(graph: &Graph) -> Vec<(&'static str, Vec<u32>)> {
    graph.nodes.iter().map(|node| (node.op.name(), node.output.shape.dims().to_vec())).collect()
}

#[test]
fn a_convolution_of_reals() {
    let graph = graph(&conv());
    assert_eq!(outline(&graph), [("conv2d", vec![1, 3, 2, 3])]);
    assert_eq!((graph.inputs.len(), &graph.outputs[..]), (1, &[1][..]));
    let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!("{:?}", graph.nodes[0]) };
    assert_eq!(conv.weights.shape, [3, 3, 3, 2]);
    assert_eq!(conv.padding, Padding::default());
    let Bias::F32(bias) = &conv.bias else { panic!("{:?}", conv.bias) };
    // no -0 reaches the graph
    assert_eq!(
        bias.iter().map(|b| b.to_bits()).collect::<Vec<_>>(),
        [1.0_f32, 0.0, 2.0].map(f32::to_bits)
    );
}

#[test]
fn int8_weights_beside_reals_stay_so() {
    let mut net = conv();
    net.tensors[1] = Tensor::codes(&[3, 3, 3, 2], &[7; 54], &[0.5, 0.25, 0.125]);
    let graph = graph(&net);
    let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!("{:?}", graph.nodes[0]) };
    assert_eq!(conv.weights.data, WeightData::I8(vec![7; 54], vec![0.5, 0.25, 0.125]));
    assert_eq!(conv.bias, Bias::F32(vec![1.0, 0.0, 2.0]));
    assert_eq!(
        (graph.nodes[0].output.dtype, graph.nodes[0].output.quantization),
        (DataType::F32, None)
    );
    assert!(graph.nodes[0].op.is_dynamic());
}

#[test]
fn a_convolution_of_integers() {
    let mut net = conv_i8();
    let fused_activation_function = fb::ActivationFunctionType::RELU6;
    let options = fb::Conv2DOptionsArgs { fused_activation_function, ..conv_options() };
    net.operators[0] = conv_op(&[0, 1, 2], 3, options);
    let graph = graph(&net);
    let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!("{:?}", graph.nodes[0]) };
    assert_eq!(conv.weights.data, WeightData::I8(vec![7; 54], vec![0.5, 0.25, 0.125]));
    assert_eq!(conv.bias, Bias::I32(vec![1, 2, 3]));
    assert_eq!(conv.activation, Activation::Relu6);
    let output = &graph.nodes[0].output;
    assert_eq!(output.dtype, DataType::I8);
    assert_eq!(output.quantization, Some(QuantParams { scale: 2.0, zero_point: 3 }));
}

#[test]
fn same_padding_puts_the_odd_one_last() {
    let mut net = conv();
    let options = fb::Conv2DOptionsArgs {
        padding: fb::Padding::SAME,
        stride_h: 2,
        stride_w: 1,
        dilation_w_factor: 2,
        ..conv_options()
    };
    net.operators[0] = conv_op(&[0, 1, 2], 3, options);
    net.tensors[0].shape = vec![1, 6, 5, 2];
    net.tensors[3].shape = vec![1, 3, 5, 3];
    let graph = graph(&net);
    let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!("{:?}", graph.nodes[0]) };
    assert_eq!(conv.padding, Padding { top: 0, bottom: 1, left: 2, right: 2 });
    assert_eq!((conv.stride, conv.dilation), ([2, 1], [1, 2]));
}

#[test]
fn a_depthwise_convolution_multiplies_channels() {
    let options = fb::DepthwiseConv2DOptionsArgs {
        padding: fb::Padding::VALID,
        stride_w: 1,
        stride_h: 1,
        depth_multiplier: 3,
        ..Default::default()
    };
    let tensors = vec![
        Tensor::i8(&[1, 3, 3, 2], 0.5, 0),
        Tensor { axis: 3, ..Tensor::codes(&[1, 2, 2, 6], &[1; 24], &[0.5; 6]) },
        Tensor::ints(&[6], &[0; 6]),
        Tensor::i8(&[1, 2, 2, 6], 2.0, 3),
    ];
    let graph = graph(&Net::new(tensors, vec![depthwise_op(&[0, 1, 2], 3, options)], &[0], &[3]));
    let Op::DepthwiseConv2d(conv) = &graph.nodes[0].op else { panic!("{:?}", graph.nodes[0]) };
    assert_eq!((conv.weights.out_channels(), &conv.weights.shape[..]), (6, &[1, 2, 2, 6][..]));
}

#[test]
fn dense_layers_flatten_their_input_or_keep_its_rows() {
    let dense = |shape: &[i32], out: &[i32], keep_num_dims| {
        let tensors = vec![Tensor::f32(shape), Tensor::reals(&[2, 4], &[1.0; 8]), Tensor::f32(out)];
        let options = fb::FullyConnectedOptionsArgs { keep_num_dims, ..Default::default() };
        // the bias is left out
        outline(&graph(&Net::new(tensors, vec![dense_op(&[0, 1, -1], 2, options)], &[0], &[2])))
    };
    let layer = ("fully_connected", vec![1, 2]);
    assert_eq!(dense(&[1, 4], &[1, 2], false), std::slice::from_ref(&layer));
    assert_eq!(dense(&[1, 2, 1, 2], &[1, 2], false), [("reshape", vec![1, 4]), layer.clone()]);
    assert_eq!(
        dense(&[1, 1, 1, 4], &[1, 1, 1, 2], true),
        [("reshape", vec![1, 4]), layer, ("reshape", vec![1, 1, 1, 2])]
    );
    let rows =
        |end| [("reshape", vec![1, 1, 3, 4]), ("conv2d", vec![1, 1, 3, 2]), ("reshape", end)];
    assert_eq!(dense(&[1, 3, 4], &[1, 3, 2], true), rows(vec![1, 3, 2]));
    assert_eq!(dense(&[1, 3, 4], &[3, 2], false), rows(vec![1, 3, 2]));
}

#[test]
fn a_pool_with_an_activation_is_two_nodes() {
    let options = fb::Pool2DOptionsArgs {
        padding: fb::Padding::SAME,
        stride_w: 2,
        stride_h: 2,
        filter_width: 2,
        filter_height: 3,
        fused_activation_function: fb::ActivationFunctionType::RELU,
    };
    let tensors = vec![Tensor::i8(&[1, 4, 5, 2], 0.5, 0), Tensor::i8(&[1, 2, 3, 2], 0.5, 0)];
    let operator = pool_op(Code::AVERAGE_POOL_2D, 0, 1, options);
    let graph = graph(&Net::new(tensors, vec![operator], &[0], &[1]));
    let shape = vec![1, 2, 3, 2];
    assert_eq!(outline(&graph), [("average_pool2d", shape.clone()), ("relu", shape)]);
    let Op::AveragePool2d(pool) = graph.nodes[0].op else { panic!("{:?}", graph.nodes[0]) };
    assert_eq!((pool.window, pool.stride), ([3, 2], [2, 2]));
    assert_eq!(pool.padding, Padding { top: 0, bottom: 1, left: 0, right: 1 });
}

#[test]
fn means_keep_dimensions_by_a_reshape() {
    let mean = |axes: &[i32], out: &[i32], keep| {
        let tensors = vec![Tensor::f32(&[1, 4, 5, 2]), Tensor::ints(&[2], axes), Tensor::f32(out)];
        outline(&graph(&Net::new(tensors, vec![mean_op(&[0, 1], 2, keep)], &[0], &[2])))
    };
    assert_eq!(mean(&[2, 1], &[1, 2], false), [("mean", vec![1, 2])]);
    let kept = [("mean", vec![1, 2]), ("reshape", vec![1, 1, 1, 2])];
    assert_eq!(mean(&[-3, -2], &[1, 1, 1, 2], true), kept);
}

#[test]
fn operands_of_other_ranks_are_aligned() {
    let tensors =
        vec![Tensor::f32(&[1, 4, 5, 2]), Tensor::f32(&[1, 2]), Tensor::f32(&[1, 4, 5, 2])];
    let operator = Operator::new(Code::MUL, &[0, 1], &[2]);
    let graph = graph(&Net::new(tensors, vec![operator], &[0, 1], &[2]));
    assert_eq!(outline(&graph), [("reshape", vec![1, 1, 1, 2]), ("mul", vec![1, 4, 5, 2])]);
    assert_eq!(graph.nodes[1].inputs, [0, 2]);
}

#[test]
fn constants_are_one_element_a_channel_or_a_sample() {
    let constant = |code, dims: &[i32], data: &[f32], first| {
        let tensors =
            vec![Tensor::f32(&[1, 2, 2]), Tensor::reals(dims, data), Tensor::f32(&[1, 2, 2])];
        let inputs = if first { [1, 0] } else { [0, 1] };
        let graph = graph(&one(code, &inputs, tensors));
        let (Op::Add(binary) | Op::Mul(binary)) = &graph.nodes.last().expect("a node").op else {
            panic!("{graph:?}")
        };
        let operand = binary.operand.clone().expect("an operand");
        let WeightData::F32(data, None) = operand.data else { panic!("{operand:?}") };
        (graph.nodes.len(), data)
    };
    assert_eq!(constant(Code::ADD, &[], &[3.0], false), (1, vec![3.0]));
    assert_eq!(constant(Code::MUL, &[1, 1, 2], &[3.0, 4.0], true), (1, vec![3.0, 4.0]));
    let spread = vec![3.0, 3.0, 4.0, 4.0];
    assert_eq!(constant(Code::MUL, &[2, 1], &[3.0, 4.0], false), (1, spread));
    assert_eq!(constant(Code::SUB, &[1], &[3.0], false), (1, vec![-3.0]));
    // 3 - x is x * -1 + 3
    assert_eq!(constant(Code::SUB, &[1], &[3.0], true), (2, vec![3.0]));
    assert_eq!(constant(Code::DIV, &[1], &[4.0], false), (1, vec![0.25]));
}

#[test]
fn a_constant_of_integers_is_subtracted_to_the_bit() {
    let value = |scale| Tensor::i8(&[1, 3], scale, 0);
    let constant =
        Tensor { zero_points: vec![-128], ..Tensor::codes(&[3], &[-128, 0, 127], &[0.5]) };
    let graph = graph(&one(Code::SUB, &[0, 1], vec![value(0.25), constant, value(0.5)]));
    let Op::Add(binary) = &graph.nodes[0].op else { panic!("{graph:?}") };
    let operand = binary.operand.as_ref().expect("an operand");
    let WeightData::I8(codes, scales) = &operand.data else { panic!("{operand:?}") };
    let reals = codes.iter().map(|&code| i32::from(code) - operand.zero_point);
    assert_eq!((reals.collect::<Vec<_>>(), &scales[..]), (vec![0, -128, -255], &[0.5][..]));
}

#[test]
fn concatenation_puts_all_inputs_on_one_grid() {
    let tensors = vec![
        Tensor::i8(&[1, 2, 3], 0.5, 0),
        Tensor::i8(&[1, 2, 1], 0.25, 0),
        Tensor::i8(&[1, 2, 4], 0.5, 0),
    ];
    let graph = graph(&Net::new(tensors, vec![concat_op(&[0, 1], 2, -1)], &[0, 1], &[2]));
    assert_eq!(outline(&graph), [("quantize", vec![1, 2, 1]), ("concat", vec![1, 2, 4])]);
    assert_eq!(graph.nodes[1].inputs, [0, 2]);
    assert!(matches!(graph.nodes[1].op, Op::Concat { axis: 2 }));
}

#[test]
fn padding_leaves_out_the_batch() {
    let paddings = Tensor::ints(&[3, 2], &[0, 0, 1, 2, 0, 3]);
    let zero = Tensor::codes(&[], &[-7], &[0.5]);
    let value = |shape: &[i32]| Tensor::i8(shape, 0.5, -7);
    let tensors = vec![value(&[1, 2, 2]), paddings, zero, value(&[1, 5, 5])];
    let graph = graph(&one(Code::PADV2, &[0, 1, 2], tensors));
    let Op::Pad(pads) = &graph.nodes[0].op else { panic!("{graph:?}") };
    assert_eq!(pads[..], [[1, 2], [0, 3]]);
}

#[test]
fn shapes_without_a_batch_get_one() {
    let mut tensors = vec![Tensor::f32(&[1, 1, 1, 6]), Tensor::f32(&[6])];
    let squeezed = Net::new(tensors.clone(), vec![squeeze_op(0, 1, &[])], &[0], &[1]);
    assert_eq!(outline(&graph(&squeezed)), [("reshape", vec![1, 6])]);
    tensors[1] = Tensor::f32(&[1, 1, 6]);
    let squeezed = Net::new(tensors, vec![squeeze_op(0, 1, &[-2])], &[0], &[1]);
    assert_eq!(outline(&graph(&squeezed)), [("reshape", vec![1, 1, 6])]);
    let tensors = vec![Tensor::f32(&[1, 6]), Tensor::ints(&[], &[-1]), Tensor::f32(&[1, 6, 1])];
    let expanded = graph(&one(Code::EXPAND_DIMS, &[0, 1], tensors));
    assert_eq!(outline(&expanded), [("reshape", vec![1, 6, 1])]);
}

#[test]
fn shape_arithmetic_of_an_open_batch_is_folded() {
    let ints = |shape: &[i32]| Tensor { dtype: fb::TensorType::INT32, ..Tensor::f32(shape) };
    let tensors = vec![
        Tensor { signature: vec![-1, 2, 3], ..Tensor::f32(&[1, 2, 3]) },
        ints(&[3]),
        Tensor::ints(&[1], &[0]),
        Tensor::ints(&[1], &[1]),
        ints(&[]),
        Tensor::ints(&[], &[-1]),
        ints(&[2]),
        Tensor { signature: vec![-1, 6], ..Tensor::f32(&[1, 6]) },
    ];
    let operators = vec![
        Operator::new(Code::RESHAPE, &[0, 6], &[7]),
        Operator::new(Code::SHAPE, &[0], &[1]),
        element_op(&[1, 2, 3, 3], 4),
        Operator::new(Code::PACK, &[4, 5], &[6]),
    ];
    // not in order
    let graph = graph(&Net::new(tensors, operators, &[0], &[7]));
    assert_eq!(outline(&graph), [("reshape", vec![1, 6])]);
}

#[test]
fn sparse_and_half_constants_become_dense_floats() {
    // [2, 4] in blocks of 2 columns: the second block of row 0, the first of row 1
    let sparsity = Sparsity {
        order: vec![0, 1, 2],
        block_map: vec![1],
        levels: vec![Level::Dense(2), Level::Csr16(vec![0, 1, 2], vec![1, 0]), Level::Dense(2)],
    };
    let halves = [0x3c00_u16, 0x4000, 0x4200, 0xc400];
    let stored = Tensor {
        dtype: fb::TensorType::FLOAT16,
        data: halves.iter().flat_map(|half| half.to_le_bytes()).collect(),
        sparsity: Some(sparsity),
        ..Tensor::f32(&[2, 4])
    };
    let dense = Tensor { dtype: fb::TensorType::FLOAT16, ..Tensor::f32(&[2, 4]) };
    let reals = Tensor::f32(&[2, 4]);
    let tensors = vec![Tensor::f32(&[1, 4]), stored, dense, reals, Tensor::f32(&[1, 2])];
    let operators = vec![
        Operator::new(Code::DENSIFY, &[1], &[2]),
        Operator::new(Code::DEQUANTIZE, &[2], &[3]),
        dense_op(&[0, 3], 4, fb::FullyConnectedOptionsArgs::default()),
    ];
    let graph = graph(&Net::new(tensors, operators, &[0], &[4]));
    let Op::FullyConnected(layer) = &graph.nodes[0].op else { panic!("{graph:?}") };
    let expected = vec![0.0, 0.0, 1.0, 2.0, 3.0, -4.0, 0.0, 0.0];
    assert_eq!(layer.weights.data, WeightData::F32(expected, None));
}

#[test]
fn trees_of_every_width_and_order_become_dense() {
    // columns first: column 0 has row 1, column 2 has rows 0 and 1
    let level = [
        Level::Csr8(vec![0, 1, 1, 3], vec![1, 0, 1]),
        Level::Csr16(vec![0, 1, 1, 3], vec![1, 0, 1]),
        Level::Csr32(vec![0, 1, 1, 3], vec![1, 0, 1]),
    ];
    for level in level {
        let sparsity =
            Sparsity { order: vec![1, 0], block_map: vec![], levels: vec![Level::Dense(3), level] };
        let data = [10_i8, 20, 30];
        let weights = Tensor { sparsity: Some(sparsity), ..Tensor::codes(&[2, 3], &data, &[0.5]) };
        let tensors = vec![Tensor::i8(&[1, 3], 0.5, 0), weights, Tensor::i8(&[1, 2], 0.5, 0)];
        let operator = dense_op(&[0, 1], 2, fb::FullyConnectedOptionsArgs::default());
        let graph = graph(&Net::new(tensors, vec![operator], &[0], &[2]));
        let Op::FullyConnected(layer) = &graph.nodes[0].op else { panic!("{graph:?}") };
        let expected = vec![0, 0, 20, 10, 0, 30];
        assert_eq!(layer.weights.data, WeightData::I8(expected, vec![0.5]));
    }
}

#[test]
fn names_come_from_the_signature() {
    let mut net = conv();
    net.signatures = vec![
        ("other", vec![("x", 0)], vec![("y", 3)]),
        ("serving_default", vec![("image", 0)], vec![("scores", 3)]),
    ];
    let graph = graph(&net);
    assert_eq!(graph.inputs[0].name.as_deref(), Some("image"));
    assert_eq!(graph.nodes[0].output.name.as_deref(), Some("scores"));
}

#[test]
fn functions_and_changes_of_the_grid() {
    let tensors = vec![
        Tensor { dtype: fb::TensorType::UINT8, ..Tensor::i8(&[1, 3], 0.5, 128) },
        Tensor::i8(&[1, 3], 0.5, 0),
        Tensor::i8(&[1, 3], 0.0078125, 0),
        Tensor::i8(&[1, 3], 0.00390625, -128),
        Tensor::f32(&[1, 3]),
    ];
    let operators = vec![
        Operator::new(Code::QUANTIZE, &[0], &[1]),
        Operator::new(Code::TANH, &[1], &[2]),
        softmax_op(2, 3, 1.0),
        Operator::new(Code::DEQUANTIZE, &[3], &[4]),
    ];
    let graph = graph(&Net::new(tensors, operators, &[0], &[4]));
    let ops: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(ops, ["quantize", "tanh", "softmax", "dequantize"]);
    assert_eq!(graph.inputs[0].dtype, DataType::U8);
}
