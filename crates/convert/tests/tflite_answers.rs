//! Models of others, imported and run, against the answers that LiteRT gave: int8 to the bit, f32 within 1e-4 of the largest.
//! The models are not part of the repository; skipped where they are absent.

use std::path::{Path, PathBuf};

use penjing_convert::elements::Elements;
use penjing_convert::ir::{Graph, Op};
use penjing_convert::{Options, PackingChoice, lower_import, tflite};
use penjing_dataset::{Which, open_split};
use penjing_runtime::{Input, Model, Output, Session, SessionOptions};
use safetensors::{Dtype, SafeTensors};

/// The folder of shared models, with `interop/` in it; `None`, and a line that says so, where it is absent and may be.
fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("PENJING_SHARED").map_or_else(beside, PathBuf::from);
    if folder.join("interop").is_dir() {
        return Some(folder);
    }
    let required = std::env::var_os("PENJING_REQUIRE_SHARED").is_some();
    assert!(!required, "{} has no interop folder", folder.display());
    eprintln!("SKIPPED: {} has no interop folder", folder.display());
    None
}

/// A graph as a model that runs, and the size of its file.
fn model(graph: &Graph, packing: PackingChoice) -> (Model, usize) {
    let options = Options { packing, ..Options::default() };
    let lowered = lower_import(graph.clone(), &options).expect("an imported graph is lowered");
    let size = lowered.bytes.len();
    (Model::from_bytes(lowered.bytes).expect("a written file opens"), size)
}

/// All outputs of a graph for some samples.
fn run(graph: &Graph, inputs: &[Elements]) -> Vec<Elements> {
    let (model, _) = model(graph, PackingChoice::Dense);
    let options = SessionOptions { threads: 1, ..SessionOptions::default() };
    let mut session = Session::new(&model, options).expect("a session");
    let samples = model.inputs().zip(inputs).map(|(info, input)| input.len() / info.len()).min();
    let samples = samples.expect("an input");
    let mut outputs: Vec<Elements> = model
        .outputs()
        .map(|info| Elements::zeros(info.dtype, samples * info.len()).expect("an activation"))
        .collect();
    let from: Vec<Input<'_>> = inputs.iter().map(|input| input.input(0..input.len())).collect();
    let mut to: Vec<Output<'_>> = outputs
        .iter_mut()
        .map(|output| {
            let all = 0..output.len();
            output.output(all)
        })
        .collect();
    session.run_many(&from, &mut to).expect("inputs as the model has them");
    outputs
}

/// A tensor of a golden file.
fn elements(golden: &[u8], name: &str) -> Elements {
    let file = SafeTensors::deserialize(golden).unwrap();
    let tensor = file.tensor(name).unwrap();
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::I8 => Elements::I8(data.iter().map(|byte| byte.cast_signed()).collect()),
        Dtype::U8 => Elements::U8(data.to_vec()),
        Dtype::F32 => {
            Elements::F32(data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
        }
        other => panic!("{name}: {other:?}"),
    }
}

fn read(interop: &Path, model: &str, golden: &str) -> (Graph, Vec<u8>) {
    let bytes = std::fs::read(interop.join(model)).unwrap();
    let graph = tflite::read(&bytes, model).unwrap_or_else(|error| panic!("{model}: {error}"));
    (graph, std::fs::read(interop.join(golden)).unwrap())
}

/// The network up to what its softmax reads.
fn logits(mut graph: Graph) -> Graph {
    let softmax = graph.nodes.iter().position(|node| matches!(node.op, Op::Softmax)).unwrap();
    graph.outputs = vec![graph.nodes[softmax].inputs[0]];
    graph
}

#[test]
fn integers_equal_litert_to_the_bit() {
    let Some(interop) = shared().map(|shared| shared.join("interop")) else { return };
    for (file, golden, values) in [
        ("ad01_int8.tflite", "ad01_int8", 655_360),
        ("kws_ref_model.tflite", "kws_ref_model", 12_288),
        ("pretrainedResnet_quant.tflite", "pretrainedResnet_quant", 4_880),
        ("mnist_pqat_int8.tflite", "mnist_pqat_int8", 2_560),
        ("mnist_pqat_int8_dynamic_batch.tflite", "mnist_pqat_int8", 2_560),
    ] {
        let (graph, golden) = read(&interop, file, &format!("{golden}.golden.safetensors"));
        let input = [elements(&golden, "input")];
        let found = run(&graph, &input);
        assert_eq!(found[0].len(), values, "{file}");
        assert!(found == [elements(&golden, "output_xnnpack")], "{file}: other outputs");
        if SafeTensors::deserialize(&golden).unwrap().tensor("logits_xnnpack").is_ok() {
            let found = run(&logits(graph), &input);
            assert!(found == [elements(&golden, "logits_xnnpack")], "{file}: other logits");
        }
    }
}

#[test]
fn all_ten_thousand_digits_equal_litert() {
    let Some(shared) = shared() else { return };
    let interop = shared.join("interop");
    let split = open_split(&shared.join("mnist"), Which::Test).unwrap();
    let pixels = split.images().iter().map(|&pixel| (pixel ^ 128).cast_signed()).collect();
    let input = [Elements::I8(pixels)];
    for file in ["mnist_pqat_int8.tflite", "mnist_pqat_int8_dynamic_batch.tflite"] {
        let (graph, golden) = read(&interop, file, "mnist_pqat_int8.golden.safetensors");
        let wanted = elements(&golden, "output_xnnpack_all_10000");
        assert_eq!(wanted.len(), 100_000);
        assert!(run(&graph, &input) == [wanted], "{file}");
        let (_, bytes) = model(&graph, PackingChoice::Auto);
        assert!(bytes <= 7_600, "{file}: {bytes} bytes");
    }
}

#[test]
fn reals_are_near_those_of_litert() {
    let Some(interop) = shared().map(|shared| shared.join("interop")) else { return };
    for name in ["ad01_fp32", "pretrainedResnet"] {
        let golden = format!("{name}.golden.safetensors");
        let (graph, golden) = read(&interop, &format!("{name}.tflite"), &golden);
        let found = run(&graph, &[elements(&golden, "input")]);
        let wanted = elements(&golden, "output_xnnpack");
        let ([Elements::F32(found)], Elements::F32(wanted)) = (&found[..], wanted) else {
            panic!("{name}: expected one output of reals");
        };
        let largest = wanted.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        let error = found.iter().zip(&wanted).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(found.len() == wanted.len() && error <= 1e-4 * largest, "{name}: {error}");
    }
}
