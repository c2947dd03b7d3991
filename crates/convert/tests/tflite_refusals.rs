//! What the TFLite front end refuses, and that each error names the node or tensor, the field, and what was expected.

mod support;

use penjing_convert::tflite;

use support::fb::{self, BuiltinOperator as Code};
use support::nets::*;
use support::{Level, Net, Operator, Sparsity, Tensor};

/// The error of a file, which must have all of `parts`.
#[track_caller]
fn refused(net: &Net, parts: &[&str]) {
    let error = match tflite::read(&net.bytes(), "test") {
        Ok(graph) => panic!("taken: {graph:?}"),
        Err(error) => error.to_string(),
    };
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

/// The error of a network after a change.
#[track_caller]
fn spoiled(mut net: Net, change: impl FnOnce(&mut Net), parts: &[&str]) {
    assert!(tflite::read(&net.bytes(), "test").is_ok(), "the network is not sound to begin with");
    change(&mut net);
    refused(&net, parts);
}

#[test]
fn ops_that_penjing_lacks_are_named_with_those_it_has() {
    let op = |code| move |net: &mut Net| net.operators[0].code = code;
    let all = "CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED";
    spoiled(conv(), op(Code::TRANSPOSE_CONV.0), &["node 0 (value)", all, "TRANSPOSE_CONV"]);
    spoiled(conv(), op(Code::MIRROR_PAD.0), &["MIRROR_PAD"]);
    spoiled(conv(), op(Code::WHILE.0), &["WHILE"]);
    spoiled(conv(), op(206), &["op number 206"]);
    let custom = |net: &mut Net| {
        net.operators[0].code = Code::CUSTOM.0;
        net.operators[0].custom = Some("FlexErf");
    };
    spoiled(conv(), custom, &["the custom op FlexErf", all]);
}

#[test]
fn operators_and_tensors_must_exist_and_be_in_an_order() {
    spoiled(conv(), |net| net.inputs = vec![9], &["inputs of the network", "below 4", "9"]);
    spoiled(conv(), |net| net.inputs = vec![0, 0], &["different tensors"]);
    spoiled(conv(), |net| net.inputs.clear(), &["inputs of the network", "1 to 256"]);
    spoiled(conv(), |net| net.outputs.clear(), &["outputs of the network", "1 to 256"]);
    spoiled(conv(), |net| net.outputs = vec![1], &["output 0", "a computed value"]);
    spoiled(conv(), |net| net.operators.clear(), &["operators", "found 0"]);
    spoiled(conv(), |net| net.operators[0].inputs[0] = -2, &["operator 0", "-2"]);
    spoiled(conv(), |net| net.operators[0].inputs[0] = 3, &["a cycle at operator 0"]);
    spoiled(conv(), |net| net.operators[0].outputs = vec![0], &["no operator writes"]);
    spoiled(conv(), |net| net.operators[0].outputs = vec![3, 3], &["one operator that writes it"]);
    spoiled(conv(), |net| net.operators[0].inputs[0] = 1, &["input 0", "found a constant"]);
    let unwritten = |net: &mut Net| net.tensors[1].data.clear();
    spoiled(conv(), unwritten, &["CONV_2D", "weights", "a constant"]);
    spoiled(conv(), |net| net.version = 4, &["version", "expected 3, found 4"]);
}

#[test]
fn batches_and_shapes() {
    spoiled(
        conv(),
        |net| net.tensors[0].shape[0] = 2,
        &["tensor 0", "a batch of 1", "[2, 5, 4, 2]"],
    );
    spoiled(conv(), |net| net.tensors[0].shape[1] = -1, &["tensor 0", "shape", "-1"]);
    spoiled(conv(), |net| net.tensors[0].shape = vec![1; 9], &["at most 8 dimensions"]);
    let open = |net: &mut Net| net.tensors[0].signature = vec![-1, -1, 4, 2];
    spoiled(conv(), open, &["shape_signature", "no open dimension but the batch"]);
    let other = |net: &mut Net| net.tensors[3].shape = vec![1, 3, 3, 3];
    spoiled(conv(), other, &["output shape", "[1, 3, 2, 3]", "[1, 3, 3, 3]"]);
    spoiled(conv(), |net| net.tensors[0].shape = vec![1, 5, 4], &["input", "[1, height, width"]);
}

#[test]
fn types_and_grids() {
    let dtype = |k: usize, dtype| move |net: &mut Net| net.tensors[k].dtype = dtype;
    let (int8, int16) = (fb::TensorType::INT8, fb::TensorType::INT16);
    spoiled(conv(), dtype(0, int16), &["tensor 0", "type", "float32", "int16"]);
    spoiled(conv(), dtype(3, fb::TensorType::FLOAT16), &["tensor 3", "float16"]);
    spoiled(conv_i8(), dtype(0, fb::TensorType::UINT8), &["quantization", "0..=255"]);
    let legacy = |net: &mut Net| {
        net.tensors[0].dtype = fb::TensorType::UINT8;
        net.tensors[0].zero_points = vec![128];
    };
    spoiled(conv_i8(), legacy, &["CONV_2D", "float32 or int8", "u8"]);
    spoiled(conv_i8(), |net| net.tensors[3] = Tensor::f32(&[1, 3, 2, 3]), &["output", "i8", "f32"]);
    let hybrid = |net: &mut Net| {
        net.operators[0] = depthwise_op(&[0, 1, 2], 3, Default::default());
        net.tensors[1] = Tensor::codes(&[1, 3, 3, 2], &[1; 18], &[0.5]);
    };
    spoiled(conv(), hybrid, &["DEPTHWISE_CONV_2D", "weights", "dynamic-range", "int8"]);
    let bias = |net: &mut Net| {
        net.tensors[1] = Tensor::codes(&[3, 3, 3, 2], &[1; 54], &[0.5]);
        net.tensors[2] = Tensor::ints(&[3], &[1, 2, 3]);
    };
    spoiled(conv(), bias, &["CONV_2D", "bias", "float32"]);
    spoiled(conv_i8(), |net| net.tensors[2].dtype = fb::TensorType::FLOAT32, &["bias", "int32"]);
    let scale = |k: usize, scales: &[f32]| {
        let scales = scales.to_vec();
        move |net: &mut Net| net.tensors[k].scales = scales
    };
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        spoiled(conv_i8(), scale(3, &[bad]), &["tensor 3", "a positive scale"]);
        spoiled(conv_i8(), scale(1, &[bad]), &["weights.scale", "finite and positive"]);
    }
    spoiled(conv_i8(), scale(3, &[]), &["quantization", "one scale", "found 0"]);
    spoiled(conv_i8(), scale(0, &[0.5, 0.5]), &["tensor 0", "one scale"]);
    spoiled(conv_i8(), |net| net.tensors[3].zero_points = vec![1 << 40], &["zero point in -128"]);
    spoiled(conv_i8(), |net| net.tensors[0].zero_points = vec![300], &["zero point 300"]);
    spoiled(conv_i8(), scale(1, &[1e-45; 3]), &["weights.scale", "input scale * weight scale"]);
    spoiled(conv_i8(), scale(1, &[0.5, 0.5]), &["weights.scale", "1 scale, or 3"]);
    spoiled(conv_i8(), |net| net.tensors[1].axis = 3, &["weights.quantized_dimension", "0"]);
    spoiled(conv_i8(), |net| net.tensors[1].zero_points[2] = 1, &["weights.zero_point", "found 1"]);
    let own = dtype(1, int8);
    spoiled(conv(), own, &["tensor 1", "54 bytes", "216"]);
}

#[test]
fn constants_must_be_whole_finite_and_in_the_file() {
    spoiled(conv(), |net| net.tensors[1].data.truncate(215), &["buffer", "216 bytes", "215"]);
    spoiled(conv(), |net| net.tensors[1].shape = vec![i32::MAX; 4], &["tensor 1", "4 GiB"]);
    spoiled(conv(), |net| net.offset = 4096, &["buffer", "inside the flatbuffer", "4096"]);
    for bad in [f32::NAN, f32::NEG_INFINITY] {
        let change = move |net: &mut Net| net.tensors[2] = Tensor::reals(&[3], &[0.0, bad, 0.0]);
        spoiled(conv(), change, &["bias", "finite elements"]);
    }
    spoiled(conv(), |net| net.tensors[2] = Tensor::reals(&[2], &[0.0; 2]), &["bias", "3 elements"]);
    spoiled(conv(), |net| net.tensors[1].shape = vec![3, 18], &["weights", "4 dimensions"]);
    spoiled(conv(), |net| net.tensors[1].shape = vec![3, 3, 6, 1], &["weights", "no groups"]);
    let int4 = |net: &mut Net| net.tensors[1].dtype = fb::TensorType::INT4;
    spoiled(conv(), int4, &["elements of whole bytes", "int4"]);
}

#[test]
fn windows_and_activations() {
    let with = |options: fb::Conv2DOptionsArgs| {
        move |net: &mut Net| net.operators[0] = conv_op(&[0, 1, 2], 3, options)
    };
    let stride = fb::Conv2DOptionsArgs { stride_h: 0, ..conv_options() };
    spoiled(conv(), with(stride), &["stride", "1 to 65535", "[0, 1]"]);
    let dilation = fb::Conv2DOptionsArgs { dilation_w_factor: -1, ..conv_options() };
    spoiled(conv(), with(dilation), &["dilation", "[1, -1]"]);
    let large = fb::Conv2DOptionsArgs { dilation_h_factor: 9, ..conv_options() };
    spoiled(conv(), with(large), &["window", "at most the input's 5"]);
    let padding = fb::Conv2DOptionsArgs { padding: fb::Padding(7), ..conv_options() };
    spoiled(conv(), with(padding), &["padding", "SAME or VALID", "7"]);
    let tanh = fb::ActivationFunctionType::TANH;
    let tanh = fb::Conv2DOptionsArgs { fused_activation_function: tanh, ..conv_options() };
    spoiled(conv(), with(tanh), &["fused_activation_function", "RELU_N1_TO_1", "TANH"]);
    let without = |net: &mut Net| net.operators[0].options = None;
    spoiled(conv(), without, &["options", "Conv2DOptions"]);
}

#[test]
fn layers() {
    let dense = |options, shape: &[i32]| {
        let tensors =
            vec![Tensor::f32(shape), Tensor::reals(&[2, 4], &[1.0; 8]), Tensor::f32(&[1, 2])];
        Net::new(tensors, vec![dense_op(&[0, 1], 2, options)], &[0], &[2])
    };
    let shuffled = fb::FullyConnectedOptionsWeightsFormat::SHUFFLED4x16INT8;
    let shuffled = fb::FullyConnectedOptionsArgs { weights_format: shuffled, ..Default::default() };
    refused(&dense(shuffled, &[1, 4]), &["weights_format", "DEFAULT"]);
    let usual = fb::FullyConnectedOptionsArgs::default();
    refused(&dense(usual, &[1, 6]), &["input", "rows of 4 elements", "[1, 6]"]);
    let kept = fb::FullyConnectedOptionsArgs { keep_num_dims: true, ..Default::default() };
    refused(&dense(kept, &[1, 2, 2]), &["keep_num_dims"]);
    let depthwise = |kernel: &[i32], depth_multiplier| {
        let options = fb::DepthwiseConv2DOptionsArgs {
            stride_w: 1,
            stride_h: 1,
            depth_multiplier,
            ..Default::default()
        };
        let tensors = vec![
            Tensor::f32(&[1, 3, 3, 2]),
            Tensor::reals(kernel, &vec![1.0; kernel.iter().product::<i32>() as usize]),
            Tensor::f32(&[1, 3, 3, 4]),
        ];
        Net::new(tensors, vec![depthwise_op(&[0, 1], 2, options)], &[0], &[2])
    };
    refused(&depthwise(&[1, 1, 1, 3], 0), &["weights", "a multiple of the input's 2 channels"]);
    refused(&depthwise(&[2, 1, 1, 4], 0), &["weights", "[2, 1, 1, 4]"]);
    refused(&depthwise(&[1, 1, 1, 4], 3), &["depth_multiplier", "2, by the weights"]);
}

#[test]
fn sums_that_leave_32_bits() {
    let bias = |net: &mut Net| net.tensors[2] = Tensor::ints(&[3], &[0, i32::MAX - 9, 0]);
    spoiled(conv_i8(), bias, &["weights and bias", "sums that fit 32 bits", "channel 1"]);
}

#[test]
fn moves() {
    let shape = |dims: &[i32]| {
        let target = Tensor::ints(&[dims.len() as i32], dims);
        one(Code::RESHAPE, &[0, 1], vec![Tensor::f32(&[1, 6]), target, Tensor::f32(&[])])
    };
    for bad in [&[1, 5][..], &[-1, -1], &[1, -1, 4], &[0, 6], &[-2, -3], &[i32::MAX, i32::MAX, -1]]
    {
        refused(&shape(bad), &["RESHAPE", "as many elements as [1, 6]"]);
    }
    let target = Tensor::f32(&[2]);
    let computed = vec![Tensor::f32(&[1, 6]), target, Tensor::f32(&[])];
    let mut computed = one(Code::RESHAPE, &[0, 1], computed);
    computed.inputs = vec![0, 1];
    refused(&computed, &["shape", "integers that shapes alone decide"]);
    let tensors = vec![Tensor::f32(&[1, 6]), Tensor::f32(&[6])];
    let squeezed = Net::new(tensors, vec![squeeze_op(0, 1, &[1])], &[0], &[1]);
    refused(&squeezed, &["squeeze_dims", "dimensions of 1"]);
    let pad = |pads: &[i32]| {
        let pads = Tensor::ints(&[2, 2], pads);
        one(Code::PAD, &[0, 1], vec![Tensor::f32(&[1, 6]), pads, Tensor::f32(&[])])
    };
    refused(&pad(&[1, 0, 0, 0]), &["paddings", "none of the batch"]);
    refused(&pad(&[0, 0, -1, 0]), &["paddings", "0 to 65535"]);
    let pads = Tensor::ints(&[2, 2], &[0, 0, 1, 1]);
    let value = Tensor::reals(&[], &[1.0]);
    let tensors = vec![Tensor::f32(&[1, 6]), pads, value, Tensor::f32(&[1, 8])];
    refused(&one(Code::PADV2, &[0, 1, 2], tensors), &["constant_values", "0, which stands for 0"]);
    let moved =
        vec![Tensor::i8(&[1, 6], 0.5, 0), Tensor::ints(&[1], &[-1]), Tensor::i8(&[6], 0.5, 1)];
    refused(
        &one(Code::RESHAPE, &[0, 1], moved),
        &["output quantization", "zero point 0", "point 1"],
    );
}

#[test]
fn means_and_concatenations() {
    let mean = |axes: &[i32]| {
        let axes = Tensor::ints(&[axes.len() as i32], axes);
        let tensors = vec![Tensor::f32(&[1, 4, 5, 2]), axes, Tensor::f32(&[])];
        Net::new(tensors, vec![mean_op(&[0, 1], 2, false)], &[0], &[2])
    };
    refused(&mean(&[1]), &["MEAN", "axes", "1 and 2"]);
    refused(&mean(&[1, 3]), &["axes", "[1, 3]"]);
    refused(&mean(&[1, 4]), &["axes", "a dimension of 4", "4"]);
    let concat = |other: Tensor, axis| {
        let tensors = vec![Tensor::f32(&[1, 2, 3]), other, Tensor::f32(&[])];
        Net::new(tensors, vec![concat_op(&[0, 1], 2, axis)], &[0, 1], &[2])
    };
    refused(&concat(Tensor::f32(&[1, 2, 3]), 0), &["axis", "any but the batch"]);
    refused(&concat(Tensor::f32(&[1, 2, 3]), 3), &["axis", "a dimension of 3"]);
    refused(&concat(Tensor::f32(&[1, 4, 3]), 2), &["input 1", "but for dimension 2", "[1, 4, 3]"]);
    let mut constant = concat(Tensor::reals(&[1, 2, 1], &[0.0; 2]), 2);
    constant.inputs = vec![0];
    refused(&constant, &["input 1", "a computed value", "a constant"]);
}

#[test]
fn elementwise() {
    let softmax = vec![Tensor::f32(&[1, 6]), Tensor::f32(&[1, 6])];
    let softmax = Net::new(softmax, vec![softmax_op(0, 1, 0.5)], &[0], &[1]);
    refused(&softmax, &["SOFTMAX", "beta", "expected 1, found 0.5"]);
    let two = |code, a: Tensor, b: Tensor, out: Tensor| {
        Net::new(vec![a, b, out], vec![Operator::new(code, &[0, 1], &[2])], &[0, 1], &[2])
    };
    let (row, other) = (Tensor::f32(&[1, 6]), Tensor::f32(&[1, 4]));
    refused(&two(Code::ADD, row.clone(), other, row.clone()), &["inputs", "[1, 6]", "[1, 4]"]);
    let code = Tensor::i8(&[1, 6], 0.5, 0);
    refused(&two(Code::ADD, code.clone(), row.clone(), code.clone()), &["output", "f32", "i8"]);
    refused(&two(Code::DIV, row.clone(), row.clone(), row.clone()), &["inputs", "a constant"]);
    let divisor = |x| vec![Tensor::f32(&[1, 6]), Tensor::reals(&[1], &[x]), Tensor::f32(&[1, 6])];
    refused(&one(Code::DIV, &[0, 1], divisor(0.0)), &["a finite inverse"]);
    refused(&one(Code::DIV, &[1, 0], divisor(2.0)), &["the constant second"]);
    let wide = vec![row.clone(), Tensor::reals(&[2, 6], &[0.0; 12]), Tensor::f32(&[2, 6])];
    refused(&one(Code::ADD, &[0, 1], wide), &["a constant that fits [1, 6]", "[2, 6]"]);
    let both = vec![row.clone(), Tensor::reals(&[1], &[1.0]), row.clone()];
    refused(&one(Code::ADD, &[1, 1], both), &["two constants"]);
    let unknown = vec![row.clone(), row];
    refused(&one(Code::DEQUANTIZE, &[0], unknown), &["types", "integers to float32"]);
}

#[test]
fn sparse_trees_that_contradict_themselves() {
    let net = || {
        let levels = vec![Level::Dense(2), Level::Csr8(vec![0, 2, 3], vec![0, 2, 1])];
        let sparsity = Sparsity { order: vec![0, 1], block_map: vec![], levels };
        let weights =
            Tensor { sparsity: Some(sparsity), ..Tensor::codes(&[2, 3], &[1, 2, 3], &[0.5]) };
        let tensors = vec![Tensor::i8(&[1, 3], 0.5, 0), weights, Tensor::i8(&[1, 2], 0.5, 0)];
        let operator = dense_op(&[0, 1], 2, fb::FullyConnectedOptionsArgs::default());
        Net::new(tensors, vec![operator], &[0], &[2])
    };
    let tree = |change: fn(&mut Sparsity)| {
        move |net: &mut Net| net.tensors[1].sparsity.iter_mut().for_each(change)
    };
    spoiled(net(), tree(|t| t.order = vec![0, 0]), &["tensor 1", "sparsity", "each once"]);
    spoiled(net(), tree(|t| t.order = vec![0]), &["an order of 2 levels"]);
    spoiled(net(), tree(|t| t.levels[0] = Level::Dense(3)), &["a dense level of 2"]);
    let csr = |segments: &'static [u8], indices: &'static [u8]| {
        move |net: &mut Net| {
            let tree = net.tensors[1].sparsity.as_mut().expect("a tree");
            tree.levels[1] = Level::Csr8(segments.to_vec(), indices.to_vec());
        }
    };
    spoiled(net(), csr(&[0, 3], &[0, 2, 1]), &["segments of 2 parents"]);
    spoiled(net(), csr(&[0, 4, 3], &[0, 2, 1]), &["a segment within 3"]);
    spoiled(net(), csr(&[0, 2, 3], &[2, 0, 1]), &["ascending indices below 3"]);
    spoiled(net(), csr(&[0, 2, 3], &[0, 3, 1]), &["ascending indices below 3"]);
    spoiled(net(), csr(&[0, 1, 2], &[0, 1]), &["2 elements", "3 bytes"]);
    spoiled(net(), tree(|t| t.block_map = vec![7]), &["an order of 3 levels"]);
    let huge = |net: &mut Net| {
        net.tensors[1].shape = vec![30_000, 30_000];
        let tree = net.tensors[1].sparsity.as_mut().expect("a tree");
        tree.order = vec![1, 0];
        tree.levels =
            vec![Level::Csr32(vec![0, 1], vec![5]), Level::Csr32(vec![0, 3], vec![1, 2, 3])];
    };
    spoiled(net(), huge, &["sparsity", "at most 64 bytes for each"]);
}

#[test]
fn shape_arithmetic_of_elements() {
    let tensors = vec![Tensor::f32(&[1, 6]), Tensor::f32(&[1, 6, 1])];
    refused(&one(Code::PACK, &[0], tensors.clone()), &["PACK", "the shape of a value"]);
    refused(&one(Code::REDUCE_PROD, &[0], tensors), &["REDUCE_PROD", "the shape of a value"]);
}
