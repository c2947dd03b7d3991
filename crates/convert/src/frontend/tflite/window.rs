//! Windows over images: TFLite's SAME and VALID as rows and columns of padding, what comes out, and the pools.

use penjing_format::{Activation, Padding, QuantParams};

use super::error::list;
use super::file::Operator;
use super::generated::{BuiltinOperator as Code, Padding as Scheme};
use super::import::{Import, Input, batched, too_large};
use super::quantized::{moved_activation, same_grid, same_type};
use crate::frontend::ImportError;
use crate::ir::{Op, Pool, Value};

/// Windows, strides and paddings have 16 bits in a model file.
const LIMIT: u32 = u16::MAX as u32;

/// What an operator says of its windows, (height, width).
#[derive(Clone, Copy)]
pub(super) struct Axes {
    pub(super) window: [u32; 2],
    pub(super) stride: [i32; 2],
    pub(super) dilation: [i32; 2],
    pub(super) padding: Scheme,
}

/// The same in the graph's terms.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) stride: [u32; 2],
    pub(super) dilation: [u32; 2],
    pub(super) padding: Padding,
}

/// The dimensions of an image: batch, height, width, channels.
pub(super) fn image(op: &Operator<'_>, input: &Input) -> Result<[u32; 4], ImportError> {
    let expected = "[1, height, width, channels]";
    let image = input.shape.as_4d().filter(|_| input.dims.len() == 4);
    image.ok_or_else(|| op.refuse("input", expected, list(&input.dims)))
}

/// Padding and the number of windows, down and across.
pub(super) fn out_dims(
    op: &Operator<'_>,
    input: &Input,
    axes: Axes,
) -> Result<(Window, [u32; 2]), ImportError> {
    let [_, height, width, _] = image(op, input)?;
    let stride = positive(op, "stride", axes.stride)?;
    let dilation = positive(op, "dilation", axes.dilation)?;
    let rows = along(op, height, (axes.window[0], stride[0], dilation[0]), axes.padding)?;
    let columns = along(op, width, (axes.window[1], stride[1], dilation[1]), axes.padding)?;
    let padding = Padding { top: rows.1, bottom: rows.2, left: columns.1, right: columns.2 };
    Ok((Window { stride, dilation, padding }, [rows.0, columns.0]))
}

/// Windows along one axis, and the padding before and after. Of an odd padding, the larger half comes after.
fn along(
    op: &Operator<'_>,
    size: u32,
    (window, stride, dilation): (u32, u32, u32),
    scheme: Scheme,
) -> Result<(u32, u32, u32), ImportError> {
    let reach = u64::from(window - 1) * u64::from(dilation) + 1;
    let (size, stride) = (u64::from(size), u64::from(stride));
    let (windows, before, after) = match scheme {
        Scheme::SAME => {
            let windows = size.div_ceil(stride);
            let padding = ((windows - 1) * stride + reach).saturating_sub(size);
            (windows, padding / 2, padding - padding / 2)
        }
        Scheme::VALID if reach <= size => ((size - reach) / stride + 1, 0, 0),
        Scheme::VALID => {
            let expected = format!("at most the input's {size} elements, with VALID padding");
            return Err(op.refuse("window", expected, reach));
        }
        other => return Err(op.refuse("padding", "SAME or VALID", other.0)),
    };
    let narrow = |n: u64| u32::try_from(n).ok().filter(|&n| n <= LIMIT);
    match (u32::try_from(windows), narrow(before), narrow(after)) {
        (Ok(windows), Some(before), Some(after)) if window <= LIMIT => Ok((windows, before, after)),
        _ => {
            let found = format!("window {window}, padding {before} and {after}");
            Err(op.refuse("window", format!("at most {LIMIT} elements"), found))
        }
    }
}

fn positive(op: &Operator<'_>, field: &str, found: [i32; 2]) -> Result<[u32; 2], ImportError> {
    let narrow = |n: i32| u32::try_from(n).ok().filter(|n| (1..=LIMIT).contains(n));
    match found.map(narrow) {
        [Some(height), Some(width)] => Ok([height, width]),
        _ => Err(op.refuse(field, format!("1 to {LIMIT}"), list(found))),
    }
}

/// LiteRT rounds the ends of an activation that a max-pool has, where they lie between two codes, in another way than those of an
/// activation by itself, which it is made into here: where the two differ, it is refused.
fn ends_agree(
    op: &Operator<'_>,
    activation: Activation,
    grid: Option<QuantParams>,
) -> Result<(), ImportError> {
    let (low, high) = activation.bounds();
    let (low, high) = (low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY));
    match grid {
        Some(grid) if grid.bounds_i8(low, high) != grid.bounds_alone(low, high, -128, 127) => {
            let expected = "an activation whose ends are nearer to one code than to the next";
            Err(op.refuse("fused_activation_function", expected, format!("{activation:?}")))
        }
        _ => Ok(()),
    }
}

/// MAX_POOL_2D and AVERAGE_POOL_2D; a fused activation becomes a node of its own.
pub(super) fn pool(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let [_, _, _, channels] = image(op, &input)?;
    let options = op.table.builtin_options_as_pool_2_doptions();
    let options = options.ok_or_else(|| op.refuse("options", "Pool2DOptions", "others"))?;
    let window = positive(op, "filter", [options.filter_height(), options.filter_width()])?;
    let stride = [options.stride_h(), options.stride_w()];
    let axes = Axes { window, stride, dilation: [1, 1], padding: options.padding() };
    let (placed, out) = out_dims(op, &input, axes)?;
    let (dtype, quantization) = import.output_type(op)?;
    same_grid(op, (input.dtype, input.grid), (dtype, quantization))?;
    let pool = Pool { window, stride: placed.stride, padding: placed.padding };
    let kind = match op.code {
        Code::MAX_POOL_2D => Op::MaxPool2d(pool),
        _ => {
            same_type(op, input.dtype, dtype)?;
            Op::AveragePool2d(pool)
        }
    };
    let dims = vec![1, out[0], out[1], channels];
    match moved_activation(op, dtype, options.fused_activation_function())? {
        Activation::None => import.finish(op, kind, vec![input.id], dims),
        fused => {
            if op.code == Code::MAX_POOL_2D {
                ends_agree(op, fused, quantization)?;
            }
            let shape = batched(&dims).ok_or_else(|| too_large(op, &dims))?;
            let value = Value { name: None, shape, dtype, quantization };
            let pooled = import.push(op, "pool", kind, vec![input.id], value);
            import.finish(op, Op::Relu(fused), vec![pooled], dims)
        }
    }
}
