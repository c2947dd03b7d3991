//! The options of a `.tflite` file's operators, written.

use flatbuffers::{UnionWIPOffset, WIPOffset};
use penjing_convert::tflite::generated::{self as fb, BuiltinOptions as Kind};

use crate::tflite::{Builder, Options};

/// The union's member and its table.
pub(crate) fn write_options(
    b: &mut Builder,
    options: &Options,
) -> (Kind, Option<WIPOffset<UnionWIPOffset>>) {
    macro_rules! table {
        ($kind:ident, $args:ident { $($field:ident: $value:expr),* $(,)? }) => {{
            let args = fb::$args { $($field: $value),* };
            (Kind::$kind, Some(fb::$kind::create(b, &args).as_union_value()))
        }};
    }
    match options {
        Options::None => (Kind::NONE, None),
        &Options::Conv { padding, stride, dilation, fused } => {
            table!(
                Conv2DOptions,
                Conv2DOptionsArgs {
                    padding: padding,
                    stride_w: stride[1],
                    stride_h: stride[0],
                    fused_activation_function: fused,
                    dilation_w_factor: dilation[1],
                    dilation_h_factor: dilation[0],
                }
            )
        }
        &Options::Depthwise { padding, stride, multiplier, fused } => {
            table!(
                DepthwiseConv2DOptions,
                DepthwiseConv2DOptionsArgs {
                    padding: padding,
                    stride_w: stride[1],
                    stride_h: stride[0],
                    depth_multiplier: multiplier,
                    fused_activation_function: fused,
                    dilation_w_factor: 1,
                    dilation_h_factor: 1,
                }
            )
        }
        &Options::Pool { padding, stride, window, fused } => {
            table!(
                Pool2DOptions,
                Pool2DOptionsArgs {
                    padding: padding,
                    stride_w: stride[1],
                    stride_h: stride[0],
                    filter_width: window[1],
                    filter_height: window[0],
                    fused_activation_function: fused,
                }
            )
        }
        &Options::Dense { fused, format, keep } => {
            table!(
                FullyConnectedOptions,
                FullyConnectedOptionsArgs {
                    fused_activation_function: fused,
                    weights_format: fb::FullyConnectedOptionsWeightsFormat(format),
                    keep_num_dims: keep,
                }
            )
        }
        &Options::Softmax(beta) => {
            table!(SoftmaxOptions, SoftmaxOptionsArgs { beta: beta })
        }
        &Options::Concat(axis, fused) => {
            table!(
                ConcatenationOptions,
                ConcatenationOptionsArgs { axis: axis, fused_activation_function: fused }
            )
        }
        &Options::Add(fused) => {
            table!(AddOptions, AddOptionsArgs { fused_activation_function: fused })
        }
        &Options::Mul(fused) => {
            table!(MulOptions, MulOptionsArgs { fused_activation_function: fused })
        }
        &Options::Sub(fused) => {
            table!(SubOptions, SubOptionsArgs { fused_activation_function: fused })
        }
        &Options::Div(fused) => {
            table!(DivOptions, DivOptionsArgs { fused_activation_function: fused })
        }
        Options::Reshape(shape) => {
            let shape = Some(b.create_vector(shape));
            table!(ReshapeOptions, ReshapeOptionsArgs { new_shape: shape })
        }
        &Options::Reduce(keep) => {
            table!(ReducerOptions, ReducerOptionsArgs { keep_dims: keep })
        }
        Options::Squeeze(dims) => {
            let dims = Some(b.create_vector(dims));
            table!(SqueezeOptions, SqueezeOptionsArgs { squeeze_dims: dims })
        }
        &Options::Gather(axis) => {
            table!(GatherOptions, GatherOptionsArgs { axis: axis, batch_dims: 0 })
        }
        &Options::Slice([begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask]) => {
            table!(
                StridedSliceOptions,
                StridedSliceOptionsArgs {
                    begin_mask: begin_mask,
                    end_mask: end_mask,
                    ellipsis_mask: ellipsis_mask,
                    new_axis_mask: new_axis_mask,
                    shrink_axis_mask: shrink_axis_mask,
                    offset: false,
                }
            )
        }
        &Options::Pack(values_count) => {
            table!(PackOptions, PackOptionsArgs { values_count: values_count, axis: 0 })
        }
    }
}
