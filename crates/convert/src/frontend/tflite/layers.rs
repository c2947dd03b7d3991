//! Convolutions and dense layers: operators with weights.

use penjing_format::{ChannelAxis, Shape};

use super::error::list;
use super::file::Operator;
use super::generated::FullyConnectedOptionsWeightsFormat as WeightsFormat;
use super::import::{Import, Input, batched, too_large};
use super::quantized::{activation, bias, same_type, weights};
use super::settle::settle;
use super::window::{Axes, image, out_dims};
use crate::frontend::ImportError;
use crate::ir::{Conv, Dense, Op, Value, Weights};

/// CONV_2D.
pub(super) fn conv(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let [_, _, _, channels] = image(op, &input)?;
    let options = op.table.builtin_options_as_conv_2_doptions();
    let options = options.ok_or_else(|| op.refuse("options", "Conv2DOptions", "others"))?;
    let kernel = kernel(import, op, &input, ChannelAxis::First)?;
    if kernel.shape[3] != channels {
        let expected = format!("{channels} input channels (no groups)");
        return Err(op.refuse("weights", expected, list(&kernel.shape)));
    }
    let axes = Axes {
        window: [kernel.shape[1], kernel.shape[2]],
        stride: [options.stride_h(), options.stride_w()],
        dilation: [options.dilation_h_factor(), options.dilation_w_factor()],
        padding: options.padding(),
    };
    let fused = activation(op, options.fused_activation_function())?;
    convolution(import, op, &input, kernel, axes, fused, Op::Conv2d)
}

/// DEPTHWISE_CONV_2D, of any depth multiplier.
pub(super) fn depthwise(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let [_, _, _, channels] = image(op, &input)?;
    let options = op.table.builtin_options_as_depthwise_conv_2_doptions();
    let options =
        options.ok_or_else(|| op.refuse("options", "DepthwiseConv2DOptions", "others"))?;
    let kernel = kernel(import, op, &input, ChannelAxis::Last)?;
    let (groups, outputs) = (kernel.shape[0], kernel.shape[3]);
    if groups != 1 || !outputs.is_multiple_of(channels) {
        let expected = format!("[1, height, width, a multiple of the input's {channels} channels]");
        return Err(op.refuse("weights", expected, list(&kernel.shape)));
    }
    let multiplier = options.depth_multiplier();
    if multiplier != 0 && u32::try_from(multiplier) != Ok(outputs / channels) {
        let expected = format!("{}, by the weights", outputs / channels);
        return Err(op.refuse("depth_multiplier", expected, multiplier));
    }
    let axes = Axes {
        window: [kernel.shape[1], kernel.shape[2]],
        stride: [options.stride_h(), options.stride_w()],
        dilation: [options.dilation_h_factor(), options.dilation_w_factor()],
        padding: options.padding(),
    };
    let fused = activation(op, options.fused_activation_function())?;
    convolution(import, op, &input, kernel, axes, fused, Op::DepthwiseConv2d)
}

/// Weights of four dimensions.
fn kernel(
    import: &Import<'_, '_>,
    op: &Operator<'_>,
    input: &Input,
    axis: ChannelAxis,
) -> Result<Weights, ImportError> {
    let constant = import.required(op, 1, "weights")?;
    if constant.dims.len() != 4 {
        return Err(op.refuse("weights", "4 dimensions", list(&constant.dims)));
    }
    weights(op, input, &constant, axis)
}

fn convolution(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
    input: &Input,
    mut weights: Weights,
    axes: Axes,
    activation: penjing_format::Activation,
    kind: fn(Conv) -> Op,
) -> Result<(), ImportError> {
    let channels = weights.out_channels();
    let (dtype, grid) = import.output_type(op)?;
    same_type(op, input.dtype, dtype)?;
    let mut bias = bias(import, op, dtype, channels)?;
    settle(op, (&mut weights, &mut bias), (input.grid, grid), activation)?;
    let (window, out) = out_dims(op, input, axes)?;
    let dims = vec![1, out[0], out[1], channels as u32];
    let conv = Conv {
        weights,
        bias,
        stride: window.stride,
        dilation: window.dilation,
        padding: window.padding,
        activation,
    };
    import.finish(op, kind(conv), vec![input.id], dims)
}

/// FULLY_CONNECTED. The input's elements are rows of what the weights take; one row is a dense layer, several are the pixels
/// of a 1 x 1 convolution.
pub(super) fn fully_connected(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let options = op.table.builtin_options_as_fully_connected_options();
    let options = options.ok_or_else(|| op.refuse("options", "FullyConnectedOptions", "others"))?;
    if options.weights_format() != WeightsFormat::DEFAULT {
        return Err(op.refuse("weights_format", "DEFAULT", options.weights_format().0));
    }
    let activation = activation(op, options.fused_activation_function())?;
    let constant = import.required(op, 1, "weights")?;
    let &[outputs, inputs] = &constant.dims[..] else {
        return Err(op.refuse("weights", "2 dimensions", list(&constant.dims)));
    };
    let elements = input.shape.elements().unwrap_or(0);
    if !elements.is_multiple_of(inputs as usize) {
        let expected = format!("rows of {inputs} elements, by the weights");
        return Err(op.refuse("input", expected, list(&input.dims)));
    }
    let rows = (elements / inputs as usize) as u32;
    let mut dims = vec![rows, outputs];
    if options.keep_num_dims() {
        if input.dims.last() != Some(&inputs) {
            let expected = format!("a last dimension of {inputs}, with keep_num_dims");
            return Err(op.refuse("input", expected, list(&input.dims)));
        }
        dims.clone_from(&input.dims);
        dims.last_mut().into_iter().for_each(|last| *last = outputs);
    }
    let mut weights = weights(op, &input, &constant, ChannelAxis::First)?;
    let (dtype, grid) = import.output_type(op)?;
    same_type(op, input.dtype, dtype)?;
    let mut bias = bias(import, op, dtype, outputs as usize)?;
    settle(op, (&mut weights, &mut bias), (input.grid, grid), activation)?;
    let dense = Dense { weights, bias, activation };
    if rows == 1 {
        let flat = import.reshaped(op, "flatten", &input, Shape::from([1, inputs]));
        return finish(
            import,
            op,
            Op::FullyConnected(dense),
            flat,
            Shape::from([1, outputs]),
            dims,
        );
    }
    let pixels = import.reshaped(op, "rows", &input, Shape::from([1, 1, rows, inputs]));
    let conv = pointwise(dense, [outputs, inputs]);
    finish(import, op, Op::Conv2d(conv), pixels, Shape::from([1, 1, rows, outputs]), dims)
}

/// A dense layer over the last dimension of an image.
fn pointwise(dense: Dense, [outputs, inputs]: [u32; 2]) -> Conv {
    let Dense { mut weights, bias, activation } = dense;
    weights.shape = vec![outputs, 1, 1, inputs];
    let padding = penjing_format::Padding::default();
    Conv { weights, bias, stride: [1, 1], dilation: [1, 1], padding, activation }
}

/// The layer, of `shape` in the graph, and a reshape to `dims` of the file where they differ.
fn finish(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
    kind: Op,
    input: usize,
    shape: Shape,
    dims: Vec<u32>,
) -> Result<(), ImportError> {
    let wanted = batched(&dims).ok_or_else(|| too_large(op, &dims))?;
    if wanted == shape {
        return import.finish(op, kind, vec![input], dims);
    }
    let (dtype, quantization) = import.output_type(op)?;
    let value = Value { name: None, shape, dtype, quantization };
    let id = import.push(op, "dense", kind, vec![input], value);
    import.finish(op, Op::Reshape, vec![id], dims)
}
