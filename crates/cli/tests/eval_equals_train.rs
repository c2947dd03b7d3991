//! The converter's interpreter and training's forward pass are two programs for one network: here they are held against
//! each other, on every stage of networks with the fused pattern and without it.
#![cfg(feature = "train")]

mod support;

use penjing_checkpoint::Checkpoint;
use penjing_convert::{Options, eval::Evaluator, lower_checkpoint};
use penjing_train::Predictor;

use support::{Workplace, penjing};

/// A network that has no fused conv + ReLU + max-pool, uneven strides and padding.
const GENERAL: &str = r#"
name = "general"
input = [12, 12, 1]

[[layers]]
op = "conv2d"
out_channels = 5
kernel = [3, 2]
stride = [2, 1]
padding = "same"
activation = "relu"

[[layers]]
op = "conv2d"
out_channels = 7
kernel = [3, 3]
padding = [0, 1, 1, 0]

[[layers]]
op = "max_pool2d"
window = [3, 3]
stride = [2, 2]

[[layers]]
op = "flatten"

[[layers]]
op = "dense"
units = 9
activation = "relu"

[[layers]]
op = "dense"
units = 4
"#;

#[test]
fn the_converters_interpreter_equals_trainings_forward_pass() {
    for spec in [support::SPEC, GENERAL] {
        let place = Workplace::new(spec);
        let baseline = place.train("baseline", None, "baseline.safetensors");
        let pruned = place.train("prune", Some(&baseline), "pruned.safetensors");
        let qat = place.train("qat", Some(&baseline), "qat.safetensors");
        let pruned_qat = place.train("qat", Some(&pruned), "pruned_qat.safetensors");
        for path in [baseline, pruned, qat, pruned_qat] {
            let checkpoint = Checkpoint::load(&path).unwrap();
            let lowered = lower_checkpoint(&checkpoint, &Options::default()).unwrap();
            let evaluator = Evaluator::new(&lowered.source).unwrap();
            let predictor = Predictor::from_checkpoint(&checkpoint).unwrap();
            let split = place.test_split();
            let scores = predictor.predict(split.images(), split.len()).unwrap();
            let grid = lowered.source.value(lowered.source.outputs[0]).quantization;
            for (i, theirs) in scores.chunks(4).enumerate() {
                let ours = evaluator.scores(split.image(i));
                let largest = ours.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                for (a, b) in ours.iter().zip(theirs) {
                    // sums in another order: a value on the grid may land one step away
                    let limit = grid.map_or(1e-5 * largest, |g| 1.001 * g.scale);
                    assert!((a - b).abs() <= limit, "{}: image {i}: {a} and {b}", path.display());
                }
            }
        }
    }
    let help = penjing(&["--help"]);
    assert!(help.status.success());
}
