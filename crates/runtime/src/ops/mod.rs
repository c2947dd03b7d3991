//! The ops over a few images at a time: loops over geometry, free of any instruction set, around the kernels of `arch`.
//!
//! Each op is made once from the file (weights expanded, multipliers computed) and then runs on borrowed memory. It says how
//! much scratch it needs; the planner provides it. Shapes and types were checked before: nothing here can fail.

pub(crate) mod conv2d;
pub(crate) mod conv_pool;
pub(crate) mod depthwise_conv2d;
pub(crate) mod elementwise;
pub(crate) mod fully_connected;
pub(crate) mod max_pool2d;
mod sums;
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
    FullyConnected(Box<fully_connected::FullyConnected>),
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

impl Op {
    /// Runs the op on `images` images.
    pub(crate) fn run(
        &self,
        isa: Isa,
        input: Input<'_>,
        output: Output<'_>,
        images: usize,
        scratch: &mut [u8],
    ) {
        match self {
            Op::Conv2d(op) => op.run(isa, input, output, images, scratch),
            Op::ConvPool(op) => op.run(isa, input, output, images, scratch),
            Op::DepthwiseConv2d(op) => op.run(isa, input, output, images, scratch),
            Op::MaxPool2d(op) => op.run(isa, input, output, images),
            Op::FullyConnected(op) => op.run(isa, input, output, images, scratch),
            Op::Quantize(params) => isa.dispatch(Quantize { params: *params, input, output }),
            Op::Dequantize(params) => isa.dispatch(Dequantize { params: *params, input, output }),
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
            Op::FullyConnected(_) => "fully_connected",
            Op::Quantize(_) => "quantize",
            Op::Dequantize(_) => "dequantize",
        }
    }

    /// Bytes of scratch that `run` needs on so many images.
    pub(crate) fn scratch(&self, images: usize) -> usize {
        match self {
            Op::Conv2d(op) => op.scratch(),
            Op::ConvPool(op) => op.scratch(),
            Op::DepthwiseConv2d(op) => op.scratch(),
            Op::FullyConnected(op) => op.scratch(images),
            Op::MaxPool2d(_) | Op::Quantize(_) | Op::Dequantize(_) => 0,
        }
    }

    /// Multiplications of an input by a weight, for one image; padding counts.
    pub(crate) fn macs(&self) -> u64 {
        match self {
            Op::Conv2d(op) => op.macs(),
            Op::ConvPool(op) => op.macs(),
            Op::DepthwiseConv2d(op) => op.macs(),
            Op::FullyConnected(op) => op.macs(),
            Op::MaxPool2d(_) | Op::Quantize(_) | Op::Dequantize(_) => 0,
        }
    }
}

/// What cannot be: the planner pairs every op with the types that the format's check has seen.
#[cold]
pub(crate) fn mismatch(op: &str, input: DataType, output: DataType) -> ! {
    unreachable!("{op} planned from {input} to {output}")
}
