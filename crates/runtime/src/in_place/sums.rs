//! What layers with weights share: their rows, biases and the rule from a sum to a code, read from the file as they lie.

use super::flaw::Flaw;
use super::ops::{self, has};
use super::step::Step;
use crate::arch::memory::bytes_of_mut;
use crate::arch::small;
use penjing_format::DataType;
use penjing_format::lean::op;
use penjing_format::packing::stream::{Stream, StreamMark};

/// Packed weights of no more bytes than this are expanded for a run: they are read once a position.
const SMALL: u32 = 512;

/// From a sum, bias included, to a code's distance from the zero point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) bias: i32,
    pub(super) multiplier: f32,
    /// Bounds of the distance.
    pub(super) bounds: [i32; 2],
}

impl Rule {
    #[inline(always)]
    pub(super) fn distance(self, sum: i32) -> i32 {
        small::requantize(sum, self.multiplier, self.bounds)
    }
}

/// The weights of a layer, a row an output channel, as they lie in the file.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) weights: Stream<'a>,
    /// One f32, or one a channel.
    scales: &'a [u8],
    bias: &'a [u8],
    scale_in: f32,
    scale_out: f32,
    /// Of distances from the output's zero point.
    bounds: [i32; 2],
    channels: u32,
    row_len: u32,
}

impl<'a> Rows<'a> {
    /// None yet.
    pub(super) const EMPTY: Self = Self {
        weights: Stream::EMPTY,
        scales: &[],
        bias: &[],
        scale_in: 0.0,
        scale_out: 0.0,
        bounds: [0; 2],
        channels: 0,
        row_len: 0,
    };

    /// The rows of a node's weights: along the first dimension, or the last of a depthwise convolution's.
    #[inline(never)]
    pub(super) fn read<const OPS: u32>(&mut self, step: &Step<'a>) -> Result<(), Flaw> {
        let channels = step.output.channels();
        let row_len = step.row_len();
        let rows = if step.node.op == op::DEPTHWISE_CONV_2D { step.taps() } else { channels };
        let elements = row_len.checked_mul(rows).filter(|&elements| elements < 1 << 28);
        let elements = elements.ok_or(Flaw::Refused("weights"))?;
        let (scales, bias) = (step.weights.scale, step.node.bias);
        let (count, width) = (scales.len() / 4, bias.len().checked_div(channels as usize));
        let fits = width.and_then(|width| width.checked_mul(channels as usize)) == Some(bias.len());
        if (count != 1 && count != channels as usize)
            || !fits
            || !matches!(width, Some(0 | 1 | 2 | 4))
        {
            return Err(Flaw::Refused("weights.scale or bias"));
        }
        if step.output.dtype != DataType::I8 {
            return Err(Flaw::Unsupported("element type"));
        }
        if !self.weights.read::<OPS>(&step.weights, elements, row_len) {
            return Err(Flaw::Unsupported("weights of this packing"));
        }
        let zero = i32::from(step.output.zero_point);
        self.bounds = step.bounds()?.map(|bound| bound.wrapping_sub(zero));
        (self.scales, self.bias) = (scales, bias);
        (self.scale_in, self.scale_out) = (step.input.scale, step.output.scale);
        (self.channels, self.row_len) = (channels, row_len);
        // Multipliers that are no numbers would let sums become any code.
        for channel in 0..count {
            let Rule { multiplier, .. } = self.rule(channel);
            if !(multiplier > 0.0 && multiplier < f32::INFINITY) {
                return Err(Flaw::Refused("weights.scale"));
            }
        }
        Ok(())
    }

    pub(super) fn channels(&self) -> usize {
        self.channels as usize
    }

    pub(super) fn row_len(&self) -> u32 {
        self.row_len
    }

    /// The rule of a channel.
    #[inline(never)]
    pub(super) fn rule(&self, channel: usize) -> Rule {
        let width = self.bias.len().checked_div(self.channels()).unwrap_or(0);
        let bias = match (width, self.bias.get(channel.wrapping_mul(width)..).unwrap_or(&[])) {
            (1, [a, ..]) => i32::from(a.cast_signed()),
            (2, [a, b, ..]) => i32::from(i16::from_le_bytes([*a, *b])),
            (4, [a, b, c, d, ..]) => i32::from_le_bytes([*a, *b, *c, *d]),
            _ => 0,
        };
        let scales = self.scales.as_chunks::<4>().0;
        let scale = if scales.len() == 1 { scales.first() } else { scales.get(channel) };
        let scale = f32::from_le_bytes(*scale.unwrap_or(&[0; 4]));
        let multiplier = (self.scale_in * scale) / self.scale_out;
        Rule { bias, multiplier, bounds: self.bounds }
    }

    /// Whether the weights are packed and few enough to be expanded.
    pub(super) fn is_small(&self) -> bool {
        self.weights.whole().is_none() && self.weights.elements() <= SMALL
    }

    /// Words that [`prepare`](Self::prepare) takes.
    pub(super) fn scratch_words(&self, expand: bool) -> u32 {
        let expanded = if expand { self.weights.elements().div_ceil(4) } else { 0 };
        self.channels.saturating_mul(2).saturating_add(expanded)
    }

    /// With rules at hand, and expanded weights if that is asked for.
    #[inline(never)]
    pub(super) fn prepare<'s, 't: 's, const OPS: u32>(
        &'s self,
        expand: bool,
        scratch: &mut &'t mut [u32],
    ) -> Option<Rules<'s>> {
        let words = super::take(scratch, self.channels.checked_mul(2)?)?;
        let (pairs, _) = words.as_chunks_mut::<2>();
        for (channel, pair) in pairs.iter_mut().enumerate() {
            let rule = self.rule(channel);
            *pair = [rule.bias as u32, rule.multiplier.to_bits()];
        }
        let mut dense = self.weights.whole();
        if expand && has::<OPS>(ops::PACKED) {
            let words = super::take(scratch, self.weights.elements().div_ceil(4))?;
            let bytes = bytes_of_mut(words);
            self.weights.expand::<OPS>(bytes);
            dense = Some(bytes);
        }
        Some(Rules { rows: self, dense, pairs })
    }
}

/// The rows of a layer that is run: rules at hand, and weights in whole bytes where they lie so or were expanded.
#[derive(Clone, Copy)]
pub(super) struct Rules<'s> {
    rows: &'s Rows<'s>,
    dense: Option<&'s [u8]>,
    /// Bias and multiplier of each channel.
    pairs: &'s [[u32; 2]],
}

impl Rules<'_> {
    pub(super) fn channels(&self) -> usize {
        self.pairs.len()
    }

    fn of(&self, [bias, multiplier]: [u32; 2]) -> Rule {
        let (bias, multiplier) = (bias as i32, f32::from_bits(multiplier));
        Rule { bias, multiplier, bounds: self.rows.bounds }
    }

    /// Each channel with its rule.
    #[inline(always)]
    pub(super) fn each_rule(&self, mut visit: impl FnMut(usize, Rule)) {
        for (channel, &pair) in self.pairs.iter().enumerate() {
            visit(channel, self.of(pair));
        }
    }

    /// As [`dense`](Self::dense), of rows of nine weights.
    #[inline(always)]
    pub(super) fn nines(&self) -> impl Iterator<Item = (&[u8; 9], Rule)> {
        let (rows, _) = self.dense.unwrap_or(&[]).as_chunks::<9>();
        rows.iter().zip(self.pairs).map(|(row, &pair)| (row, self.of(pair)))
    }

    /// Each channel's weights in whole bytes, with its rule; none where they are packed.
    #[inline(always)]
    pub(super) fn dense(&self, mut visit: impl FnMut(usize, &[u8], Rule)) {
        let rows = self.dense.unwrap_or(&[]).chunks_exact(self.rows.row_len.max(1) as usize);
        for ((channel, row), &pair) in rows.enumerate().zip(self.pairs) {
            visit(channel, row, self.of(pair));
        }
    }

    /// The sums of all channels over the four columns of a patch, in the order of [`small::place`].
    #[inline(always)]
    pub(super) fn each<const OPS: u32>(
        &self,
        patch: &[i16],
        mut visit: impl FnMut(usize, [i32; 4], Rule),
    ) {
        if self.dense.is_some() {
            return self.dense(|channel, row, rule| {
                visit(channel, small::columns(row, patch, rule.bias), rule);
            });
        }
        if !has::<OPS>(ops::PACKED) {
            return;
        }
        let (mut mark, mut start) = (StreamMark::default(), 0_u32);
        self.each_rule(|channel, rule| {
            let mut sums = [rule.bias; 4];
            let end = start.wrapping_add(self.rows.row_len);
            self.rows.weights.advance::<OPS>(&mut mark, end, |element, value| {
                let tap = element.wrapping_sub(start) as usize;
                let columns = patch.get(small::place(tap)..).unwrap_or(&[]).iter().step_by(2);
                for (sum, &x) in sums.iter_mut().zip(columns) {
                    *sum = sum.wrapping_add(i32::from(value).wrapping_mul(i32::from(x)));
                }
            });
            start = end;
            visit(channel, sums, rule);
        });
    }
}
