//! Quantization-aware training: fake-quantized weights, and activation ranges by debiased moving averages.
//!
//! The arithmetic is `penjing_quant`'s and the weight scales are `Granularity::scales`: the converter calls the same. The
//! gradients (straight-through inside the range) are `ops`'.

use candle_core::{Result, Tensor};
use penjing_checkpoint::{Granularity, Quantization};
use penjing_quant::ActivationRange;
use serde::{Deserialize, Serialize};

use crate::network::{Model, Parameters, Weighted, with_slice};
use crate::ops;
use crate::settings::QatSettings;

/// Moving averages of one layer's smallest and largest activation, started at 0 and debiased when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RangeAverage {
    min: f64,
    max: f64,
    batches: u64,
}

impl RangeAverage {
    fn record(&mut self, range: ActivationRange, decay: f64) {
        self.min = decay * self.min + (1.0 - decay) * f64::from(range.min);
        self.max = decay * self.max + (1.0 - decay) * f64::from(range.max);
        self.batches += 1;
    }

    /// The averages divided by `1 - decay^batches`: the weights of the batches seen then sum to 1.
    fn range(&self, decay: f64) -> ActivationRange {
        let weight = 1.0 - decay.powf(self.batches as f64);
        if self.batches == 0 {
            return ActivationRange { min: 0.0, max: 0.0 };
        }
        ActivationRange { min: (self.min / weight) as f32, max: (self.max / weight) as f32 }
    }
}

/// What quantization-aware training keeps beside the weights.
pub(crate) struct Quantizer {
    settings: QatSettings,
    /// One a layer with weights.
    pub(crate) ranges: Vec<RangeAverage>,
}

impl Quantizer {
    /// No range seen yet.
    pub(crate) fn new(settings: QatSettings, layers: usize) -> Self {
        Self { settings, ranges: vec![RangeAverage::default(); layers] }
    }

    /// The model's parameters with fake-quantized weights; gradients pass through to the variables.
    pub(crate) fn parameters(&self, model: &Model) -> Result<Vec<Parameters>> {
        let mut parameters = model.parameters();
        for (p, layer) in parameters.iter_mut().zip(&model.plan.layers) {
            let granularity = self.settings.granularity(layer.is_conv);
            p.weight = fake_quantize(&p.weight, layer, granularity)?;
        }
        Ok(parameters)
    }

    /// Takes a training batch's activation into the average and fake-quantizes it with the range that includes it.
    pub(crate) fn record(&mut self, layer: usize, activation: Tensor) -> Result<Tensor> {
        let (min, max) = ops::min_max(&activation)?;
        self.ranges[layer].record(ActivationRange { min, max }, self.settings.range_decay);
        self.apply(layer, activation)
    }

    /// Fake-quantizes with the range as it is.
    pub(crate) fn apply(&self, layer: usize, activation: Tensor) -> Result<Tensor> {
        ops::fake_quantize_activation(&activation, self.range(layer).params_i8())
    }

    /// The range that the checkpoint gets.
    pub(crate) fn range(&self, layer: usize) -> ActivationRange {
        self.ranges[layer].range(self.settings.range_decay)
    }

    /// What the manifest says about it.
    pub(crate) fn facts(&self, layers: &[Weighted]) -> Quantization {
        let granularity = |l: &Weighted| (l.name.clone(), self.settings.granularity(l.is_conv));
        Quantization { bits: 8, weights: layers.iter().map(granularity).collect() }
    }
}

/// Weights as int8 makes them, with the scales that the converter will compute.
pub(crate) fn fake_quantize(
    weight: &Tensor,
    layer: &Weighted,
    granularity: Granularity,
) -> Result<Tensor> {
    let scales = with_slice(weight, |w| granularity.scales(w, layer.shape[0]))?;
    ops::fake_quantize_weights(weight, &scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_debiased_from_the_first_batch_on() {
        let mut average = RangeAverage::default();
        average.record(ActivationRange { min: -1.0, max: 3.0 }, 0.999);
        let range = average.range(0.999);
        assert!((range.min + 1.0).abs() < 1e-6 && (range.max - 3.0).abs() < 1e-6, "{range:?}");
        average.record(ActivationRange { min: -2.0, max: 5.0 }, 0.999);
        // by hand: (0.999 * 3 + 5) / 1.999
        let want = (0.999 * 3.0 + 5.0) / 1.999;
        assert!((f64::from(average.range(0.999).max) - want).abs() < 1e-6);
    }
}
