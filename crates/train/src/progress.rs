//! Progress on stderr: a bar on a terminal, a plain line an epoch otherwise. Figures come from `metrics`.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::metrics::EpochRecord;

/// Where a run's progress goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// A bar where stderr is a terminal, else plain lines.
    #[default]
    Normal,
    /// Nothing.
    Quiet,
}

/// Shows one run.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    epochs: usize,
}

impl Progress {
    pub(crate) fn new(verbosity: Verbosity, epochs: usize, steps: usize, done: usize) -> Self {
        let quiet = verbosity == Verbosity::Quiet;
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = "{bar:40} step {pos}/{len}, {eta} left {msg}";
            let style = ProgressStyle::with_template(style).expect("the template is well-formed");
            let bar = ProgressBar::new(steps as u64).with_style(style);
            bar.set_position(done as u64);
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Self { bar, quiet, epochs }
    }

    pub(crate) fn step(&self, step: usize) {
        // indicatif reads the clock at every call, so not at each of some 3,000 steps a second
        if let Some(bar) = self.bar.as_ref().filter(|_| step.is_multiple_of(16)) {
            bar.set_position(step as u64);
        }
    }

    pub(crate) fn epoch(&self, record: &EpochRecord) {
        self.say(&line(record, self.epochs));
    }

    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(r: &EpochRecord, epochs: usize) -> String {
    let mut text = format!("epoch {}/{epochs}: loss {:.4}", r.epoch, r.loss);
    if let (Some(loss), Some(accuracy)) = (r.validation_loss, r.validation_accuracy) {
        text += &format!(", validation loss {loss:.4}, accuracy {accuracy:.4}");
    }
    if let Some(sparsity) = r.sparsity {
        text += &format!(", sparsity {sparsity:.4}");
    }
    text += &format!(", {:.2} s", r.seconds);
    if let Some(cpu) = r.cpu_seconds {
        text += &format!(" ({cpu:.2} CPU s)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_is_known() {
        let mut record = EpochRecord {
            epoch: 2,
            step: 3376,
            loss: 0.123_45,
            validation_loss: Some(0.2),
            validation_accuracy: Some(0.9812),
            learning_rate: 0.001,
            sparsity: None,
            seconds: 0.951,
            cpu_seconds: Some(0.94),
        };
        let want =
            "epoch 2/10: loss 0.1235, validation loss 0.2000, accuracy 0.9812, 0.95 s (0.94 CPU s)";
        assert_eq!(line(&record, 10), want);
        record.validation_loss = None;
        record.cpu_seconds = None;
        record.sparsity = Some(0.8);
        assert_eq!(line(&record, 10), "epoch 2/10: loss 0.1235, sparsity 0.8000, 0.95 s");
    }
}
