//! A session's share of a thread pool. The caller copies tiles of a batch into staging memory that jobs own and hand over, so
//! that no borrow crosses a thread; it computes beside them, and copies their results out.

use crate::budget::{Budget, Overdraft, product};
use crate::error::RunError;
use crate::exec::{Inputs, Outputs, Worker};
use crate::plan::Plan;
use crate::tensor::{Input, Output};
use crate::threads::{ThreadPool, Work, lock, panics, wait};
use core::fmt;
use penjing_format::DataType;
use std::sync::{Arc, Condvar, Mutex};

/// The most bytes of one tile: about what stays in a core's nearest cache beside the weights.
const TILE_BYTES: u64 = 64 << 10;

/// The most images of one tile.
const TILE_IMAGES: usize = 64;

/// Tiles that a batch is cut into, for each thread: enough that none waits long for the last one.
const TILES_PER_THREAD: usize = 4;

/// What a session needs to run on the threads of a pool.
pub(crate) struct Team {
    pool: ThreadPool,
    #[expect(
        clippy::vec_box,
        reason = "a job keeps its box, so that handing it over allocates nothing"
    )]
    /// Jobs that nobody has: two a thread, so that one is ready when another is done.
    free: Vec<Box<Job>>,
    jobs: usize,
    returns: Arc<Returns>,
    tile_images: usize,
}

/// Where jobs go when they are done.
struct Returns {
    #[expect(clippy::vec_box, reason = "as in `Team`")]
    done: Mutex<Vec<Box<Job>>>,
    /// There is one more.
    more: Condvar,
}

/// A tile of a batch, with all that it takes to run it.
struct Job {
    plan: Arc<Plan>,
    worker: Worker,
    first: usize,
    count: usize,
    inputs: Vec<Staging>,
    outputs: Vec<Staging>,
    failed: bool,
    returns: Arc<Returns>,
}

/// Elements that a job owns.
enum Staging {
    U8(Vec<u8>),
    I8(Vec<i8>),
    F32(Vec<f32>),
}

impl Team {
    pub(crate) fn new(
        plan: &Arc<Plan>,
        pool: ThreadPool,
        budget: &Budget,
    ) -> Result<Self, Overdraft> {
        let jobs = 2 * pool.threads();
        let returns =
            Arc::new(Returns { done: Mutex::new(Vec::with_capacity(jobs)), more: Condvar::new() });
        let inputs = plan.inputs.iter().map(|port| product(&[port.len, port.dtype.size()]));
        let outputs = plan.outputs.iter().map(|slot| product(&[slot.len, slot.dtype.size()]));
        let image_bytes = inputs.chain(outputs).fold(1, u64::saturating_add);
        let tile_images =
            usize::try_from(TILE_BYTES / image_bytes).unwrap_or(1).clamp(1, TILE_IMAGES);
        let staging = image_bytes.saturating_mul(tile_images as u64);
        let job = staging.saturating_add(plan.arena_bytes());
        budget.take(job.saturating_mul(jobs as u64))?;
        let free = (0..jobs).map(|_| Box::new(Job::new(plan, tile_images, &returns))).collect();
        pool.exchange().reserve(jobs);
        Ok(Self { pool, free, jobs, returns, tile_images })
    }

    /// Threads, the caller's not among them.
    pub(crate) fn threads(&self) -> usize {
        self.pool.threads()
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
        let exchange = self.pool.exchange();
        let tiles = TILES_PER_THREAD * (self.pool.threads() + 1);
        let tile = batch.div_ceil(tiles).clamp(1, self.tile_images);
        let (mut next, mut out, mut failed) = (0, 0, false);
        loop {
            while let Some(job) = self.returns.take() {
                failed |= job.failed;
                job.collect(outputs);
                self.free.push(job);
                out -= 1;
            }
            while next < batch {
                let Some(mut job) = self.free.pop() else { break };
                job.fill(inputs, next..(next + tile).min(batch));
                next += job.count;
                out += 1;
                exchange.leave(job);
            }
            if next < batch {
                let end = (next + tile).min(batch);
                failed |= panics(|| worker.run(plan, inputs, outputs, next..end, &mut ()));
                next = end;
            } else if out == 0 {
                return if failed { Err(RunError::Worker) } else { Ok(()) };
            } else if let Some(work) = exchange.take() {
                work.run();
            } else {
                self.returns.wait();
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.pool.exchange().release(self.jobs);
    }
}

impl Returns {
    fn take(&self) -> Option<Box<Job>> {
        lock(&self.done).pop()
    }

    /// Returns when there is a job.
    fn wait(&self) {
        let mut done = lock(&self.done);
        while done.is_empty() {
            done = wait(&self.more, done);
        }
    }
}

impl Work for Job {
    fn run(mut self: Box<Self>) {
        let job = &mut *self;
        let (inputs, outputs) = (job.inputs.as_slice(), job.outputs.as_mut_slice());
        job.failed = panics(|| job.worker.run(&job.plan, inputs, outputs, 0..job.count, &mut ()));
        let returns = Arc::clone(&self.returns);
        lock(&returns.done).push(self);
        returns.more.notify_one();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("first", &self.first).field("count", &self.count).finish()
    }
}

impl Job {
    fn new(plan: &Arc<Plan>, images: usize, returns: &Arc<Returns>) -> Self {
        let inputs = plan.inputs.iter().map(|port| Staging::new(port.dtype, images * port.len));
        let outputs = plan.outputs.iter().map(|slot| Staging::new(slot.dtype, images * slot.len));
        Self {
            plan: Arc::clone(plan),
            worker: Worker::new(plan),
            first: 0,
            count: 0,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            failed: false,
            returns: Arc::clone(returns),
        }
    }

    fn fill(&mut self, inputs: &[Input<'_>], images: core::ops::Range<usize>) {
        (self.first, self.count, self.failed) = (images.start, images.len(), false);
        for ((staging, input), port) in self.inputs.iter_mut().zip(inputs).zip(&self.plan.inputs) {
            let range = images.start * port.len..images.end * port.len;
            staging.places().copy_at(0, input.part(range));
        }
    }

    fn collect(&self, outputs: &mut [Output<'_>]) {
        for ((staging, output), slot) in self.outputs.iter().zip(outputs).zip(&self.plan.outputs) {
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
    use crate::ops::Op;
    use crate::plan::{Group, Place, Port, Slot};
    use penjing_format::QuantParams;

    /// A plan that no planner makes: its op panics, on whatever thread.
    fn broken_plan() -> Plan {
        let slot = |place| Slot { place, dtype: DataType::U8, len: 1 };
        let (input, output) = (slot(Place::Input(0)), slot(Place::Arena(0)));
        let op = Op::Dequantize(QuantParams::PIXEL);
        let group = Group { op, inputs: vec![input], output, in_place: false, nodes: 0..1 };
        Plan::of_groups(vec![Port { dtype: DataType::U8, len: 1 }], vec![output], vec![group])
    }

    #[test]
    fn a_panic_is_an_error_and_neither_a_hang_nor_a_loss() {
        let plan = Arc::new(broken_plan());
        for threads in [1, 3] {
            let pool = ThreadPool::new(threads).unwrap();
            let budget = Budget::new(1 << 20, 0);
            let mut team = Team::new(&plan, pool.clone(), &budget).unwrap();
            let mut worker = Worker::new(&plan);
            for batch in [2, 3, 64, 1000] {
                let (images, mut codes) = (vec![0_u8; batch], vec![0_u8; batch]);
                let (inputs, mut outputs) = ([Input::U8(&images)], [Output::U8(&mut codes)]);
                let found = team.run(&plan, &mut worker, &inputs, &mut outputs, batch);
                assert_eq!(found, Err(RunError::Worker));
                assert_eq!(team.free.len(), 2 * threads);
                assert!(pool.is_whole());
            }
        }
    }
}
