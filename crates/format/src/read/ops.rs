//! The ops and their constants, as plain copies of what the file states. Whether they fit their input is `walk`'s and
//! `check`'s business.

use super::layout::{self, Field};
use super::table::{Defect, Numbers, Table};
use super::weights::{Weights, bias};
use crate::attributes::{Activation, ChannelAxis, Padding, ReshapeTarget};
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::infer;
use crate::packing::Packed;
use crate::shape::{MAX_RANK, Shape};

/// What a node does.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Two-dimensional convolution.
    Conv2d(Conv2d<'a>),
    /// The largest element of each window.
    MaxPool2d(MaxPool2d),
    /// Matrix product.
    FullyConnected(FullyConnected<'a>),
    /// The same elements under another shape.
    Reshape(Reshape),
    /// F32 to the integers of the node's value.
    Quantize,
    /// 8-bit integers to F32.
    Dequantize,
    /// Two-dimensional convolution of each channel by itself.
    DepthwiseConv2d(DepthwiseConv2d<'a>),
}

/// `[N, H, W, I]` to `[N, H', W', O]`. Pairs are (h, w).
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a> {
    /// `[O, KH, KW, I]`, of f32 or i8.
    pub weights: Constant<'a>,
    /// `[O]`, of f32, or of i8, i16 or i32 with scale `input scale * weight scale`.
    pub bias: Option<Constant<'a>>,
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements between two taps of a window.
    pub dilation: [u32; 2],
    /// Elements of real 0 around the input.
    pub padding: Padding,
    /// Applied to the result.
    pub activation: Activation,
}

/// `[N, H, W, I]` to `[N, H', W', O]`; output channel `o` reads input channel `o / multiplier` alone, where the whole
/// `multiplier` is `O / I` (see [`infer::depth_multiplier`](crate::infer::depth_multiplier)). Pairs are (h, w).
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseConv2d<'a> {
    /// `[1, KH, KW, O]`, of f32 or i8.
    pub weights: Constant<'a>,
    /// `[O]`, of f32, or of i8, i16 or i32 with scale `input scale * weight scale`.
    pub bias: Option<Constant<'a>>,
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements between two taps of a window.
    pub dilation: [u32; 2],
    /// Elements of real 0 around the input.
    pub padding: Padding,
    /// Applied to the result.
    pub activation: Activation,
}

/// `[N, H, W, C]` to `[N, H', W', C]`; hands on type and quantization. Pairs are (h, w).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Elements of a window.
    pub window: [u32; 2],
    /// Elements between windows.
    pub stride: [u32; 2],
    /// Elements around the input that never win.
    pub padding: Padding,
}

/// `[N, in]` to `[N, out]`.
#[derive(Clone, Copy, Debug)]
pub struct FullyConnected<'a> {
    /// `[out, in]`, of f32 or i8.
    pub weights: Constant<'a>,
    /// `[out]`, of f32, or of i8, i16 or i32 with scale `input scale * weight scale`.
    pub bias: Option<Constant<'a>>,
    /// Applied to the result.
    pub activation: Activation,
}

/// Hands on elements, type and quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// What the result shall be; see [`infer::reshape`](crate::infer::reshape).
    pub target: ReshapeTarget,
}

/// Weights or biases.
#[derive(Clone, Copy, Debug)]
pub struct Constant<'a> {
    /// Dimensions; the first is the output channel, of a depthwise convolution's weights the last.
    pub shape: Shape,
    /// The elements' type.
    pub dtype: DataType,
    /// Real units a step of integer weights; none for f32 and for biases.
    pub scales: Scales<'a>,
    /// The elements, row-major.
    pub packed: Packed<'a>,
}

/// Scales of a constant: none, one for all channels, or one a channel.
#[derive(Clone, Copy, Debug)]
pub struct Scales<'a> {
    numbers: Numbers<'a, f32>,
}

impl<'a> Scales<'a> {
    pub(super) fn new(numbers: Numbers<'a, f32>) -> Self {
        Self { numbers }
    }

    /// How many the file states: 0, 1 or one a channel.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether the file states none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The scale of output channel `channel`; a single one answers for every channel. 0 where there is none.
    #[must_use]
    pub fn get(&self, channel: usize) -> f32 {
        let index = if self.len() == 1 { 0 } else { channel };
        self.numbers.get(index).unwrap_or(0.0)
    }
}

impl<'a> Op<'a> {
    /// The op's name in errors and listings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Self::name_of(match self {
            Op::Conv2d(_) => layout::node::CONV_2D,
            Op::MaxPool2d(_) => layout::node::MAX_POOL_2D,
            Op::FullyConnected(_) => layout::node::FULLY_CONNECTED,
            Op::Reshape(_) => layout::node::RESHAPE,
            Op::Quantize => layout::node::QUANTIZE,
            Op::Dequantize => layout::node::DEQUANTIZE,
            Op::DepthwiseConv2d(_) => layout::node::DEPTHWISE_CONV_2D,
        })
    }

    pub(super) fn name_of(code: u8) -> &'static str {
        match code {
            layout::node::CONV_2D => "conv2d",
            layout::node::MAX_POOL_2D => "max_pool2d",
            layout::node::FULLY_CONNECTED => "fully_connected",
            layout::node::RESHAPE => "reshape",
            layout::node::QUANTIZE => "quantize",
            layout::node::DEQUANTIZE => "dequantize",
            layout::node::DEPTHWISE_CONV_2D => "depthwise_conv2d",
            _ => "node",
        }
    }

    /// Weights and bias, of ops that have them.
    #[must_use]
    pub fn constants(&self) -> Option<(Constant<'a>, Option<Constant<'a>>)> {
        match self {
            Op::Conv2d(op) => Some((op.weights, op.bias)),
            Op::FullyConnected(op) => Some((op.weights, op.bias)),
            Op::DepthwiseConv2d(op) => Some((op.weights, op.bias)),
            Op::MaxPool2d(_) | Op::Reshape(_) | Op::Quantize | Op::Dequantize => None,
        }
    }

    /// Where the weights' output channels are, of ops that have weights.
    #[must_use]
    pub fn channel_axis(&self) -> Option<ChannelAxis> {
        match self {
            Op::Conv2d(_) | Op::FullyConnected(_) => Some(ChannelAxis::First),
            Op::DepthwiseConv2d(_) => Some(ChannelAxis::Last),
            Op::MaxPool2d(_) | Op::Reshape(_) | Op::Quantize | Op::Dequantize => None,
        }
    }

    /// The op of a node whose input has this shape.
    pub(super) fn read(table: Table<'a>, node: usize, input: Shape) -> Result<Self, Error> {
        use layout::node as fields;
        let code = table.scalar(fields::OP, 0).map_err(|d| d.of(Owner::Node(node, "node")))?;
        let owner = Owner::Node(node, Self::name_of(code));
        let place = owner.field(fields::OP.name);
        let node = Fields { table, owner };
        let weighted = [fields::WEIGHTS, fields::BIAS, fields::ACTIVATION];
        match code {
            fields::CONV_2D | fields::DEPTHWISE_CONV_2D => node.only(&weighted, true)?,
            fields::FULLY_CONNECTED => node.only(&weighted, false)?,
            fields::MAX_POOL_2D => node.only(&[], true)?,
            fields::RESHAPE => node.only(&[fields::TARGET], false)?,
            fields::QUANTIZE | fields::DEQUANTIZE => node.only(&[], false)?,
            // Not known here: refused below, whatever it has.
            _ => {}
        }
        match code {
            fields::CONV_2D => Ok(Op::Conv2d(node.conv_2d(input)?)),
            fields::MAX_POOL_2D => Ok(Op::MaxPool2d(node.max_pool_2d()?)),
            fields::FULLY_CONNECTED => Ok(Op::FullyConnected(node.fully_connected(input)?)),
            fields::RESHAPE => Ok(Op::Reshape(node.reshape()?)),
            fields::QUANTIZE => Ok(Op::Quantize),
            fields::DEQUANTIZE => Ok(Op::Dequantize),
            fields::DEPTHWISE_CONV_2D => Ok(Op::DepthwiseConv2d(node.depthwise_conv_2d(input)?)),
            0 => Err(Error::Missing { place }),
            found => Err(Error::UnknownCode { place, found }),
        }
    }
}

/// A window, where what is left out is what the op usually does.
struct Window {
    size: [u32; 2],
    /// 0 where none is stated.
    stride: [u32; 2],
    padding: Padding,
    dilation: [u32; 2],
}

/// What a stated number is, or where none is stated, `usual`.
fn or(stated: [u32; 2], usual: [u32; 2]) -> [u32; 2] {
    let [h, w] = stated;
    let [usual_h, usual_w] = usual;
    [if h == 0 { usual_h } else { h }, if w == 0 { usual_w } else { w }]
}

/// The table of a node, and its name.
#[derive(Clone, Copy)]
struct Fields<'a> {
    table: Table<'a>,
    owner: Owner,
}

impl<'a> Fields<'a> {
    fn ok<T>(self, result: Result<T, Defect>) -> Result<T, Error> {
        result.map_err(|defect| defect.of(self.owner))
    }

    /// Of the fields that belong to some ops alone, none may be there but these.
    fn only(self, allowed: &[Field], window: bool) -> Result<(), Error> {
        use layout::node as fields;
        let some =
            [fields::WEIGHTS, fields::BIAS, fields::ACTIVATION, fields::WINDOW, fields::TARGET];
        for field in some {
            let may = allowed.iter().any(|allowed| allowed.id == field.id)
                || (window && field.id == fields::WINDOW.id);
            if !may && self.table.has(field) {
                return Err(Error::Unexpected { place: self.owner.field(field.name) });
            }
        }
        Ok(())
    }

    fn window(self) -> Result<Window, Error> {
        use layout::window as fields;
        let table = self.ok(self.table.table(layout::node::WINDOW))?;
        let number = |field, default: u16| {
            let number = table.map_or(Ok(default), |table| table.scalar(field, default));
            self.ok(number).map(u32::from)
        };
        Ok(Window {
            size: [number(fields::SIZE_H, 0)?, number(fields::SIZE_W, 0)?],
            stride: [number(fields::STRIDE_H, 0)?, number(fields::STRIDE_W, 0)?],
            padding: Padding {
                top: number(fields::PAD_TOP, 0)?,
                bottom: number(fields::PAD_BOTTOM, 0)?,
                left: number(fields::PAD_LEFT, 0)?,
                right: number(fields::PAD_RIGHT, 0)?,
            },
            dilation: [number(fields::DILATION_H, 1)?, number(fields::DILATION_W, 1)?],
        })
    }

    fn weights(self) -> Result<Weights<'a>, Error> {
        let field = layout::node::WEIGHTS;
        let place = self.owner.field(field.name);
        let table = self.ok(self.table.table(field))?.ok_or(Error::Missing { place })?;
        Ok(Weights::new(table, self.owner))
    }

    /// The last dimension of an input of so many dimensions.
    fn channels(self, input: Shape, rank: usize) -> Result<u32, Error> {
        let source = infer::ShapeError::Rank { of: "input", expected: rank, found: input };
        let place = self.owner.field("shape");
        let channels = input.last().filter(|_| input.rank() == rank);
        channels.ok_or(Error::Shape { place, source })
    }

    fn bias(self, weights: &Constant<'a>, channels: u32) -> Result<Option<Constant<'a>>, Error> {
        let bytes = self.ok(self.table.bytes(layout::node::BIAS))?;
        bytes.map(|bytes| bias(bytes, weights, channels, self.owner)).transpose()
    }

    fn activation(self) -> Result<Activation, Error> {
        let field = layout::node::ACTIVATION;
        let found = self.ok(self.table.scalar(field, 0))?;
        let place = self.owner.field(field.name);
        Activation::from_code(found).ok_or(Error::UnknownCode { place, found })
    }

    fn conv_2d(self, input: Shape) -> Result<Conv2d<'a>, Error> {
        let (window, weights) = (self.window()?, self.weights()?);
        let (channels, [h, w]) = (weights.out_channels()?, or(window.size, [3, 3]));
        let shape = Shape::from([channels, h, w, self.channels(input, 4)?]);
        let weights = weights.constant(shape, ChannelAxis::First)?;
        Ok(Conv2d {
            weights,
            bias: self.bias(&weights, channels)?,
            stride: or(window.stride, [1, 1]),
            dilation: window.dilation,
            padding: window.padding,
            activation: self.activation()?,
        })
    }

    fn depthwise_conv_2d(self, input: Shape) -> Result<DepthwiseConv2d<'a>, Error> {
        let (window, weights) = (self.window()?, self.weights()?);
        let (channels, [h, w]) = (weights.out_channels()?, or(window.size, [3, 3]));
        self.channels(input, 4)?;
        let weights = weights.constant([1, h, w, channels].into(), ChannelAxis::Last)?;
        Ok(DepthwiseConv2d {
            weights,
            bias: self.bias(&weights, channels)?,
            stride: or(window.stride, [1, 1]),
            dilation: window.dilation,
            padding: window.padding,
            activation: self.activation()?,
        })
    }

    fn max_pool_2d(self) -> Result<MaxPool2d, Error> {
        let Window { size, stride, padding, dilation } = self.window()?;
        if dilation != [1, 1] {
            let place = self.owner.field(layout::window::DILATION_H.name);
            return Err(Error::Unexpected { place });
        }
        let window = or(size, [2, 2]);
        Ok(MaxPool2d { window, stride: or(stride, window), padding })
    }

    fn fully_connected(self, input: Shape) -> Result<FullyConnected<'a>, Error> {
        let weights = self.weights()?;
        let channels = weights.out_channels()?;
        let shape = Shape::from([channels, self.channels(input, 2)?]);
        let weights = weights.constant(shape, ChannelAxis::First)?;
        let (bias, activation) = (self.bias(&weights, channels)?, self.activation()?);
        Ok(FullyConnected { weights, bias, activation })
    }

    fn reshape(self) -> Result<Reshape, Error> {
        let field = layout::node::TARGET;
        let dims: Option<Numbers<'a, i32>> = self.ok(self.table.numbers(field))?;
        let Some(dims) = dims else { return Ok(Reshape { target: ReshapeTarget::FLATTEN }) };
        match ReshapeTarget::from_dims(core::iter::once(1).chain(dims.iter())) {
            Some(target) => Ok(Reshape { target }),
            None => Err(Error::Count {
                place: self.owner.field(field.name),
                expected: MAX_RANK.saturating_sub(1),
                found: dims.len(),
            }),
        }
    }
}
