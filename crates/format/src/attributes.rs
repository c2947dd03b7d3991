//! Plain attributes of ops that the reader, the writer and shape inference share. The ops themselves are in `read` and `write`.

use crate::shape::{MAX_RANK, Shape};

/// Function applied to an op's result; of integers, after requantization: each bound is its code in the output's grid, at least
/// -128 and at most 127.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Identity.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, -1), 1)`.
    ReluN1To1,
}

impl Activation {
    /// The code in the file, by schemas/model.fbs.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Activation::None => 0,
            Activation::Relu => 1,
            Activation::Relu6 => 2,
            Activation::ReluN1To1 => 3,
        }
    }

    /// The activation of a code; `None` for codes that this version does not know.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Activation::None),
            1 => Some(Activation::Relu),
            2 => Some(Activation::Relu6),
            3 => Some(Activation::ReluN1To1),
            _ => None,
        }
    }

    /// The reals to which it clamps: the least and the largest, where it has them.
    #[must_use]
    pub const fn bounds(self) -> (Option<f32>, Option<f32>) {
        match self {
            Activation::None => (None, None),
            Activation::Relu => (Some(0.0), None),
            Activation::Relu6 => (Some(0.0), Some(6.0)),
            Activation::ReluN1To1 => (Some(-1.0), Some(1.0)),
        }
    }
}

/// Which dimension of an op's weights counts its output channels, and so its biases and scales. A row of a constant operand is
/// as [`Last`](Self::Last) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelAxis {
    /// Of a convolution's `[O, KH, KW, I]` and a dense layer's `[out, in]`.
    First,
    /// Of a depthwise convolution's `[1, KH, KW, O]`.
    Last,
}

impl ChannelAxis {
    /// Output channels of weights of this shape; `None` where they have no dimension.
    #[must_use]
    pub fn channels(self, weights: Shape) -> Option<u32> {
        match self {
            ChannelAxis::First => weights.first(),
            ChannelAxis::Last => weights.last(),
        }
    }

    /// Elements of a row of weights of this shape: those of one output channel, or one of each. `None` where they have no
    /// dimension, no channel, or too many elements.
    #[must_use]
    pub fn row_len(self, weights: Shape) -> Option<usize> {
        let channels = usize::try_from(self.channels(weights)?).ok()?;
        match self {
            ChannelAxis::First => weights.elements()?.checked_div(channels),
            ChannelAxis::Last => Some(channels),
        }
    }
}

/// Elements added on each side of a `[N, H, W, C]` input. They stand for real 0 in a convolution and never win in a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Rows above.
    pub top: u32,
    /// Rows below.
    pub bottom: u32,
    /// Columns to the left.
    pub left: u32,
    /// Columns to the right.
    pub right: u32,
}

/// What a reshape asks for: dimensions of which one may be -1, whatever is left. The leading one is the batch, written 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReshapeTarget {
    rank: u8,
    dims: [i32; MAX_RANK],
}

impl ReshapeTarget {
    /// `[1, -1]`: flatten in H, W, C order. It is what a file means that states no target.
    pub const FLATTEN: Self = Self { rank: 2, dims: [1, -1, 0, 0, 0, 0] };

    /// `None` where there are more than [`MAX_RANK`] dimensions; the rest is checked against an input by
    /// [`infer::reshape`](crate::infer::reshape).
    #[must_use]
    pub fn from_dims(dims: impl IntoIterator<Item = i32>) -> Option<Self> {
        let mut target = Self { rank: 0, dims: [0; MAX_RANK] };
        for dim in dims {
            *target.dims.get_mut(usize::from(target.rank))? = dim;
            target.rank += 1;
        }
        Some(target)
    }

    /// The dimensions, outermost first.
    #[must_use]
    pub fn dims(&self) -> &[i32] {
        self.dims.get(..usize::from(self.rank)).unwrap_or(&[])
    }
}

/// Elements of real 0 before and after each dimension of a sample, outermost first; the batch has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pads {
    rank: u8,
    pairs: [[u32; 2]; MAX_RANK - 1],
}

impl Pads {
    /// `None` where there are more pairs than a sample may have dimensions; the rest is checked against an input by
    /// [`infer::pad`](crate::infer::pad).
    #[must_use]
    pub fn from_pairs(pairs: impl IntoIterator<Item = [u32; 2]>) -> Option<Self> {
        let mut pads = Self::default();
        for pair in pairs {
            *pads.pairs.get_mut(usize::from(pads.rank))? = pair;
            pads.rank += 1;
        }
        Some(pads)
    }

    /// Before and after of each dimension but the batch.
    #[must_use]
    pub fn pairs(&self) -> &[[u32; 2]] {
        self.pairs.get(..usize::from(self.rank)).unwrap_or(&[])
    }
}
