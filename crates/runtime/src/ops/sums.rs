//! What every op with weights shares: what its sums are, and what becomes of them. The kernels that make them are `arch`'s.

use crate::arch::kernels::rows::{ToCodes, ToReals};
use crate::arch::lanes::Codes;
use crate::arch::{Arithmetic, Clamp, Floats, Integers, Isa, ToCode};
use crate::operand;
use crate::tensor::{Input, Output};
use alloc::vec::Vec;
use penjing_format::{Activation, Constant, DataType, PackingError, QuantParams, TensorType};
use penjing_quant::Requantize;

/// What the planner knows of an integer op with weights.
#[derive(Clone, Copy)]
pub(crate) struct Quantization {
    pub(crate) input: QuantParams,
    pub(crate) output: QuantParams,
    /// Whether the input is u8.
    pub(crate) unsigned: bool,
    /// The largest `|q - zero_point|` of an input.
    pub(crate) reach: u32,
}

impl Quantization {
    /// `None` for reals.
    pub(crate) fn of(input: &TensorType, output: &TensorType) -> Option<Self> {
        let (params, (min, max)) = (input.quantization?, input.dtype.integer_range()?);
        let reach = params.zero_point.abs_diff(min).max(params.zero_point.abs_diff(max));
        let unsigned = input.dtype == DataType::U8;
        Some(Self { input: params, output: output.quantization?, unsigned, reach })
    }

    /// The rule for one channel.
    fn rule(self, weight_scale: f32, activation: Activation) -> Requantize {
        let QuantParams { scale, zero_point } = self.output;
        let bounds = code_bounds(activation, self.output);
        Requantize::to_i8(self.input.scale, weight_scale, scale, zero_point, bounds)
    }
}

/// What an activation keeps reals within; `None` where it lets everything pass.
pub(crate) fn real_bounds(activation: Activation) -> Option<[f32; 2]> {
    match activation.bounds() {
        (None, None) => None,
        (lo, hi) => Some([lo.unwrap_or(f32::NEG_INFINITY), hi.unwrap_or(f32::INFINITY)]),
    }
}

/// What an activation keeps int8 codes within.
pub(crate) fn code_bounds(activation: Activation, params: QuantParams) -> [i32; 2] {
    real_bounds(activation).map_or([-128, 127], |[lo, hi]| params.bounds_i8(lo, hi))
}

/// From integer sums to int8 codes: the tensor's rule, and a multiplier a channel.
pub(crate) struct Requantization {
    pub(crate) rule: Requantize,
    /// One a channel, then zeros up to a whole vector of any set.
    pub(crate) multipliers: Vec<f32>,
}

impl Requantization {
    pub(crate) fn new(
        weights: &Constant<'_>,
        quantization: Quantization,
        activation: Activation,
        channels: usize,
    ) -> Self {
        let rule = |channel| quantization.rule(weights.scales.get(channel), activation);
        let mut multipliers: Vec<f32> = (0..channels).map(|c| rule(c).multiplier).collect();
        multipliers.resize(channels.next_multiple_of(16), 0.0);
        Self { rule: rule(0), multipliers }
    }

    pub(crate) fn rule(&self) -> ToCode<'_> {
        ToCode { multipliers: &self.multipliers, rule: self.rule }
    }
}

/// The arithmetic of an op: its bias, one a lane, and what its sums become.
pub(crate) enum Sums {
    Reals { bias: Vec<f32>, clamp: Option<[f32; 2]> },
    Codes { bias: Vec<i32>, zero_point: i32, to: Requantization },
}

/// An op's weights, bias and activation.
#[derive(Clone, Copy)]
pub(crate) struct Weighted<'a> {
    pub(crate) weights: &'a Constant<'a>,
    pub(crate) bias: Option<&'a Constant<'a>>,
    pub(crate) activation: Activation,
}

impl Sums {
    /// Dwords that it holds for each lane: biases and multipliers.
    pub(crate) const DWORDS: usize = 2;

    /// For `channels` outputs in `lanes` lanes; integers where there is a quantization.
    pub(crate) fn new(
        op: Weighted<'_>,
        quantization: Option<Quantization>,
        channels: usize,
        lanes: usize,
    ) -> Result<Self, PackingError> {
        let Some(quantization) = quantization else {
            let bias = operand::bias_f32(op.bias, lanes)?;
            return Ok(Sums::Reals { bias, clamp: real_bounds(op.activation) });
        };
        let to = Requantization::new(op.weights, quantization, op.activation, channels);
        let bias = operand::bias_i32(op.bias, lanes)?;
        Ok(Sums::Codes { bias, zero_point: quantization.input.zero_point, to })
    }

    /// How the op's inputs lie before its kernels, given what the set's integer kernels read.
    pub(crate) fn codes(&self, ints: Codes) -> Codes {
        match self {
            Sums::Reals { .. } => Codes::F32,
            Sums::Codes { .. } => ints,
        }
    }

    /// What takes from each bias what sums will hold too much, given what stands for 0 in the kernels' operands, by whether the
    /// input is unsigned and its zero point. Reals have nothing of the kind.
    pub(crate) fn folding(
        &mut self,
        quantization: Option<Quantization>,
        zero: impl Fn(bool, i32) -> i32,
    ) -> Folding<'_> {
        match (self, quantization) {
            (Sums::Codes { bias, zero_point, .. }, Some(q)) => {
                Folding { zero: zero(q.unsigned, *zero_point), bias }
            }
            _ => Folding { zero: 0, bias: &mut [] },
        }
    }

    /// Zero point of the input; 0 of reals.
    pub(crate) fn zero_point(&self) -> i32 {
        match self {
            Sums::Reals { .. } => 0,
            Sums::Codes { zero_point, .. } => *zero_point,
        }
    }
}

/// See [`Sums::folding`].
pub(crate) struct Folding<'a> {
    zero: i32,
    bias: &'a mut [i32],
}

impl Folding<'_> {
    /// Takes the sum of an output channel's weights, or of some of them, into account.
    pub(crate) fn take(&mut self, channel: usize, sum: i32) {
        if let Some(bias) = self.bias.get_mut(channel) {
            operand::take_zero(bias, self.zero, sum);
        }
    }
}

/// Sums that wait in memory for what becomes of them.
pub(crate) trait Rows: Arithmetic {
    /// Writes sums, `[positions][lanes]`, to an output of `channels` a position.
    fn emit(
        isa: Isa,
        sums: &[Self::Sum],
        lanes: usize,
        channels: usize,
        rule: Self::Rule<'_>,
        out: &mut [Self::Out],
    );
}

impl Rows for Floats {
    fn emit(isa: Isa, sums: &[f32], lanes: usize, channels: usize, clamp: Clamp, out: &mut [f32]) {
        isa.dispatch(ToReals { sums, lanes, channels, clamp, out });
    }
}

impl Rows for Integers {
    fn emit(
        isa: Isa,
        sums: &[i32],
        lanes: usize,
        channels: usize,
        rule: ToCode<'_>,
        out: &mut [i8],
    ) {
        let ToCode { multipliers, rule } = rule;
        isa.dispatch(ToCodes { sums, lanes, channels, multipliers, rule, out });
    }
}

/// One image of `images`.
pub(crate) fn image_of(input: Input<'_>, index: usize, images: usize) -> Input<'_> {
    let len = input.len() / images;
    input.part(index * len..(index + 1) * len)
}

/// One image of `images`.
pub(crate) fn place_of<'a>(output: &'a mut Output<'_>, index: usize, images: usize) -> Output<'a> {
    let len = output.len() / images;
    output.reborrow().part(index * len..(index + 1) * len)
}

/// Cuts the places of the next `len` elements off the front.
pub(crate) fn next<'a, T>(left: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (front, rest) = core::mem::take(left).split_at_mut(len);
    *left = rest;
    front
}
