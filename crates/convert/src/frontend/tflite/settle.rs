//! Sums that stay in 32 bits. A model file holds no layer of integers whose sum could leave them. TFMOT's files have channels
//! that would: all weights 0, a tiny scale and a bias near -2^31. Such a channel yields one code whatever the input; it gets a
//! usual scale and the smallest bias that yield that same code. So does the bias of a channel that always saturates. What
//! cannot be settled so, to the bit, is refused.

use penjing_format::{Activation, QuantParams};
use penjing_quant::Requantize;

use super::file::Operator;
use crate::frontend::ImportError;
use crate::ir::{Bias, WeightData, Weights};

/// One channel's sums without the bias, over all inputs.
#[derive(Clone, Copy, Default)]
struct Sums {
    least: i64,
    most: i64,
    /// Magnitudes of the weights.
    magnitude: i64,
}

/// Settles every channel of a layer of integers; reals pass.
pub(super) fn settle(
    op: &Operator<'_>,
    (weights, bias): (&mut Weights, &mut Bias),
    (input, output): (Option<QuantParams>, Option<QuantParams>),
    activation: Activation,
) -> Result<(), ImportError> {
    let (Some(input), Some(output)) = (input, output) else { return Ok(()) };
    let channels = weights.out_channels();
    let sums = sums(weights, input, channels);
    let (WeightData::I8(_, scales), Bias::I32(bias)) = (&mut weights.data, bias) else {
        return Ok(());
    };
    let (low, high) = activation.bounds();
    let (low, high) = (low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY));
    let layer = Layer { input, output, bounds: output.bounds_i8(low, high) };
    for &scale in scales.iter() {
        let multiplier = layer.rule(scale).multiplier;
        if !(multiplier.is_finite() && multiplier > 0.0) {
            let expected = "input scale * weight scale / output scale finite and positive";
            return Err(op.refuse("weights.scale", expected, scale));
        }
    }
    let live = sums.iter().zip(scales.iter()).filter(|(sums, _)| sums.magnitude > 0);
    let usual = live.map(|(_, &scale)| scale).fold(0.0, f32::max);
    for (channel, (bias, sums)) in bias.iter_mut().zip(&sums).enumerate() {
        let scale = scales[if scales.len() == 1 { 0 } else { channel }];
        let unfit = || {
            let found = format!("channel {channel} with a bias of {bias}");
            op.refuse("weights and bias", "sums that fit 32 bits", found)
        };
        if sums.magnitude == 0 && scales.len() > 1 {
            let settled = layer.dead(scale, *bias, usual).ok_or_else(unfit)?;
            (scales[channel], *bias) = settled;
            continue;
        }
        if sums.magnitude > 0 && layer.fits(*sums, *bias) {
            continue;
        }
        let small = layer.smallest(scale, *sums, *bias);
        if small.is_some_and(|bias| layer.fits(*sums, bias)) {
            *bias = small.unwrap_or_default();
        } else if sums.magnitude == 0 {
            let settled = layer.dead(scale, *bias, usual).ok_or_else(unfit)?;
            *scales = vec![scale; channels];
            (scales[channel], *bias) = settled;
        } else {
            return Err(unfit());
        }
    }
    Ok(())
}

/// What the channels of a layer have in common.
struct Layer {
    input: QuantParams,
    output: QuantParams,
    /// The codes at which the activation ends.
    bounds: [i32; 2],
}

impl Layer {
    fn rule(&self, scale: f32) -> Requantize {
        let QuantParams { scale: out, zero_point } = self.output;
        Requantize::to_i8(self.input.scale, scale, out, zero_point, self.bounds)
    }

    /// Whether a reader can be sure that no sum leaves 32 bits.
    fn fits(&self, sums: Sums, bias: i32) -> bool {
        let zero = i64::from(self.input.zero_point);
        let reach = (zero + 128).max(127 - zero);
        sums.magnitude.saturating_mul(reach) + i64::from(bias).abs() <= i64::from(i32::MAX)
    }

    /// The code that every input yields; `None` where they yield several or a sum leaves 32 bits.
    fn constant(&self, scale: f32, sums: Sums, bias: i64) -> Option<i32> {
        let least = i32::try_from(sums.least + bias).ok()?;
        let most = i32::try_from(sums.most + bias).ok()?;
        let rule = self.rule(scale);
        let code = rule.apply(least);
        // the rule is monotone
        (code == rule.apply(most)).then_some(code)
    }

    /// The bias nearest to 0 with which a channel yields the one code that it yields now.
    fn smallest(&self, scale: f32, sums: Sums, bias: i32) -> Option<i32> {
        let bias = i64::from(bias);
        let code = self.constant(scale, sums, bias)?;
        let same =
            |magnitude: i64| self.constant(scale, sums, bias.signum() * magnitude) == Some(code);
        // The biases that yield the code are an interval.
        let (mut low, mut high) = (0, bias.abs());
        while low < high {
            let middle = low + (high - low) / 2;
            if same(middle) { high = middle } else { low = middle + 1 }
        }
        i32::try_from(bias.signum() * high).ok()
    }

    /// Scale and bias of a channel without weights: the first of a few scales with which a bias yields its code.
    fn dead(&self, scale: f32, bias: i32, usual: f32) -> Option<(f32, i32)> {
        let code = self.rule(scale).apply(bias);
        let steps = f64::from(code - self.output.zero_point);
        for candidate in [usual, self.output.scale / self.input.scale, scale] {
            let rule = self.rule(candidate);
            if !(candidate > 0.0 && rule.multiplier.is_normal()) {
                continue;
            }
            let near = (steps / f64::from(rule.multiplier)).round() as i32;
            let around = [near, near.saturating_sub(1), near.saturating_add(1)];
            let Some(found) = around.into_iter().find(|&bias| rule.apply(bias) == code) else {
                continue;
            };
            let found = self.smallest(candidate, Sums::default(), found).unwrap_or(found);
            if self.fits(Sums::default(), found) {
                return Some((candidate, found));
            }
        }
        None
    }
}

/// Each channel's sums over the inputs that its grid has.
fn sums(weights: &Weights, input: QuantParams, channels: usize) -> Vec<Sums> {
    let mut sums = vec![Sums::default(); channels];
    let WeightData::I8(codes, _) = &weights.data else { return sums };
    let zero = i64::from(input.zero_point);
    let (low, high) = (-128 - zero, 127 - zero);
    for (index, &code) in codes.iter().enumerate() {
        let sums = &mut sums[weights.channel_of(index)];
        let (a, b) = (i64::from(code) * low, i64::from(code) * high);
        sums.least += a.min(b);
        sums.most += a.max(b);
        sums.magnitude += i64::from(code).abs();
    }
    sums
}
