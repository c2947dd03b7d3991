//! The JSON manifest of a checkpoint: every fact about the tensors that the tensors do not tell themselves.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Architecture;

/// Version of the manifest that this crate writes and reads.
pub const MANIFEST_VERSION: u32 = 1;

/// The facts of a checkpoint. Field order is the order in the file, so that saving twice gives the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// How far the network has come.
    pub stage: Stage,
    /// The network.
    pub architecture: Architecture,
    /// Axis order of the tensors.
    pub layout: Layout,
    /// Seed of the run that wrote the checkpoint.
    pub seed: u64,
    /// SHA-256 of the checkpoint file that the run started from, in hex.
    pub parent: Option<String>,
    /// What pruning did; stays when quantization-aware training follows.
    pub sparsity: Option<Sparsity>,
    /// How the network is to be quantized; present from stage `qat` on.
    pub quantization: Option<Quantization>,
    /// Settings of the run (epochs, learning rate, ...), for people and for repeating it; nothing reads them back.
    pub recipe: serde_json::Value,
}

/// A stage only adds facts: masks (true zeros), then ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Trained in f32.
    Baseline,
    /// Kernels hold true zeros (+0.0).
    Pruned,
    /// Trained with fake quantization; activation ranges are known. `sparsity` tells whether it was pruned before.
    Qat,
}

impl Stage {
    /// The stage as the manifest spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Pruned => "pruned",
            Self::Qat => "qat",
        }
    }
}

/// Axis order. There is one; it is written down so that a reader need not know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// `NHWC`; flatten is in H, W, C order.
    pub activations: String,
    /// `OHWI`.
    pub conv: String,
    /// `OI`.
    pub dense: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self { activations: "NHWC".into(), conv: "OHWI".into(), dense: "OI".into() }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.activations, self.conv, self.dense)
    }
}

/// What pruning reached, by layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sparsity {
    /// Layers whose kernel was pruned.
    pub layers: BTreeMap<String, LayerSparsity>,
}

/// One pruned kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSparsity {
    /// The fraction asked for.
    pub target: f64,
    /// Number of zeros in the kernel.
    pub zeros: usize,
    /// Number of elements of the kernel.
    pub elements: usize,
}

/// How weights are to be quantized. Activation ranges are tensors, `LAYER.range` = `[min, max]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Bits of weights and activations.
    pub bits: u32,
    /// One scale a tensor or one an output channel, by layer.
    pub weights: BTreeMap<String, Granularity>,
}

/// How many scales a weight tensor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// One.
    PerTensor,
    /// One for each output channel.
    PerChannel,
}

impl Granularity {
    /// Scales of a kernel whose first axis is the output channel: one, or one a channel. Training's fake quantization
    /// and the converter both take them from here.
    ///
    /// `weights` has `channels * k` elements.
    #[must_use]
    pub fn scales(self, weights: &[f32], channels: usize) -> Vec<f32> {
        let max_abs = |w: &[f32]| w.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let mut scales = match self {
            Self::PerTensor => vec![max_abs(weights)],
            Self::PerChannel => {
                weights.chunks(weights.len() / channels.max(1)).map(max_abs).collect()
            }
        };
        penjing_quant::channel_scales(&mut scales);
        scales
    }
}
