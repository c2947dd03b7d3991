//! Loading and saving a checkpoint: safetensors plus the manifest. What the tensors mean is in `manifest`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::{
    CheckpointError, Layout, MANIFEST_VERSION, Manifest, Network, Stage, write_atomically,
};

/// The one metadata key: safetensors keeps metadata in a hash map, so a second key would make the bytes vary.
const KEY: &str = "penjing";

/// An f32 tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// As many values as the shape says.
    pub data: Vec<f32>,
}

/// A network with its weights.
///
/// Tensors are named `LAYER.weight` and `LAYER.bias`; from stage `qat` on every weighted layer also has `LAYER.range`,
/// `[min, max]` of its output after the activation.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The facts.
    pub manifest: Manifest,
    /// The tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// The bytes of the file; the same checkpoint always gives the same bytes.
    ///
    /// # Errors
    /// If a tensor's data does not match its shape.
    pub fn to_bytes(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let json = serde_json::to_string(&self.manifest).expect("a manifest is plain data");
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        let bytes: Vec<(&String, &Tensor, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, t)| (name, t, t.data.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let views = bytes
            .iter()
            .map(|(name, t, b)| Ok((*name, TensorView::new(Dtype::F32, t.shape.clone(), b)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        safetensors::serialize(views, Some(metadata))
    }

    /// Writes the file, by way of a temporary one.
    ///
    /// # Errors
    /// I/O errors, with the path.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let bytes = self
            .to_bytes()
            .map_err(|source| CheckpointError::Safetensors { path: path.into(), source })?;
        write_atomically(path, &bytes)
            .map_err(|source| CheckpointError::Io { path: path.into(), source })
    }

    /// Reads and checks a file: the manifest's version, the architecture's shapes, every tensor's dtype, shape and
    /// values.
    ///
    /// # Errors
    /// Names the file, the field, what was expected and what was found.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        Ok(Self::load_with_hash(path)?.0)
    }

    /// [`Self::load`], and the SHA-256 of the file in hex: what a child's `parent` holds.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with_hash(path: &Path) -> Result<(Self, String), CheckpointError> {
        let bytes = std::fs::read(path)
            .map_err(|source| CheckpointError::Io { path: path.into(), source })?;
        let hash = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        Ok((Self::from_bytes(&bytes, path)?, hash))
    }

    /// Reads and checks the bytes of a file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let not_ours = |source| CheckpointError::Safetensors { path: path.into(), source };
        let file = SafeTensors::deserialize(bytes).map_err(not_ours)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(not_ours)?;
        let json = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or_else(|| CheckpointError::NoManifest { path: path.into() })?;
        let manifest = parse_manifest(json, path)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            tensors.insert(name.to_owned(), read_tensor(name, &view, path)?);
        }
        let checkpoint = Self { manifest, tensors };
        checkpoint.check(path)?;
        Ok(checkpoint)
    }

    /// The network with its shapes.
    ///
    /// # Panics
    /// Never for a checkpoint that was loaded: its architecture was resolved then.
    #[must_use]
    pub fn network(&self) -> Network {
        self.manifest.architecture.resolve().expect("a loaded checkpoint has a valid architecture")
    }

    /// `LAYER.KIND`, for instance `conv.weight`.
    ///
    /// # Panics
    /// If there is no such tensor; a loaded checkpoint has all that its stage asks for.
    #[must_use]
    pub fn tensor(&self, layer: &str, kind: &str) -> &Tensor {
        let name = format!("{layer}.{kind}");
        self.tensors.get(&name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    fn check(&self, path: &Path) -> Result<(), CheckpointError> {
        let network = self.manifest.architecture.resolve().map_err(|e| {
            CheckpointError::Architecture { path: path.into(), source: Box::new(e) }
        })?;
        let mut expected = BTreeMap::new();
        for layer in network.weighted() {
            let weight = layer.weight_shape().expect("weighted() yields layers with weights");
            expected.insert(format!("{}.bias", layer.name), vec![weight[0]]);
            expected.insert(format!("{}.weight", layer.name), weight);
            if self.manifest.stage == Stage::Qat {
                expected.insert(format!("{}.range", layer.name), vec![2]);
            }
        }
        for (name, shape) in &expected {
            match self.tensors.get(name) {
                None => {
                    return Err(CheckpointError::MissingTensor {
                        path: path.into(),
                        name: name.clone(),
                    });
                }
                Some(t) if t.shape != *shape => {
                    return Err(CheckpointError::Shape {
                        path: path.into(),
                        name: name.clone(),
                        expected: shape.clone(),
                        found: t.shape.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        if let Some(name) = self.tensors.keys().find(|n| !expected.contains_key(*n)) {
            return Err(CheckpointError::UnknownTensor { path: path.into(), name: name.clone() });
        }
        self.check_stage(&network, path)
    }

    /// The facts that the stage promises are there and name layers that exist.
    fn check_stage(&self, network: &Network, path: &Path) -> Result<(), CheckpointError> {
        let m = &self.manifest;
        let wrong = |found: String| {
            Err(CheckpointError::Stage { path: path.into(), stage: m.stage.name(), found })
        };
        if (m.stage == Stage::Qat) != m.quantization.is_some() {
            return wrong(format!("quantization present: {}", m.quantization.is_some()));
        }
        if m.stage == Stage::Pruned && m.sparsity.is_none() {
            return wrong("no sparsity".into());
        }
        let weighted = |name: &str| network.weighted().any(|l| l.name == name);
        if let Some(s) = &m.sparsity {
            for (name, layer) in &s.layers {
                if !weighted(name) {
                    return wrong(format!("sparsity of {name:?}, which is no layer with weights"));
                }
                let weights = &self.tensor(name, "weight").data;
                let zeros = weights.iter().filter(|w| **w == 0.0).count();
                if layer.elements != weights.len() || zeros < layer.zeros {
                    return wrong(format!(
                        "sparsity of {name:?} claims {} zeros of {}, the kernel has {zeros} of {}",
                        layer.zeros,
                        layer.elements,
                        weights.len()
                    ));
                }
            }
        }
        if let Some(q) = &m.quantization {
            if q.bits != 8 {
                return wrong(format!("quantization to {} bits, expected 8", q.bits));
            }
            if let Some(l) = network.weighted().find(|l| !q.weights.contains_key(&l.name)) {
                return wrong(format!("no weight quantization for layer {:?}", l.name));
            }
            if let Some(name) = q.weights.keys().find(|n| !weighted(n)) {
                return wrong(format!("quantization of {name:?}, which is no layer with weights"));
            }
            for l in network.weighted() {
                let r = &self.tensor(&l.name, "range").data;
                if r[0] > r[1] {
                    let name = format!("{}.range", l.name);
                    return Err(CheckpointError::Range {
                        path: path.into(),
                        name,
                        min: r[0],
                        max: r[1],
                    });
                }
            }
        }
        Ok(())
    }
}

fn parse_manifest(json: &str, path: &Path) -> Result<Manifest, CheckpointError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let bad = |source| CheckpointError::Manifest { path: path.into(), source };
    // the version first: a newer manifest should say so and not fail over a field it added
    let Version { version } = serde_json::from_str(json).map_err(bad)?;
    if version != MANIFEST_VERSION {
        let path = path.into();
        return Err(CheckpointError::Version { path, expected: MANIFEST_VERSION, found: version });
    }
    let manifest: Manifest = serde_json::from_str(json).map_err(bad)?;
    if manifest.layout != Layout::default() {
        return Err(CheckpointError::Layout {
            path: path.into(),
            expected: Layout::default().to_string(),
            found: manifest.layout.to_string(),
        });
    }
    Ok(manifest)
}

fn read_tensor(name: &str, view: &TensorView<'_>, path: &Path) -> Result<Tensor, CheckpointError> {
    if view.dtype() != Dtype::F32 {
        return Err(CheckpointError::Dtype {
            path: path.into(),
            name: name.to_owned(),
            found: format!("{:?}", view.dtype()),
        });
    }
    let (chunks, _) = view.data().as_chunks::<4>();
    let data: Vec<f32> = chunks.iter().map(|c| f32::from_le_bytes(*c)).collect();
    if let Some(index) = data.iter().position(|v| !v.is_finite()) {
        let (name, found) = (name.to_owned(), data[index]);
        return Err(CheckpointError::NotFinite { path: path.into(), name, index, found });
    }
    Ok(Tensor { shape: view.shape().to_vec(), data })
}
