//! Threads that wait for work: one session's own, or lent by the caller to as many sessions as there are. They know nothing of
//! models. Sleeping threads cost nothing: none spins.

use crate::error::Error;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Threads that sessions share. A clone is the same threads; they end when the last clone and the last session have gone.
///
/// Sessions of [`Session::with_pool`](crate::Session::with_pool) may run on it at the same time, from any threads: their work
/// queues up, and every caller works too.
#[derive(Clone, Debug)]
pub struct ThreadPool {
    threads: Arc<Threads>,
}

#[derive(Debug)]
struct Threads {
    exchange: Arc<Exchange>,
    handles: Vec<JoinHandle<()>>,
}

/// Where work is left and found.
#[derive(Debug)]
pub(crate) struct Exchange {
    queue: Mutex<Queue>,
    /// Work is ready, or the pool is going.
    ready: Condvar,
    /// A thread has started.
    start: Condvar,
}

#[derive(Debug)]
struct Queue {
    ready: VecDeque<Box<dyn Work>>,
    /// What sessions may leave at once.
    room: usize,
    started: usize,
    stop: bool,
}

/// Something to do, once.
pub(crate) trait Work: Send + core::fmt::Debug {
    /// Does it and takes it back to who has left it.
    fn run(self: Box<Self>);
}

impl ThreadPool {
    /// Starts `threads` threads, at most 1024, and returns when all of them wait. Whoever runs a session is one more.
    pub fn new(threads: usize) -> Result<Self, Error> {
        let threads = threads.min(crate::SessionOptions::MAX_THREADS);
        let queue = Queue { ready: VecDeque::new(), room: 0, started: 0, stop: false };
        let exchange = Arc::new(Exchange {
            queue: Mutex::new(queue),
            ready: Condvar::new(),
            start: Condvar::new(),
        });
        let mut pool = Threads { exchange, handles: Vec::with_capacity(threads) };
        for index in 0..threads {
            let exchange = Arc::clone(&pool.exchange);
            let thread = std::thread::Builder::new()
                .name(format!("penjing-{index}"))
                .spawn(move || exchange.serve())
                .map_err(|source| Error::Thread { source })?;
            pool.handles.push(thread);
        }
        // A thread allocates while it starts; a run must not.
        let mut queue = pool.exchange.lock();
        while queue.started < threads {
            queue = wait(&pool.exchange.start, queue);
        }
        drop(queue);
        Ok(Self { threads: Arc::new(pool) })
    }

    /// How many threads it has.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.handles.len()
    }

    /// Whether no thread has ended.
    #[cfg(test)]
    pub(crate) fn is_whole(&self) -> bool {
        self.threads.handles.iter().all(|thread| !thread.is_finished())
    }

    /// Where its threads look for work.
    pub(crate) fn exchange(&self) -> &Exchange {
        &self.threads.exchange
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.exchange.lock().stop = true;
        self.exchange.ready.notify_all();
        for thread in self.handles.drain(..) {
            // A thread catches the panics of its work; there is nothing else that it could report.
            let _ = thread.join();
        }
    }
}

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Makes room for that much more work at once, so that leaving it allocates nothing.
    pub(crate) fn reserve(&self, works: usize) {
        let mut queue = self.lock();
        queue.room += works;
        let room = queue.room;
        queue.ready.reserve(room);
    }

    /// Gives room back.
    pub(crate) fn release(&self, works: usize) {
        self.lock().room -= works;
    }

    /// Leaves work for any thread.
    pub(crate) fn leave(&self, work: Box<dyn Work>) {
        self.lock().ready.push_back(work);
        self.ready.notify_one();
    }

    /// Work that nobody has begun, anybody's.
    pub(crate) fn take(&self) -> Option<Box<dyn Work>> {
        self.lock().ready.pop_front()
    }

    /// What a thread does: work, until the pool goes.
    fn serve(&self) {
        let mut queue = self.lock();
        queue.started += 1;
        self.start.notify_one();
        loop {
            if let Some(work) = queue.ready.pop_front() {
                drop(queue);
                work.run();
                queue = self.lock();
            } else if queue.stop {
                return;
            } else {
                queue = wait(&self.ready, queue);
            }
        }
    }
}

/// Locks what no panic leaves half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on such a lock.
pub(crate) fn wait<'a, T>(on: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    on.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Whether `work` panics. A panic may not pass: work that is lost would be waited for by this run or mistaken for another's by
/// the next. Workers hold nothing from one image to the next, so that they can go on.
pub(crate) fn panics(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}
