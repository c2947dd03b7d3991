//! What a run refuses before its first step, and what the message says.

mod support;

use std::path::Path;

use penjing_train::{Job, StageSettings, TrainError, state_path, train};
use support::{SMALL, STRIDED, job, prune, qat, quarters};

fn message(job: &Job) -> String {
    train(job, &quarters(100, [12, 12, 1])).unwrap_err().to_string()
}

fn assert_speaks_of(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{message:?} should speak of {word:?}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let out = Path::new("never-written");
    let base = || job(SMALL, StageSettings::Baseline, None, out);
    type Case<'a> = (fn(&mut Job), &'a [&'a str]);
    let cases: [Case<'_>; 8] = [
        (|j| j.fit.epochs = 0, &["epochs", "positive", "0"]),
        (|j| j.fit.batch = 0, &["batch", "positive", "0"]),
        (|j| j.fit.learning_rate = -1.0, &["learning rate", "-1"]),
        (|j| j.fit.learning_rate = f64::NAN, &["learning rate", "NaN"]),
        (|j| j.fit.validation_split = 1.0, &["validation split", "1"]),
        (|j| j.fit.validation_split = 0.999, &["validation split", "100", "0.999"]),
        (|j| j.stage = qat(), &["from", "baseline or pruned", "nothing"]),
        (
            |j| j.architecture.input = [11, 12, 1],
            &["quarters", "[12, 12, 1]", "expected [11, 12, 1]"],
        ),
    ];
    for (change, words) in cases {
        let mut job = base();
        change(&mut job);
        assert_speaks_of(&message(&job), words);
    }
    assert!(!out.exists() && !state_path(out).exists());
}

#[test]
fn pruning_settings_are_held_against_network_and_run() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("base");
    let data = quarters(100, [12, 12, 1]);
    train(&job(SMALL, StageSettings::Baseline, None, &parent), &data).unwrap();
    let out = dir.path().join("out");
    // 90 training samples in batches of 16 are 6 steps an epoch, 18 in all
    let cases: [(StageSettings, &[&str]); 6] = [
        (prune(0.8, &[("convolution", 0.5)], 10), &["convolution", "conv, dense"]),
        (prune(1.0, &[], 10), &["sparsity", "1"]),
        (prune(0.8, &[("conv", -0.1)], 10), &["conv", "-0.1"]),
        (prune(0.0, &[], 10), &["at least one layer"]),
        (prune(0.8, &[], 19), &["end step", "18", "19"]),
        (prune(0.8, &[], 0), &["begin step", "0"]),
    ];
    for (stage, words) in cases {
        assert_speaks_of(&message(&job(SMALL, stage, Some(&parent), &out)), words);
    }
    let other = job(STRIDED, prune(0.5, &[], 10), Some(&parent), &out);
    let error = train(&other, &quarters(100, [14, 13, 2])).unwrap_err();
    assert!(matches!(error, TrainError::ArchitectureDiffers { .. }), "{error}");
}

#[test]
fn a_qat_checkpoint_is_no_parent() {
    let dir = tempfile::tempdir().unwrap();
    let [base, quantized] = ["base", "qat"].map(|n| dir.path().join(n));
    let data = quarters(100, [12, 12, 1]);
    train(&job(SMALL, StageSettings::Baseline, None, &base), &data).unwrap();
    train(&job(SMALL, qat(), Some(&base), &quantized), &data).unwrap();
    let again = job(SMALL, prune(0.5, &[], 10), Some(&quantized), &base);
    assert_speaks_of(&message(&again), &["qat", "baseline or pruned"]);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(SMALL, StageSettings::Baseline, None, &dir.path().join("out"));
    job.fit.learning_rate = 1e38;
    let error = train(&job, &quarters(100, [12, 12, 1])).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { .. }), "{error}");
    assert!(!job.output.exists());
}

#[test]
fn a_label_beyond_the_network_is_refused() {
    let text = SMALL.replace("units = 4", "units = 3");
    let job = job(&text, StageSettings::Baseline, None, Path::new("never-written"));
    assert_speaks_of(&message(&job), &["quarters", "less than 3"]);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("base");
    let data = quarters(100, [12, 12, 1]);
    train(&job(SMALL, StageSettings::Baseline, None, &parent), &data).unwrap();
    let cases: [(&Path, &str); 3] = [
        (dir.path(), "expected a file,"),
        (&dir.path().join("no/such/folder"), "a folder that exists"),
        (&dir.path().join(".").join("base"), "another file"),
    ];
    for (out, words) in cases {
        let job = job(SMALL, prune(0.5, &[], 10), Some(&parent), out);
        assert_speaks_of(&message(&job), &["output", words]);
    }
}
