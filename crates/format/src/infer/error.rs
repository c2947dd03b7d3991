//! Why shapes do not go together. The arithmetic is in the modules beside.

use crate::attributes::ReshapeTarget;
use crate::shape::Shape;
use core::fmt;

/// Why shapes do not go together.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeError {
    /// A tensor has the wrong number of dimensions.
    Rank {
        /// `input` or `weights`.
        of: &'static str,
        /// Dimensions it must have.
        expected: usize,
        /// Its shape.
        found: Shape,
    },
    /// Weights that no depthwise convolution has: their first dimension must be 1.
    Depthwise {
        /// Their shape.
        found: Shape,
    },
    /// The output channels of a depthwise convolution are not a whole multiple of the input's channels.
    DepthMultiplier {
        /// The input's last dimension.
        input: u32,
        /// The weights' last dimension.
        output: u32,
    },
    /// The input's channels or features are not the weights' last dimension.
    Channels {
        /// The weights' last dimension.
        expected: u32,
        /// The input's last dimension.
        found: u32,
    },
    /// A dimension, a stride, a dilation or a window is 0.
    Zero {
        /// Which.
        of: &'static str,
    },
    /// The window does not fit in the padded input.
    WindowTooLarge {
        /// Taps times dilation, in elements.
        window: u64,
        /// Input plus padding, in elements.
        padded: u64,
    },
    /// A pool's window would lie in padding alone.
    PaddingTooLarge {
        /// Elements of padding on one side.
        padding: u32,
        /// Elements of the window.
        window: u32,
    },
    /// A constant operand has neither one element, nor one for each of the input's last dimension, nor one for each of a sample.
    Operand {
        /// The input's shape.
        input: Shape,
        /// Elements of the operand.
        found: u32,
    },
    /// Dimensions of two values that are neither equal nor 1 on one side, or another number of them.
    Broadcast {
        /// The first value's shape.
        first: Shape,
        /// The second's.
        second: Shape,
    },
    /// A value that differs from the first in another dimension than the one along which they are put side by side.
    Concat {
        /// The axis, the batch being 0.
        axis: u32,
        /// The first value's shape.
        first: Shape,
        /// The other's.
        found: Shape,
    },
    /// An axis that is the batch, or none of the input's.
    Axis {
        /// The axis, the batch being 0.
        axis: u32,
        /// The input's shape.
        input: Shape,
    },
    /// A sample without a dimension.
    NoAxis {
        /// The input's shape.
        found: Shape,
    },
    /// Not one pair of paddings for every dimension but the batch.
    Pads {
        /// The input's shape.
        input: Shape,
        /// Pairs.
        found: usize,
    },
    /// More elements than a `u32` counts.
    Overflow,
    /// A reshape that does not keep the batch and the number of elements.
    Reshape {
        /// The input's shape.
        input: Shape,
        /// What was asked for.
        target: ReshapeTarget,
    },
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rank { of, expected, found } => {
                write!(f, "{of}: expected {expected} dimensions, found {found}")
            }
            Self::Depthwise { found } => {
                write!(f, "weights: expected [1, height, width, channels], found {found}")
            }
            Self::DepthMultiplier { input, output } => {
                write!(f, "channels: expected a multiple of the input's {input}, found {output}")
            }
            Self::Channels { expected, found } => {
                write!(f, "channels: the weights expect {expected}, the input has {found}")
            }
            Self::Zero { of } => write!(f, "{of}: expected at least 1, found 0"),
            Self::WindowTooLarge { window, padded } => {
                write!(f, "window: {window} elements do not fit in the input's {padded}")
            }
            Self::PaddingTooLarge { padding, window } => {
                write!(f, "padding: expected less than the window's {window}, found {padding}")
            }
            Self::Operand { input, found } => {
                write!(
                    f,
                    "constant operand: expected 1, a channel's or a sample's elements of {input}, found {found}"
                )
            }
            Self::Broadcast { first, second } => {
                write!(f, "inputs: {first} and {second} differ where neither is 1")
            }
            Self::Concat { axis, first, found } => {
                write!(f, "inputs: expected {first} but for dimension {axis}, found {found}")
            }
            Self::Axis { axis, input } => {
                write!(f, "axis: expected a dimension of {input} after the batch, found {axis}")
            }
            Self::NoAxis { found } => {
                write!(f, "input: expected an axis beside the batch, found {found}")
            }
            Self::Pads { input, found } => {
                write!(
                    f,
                    "padding: expected a pair for each dimension of {input} but the batch, found {found}"
                )
            }
            Self::Overflow => write!(f, "more elements than a u32 counts"),
            Self::Reshape { input, target } => {
                write!(f, "cannot reshape {input} to {:?}", target.dims())
            }
        }
    }
}

impl core::error::Error for ShapeError {}
