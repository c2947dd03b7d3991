//! `penjing quantize` on a made-up checkpoint: from images, tensors and model files to one and the same int8 model, and what
//! is refused. How well a network survives is `penjing-convert`'s affair.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use penjing_checkpoint::{
    Activation, Architecture, Checkpoint, Conv2d, Dense, Flatten, Layer, Layout, MANIFEST_VERSION,
    Manifest, MaxPool2d, Padding, Stage, Tensor,
};
use penjing_dataset::{Which, open_split};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use support::{SPEC, Workplace, penjing, stderr, stdout};

/// A convolution, a pool and a dense layer on the images of [`Workplace`]; every other weight is zero.
fn checkpoint(path: &Path) {
    let mut architecture = Architecture {
        name: "small".into(),
        input: [12, 12, 1],
        layers: vec![
            Layer::Conv2d(Conv2d {
                name: "conv".into(),
                out_channels: 6,
                kernel: [3, 3],
                stride: [1, 1],
                padding: Padding::default(),
                activation: Activation::Relu,
            }),
            Layer::MaxPool2d(MaxPool2d {
                name: String::new(),
                window: [2, 2],
                stride: None,
                padding: Padding::default(),
            }),
            Layer::Flatten(Flatten::default()),
            Layer::Dense(Dense { name: "dense".into(), units: 4, activation: Activation::None }),
        ],
    };
    architecture.name_layers();
    let mut state = 1_u64;
    let mut random = |i: usize| {
        state = state.wrapping_mul(0x5DEE_CE66D).wrapping_add(11) & ((1 << 48) - 1);
        if i.is_multiple_of(2) {
            (state >> 16) as u32 as f32 / (1_u64 << 31) as f32 - 1.0
        } else {
            0.0
        }
    };
    let mut tensors = BTreeMap::new();
    for layer in architecture.resolve().unwrap().weighted() {
        let shape = layer.weight_shape().unwrap();
        let (n, channels) = (shape.iter().product(), shape[0]);
        let data = (0..n).map(&mut random).collect();
        tensors.insert(format!("{}.weight", layer.name), Tensor { shape, data });
        let data = (0..channels).map(|c| 0.05 * c as f32).collect();
        tensors.insert(format!("{}.bias", layer.name), Tensor { shape: vec![channels], data });
    }
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        stage: Stage::Baseline,
        architecture,
        layout: Layout::default(),
        seed: 0,
        parent: None,
        sparsity: None,
        quantization: None,
        recipe: Value::Null,
    };
    std::fs::write(path, Checkpoint { manifest, tensors }.to_bytes().unwrap()).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn ok(args: &[&str]) -> String {
    let done = penjing(args);
    assert!(done.status.success(), "{args:?}: {}", stderr(&done));
    stdout(&done)
}

/// Quantizes a network to `out.pnj`; its bytes.
fn quantized(place: &Workplace, source: &Path, calibrate: &Path, more: &[&str]) -> Vec<u8> {
    let out = place.path("out.pnj");
    let args = ["quantize", text(source), "--calibrate", text(calibrate), "-o", text(&out)];
    ok(&[&args[..], more].concat());
    std::fs::read(out).unwrap()
}

fn refused(place: &Workplace, source: &Path, more: &[&str]) -> String {
    let (out, data) = (place.path("none.pnj"), place.data());
    let args = ["quantize", text(source), "--calibrate", text(&data), "-o", text(&out)];
    let done = penjing(&[&args[..], more].concat());
    assert_eq!(done.status.code(), Some(2), "{}", stdout(&done));
    assert!(!out.exists(), "half-written");
    stderr(&done)
}

/// The first training images as a tensor.
fn images_as(place: &Workplace, name: &str, dtype: Dtype) -> std::path::PathBuf {
    let split = open_split(&place.data(), Which::Train).unwrap();
    let pixels = &split.images()[..50 * 144];
    let bytes: Vec<u8> = match dtype {
        Dtype::F32 => {
            pixels.iter().flat_map(|&p| ((1.0 / 255.0) * f32::from(p)).to_le_bytes()).collect()
        }
        Dtype::I8 => pixels.iter().map(|&p| p.wrapping_sub(128)).collect(),
        _ => pixels.to_vec(),
    };
    let view = TensorView::new(dtype, vec![50, 12, 12, 1], &bytes).unwrap();
    let path = place.path(name);
    std::fs::write(&path, safetensors::serialize([("input", view)], None).unwrap()).unwrap();
    path
}

#[test]
fn a_checkpoint_becomes_a_model_that_agrees_with_it_and_a_report() {
    let place = Workplace::new(SPEC);
    let (source, out, report) = (place.path("a.safetensors"), place.path("a.pnj"), place.path("r"));
    checkpoint(&source);
    let data = place.data();
    let printed = ok(&[
        "quantize",
        text(&source),
        "--calibrate",
        text(&data),
        "-o",
        text(&out),
        "--report",
        text(&report),
        "--samples",
        "200",
    ]);
    let bytes = std::fs::metadata(&out).unwrap().len();
    assert!(printed.contains(&format!("a.pnj: int8, {bytes} bytes")), "{printed}");
    assert!(printed.contains("200 calibration samples: argmax agrees"), "{printed}");
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!((&report["samples"], &report["bytes"]), (&200.into(), &bytes.into()));
    let layers = report["layers"].as_array().unwrap();
    let names: Vec<_> = layers.iter().map(|layer| layer["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["conv", "dense"]);
    for (layer, [scales, zeros]) in layers.iter().zip([[6, 27], [4, 300]]) {
        assert!(layer["after"]["sqnr_db"].as_f64().unwrap() > 30.0, "{layer}");
        let weights = &layer["weights"];
        assert_eq!(weights["scales"], scales);
        assert_eq!(weights["zeros_before"], zeros);
        assert!(weights["zeros"].as_u64() >= weights["zeros_before"].as_u64(), "{layer}");
    }
    let compared = ok(&["compare", text(&source), text(&out), "--data", text(&data), "--json"]);
    let compared: Value = serde_json::from_str(&compared).unwrap();
    assert!(compared["agreement"]["share"].as_f64().unwrap() > 0.97, "{}", compared["agreement"]);
    assert!(compared["scores"]["sqnr_db"].as_f64().unwrap() > 30.0, "{}", compared["scores"]);
}

#[test]
fn the_same_network_and_samples_give_the_same_file_however_they_are_given() {
    let place = Workplace::new(SPEC);
    let (source, data) = (place.path("a.safetensors"), place.data());
    checkpoint(&source);
    let wanted = quantized(&place, &source, &data, &["--samples", "50"]);
    assert_eq!(quantized(&place, &source, &data, &["--samples", "50", "--threads", "3"]), wanted);
    for (name, dtype) in [("u8", Dtype::U8), ("i8", Dtype::I8), ("f32", Dtype::F32)] {
        let tensors = images_as(&place, name, dtype);
        assert!(quantized(&place, &source, &tensors, &[]) == wanted, "{name}");
        for input in ["u8", "f32"] {
            let model = place.path("f32.pnj");
            let convert = ["convert", text(&source), "--dtype", "f32", "--input", input];
            ok(&[&convert[..], &["-o", text(&model), "--no-check"]].concat());
            assert!(quantized(&place, &model, &tensors, &[]) == wanted, "{name}, {input}");
        }
    }
    assert!(quantized(&place, &source, &data, &["--per-tensor"]) != wanted);
    assert!(quantized(&place, &source, &data, &["--ranges", "minmax"]) != wanted);
}

#[test]
fn layers_inputs_and_outputs_stay_in_f32_as_asked() {
    let place = Workplace::new(SPEC);
    let (source, data) = (place.path("a.safetensors"), place.data());
    checkpoint(&source);
    let model = place.path("out.pnj");
    let ops = |more: &[&str]| {
        quantized(&place, &source, &data, more);
        let report: Value =
            serde_json::from_str(&ok(&["inspect", text(&model), "--json"])).unwrap();
        let nodes = report["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["op"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let plain = ["conv2d", "max_pool2d", "reshape", "fully_connected"];
    assert_eq!(ops(&[]), plain);
    let last = ["conv2d", "max_pool2d", "reshape", "dequantize", "fully_connected"];
    assert_eq!(ops(&["--keep-float", "dense"]), last);
    assert_eq!(ops(&["--keep-float", "1"]), last);
    let around = ["quantize", "conv2d", "max_pool2d", "reshape", "fully_connected", "dequantize"];
    assert_eq!(ops(&["--input", "f32", "--float-output"]), around);
}

#[test]
fn what_cannot_be_quantized_exits_with_2_and_leaves_nothing() {
    let place = Workplace::new(SPEC);
    let (source, data) = (place.path("a.safetensors"), place.data());
    checkpoint(&source);
    let unknown = refused(&place, &source, &["--keep-float", "conv9"]);
    assert!(unknown.contains("conv, dense") && unknown.contains("conv9"), "{unknown}");
    assert!(refused(&place, &source, &["--samples", "0"]).contains("--samples"));
    let percentile = refused(&place, &source, &["--ranges", "percentile", "--percentile", "0.1"]);
    assert!(percentile.contains("--percentile"), "{percentile}");
    quantized(&place, &source, &data, &[]);
    let again = refused(&place, &place.path("out.pnj"), &[]);
    assert!(again.contains("out.pnj") && again.contains("expected f32"), "{again}");
    let wrong = place.path("wrong.safetensors");
    let view = TensorView::new(Dtype::U8, vec![2, 5], &[0; 10]).unwrap();
    std::fs::write(&wrong, safetensors::serialize([("input", view)], None).unwrap()).unwrap();
    let out = place.path("none.pnj");
    let done = penjing(&["quantize", text(&source), "--calibrate", text(&wrong), "-o", text(&out)]);
    assert_eq!(done.status.code(), Some(2));
    assert!(stderr(&done).contains("[12, 12, 1]"), "{}", stderr(&done));
    assert!(!out.exists());
}

/// A file of the folder of models and expected outputs; `None`, and a line that says so, where there is no such folder.
fn shared(name: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("PENJING_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        std::path::PathBuf::from,
    );
    let path = folder.join("interop").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("PENJING_REQUIRE_SHARED").is_none(),
        "{}: expected with PENJING_REQUIRE_SHARED",
        path.display()
    );
    println!("SKIPPED: {} is absent", path.display());
    None
}

#[test]
fn a_trained_residual_network_keeps_its_classes() {
    let (Some(source), Some(golden)) =
        (shared("pretrainedResnet.tflite"), shared("pretrainedResnet_quant.golden.safetensors"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (f32_model, int8) = (path("f32.pnj"), path("int8.pnj"));
    ok(&["convert", text(&source), "-o", text(&f32_model)]);
    // calibrated on the first 200 of the 488 inputs that the two are held against each other on
    let calibrate = ["--calibrate", text(&golden), "--samples", "200"];
    ok(&[&["quantize", text(&source), "-o", text(&int8)][..], &calibrate[..]].concat());
    let compared = ok(&[
        "compare",
        text(&f32_model),
        text(&int8),
        "--data",
        text(&golden),
        "--json",
        "--layer-images",
        "0",
    ]);
    let compared: Value = serde_json::from_str(&compared).unwrap();
    assert_eq!(compared["agreement"]["images"], 488);
    assert!(compared["agreement"]["share"].as_f64().unwrap() >= 0.95, "{}", compared["agreement"]);
    assert!(3 * std::fs::metadata(int8).unwrap().len() < std::fs::metadata(source).unwrap().len());
}
