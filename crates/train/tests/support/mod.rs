//! Made-up data and jobs for the integration tests; no assertion lives here.
#![allow(dead_code)] // each test file uses a part

use std::path::Path;

use penjing_checkpoint::{Checkpoint, Granularity};
use penjing_dataset::Split;
use penjing_train::{
    FitSettings, Job, LearningRateSchedule, Parent, PruneSettings, QatSettings, SparsitySchedule,
    StageSettings, Verbosity, parse_spec,
};

/// Images of `shape` in four classes: noise, with one bright quarter that tells the class. Never the same twice in a run.
pub(crate) fn quarters(count: usize, shape: [usize; 3]) -> Split {
    let [h, w, c] = shape;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let class = (next() % 4) as u8;
        for y in 0..h {
            for x in 0..w {
                let quarter = 2 * u8::from(2 * y >= h) + u8::from(2 * x >= w);
                for _ in 0..c {
                    let noise = (next() % 100) as u8;
                    images.push(if quarter == class { 100 + noise } else { noise });
                }
            }
        }
        labels.push(class);
    }
    Split::from_memory("quarters", images, labels, shape).unwrap()
}

/// Convolution, fused pool, dense: the article's pattern on 12 x 12 images.
pub(crate) const SMALL: &str = r#"
name = "small"
input = [12, 12, 1]
[[layers]]
op = "conv2d"
name = "conv"
out_channels = 5
kernel = [3, 3]
activation = "relu"
[[layers]]
op = "max_pool2d"
window = [2, 2]
[[layers]]
op = "flatten"
[[layers]]
op = "dense"
name = "dense"
units = 4
"#;

/// Another network: two convolutions with same padding, stride 2 and an overlapping pool between them.
pub(crate) const STRIDED: &str = r#"
name = "strided"
input = [14, 13, 2]
[[layers]]
op = "conv2d"
name = "first"
out_channels = 6
kernel = [3, 3]
stride = [2, 2]
padding = "same"
activation = "relu"
[[layers]]
op = "max_pool2d"
window = [3, 3]
stride = [2, 2]
padding = "same"
[[layers]]
op = "conv2d"
name = "second"
out_channels = 7
kernel = [3, 2]
stride = [2, 1]
padding = "same"
[[layers]]
op = "flatten"
[[layers]]
op = "dense"
name = "hidden"
units = 9
activation = "relu"
[[layers]]
op = "dense"
name = "scores"
units = 4
"#;

/// A job of a few quick epochs that writes `output`.
pub(crate) fn job(spec: &str, stage: StageSettings, parent: Option<&Path>, output: &Path) -> Job {
    Job {
        architecture: parse_spec(spec, Path::new("spec.toml")).unwrap(),
        fit: FitSettings {
            epochs: 3,
            batch: 16,
            learning_rate: 5e-3,
            schedule: LearningRateSchedule::Cosine,
            validation_split: 0.1,
            augment_shift: 1,
            seed: 7,
        },
        stage,
        parent: parent.map(|p| Parent::load(p).unwrap()),
        output: output.into(),
        save_every: 0,
        resume: false,
        verbosity: Verbosity::Quiet,
    }
}

/// Pruning to `sparsity` whose last mask comes at `end_step`.
pub(crate) fn prune(sparsity: f64, layers: &[(&str, f64)], end_step: usize) -> StageSettings {
    StageSettings::Prune(PruneSettings {
        sparsity,
        layers: layers.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect(),
        schedule: SparsitySchedule::Polynomial { initial: 0.5, power: 3.0 },
        begin_step: 0,
        end_step,
        frequency: 10,
    })
}

/// The default quantization.
pub(crate) fn qat() -> StageSettings {
    StageSettings::Qat(QatSettings {
        conv: Granularity::PerChannel,
        dense: Granularity::PerTensor,
        range_decay: 0.999,
    })
}

/// The values of a tensor of a checkpoint file.
pub(crate) fn tensor(path: &Path, layer: &str, kind: &str) -> Vec<f32> {
    Checkpoint::load(path).unwrap().tensor(layer, kind).data.clone()
}
