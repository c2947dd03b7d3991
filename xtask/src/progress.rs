//! One plain line on stderr as each step ends, with the seconds since the start and those of the step. No bars: several
//! steps run at a time.

use std::time::Instant;

/// The clock that the lines share.
pub(crate) struct Progress {
    start: Instant,
    silent: bool,
}

/// A step that has begun.
pub(crate) struct Step<'a> {
    progress: &'a Progress,
    start: Instant,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), silent: false }
    }

    /// One that prints nothing.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { start: Instant::now(), silent: true }
    }

    /// Begins a step.
    pub(crate) fn step(&self) -> Step<'_> {
        Step { progress: self, start: Instant::now() }
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

impl Step<'_> {
    /// Ends the step and says so.
    pub(crate) fn done(self, what: &str) {
        if !self.progress.silent {
            let (total, own) = (self.progress.seconds(), self.start.elapsed().as_secs_f64());
            eprintln!("[{total:7.1} s] {what} ({own:.1} s)");
        }
    }
}
