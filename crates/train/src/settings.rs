//! The settings of a run: what the command line says, checked against the network and the data before anything runs.
//! Settings that change the result are part of the recipe in the manifest and of a training state's identity.

use std::collections::BTreeMap;

use penjing_checkpoint::{Granularity, Stage};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::error::setting;
use crate::network::Plan;

/// How the learning rate goes over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearningRateSchedule {
    /// The same at every step.
    Constant,
    /// Half a cosine from the full rate at the first step to 0 after the last.
    Cosine,
}

/// Settings that every stage has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitSettings {
    /// Passes over the training samples.
    pub epochs: usize,
    /// Samples a step; the last step of an epoch takes what is left.
    pub batch: usize,
    /// Adam's learning rate at the first step.
    pub learning_rate: f64,
    /// How it goes on.
    pub schedule: LearningRateSchedule,
    /// The part of the samples, taken from the end, that validates and does not train.
    pub validation_split: f64,
    /// Random shifts of up to this many pixels; 0 for none.
    pub augment_shift: usize,
    /// Seed of the initial weights, of the order of the samples and of the shifts.
    pub seed: u64,
}

impl FitSettings {
    /// Samples that train and samples that validate, of `samples` in all: Keras' rule.
    pub(crate) fn split(&self, samples: usize) -> (usize, usize) {
        let train = (samples as f64 * (1.0 - self.validation_split)).floor() as usize;
        (train, samples - train)
    }

    /// The learning rate of a step, counted from 0.
    pub(crate) fn learning_rate_at(&self, step: usize, total_steps: usize) -> f64 {
        match self.schedule {
            LearningRateSchedule::Constant => self.learning_rate,
            LearningRateSchedule::Cosine => {
                let done = step as f64 / total_steps as f64;
                self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }

    pub(crate) fn check(&self, samples: usize) -> Result<(), TrainError> {
        let positive = [("epochs", self.epochs), ("batch", self.batch)];
        if let Some((field, _)) = positive.iter().find(|(_, v)| *v == 0) {
            return Err(setting(*field, "a positive number", 0));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return Err(setting("learning rate", "a positive number", self.learning_rate));
        }
        if !(0.0..1.0).contains(&self.validation_split) {
            return Err(setting("validation split", "0 <= split < 1", self.validation_split));
        }
        if u32::try_from(samples).is_err() {
            return Err(setting("training samples", "fewer than 2^32", samples));
        }
        if self.split(samples).0 == 0 {
            let expected = format!("a part that leaves samples to train on, of {samples}");
            return Err(setting("validation split", expected, self.validation_split));
        }
        Ok(())
    }
}

/// How the sparsity goes from the first mask to the last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SparsitySchedule {
    /// `s(t) = final + (initial - final) * (1 - (t - begin) / (end - begin))^power`.
    Polynomial {
        /// Sparsity at the begin step; a layer whose final sparsity is lower starts at that.
        initial: f64,
        /// The exponent; 3 in TFMOT.
        power: f64,
    },
    /// The final sparsity from the begin step on.
    Constant,
}

/// Magnitude pruning of kernels; biases stay whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneSettings {
    /// Final fraction of zeros in every layer that `layers` does not name.
    pub sparsity: f64,
    /// Final fraction of zeros by layer; 0 leaves a layer alone.
    pub layers: BTreeMap<String, f64>,
    /// The way there.
    pub schedule: SparsitySchedule,
    /// The first step with a mask.
    pub begin_step: usize,
    /// The step of the last recomputation; from then on the mask stands.
    pub end_step: usize,
    /// Steps between recomputations.
    pub frequency: usize,
}

impl PruneSettings {
    /// The final sparsity of a layer.
    #[must_use]
    pub fn layer_sparsity(&self, layer: &str) -> f64 {
        self.layers.get(layer).copied().unwrap_or(self.sparsity)
    }

    fn check(&self, plan: &Plan, total_steps: usize) -> Result<(), TrainError> {
        if let Some(name) = self.layers.keys().find(|n| plan.layers.iter().all(|l| l.name != **n)) {
            let names: Vec<_> = plan.layers.iter().map(|l| l.name.as_str()).collect();
            let expected = format!("a layer with weights ({})", names.join(", "));
            return Err(setting("layer sparsity", expected, format!("{name:?}")));
        }
        let fraction = |s: f64| (0.0..1.0).contains(&s);
        if !fraction(self.sparsity) {
            return Err(setting("sparsity", "0 <= sparsity < 1", self.sparsity));
        }
        if let Some((name, s)) = self.layers.iter().find(|(_, s)| !fraction(**s)) {
            return Err(setting(format!("sparsity of {name:?}"), "0 <= sparsity < 1", s));
        }
        if plan.layers.iter().all(|l| self.layer_sparsity(&l.name) == 0.0) {
            return Err(setting("sparsity", "more than 0 for at least one layer", 0));
        }
        if let SparsitySchedule::Polynomial { initial, power } = self.schedule {
            if !fraction(initial) {
                return Err(setting("initial sparsity", "0 <= sparsity < 1", initial));
            }
            if !(power > 0.0 && power.is_finite()) {
                return Err(setting("sparsity power", "a positive number", power));
            }
        }
        if self.frequency == 0 {
            return Err(setting("prune frequency", "a positive number of steps", 0));
        }
        if self.end_step > total_steps {
            let expected = format!("at most the run's {total_steps} steps");
            return Err(setting("end step", expected, self.end_step));
        }
        if self.begin_step >= self.end_step {
            let expected = format!("less than the end step {}", self.end_step);
            return Err(setting("begin step", expected, self.begin_step));
        }
        Ok(())
    }
}

/// Quantization-aware fine-tuning to 8 bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QatSettings {
    /// Scales of convolutions.
    pub conv: Granularity,
    /// Scales of dense layers.
    pub dense: Granularity,
    /// Decay of the moving averages of activation minima and maxima.
    pub range_decay: f64,
}

impl QatSettings {
    /// The granularity of a layer's weights.
    pub(crate) fn granularity(&self, is_conv: bool) -> Granularity {
        if is_conv { self.conv } else { self.dense }
    }
}

/// The stage of a run, with the settings that only it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum StageSettings {
    /// Training from seeded weights.
    Baseline,
    /// Pruning a baseline.
    Prune(PruneSettings),
    /// Quantization-aware fine-tuning of a baseline or a pruned network.
    Qat(QatSettings),
}

impl StageSettings {
    /// The stage that the checkpoint will have.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Baseline => Stage::Baseline,
            Self::Prune(_) => Stage::Pruned,
            Self::Qat(_) => Stage::Qat,
        }
    }

    /// The stage's number in random streams.
    pub(crate) fn number(&self) -> u8 {
        match self {
            Self::Baseline => 0,
            Self::Prune(_) => 1,
            Self::Qat(_) => 2,
        }
    }

    pub(crate) fn check(&self, plan: &Plan, total_steps: usize) -> Result<(), TrainError> {
        match self {
            Self::Baseline => Ok(()),
            Self::Prune(prune) => prune.check(plan, total_steps),
            Self::Qat(qat) if (0.0..1.0).contains(&qat.range_decay) => Ok(()),
            Self::Qat(qat) => Err(setting("range decay", "0 <= decay < 1", qat.range_decay)),
        }
    }
}
