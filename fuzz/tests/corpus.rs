//! The committed corpora: they are what `seeds` makes, all of them open, together they reach all of the format, and every file
//! of a corpus keeps the targets' promises. Runs without libFuzzer.

use penjing_format::ModelView;
use penjing_format::packing::Levels;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap();
    let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn seeds_are_committed_as_they_are_made() {
    let corpora = [corpus("open"), corpus("run"), corpus("import")].concat();
    let imports = penjing_fuzz::seeds_import::files();
    for (name, bytes) in penjing_fuzz::seeds::files().into_iter().chain(imports) {
        assert!(bytes.len() < 4096, "{name}: {} bytes", bytes.len());
        let file = corpora.iter().find(|(path, _)| path.ends_with(&name));
        let hint = "make the seeds anew, as fuzz/README.md says";
        assert!(file.is_some_and(|(_, committed)| *committed == bytes), "{name}: {hint}");
    }
}

#[test]
fn every_seed_opens_and_together_they_reach_all() {
    let mut reached = BTreeSet::new();
    for (name, bytes) in penjing_fuzz::seeds::files() {
        let Some(name) = name.strip_prefix("open/") else { continue };
        let model = ModelView::open_coded(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut reach = |what: String| reached.insert(what);
        for index in 0..model.n_inputs() {
            reach(format!("input {}", model.input_type(index).unwrap().dtype));
        }
        reach(format!("{} inputs", model.n_inputs()));
        reach(format!("{} outputs", model.outputs().len()));
        for step in model.walk() {
            let op = step.unwrap().op;
            reach(op.name().into());
            let Some((weights, bias)) = op.constants() else { continue };
            let packed = weights.packed;
            reach(format!("{} {}", packed.layout().name(), packed.dtype()));
            if let Levels::Bits { bits, zero } = packed.values().levels() {
                reach(format!("{} of bits", packed.layout().name()));
                reach(format!("{bits} bits"));
                reach(format!("levels with zero: {zero}"));
            }
            let bias = bias.map_or("none".into(), |bias| bias.dtype.to_string());
            reach(format!("bias {bias}"));
        }
        for (there, what) in [
            (model.labels().is_some(), "labels"),
            (model.normalization().is_some(), "normalization"),
            (model.producer().is_some(), "producer"),
            (model.bytes().len() < bytes.len(), "signature"),
        ] {
            if there {
                reach(what.into());
            }
        }
    }
    let ops = ["conv2d", "depthwise_conv2d", "max_pool2d", "fully_connected", "reshape"];
    let plain = ["quantize", "dequantize", "mean", "add", "mul", "pad", "concat", "relu"];
    let functions = ["average_pool2d", "softmax", "logistic", "tanh"];
    let ops = ops.into_iter().chain(plain).chain(functions).map(String::from);
    let layouts = ["dense", "bitmap", "groups", "gaps", "n-of-m", "blocks", "columns"];
    let packings =
        layouts.iter().flat_map(|name| ["f32", "i8", "of bits"].map(|of| format!("{name} {of}")));
    let packings = packings.chain(["coded f32", "coded i8"].map(String::from));
    let fields = [
        "input f32",
        "input i8",
        "input u8",
        "1 inputs",
        "2 inputs",
        "1 outputs",
        "2 outputs",
        "3 outputs",
        "bias none",
        "bias f32",
        "bias i8",
        "bias i16",
        "bias i32",
        "labels",
        "normalization",
        "producer",
        "signature",
        "levels with zero: true",
        "levels with zero: false",
    ];
    let bits = (1..8).map(|bits| format!("{bits} bits"));
    for what in ops.chain(packings).chain(bits).chain(fields.map(String::from)) {
        assert!(reached.contains(&what), "no seed reaches {what:?}; all: {reached:?}");
    }
}

#[test]
fn every_file_keeps_the_promises_of_open() {
    for (path, bytes) in corpus("open") {
        eprintln!("{}", path.display());
        penjing_fuzz::open(&bytes);
    }
}

#[test]
fn every_file_keeps_the_promises_of_run() {
    for (path, bytes) in corpus("run") {
        eprintln!("{}", path.display());
        penjing_fuzz::run(&bytes);
    }
}

/// Every seed is read, and together they become every op that an importer makes.
#[test]
fn every_import_is_read_and_together_they_reach_all() {
    let mut reached = BTreeSet::new();
    for (name, bytes) in penjing_fuzz::seeds_import::files() {
        let graph = match name.ends_with(".onnx") {
            true => penjing_convert::onnx::read(&bytes, "seed"),
            false => penjing_convert::tflite::read(&bytes, "seed"),
        };
        let graph = graph.unwrap_or_else(|error| panic!("{name}: {error}"));
        reached.extend(graph.nodes.iter().map(|node| node.op.name()));
        let options = penjing_convert::Options::default();
        if let Err(error) = penjing_convert::lower_import(graph, &options) {
            panic!("{name}: {error}");
        }
    }
    let layers = ["conv2d", "depthwise_conv2d", "fully_connected"];
    let pools = ["max_pool2d", "average_pool2d", "mean"];
    let plain = ["add", "mul", "pad", "concat", "relu", "reshape", "quantize", "dequantize"];
    let functions = ["softmax", "logistic", "tanh"];
    for op in layers.into_iter().chain(pools).chain(plain).chain(functions) {
        assert!(reached.contains(op), "no seed becomes {op}: {reached:?}");
    }
}

#[test]
fn every_file_keeps_the_promises_of_import() {
    for (path, bytes) in corpus("import") {
        eprintln!("{}", path.display());
        penjing_fuzz::import(&bytes);
    }
}
