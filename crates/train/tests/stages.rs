//! The three stages from end to end on made-up data: what their checkpoints promise. Kills and resumption are tested with
//! the command, in the cli crate.

mod support;

use penjing_checkpoint::{Checkpoint, Granularity, Stage};
use penjing_quant::ActivationRange;
use penjing_train::{LearningRateSchedule, Predictor, StageSettings, metrics_path, train};
use support::{SMALL, STRIDED, job, prune, qat, quarters, tensor};

fn zeros(values: &[f32]) -> usize {
    values.iter().filter(|v| **v == 0.0).count()
}

#[test]
fn baseline_pruned_and_qat_keep_their_promises() {
    let dir = tempfile::tempdir().unwrap();
    let [base, pruned, quantized] =
        ["base", "pruned", "qat"].map(|n| dir.path().join(n).with_extension("safetensors"));
    let data = quarters(640, [12, 12, 1]);

    let outcome = train(&job(SMALL, StageSettings::Baseline, None, &base), &data).unwrap();
    let last = outcome.history.last().unwrap();
    assert_eq!((outcome.history.len(), last.epoch, last.step), (3, 3, 108));
    assert!(last.validation_accuracy.unwrap() > 0.9, "{last:?}");
    assert_eq!(zeros(&tensor(&base, "conv", "weight")), 0);

    // the last mask at the very end: the exact count must hold all the same
    let stage = prune(0.8, &[("conv", 0.4)], 108);
    let outcome = train(&job(SMALL, stage, Some(&base), &pruned), &data).unwrap();
    assert!(outcome.history[2].sparsity.unwrap() > outcome.history[0].sparsity.unwrap());
    let found = Checkpoint::load(&pruned).unwrap();
    assert_eq!(found.manifest.stage, Stage::Pruned);
    for (layer, elements, want) in [("conv", 45, 18), ("dense", 500, 400)] {
        let weights = &found.tensor(layer, "weight").data;
        assert_eq!((weights.len(), zeros(weights)), (elements, want), "{layer}");
        assert!(weights.iter().all(|w| *w != 0.0 || w.to_bits() == 0), "{layer} has a -0.0");
        assert_eq!(zeros(&found.tensor(layer, "bias").data), 0, "biases are never pruned");
        let facts = &found.manifest.sparsity.as_ref().unwrap().layers[layer];
        assert_eq!((facts.zeros, facts.elements), (want, elements));
    }

    train(&job(SMALL, qat(), Some(&pruned), &quantized), &data).unwrap();
    let after = Checkpoint::load(&quantized).unwrap();
    assert_eq!(after.manifest.stage, Stage::Qat);
    assert_eq!(after.manifest.sparsity, found.manifest.sparsity);
    let granularity = &after.manifest.quantization.as_ref().unwrap().weights;
    assert_eq!(granularity["conv"], Granularity::PerChannel);
    assert_eq!(granularity["dense"], Granularity::PerTensor);
    let mut moved = 0;
    for layer in ["conv", "dense"] {
        let before = &found.tensor(layer, "weight").data;
        for (a, b) in before.iter().zip(&after.tensor(layer, "weight").data) {
            assert!(*a != 0.0 || b.to_bits() == 0, "{layer}: a pruned weight came back as {b}");
            moved += usize::from(a != b);
        }
    }
    assert!(moved > 100, "fine-tuning moved {moved} weights");
    let range = &after.tensor("conv", "range").data;
    assert!(range[0] >= 0.0 && range[1] > range[0], "after ReLU: {range:?}");
}

#[test]
fn another_network_trains_through_all_stages() {
    let dir = tempfile::tempdir().unwrap();
    let [base, pruned, quantized] = ["a", "b", "c"].map(|n| dir.path().join(n));
    let data = quarters(640, [14, 13, 2]);
    let outcome = train(&job(STRIDED, StageSettings::Baseline, None, &base), &data).unwrap();
    let h = &outcome.history;
    assert!(h[2].loss < 0.5 * h[0].loss, "{h:?}");
    assert!(h[2].validation_accuracy.unwrap() > 0.9, "{h:?}");
    let stage = prune(0.5, &[("scores", 0.0)], 60);
    train(&job(STRIDED, stage, Some(&base), &pruned), &data).unwrap();
    assert_eq!(zeros(&tensor(&pruned, "second", "weight")), 126);
    assert_eq!(zeros(&tensor(&pruned, "scores", "weight")), 0);
    let outcome = train(&job(STRIDED, qat(), Some(&pruned), &quantized), &data).unwrap();
    assert!(outcome.history[2].validation_accuracy.unwrap() > 0.9, "{:?}", outcome.history);
    // the second convolution has no ReLU: its range has both signs
    let range = tensor(&quantized, "second", "range");
    assert!(range[0] < 0.0 && range[1] > 0.0, "{range:?}");
}

#[test]
fn a_qat_checkpoint_predicts_on_the_int8_grid() {
    let dir = tempfile::tempdir().unwrap();
    let [base, quantized] = ["a", "b"].map(|n| dir.path().join(n));
    let data = quarters(320, [12, 12, 1]);
    train(&job(SMALL, StageSettings::Baseline, None, &base), &data).unwrap();
    train(&job(SMALL, qat(), Some(&base), &quantized), &data).unwrap();
    let checkpoint = Checkpoint::load(&quantized).unwrap();
    let predictor = Predictor::from_checkpoint(&checkpoint).unwrap();
    let scores = predictor.predict(data.images(), data.len()).unwrap();
    let range = &checkpoint.tensor("dense", "range").data;
    let params = ActivationRange { min: range[0], max: range[1] }.params_i8();
    assert!(scores.iter().all(|&s| params.dequantize(i32::from(params.quantize_i8(s))) == s));
    assert!(scores.iter().any(|&s| s != scores[0]));
    // one image at a time gives the same scores
    for i in [0, 31, 32, 319] {
        let alone = predictor.predict(data.image(i), 1).unwrap();
        assert_eq!(alone, scores[4 * i..4 * i + 4], "image {i}");
    }
    let wrong = predictor.predict(&data.images()[1..], data.len()).unwrap_err().to_string();
    assert_eq!(wrong, "expected 46080 pixels (320 images), found 46079");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = quarters(200, [12, 12, 1]);
    let bytes = |name: &str, seed: u64| {
        let path = dir.path().join(name);
        let mut job = job(SMALL, StageSettings::Baseline, None, &path);
        job.fit.seed = seed;
        // saving the training state must not touch the result
        job.save_every = seed as usize;
        train(&job, &data).unwrap();
        std::fs::read(path).unwrap()
    };
    let first = bytes("a", 3);
    assert_eq!(first, bytes("b", 3));
    assert_ne!(first, bytes("c", 4));
}

#[test]
fn metrics_hold_one_line_an_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let mut job = job(SMALL, StageSettings::Baseline, None, &path);
    job.fit.schedule = LearningRateSchedule::Constant;
    let outcome = train(&job, &quarters(100, [12, 12, 1])).unwrap();
    let text = std::fs::read_to_string(metrics_path(&path)).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for (line, record) in lines.iter().zip(&outcome.history) {
        assert_eq!(line["epoch"], record.epoch);
        assert_eq!(line["loss"], record.loss);
        assert_eq!(line["learning_rate"], 5e-3);
    }
}
