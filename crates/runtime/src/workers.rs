//! A session's threads. The caller copies tiles of a batch into staging memory that jobs own and hand over, so that no
//! borrow crosses a thread; it computes beside them, and copies their results out. Sleeping threads cost nothing.

use crate::error::{Error, RunError};
use crate::exec::{Inputs, Outputs, Worker};
use crate::plan::Plan;
use crate::tensor::{Input, Output};
use penjing_format::DataType;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The most bytes of one tile: about what stays in a core's nearest cache beside the weights.
const TILE_BYTES: usize = 64 << 10;

/// The most images of one tile.
const TILE_IMAGES: usize = 64;

/// Tiles that a batch is cut into, for each thread: enough that none waits long for the last one.
const TILES_PER_THREAD: usize = 4;

/// Threads that wait for jobs until the pool is dropped.
pub(crate) struct Pool {
    exchange: Arc<Exchange>,
    threads: Vec<JoinHandle<()>>,
    /// Jobs that nobody has: two a thread, so that one is ready when another is done.
    free: Vec<Job>,
    tile_images: usize,
}

struct Exchange {
    queue: Mutex<Queue>,
    /// A job is ready, or the pool is going.
    ready: Condvar,
    /// A job is done, or a thread has started.
    done: Condvar,
}

struct Queue {
    ready: VecDeque<Job>,
    done: Vec<Job>,
    started: usize,
    stop: bool,
}

/// A tile of a batch, with memory of its own.
struct Job {
    first: usize,
    count: usize,
    inputs: Vec<Staging>,
    outputs: Vec<Staging>,
    failed: bool,
}

/// Elements that a job owns.
enum Staging {
    U8(Vec<u8>),
    I8(Vec<i8>),
    F32(Vec<f32>),
}

impl Exchange {
    /// A panic elsewhere leaves the queue as it was: it is never half changed while locked.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, on: &Condvar, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        on.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Starts `threads` threads and returns when all of them wait.
    pub(crate) fn new(plan: &Arc<Plan>, threads: usize) -> Result<Self, Error> {
        let jobs = 2 * threads;
        let queue = Queue {
            ready: VecDeque::with_capacity(jobs),
            done: Vec::with_capacity(jobs),
            started: 0,
            stop: false,
        };
        let exchange = Arc::new(Exchange {
            queue: Mutex::new(queue),
            ready: Condvar::new(),
            done: Condvar::new(),
        });
        let image_bytes: usize =
            plan.inputs.iter().map(|port| port.len * port.dtype.size()).sum::<usize>()
                + plan.outputs.iter().map(|slot| slot.len * slot.dtype.size()).sum::<usize>();
        let tile_images = (TILE_BYTES / image_bytes.max(1)).clamp(1, TILE_IMAGES);
        let free = (0..jobs).map(|_| Job::new(plan, tile_images)).collect();
        let mut pool = Self { exchange, threads: Vec::with_capacity(threads), free, tile_images };
        for index in 0..threads {
            let (plan, exchange) = (Arc::clone(plan), Arc::clone(&pool.exchange));
            let mut worker = Worker::new(&plan);
            let thread = std::thread::Builder::new()
                .name(format!("penjing-{index}"))
                .spawn(move || serve(&plan, &exchange, &mut worker))
                .map_err(|source| Error::Thread { source })?;
            pool.threads.push(thread);
        }
        // A thread allocates while it starts; a run must not.
        let mut queue = pool.exchange.lock();
        while queue.started < threads {
            queue = pool.exchange.wait(&pool.exchange.done, queue);
        }
        drop(queue);
        Ok(pool)
    }

    /// Threads, the caller's not among them.
    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Runs a batch on these threads and the caller's.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        worker: &mut Worker,
        inputs: &[Input<'_>],
        outputs: &mut [Output<'_>],
        batch: usize,
    ) -> Result<(), RunError> {
        let tiles = TILES_PER_THREAD * (self.threads.len() + 1);
        let tile = batch.div_ceil(tiles).clamp(1, self.tile_images);
        let (mut next, mut out, mut failed) = (0, 0, false);
        loop {
            while let Some(job) = self.take(|queue| queue.done.pop()) {
                failed |= job.failed;
                job.collect(outputs, plan);
                self.free.push(job);
                out -= 1;
            }
            while next < batch {
                let Some(mut job) = self.free.pop() else { break };
                job.fill(inputs, next..(next + tile).min(batch), plan);
                next += job.count;
                out += 1;
                self.exchange.lock().ready.push_back(job);
                self.exchange.ready.notify_one();
            }
            if next < batch {
                let end = (next + tile).min(batch);
                failed |= panics(|| worker.run(plan, inputs, outputs, next..end, &mut ()));
                next = end;
            } else if out == 0 {
                return if failed { Err(RunError::Worker) } else { Ok(()) };
            } else if let Some(mut job) = self.take(|queue| queue.ready.pop_front()) {
                job.failed = panics(|| job.run(plan, worker));
                self.exchange.lock().done.push(job);
            } else {
                let mut queue = self.exchange.lock();
                while queue.done.is_empty() {
                    queue = self.exchange.wait(&self.exchange.done, queue);
                }
            }
        }
    }

    fn take(&self, from: impl FnOnce(&mut Queue) -> Option<Job>) -> Option<Job> {
        from(&mut self.exchange.lock())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.exchange.lock().stop = true;
        self.exchange.ready.notify_all();
        for thread in self.threads.drain(..) {
            // A thread catches its jobs' panics; there is nothing else that it could report.
            let _ = thread.join();
        }
    }
}

/// Whether `work` panics. A panic may not pass: a job that is lost would be waited for by this run or mistaken for another's
/// by the next. Workers hold nothing from one image to the next, so that they can go on.
fn panics(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

/// What a thread does: jobs, until the pool goes.
fn serve(plan: &Plan, exchange: &Exchange, worker: &mut Worker) {
    let mut queue = exchange.lock();
    queue.started += 1;
    exchange.done.notify_one();
    loop {
        if let Some(mut job) = queue.ready.pop_front() {
            drop(queue);
            job.failed = panics(|| job.run(plan, worker));
            queue = exchange.lock();
            queue.done.push(job);
            exchange.done.notify_one();
        } else if queue.stop {
            return;
        } else {
            queue = exchange.wait(&exchange.ready, queue);
        }
    }
}

impl Job {
    fn new(plan: &Plan, images: usize) -> Self {
        let inputs = plan.inputs.iter().map(|port| Staging::new(port.dtype, images * port.len));
        let outputs = plan.outputs.iter().map(|slot| Staging::new(slot.dtype, images * slot.len));
        Self {
            first: 0,
            count: 0,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            failed: false,
        }
    }

    fn fill(&mut self, inputs: &[Input<'_>], images: core::ops::Range<usize>, plan: &Plan) {
        (self.first, self.count, self.failed) = (images.start, images.len(), false);
        for ((staging, input), port) in self.inputs.iter_mut().zip(inputs).zip(&plan.inputs) {
            let range = images.start * port.len..images.end * port.len;
            staging.places().copy_at(0, input.part(range));
        }
    }

    fn run(&mut self, plan: &Plan, worker: &mut Worker) {
        worker.run(
            plan,
            self.inputs.as_slice(),
            self.outputs.as_mut_slice(),
            0..self.count,
            &mut (),
        );
    }

    fn collect(&self, outputs: &mut [Output<'_>], plan: &Plan) {
        for ((staging, output), slot) in self.outputs.iter().zip(outputs).zip(&plan.outputs) {
            let elements = staging.elements().part(0..self.count * slot.len);
            output.copy_at(self.first * slot.len, elements);
        }
    }
}

impl Staging {
    fn new(dtype: DataType, len: usize) -> Self {
        match dtype {
            DataType::U8 => Staging::U8(vec![0; len]),
            DataType::I8 => Staging::I8(vec![0; len]),
            DataType::F32 | DataType::I16 | DataType::I32 => Staging::F32(vec![0.0; len]),
        }
    }

    fn elements(&self) -> Input<'_> {
        match self {
            Staging::U8(x) => Input::U8(x),
            Staging::I8(x) => Input::I8(x),
            Staging::F32(x) => Input::F32(x),
        }
    }

    fn places(&mut self) -> Output<'_> {
        match self {
            Staging::U8(x) => Output::U8(x),
            Staging::I8(x) => Output::I8(x),
            Staging::F32(x) => Output::F32(x),
        }
    }
}

impl Inputs for [Staging] {
    fn input(&self, index: usize) -> Input<'_> {
        self[index].elements()
    }
}

impl Outputs for [Staging] {
    fn output(&mut self, index: usize) -> Output<'_> {
        self[index].places()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Isa;
    use crate::ops::Op;
    use crate::plan::{Group, Place, Port, Slot};
    use penjing_format::QuantParams;

    /// A plan that no planner makes: its op panics, on whatever thread.
    fn broken_plan() -> Plan {
        let slot = |place| Slot { place, dtype: DataType::U8, len: 1 };
        let (input, output) = (slot(Place::Input(0)), slot(Place::Arena(0)));
        Plan {
            isa: Isa::PORTABLE,
            inputs: vec![Port { dtype: DataType::U8, len: 1 }],
            outputs: vec![output],
            groups: vec![Group {
                op: Op::Dequantize(QuantParams::PIXEL),
                input,
                output,
                nodes: 0..1,
            }],
            images: 1,
            arena: 64,
            scratch: 0,
        }
    }

    #[test]
    fn a_panic_is_an_error_and_neither_a_hang_nor_a_loss() {
        let plan = Arc::new(broken_plan());
        for threads in [1, 3] {
            let mut pool = Pool::new(&plan, threads).unwrap();
            let mut worker = Worker::new(&plan);
            for batch in [2, 3, 64, 1000] {
                let (images, mut codes) = (vec![0_u8; batch], vec![0_u8; batch]);
                let (inputs, mut outputs) = ([Input::U8(&images)], [Output::U8(&mut codes)]);
                let found = pool.run(&plan, &mut worker, &inputs, &mut outputs, batch);
                assert_eq!(found, Err(RunError::Worker));
                assert_eq!(pool.free.len(), 2 * threads);
                assert!(pool.threads.iter().all(|thread| !thread.is_finished()));
            }
        }
    }
}
