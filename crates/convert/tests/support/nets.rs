//! Sound networks of an operator or two, for tests to run or to spoil, and operators' options.

use super::fb::{self, BuiltinOperator as Code, BuiltinOptions as Kind};
use super::{Net, Operator, Tensor};

/// CONV_2D of `[1, 5, 4, 2]` f32 with a `[3, 3, 3, 2]` kernel, VALID: `[1, 3, 2, 3]`. Tensors: input, kernel, bias, output.
pub(crate) fn conv() -> Net {
    let tensors = vec![
        Tensor::f32(&[1, 5, 4, 2]),
        Tensor::reals(&[3, 3, 3, 2], &[0.5; 54]),
        Tensor::reals(&[3], &[1.0, -0.0, 2.0]),
        Tensor::f32(&[1, 3, 2, 3]),
    ];
    Net::new(tensors, vec![conv_op(&[0, 1, 2], 3, conv_options())], &[0], &[3])
}

/// The same in int8, with a scale for each output channel.
pub(crate) fn conv_i8() -> Net {
    let mut net = conv();
    net.tensors[0] = Tensor::i8(&[1, 5, 4, 2], 0.5, -128);
    net.tensors[1] = Tensor::codes(&[3, 3, 3, 2], &[7; 54], &[0.5, 0.25, 0.125]);
    net.tensors[2] = Tensor::ints(&[3], &[1, 2, 3]);
    net.tensors[3] = Tensor::i8(&[1, 3, 2, 3], 2.0, 3);
    net
}

/// VALID, stride 1, no activation.
pub(crate) fn conv_options() -> fb::Conv2DOptionsArgs {
    let (stride_w, stride_h) = (1, 1);
    fb::Conv2DOptionsArgs { padding: fb::Padding::VALID, stride_w, stride_h, ..Default::default() }
}

/// CONV_2D.
pub(crate) fn conv_op(inputs: &[i32], output: i32, options: fb::Conv2DOptionsArgs) -> Operator {
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        fb::Conv2DOptions::create(to, &options).as_union_value()
    };
    Operator::new(Code::CONV_2D, inputs, &[output]).with(Kind::Conv2DOptions, write)
}

/// DEPTHWISE_CONV_2D.
pub(crate) fn depthwise_op(
    inputs: &[i32],
    output: i32,
    options: fb::DepthwiseConv2DOptionsArgs,
) -> Operator {
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        fb::DepthwiseConv2DOptions::create(to, &options).as_union_value()
    };
    let op = Operator::new(Code::DEPTHWISE_CONV_2D, inputs, &[output]);
    op.with(Kind::DepthwiseConv2DOptions, write)
}

/// MAX_POOL_2D or AVERAGE_POOL_2D.
pub(crate) fn pool_op(
    code: Code,
    input: i32,
    output: i32,
    options: fb::Pool2DOptionsArgs,
) -> Operator {
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        fb::Pool2DOptions::create(to, &options).as_union_value()
    };
    Operator::new(code, &[input], &[output]).with(Kind::Pool2DOptions, write)
}

/// FULLY_CONNECTED.
pub(crate) fn dense_op(
    inputs: &[i32],
    output: i32,
    options: fb::FullyConnectedOptionsArgs,
) -> Operator {
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        fb::FullyConnectedOptions::create(to, &options).as_union_value()
    };
    let op = Operator::new(Code::FULLY_CONNECTED, inputs, &[output]);
    op.with(Kind::FullyConnectedOptions, write)
}

/// CONCATENATION.
pub(crate) fn concat_op(inputs: &[i32], output: i32, axis: i32) -> Operator {
    let options = fb::ConcatenationOptionsArgs { axis, ..Default::default() };
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        fb::ConcatenationOptions::create(to, &options).as_union_value()
    };
    let op = Operator::new(Code::CONCATENATION, inputs, &[output]);
    op.with(Kind::ConcatenationOptions, write)
}

/// MEAN.
pub(crate) fn mean_op(inputs: &[i32], output: i32, keep_dims: bool) -> Operator {
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        fb::ReducerOptions::create(to, &fb::ReducerOptionsArgs { keep_dims }).as_union_value()
    };
    Operator::new(Code::MEAN, inputs, &[output]).with(Kind::ReducerOptions, write)
}

/// SOFTMAX.
pub(crate) fn softmax_op(input: i32, output: i32, beta: f32) -> Operator {
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        fb::SoftmaxOptions::create(to, &fb::SoftmaxOptionsArgs { beta }).as_union_value()
    };
    Operator::new(Code::SOFTMAX, &[input], &[output]).with(Kind::SoftmaxOptions, write)
}

/// SQUEEZE.
pub(crate) fn squeeze_op(input: i32, output: i32, dims: &'static [i32]) -> Operator {
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        let squeeze_dims = Some(to.create_vector(dims));
        fb::SqueezeOptions::create(to, &fb::SqueezeOptionsArgs { squeeze_dims }).as_union_value()
    };
    Operator::new(Code::SQUEEZE, &[input], &[output]).with(Kind::SqueezeOptions, write)
}

/// STRIDED_SLICE that takes one element of a vector as a scalar.
pub(crate) fn element_op(inputs: &[i32], output: i32) -> Operator {
    let options = fb::StridedSliceOptionsArgs { shrink_axis_mask: 1, ..Default::default() };
    let write = move |to: &mut flatbuffers::FlatBufferBuilder<'_>| {
        fb::StridedSliceOptions::create(to, &options).as_union_value()
    };
    let op = Operator::new(Code::STRIDED_SLICE, inputs, &[output]);
    op.with(Kind::StridedSliceOptions, write)
}

/// One operator without options, of those inputs, to the last tensor; the first tensor is the network's input.
pub(crate) fn one(code: Code, inputs: &[i32], tensors: Vec<Tensor>) -> Net {
    let last = tensors.len() as i32 - 1;
    Net::new(tensors, vec![Operator::new(code, inputs, &[last])], &[0], &[last])
}
