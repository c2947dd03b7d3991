//! The ops over one image: loops over geometry, free of any instruction set, around the kernels that `arch` lends.
//!
//! Each op is made once from the file (weights expanded, multipliers computed) and then runs on borrowed memory. It says how
//! much scratch it needs; the planner provides it. Shapes and types were checked before: nothing here can fail.

pub(crate) mod conv2d;
pub(crate) mod elementwise;
pub(crate) mod fully_connected;
pub(crate) mod max_pool2d;

use crate::arch::Kernels;
use crate::tensor::{Input, Output};
use alloc::boxed::Box;
use alloc::vec::Vec;
use penjing_format::{Activation, Constant, DataType, QuantParams, TensorType};
use penjing_quant::Requantize;

/// One planned op.
pub(crate) enum Op {
    /// Boxed: it is by far the largest.
    Conv2d(Box<conv2d::Conv2d>),
    MaxPool2d(max_pool2d::MaxPool2d),
    FullyConnected(fully_connected::FullyConnected),
    Quantize(QuantParams),
    Dequantize(QuantParams),
}

impl Op {
    /// Runs the op on one image.
    pub(crate) fn run(
        &self,
        kernels: &Kernels,
        input: Input<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) {
        match self {
            Op::Conv2d(op) => op.run(kernels, input, output, scratch),
            Op::MaxPool2d(op) => op.run(input, output),
            Op::FullyConnected(op) => op.run(kernels, input, output, scratch),
            Op::Quantize(params) => elementwise::quantize(*params, input, output),
            Op::Dequantize(params) => elementwise::dequantize(*params, input, output),
        }
    }

    /// Elements of scratch that `run` needs.
    pub(crate) fn scratch(&self) -> ScratchSize {
        match self {
            Op::Conv2d(op) => op.scratch(),
            Op::FullyConnected(op) => op.scratch(),
            Op::MaxPool2d(_) | Op::Quantize(_) | Op::Dequantize(_) => ScratchSize::default(),
        }
    }
}

/// Elements of scratch memory by type; bytes are in [`bytes`](Self::bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScratchSize {
    pub(crate) f32: usize,
    pub(crate) i32: usize,
    pub(crate) i16: usize,
}

impl ScratchSize {
    /// What suffices for both, one after the other.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            f32: self.f32.max(other.f32),
            i32: self.i32.max(other.i32),
            i16: self.i16.max(other.i16),
        }
    }

    pub(crate) fn bytes(self) -> u64 {
        4 * self.f32 as u64 + 4 * self.i32 as u64 + 2 * self.i16 as u64
    }
}

/// Memory that an op may use while it runs; one a worker.
pub(crate) struct Scratch {
    pub(crate) f32: Vec<f32>,
    pub(crate) i32: Vec<i32>,
    pub(crate) i16: Vec<i16>,
}

impl Scratch {
    pub(crate) fn new(size: ScratchSize) -> Self {
        Self {
            f32: alloc::vec![0.0; size.f32],
            i32: alloc::vec![0; size.i32],
            i16: alloc::vec![0; size.i16],
        }
    }
}

/// What the planner knows of an integer op with weights.
#[derive(Clone, Copy)]
pub(crate) struct Quantization {
    pub(crate) input: QuantParams,
    pub(crate) output: QuantParams,
    /// The largest `|q - zero_point|` of an input.
    pub(crate) reach: u32,
}

impl Quantization {
    /// `None` for reals.
    pub(crate) fn of(input: &TensorType, output: &TensorType) -> Option<Self> {
        let (params, (min, max)) = (input.quantization?, input.dtype.integer_range()?);
        let reach = params.zero_point.abs_diff(min).max(params.zero_point.abs_diff(max));
        Some(Self { input: params, output: output.quantization?, reach })
    }

    /// The rule for one channel.
    fn rule(self, weight_scale: f32, activation: Activation) -> Requantize {
        let QuantParams { scale, zero_point } = self.output;
        let relu = activation == Activation::Relu;
        Requantize::to_i8(self.input.scale, weight_scale, scale, zero_point, relu)
    }
}

/// From integer sums to int8 codes: the tensor's rule, and a multiplier a channel.
pub(crate) struct Requantization {
    pub(crate) rule: Requantize,
    /// One a channel, then zeros up to a whole number of lanes.
    pub(crate) multipliers: Vec<f32>,
}

impl Requantization {
    pub(crate) fn new(
        weights: &Constant<'_>,
        quantization: Quantization,
        activation: Activation,
        channels: usize,
        lanes: usize,
    ) -> Self {
        let rule = |channel| quantization.rule(weights.scales.get(channel), activation);
        let mut multipliers: Vec<f32> = (0..channels).map(|c| rule(c).multiplier).collect();
        multipliers.resize(lanes, 0.0);
        Self { rule: rule(0), multipliers }
    }
}

/// What cannot be: the planner pairs every op with the types that the format's check has seen.
#[cold]
pub(crate) fn mismatch(op: &str, input: DataType, output: DataType) -> ! {
    unreachable!("{op} planned from {input} to {output}")
}
