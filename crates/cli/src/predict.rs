//! One face for what can classify images: a model file in the runtime, a checkpoint in the training framework. Timing and
//! counting are `bench`'s and `eval`'s.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use penjing_convert::check::argmax;
use penjing_convert::pixels::Pixels;
use penjing_dataset::Split;
use penjing_format::DataType;
use penjing_runtime::{Model, Output, Profile, Session, SessionOptions};

use crate::model_file::{Kind, kind};

/// Something that classifies images, with the test images in the dtype that it takes.
pub(crate) struct Classifier {
    engine: Engine,
    image_len: usize,
    classes: usize,
    count: usize,
}

enum Engine {
    Model {
        session: Box<Session>,
        pixels: Pixels,
        scores: Scores,
    },
    #[cfg(feature = "train")]
    Checkpoint {
        predictors: Vec<penjing_train::Predictor>,
        images: Vec<u8>,
        scores: Vec<f32>,
    },
}

/// Where a model puts its scores.
enum Scores {
    I8(Vec<i8>),
    U8(Vec<u8>),
    F32(Vec<f32>),
}

impl Scores {
    fn output(&mut self, len: usize) -> Output<'_> {
        match self {
            Self::I8(v) => Output::I8(&mut v[..len]),
            Self::U8(v) => Output::U8(&mut v[..len]),
            Self::F32(v) => Output::F32(&mut v[..len]),
        }
    }

    fn argmax(&self, start: usize, end: usize) -> usize {
        match self {
            Self::I8(v) => argmax(&v[start..end]),
            Self::U8(v) => argmax(&v[start..end]),
            Self::F32(v) => argmax(&v[start..end]),
        }
    }
}

impl Classifier {
    /// Opens a model or checkpoint for batches of at most `batch` images of `split` on `threads` threads.
    pub(crate) fn open(path: &Path, split: &Split, batch: usize, threads: usize) -> Result<Self> {
        ensure!(batch > 0, "--batch: expected at least 1, found 0");
        let (batch, most) = (batch.min(split.len()), SessionOptions::MAX_THREADS);
        ensure!(threads <= most, "--threads: expected at most {most}, found {threads}");
        let this = match kind(path)? {
            Kind::Model => Self::open_model(path, split, batch, threads)?,
            Kind::Checkpoint => Self::open_checkpoint(path, split, batch, threads)?,
        };
        split.check_labels(this.classes)?;
        Ok(this)
    }

    fn open_model(path: &Path, split: &Split, batch: usize, threads: usize) -> Result<Self> {
        let model = Model::open(path).with_context(|| path.display().to_string())?;
        let session = Session::new(&model, SessionOptions { threads, ..Default::default() })?;
        let (inputs, outputs): (Vec<_>, Vec<_>) =
            (model.inputs().collect(), model.outputs().collect());
        let ([input], [output]) = (&inputs[..], &outputs[..]) else {
            bail!(
                "{}: has {} inputs and {} outputs, an image classifier has one of each",
                path.display(),
                inputs.len(),
                outputs.len()
            );
        };
        let shape: Vec<usize> = input.shape.dims().iter().map(|&d| d as usize).collect();
        check_shape(path, &shape, split)?;
        let classes = output.shape.elements().unwrap_or(0);
        let pixels = Pixels::for_model(&model.view(), split.images(), split.shape()[2])
            .with_context(|| {
                format!("{}: the input's dtype {} takes no images", path.display(), input.dtype)
            })?;
        let len = batch * classes;
        let scores = match output.dtype {
            DataType::I8 => Scores::I8(vec![0; len]),
            DataType::U8 => Scores::U8(vec![0; len]),
            DataType::F32 => Scores::F32(vec![0.0; len]),
            other => bail!("{}: output: expected i8, u8 or f32, found {other}", path.display()),
        };
        Ok(Self {
            engine: Engine::Model { session: Box::new(session), pixels, scores },
            image_len: split.shape().iter().product(),
            classes,
            count: split.len(),
        })
    }

    #[cfg(feature = "train")]
    fn open_checkpoint(path: &Path, split: &Split, batch: usize, threads: usize) -> Result<Self> {
        let checkpoint = penjing_checkpoint::Checkpoint::load(path)?;
        let network = checkpoint.network();
        check_shape(path, &network.input, split)?;
        let predictor = penjing_train::Predictor::from_checkpoint(&checkpoint)?;
        let predictors = vec![predictor; threads.max(1)];
        Ok(Self {
            engine: Engine::Checkpoint {
                predictors,
                images: split.images().to_vec(),
                scores: vec![0.0; batch * network.classes],
            },
            image_len: split.shape().iter().product(),
            classes: network.classes,
            count: split.len(),
        })
    }

    #[cfg(not(feature = "train"))]
    fn open_checkpoint(path: &Path, _: &Split, _: usize, _: usize) -> Result<Self> {
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

    /// Images that it was opened on.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Scores a image.
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

    /// Runs images `start..end`, at most a batch; the scores stay inside until the next call.
    pub(crate) fn run(&mut self, start: usize, end: usize) -> Result<()> {
        let n = end - start;
        match &mut self.engine {
            Engine::Model { session, pixels, scores } => {
                let input = pixels.slice(start * self.image_len, end * self.image_len);
                session.run(input, scores.output(n * self.classes))?;
            }
            #[cfg(feature = "train")]
            Engine::Checkpoint { predictors, images, scores } => {
                let images = &images[start * self.image_len..end * self.image_len];
                run_checkpoint(predictors, images, n, self.image_len, self.classes, scores)?;
            }
        }
        Ok(())
    }

    /// Runs images `0..n` in batches, on the caller's thread alone, and tells each group's time over this pass. A
    /// checkpoint has no groups.
    pub(crate) fn profile(&mut self, n: usize, batch: usize) -> Result<Profile> {
        match &mut self.engine {
            Engine::Model { session, pixels, scores } => {
                let mut profile = session.profile();
                for start in (0..n).step_by(batch) {
                    let end = (start + batch).min(n);
                    let input = pixels.slice(start * self.image_len, end * self.image_len);
                    let output = scores.output((end - start) * self.classes);
                    session.run_profiled(&[input], &mut [output], &mut profile)?;
                }
                Ok(profile)
            }
            #[cfg(feature = "train")]
            Engine::Checkpoint { .. } => bail!("a checkpoint has no groups of ops to time"),
        }
    }

    /// The class of image `i` of the batch that ran last: the first of the largest scores.
    pub(crate) fn class(&self, i: usize) -> usize {
        let (start, end) = (i * self.classes, (i + 1) * self.classes);
        match &self.engine {
            Engine::Model { scores, .. } => scores.argmax(start, end),
            #[cfg(feature = "train")]
            Engine::Checkpoint { scores, .. } => argmax(&scores[start..end]),
        }
    }

    /// Classes of images `0..n`, by batches of `batch`.
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

/// How often a file is opened anew to learn how long that takes.
const LOADS: usize = 20;

/// Seconds from a path to the scores of the first batch of `batch` images: map, check, plan, run. The least of [`LOADS`]
/// fresh loads in this process, which is warm: the file is in the system's cache, and code and allocator have run before.
pub(crate) fn load_seconds(
    path: &Path,
    split: &Split,
    batch: usize,
    threads: usize,
) -> Result<f64> {
    let mut classifier = Classifier::open(path, split, batch, threads)?;
    let mut least = f64::INFINITY;
    for _ in 0..LOADS {
        least = least.min(classifier.reopen(path, batch, threads)?);
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

fn check_shape(path: &Path, expected: &[usize], split: &Split) -> Result<()> {
    ensure!(
        expected == split.shape(),
        "{}: input: expected images of {expected:?} (height, width, channels), found {:?}",
        path.display(),
        split.shape()
    );
    Ok(())
}
