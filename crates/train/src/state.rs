//! The side file of a run under way, `CKPT.state`: everything that a killed run needs to go on and end in the same bytes.
//!
//! One safetensors file, replaced atomically, so a kill during a save leaves the save before it. Random streams need no
//! state: they follow from the seed and the step. The finished network is no business of this file: see the checkpoint.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use penjing_checkpoint::write_atomically;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::TrainError;
use crate::metrics::EpochRecord;
use crate::network::Model;
use crate::optimizer::{Adam, AdamState};
use crate::prune::Masks;
use crate::qat::RangeAverage;

/// The one metadata key; see `penjing_checkpoint` for why there is one.
const KEY: &str = "penjing-state";
const VERSION: u32 = 1;

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// Steps taken; with the settings it also tells the pruning step and every random stream.
    pub(crate) step: usize,
    /// Epochs finished.
    pub(crate) epoch: usize,
    /// Samples of the epoch's permutation that were used.
    pub(crate) consumed: usize,
    /// Sum of the losses of those samples.
    pub(crate) loss_sum: f64,
    /// Wall time spent on the epoch so far.
    pub(crate) seconds: f64,
    /// CPU time spent on the epoch so far.
    pub(crate) cpu_seconds: Option<f64>,
}

/// What the file's metadata holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    version: u32,
    /// Recipe, architecture, parent, data and instruction set: a resumed run must have the same.
    identity: Value,
    position: Position,
    adam_steps: u64,
    ranges: Vec<RangeAverage>,
    history: Vec<EpochRecord>,
}

/// The parts of a run that its state holds, lent for saving.
pub(crate) struct Parts<'a> {
    pub(crate) identity: &'a Value,
    pub(crate) position: &'a Position,
    pub(crate) model: &'a Model,
    pub(crate) adam: &'a Adam,
    pub(crate) masks: Option<&'a Masks>,
    pub(crate) ranges: &'a [RangeAverage],
    pub(crate) history: &'a [EpochRecord],
}

/// What a state file gave back; weights and moments went into the model and the optimizer.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) position: Position,
    pub(crate) masks: Vec<Option<Vec<bool>>>,
    pub(crate) ranges: Vec<RangeAverage>,
    pub(crate) history: Vec<EpochRecord>,
}

/// `CKPT.state`.
#[must_use]
pub fn state_path(checkpoint: &Path) -> PathBuf {
    let mut name = OsString::from(checkpoint);
    name.push(".state");
    name.into()
}

/// Replaces the state file.
pub(crate) fn save(path: &Path, parts: &Parts<'_>) -> Result<(), TrainError> {
    let moments = parts.adam.state()?;
    let metadata = Metadata {
        version: VERSION,
        identity: parts.identity.clone(),
        position: parts.position.clone(),
        adam_steps: moments.step,
        ranges: parts.ranges.to_vec(),
        history: parts.history.to_vec(),
    };
    let mut entries: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let variables = parts.model.variables();
    for (i, name) in parts.model.names().iter().enumerate() {
        let kinds = [
            ("value", variables[i].as_tensor()),
            ("m", &moments.first_moments[i]),
            ("v", &moments.second_moments[i]),
        ];
        for (kind, tensor) in kinds {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            entries.push((format!("{name}.{kind}"), Dtype::F32, tensor.dims().to_vec(), bytes));
        }
    }
    let masks = parts.masks.map_or(&[][..], |m| &m.0);
    for (layer, mask) in parts.model.plan.layers.iter().zip(masks) {
        if let Some(mask) = mask {
            let bytes = mask.iter().map(|&keep| u8::from(keep)).collect();
            entries.push((format!("{}.mask", layer.name), Dtype::U8, vec![mask.len()], bytes));
        }
    }
    let failed = |e: &dyn std::fmt::Display| TrainError::StateFile {
        path: path.into(),
        reason: e.to_string(),
    };
    let views = entries
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| failed(&e))?;
    let json = serde_json::to_string(&metadata).map_err(|e| failed(&e))?;
    let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), json)])))
        .map_err(|e| failed(&e))?;
    write_atomically(path, &bytes).map_err(|source| TrainError::Io { path: path.into(), source })
}

/// Reads a state file into the model and the optimizer; `None` where there is no file.
///
/// # Errors
/// [`TrainError::StateDiffers`] where it is another run's, [`TrainError::StateFile`] where it is no state at all.
pub(crate) fn load(
    path: &Path,
    identity: &Value,
    model: &Model,
    adam: &mut Adam,
) -> Result<Option<Restored>, TrainError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TrainError::Io { path: path.into(), source }),
    };
    let wrong = |reason: String| TrainError::StateFile { path: path.into(), reason };
    let file = SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| wrong(e.to_string()))?;
    let json = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let json = json.ok_or_else(|| wrong(format!("no metadata key {KEY}")))?;
    let metadata: Metadata = serde_json::from_str(json).map_err(|e| wrong(e.to_string()))?;
    if metadata.version != VERSION {
        return Err(wrong(format!("version {}, expected {VERSION}", metadata.version)));
    }
    if let Some((field, expected, found)) = difference("", identity, &metadata.identity) {
        return Err(TrainError::StateDiffers { path: path.into(), field, expected, found });
    }
    let tensor = |name: String, shape: &[usize]| read(&file, &name, shape).map_err(&wrong);
    let (mut first_moments, mut second_moments) = (Vec::new(), Vec::new());
    for (name, variable) in model.names().iter().zip(model.variables()) {
        variable.set(&tensor(format!("{name}.value"), variable.dims())?)?;
        first_moments.push(tensor(format!("{name}.m"), variable.dims())?);
        second_moments.push(tensor(format!("{name}.v"), variable.dims())?);
    }
    adam.load_state(&AdamState { step: metadata.adam_steps, first_moments, second_moments })?;
    let layers = &model.plan.layers;
    let mask = |name: &str| file.tensor(&format!("{name}.mask")).ok();
    let masks: Vec<Option<Vec<bool>>> = layers
        .iter()
        .map(|l| mask(&l.name).map(|t| t.data().iter().map(|&b| b != 0).collect()))
        .collect();
    for (layer, mask) in layers.iter().zip(&masks) {
        if mask.as_ref().is_some_and(|m| m.len() != layer.elements()) {
            return Err(wrong(format!("the mask of {:?} does not fit its weights", layer.name)));
        }
    }
    let Metadata { position, ranges, history, .. } = metadata;
    Ok(Some(Restored { position, masks, ranges, history }))
}

fn read(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Tensor, String> {
    let view = file.tensor(name).map_err(|e| format!("{name}: {e}"))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        let (dtype, found) = (view.dtype(), view.shape());
        return Err(format!("{name}: expected F32 {shape:?}, found {dtype:?} {found:?}"));
    }
    let (chunks, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|c| f32::from_le_bytes(*c)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).map_err(|e| format!("{name}: {e}"))
}

/// The first field that differs, by its path, with this run's value and the file's.
pub(crate) fn difference(
    path: &str,
    expected: &Value,
    found: &Value,
) -> Option<(String, String, String)> {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
            keys.into_iter().find_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let get = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(Value::Null)
                };
                difference(&path, &get(a), &get(b))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| difference(&format!("{path}[{i}]"), a, b)),
        _ if expected == found => None,
        _ => Some((path.to_owned(), expected.to_string(), found.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_state_lies_beside_the_checkpoint() {
        assert_eq!(state_path(Path::new("a/b.safetensors")), Path::new("a/b.safetensors.state"));
    }

    #[test]
    fn a_difference_is_named_by_its_path() {
        let ours = json!({"recipe": {"fit": {"batch": 32, "seed": 1}}, "parent": null});
        assert_eq!(difference("", &ours, &ours.clone()), None);
        let mut theirs = ours.clone();
        theirs["recipe"]["fit"]["seed"] = json!(2);
        let want = ("recipe.fit.seed".to_owned(), "1".to_owned(), "2".to_owned());
        assert_eq!(difference("", &ours, &theirs), Some(want));
        let (field, _, found) = difference("", &ours, &json!({})).unwrap();
        assert_eq!((field.as_str(), found.as_str()), ("recipe", "null"));
    }
}
