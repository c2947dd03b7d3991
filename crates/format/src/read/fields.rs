//! The ops as the file states them: which fields each op takes, and what the absent ones mean. Whether they fit their input is
//! `walk`'s and `check`'s business.

use super::layout::{self, Field};
use super::ops::{
    AveragePool2d, Binary, Concat, Constant, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d,
    Op, Pad, Reshape,
};
use super::table::{Defect, Numbers, Table};
use super::walk::TensorType;
use super::weights::{Weights, bias};
use crate::attributes::{Activation, ChannelAxis, Padding, Pads, ReshapeTarget};
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::infer;
use crate::shape::{MAX_RANK, Shape};

impl<'a> Op<'a> {
    /// The op of a node whose input, or the first of them, is of this type.
    pub(super) fn read(table: Table<'a>, node: usize, first: TensorType) -> Result<Self, Error> {
        use layout::node as fields;
        let input = first.shape;
        let code = table.scalar(fields::OP, 0).map_err(|d| d.of(Owner::Node(node, "node")))?;
        let owner = Owner::Node(node, Self::name_of(code));
        let place = owner.field(fields::OP.name);
        let node = Fields { table, owner, reals: first.dtype == DataType::F32 };
        let weighted = [fields::WEIGHTS, fields::BIAS, fields::ACTIVATION];
        match code {
            fields::CONV_2D | fields::DEPTHWISE_CONV_2D => node.only(&weighted, true)?,
            fields::FULLY_CONNECTED => node.only(&weighted, false)?,
            fields::MAX_POOL_2D | fields::AVERAGE_POOL_2D => node.only(&[], true)?,
            fields::RESHAPE | fields::PAD | fields::CONCAT => {
                node.only(&[fields::TARGET], false)?;
            }
            fields::ADD | fields::MUL => {
                node.only(&[fields::WEIGHTS, fields::ACTIVATION], false)?;
            }
            fields::RELU => node.only(&[fields::ACTIVATION], false)?,
            fields::QUANTIZE
            | fields::DEQUANTIZE
            | fields::MEAN
            | fields::SOFTMAX
            | fields::LOGISTIC
            | fields::TANH => node.only(&[], false)?,
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
            fields::AVERAGE_POOL_2D => Ok(Op::AveragePool2d(node.average_pool_2d()?)),
            fields::MEAN => Ok(Op::Mean),
            fields::ADD => Ok(Op::Add(node.binary(input)?)),
            fields::MUL => Ok(Op::Mul(node.binary(input)?)),
            fields::PAD => Ok(Op::Pad(node.pad()?)),
            fields::CONCAT => Ok(Op::Concat(node.concat(input)?)),
            fields::RELU => Ok(Op::Relu(node.relu()?)),
            fields::SOFTMAX => Ok(Op::Softmax),
            fields::LOGISTIC => Ok(Op::Logistic),
            fields::TANH => Ok(Op::Tanh),
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
    /// Whether its input is f32.
    reals: bool,
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
        let reals = self.reals || weights.dtype == DataType::F32;
        bytes.map(|bytes| bias(bytes, reals, channels, self.owner)).transpose()
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

    /// A pool's, whose usual stride is its size.
    fn pool(self) -> Result<Window, Error> {
        let Window { size, stride, padding, dilation } = self.window()?;
        if dilation != [1, 1] {
            let place = self.owner.field(layout::window::DILATION_H.name);
            return Err(Error::Unexpected { place });
        }
        let size = or(size, [2, 2]);
        Ok(Window { size, stride: or(stride, size), padding, dilation })
    }

    fn max_pool_2d(self) -> Result<MaxPool2d, Error> {
        let Window { size: window, stride, padding, .. } = self.pool()?;
        Ok(MaxPool2d { window, stride, padding })
    }

    fn average_pool_2d(self) -> Result<AveragePool2d, Error> {
        let Window { size: window, stride, padding, .. } = self.pool()?;
        Ok(AveragePool2d { window, stride, padding })
    }

    /// With a constant operand where there are weights.
    fn binary(self, input: Shape) -> Result<Binary<'a>, Error> {
        let activation = self.activation()?;
        if !self.table.has(layout::node::WEIGHTS) {
            return Ok(Binary { operand: None, operand_zero_point: 0, activation });
        }
        let (operand, operand_zero_point) = self.weights()?.operand(input)?;
        Ok(Binary { operand: Some(operand), operand_zero_point, activation })
    }

    fn relu(self) -> Result<Activation, Error> {
        let place = self.owner.field(layout::node::ACTIVATION.name);
        match self.activation()? {
            Activation::None => Err(Error::Missing { place }),
            activation => Ok(activation),
        }
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

    fn pad(self) -> Result<Pad, Error> {
        let field = layout::node::TARGET;
        let place = self.owner.field(field.name);
        let numbers: Option<Numbers<'a, i32>> = self.ok(self.table.numbers(field))?;
        let numbers = numbers.ok_or(Error::Missing { place })?;
        let mut pairs = [[0; 2]; MAX_RANK];
        let all = numbers.iter().enumerate();
        let mut flat = pairs.iter_mut().flatten();
        for (index, number) in all {
            let found = number as f32;
            let negative = Error::Number { place, index, expected: "at least 0", found };
            let pad = u32::try_from(number).map_err(|_| negative)?;
            // The rank is held against the pairs later, so more than any rank may have need not be kept.
            if let Some(slot) = flat.next() {
                *slot = pad;
            }
        }
        let found = numbers.len();
        let expected = MAX_RANK.saturating_sub(1).saturating_mul(2);
        let count = Error::Count { place, expected, found };
        if found % 2 != 0 {
            return Err(count);
        }
        let pads = Pads::from_pairs(pairs.into_iter().take(found / 2)).ok_or(count)?;
        Ok(Pad { pads })
    }

    fn concat(self, input: Shape) -> Result<Concat, Error> {
        let field = layout::node::TARGET;
        let place = self.owner.field(field.name);
        let last = u32::try_from(input.rank().saturating_sub(1)).unwrap_or(0);
        let numbers: Option<Numbers<'a, i32>> = self.ok(self.table.numbers(field))?;
        let Some(numbers) = numbers else { return Ok(Concat { axis: last }) };
        let count = Error::Count { place, expected: 1, found: numbers.len() };
        let (Some(number), 1) = (numbers.get(0), numbers.len()) else { return Err(count) };
        let found = number as f32;
        let negative = Error::Number { place, index: 0, expected: "at least 0", found };
        let axis = u32::try_from(number).map_err(|_| negative)?.saturating_add(1);
        Ok(Concat { axis })
    }
}
