//! One face for what can be timed and classify: a model file in the runtime, a checkpoint in the training framework. Timing
//! and counting are `bench`'s and `eval`'s.

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use penjing_convert::check::argmax;
use penjing_convert::elements::Elements;
use penjing_convert::samples::Samples;
#[cfg(feature = "train")]
use penjing_convert::samples::same_image;
use penjing_runtime::{Input, Model, Output, Profile, Session, SessionOptions};

use crate::model_file::{Kind, convert_first, kind};

/// A model or checkpoint, with samples in the types that it takes.
pub(crate) struct Predictor {
    engine: Engine,
    /// Elements of the first output, whose largest names a class.
    classes: usize,
    count: usize,
}

enum Engine {
    Model {
        session: Box<Session>,
        inputs: Vec<Tensor>,
        outputs: Vec<Tensor>,
    },
    #[cfg(feature = "train")]
    Checkpoint {
        predictors: Vec<penjing_train::Predictor>,
        images: Vec<u8>,
        image_len: usize,
        scores: Vec<f32>,
    },
}

/// Samples of an input or output.
struct Tensor {
    elements: Elements,
    /// Elements of a sample.
    len: usize,
}

impl Tensor {
    fn input(&self, samples: Range<usize>) -> Input<'_> {
        self.elements.input(samples.start * self.len..samples.end * self.len)
    }

    fn output(&mut self, samples: usize) -> Output<'_> {
        self.elements.output(0..samples * self.len)
    }
}

impl Predictor {
    /// Opens a model or checkpoint for batches of at most `batch` of `samples` on `threads` threads.
    pub(crate) fn open(
        path: &Path,
        samples: &Samples<'_>,
        batch: usize,
        threads: usize,
    ) -> Result<Self> {
        ensure!(batch > 0, "--batch: expected at least 1, found 0");
        let (batch, most) = (batch.min(samples.len()), SessionOptions::MAX_THREADS);
        ensure!(threads <= most, "--threads: expected at most {most}, found {threads}");
        let this = match kind(path)? {
            Kind::Model => Self::open_model(path, samples, batch, threads)?,
            Kind::Checkpoint => Self::open_checkpoint(path, samples, batch, threads)?,
            Kind::Tflite | Kind::Onnx => return Err(convert_first(path)),
        };
        if let Some(split) = samples.split() {
            split.check_labels(this.classes)?;
        }
        Ok(this)
    }

    fn open_model(
        path: &Path,
        samples: &Samples<'_>,
        batch: usize,
        threads: usize,
    ) -> Result<Self> {
        let name = || path.display().to_string();
        let model = Model::open(path).with_context(name)?;
        let session = Session::new(&model, SessionOptions { threads, ..Default::default() })
            .with_context(name)?;
        let inputs = samples.for_model(&model.view()).with_context(name)?;
        let inputs = inputs.into_iter().zip(model.inputs());
        let outputs = model.outputs().map(|info| {
            let elements = Elements::zeros(info.dtype, batch * info.len());
            let elements = elements.with_context(|| {
                format!("{}: output: expected i8, u8 or f32, found {}", name(), info.dtype)
            })?;
            Ok(Tensor { elements, len: info.len() })
        });
        let outputs: Vec<Tensor> = outputs.collect::<Result<_>>()?;
        Ok(Self {
            classes: outputs.first().map_or(0, |output| output.len),
            engine: Engine::Model {
                session: Box::new(session),
                inputs: inputs
                    .map(|(elements, info)| Tensor { elements, len: info.len() })
                    .collect(),
                outputs,
            },
            count: samples.len(),
        })
    }

    #[cfg(feature = "train")]
    fn open_checkpoint(
        path: &Path,
        samples: &Samples<'_>,
        batch: usize,
        threads: usize,
    ) -> Result<Self> {
        let checkpoint = penjing_checkpoint::Checkpoint::load(path)?;
        let network = checkpoint.network();
        let split = samples.split().with_context(|| {
            format!(
                "{}: is a checkpoint, which runs on the images of a folder only",
                path.display()
            )
        })?;
        ensure!(
            same_image(&network.input, split.shape()),
            "{}: input: expected images of {:?} (height, width, channels), found {:?}",
            path.display(),
            network.input,
            split.shape()
        );
        let predictor = penjing_train::Predictor::from_checkpoint(&checkpoint)?;
        let predictors = vec![predictor; threads.max(1)];
        Ok(Self {
            engine: Engine::Checkpoint {
                predictors,
                images: split.images().to_vec(),
                image_len: network.input.iter().product(),
                scores: vec![0.0; batch * network.classes],
            },
            classes: network.classes,
            count: samples.len(),
        })
    }

    #[cfg(not(feature = "train"))]
    fn open_checkpoint(path: &Path, _: &Samples<'_>, _: usize, _: usize) -> Result<Self> {
        bail!(
            "{}: is a checkpoint; this penjing was built without the feature `train` and runs models only",
            path.display()
        )
    }

    /// Opens the same file anew, as a program that has its images at hand would; the seconds from there to the scores of
    /// the first batch. Letting go of what ran before is among them, as in the script that times LiteRT's start.
    fn reopen(&mut self, path: &Path, batch: usize, threads: usize) -> Result<f64> {
        let end = batch.min(self.count);
        let start = Instant::now();
        match &mut self.engine {
            Engine::Model { session, .. } => {
                let model = Model::open(path)?;
                **session = Session::new(&model, SessionOptions { threads, ..Default::default() })?;
            }
            #[cfg(feature = "train")]
            Engine::Checkpoint { predictors, .. } => {
                let checkpoint = penjing_checkpoint::Checkpoint::load(path)?;
                let predictor = penjing_train::Predictor::from_checkpoint(&checkpoint)?;
                *predictors = vec![predictor; threads.max(1)];
            }
        }
        self.run(0, end)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Samples that it was opened on.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Elements of a sample's first output.
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// The engine's name, as `bench --json` gives it.
    pub(crate) fn engine(&self) -> &'static str {
        match self.engine {
            Engine::Model { .. } => "penjing",
            #[cfg(feature = "train")]
            Engine::Checkpoint { .. } => "penjing-train",
        }
    }

    /// The instruction set whose kernels run.
    pub(crate) fn isa(&self) -> String {
        match &self.engine {
            Engine::Model { session, .. } => session.isa().to_string(),
            #[cfg(feature = "train")]
            Engine::Checkpoint { .. } => penjing_train::arch::Isa::best().name().to_owned(),
        }
    }

    /// Runs samples `start..end`, at most a batch; the scores stay inside until the next call.
    pub(crate) fn run(&mut self, start: usize, end: usize) -> Result<()> {
        let n = end - start;
        match &mut self.engine {
            Engine::Model { session, inputs, outputs } => match (&inputs[..], &mut outputs[..]) {
                // the usual case, without a list of either
                ([input], [output]) => session.run(input.input(start..end), output.output(n))?,
                _ => {
                    let (inputs, mut outputs) = lists(inputs, outputs, start..end);
                    session.run_many(&inputs, &mut outputs)?;
                }
            },
            #[cfg(feature = "train")]
            Engine::Checkpoint { predictors, images, image_len, scores } => {
                let images = &images[start * *image_len..end * *image_len];
                run_checkpoint(predictors, images, n, *image_len, self.classes, scores)?;
            }
        }
        Ok(())
    }

    /// Runs samples `0..n` in batches, on the caller's thread alone, and tells each group's time over this pass. A
    /// checkpoint has no groups.
    pub(crate) fn profile(&mut self, n: usize, batch: usize) -> Result<Profile> {
        match &mut self.engine {
            Engine::Model { session, inputs, outputs } => {
                let mut profile = session.profile();
                for start in (0..n).step_by(batch) {
                    let end = (start + batch).min(n);
                    let (inputs, mut outputs) = lists(inputs, outputs, start..end);
                    session.run_profiled(&inputs, &mut outputs, &mut profile)?;
                }
                Ok(profile)
            }
            #[cfg(feature = "train")]
            Engine::Checkpoint { .. } => bail!("a checkpoint has no groups of ops to time"),
        }
    }

    /// The class of sample `i` of the batch that ran last: the first of the largest scores.
    pub(crate) fn class(&self, i: usize) -> usize {
        let (start, end) = (i * self.classes, (i + 1) * self.classes);
        match &self.engine {
            Engine::Model { outputs, .. } => match outputs.first().map(|output| &output.elements) {
                Some(Elements::I8(v)) => argmax(&v[start..end]),
                Some(Elements::U8(v)) => argmax(&v[start..end]),
                Some(Elements::F32(v)) => argmax(&v[start..end]),
                None => 0,
            },
            #[cfg(feature = "train")]
            Engine::Checkpoint { scores, .. } => argmax(&scores[start..end]),
        }
    }

    /// Classes of samples `0..n`, by batches of `batch`.
    pub(crate) fn classify(&mut self, n: usize, batch: usize) -> Result<Vec<usize>> {
        let mut classes = Vec::with_capacity(n);
        for start in (0..n).step_by(batch) {
            let end = (start + batch).min(n);
            self.run(start, end)?;
            classes.extend((0..end - start).map(|i| self.class(i)));
        }
        Ok(classes)
    }
}

/// Samples of each input, and room for theirs of each output.
fn lists<'t>(
    inputs: &'t [Tensor],
    outputs: &'t mut [Tensor],
    samples: Range<usize>,
) -> (Vec<Input<'t>>, Vec<Output<'t>>) {
    let n = samples.len();
    let inputs = inputs.iter().map(|input| input.input(samples.clone())).collect();
    (inputs, outputs.iter_mut().map(|output| output.output(n)).collect())
}

/// How often a file is opened anew to learn how long that takes.
const LOADS: usize = 20;

/// Seconds from a path to the scores of the first batch of `batch` images: map, check, plan, run. The least of [`LOADS`]
/// fresh loads in this process, which is warm: the file is in the system's cache, and code and allocator have run before.
pub(crate) fn load_seconds(
    path: &Path,
    samples: &Samples<'_>,
    batch: usize,
    threads: usize,
) -> Result<f64> {
    let mut predictor = Predictor::open(path, samples, batch, threads)?;
    let mut least = f64::INFINITY;
    for _ in 0..LOADS {
        least = least.min(predictor.reopen(path, batch, threads)?);
    }
    Ok(least)
}

/// A batch in the training framework, divided among threads.
#[cfg(feature = "train")]
fn run_checkpoint(
    predictors: &[penjing_train::Predictor],
    images: &[u8],
    n: usize,
    image_len: usize,
    classes: usize,
    scores: &mut [f32],
) -> Result<()> {
    if let [predictor] = predictors {
        scores[..n * classes].copy_from_slice(&predictor.predict(images, n)?);
        return Ok(());
    }
    let share = n.div_ceil(predictors.len());
    let parts =
        images.chunks(share * image_len).zip(scores[..n * classes].chunks_mut(share * classes));
    std::thread::scope(|scope| {
        let workers: Vec<_> = parts
            .zip(predictors)
            .map(|((images, scores), predictor)| {
                scope.spawn(move || -> Result<()> {
                    scores.copy_from_slice(&predictor.predict(images, images.len() / image_len)?);
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|w| w.join().expect("a prediction does not panic"))
    })
}
