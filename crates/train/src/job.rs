//! A run as it is asked for: checked against the data and its parent, and identified. `fit` does the work.

use std::path::{Path, PathBuf};

use penjing_checkpoint::{Architecture, Checkpoint, Stage};
use penjing_dataset::Split;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::error::setting;
use crate::network::Plan;
use crate::progress::Verbosity;
use crate::settings::{FitSettings, StageSettings};
use crate::state::difference;

/// The checkpoint that a run starts from.
#[derive(Clone, Debug)]
pub struct Parent {
    /// Its network and facts.
    pub checkpoint: Checkpoint,
    /// SHA-256 of its file, in hex.
    pub hash: String,
    /// Where it was read, for messages.
    pub path: PathBuf,
}

impl Parent {
    /// Reads a checkpoint to start from.
    ///
    /// # Errors
    /// Those of `Checkpoint::load`.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let (checkpoint, hash) = Checkpoint::load_with_hash(path)?;
        Ok(Self { checkpoint, hash, path: path.into() })
    }

    /// Holds the architecture of a spec file against the checkpoint's.
    ///
    /// # Errors
    /// [`TrainError::ArchitectureDiffers`], which names both files and the first field that differs.
    pub fn check_architecture(&self, found: &Architecture, spec: &Path) -> Result<(), TrainError> {
        let json =
            |a: &Architecture| serde_json::to_value(a).expect("an architecture is plain data");
        match difference("", &json(&self.checkpoint.manifest.architecture), &json(found)) {
            None => Ok(()),
            Some((field, expected, found)) => Err(TrainError::ArchitectureDiffers {
                spec: spec.into(),
                from: self.path.as_path().into(),
                field,
                expected,
                found,
            }),
        }
    }
}

/// One training run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The network.
    pub architecture: Architecture,
    /// Settings of the loop.
    pub fit: FitSettings,
    /// The stage and its settings.
    pub stage: StageSettings,
    /// Where the weights come from; `None` draws them, for a baseline only.
    pub parent: Option<Parent>,
    /// The checkpoint to write.
    pub output: PathBuf,
    /// Steps between saves of the training state; 0 saves none.
    pub save_every: usize,
    /// Goes on from the training state beside `output`, if there is one.
    pub resume: bool,
    /// Whether to tell about progress.
    pub verbosity: Verbosity,
}

impl Job {
    /// Steps an epoch and steps in all, of a training set of `samples` (validation samples included).
    #[must_use]
    pub fn steps(fit: &FitSettings, samples: usize) -> (usize, usize) {
        let per_epoch = fit.split(samples).0.div_ceil(fit.batch.max(1));
        (per_epoch, per_epoch * fit.epochs)
    }

    /// Everything that can be known to be wrong before the first step.
    pub(crate) fn check(&self, plan: &Plan, data: &Split) -> Result<(), TrainError> {
        self.fit.check(data.len())?;
        if data.shape() != plan.input {
            return Err(TrainError::ImageShape {
                file: data.images_file().into(),
                expected: plan.input,
                found: data.shape(),
            });
        }
        data.check_labels(plan.classes)?;
        self.stage.check(plan, Self::steps(&self.fit, data.len()).1)?;
        self.check_parent()?;
        self.check_output()
    }

    /// A run should not fail over its output after minutes of work.
    fn check_output(&self) -> Result<(), TrainError> {
        let found = self.output.display();
        let folder = match self.output.parent() {
            Some(p) if p != Path::new("") => p,
            _ => Path::new("."),
        };
        if self.output.file_name().is_none() || self.output.is_dir() {
            return Err(setting("output", "a file", found));
        }
        if !folder.is_dir() {
            return Err(setting("output", "a file in a folder that exists", found));
        }
        // a run that replaced its own parent could not be resumed
        let same = |p: &Parent| {
            p.path == self.output
                || matches!((p.path.canonicalize(), self.output.canonicalize()), (Ok(a), Ok(b)) if a == b)
        };
        match &self.parent {
            Some(parent) if same(parent) => {
                Err(setting("output", "another file than the checkpoint to start from", found))
            }
            _ => Ok(()),
        }
    }

    fn check_parent(&self) -> Result<(), TrainError> {
        let expected = match &self.stage {
            StageSettings::Baseline if self.parent.is_some() => "no parent for a baseline",
            StageSettings::Baseline => return Ok(()),
            StageSettings::Prune(_) | StageSettings::Qat(_) => "baseline or pruned",
        };
        match &self.parent {
            Some(p) if p.checkpoint.manifest.stage == Stage::Qat || expected.starts_with("no") => {
                let found = p.checkpoint.manifest.stage.name();
                Err(TrainError::Stage { path: p.path.clone(), expected, found })
            }
            Some(p) => p.check_architecture(&self.architecture, &self.output),
            None => Err(setting("from", "a baseline or pruned checkpoint", "nothing")),
        }
    }

    /// The settings and the data, as the manifest and the training state hold them.
    pub(crate) fn recipe(&self, data: &Split) -> Value {
        json!({
            "fit": self.fit,
            "stage": self.stage,
            "data": { "images": data.len(), "sha256": digest(data) },
        })
    }

    /// The SHA-256 of the parent's file.
    pub(crate) fn parent_hash(&self) -> Option<String> {
        self.parent.as_ref().map(|p| p.hash.clone())
    }
}

/// SHA-256 of shape, pixels and labels: file names and compression do not matter.
fn digest(data: &Split) -> String {
    let mut hash = Sha256::new();
    data.shape().iter().for_each(|&d| hash.update((d as u64).to_le_bytes()));
    hash.update(data.images());
    hash.update(data.labels());
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
