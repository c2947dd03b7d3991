//! What a node's table states beside its constants: code, window, target, and which of an op's parts are constants. Constants and
//! the file around them are `build`'s.

#![forbid(unsafe_code)]

use super::build::{Builder, Maybe};
use super::generated::penjing as fb;
use super::{Constant, Op, WriteError};
use crate::attributes::{Activation, ChannelAxis, Padding, ReshapeTarget};
use crate::error::{Error, Owner};
use crate::infer::ShapeError;
use crate::shape::Shape;
use flatbuffers::{Vector, WIPOffset};
use std::format;
use std::vec::Vec;

impl Op {
    pub(super) fn code(&self) -> fb::Op {
        match self {
            Op::Conv2d(_) => fb::Op::Conv2d,
            Op::MaxPool2d(_) => fb::Op::MaxPool2d,
            Op::FullyConnected(_) => fb::Op::FullyConnected,
            Op::Reshape(_) => fb::Op::Reshape,
            Op::Quantize => fb::Op::Quantize,
            Op::Dequantize => fb::Op::Dequantize,
            Op::DepthwiseConv2d(_) => fb::Op::DepthwiseConv2d,
            Op::AveragePool2d(_) => fb::Op::AveragePool2d,
            Op::Mean => fb::Op::Mean,
            Op::Add(_) => fb::Op::Add,
            Op::Mul(_) => fb::Op::Mul,
            Op::Pad(_) => fb::Op::Pad,
            Op::Concat(_) => fb::Op::Concat,
            Op::Relu(_) => fb::Op::Relu,
            Op::Softmax => fb::Op::Softmax,
            Op::Logistic => fb::Op::Logistic,
            Op::Tanh => fb::Op::Tanh,
        }
    }

    /// Weights and bias, of ops that have them; the constant operand of `Add` and `Mul`.
    pub(super) fn weights(&self) -> Option<(&Constant, Option<&Constant>)> {
        match self {
            Op::Conv2d(op) => Some((&op.weights, op.bias.as_ref())),
            Op::DepthwiseConv2d(op) => Some((&op.weights, op.bias.as_ref())),
            Op::FullyConnected(op) => Some((&op.weights, op.bias.as_ref())),
            Op::Add(op) | Op::Mul(op) => op.operand.as_ref().map(|operand| (operand, None)),
            _ => None,
        }
    }

    pub(super) fn activation(&self) -> Activation {
        match self {
            Op::Conv2d(op) => op.activation,
            Op::DepthwiseConv2d(op) => op.activation,
            Op::FullyConnected(op) => op.activation,
            Op::Add(op) | Op::Mul(op) => op.activation,
            Op::Relu(activation) => *activation,
            _ => Activation::None,
        }
    }

    pub(super) fn channel_axis(&self) -> ChannelAxis {
        match self {
            Op::DepthwiseConv2d(_) | Op::Add(_) | Op::Mul(_) => ChannelAxis::Last,
            _ => ChannelAxis::First,
        }
    }

    /// What the file states as `out_channels` and as `zero_point` of the weights.
    pub(super) fn counts(&self, weights: &Constant) -> (u32, i32) {
        match self {
            Op::Add(op) | Op::Mul(op) => {
                let elements = weights.shape.elements().and_then(|count| count.try_into().ok());
                (elements.unwrap_or(0), op.operand_zero_point)
            }
            _ => (self.channel_axis().channels(weights.shape).unwrap_or(0), 0),
        }
    }
}

impl Builder {
    pub(super) fn target(&mut self, node: usize, op: &Op) -> Maybe<Vector<'static, i32>> {
        let numbers: Vec<i64> = match op {
            // Another target than one of batch 1 means something else than what is written then, which is checked.
            Op::Reshape(op) if op.target == ReshapeTarget::FLATTEN => return Ok(None),
            Op::Reshape(op) => match op.target.dims() {
                [1, dims @ ..] => dims.iter().copied().map(i64::from).collect(),
                _ => return Ok(None),
            },
            Op::Pad(op) => op.pads.pairs().iter().flatten().copied().map(i64::from).collect(),
            Op::Concat(op) => [i64::from(op.axis) - 1].into(),
            _ => return Ok(None),
        };
        let number = |&found: &i64| {
            i32::try_from(found).map_err(|_| WriteError::TooLarge {
                place: format!("node {node}, target"),
                limit: i32::MAX.into(),
                found,
            })
        };
        let numbers = numbers.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(WIPOffset::new(self.fbb.create_vector(&numbers).value())))
    }

    pub(super) fn window(&mut self, node: usize, op: &Op) -> Maybe<fb::Window<'static>> {
        let (size, usual_size, stride, usual_stride, padding, dilation) = match op {
            Op::Conv2d(op) => {
                let [_, h, w, _] = kernel(node, op.weights.shape)?;
                ([h, w], [3; 2], op.stride, [1; 2], op.padding, op.dilation)
            }
            Op::DepthwiseConv2d(op) => {
                let [_, h, w, _] = kernel(node, op.weights.shape)?;
                ([h, w], [3; 2], op.stride, [1; 2], op.padding, op.dilation)
            }
            Op::MaxPool2d(op) => (op.window, [2; 2], op.stride, op.window, op.padding, [1; 2]),
            Op::AveragePool2d(op) => (op.window, [2; 2], op.stride, op.window, op.padding, [1; 2]),
            _ => return Ok(None),
        };
        // 0 would mean the usual one to a reader.
        for (numbers, field) in [(size, "window.size"), (stride, "window.stride")] {
            if numbers.contains(&0) {
                return Err(WriteError::Zero { node, field });
            }
        }
        let Padding { top, bottom, left, right } = padding;
        let usual = [[0; 2], [0; 2], [0; 2], [0; 2], [1; 2]];
        let stated = [
            if size == usual_size { [0; 2] } else { size },
            if stride == usual_stride { [0; 2] } else { stride },
            [top, bottom],
            [left, right],
            dilation,
        ];
        if stated == usual {
            return Ok(None);
        }
        let short = |value, field| short(value, node, field);
        let args = fb::WindowArgs {
            size_h: short(stated[0][0], "window.size_h")?,
            size_w: short(stated[0][1], "window.size_w")?,
            stride_h: short(stated[1][0], "window.stride_h")?,
            stride_w: short(stated[1][1], "window.stride_w")?,
            pad_top: short(top, "window.pad_top")?,
            pad_bottom: short(bottom, "window.pad_bottom")?,
            pad_left: short(left, "window.pad_left")?,
            pad_right: short(right, "window.pad_right")?,
            dilation_h: short(dilation[0], "window.dilation_h")?,
            dilation_w: short(dilation[1], "window.dilation_w")?,
        };
        Ok(Some(fb::Window::create(&mut self.fbb, &args)))
    }
}

fn kernel(node: usize, found: Shape) -> Result<[u32; 4], Error> {
    let place = Owner::Node(node, "node").field("weights");
    let source = ShapeError::Rank { of: "weights", expected: 4, found };
    found.as_4d().ok_or(Error::Shape { place, source })
}

fn short(value: u32, node: usize, field: &str) -> Result<u16, WriteError> {
    u16::try_from(value).map_err(|_| WriteError::TooLarge {
        place: format!("node {node}, {field}"),
        limit: u16::MAX.into(),
        found: value.into(),
    })
}
