//! The reference models of MLPerf Tiny in Penjing and in LiteRT, one after the other again and again on the same inputs, one
//! sample a call on one thread. The models lie in the shared folder, and Penjing runs what `penjing convert` makes of them. It
//! measures; `bars` judges.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::litert::LiteRt;
use super::record::{Foreign, Span};
use crate::child::{Penjing, json};
use crate::progress::Progress;

/// Name, type and file without its end.
const MODELS: [(&str, &str, &str); 6] = [
    ("KWS, DS-CNN", "int8", "kws_ref_model"),
    ("KWS, DS-CNN", "f32", "kws_ref_model_float32"),
    ("AD, autoencoder", "int8", "ad01_int8"),
    ("AD, autoencoder", "f32", "ad01_fp32"),
    ("IC, ResNet-8", "int8", "pretrainedResnet_quant"),
    ("IC, ResNet-8", "f32", "pretrainedResnet"),
];

/// Samples of a pass: short, so that many a pass is left alone by what else the machine does. No golden has fewer.
const SAMPLES: usize = 16;

/// Passes of a process for each that the article's network gets, whose passes are of many more images.
const PASSES: usize = 8;

/// What both programs tell of a process.
#[derive(Clone, Debug, Deserialize)]
struct Timing {
    us_per_image_min: f64,
    us_per_image_p10: f64,
    us_per_image_median: f64,
    us_per_image_invoke_min: f64,
}

/// A model in both formats, and its inputs.
struct Model {
    theirs: PathBuf,
    ours: PathBuf,
    inputs: PathBuf,
}

/// Alternates for so many rounds.
///
/// # Errors
/// Where the shared folder lacks a model; what converting and running answer.
pub(super) fn measure(
    (penjing, litert): (&Penjing, &LiteRt),
    folder: &Path,
    (rounds, repeats): (usize, usize),
    progress: &Progress,
) -> Result<Vec<Foreign>> {
    let folder = folder.join("interop");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let models = MODELS.map(|(_, _, file)| convert(penjing, litert, &folder, file));
    let models = models.into_iter().collect::<Result<Vec<_>>>()?;
    let mut timings: Vec<(Vec<Timing>, Vec<Timing>)> = vec![Default::default(); models.len()];
    for round in 1..=rounds {
        let step = progress.step();
        for (model, (theirs, ours)) in models.iter().zip(&mut timings) {
            let passes = PASSES * repeats;
            theirs.push(litert.time_inputs(&model.theirs, &model.inputs, [SAMPLES, passes])?);
            ours.push(time(penjing, model, passes)?);
        }
        step.done(&format!("MLPerf Tiny, round {round} of {rounds}"));
    }
    let rows = MODELS.iter().zip(&models).zip(&timings);
    rows.map(|((&(name, dtype, _), model), (theirs, ours))| {
        Ok(Foreign {
            name: name.to_owned(),
            dtype: dtype.to_owned(),
            bytes: [size(&model.ours)?, size(&model.theirs)?],
            ours: span(ours),
            theirs: span(theirs),
        })
    })
    .collect()
}

fn convert(penjing: &Penjing, litert: &LiteRt, folder: &Path, file: &str) -> Result<Model> {
    let theirs = litert.interop(&format!("{file}.tflite"))?;
    let inputs = litert.interop(&format!("{file}.golden.safetensors"))?;
    let ours = folder.join(format!("{file}.pnj"));
    let args = ["convert".as_ref(), theirs.as_os_str(), "-o".as_ref(), ours.as_os_str()];
    penjing.run(&args)?;
    Ok(Model { theirs, ours, inputs })
}

fn time(penjing: &Penjing, model: &Model, passes: usize) -> Result<Timing> {
    let args: [&OsStr; 5] = [
        "bench".as_ref(),
        model.ours.as_os_str(),
        "--json".as_ref(),
        "--data".as_ref(),
        model.inputs.as_os_str(),
    ];
    let mut command = penjing.command(&args);
    command.args(["--batch", "1", "--threads", "1"]);
    let numbers = [("--images", SAMPLES), ("--repeats", passes)];
    for (flag, value) in numbers {
        command.args([flag, &*value.to_string()]);
    }
    json(&mut command)
}

fn size(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.len())
}

fn span(rounds: &[Timing]) -> Span {
    let least = |of: fn(&Timing) -> f64| rounds.iter().map(of).fold(f64::INFINITY, f64::min);
    let median = |of: fn(&Timing) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
    };
    Span {
        min: least(|t| t.us_per_image_min),
        p10: median(|t| t.us_per_image_p10),
        median: median(|t| t.us_per_image_median),
        invoke_min: least(|t| t.us_per_image_invoke_min),
    }
}

impl LiteRt {
    /// A file of the shared folder `interop`.
    fn interop(&self, file: &str) -> Result<PathBuf> {
        let path = self.shared().join("interop").join(file);
        ensure!(
            path.is_file(),
            "{}: missing; PENJING_SHARED names the folder that holds interop/, the reference models of MLPerf Tiny with inputs \
             for each as NAME.golden.safetensors, tensor `input`",
            path.display()
        );
        Ok(path)
    }

    /// Times a model on samples of a file; `[samples, passes]`.
    fn time_inputs(
        &self,
        model: &Path,
        inputs: &Path,
        [samples, passes]: [usize; 2],
    ) -> Result<Timing> {
        let mut command = self.python();
        command.arg(self.script("litert_interop.py")).arg(model).arg(inputs);
        command.args([samples.to_string(), passes.to_string()]);
        json(&mut command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minima_are_of_all_rounds_and_the_rest_medians_over_them() {
        let timing = |min: f64| Timing {
            us_per_image_min: min,
            us_per_image_p10: 2.0 * min,
            us_per_image_median: 3.0 * min,
            us_per_image_invoke_min: 0.5 * min,
        };
        let found = span(&[timing(4.0), timing(1.0), timing(2.0)]);
        assert_eq!(found, Span { min: 1.0, p10: 4.0, median: 6.0, invoke_min: 0.5 });
        assert_eq!(span(&[timing(4.0), timing(2.0)]).p10, 6.0);
    }
}
