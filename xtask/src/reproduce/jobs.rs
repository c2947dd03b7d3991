//! A small job graph: each job runs once those that it needs have ended, on as many threads as there are cores. A job is a
//! closure; what it does is not known here.

use std::sync::{Condvar, Mutex, PoisonError};

use anyhow::Result;

use crate::progress::Progress;

/// One job.
pub(super) struct Job<'a> {
    /// What a progress line says of it.
    pub(super) name: String,
    /// The jobs that must have ended, as indices into the list; each smaller than the job's own.
    pub(super) needs: Vec<usize>,
    /// The work.
    pub(super) work: Box<dyn Fn() -> Result<()> + Send + Sync + 'a>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Running,
    Done,
}

struct Board {
    states: Vec<State>,
    failure: Option<anyhow::Error>,
}

impl Board {
    /// The first job in the list that may start: the list's order is the priority.
    fn ready(&self, jobs: &[Job<'_>]) -> Option<usize> {
        (0..jobs.len()).find(|&i| {
            self.states[i] == State::Waiting
                && jobs[i].needs.iter().all(|&need| self.states[need] == State::Done)
        })
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || self.states.iter().all(|&state| state != State::Waiting)
    }
}

/// Runs all jobs on `workers` threads, with one progress line as each ends.
///
/// # Errors
/// The first failure; then no further job starts.
pub(super) fn run_all(jobs: &[Job<'_>], workers: usize, progress: &Progress) -> Result<()> {
    debug_assert!(jobs.iter().enumerate().all(|(i, job)| job.needs.iter().all(|&n| n < i)));
    let board = Mutex::new(Board { states: vec![State::Waiting; jobs.len()], failure: None });
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| work(jobs, &board, &changed, progress));
        }
    });
    match board.into_inner().unwrap_or_else(PoisonError::into_inner).failure {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}

/// One thread: takes jobs until none is left to start.
fn work(jobs: &[Job<'_>], board: &Mutex<Board>, changed: &Condvar, progress: &Progress) {
    let lock = || board.lock().unwrap_or_else(PoisonError::into_inner);
    let mut guard = lock();
    while !guard.is_over() {
        let Some(i) = guard.ready(jobs) else {
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        guard.states[i] = State::Running;
        drop(guard);
        let step = progress.step();
        let result = (jobs[i].work)();
        guard = lock();
        match result {
            Ok(()) => {
                step.done(&jobs[i].name);
                guard.states[i] = State::Done;
            }
            Err(error) => {
                let error = error.context(jobs[i].name.clone());
                guard.failure = guard.failure.take().or(Some(error));
            }
        }
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::bail;

    use super::*;

    fn job<'a>(needs: &[usize], work: impl Fn() -> Result<()> + Send + Sync + 'a) -> Job<'a> {
        Job { name: "a job".to_owned(), needs: needs.to_vec(), work: Box::new(work) }
    }

    #[test]
    fn a_job_starts_when_those_it_needs_have_ended() {
        for workers in [1, 2, 5] {
            let ended = [const { AtomicUsize::new(0) }; 5];
            let clock = AtomicUsize::new(1);
            let needs: [&[usize]; 5] = [&[], &[], &[0], &[0, 1], &[2, 3]];
            let jobs: Vec<Job<'_>> = (0..5)
                .map(|i| {
                    let (ended, clock) = (&ended, &clock);
                    job(needs[i], move || {
                        for &need in needs[i] {
                            assert!(ended[need].load(Ordering::SeqCst) > 0, "{i} before {need}");
                        }
                        let now = clock.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(ended[i].swap(now, Ordering::SeqCst), 0, "{i} ran twice");
                        Ok(())
                    })
                })
                .collect();
            run_all(&jobs, workers, &Progress::silent()).unwrap();
            assert!(ended.iter().all(|at| at.load(Ordering::SeqCst) > 0));
        }
        run_all(&[], 2, &Progress::silent()).unwrap();
    }

    #[test]
    fn nothing_starts_after_a_failure() {
        let ran = AtomicUsize::new(0);
        let jobs = [
            job(&[], || bail!("it broke")),
            job(&[0], || {
                ran.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }),
        ];
        let error = run_all(&jobs, 2, &Progress::silent()).unwrap_err();
        assert_eq!(format!("{error:#}"), "a job: it broke");
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }
}
