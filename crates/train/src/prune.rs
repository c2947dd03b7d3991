//! Magnitude pruning: when masks are recomputed, how many weights they drop, and their application. No training loop.
//!
//! The semantics are those of TensorFlow's model optimization toolkit: the mask is applied to the weights before the
//! forward pass, gradients are dense, so a dropped weight may return at a recomputation until the last one.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor};
use penjing_checkpoint::{LayerSparsity, Sparsity};

use crate::network::{Model, Weighted, with_slice};
use crate::settings::{PruneSettings, SparsitySchedule};

/// The sparsity of a layer at a step, `begin_step <= step`.
#[must_use]
pub fn sparsity_at(settings: &PruneSettings, last: f64, step: usize) -> f64 {
    match settings.schedule {
        SparsitySchedule::Constant => last,
        SparsitySchedule::Polynomial { initial, power } => {
            let span = (settings.end_step - settings.begin_step) as f64;
            let done = (step.saturating_sub(settings.begin_step) as f64 / span).min(1.0);
            last + (initial.min(last) - last) * (1.0 - done).powf(power)
        }
    }
}

/// Which weights to keep so that exactly `zeros` go: those of the smallest magnitude, and among equals the later ones.
#[must_use]
pub fn magnitude_mask(weights: &[f32], zeros: usize) -> Vec<bool> {
    let mut keep = vec![true; weights.len()];
    if zeros == 0 {
        return keep;
    }
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let zeros = zeros.min(order.len());
    order.select_nth_unstable_by(zeros - 1, |&a, &b| {
        weights[a].abs().total_cmp(&weights[b].abs()).then(b.cmp(&a))
    });
    order[..zeros].iter().for_each(|&i| keep[i] = false);
    keep
}

/// The exact number of zeros that a sparsity asks of a kernel.
fn zeros_of(elements: usize, sparsity: f64) -> usize {
    (elements as f64 * sparsity).round() as usize
}

/// Masks of the layers; `None` leaves a layer alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Masks(pub(crate) Vec<Option<Vec<bool>>>);

impl Masks {
    /// Puts +0.0 wherever a mask says so.
    pub(crate) fn apply(&self, model: &Model) -> Result<()> {
        for (weight, mask) in model.weights.iter().zip(&self.0) {
            if let Some(mask) = mask {
                weight.as_tensor().inplace_op1(&Select { mask })?;
            }
        }
        Ok(())
    }

    /// Fraction of dropped weights over all layers that have a mask.
    pub(crate) fn sparsity(&self) -> Option<f64> {
        let masks = self.0.iter().flatten();
        let (dropped, all) = masks.fold((0, 0), |(dropped, all), mask| {
            (dropped + mask.iter().filter(|keep| !**keep).count(), all + mask.len())
        });
        (all > 0).then(|| dropped as f64 / all as f64)
    }

    /// The first weight that a mask drops and that is not +0.0: layer, index, value.
    pub(crate) fn first_broken(&self, model: &Model) -> Result<Option<(String, usize, f32)>> {
        for ((weight, mask), layer) in model.weights.iter().zip(&self.0).zip(&model.plan.layers) {
            let Some(mask) = mask else { continue };
            let broken = with_slice(weight, |w| {
                w.iter()
                    .zip(mask)
                    .position(|(w, keep)| !keep && w.to_bits() != 0)
                    .map(|i| (i, w[i]))
            })?;
            if let Some((index, found)) = broken {
                return Ok(Some((layer.name.clone(), index, found)));
            }
        }
        Ok(None)
    }
}

/// `mask ? w : +0.0`, in place. A product with the mask would leave -0.0 and spoil hashes and compression.
struct Select<'a> {
    mask: &'a [bool],
}

impl InplaceOp1 for Select<'_> {
    fn name(&self) -> &'static str {
        "select-by-mask"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let CpuStorage::F32(values) = storage else { candle_core::bail!("expected f32 weights") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("expected contiguous weights")
        };
        for (w, &keep) in values[start..end].iter_mut().zip(self.mask) {
            *w = if keep { *w } else { 0.0 };
        }
        Ok(())
    }
}

/// The masks of a pruning run on their schedule.
pub(crate) struct Pruner {
    settings: PruneSettings,
    /// The masks in force.
    pub(crate) masks: Masks,
}

impl Pruner {
    /// No mask yet.
    pub(crate) fn new(settings: PruneSettings, layers: usize) -> Self {
        Self { settings, masks: Masks(vec![None; layers]) }
    }

    /// Recomputes the masks if the step is one of those where that is due, and applies them.
    ///
    /// To be called before each step's forward pass and once more after the last step with the number of steps, so that
    /// the final count holds whatever the last update did.
    pub(crate) fn before_step(&mut self, step: usize, model: &Model) -> Result<()> {
        if self.is_due(step) {
            for (i, layer) in model.plan.layers.iter().enumerate() {
                self.masks.0[i] = self.mask(layer, &model.weights[i], step)?;
            }
        }
        self.masks.apply(model)
    }

    fn is_due(&self, step: usize) -> bool {
        let PruneSettings { begin_step, end_step, frequency, .. } = self.settings;
        step == end_step
            || (begin_step..end_step).contains(&step)
                && (step - begin_step).is_multiple_of(frequency)
    }

    fn mask(&self, layer: &Weighted, weight: &Tensor, step: usize) -> Result<Option<Vec<bool>>> {
        let last = self.settings.layer_sparsity(&layer.name);
        if last == 0.0 {
            return Ok(None);
        }
        let zeros = zeros_of(layer.elements(), sparsity_at(&self.settings, last, step));
        with_slice(weight, |w| Some(magnitude_mask(w, zeros)))
    }

    /// What the manifest says about the result.
    pub(crate) fn facts(&self, model: &Model) -> Sparsity {
        let layers = model.plan.layers.iter().zip(&self.masks.0);
        let layers = layers.filter_map(|(layer, mask)| {
            let zeros = mask.as_ref()?.iter().filter(|keep| !**keep).count();
            let target = self.settings.layer_sparsity(&layer.name);
            Some((layer.name.clone(), LayerSparsity { target, zeros, elements: layer.elements() }))
        });
        Sparsity { layers: layers.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn settings(schedule: SparsitySchedule) -> PruneSettings {
        let layers = BTreeMap::from([("conv".to_owned(), 0.3)]);
        PruneSettings {
            sparsity: 0.8,
            layers,
            schedule,
            begin_step: 200,
            end_step: 1300,
            frequency: 100,
        }
    }

    const CUBIC: SparsitySchedule = SparsitySchedule::Polynomial { initial: 0.5, power: 3.0 };

    #[test]
    fn the_polynomial_schedule_follows_its_formula() {
        let s = settings(CUBIC);
        // by hand: 0.8 - 0.3 * (1 - (t - 200) / 1100)^3
        let by_hand = [
            (200, 0.5),
            (750, 0.8 - 0.3 / 8.0),
            (1025, 0.8 - 0.3 / 64.0),
            (1300, 0.8),
            (9000, 0.8),
        ];
        for (step, want) in by_hand {
            let got = sparsity_at(&s, 0.8, step);
            assert!((got - want).abs() < 1e-12, "step {step}: {got}, expected {want}");
        }
        assert_eq!(sparsity_at(&s, 0.3, 200), 0.3, "a lower final sparsity is the start as well");
        assert_eq!(sparsity_at(&settings(SparsitySchedule::Constant), 0.8, 200), 0.8);
    }

    #[test]
    fn recomputation_is_due_every_100_steps_and_last_at_the_end_step() {
        let mut s = settings(CUBIC);
        s.end_step = 650;
        let pruner = Pruner::new(s, 2);
        let due: Vec<usize> = (0..2000).filter(|&t| pruner.is_due(t)).collect();
        assert_eq!(due, [200, 300, 400, 500, 600, 650]);
    }

    #[test]
    fn the_count_is_exact_and_ties_drop_the_later_weight() {
        let w = [0.5, -0.5, 0.1, 0.5, -0.1, 2.0, 0.5, 0.0];
        let kept = |zeros| {
            let mask = magnitude_mask(&w, zeros);
            assert_eq!(mask.iter().filter(|k| !**k).count(), zeros);
            (0..w.len()).filter(|&i| mask[i]).collect::<Vec<_>>()
        };
        assert_eq!(kept(0), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(kept(2), [0, 1, 2, 3, 5, 6]);
        assert_eq!(kept(4), [0, 1, 3, 5]);
        assert_eq!(kept(6), [0, 5]);
        assert_eq!(kept(8), [0_usize; 0]);
        assert_eq!(magnitude_mask(&[1.0; 1000], 800).iter().filter(|k| **k).count(), 200);
        assert_eq!((zeros_of(108, 0.8), zeros_of(20_280, 0.8)), (86, 16_224));
    }
}
