//! Shape arithmetic of every op, in one place: the file's checks, the runtime's planner and the converter call these.
//! Element types and quantization are not inferred here (see `read::Walk`).
//!
//! Activations are `[N, H, W, C]` or `[N, features]`; the batch `N` passes through.

mod error;
mod operands;

pub use error::ShapeError;
pub use operands::{OperandExtent, add_mul, concat, operand, pad};

use crate::attributes::{Padding, ReshapeTarget};
use crate::shape::Shape;

/// Elements that a tap window spans: `(taps - 1) * dilation + 1`.
#[must_use]
pub fn window_extent(taps: u32, dilation: u32) -> u64 {
    // Cannot overflow: (2^32 - 2) * (2^32 - 1) + 1 < 2^64.
    u64::from(taps.saturating_sub(1)) * u64::from(dilation) + 1
}

/// Positions of a window along one axis: `(before + input + after - extent) / stride + 1`, rounded down.
pub fn window_positions(
    input: u32,
    pad_before: u32,
    pad_after: u32,
    taps: u32,
    dilation: u32,
    stride: u32,
) -> Result<u32, ShapeError> {
    for (value, of) in
        [(input, "input"), (taps, "window"), (dilation, "dilation"), (stride, "stride")]
    {
        if value == 0 {
            return Err(ShapeError::Zero { of });
        }
    }
    let padded = u64::from(input) + u64::from(pad_before) + u64::from(pad_after);
    let window = window_extent(taps, dilation);
    let Some(room) = padded.checked_sub(window) else {
        return Err(ShapeError::WindowTooLarge { window, padded });
    };
    // The stride was seen not to be 0, which compilers cannot see everywhere.
    let steps = room.checked_div(u64::from(stride)).unwrap_or(0);
    u32::try_from(steps + 1).map_err(|_| ShapeError::Overflow)
}

/// `[N, H, W, I]` by weights `[O, KH, KW, I]` to `[N, H', W', O]`. `stride` and `dilation` are (h, w).
pub fn conv2d(
    input: Shape,
    weights: Shape,
    stride: [u32; 2],
    dilation: [u32; 2],
    padding: Padding,
) -> Result<Shape, ShapeError> {
    let [n, h, w, channels] = rank_4("input", input)?;
    let [out_channels, kernel_h, kernel_w, in_channels] = rank_4("weights", weights)?;
    if channels != in_channels {
        return Err(ShapeError::Channels { expected: in_channels, found: channels });
    }
    let out_h = window_positions(h, padding.top, padding.bottom, kernel_h, dilation[0], stride[0])?;
    let out_w = window_positions(w, padding.left, padding.right, kernel_w, dilation[1], stride[1])?;
    checked([n, out_h, out_w, out_channels].into())
}

/// Output channels that read one input channel of a depthwise convolution: output channel `o` reads input channel `o / this`.
///
/// # Errors
/// [`ShapeError::DepthMultiplier`] where it is not whole, or 0.
pub fn depth_multiplier(in_channels: u32, out_channels: u32) -> Result<u32, ShapeError> {
    let error = ShapeError::DepthMultiplier { input: in_channels, output: out_channels };
    match (out_channels.checked_rem(in_channels), out_channels.checked_div(in_channels)) {
        (Some(0), Some(multiplier @ 1..)) => Ok(multiplier),
        _ => Err(error),
    }
}

/// `[N, H, W, I]` by weights `[1, KH, KW, O]` to `[N, H', W', O]`, where `O` is a multiple of `I`. `stride` and `dilation`
/// are (h, w).
pub fn depthwise_conv2d(
    input: Shape,
    weights: Shape,
    stride: [u32; 2],
    dilation: [u32; 2],
    padding: Padding,
) -> Result<Shape, ShapeError> {
    let [n, h, w, in_channels] = rank_4("input", input)?;
    let [1, kernel_h, kernel_w, out_channels] = rank_4("weights", weights)? else {
        return Err(ShapeError::Depthwise { found: weights });
    };
    depth_multiplier(in_channels, out_channels)?;
    let out_h = window_positions(h, padding.top, padding.bottom, kernel_h, dilation[0], stride[0])?;
    let out_w = window_positions(w, padding.left, padding.right, kernel_w, dilation[1], stride[1])?;
    checked([n, out_h, out_w, out_channels].into())
}

/// `[N, H, W, C]` to `[N, H', W', C]`. `window` and `stride` are (h, w). Padding must be smaller than the window, so that
/// every window holds an element.
pub fn max_pool2d(
    input: Shape,
    window: [u32; 2],
    stride: [u32; 2],
    padding: Padding,
) -> Result<Shape, ShapeError> {
    let [n, h, w, channels] = rank_4("input", input)?;
    let sides = [
        (padding.top, window[0]),
        (padding.bottom, window[0]),
        (padding.left, window[1]),
        (padding.right, window[1]),
    ];
    let out_h = window_positions(h, padding.top, padding.bottom, window[0], 1, stride[0])?;
    let out_w = window_positions(w, padding.left, padding.right, window[1], 1, stride[1])?;
    for (padding, window) in sides {
        if padding >= window {
            return Err(ShapeError::PaddingTooLarge { padding, window });
        }
    }
    checked([n, out_h, out_w, channels].into())
}

/// As [`max_pool2d`]. Padding is not counted, and every window holds an element to divide by.
pub fn average_pool2d(
    input: Shape,
    window: [u32; 2],
    stride: [u32; 2],
    padding: Padding,
) -> Result<Shape, ShapeError> {
    max_pool2d(input, window, stride, padding)
}

/// `[N, H, W, C]` to `[N, C]`: the mean over H and W.
pub fn mean(input: Shape) -> Result<Shape, ShapeError> {
    let [n, h, w, channels] = rank_4("input", input)?;
    if h == 0 || w == 0 {
        return Err(ShapeError::Zero { of: "input" });
    }
    checked([n, channels].into())
}

/// Of what works along the last axis of a sample, `[N, ..., features]`: the input's shape.
pub fn softmax(input: Shape) -> Result<Shape, ShapeError> {
    if input.rank() < 2 {
        return Err(ShapeError::NoAxis { found: input });
    }
    Ok(input)
}

/// `[N, in]` by weights `[out, in]` to `[N, out]`.
pub fn fully_connected(input: Shape, weights: Shape) -> Result<Shape, ShapeError> {
    let rank = |of, found: Shape| ShapeError::Rank { of, expected: 2, found };
    let [n, features] = input.as_2d().ok_or(rank("input", input))?;
    let [out, in_features] = weights.as_2d().ok_or(rank("weights", weights))?;
    if features != in_features {
        return Err(ShapeError::Channels { expected: in_features, found: features });
    }
    checked([n, out].into())
}

/// The same elements as `target`. Its leading dimension is the batch, written 1, and becomes the input's leading one; one
/// other may be -1, whatever is left.
pub fn reshape(input: Shape, target: ReshapeTarget) -> Result<Shape, ShapeError> {
    let error = ShapeError::Reshape { input, target };
    let [batch, sample @ ..] = input.dims() else { return Err(error) };
    let [1, rest @ ..] = target.dims() else { return Err(error) };
    let elements = elements(sample.iter().copied())?;
    let stated = elements_of_target(rest).ok_or(error)?;
    let inferred = match rest.iter().filter(|&&dim| dim == -1).count() {
        0 if stated == elements => 0,
        1 if elements.checked_rem(stated) == Some(0) => elements.checked_div(stated).unwrap_or(0),
        _ => return Err(error),
    };
    let dims = rest.iter().map(|&dim| u32::try_from(dim).unwrap_or(inferred));
    checked(Shape::from_dims(core::iter::once(*batch).chain(dims)).ok_or(error)?)
}

/// Product of the dimensions that are not -1; `None` where one is 0 or below -1, or the product overflows.
fn elements_of_target(dims: &[i32]) -> Option<u32> {
    dims.iter().filter(|&&dim| dim != -1).try_fold(1_u32, |product, &dim| {
        if dim < 1 { None } else { product.checked_mul(dim.unsigned_abs()) }
    })
}

fn elements(mut dims: impl Iterator<Item = u32>) -> Result<u32, ShapeError> {
    dims.try_fold(1_u32, u32::checked_mul).ok_or(ShapeError::Overflow)
}

fn rank_4(of: &'static str, found: Shape) -> Result<[u32; 4], ShapeError> {
    found.as_4d().ok_or(ShapeError::Rank { of, expected: 4, found })
}

fn checked(shape: Shape) -> Result<Shape, ShapeError> {
    if shape.dims().contains(&0) {
        return Err(ShapeError::Zero { of: "output" });
    }
    shape.elements().map(|_| shape).ok_or(ShapeError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padding(all: u32) -> Padding {
        Padding { top: all, bottom: all, left: all, right: all }
    }

    #[test]
    fn the_articles_network() {
        let conv = conv2d([1, 28, 28, 1].into(), [12, 3, 3, 1].into(), [1, 1], [1, 1], padding(0));
        assert_eq!(conv, Ok([1, 26, 26, 12].into()));
        let pool = max_pool2d([1, 26, 26, 12].into(), [2, 2], [2, 2], padding(0));
        assert_eq!(pool, Ok([1, 13, 13, 12].into()));
        let flat = reshape([1, 13, 13, 12].into(), ReshapeTarget::FLATTEN);
        assert_eq!(flat, Ok([1, 2028].into()));
        assert_eq!(fully_connected([1, 2028].into(), [10, 2028].into()), Ok([1, 10].into()));
    }

    /// Positions counted one by one.
    #[test]
    fn window_positions_equal_a_count() {
        for input in 1..9_u32 {
            for pads in [(0, 0), (1, 0), (2, 3)] {
                for (taps, dilation, stride) in [(1, 1, 1), (3, 1, 2), (2, 3, 1), (3, 2, 3)] {
                    let padded = input + pads.0 + pads.1;
                    let mut count = 0;
                    let mut start = 0;
                    while start + (taps - 1) * dilation < padded {
                        count += 1;
                        start += stride;
                    }
                    let found = window_positions(input, pads.0, pads.1, taps, dilation, stride);
                    if count == 0 {
                        assert!(matches!(found, Err(ShapeError::WindowTooLarge { .. })));
                    } else {
                        assert_eq!(found, Ok(count));
                    }
                }
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let max = u32::MAX;
        assert!(window_positions(max, max, max, max, max, 1).is_err());
        assert_eq!(window_positions(max, max, max, 1, max, 1), Err(ShapeError::Overflow));
        let wide = Shape::from([1, 65_535, 65_535, 1]);
        let many = Shape::from([9, 1, 1, 1]);
        assert_eq!(conv2d(wide, many, [1, 1], [1, 1], padding(0)), Err(ShapeError::Overflow));
    }

    #[test]
    fn depthwise_keeps_or_multiplies_channels() {
        let conv = |input: Shape, weights: Shape, stride, dilation, pads| {
            depthwise_conv2d(input, weights, stride, dilation, padding(pads))
        };
        let input = Shape::from([7, 49, 10, 64]);
        let one = conv(input, [1, 3, 3, 64].into(), [1, 1], [1, 1], 1);
        assert_eq!(one, Ok([7, 49, 10, 64].into()));
        let three = conv(input, [1, 10, 4, 192].into(), [2, 1], [1, 3], 0);
        assert_eq!(three, Ok([7, 20, 1, 192].into()));
        for (output, expected) in [(64, Some(1)), (192, Some(3)), (32, None), (96, None), (0, None)]
        {
            let error = ShapeError::DepthMultiplier { input: 64, output };
            assert_eq!(depth_multiplier(64, output), expected.ok_or(error));
            let shape = conv(input, [1, 1, 1, output].into(), [1, 1], [1, 1], 0);
            assert_eq!(shape.is_ok(), expected.is_some());
        }
        assert!(depth_multiplier(0, 4).is_err());
        let ohwi = Shape::from([64, 3, 3, 64]);
        let error = ShapeError::Depthwise { found: ohwi };
        assert_eq!(conv(input, ohwi, [1, 1], [1, 1], 0), Err(error));
        let rank = conv(input, [1, 3, 64].into(), [1, 1], [1, 1], 0);
        assert!(matches!(rank, Err(ShapeError::Rank { of: "weights", expected: 4, .. })));
        let tall = conv(input, [1, 50, 1, 64].into(), [1, 1], [1, 1], 0);
        assert_eq!(tall, Err(ShapeError::WindowTooLarge { window: 50, padded: 49 }));
    }

    #[test]
    fn pools_refuse_windows_of_padding_alone() {
        let input = Shape::from([1, 4, 4, 3]);
        assert_eq!(
            max_pool2d(input, [2, 2], [2, 2], padding(2)),
            Err(ShapeError::PaddingTooLarge { padding: 2, window: 2 })
        );
        assert_eq!(max_pool2d(input, [2, 2], [1, 1], padding(1)), Ok([1, 5, 5, 3].into()));
    }

    #[test]
    fn means_are_over_height_and_width() {
        assert_eq!(mean([7, 4, 6, 3].into()), Ok([7, 3].into()));
        assert!(matches!(mean([7, 4, 3].into()), Err(ShapeError::Rank { .. })));
        assert_eq!(mean([7, 0, 6, 3].into()), Err(ShapeError::Zero { of: "input" }));
        assert!(average_pool2d([1, 4, 4, 3].into(), [2, 2], [2, 2], padding(2)).is_err());
        assert_eq!(softmax([7, 3].into()), Ok([7, 3].into()));
        assert!(softmax([7].into()).is_err(), "the batch is no axis");
    }

    #[test]
    fn reshape_infers_one_dimension_and_keeps_the_batch() {
        let input = Shape::from([7, 4, 6]);
        let to = |dims: &[i32]| {
            ReshapeTarget::from_dims(dims.iter().copied()).map(|target| reshape(input, target))
        };
        assert_eq!(to(&[1, -1]), Some(Ok([7, 24].into())));
        assert_eq!(to(&[1, 2, -1, 3]), Some(Ok([7, 2, 4, 3].into())));
        assert_eq!(to(&[1, 24, 1]), Some(Ok([7, 24, 1].into())));
        for bad in [&[7, 24][..], &[1, 23], &[1, -1, -1], &[1, 0, -1], &[1, 5, -1], &[-1], &[]] {
            assert!(matches!(to(bad), Some(Err(ShapeError::Reshape { .. }))), "{bad:?}");
        }
        assert!(matches!(to(&[1, -2, -12]), Some(Err(_))));
    }
}
