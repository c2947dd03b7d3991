//! The ops over a few images at a time: loops over geometry, free of any instruction set, around the kernels of `arch`.
//!
//! Each op is made once from the file (weights expanded, multipliers computed) and then runs on borrowed memory. It says how
//! much scratch it needs; the planner provides it. Shapes and types were checked before: nothing here can fail.

pub(crate) mod average;
pub(crate) mod binary;
pub(crate) mod conv2d;
pub(crate) mod conv_pool;
pub(crate) mod depthwise_conv2d;
pub(crate) mod dynamic;
pub(crate) mod elementwise;
pub(crate) mod fully_connected;
pub(crate) mod max_pool2d;
pub(crate) mod moves;
pub(crate) mod softmax;
pub(crate) mod sums;
mod window;

use self::elementwise::{Dequantize, Quantize};
use crate::arch::Isa;
use crate::budget::{Budget, Overdraft};
use crate::tensor::{Input, Output};
use alloc::boxed::Box;
use penjing_format::{DataType, PackingError, QuantParams};

/// One planned op.
pub(crate) enum Op {
    Conv2d(Box<conv2d::Conv2d>),
    ConvPool(Box<conv_pool::ConvPool>),
    DepthwiseConv2d(Box<depthwise_conv2d::DepthwiseConv2d>),
    MaxPool2d(max_pool2d::MaxPool2d),
    AveragePool(average::AveragePool),
    FullyConnected(Box<fully_connected::FullyConnected>),
    Dynamic(Box<dynamic::Dynamic>),
    Binary(Box<binary::Binary>),
    Unary(elementwise::Unary),
    Softmax(softmax::Softmax),
    Pad(moves::Pad),
    Concat(moves::Concat),
    Quantize(QuantParams),
    Dequantize(QuantParams),
}

/// What an op is planned for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planning<'a> {
    pub(crate) isa: Isa,
    /// The most images that it will run on at once.
    pub(crate) images: usize,
    /// Of which an op takes its weights and tables, and in which its scratch memory must fit.
    pub(crate) budget: &'a Budget,
}

/// Why an op cannot be planned.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A tensor has another rank than the op takes.
    Rank,
    /// Integers without a scale.
    Scale,
    /// An op that moves no element, which the planner leaves out.
    Reshape,
    /// An address would not fit in 32 bits.
    TooLarge,
    /// Weights, tables or planes are more than is granted.
    Memory(Overdraft),
    Packing(PackingError),
}

impl From<PackingError> for Failure {
    fn from(source: PackingError) -> Self {
        Failure::Packing(source)
    }
}

impl From<Overdraft> for Failure {
    fn from(overdraft: Overdraft) -> Self {
        Failure::Memory(overdraft)
    }
}

/// What lends an op its inputs by their number; `None` where one lies in the output.
pub(crate) type Lend<'l, 'a> = &'l dyn Fn(usize) -> Option<Input<'a>>;

impl Op {
    /// Runs the op on `images` images. An input that lies in the output is one of which [`may_write_over`](Self::may_write_over)
    /// allows that, and the first.
    pub(crate) fn run(
        &self,
        isa: Isa,
        lend: Lend<'_, '_>,
        output: Output<'_>,
        images: usize,
        scratch: &mut [u8],
    ) {
        let only = || lend(0).unwrap_or_else(|| unreachable!("{} is no op in place", self.name()));
        match self {
            Op::Conv2d(op) => op.run(isa, only(), output, images, scratch),
            Op::ConvPool(op) => op.run(isa, only(), output, images, scratch),
            Op::DepthwiseConv2d(op) => op.run(isa, only(), output, images, scratch),
            Op::MaxPool2d(op) => op.run(isa, only(), output, images),
            Op::AveragePool(op) => op.run(isa, only(), output, images),
            Op::FullyConnected(op) => op.run(isa, only(), output, images, scratch),
            Op::Dynamic(op) => op.run(isa, only(), output, images, scratch),
            Op::Quantize(params) => {
                isa.dispatch(Quantize { params: *params, input: only(), output });
            }
            Op::Dequantize(params) => {
                isa.dispatch(Dequantize { params: *params, input: only(), output });
            }
            Op::Binary(op) => {
                let second = if op.has_constant() { None } else { lend(1) };
                op.run(isa, lend(0), second, output, images);
            }
            Op::Unary(op) => op.run(isa, lend(0), output),
            Op::Softmax(op) => op.run(isa, lend(0), output),
            Op::Pad(op) => op.run(only().bytes(), output.into_bytes(), images),
            Op::Concat(op) => op.run(|index| lend(index).map(Input::bytes), output.into_bytes()),
        }
    }

    /// Whether the result may be written over input `index`, if that is as large and nobody else's.
    pub(crate) fn may_write_over(&self, index: usize) -> bool {
        match self {
            Op::Unary(_) | Op::Softmax(_) => true,
            Op::Binary(op) => op.covers(index),
            _ => false,
        }
    }

    /// What it does, in the file's words.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Op::Conv2d(op) if op.is_fused() => "conv2d+max_pool2d",
            Op::Conv2d(_) => "conv2d",
            Op::ConvPool(_) => "conv2d+max_pool2d",
            Op::DepthwiseConv2d(_) => "depthwise_conv2d",
            Op::MaxPool2d(_) => "max_pool2d",
            Op::AveragePool(op) => op.name(),
            Op::FullyConnected(_) => "fully_connected",
            Op::Dynamic(op) => op.name,
            Op::Quantize(_) => "quantize",
            Op::Dequantize(_) => "dequantize",
            Op::Binary(op) => op.name(),
            Op::Unary(op) => op.name,
            Op::Softmax(_) => "softmax",
            Op::Pad(_) => "pad",
            Op::Concat(_) => "concat",
        }
    }

    /// Bytes of scratch that `run` needs on so many images.
    pub(crate) fn scratch(&self, images: usize) -> usize {
        match self {
            Op::Conv2d(op) => op.scratch(),
            Op::ConvPool(op) => op.scratch(),
            Op::DepthwiseConv2d(op) => op.scratch(),
            Op::FullyConnected(op) => op.scratch(images),
            Op::Dynamic(op) => op.scratch(),
            _ => 0,
        }
    }

    /// Multiplications of an input by a weight, for one image; padding counts.
    pub(crate) fn macs(&self) -> u64 {
        match self {
            Op::Conv2d(op) => op.macs(),
            Op::ConvPool(op) => op.macs(),
            Op::DepthwiseConv2d(op) => op.macs(),
            Op::FullyConnected(op) => op.macs(),
            Op::Dynamic(op) => op.macs(),
            _ => 0,
        }
    }
}

/// What cannot be: the planner pairs every op with the types that the format's check has seen.
#[cold]
pub(crate) fn mismatch(op: &str, input: DataType, output: DataType) -> ! {
    unreachable!("{op} planned from {input} to {output}")
}
