//! Trains, prunes and quantization-aware fine-tunes small networks on candle.
//!
//! ```no_run
//! # fn main() -> Result<(), penjing_train::TrainError> {
//! use penjing_train::{FitSettings, Job, LearningRateSchedule, StageSettings, Verbosity};
//! let job = Job {
//!     architecture: penjing_train::load_spec("specs/article.toml".as_ref())?,
//!     fit: FitSettings {
//!         epochs: 10,
//!         batch: 32,
//!         learning_rate: 2e-3,
//!         schedule: LearningRateSchedule::Cosine,
//!         validation_split: 0.1,
//!         augment_shift: 0,
//!         seed: 0,
//!     },
//!     stage: StageSettings::Baseline,
//!     parent: None,
//!     output: "baseline.safetensors".into(),
//!     save_every: 200,
//!     resume: false,
//!     verbosity: Verbosity::Normal,
//! };
//! let data = penjing_dataset::Dataset::open("data".as_ref())?;
//! penjing_train::train(&job, &data.train)?;
//! # Ok(())
//! # }
//! ```
//!
//! It reads data through `penjing_dataset` and writes checkpoints of `penjing_checkpoint`; it neither lowers a network nor
//! knows the model file. One run uses one thread: independent runs are better off side by side.

pub mod arch;
mod batch;
mod error;
mod fit;
mod job;
mod metrics;
mod network;
pub mod ops;
pub mod optimizer;
mod predict;
mod progress;
mod prune;
mod qat;
mod random;
mod settings;
mod spec;
mod state;

pub use error::TrainError;
pub use fit::{Outcome, train};
pub use job::{Job, Parent};
pub use metrics::{EpochRecord, metrics_path, process_cpu_seconds};
pub use predict::Predictor;
pub use progress::Verbosity;
pub use prune::{magnitude_mask, sparsity_at};
pub use settings::{
    FitSettings, LearningRateSchedule, PruneSettings, QatSettings, SparsitySchedule, StageSettings,
};
pub use spec::{load_spec, parse_spec};
pub use state::state_path;
