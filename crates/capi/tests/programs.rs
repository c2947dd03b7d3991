//! C and C++ programs against the library: the example's scores are the runtime's, every wrong call is answered, threads do
//! not meet. What the runtime computes is its own tests' matter.
#![cfg(target_os = "linux")]

mod support;

use penjing_dataset::{Which, open_split};
use penjing_runtime::{Model, Session, SessionOptions};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Linkage, article, checked, compile, crate_folder, model, root, run};

/// How many real images the programs classify; valgrind is slow.
const IMAGES: usize = 10;

fn example() -> PathBuf {
    root().join("examples/c/main.c")
}

fn source(name: &str) -> PathBuf {
    crate_folder().join("tests/c").join(name)
}

/// Real test images as a raw file and, with an IDX header before them, as MNIST's own; and the lines that a program must print.
fn samples(folder: &Path) -> (PathBuf, PathBuf, String) {
    let split = open_split(&root().join("data"), Which::Test).unwrap();
    let [height, width, channels] = split.shape();
    assert_eq!(channels, 1);
    let view = split.slice(0..IMAGES);
    let (raw, idx) = (folder.join("images.bin"), folder.join("images.idx"));
    fs::write(&raw, view.images()).unwrap();
    let mut bytes = vec![0, 0, 8, 3];
    for dim in [IMAGES, height, width] {
        bytes.extend(u32::try_from(dim).unwrap().to_be_bytes());
    }
    bytes.extend(view.images());
    fs::write(&idx, bytes).unwrap();

    let model = Model::open(article()).unwrap();
    let mut session = Session::new(&model, SessionOptions::default()).unwrap();
    let mut lines = String::new();
    for index in 0..IMAGES {
        let mut scores = [0_i8; 10];
        session.run(view.image(index), &mut scores).unwrap();
        let best = scores.iter().enumerate().rev().max_by_key(|&(_, score)| score).unwrap().0;
        assert_eq!(best, usize::from(view.labels()[index]), "image {index}: {scores:?}");
        let scores = scores.map(|score| score.to_string()).join(" ");
        lines += &format!("{index}: class {best}, scores {scores}\n");
    }
    (raw, idx, lines)
}

#[test]
fn the_example_gives_the_runtimes_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, idx, expected) = samples(folder.path());
    let model = article();
    let program = compile(&example(), "c11", Linkage::Static, &[], folder.path());
    for way in ["heap", "in-place"] {
        let printed = run(checked(&program).arg(way).arg(&model).arg(&raw));
        assert_eq!(printed, expected, "{way}");
    }
    assert_eq!(run(Command::new(&program).arg("heap").arg(&model).arg(&idx)), expected);
    let program = compile(&example(), "c11", Linkage::Shared, &[], folder.path());
    assert_eq!(run(Command::new(&program).arg("in-place").arg(&model).arg(&raw)), expected);
}

#[test]
fn a_device_gives_the_same_scores_without_std() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, _, expected) = samples(folder.path());
    let scores = |line: &str| line.split_once("scores ").map(|(_, scores)| format!("{scores}\n"));
    let expected: String = expected.lines().filter_map(scores).collect();
    let flags = ["-Wl,--gc-sections"];
    let program = compile(&source("device.c"), "c11", Linkage::Device, &flags, folder.path());
    let other = model("frozen/v1/int8-dense.pnj");
    assert_eq!(run(checked(&program).arg(article()).arg(&raw).arg(other)), expected);
    let program = compile(&source("bare.c"), "c11", Linkage::Device, &flags, folder.path());
    let first = run(Command::new(program).arg(article()).arg(&raw));
    assert_eq!(Some(first.trim_end()), expected.lines().next());
}

#[test]
fn every_wrong_call_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&source("errors.c"), "c11", Linkage::Static, &[], folder.path());
    let models = ["int8-dense", "f32-dense", "joined-dense"];
    let models = models.map(|name| model(&format!("frozen/v1/{name}.pnj")));
    assert_eq!(run(checked(&program).args(models).arg(article())), "every error was answered\n");
}

#[test]
fn threads_share_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let program =
        compile(&source("threads.c"), "c11", Linkage::Shared, &["-lpthread"], folder.path());
    let model = model("frozen/v1/int8-dense.pnj");
    assert_eq!(run(checked(&program).arg(model)), "the threads agree\n");
}

#[test]
fn the_header_is_cpp_too() {
    if Command::new("c++").arg("--version").output().is_err() {
        println!("SKIPPED: there is no C++ compiler");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = compile(&source("header.cpp"), "c++17", Linkage::Shared, &[], folder.path());
    run(&mut Command::new(program));
}
