//! What an epoch came to, as a line of `CKPT.metrics.jsonl`, and the clocks. Where it is shown is `progress`' matter.

use std::path::{Path, PathBuf};
use std::time::Instant;

use penjing_checkpoint::write_atomically;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// One epoch's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Steps of the run so far.
    pub step: usize,
    /// Mean cross entropy over the epoch's samples, each at the time it was trained on.
    pub loss: f64,
    /// Mean cross entropy over the validation samples; absent without such.
    pub validation_loss: Option<f64>,
    /// Part of the validation samples that were classified rightly.
    pub validation_accuracy: Option<f64>,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Fraction of zeros over all pruned kernels; absent where nothing is pruned.
    pub sparsity: Option<f64>,
    /// Wall time of the epoch, validation included.
    pub seconds: f64,
    /// User and system time of the process over the epoch; absent where the system does not tell.
    pub cpu_seconds: Option<f64>,
}

/// `model.safetensors` has its metrics in `model.metrics.jsonl`.
#[must_use]
pub fn metrics_path(checkpoint: &Path) -> PathBuf {
    checkpoint.with_extension("metrics.jsonl")
}

/// Writes all epochs so far, one a line. The whole file is replaced: a resumed run repeats steps, never lines.
pub(crate) fn write(path: &Path, history: &[EpochRecord]) -> Result<(), TrainError> {
    let mut text = String::new();
    for record in history {
        text += &serde_json::to_string(record).expect("a record is plain data");
        text.push('\n');
    }
    write_atomically(path, text.as_bytes())
        .map_err(|source| TrainError::Io { path: path.into(), source })
}

/// Wall and CPU time since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Instant,
    cpu: Option<f64>,
}

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: process_cpu_seconds() }
    }

    /// Seconds since the start, and CPU seconds where known.
    pub(crate) fn elapsed(&self) -> (f64, Option<f64>) {
        let cpu = self.cpu.zip(process_cpu_seconds()).map(|(from, to)| to - from);
        (self.wall.elapsed().as_secs_f64(), cpu)
    }
}

/// User and system time of this process, from Linux' /proc in ticks of 10 ms; `None` elsewhere.
#[must_use]
pub fn process_cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // the second field is the command in brackets and may hold spaces: count from behind it
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some((user + system) as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn cpu_time_grows_with_work() {
        let clock = Clock::start();
        let mut x = 1.0_f64;
        while clock.elapsed().0 < 0.2 {
            (0..100_000).for_each(|_| x = std::hint::black_box(x * 1.000_000_1));
        }
        let (wall, cpu) = clock.elapsed();
        let cpu = cpu.unwrap();
        // other tests run in this process at the same time, hence no upper bound near the wall time
        assert!(cpu > 0.02 && cpu < 64.0 * wall, "{cpu} CPU s in {wall} s");
    }

    #[test]
    fn metrics_lie_beside_the_checkpoint() {
        let path = metrics_path(Path::new("runs/model.safetensors"));
        assert_eq!(path, Path::new("runs/model.metrics.jsonl"));
    }
}
