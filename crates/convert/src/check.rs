//! Holds a lowered model, run by the runtime, against the network that it came from, interpreted in f32 with fake
//! quantization, on real images.

use std::fmt;

use penjing_dataset::Split;
use penjing_format::QuantParams;
use penjing_runtime::Model;

use crate::eval::Evaluator;
use crate::samples::Samples;
use crate::side::{BATCH, Side};
use crate::{ConvertError, Lowered};

/// Argmax agreement below this means a broken conversion, not rounding.
const LEAST_ARGMAX_AGREEMENT: f64 = 0.98;

/// What the comparison found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Images compared.
    pub images: usize,
    /// Scores compared.
    pub values: usize,
    /// Scores that are the same (int8: the same integer; f32: within `1e-5` of the largest).
    pub equal: usize,
    /// Largest difference of a score: in steps of the output's grid for int8, relative to the largest score for f32.
    pub max_difference: f64,
    /// Whether differences are in int8 steps.
    pub integers: bool,
    /// Images for which both name the same class.
    pub argmax_equal: usize,
    /// Images that the model file classifies as labelled.
    pub correct_file: usize,
    /// Images that the checkpoint's network classifies as labelled.
    pub correct_checkpoint: usize,
}

impl Agreement {
    /// Fraction of images for which both name the same class.
    #[must_use]
    pub fn argmax_agreement(&self) -> f64 {
        self.argmax_equal as f64 / self.images.max(1) as f64
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.images.max(1) as f64;
        let unit = if self.integers { "int8 steps" } else { "of the largest score" };
        let difference = if self.integers {
            format!("{}", self.max_difference)
        } else {
            format!("{:.1e}", self.max_difference)
        };
        write!(
            f,
            "{} images: argmax agrees on {:.2} %, {:.2} % of {} scores equal, largest difference {difference} {unit}; accuracy {:.4} (file), {:.4} (checkpoint)",
            self.images,
            100.0 * self.argmax_agreement(),
            100.0 * self.equal as f64 / self.values.max(1) as f64,
            self.values,
            self.correct_file as f64 / n,
            self.correct_checkpoint as f64 / n,
        )
    }
}

/// Runs both on the first `limit` images of `split`.
///
/// # Errors
/// Images of another shape than the network's, and whatever opening or running the model answers.
pub fn compare(lowered: &Lowered, split: &Split, limit: usize) -> Result<Agreement, ConvertError> {
    let source = &lowered.source;
    let count = split.len().min(limit);
    let side = Side::of_model(Model::from_bytes(lowered.bytes.clone())?)?;
    let mut file = side.on(&Samples::images(split, count))?;
    let Some(evaluator) = Evaluator::new(source) else {
        return Err(ConvertError::NotAClassifier { found: source.outputs.len() });
    };
    let mut tally = Tally::new(
        lowered
            .integers
            .then(|| lowered.graph.value(lowered.graph.outputs[0]).quantization)
            .flatten(),
    );
    for start in (0..count).step_by(BATCH) {
        let end = (start + BATCH).min(count);
        let scores = file.scores(start..end)?;
        for (i, file) in (start..end).zip(scores.chunks(side.classes())) {
            let label = usize::from(split.labels()[i]);
            tally.add(file, &evaluator.scores(split.image(i)), label);
        }
    }
    Ok(tally.finish())
}

/// [`compare`], and an error if the two are not the same network.
///
/// # Errors
/// As [`compare`]; and if less than 98 % of the images are classified alike, or f32 scores differ by more than a
/// thousandth of the largest.
pub fn verify(lowered: &Lowered, split: &Split, limit: usize) -> Result<Agreement, ConvertError> {
    let agreement = compare(lowered, split, limit)?;
    let too_far = !agreement.integers && agreement.max_difference > 1e-3;
    if too_far || agreement.argmax_agreement() < LEAST_ARGMAX_AGREEMENT {
        return Err(ConvertError::Disagrees { found: agreement.to_string() });
    }
    Ok(agreement)
}

/// Counts agreement image by image.
struct Tally {
    agreement: Agreement,
    grid: Option<QuantParams>,
    largest: f64,
    largest_difference: f64,
}

impl Tally {
    fn new(grid: Option<QuantParams>) -> Self {
        let agreement = Agreement {
            images: 0,
            values: 0,
            equal: 0,
            max_difference: 0.0,
            integers: grid.is_some(),
            argmax_equal: 0,
            correct_file: 0,
            correct_checkpoint: 0,
        };
        Self { agreement, grid, largest: 0.0, largest_difference: 0.0 }
    }

    fn add(&mut self, file: &[f32], checkpoint: &[f32], label: usize) {
        let a = &mut self.agreement;
        a.images += 1;
        a.values += file.len();
        let image_largest = checkpoint.iter().fold(0.0_f64, |m, &v| m.max(f64::from(v.abs())));
        self.largest = self.largest.max(image_largest);
        for (&f, &c) in file.iter().zip(checkpoint) {
            let difference = match self.grid {
                Some(grid) => f64::from(
                    (i32::from(grid.quantize_i8(f)) - i32::from(grid.quantize_i8(c))).abs(),
                ),
                None => f64::from((f - c).abs()),
            };
            let tolerance = if self.grid.is_some() { 0.0 } else { 1e-5 * image_largest };
            a.equal += usize::from(difference <= tolerance);
            self.largest_difference = self.largest_difference.max(difference);
        }
        let (f, c) = (argmax(file), argmax(checkpoint));
        a.argmax_equal += usize::from(f == c);
        a.correct_file += usize::from(f == label);
        a.correct_checkpoint += usize::from(c == label);
    }

    fn finish(mut self) -> Agreement {
        let unit = if self.grid.is_some() { 1.0 } else { self.largest.max(f64::MIN_POSITIVE) };
        self.agreement.max_difference = self.largest_difference / unit;
        self.agreement
    }
}

/// Index of the largest value, the first of several.
#[must_use]
pub fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}
