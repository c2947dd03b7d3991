//! What `bench` and `compare` run models on: images of a folder, tensors of a safetensors file, or noise. Models are opened
//! elsewhere.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use penjing_convert::samples::{Samples, same_image};
use penjing_dataset::{Split, Which, open_split};
use penjing_format::ModelView;

use crate::tensors;

/// The folder that is looked into where none is named.
const FOLDER: &str = "data";

/// Seed of the noise.
const SEED: u64 = 0;

/// Elements of noise that are made at most: a gigabyte of reals.
const MOST: usize = 1 << 28;

fn noise(model: &ModelView<'_>, count: usize) -> Result<Samples<'static>> {
    let mut elements = 0_usize;
    for input in 0..model.n_inputs() {
        elements = elements.saturating_add(model.input_type(input)?.shape.elements().unwrap_or(0));
    }
    let most = MOST / elements.max(1);
    ensure!(count <= most, "--images: expected at most {most} samples of noise, found {count}");
    Ok(Samples::noise(model, count, SEED))
}

/// Where samples come from.
pub(crate) enum Source {
    /// The test images of a folder, and its name.
    Images(Split, String),
    /// Tensors of a file, and its name.
    Tensors(Samples<'static>, String),
    /// Noise, by the model's inputs.
    Noise,
}

impl Source {
    /// What `--data` names: a folder of IDX files, or a safetensors file with what `model` takes. Where nothing is named: the
    /// test images in `data`, if there are any and `inputs`, the dimensions of the inputs' samples, are one such image;
    /// otherwise noise.
    pub(crate) fn open(
        data: Option<&Path>,
        model: Option<&ModelView<'_>>,
        inputs: &[Vec<usize>],
    ) -> Result<Self> {
        let images = |path: &Path| -> Result<Self> {
            let split = open_split(path, Which::Test)?;
            ensure!(!split.is_empty(), "{}: no test images", path.display());
            Ok(Self::Images(split, path.display().to_string()))
        };
        let Some(path) = data else {
            let one = matches!(inputs, [dims] if (2..=3).contains(&dims.len()));
            let folder = Path::new(FOLDER);
            if model.is_none() {
                return images(folder);
            }
            if !one || !folder.is_dir() {
                return Ok(Self::Noise);
            }
            let found = images(folder)?;
            let fits =
                matches!(&found, Self::Images(split, _) if same_image(&inputs[0], split.shape()));
            return Ok(if fits { found } else { Self::Noise });
        };
        match model {
            Some(model) if path.is_file() => {
                let samples = tensors::samples(path, model)?;
                ensure!(!samples.is_empty(), "{}: no samples", path.display());
                Ok(Self::Tensors(samples, path.display().to_string()))
            }
            _ => images(path),
        }
    }

    /// At most `count` samples; of noise, as many. A checkpoint, which is no model, runs on images only.
    pub(crate) fn samples(
        &self,
        model: Option<&ModelView<'_>>,
        count: usize,
    ) -> Result<Samples<'_>> {
        Ok(match self {
            Self::Images(split, _) => Samples::images(split, count),
            Self::Tensors(samples, _) => samples.first(count),
            Self::Noise => noise(model.context("noise: expected a model")?, count)?,
        })
    }

    /// How many there are; of noise, as many as are asked for.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::Images(split, _) => Some(split.len()),
            Self::Tensors(samples, _) => Some(samples.len()),
            Self::Noise => None,
        }
    }

    /// For people and `--json`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Images(_, name) => format!("test images of {name}"),
            Self::Tensors(_, name) => format!("tensors of {name}"),
            Self::Noise => format!("noise of seed {SEED}"),
        }
    }
}
