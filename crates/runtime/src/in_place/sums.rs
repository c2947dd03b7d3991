//! What layers with weights share: their rows, biases and the rule from a sum to a code, read from the file as they lie.

use super::flaw::Flaw;
use super::ops::{self, PACKINGS, has};
use super::step::Step;
use crate::arch::small::{self, QUAD};
use penjing_format::DataType;
use penjing_format::lean::LeanWeights;
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

/// The weights of a layer, a row an output channel.
#[derive(Clone, Copy)]
pub(super) struct Rows<'s> {
    pub(super) weights: Stream<'s>,
    stated: LeanWeights<'s>,
    bias: &'s [u8],
    scale_in: f32,
    scale_out: f32,
    bounds: [i32; 2],
    channels: u32,
    row_len: u32,
    /// Every weight in whole bytes, where they lie so or were expanded.
    dense: Option<&'s [u8]>,
    /// Bias and multiplier of each channel, once prepared.
    pairs: &'s [[u32; 2]],
}

impl<'s> Rows<'s> {
    /// Rows along the first dimension of a node's weights, or along the last of a depthwise convolution's.
    #[inline(never)]
    pub(super) fn new<const OPS: u32>(step: &Step<'s>) -> Result<Self, Flaw> {
        let channels = step.output.channels();
        let row_len = step.row_len();
        let weights = Flaw::Refused("weights");
        let elements = match step.node.op {
            penjing_format::lean::op::DEPTHWISE_CONV_2D => {
                let [h, w] = step.window.size;
                h.checked_mul(w).and_then(|taps| taps.checked_mul(channels))
            }
            _ => row_len.checked_mul(channels),
        };
        let elements = elements.filter(|&elements| elements < 1 << 28).ok_or(weights)?;
        let stream = Stream::new::<{ PACKINGS }>(&step.weights, elements, row_len);
        let stream = stream.ok_or(weights)?;
        if !has::<OPS>(1_u32.wrapping_shl(step.weights.packing.into())) {
            return Err(Flaw::Unsupported("a packing that this session was not made for"));
        }
        let count = step.weights.scale.len() / 4;
        if count != 1 && count != channels as usize {
            return Err(Flaw::Refused("weights.scale"));
        }
        if !matches!(step.node.bias.len().checked_div(channels as usize), Some(0 | 1 | 2 | 4))
            || step.node.bias.len().checked_rem(channels as usize) != Some(0)
        {
            return Err(Flaw::Refused("bias"));
        }
        if step.output.dtype != DataType::I8 {
            return Err(Flaw::Unsupported("element type"));
        }
        let zero = step.output.grid.zero_point;
        let rows = Self {
            weights: stream,
            stated: step.weights,
            bias: step.node.bias,
            scale_in: step.input.1.grid.scale,
            scale_out: step.output.grid.scale,
            bounds: step.bounds()?.map(|bound| bound.wrapping_sub(zero)),
            channels,
            row_len,
            dense: stream.whole(),
            pairs: &[],
        };
        // Multipliers that are no numbers would let sums become any code.
        let sound = |index| {
            let multiplier = rows.multiplier(index);
            multiplier > 0.0 && multiplier < f32::INFINITY
        };
        if (0..count).all(sound) { Ok(rows) } else { Err(Flaw::Refused("weights.scale")) }
    }

    pub(super) fn channels(&self) -> usize {
        self.channels as usize
    }

    pub(super) fn row_len(&self) -> u32 {
        self.row_len
    }

    fn multiplier(&self, channel: usize) -> f32 {
        (self.scale_in * self.stated.scale(channel)) / self.scale_out
    }

    fn bias(&self, channel: usize) -> i32 {
        let width = self.bias.len().checked_div(self.channels()).unwrap_or(0);
        let bytes = self.bias.get(channel.wrapping_mul(width)..).unwrap_or(&[]);
        match (width, bytes) {
            (1, [a, ..]) => i32::from(a.cast_signed()),
            (2, [a, b, ..]) => i32::from(i16::from_le_bytes([*a, *b])),
            (4, [a, b, c, d, ..]) => i32::from_le_bytes([*a, *b, *c, *d]),
            _ => 0,
        }
    }

    /// The rule of a channel, from the file.
    #[inline(never)]
    pub(super) fn rule(&self, channel: usize) -> Rule {
        Rule { bias: self.bias(channel), multiplier: self.multiplier(channel), bounds: self.bounds }
    }

    /// Whether the weights are packed and few enough to be expanded.
    pub(super) fn is_small(&self) -> bool {
        self.dense.is_none() && self.weights.elements() <= SMALL
    }

    /// Words that [`prepare`](Self::prepare) takes.
    pub(super) fn scratch_words(&self, expand: bool) -> u32 {
        let expanded = if expand { self.weights.elements().div_ceil(4) } else { 0 };
        self.channels.saturating_mul(2).saturating_add(expanded)
    }

    /// With rules at hand, and expanded weights if that is asked for.
    #[inline(never)]
    pub(super) fn prepare<const OPS: u32>(
        mut self,
        expand: bool,
        scratch: &mut &'s mut [u32],
    ) -> Option<Self> {
        let words = super::take(scratch, self.channels.checked_mul(2)?)?;
        let (pairs, _) = words.as_chunks_mut::<2>();
        for (channel, pair) in pairs.iter_mut().enumerate() {
            let rule = self.rule(channel);
            *pair = [rule.bias as u32, rule.multiplier.to_bits()];
        }
        self.pairs = pairs;
        if expand {
            let words = super::take(scratch, self.weights.elements().div_ceil(4))?;
            words.fill(0);
            let bytes = crate::arch::memory::bytes_of_mut(words);
            let mut mark = StreamMark::default();
            let end = self.weights.elements();
            self.weights.advance::<OPS>(&mut mark, end, |element, value| {
                if let Some(byte) = bytes.get_mut(element as usize) {
                    *byte = value.cast_unsigned();
                }
            });
            self.dense = Some(bytes);
        }
        Some(self)
    }

    /// Each channel with its rule, once prepared.
    #[inline(always)]
    pub(super) fn rules(&self, mut visit: impl FnMut(usize, Rule)) {
        for (channel, &[bias, multiplier]) in self.pairs.iter().enumerate() {
            let (bias, multiplier) = (bias as i32, f32::from_bits(multiplier));
            visit(channel, Rule { bias, multiplier, bounds: self.bounds });
        }
    }

    /// Each channel's weights in whole bytes, with its rule.
    #[inline(always)]
    pub(super) fn dense(&self, mut visit: impl FnMut(usize, &[u8], Rule)) {
        let rows = self.dense.unwrap_or(&[]).chunks_exact(self.row_len.max(1) as usize);
        for ((channel, row), &[bias, multiplier]) in rows.enumerate().zip(self.pairs) {
            let (bias, multiplier) = (bias as i32, f32::from_bits(multiplier));
            visit(channel, row, Rule { bias, multiplier, bounds: self.bounds });
        }
    }

    /// The sums of all channels over the four columns of a patch, in the order of [`QUAD`].
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
        let mut mark = StreamMark::default();
        let mut start = 0_u32;
        self.rules(|channel, rule| {
            let mut sums = [rule.bias; 4];
            let end = start.wrapping_add(self.row_len);
            self.weights.advance::<OPS>(&mut mark, end, |element, value| {
                let tap = element.wrapping_sub(start) as usize;
                let columns = patch.get(small::place(tap)..).unwrap_or(&[]);
                let columns = columns.iter().step_by(2);
                for (sum, &x) in sums.iter_mut().zip(columns) {
                    *sum = sum.wrapping_add(i32::from(value).wrapping_mul(i32::from(x)));
                }
            });
            start = end;
            visit(channel, sums, rule);
        });
    }
}

const _: () = assert!(QUAD == 16);
