//! A checkpoint's network as training sees it: f32, with fake quantization for a qat checkpoint. The converted file runs
//! in the runtime, not here.

use candle_core::{Result, Tensor};
use penjing_checkpoint::{Checkpoint, Granularity};
use penjing_dataset::SplitView;
use penjing_quant::{ActivationRange, QuantParams};

use crate::TrainError;
use crate::arch::Isa;
use crate::network::{Model, Parameters, Plan};
use crate::{batch, ops, qat};

/// Images a forward pass: the activations of so many stay in the second-level cache.
const CHUNK: usize = 32;

/// Runs a checkpoint's network on one thread; the answer for an image does not depend on those beside it.
///
/// A clone shares the weights, so several threads can each have one at little cost.
#[derive(Clone, Debug)]
pub struct Predictor {
    plan: Plan,
    parameters: Vec<Parameters>,
    /// Parameters of each weighted layer's output, in a qat checkpoint.
    activations: Option<Vec<QuantParams>>,
}

impl Predictor {
    /// Takes the weights over; those of a qat checkpoint are fake-quantized once, here.
    ///
    /// # Errors
    /// [`TrainError::InstructionSet`] where `PENJING_ISA` forces one that is not there; [`TrainError::Tensor`] where the
    /// tensors do not fit the architecture, which `Checkpoint::load` rules out.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> std::result::Result<Self, TrainError> {
        Isa::from_environment().map_err(TrainError::InstructionSet)?;
        let model = Model::from_tensors(&checkpoint.network(), &checkpoint.tensors)?;
        let mut parameters = detached(model.parameters());
        let mut activations = None;
        if let Some(q) = &checkpoint.manifest.quantization {
            for (p, layer) in parameters.iter_mut().zip(&model.plan.layers) {
                let granularity =
                    q.weights.get(&layer.name).copied().unwrap_or(Granularity::PerTensor);
                p.weight = qat::fake_quantize(&p.weight, layer, granularity)?;
            }
            let params = |layer: &crate::network::Weighted| {
                let range = &checkpoint.tensor(&layer.name, "range").data;
                ActivationRange { min: range[0], max: range[1] }.params_i8()
            };
            activations = Some(model.plan.layers.iter().map(params).collect());
        }
        Ok(Self { plan: model.plan, parameters, activations })
    }

    /// Height, width, channels of one image.
    #[must_use]
    pub fn input_shape(&self) -> [usize; 3] {
        self.plan.input
    }

    /// Number of scores an image.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.plan.classes
    }

    /// Scores `[count, classes]` (logits, no softmax) of u8 images `[count, H, W, C]`.
    ///
    /// # Errors
    /// [`TrainError::PixelCount`] where there are not `count * H * W * C` pixels.
    pub fn predict(
        &self,
        images: &[u8],
        count: usize,
    ) -> std::result::Result<Vec<f32>, TrainError> {
        let size: usize = self.plan.input.iter().product();
        if count.checked_mul(size) != Some(images.len()) {
            let expected = count.saturating_mul(size);
            return Err(TrainError::PixelCount { images: count, expected, found: images.len() });
        }
        let after = |layer: usize, x: Tensor| match &self.activations {
            None => Ok(x),
            Some(params) => ops::fake_quantize_activation(&x, params[layer]),
        };
        Ok(scores(&self.plan, &self.parameters, images, after)?)
    }
}

/// The parameters without their history: no op then keeps anything for a backward pass.
pub(crate) fn detached(parameters: Vec<Parameters>) -> Vec<Parameters> {
    let detach = |p: Parameters| Parameters { weight: p.weight.detach(), bias: p.bias.detach() };
    parameters.into_iter().map(detach).collect()
}

/// Scores of all images, a chunk at a time.
pub(crate) fn scores(
    plan: &Plan,
    parameters: &[Parameters],
    pixels: &[u8],
    after: impl Fn(usize, Tensor) -> Result<Tensor>,
) -> Result<Vec<f32>> {
    let size: usize = plan.input.iter().product();
    let mut all = Vec::with_capacity(pixels.len() / size * plan.classes);
    for chunk in pixels.chunks(CHUNK * size) {
        let images = batch::images(chunk, chunk.len() / size, plan.input)?;
        let logits = plan.forward(&images, parameters, &after)?;
        all.extend(logits.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(all)
}

/// Mean cross entropy and part of right answers; ties go to the first class.
pub(crate) fn loss_and_accuracy(scores: &[f32], data: SplitView<'_>, classes: usize) -> (f64, f64) {
    let (mut loss, mut right) = (0.0, 0_usize);
    for (row, &label) in scores.chunks_exact(classes).zip(data.labels()) {
        let best = (1..classes).fold(0, |best, i| if row[i] > row[best] { i } else { best });
        let max = f64::from(row[best]);
        let sum: f64 = row.iter().map(|&s| (f64::from(s) - max).exp()).sum();
        loss += max + sum.ln() - f64::from(row[usize::from(label)]);
        right += usize::from(best == usize::from(label));
    }
    let n = data.len() as f64;
    (loss / n, right as f64 / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_accuracy_by_hand() {
        let data =
            penjing_dataset::Split::from_memory("x", vec![0, 0], vec![1, 0], [1, 1, 1]).unwrap();
        let (loss, accuracy) = loss_and_accuracy(&[0.0, 0.0, 2.0, 0.0], data.view(), 2);
        // a tie goes to class 0: wrong; the second is right
        assert_eq!(accuracy, 0.5);
        let want = (2.0_f64.ln() + (1.0 + (-2.0_f64).exp()).ln()) / 2.0;
        assert!((loss - want).abs() < 1e-12);
    }
}
