//! The ops and their constants, as plain copies of what the file states. Whether they fit their input is `walk`'s and
//! `check`'s business.

use super::layout::{self, Field};
use super::table::{Defect, Numbers, Table, Union};
use super::view::read_shape;
use crate::attributes::{Activation, ChannelAxis, Padding, ReshapeTarget};
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::packing::{Packed, bitmap, dense, gaps};
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

impl Scales<'_> {
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

    pub(super) fn read(union: Union<'a>, node: usize) -> Result<Self, Error> {
        let owner = Owner::Node(node, Self::name_of(union.code));
        let fields = || {
            let table = union.table().map_err(|defect| defect.of(owner))?;
            Ok(Fields { table, owner })
        };
        match union.code {
            layout::node::CONV_2D => Ok(Op::Conv2d(fields()?.conv_2d()?)),
            layout::node::MAX_POOL_2D => Ok(Op::MaxPool2d(fields()?.max_pool_2d()?)),
            layout::node::FULLY_CONNECTED => {
                let (weights, bias, activation) = fields()?.weighted(ChannelAxis::First)?;
                Ok(Op::FullyConnected(FullyConnected { weights, bias, activation }))
            }
            layout::node::RESHAPE => Ok(Op::Reshape(fields()?.reshape()?)),
            layout::node::QUANTIZE => Ok(Op::Quantize),
            layout::node::DEQUANTIZE => Ok(Op::Dequantize),
            layout::node::DEPTHWISE_CONV_2D => {
                Ok(Op::DepthwiseConv2d(fields()?.depthwise_conv_2d()?))
            }
            found => Err(Error::UnknownCode { place: owner.field(layout::node::OP.name), found }),
        }
    }
}

/// A table and who has it.
#[derive(Clone, Copy)]
struct Fields<'a> {
    table: Table<'a>,
    owner: Owner,
}

impl<'a> Fields<'a> {
    fn ok<T>(self, result: Result<T, Defect>) -> Result<T, Error> {
        result.map_err(|defect| defect.of(self.owner))
    }

    /// A u16 field, widened.
    fn number(self, field: Field, default: u16) -> Result<u32, Error> {
        self.ok(self.table.scalar(field, default)).map(u32::from)
    }

    fn pair(self, [h, w]: [Field; 2], default: u16) -> Result<[u32; 2], Error> {
        Ok([self.number(h, default)?, self.number(w, default)?])
    }

    fn padding(self, [top, bottom, left, right]: [Field; 4]) -> Result<Padding, Error> {
        Ok(Padding {
            top: self.number(top, 0)?,
            bottom: self.number(bottom, 0)?,
            left: self.number(left, 0)?,
            right: self.number(right, 0)?,
        })
    }

    fn conv_2d(self) -> Result<Conv2d<'a>, Error> {
        use layout::conv_2d as fields;
        let (weights, bias, activation) = self.weighted(ChannelAxis::First)?;
        Ok(Conv2d {
            weights,
            bias,
            stride: self.pair(fields::STRIDE, 1)?,
            dilation: self.pair(fields::DILATION, 1)?,
            padding: self.padding(fields::PADS)?,
            activation,
        })
    }

    fn depthwise_conv_2d(self) -> Result<DepthwiseConv2d<'a>, Error> {
        use layout::conv_2d as fields;
        let (weights, bias, activation) = self.weighted(ChannelAxis::Last)?;
        Ok(DepthwiseConv2d {
            weights,
            bias,
            stride: self.pair(fields::STRIDE, 1)?,
            dilation: self.pair(fields::DILATION, 1)?,
            padding: self.padding(fields::PADS)?,
            activation,
        })
    }

    fn max_pool_2d(self) -> Result<MaxPool2d, Error> {
        use layout::max_pool_2d as fields;
        let window = self.pair(fields::WINDOW, 2)?;
        let [stride_h, stride_w] = self.pair(fields::STRIDE, 0)?;
        let or = |stride, window| if stride == 0 { window } else { stride };
        let [window_h, window_w] = window;
        Ok(MaxPool2d {
            window,
            stride: [or(stride_h, window_h), or(stride_w, window_w)],
            padding: self.padding(fields::PADS)?,
        })
    }

    fn reshape(self) -> Result<Reshape, Error> {
        let field = layout::RESHAPE_SHAPE;
        let dims: Option<Numbers<'a, i32>> = self.ok(self.table.numbers(field))?;
        let Some(dims) = dims else { return Ok(Reshape { target: ReshapeTarget::FLATTEN }) };
        match ReshapeTarget::from_dims(dims.iter()) {
            Some(target) => Ok(Reshape { target }),
            None => Err(Error::Count {
                place: self.owner.field(field.name),
                expected: MAX_RANK,
                found: dims.len(),
            }),
        }
    }

    fn weighted(
        self,
        axis: ChannelAxis,
    ) -> Result<(Constant<'a>, Option<Constant<'a>>, Activation), Error> {
        use layout::weighted as fields;
        let found = self.ok(self.table.scalar(fields::ACTIVATION, 0))?;
        let place = self.owner.field(fields::ACTIVATION.name);
        let activation = Activation::from_code(found).ok_or(Error::UnknownCode { place, found })?;
        let place = self.owner.field(fields::WEIGHTS.name);
        let weights = self
            .constant(fields::WEIGHTS, layout::constant::WEIGHTS, None)?
            .ok_or(Error::Missing { place })?;
        let channels = axis.channels(weights.shape).unwrap_or(0);
        let bias =
            self.constant(fields::BIAS, layout::constant::BIASES, Some([channels].into()))?;
        Ok((weights, bias, activation))
    }

    /// A constant whose shape, where it is absent, is `default`.
    fn constant(
        self,
        field: Field,
        names: layout::constant::Names,
        default: Option<Shape>,
    ) -> Result<Option<Constant<'a>>, Error> {
        let Some(table) = self.ok(self.table.table(field))? else { return Ok(None) };
        let owner = self.owner;
        let found = self.ok(table.scalar(names.dtype, 0_u8))?;
        let place = owner.field(names.dtype.name);
        let dtype = DataType::from_code(found).ok_or(match found {
            0 => Error::Missing { place },
            found => Error::UnknownCode { place, found },
        })?;
        let shape = match self.ok(table.numbers(names.shape))? {
            Some(dims) => read_shape(dims, owner, names.shape)?,
            None => default.ok_or(Error::Missing { place: owner.field(names.shape.name) })?,
        };
        let numbers = self.ok(table.numbers(names.scale))?.unwrap_or(Numbers::EMPTY);
        let union = self.ok(table.union(names.packing))?;
        let place = owner.field(names.packing.name);
        let union = union.ok_or(Error::Missing { place })?;
        let elements = shape.elements().unwrap_or(usize::MAX);
        let packed = self.packed(union, dtype, elements, names.packing)?;
        Ok(Some(Constant { shape, dtype, scales: Scales { numbers }, packed }))
    }

    fn packed(
        self,
        union: Union<'a>,
        dtype: DataType,
        elements: usize,
        field: Field,
    ) -> Result<Packed<'a>, Error> {
        use layout::constant as fields;
        let place = self.owner.field(field.name);
        let bytes = |table: Table<'a>, field| {
            self.ok(table.bytes(field)).map(|bytes| bytes.unwrap_or_default())
        };
        let packed = match union.code {
            fields::DENSE => {
                let table = self.ok(union.table())?;
                dense::View::new(dtype, bytes(table, fields::DENSE_DATA)?, elements)
                    .map(Packed::Dense)
            }
            fields::BITMAP => {
                let table = self.ok(union.table())?;
                let mask = bytes(table, fields::BITMAP_MASK)?;
                let values = bytes(table, fields::BITMAP_VALUES)?;
                bitmap::View::new(dtype, mask, values, elements).map(Packed::Bitmap)
            }
            fields::GAPS => {
                let table = self.ok(union.table())?;
                let bits = table.scalar::<u8>(fields::GAPS_BITS, fields::GAPS_BITS_DEFAULT);
                let (bits, codes) = (self.ok(bits)?, bytes(table, fields::GAPS_CODES)?);
                let values = bytes(table, fields::GAPS_VALUES)?;
                gaps::View::new(dtype, bits, codes, values, elements).map(Packed::Gaps)
            }
            found => return Err(Error::UnknownCode { place, found }),
        };
        packed.map_err(|source| Error::Packing { place, source })
    }
}
