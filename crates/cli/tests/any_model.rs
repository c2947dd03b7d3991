//! `convert`, `run`, `bench`, `inspect` and `compare` on models that are no image classifiers: several inputs and outputs, files of
//! other tools, noise and tensors instead of images.

mod support;

use std::path::{Path, PathBuf};

use penjing_format::write::{Binary, Constant, Model, Node, Op, PackingChoice, Value};
use penjing_format::{Activation, DataType, Shape};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use support::{penjing, stderr, stdout};

/// Runs a command that must succeed; returns what it prints.
fn ok(args: &[&str]) -> String {
    let done = penjing(args);
    assert!(done.status.success(), "{args:?}: {}", stderr(&done));
    stdout(&done)
}

/// Runs a command that must refuse its input; returns why.
fn refused(args: &[&str]) -> String {
    let done = penjing(args);
    assert_eq!(done.status.code(), Some(2), "{args:?}: {}", stdout(&done));
    stderr(&done)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&ok(args)).unwrap()
}

/// Two inputs of three reals; their sum, and that sum times (1, 2, 3), which has a name.
fn two_by_two(path: &Path) {
    let input = |name: &str| Value {
        name: Some(name.into()),
        shape: Some(Shape::from([1, 3])),
        dtype: Some(DataType::F32),
        ..Value::default()
    };
    let plain = Binary { operand: None, operand_zero_point: 0, activation: Activation::None };
    let operand = Constant::f32([3].into(), vec![1.0, 2.0, 3.0]);
    let times = Binary { operand: Some(operand), ..plain.clone() };
    let sum = Value { name: Some("sum".into()), ..input("") };
    let scaled = Value { name: Some("scaled".into()), ..Value::default() };
    let mut add = Node::new(Op::Add(plain), Some(sum));
    add.inputs = vec![0, 1];
    let model = Model {
        inputs: vec![input("left"), input("right")],
        nodes: vec![add, Node::new(Op::Mul(times), Some(scaled))],
        outputs: vec![3, 2],
        ..Model::default()
    };
    std::fs::write(path, model.to_bytes(PackingChoice::Auto).unwrap()).unwrap();
}

fn bytes(reals: &[f32]) -> Vec<u8> {
    reals.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn tensors(path: &Path, named: &[(&str, &[f32])]) {
    let data: Vec<Vec<u8>> = named.iter().map(|(_, reals)| bytes(reals)).collect();
    let views = named.iter().zip(&data).map(|((name, reals), data)| {
        (*name, TensorView::new(Dtype::F32, vec![reals.len() / 3, 3], data).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn several_inputs_and_outputs_go_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let [model, input, output] =
        ["m.pnj", "in.safetensors", "out.safetensors"].map(|name| dir.path().join(name));
    two_by_two(&model);
    tensors(&input, &[("left", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), ("right", &[0.5; 6])]);
    ok(&["run", text(&model), "--input", text(&input), "--output", text(&output)]);
    let found = std::fs::read(&output).unwrap();
    let found = SafeTensors::deserialize(&found).unwrap();
    let scaled = found.tensor("scaled").unwrap();
    assert_eq!(
        (scaled.shape(), scaled.data()),
        (&[2, 3][..], &bytes(&[1.5, 5.0, 10.5, 4.5, 11.0, 19.5])[..])
    );
    assert_eq!(found.tensor("sum").unwrap().data(), bytes(&[1.5, 2.5, 3.5, 4.5, 5.5, 6.5]));

    // A look inside, by number and by name.
    for node in ["0", "sum"] {
        let args = ["run", text(&model), "--input", text(&input), "--output", text(&output)];
        ok(&[&args[..], &["--until", node]].concat());
        let found = std::fs::read(&output).unwrap();
        let found = SafeTensors::deserialize(&found).unwrap();
        assert_eq!(found.names(), ["output"]);
        assert_eq!(found.tensor("output").unwrap().data(), bytes(&[1.5, 2.5, 3.5, 4.5, 5.5, 6.5]));
    }
    std::fs::remove_file(&output).unwrap();
    for (node, why) in [("2", "expected a node below 2, found 2"), ("left", "found \"left\"")] {
        let args = ["run", text(&model), "--input", text(&input), "--output", text(&output)];
        let error = refused(&[&args[..], &["--until", node]].concat());
        assert!(error.contains(why), "{error}");
    }
    tensors(&input, &[("left", &[1.0; 6]), ("right", &[0.5; 3])]);
    let error = refused(&["run", text(&model), "--input", text(&input), "--output", text(&output)]);
    assert!(error.contains("\"right\": expected a batch of 2, as the others, found 1"), "{error}");
    assert!(!output.exists());
}

#[test]
fn models_are_timed_and_compared_on_tensors_and_noise() {
    let dir = tempfile::tempdir().unwrap();
    let [model, input] = ["m.pnj", "in.safetensors"].map(|name| dir.path().join(name));
    two_by_two(&model);
    tensors(&input, &[("left", &[1.0; 12]), ("right", &[0.5; 12])]);
    let quick = ["--batch", "2", "--repeats", "2", "--json"];
    let timed = json(&[&["bench", text(&model)][..], &quick].concat());
    assert_eq!(timed["samples"], "noise of seed 0");
    assert_eq!((&timed["images"], &timed["accuracy"]), (&1024.into(), &serde_json::Value::Null));
    assert!(timed["us_per_image_min"].as_f64().unwrap() > 0.0);
    let timed = json(&[&["bench", text(&model), "--data", text(&input)][..], &quick].concat());
    assert_eq!(timed["samples"], format!("tensors of {}", input.display()));
    assert_eq!(timed["images"], 4);
    assert!(ok(&["bench", text(&model), "--repeats", "1", "--per-layer"]).contains("mul"));

    let same = json(&["compare", text(&model), text(&model), "--json"]);
    assert_eq!(
        (&same["samples"], &same["scores"]["equal"]),
        (&"noise of seed 0".into(), &true.into())
    );
    assert_eq!(same["agreement"]["images"], 256);
    assert_eq!(same["layers"].as_array().unwrap().len(), 2);
    let args = ["compare", text(&model), text(&model), "--data", text(&input)];
    let shown = ok(&args);
    assert!(shown.contains("argmax agrees on 4 of 4 images (100.00 %)"), "{shown}");
    let report = json(&["inspect", text(&model), "--json"]);
    assert_eq!(report["nodes"][1]["weights"]["elements"], 3);
    assert!(report["arena_bytes_one"].as_u64() <= report["arena_bytes"].as_u64());
}

/// A file of the shared folder, if it is there.
fn shared(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PENJING_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = folder.join("interop").join(file);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("PENJING_REQUIRE_SHARED").is_none(), "{} is missing", path.display());
    println!("SKIPPED: {} is missing", path.display());
    None
}

#[test]
fn a_tflite_model_is_converted_run_and_compared_with_itself() {
    let files = ["kws_ref_model.tflite", "kws_ref_model.golden.safetensors"].map(shared);
    let [Some(source), Some(golden)] = files else { return };
    let dir = tempfile::tempdir().unwrap();
    let [model, output] = ["kws.pnj", "out.safetensors"].map(|name| dir.path().join(name));
    let rust = dir.path().join("kws.rs");
    let told = ok(&["convert", text(&source), "-o", text(&model), "--rust", text(&rust)]);
    let size = std::fs::metadata(&model).unwrap().len();
    assert!(told.contains(&format!("int8, {size} bytes, arena ")), "{told}");
    assert!(told.contains("one image at a time, ") && told.contains(" in place\n"), "{told}");
    // of a lowered model as of its file, but for the name of where it comes from
    let lowered = std::fs::read_to_string(&rust).unwrap();
    ok(&["convert", text(&model), "--rust", text(&rust)]);
    let of_file = std::fs::read_to_string(&rust).unwrap();
    assert_eq!(lowered.replace("kws_ref_model.tflite", "kws.pnj"), of_file);
    let golden_bytes = std::fs::read(&golden).unwrap();
    let golden_file = SafeTensors::deserialize(&golden_bytes).unwrap();
    let run = ["run", text(&model), "--input", text(&golden), "--output", text(&output)];
    ok(&run);
    let found = std::fs::read(&output).unwrap();
    let scores =
        SafeTensors::deserialize(&found).unwrap().tensor("output").unwrap().data().to_vec();
    assert_eq!(scores, golden_file.tensor("output_xnnpack").unwrap().data());
    let report = json(&["inspect", text(&model), "--json"]);
    let last = report["nodes"].as_array().unwrap().len() - 1;
    assert_eq!(report["nodes"][last]["op"], "softmax");
    ok(&[&run[..], &["--until", &(last - 1).to_string()]].concat());
    let found = std::fs::read(&output).unwrap();
    let logits =
        SafeTensors::deserialize(&found).unwrap().tensor("output").unwrap().data().to_vec();
    assert_eq!(logits, golden_file.tensor("logits_xnnpack").unwrap().data());

    let args = ["compare", text(&source), text(&model), "--data", text(&golden), "--images", "32"];
    let same = json(&[&args[..], &["--layer-images", "1", "--json"]].concat());
    assert_eq!(
        (&same["scores"]["equal"], &same["agreement"]["agreed"]),
        (&true.into(), &32.into())
    );
    // A pixel-like u8 input is the same grid, shifted.
    let told =
        ok(&["convert", text(&source), "-o", text(&model), "--input", "u8", "--dtype", "int8"]);
    assert!(told.contains("int8"), "{told}");
    assert_eq!(json(&["inspect", text(&model), "--json"])["inputs"][0]["zero_point"], 83 + 128);
    let error = refused(&["convert", text(&source), "-o", text(&model), "--dtype", "f32"]);
    assert!(error.contains("computes in int8: expected --dtype auto or int8"), "{error}");
}

#[test]
fn what_is_no_model_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let out = path("out.pnj");
    let tflite = path("cut.tflite");
    std::fs::write(&tflite, b"\x1c\0\0\0TFL3\x14\0").unwrap();
    let onnx = path("cut.onnx");
    std::fs::write(&onnx, [0x08, 0x08, 0x3a, 0xff]).unwrap();
    let other = path("other.bin");
    std::fs::write(&other, [7; 40]).unwrap();
    for (file, why) in [(&tflite, "expected"), (&onnx, "expected"), (&other, "found none of them")]
    {
        let error = refused(&["convert", text(file), "-o", text(&out)]);
        assert!(error.contains(text(file)) && error.contains(why), "{error}");
        assert!(!out.exists());
    }
    for args in [
        vec!["bench", text(&tflite)],
        vec!["inspect", text(&onnx)],
        vec!["eval", text(&tflite)],
        vec!["run", text(&tflite), "--input", "x", "--output", "y"],
    ] {
        let error = refused(&args);
        let known = error.contains("`penjing convert` makes a model of it");
        assert!(known || error.contains("data"), "{args:?}: {error}");
    }
    let model = path("m.pnj");
    two_by_two(&model);
    let error = refused(&["bench", text(&model), "--images", "99999999999"]);
    assert!(error.contains("expected at most 44739242 samples of noise"), "{error}");
    let error = refused(&["convert", text(&model), "-o", text(&out)]);
    assert!(error.contains("found a model of Penjing's"), "{error}");
}
