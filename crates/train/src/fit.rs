//! The one training loop of all stages. What a stage adds (masks, fake quantization) it asks of `prune` and `qat`; kernels
//! and gradients are `ops`'.

use std::path::PathBuf;

use candle_core::{Result as CandleResult, Tensor};
use penjing_checkpoint::{
    Checkpoint, CheckpointError, Layout, MANIFEST_VERSION, Manifest, Tensor as StoredTensor,
};
use penjing_dataset::{Split, SplitView};
use serde_json::{Value, json};

use crate::arch::{Isa, current_isa};
use crate::metrics::{self, Clock, EpochRecord};
use crate::network::{Model, Parameters, Plan};
use crate::optimizer::{Adam, AdamConfig};
use crate::progress::Progress;
use crate::prune::{Masks, Pruner};
use crate::qat::Quantizer;
use crate::random::{Purpose, Stream};
use crate::settings::StageSettings;
use crate::state::{self, Parts, Position};
use crate::{Job, TrainError, batch, ops, predict};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The checkpoint that was written.
    pub checkpoint: PathBuf,
    /// One record an epoch; empty where an earlier run had finished already.
    pub history: Vec<EpochRecord>,
}

/// Trains and writes the checkpoint, `CKPT.metrics.jsonl` and, on the way, the training state.
///
/// The last weights are kept, not the best. The result depends on the job, the data and the instruction set alone.
///
/// # Errors
/// Wrong settings, data, parent or training state before the first step; a loss that is no number; I/O.
pub fn train(job: &Job, data: &Split) -> Result<Outcome, TrainError> {
    let shapes = |e| TrainError::SpecShapes { path: job.output.clone(), source: Box::new(e) };
    let network = job.architecture.resolve().map_err(shapes)?;
    job.check(&Plan::new(&network, true), data)?;
    Isa::from_environment().map_err(TrainError::InstructionSet)?;
    let model = match &job.parent {
        None => Model::initialized(&network, job.fit.seed)?,
        Some(parent) => Model::from_tensors(&network, &parent.checkpoint.tensors)?,
    };
    let mut run = Run::new(job, data, model)?;
    if job.resume && !run.restore()? && run.is_finished() {
        eprintln_unless_quiet(job, "the checkpoint is there already, from this very recipe");
        return Ok(Outcome { checkpoint: job.output.clone(), history: Vec::new() });
    }
    if !job.resume {
        remove(&run.state_path())?;
    }
    run.fit()?;
    run.finish()
}

fn eprintln_unless_quiet(job: &Job, text: &str) {
    Progress::new(job.verbosity, 0, 0, 0).say(&format!("{}: {text}", job.output.display()));
}

/// A run under way.
struct Run<'a> {
    job: &'a Job,
    train: SplitView<'a>,
    validation: SplitView<'a>,
    model: Model,
    adam: Adam,
    pruner: Option<Pruner>,
    quantizer: Option<Quantizer>,
    /// Zeros of a pruned parent, which stay.
    kept: Option<Masks>,
    position: Position,
    history: Vec<EpochRecord>,
    recipe: Value,
    identity: Value,
    total_steps: usize,
}

impl<'a> Run<'a> {
    fn new(job: &'a Job, data: &'a Split, model: Model) -> Result<Self, TrainError> {
        let (training, samples) = (job.fit.split(data.len()).0, data.len());
        let (_, total_steps) = Job::steps(&job.fit, samples);
        let layers = model.plan.layers.len();
        let (mut pruner, mut quantizer, mut kept) = (None, None, None);
        match &job.stage {
            StageSettings::Baseline => {}
            StageSettings::Prune(s) => pruner = Some(Pruner::new(s.clone(), layers)),
            StageSettings::Qat(s) => {
                quantizer = Some(Quantizer::new(s.clone(), layers));
                let parent = job.parent.as_ref().map(|p| &p.checkpoint);
                kept = parent.and_then(|p| parent_masks(p, &model.plan));
            }
        }
        let recipe = job.recipe(data);
        let identity = json!({
            "recipe": recipe,
            "architecture": job.architecture,
            "parent": job.parent_hash(),
            "instruction_set": current_isa()?.name(),
        });
        Ok(Self {
            job,
            train: data.slice(0..training),
            validation: data.slice(training..samples),
            adam: Adam::new(model.variables(), AdamConfig::default())?,
            model,
            pruner,
            quantizer,
            kept,
            position: Position::default(),
            history: Vec::new(),
            recipe,
            identity,
            total_steps,
        })
    }

    fn state_path(&self) -> PathBuf {
        state::state_path(&self.job.output)
    }

    /// Goes to where the training state was saved; false where there is none.
    fn restore(&mut self) -> Result<bool, TrainError> {
        let path = self.state_path();
        let Some(restored) = state::load(&path, &self.identity, &self.model, &mut self.adam)?
        else {
            return Ok(false);
        };
        if let Some(pruner) = &mut self.pruner {
            pruner.masks = Masks(restored.masks);
        }
        if let Some(quantizer) = &mut self.quantizer {
            if restored.ranges.len() != quantizer.ranges.len() {
                let reason = format!("activation ranges of {} layers", restored.ranges.len());
                return Err(TrainError::StateFile { path, reason });
            }
            quantizer.ranges = restored.ranges;
        }
        self.position = restored.position;
        self.history = restored.history;
        Ok(true)
    }

    /// Whether the output is what this run would write: then a kill fell between the last write and the caller's notice.
    fn is_finished(&self) -> bool {
        Checkpoint::load(&self.job.output).is_ok_and(|found| {
            let m = found.manifest;
            m.recipe == self.recipe
                && m.architecture == self.job.architecture
                && m.parent == self.job.parent_hash()
        })
    }

    /// All steps that are left.
    fn fit(&mut self) -> Result<(), TrainError> {
        let fit = &self.job.fit;
        let progress =
            Progress::new(self.job.verbosity, fit.epochs, self.total_steps, self.position.step);
        if self.position.step > 0 {
            progress
                .say(&format!("resumed at step {} of {}", self.position.step, self.total_steps));
        }
        while self.position.step < self.total_steps {
            let epoch = self.position.epoch;
            let stage = self.job.stage.number();
            let mut stream = Stream::new(fit.seed, stage, Purpose::Permutation, epoch as u64);
            let order = stream.permutation(self.train.len());
            let mut clock = Clock::start();
            for indices in order[self.position.consumed..].chunks(fit.batch) {
                self.step(indices)?;
                progress.step(self.position.step);
                if self.position.consumed == order.len() {
                    progress.epoch(&self.finish_epoch(clock)?);
                    clock = Clock::start();
                }
                if self.is_save_due() {
                    self.save(&mut clock)?;
                }
            }
        }
        Ok(())
    }

    fn is_save_due(&self) -> bool {
        let (every, step) = (self.job.save_every, self.position.step);
        every > 0 && step.is_multiple_of(every) && step < self.total_steps
    }

    /// One batch: masks, forward, backward, update.
    fn step(&mut self, indices: &[u32]) -> Result<(), TrainError> {
        let (fit, step) = (&self.job.fit, self.position.step);
        match (&mut self.pruner, &self.kept) {
            (Some(pruner), _) => pruner.before_step(step, &self.model)?,
            (None, Some(masks)) => masks.apply(&self.model)?,
            (None, None) => {}
        }
        let stage = self.job.stage.number();
        let shifts = || batch::shift_stream(fit.seed, stage, step);
        let (images, labels) = batch::gather(self.train, indices, fit.augment_shift, shifts)?;
        let loss = ops::cross_entropy(&self.logits(&images)?, &labels)?;
        let value = loss.to_scalar::<f32>()?;
        if !value.is_finite() {
            let epoch = self.position.epoch + 1;
            return Err(TrainError::Diverged { epoch, step: step + 1, loss: value });
        }
        self.adam.step(&loss.backward()?, fit.learning_rate_at(step, self.total_steps))?;
        self.position.step += 1;
        self.position.consumed += indices.len();
        self.position.loss_sum += f64::from(value) * indices.len() as f64;
        Ok(())
    }

    /// Scores of a training batch.
    fn logits(&mut self, images: &Tensor) -> CandleResult<Tensor> {
        let plan = &self.model.plan;
        match &mut self.quantizer {
            None => plan.forward(images, &self.model.parameters(), |_, x| Ok(x)),
            Some(quantizer) => {
                let parameters = quantizer.parameters(&self.model)?;
                plan.forward(images, &parameters, |layer, x| quantizer.record(layer, x))
            }
        }
    }

    /// Mean loss and accuracy on the validation samples, as the network stands.
    fn validate(&self) -> CandleResult<Option<(f64, f64)>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let plan = &self.model.plan;
        let pixels = self.validation.images();
        let scores = match &self.quantizer {
            None => {
                let parameters = predict::detached(self.model.parameters());
                predict::scores(plan, &parameters, pixels, |_, x| Ok(x))?
            }
            Some(quantizer) => {
                let parameters: Vec<Parameters> =
                    predict::detached(quantizer.parameters(&self.model)?);
                predict::scores(plan, &parameters, pixels, |layer, x| quantizer.apply(layer, x))?
            }
        };
        Ok(Some(predict::loss_and_accuracy(&scores, self.validation, plan.classes)))
    }

    /// Validates, records and starts the next epoch's counts.
    fn finish_epoch(&mut self, clock: Clock) -> Result<EpochRecord, TrainError> {
        match (&mut self.pruner, &self.kept) {
            (Some(pruner), _) => pruner.masks.apply(&self.model)?,
            (None, Some(masks)) => masks.apply(&self.model)?,
            (None, None) => {}
        }
        let validation = self.validate()?;
        let (seconds, cpu_seconds) = clock.elapsed();
        let p = std::mem::take(&mut self.position);
        let record = EpochRecord {
            epoch: p.epoch + 1,
            step: p.step,
            loss: p.loss_sum / p.consumed as f64,
            validation_loss: validation.map(|v| v.0),
            validation_accuracy: validation.map(|v| v.1),
            learning_rate: self.job.fit.learning_rate_at(p.step - 1, self.total_steps),
            sparsity: self.masks().and_then(Masks::sparsity),
            seconds: p.seconds + seconds,
            cpu_seconds: cpu_seconds.map(|cpu| p.cpu_seconds.unwrap_or(0.0) + cpu),
        };
        self.position = Position { step: p.step, epoch: p.epoch + 1, ..Position::default() };
        self.history.push(record.clone());
        metrics::write(&metrics::metrics_path(&self.job.output), &self.history)?;
        Ok(record)
    }

    fn masks(&self) -> Option<&Masks> {
        self.pruner.as_ref().map(|p| &p.masks).or(self.kept.as_ref())
    }

    /// Saves the training state. The time so far goes into it, and the clock starts anew.
    fn save(&mut self, clock: &mut Clock) -> Result<(), TrainError> {
        let (seconds, cpu) = clock.elapsed();
        *clock = Clock::start();
        if self.position.consumed > 0 {
            self.position.seconds += seconds;
            let before = self.position.cpu_seconds.unwrap_or(0.0);
            self.position.cpu_seconds = cpu.map(|cpu| before + cpu);
        }
        let parts = Parts {
            identity: &self.identity,
            position: &self.position,
            model: &self.model,
            adam: &self.adam,
            masks: self.pruner.as_ref().map(|p| &p.masks),
            ranges: self.quantizer.as_ref().map_or(&[], |q| &q.ranges),
            history: &self.history,
        };
        state::save(&self.state_path(), &parts)
    }

    /// The last masks, the checkpoint, and the training state's end.
    fn finish(mut self) -> Result<Outcome, TrainError> {
        if let Some(pruner) = &mut self.pruner {
            pruner.before_step(self.total_steps, &self.model)?;
        }
        if let Some(masks) = self.masks()
            && let Some((layer, index, found)) = masks.first_broken(&self.model)?
        {
            return Err(TrainError::MaskBroken { layer, index, found });
        }
        let mut tensors = self.model.to_tensors()?;
        let layers = &self.model.plan.layers;
        if let Some(quantizer) = &self.quantizer {
            for (i, layer) in layers.iter().enumerate() {
                let range = quantizer.range(i);
                let data = vec![range.min, range.max];
                tensors
                    .insert(format!("{}.range", layer.name), StoredTensor { shape: vec![2], data });
            }
        }
        let parent = self.job.parent.as_ref();
        let sparsity = match &self.pruner {
            Some(pruner) => Some(pruner.facts(&self.model)),
            None => parent.and_then(|p| p.checkpoint.manifest.sparsity.clone()),
        };
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            stage: self.job.stage.stage(),
            architecture: self.job.architecture.clone(),
            layout: Layout::default(),
            seed: self.job.fit.seed,
            parent: self.job.parent_hash(),
            sparsity,
            quantization: self.quantizer.as_ref().map(|q| q.facts(layers)),
            recipe: self.recipe.clone(),
        };
        let checkpoint = Checkpoint { manifest, tensors };
        checkpoint.save(&self.job.output).map_err(|e: CheckpointError| TrainError::from(e))?;
        remove(&self.state_path())?;
        Ok(Outcome { checkpoint: self.job.output.clone(), history: self.history })
    }
}

/// The zeros of a pruned parent, in the layers that its manifest calls pruned.
fn parent_masks(parent: &Checkpoint, plan: &Plan) -> Option<Masks> {
    let sparsity = parent.manifest.sparsity.as_ref()?;
    let mask = |layer: &crate::network::Weighted| {
        sparsity.layers.get(&layer.name)?;
        let weights = &parent.tensor(&layer.name, "weight").data;
        Some(weights.iter().map(|w| *w != 0.0).collect())
    };
    Some(Masks(plan.layers.iter().map(mask).collect()))
}

/// Removes a training state and what a kill during a save left of one.
fn remove(state: &std::path::Path) -> Result<(), TrainError> {
    let name = state.file_name().unwrap_or_default().to_string_lossy();
    for path in [state.to_owned(), state.with_file_name(format!(".{name}.tmp"))] {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(TrainError::Io { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}
