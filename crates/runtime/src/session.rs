//! A planned model, ready to run batches. It checks what the caller hands over and splits batches among its threads.

use crate::arch::Isa;
#[cfg(feature = "std")]
use crate::budget::Budget;
use crate::error::{Error, Port, RunError};
use crate::exec::Worker;
use crate::plan::{GroupInfo, Plan, PlanOptions};
#[cfg(feature = "std")]
use crate::profile::Profile;
use crate::storage::Model;
use crate::tensor::{Input, Output};
#[cfg(feature = "std")]
use crate::{threads::ThreadPool, workers::Team};
use core::fmt;
use penjing_format::DataType;

/// How workers share the plan: by count where there are threads.
#[cfg(feature = "std")]
type Shared<T> = std::sync::Arc<T>;
#[cfg(not(feature = "std"))]
type Shared<T> = alloc::boxed::Box<T>;

/// Threads for what [`SessionOptions::threads`] says.
#[cfg(feature = "std")]
fn thread_count(requested: usize) -> usize {
    match requested {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads.min(SessionOptions::MAX_THREADS),
    }
}

/// How a session runs.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Threads that share a batch, the caller's among them; 0 for one a core, at most 1024. Without `std` there is 1.
    pub threads: usize,
    /// The instruction set; `None` for what `PENJING_ISA` names, or else the best that this machine has.
    pub isa: Option<Isa>,
    /// The most bytes that the session may take: expanded weights and tables, and for each thread intermediate tensors, the
    /// kernels' scratch and copies of inputs and outputs.
    pub max_bytes: u64,
    /// Only the nodes up to this one, whose value is then the session's one output: a look into a network. No op is joined to the
    /// next across it.
    pub until: Option<usize>,
    /// The most images that run through the network at once; see [`PlanOptions::tile_images`]. 1 takes the least memory.
    pub tile_images: usize,
}

impl SessionOptions {
    /// The most threads of a session: more would only cost memory.
    #[cfg(feature = "std")]
    pub const MAX_THREADS: usize = 1024;
}

impl Default for SessionOptions {
    /// One thread, the best instruction set, 256 MiB.
    fn default() -> Self {
        Self { threads: 1, isa: None, max_bytes: 256 << 20, until: None, tile_images: 0 }
    }
}

/// A planned model. Owns all it needs: the model may go.
///
/// [`run`](Self::run) allocates nothing, on any thread.
pub struct Session {
    plan: Shared<Plan>,
    worker: Worker,
    #[cfg(feature = "std")]
    team: Option<Team>,
}

impl Session {
    /// Plans a model: expands weights, computes multipliers, chooses kernels, lays out memory, starts threads.
    pub fn new(model: &Model, options: SessionOptions) -> Result<Self, Error> {
        let session = Self::single(model, options)?;
        #[cfg(feature = "std")]
        match thread_count(options.threads) {
            0 | 1 => Ok(session),
            threads => session.share(ThreadPool::new(threads - 1)?, options),
        }
        #[cfg(not(feature = "std"))]
        match options.threads {
            0 | 1 => Ok(session),
            requested => Err(Error::NoThreads { requested }),
        }
    }

    /// As [`new`](Self::new), on threads that other sessions may use too; `threads` of the options is not asked.
    #[cfg(feature = "std")]
    pub fn with_pool(
        model: &Model,
        options: SessionOptions,
        pool: &ThreadPool,
    ) -> Result<Self, Error> {
        Self::single(model, options)?.share(pool.clone(), options)
    }

    fn single(model: &Model, options: SessionOptions) -> Result<Self, Error> {
        let isa = match options.isa {
            Some(isa) => isa,
            #[cfg(feature = "std")]
            None => Isa::from_env()?,
            #[cfg(not(feature = "std"))]
            None => Isa::detect(),
        };
        let SessionOptions { max_bytes, until, tile_images, .. } = options;
        let options = PlanOptions { max_bytes, until, tile_images };
        let plan = Shared::new(Plan::with_options(&model.view(), isa, options)?);
        let worker = Worker::new(&plan);
        Ok(Self {
            plan,
            worker,
            #[cfg(feature = "std")]
            team: None,
        })
    }

    #[cfg(feature = "std")]
    fn share(mut self, pool: ThreadPool, options: SessionOptions) -> Result<Self, Error> {
        if pool.threads() > 0 {
            let budget = Budget::new(options.max_bytes, self.plan.own + self.plan.arena_bytes());
            self.team = Some(Team::new(&self.plan, pool, &budget)?);
        }
        Ok(self)
    }

    /// Runs a batch through a model with one input and one output.
    ///
    /// The batch is the input's length over one image's, whatever the file says; the output has as many images.
    pub fn run<'i, 'o>(
        &mut self,
        input: impl Into<Input<'i>>,
        output: impl Into<Output<'o>>,
    ) -> Result<(), RunError> {
        self.run_many(&[input.into()], &mut [output.into()])
    }

    /// Runs a batch through a model with any number of inputs and outputs, each in the file's order.
    pub fn run_many(
        &mut self,
        inputs: &[Input<'_>],
        outputs: &mut [Output<'_>],
    ) -> Result<(), RunError> {
        let batch = self.check(inputs, outputs)?;
        #[cfg(feature = "std")]
        if let Some(team) = self.team.as_mut().filter(|_| batch > 1) {
            return team.run(&self.plan, &mut self.worker, inputs, outputs, batch);
        }
        self.worker.run(&self.plan, inputs, outputs, 0..batch, &mut ());
        Ok(())
    }

    /// What runs as one, in order.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = GroupInfo> {
        self.plan.groups()
    }

    /// An empty profile of this session's groups.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile::new(&self.plan)
    }

    /// As [`run_many`](Self::run_many), on the caller's thread alone, adding each group's time to a profile of this session.
    #[cfg(feature = "std")]
    pub fn run_profiled(
        &mut self,
        inputs: &[Input<'_>],
        outputs: &mut [Output<'_>],
        profile: &mut Profile,
    ) -> Result<(), RunError> {
        if !profile.is_of(&self.plan) {
            let (expected, found) = (self.plan.groups.len(), profile.groups().len());
            return Err(RunError::Profile { expected, found });
        }
        let batch = self.check(inputs, outputs)?;
        self.worker.run(&self.plan, inputs, outputs, 0..batch, profile);
        Ok(())
    }

    /// The instruction set that the kernels use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.plan.isa
    }

    /// Threads that share a batch, the caller's among them.
    #[must_use]
    pub fn threads(&self) -> usize {
        #[cfg(feature = "std")]
        return 1 + self.team.as_ref().map_or(0, Team::threads);
        #[cfg(not(feature = "std"))]
        1
    }

    /// Bytes that a tile's intermediate tensors and the kernels' scratch take, for each thread.
    #[must_use]
    pub fn arena_bytes(&self) -> u64 {
        self.plan.arena_bytes()
    }

    /// What was planned: where tensors lie, and in how much memory.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the number of images.
    fn check(&self, inputs: &[Input<'_>], outputs: &[Output<'_>]) -> Result<usize, RunError> {
        let counts = [
            ("inputs", self.plan.inputs.len(), inputs.len()),
            ("outputs", self.plan.outputs.len(), outputs.len()),
        ];
        for (of, expected, found) in counts {
            if expected != found {
                return Err(RunError::Count { of, expected, found });
            }
        }
        let mut batch = None;
        for (index, (port, input)) in self.plan.inputs.iter().zip(inputs).enumerate() {
            let given = (input.dtype(), input.len());
            check_port(&mut batch, Port::Input(index), (port.dtype, port.len), given)?;
        }
        for (index, (slot, output)) in self.plan.outputs.iter().zip(outputs).enumerate() {
            let given = (output.dtype(), output.len());
            check_port(&mut batch, Port::Output(index), (slot.dtype, slot.len), given)?;
        }
        Ok(batch.unwrap_or(0))
    }
}

/// The first port tells the batch, the others follow it. Pairs are (type, elements).
fn check_port(
    batch: &mut Option<usize>,
    port: Port,
    (expected, per_image): (DataType, usize),
    (dtype, found): (DataType, usize),
) -> Result<(), RunError> {
    if dtype != expected {
        return Err(RunError::DataType { port, expected, found: dtype });
    }
    match *batch {
        None if per_image == 0 || found % per_image != 0 => {
            Err(RunError::Partial { port, per_image, found })
        }
        None => {
            *batch = Some(found / per_image);
            Ok(())
        }
        Some(batch) => match batch.checked_mul(per_image) {
            Some(expected) if expected == found => Ok(()),
            expected => {
                let expected = expected.unwrap_or(usize::MAX);
                Err(RunError::Length { port, batch, expected, found })
            }
        },
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("isa", &self.isa())
            .field("threads", &self.threads())
            .field("groups", &self.plan.groups.len())
            .field("arena_bytes", &self.arena_bytes())
            .finish()
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn absurd_thread_counts_are_cut() {
        assert!(thread_count(0) >= 1);
        assert_eq!([1, 2, 1024].map(thread_count), [1, 2, 1024]);
        assert_eq!([1025, usize::MAX].map(thread_count), [SessionOptions::MAX_THREADS; 2]);
    }
}
