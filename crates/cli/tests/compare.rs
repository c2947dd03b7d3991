//! `penjing compare` as a user runs it: a file beside itself, beside its checkpoint, beside another network, and what does
//! not compare.
#![cfg(feature = "train")]

mod support;

use std::path::{Path, PathBuf};

use penjing_checkpoint::{Checkpoint, Layer, Tensor};
use serde_json::{Value, json};
use support::{Workplace, penjing, stderr, stdout};

/// A workplace with `baseline` and `qat`, each as a checkpoint and as a model.
fn place() -> Workplace {
    let place = Workplace::new(support::SPEC);
    let baseline = place.train("baseline", None, "baseline.safetensors");
    place.train("qat", Some(&baseline), "qat.safetensors");
    for name in ["baseline", "qat"] {
        let (from, to) = (format!("{name}.safetensors"), format!("{name}.pnj"));
        let words = ["convert".into(), "--no-check".into(), "--names".into(), place.path(&from)];
        let done = penjing(&[&words[..], &["-o".into(), place.path(&to)]].concat());
        assert!(done.status.success(), "{}", stderr(&done));
    }
    place
}

fn compare(place: &Workplace, a: &str, b: &str, more: &[&str]) -> std::process::Output {
    let mut args: Vec<PathBuf> = vec!["compare".into(), place.path(a), place.path(b)];
    args.extend(["--data".into(), place.data()]);
    args.extend(more.iter().map(PathBuf::from));
    penjing(&args)
}

fn text(place: &Workplace, a: &str, b: &str, more: &[&str]) -> String {
    let done = compare(place, a, b, more);
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

fn report(place: &Workplace, a: &str, b: &str, more: &[&str]) -> Value {
    serde_json::from_str(&text(place, a, b, &[more, &["--json"]].concat())).unwrap()
}

fn ops(report: &Value) -> Vec<&str> {
    report["layers"].as_array().unwrap().iter().map(|l| l["op"].as_str().unwrap()).collect()
}

#[test]
fn files_are_compared_with_themselves_and_with_what_they_came_from() {
    let place = place();
    for name in ["baseline.safetensors", "baseline.pnj", "qat.safetensors", "qat.pnj"] {
        equals_itself(&place, name);
    }
    for (name, decibel) in [("baseline", 100.0), ("qat", 25.0)] {
        is_close_to_its_checkpoint(&place, name, decibel);
    }
    reals_beside_integers(&place);
    limits_are_kept(&place);
}

fn equals_itself(place: &Workplace, name: &str) {
    let itself = report(place, name, name, &[]);
    assert_eq!(itself["a"], itself["b"]);
    assert_eq!((&itself["size_ratio"], &itself["layer_images"]), (&json!(1.0), &json!(64)));
    assert_eq!(itself["agreement"]["agreed"], 200);
    assert_eq!(itself["agreement"]["share"], 1.0);
    assert_eq!(itself["agreement"]["disagreements"], json!([]));
    let equal = json!({"sqnr_db": null, "equal": true, "max_difference": 0.0});
    assert_eq!(itself["scores"], equal);
    assert_eq!(ops(&itself), ["conv2d", "max_pool2d", "fully_connected"], "{itself}");
    for layer in itself["layers"].as_array().unwrap() {
        assert_eq!(layer["a"], layer["b"]);
        for (field, expected) in equal.as_object().unwrap() {
            assert_eq!(&layer[field], expected, "{field} of {layer}");
        }
    }
    assert_eq!(itself["unmatched"], json!({"a": [], "b": []}));
    assert_eq!(itself["worst"], json!([]));

    let text = text(place, name, name, &[]);
    for words in ["size of B: 1.00x", "200 of 200 images (100.00 %)", "no image's scores differ"] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert_eq!(text.matches(" equal ").count(), 4, "three layers and the scores: {text}");
}

fn is_close_to_its_checkpoint(place: &Workplace, name: &str, decibel: f64) {
    let (checkpoint, model) = (format!("{name}.safetensors"), format!("{name}.pnj"));
    let found = report(place, &checkpoint, &model, &[]);
    let bytes = |file: &str| std::fs::metadata(place.path(file)).unwrap().len();
    assert_eq!(found["a"]["file"], checkpoint);
    assert_eq!(
        (&found["a"]["bytes"], &found["b"]["bytes"]),
        (&json!(bytes(&checkpoint)), &json!(bytes(&model)))
    );
    let ratio = bytes(&checkpoint) as f64 / bytes(&model) as f64;
    assert!((found["size_ratio"].as_f64().unwrap() - ratio).abs() < 1e-12, "{found}");
    for side in ["a", "b"] {
        let counted = &found[side];
        assert_eq!(counted["parameters"], 6 * 9 + 6 + 4 * 150 + 4);
        assert!(counted["nnz"].as_u64().unwrap() <= 664, "{counted}");
        let done = penjing(&[
            "eval".into(),
            "--json".into(),
            place.path(counted["file"].as_str().unwrap()),
            "--data".into(),
            place.data(),
        ]);
        let eval: Value = serde_json::from_str(&stdout(&done)).unwrap();
        // a checkpoint's sums are in another order there: one image may differ
        let (ours, theirs) = (counted["accuracy"].as_f64(), eval["accuracy"].as_f64());
        assert!((ours.unwrap() - theirs.unwrap()).abs() < 0.0051, "{counted} and {eval}");
    }
    assert!(found["agreement"]["share"].as_f64().unwrap() >= 0.98, "{found}");
    assert_eq!(ops(&found), ["conv2d", "max_pool2d", "fully_connected"], "{found}");
    assert_eq!(found["layers"][0]["a"]["name"], "conv");
    for layer in found["layers"].as_array().unwrap() {
        let ratio = layer["sqnr_db"].as_f64();
        assert!(layer["equal"] == true || ratio.unwrap() > decibel, "{layer}");
    }
    assert_eq!(found["unmatched"], json!({"a": [], "b": []}));
}

/// The model of reals begins with a dequantize, so that its nodes are numbered otherwise.
fn reals_beside_integers(place: &Workplace) {
    let found = report(place, "baseline.pnj", "qat.pnj", &["--worst", "3"]);
    assert_eq!(ops(&found), ["conv2d", "max_pool2d", "fully_connected"], "{found}");
    for (layer, (a, b)) in found["layers"].as_array().unwrap().iter().zip([(1, 0), (2, 1), (4, 3)])
    {
        assert_eq!((&layer["a"]["node"], &layer["b"]["node"]), (&json!(a), &json!(b)));
        assert!(layer["equal"] == false && layer["sqnr_db"].is_f64(), "{layer}");
    }
    let worst = found["worst"].as_array().unwrap();
    let differences: Vec<f64> = worst.iter().map(|w| w["difference"].as_f64().unwrap()).collect();
    assert_eq!(differences.len(), 3);
    assert!(differences.is_sorted_by(|a, b| a >= b), "{differences:?}");
    assert_eq!(found["scores"]["max_difference"], differences[0]);
    let split = place.test_split();
    for image in worst {
        let index = image["index"].as_u64().unwrap() as usize;
        assert_eq!(image["label"], split.labels()[index]);
        assert!(image["a"].as_u64().unwrap() < 4 && image["b"].as_u64().unwrap() < 4, "{image}");
    }
}

fn limits_are_kept(place: &Workplace) {
    let limits = ["--images", "50", "--layer-images", "0", "--worst", "0"];
    let found = report(place, "baseline.pnj", "qat.pnj", &limits);
    assert_eq!((&found["agreement"]["images"], &found["layer_images"]), (&json!(50), &json!(0)));
    assert_eq!(found["worst"], json!([]));
    assert!(found["layers"][0].get("sqnr_db").is_none(), "{found}");
    let found = report(place, "baseline.pnj", "qat.pnj", &["--images", "9"]);
    assert_eq!(found["layer_images"], 9);
    let found = report(place, "baseline.pnj", "qat.pnj", &["--images", "9999"]);
    assert_eq!(found["agreement"]["images"], 200);
}

/// The checkpoint at `from` with a changed architecture, its weights repeated or cut to the new shapes.
fn change(from: &Path, to: &Path, input: [usize; 3], channels: usize, classes: usize) {
    let mut checkpoint = Checkpoint::load(from).unwrap();
    checkpoint.manifest.architecture.input = input;
    for layer in &mut checkpoint.manifest.architecture.layers {
        match layer {
            Layer::Conv2d(conv) => conv.out_channels = channels,
            Layer::Dense(dense) => dense.units = classes,
            _ => {}
        }
    }
    for layer in checkpoint.network().weighted() {
        let shape = layer.weight_shape().unwrap();
        for (kind, shape) in [("bias", vec![shape[0]]), ("weight", shape)] {
            let old = checkpoint.tensor(&layer.name, kind).data.clone();
            let data = old.into_iter().cycle().take(shape.iter().product()).collect();
            checkpoint.tensors.insert(format!("{}.{kind}", layer.name), Tensor { shape, data });
        }
    }
    checkpoint.save(to).unwrap();
}

#[test]
fn layers_without_a_partner_are_named_and_networks_that_do_not_compare_refused() {
    let place = Workplace::new(support::SPEC);
    let baseline = place.train("baseline", None, "a.safetensors");
    change(&baseline, &place.path("wide.safetensors"), [12, 12, 1], 7, 4);
    let found = report(&place, "a.safetensors", "wide.safetensors", &[]);
    assert_eq!(ops(&found), ["fully_connected"], "{found}");
    let left = |op, shape: [u32; 3], node, name| json!({"op": op, "shape": shape, "node": node, "name": name});
    let expected = |channels| {
        let pool = left("max_pool2d", [5, 5, channels], 1, "max_pool2d");
        json!([left("conv2d", [10, 10, channels], 0, "conv"), pool])
    };
    assert_eq!(found["unmatched"], json!({"a": expected(6), "b": expected(7)}));
    let text = text(&place, "a.safetensors", "wide.safetensors", &[]);
    for line in ["not matched: conv2d [10, 10, 6], node 0 conv of A", "[5, 5, 7], node 1"] {
        assert!(text.contains(line), "{line:?} in {text}");
    }

    change(&baseline, &place.path("five.safetensors"), [12, 12, 1], 6, 5);
    change(&baseline, &place.path("long.safetensors"), [14, 12, 1], 6, 4);
    let cases: [(&str, &str, &[&str], &[&str]); 6] = [
        (
            "a.safetensors",
            "five.safetensors",
            &[],
            &["five.safetensors", "outputs", "expected [[4]]", "a.safetensors", "found [[5]]"],
        ),
        (
            "a.safetensors",
            "long.safetensors",
            &[],
            &[
                "long.safetensors",
                "inputs",
                "[[12, 12, 1]]",
                "a.safetensors",
                "found [[14, 12, 1]]",
            ],
        ),
        (
            "long.safetensors",
            "long.safetensors",
            &[],
            &["long.safetensors", "images", "expected [14, 12, 1]", "found [12, 12, 1]"],
        ),
        ("a.safetensors", "spec.toml", &[], &["spec.toml", "PNJ1"]),
        ("missing.pnj", "a.safetensors", &[], &["missing.pnj"]),
        ("a.safetensors", "a.safetensors", &["--images", "0"], &["--images", "found 0"]),
    ];
    for (a, b, more, expected) in cases {
        let done = compare(&place, a, b, more);
        let message = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{a} and {b}: {message}");
        for word in expected {
            assert!(message.contains(word), "{message:?} should speak of {word:?}");
        }
        assert!(stdout(&done).is_empty(), "{}", stdout(&done));
    }
}
