//! `penjing convert --rust` and `--c`: the files compile without a warning, hold the model's bytes, and tell what a session in
//! place of it needs. Programs for devices that link the runtime are `cargo xtask devices`' business.

mod support;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use penjing_format::write::{Binary, Model as Written, Node, Op, PackingChoice, Value};
use penjing_format::{Activation, DataType, QuantParams, Shape};
use penjing_runtime::in_place::{self, Arena};
use penjing_runtime::{Error, InPlace, Model};
use support::{penjing, stderr, stdout};

/// What the generated file names of the runtime; the compiler holds the real one against it below.
const RUNTIME: &str = "//! Names only.
#![no_std]
pub struct InPlace<'a, const OPS: u32>(pub &'a mut [u8]);
pub mod in_place { #[repr(C, align(8))] pub struct Arena<const BYTES: usize>(pub [u8; BYTES]); }
";
type _Session<'a> = InPlace<'a, 5>;
const _: Arena<8> = Arena([0; 8]);

/// One model as a module, and one with a name of its own among others; what they tell goes out as text, then as bytes.
const RUST: &str = "//! Holds two models.
#![deny(warnings, missing_docs)]
mod article;
include!(\"hard.rs\");
fn main() {
    use article::{ARENA_BYTES, Arena, INPUT_LEN, MODEL, OPS, OUTPUT_LEN, OUTPUT_SCALE, OUTPUT_ZERO_POINT, Session};
    let aligned = [MODEL, HARD_TEXT_MODEL].iter().all(|model| model.as_ptr().addr() % 4 == 0);
    let arenas = [size_of::<Arena>(), size_of::<HardTextArena>()];
    let session = |_: &mut Session<'_>, _: &HardTextSession<'_>| ();
    let _ = session;
    println!(\"{ARENA_BYTES} {OPS} {INPUT_LEN} {OUTPUT_LEN} {OUTPUT_SCALE:?} {OUTPUT_ZERO_POINT}\");
    println!(\"{HARD_TEXT_ARENA_BYTES} {HARD_TEXT_OPS} {HARD_TEXT_INPUT_0_LEN} {HARD_TEXT_INPUT_1_ZERO_POINT}\");
    println!(\"{aligned} {arenas:?} {HARD_TEXT_LABELS:?}\");
    use std::io::Write;
    std::io::stdout().write_all(&[MODEL, HARD_TEXT_MODEL].concat()).unwrap();
}
";

/// The same in what C and C++ have in common.
const C: &str = "#include <stdio.h>
#include <string.h>
#include \"article.h\"
#include \"article.h\"
#include \"hard.h\"
int main(void) {
    size_t i, aligned = (size_t)penjing_model % 4 == 0 && (size_t)hard_text_model % 4 == 0;
    const float scale = PENJING_MODEL_OUTPUT_SCALE;
    unsigned bits;
    memcpy(&bits, &scale, sizeof bits);
    printf(\"%d %u %d %d %x %d\\n\", PENJING_MODEL_ARENA_BYTES, PENJING_MODEL_OPS + 0u,
           PENJING_MODEL_INPUT_LEN, PENJING_MODEL_OUTPUT_LEN, bits,
           PENJING_MODEL_OUTPUT_ZERO_POINT);
    printf(\"%d %d %d %d\\n\", HARD_TEXT_MODEL_ARENA_BYTES, HARD_TEXT_MODEL_INPUT_0_LEN,
           HARD_TEXT_MODEL_INPUT_1_ZERO_POINT, (int)aligned);
    for (i = 0; i < HARD_TEXT_MODEL_LABELS; i++)
        fwrite(hard_text_model_labels[i], 1, strlen(hard_text_model_labels[i]) + 1, stdout);
    fwrite(penjing_model, 1, PENJING_MODEL_BYTES, stdout);
    fwrite(hard_text_model, 1, sizeof hard_text_model, stdout);
    return 0;
}
";

/// Texts that would end a comment or a literal, or be read as another sign.
const LABELS: [&str; 3] = ["a\"\\\t7", "*/ ??/ \u{202e}", "\u{732b}1"];

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

/// A committed model of the format's tests.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../format/tests").join(name)
}

/// The sum of two inputs, with names and labels that are hard to write down.
fn hard_texts(path: &Path) {
    let grid = |scale, zero_point| Some(QuantParams { scale, zero_point });
    let value = |name: &str, zero_point| Value {
        name: Some(name.into()),
        shape: Some(Shape::from([1, 3])),
        dtype: Some(DataType::I8),
        quantization: grid(1e-7, zero_point),
    };
    let add = Binary { operand: None, operand_zero_point: 0, activation: Activation::None };
    let mut add = Node::new(Op::Add(add), Some(value("sum */ x", 3)));
    add.inputs = vec![0, 1];
    let model = Written {
        inputs: vec![value("left\n", 0), value("??/", -128)],
        nodes: vec![add],
        labels: LABELS.map(str::to_owned).to_vec(),
        ..Written::default()
    };
    std::fs::write(path, model.to_bytes(PackingChoice::Auto).unwrap()).unwrap();
}

/// A folder with the article's model and that of [`hard_texts`], each as a file of Rust and one of C.
fn sources() -> (tempfile::TempDir, [Vec<u8>; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let article = fixture("data/sparse_int8.pnj");
    let told = ok(&[
        "convert",
        text(&article),
        "--rust",
        text(&path("article.rs")),
        "--c",
        text(&path("article.h")),
    ]);
    assert_eq!(told.matches("model of 20824 bytes, arena").count(), 2, "{told}");
    // A name that would end a comment.
    let hard = path("hard*??.pnj");
    hard_texts(&hard);
    let [rust, c] = ["hard.rs", "hard.h"].map(path);
    let named = ["--rust", text(&rust), "--c", text(&c), "--name", "hard_text"];
    ok(&[&["convert", text(&hard)], &named[..]].concat());
    let models = [article, hard].map(|path| std::fs::read(path).unwrap());
    (dir, models)
}

/// Runs a compiler, which must not even warn; false where there is none.
fn compiled<S: AsRef<OsStr>>(dir: &Path, compiler: &str, args: &[S]) -> bool {
    let compiler = std::env::var_os(compiler.to_uppercase()).unwrap_or_else(|| compiler.into());
    match Command::new(&compiler).current_dir(dir).args(args).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: no compiler {}", compiler.display());
            false
        }
        Err(error) => panic!("{}: {error}", compiler.display()),
        Ok(done) => {
            assert!(done.status.success() && stderr(&done).is_empty(), "{}", stderr(&done));
            true
        }
    }
}

/// What a program prints.
fn printed(dir: &Path, program: &str) -> Vec<u8> {
    let done = Command::new(dir.join(program)).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    done.stdout
}

fn arena_bytes(model: &[u8]) -> usize {
    in_place::arena_bytes(&Model::from_bytes(model.to_vec()).unwrap()).unwrap()
}

fn ops(model: &[u8]) -> u32 {
    in_place::ops(&Model::from_bytes(model.to_vec()).unwrap()).unwrap()
}

#[test]
fn a_file_of_rust_holds_the_model_and_what_its_session_needs() {
    let (dir, [article, hard]) = sources();
    std::fs::write(dir.path().join("penjing_runtime.rs"), RUNTIME).unwrap();
    std::fs::write(dir.path().join("main.rs"), RUST).unwrap();
    let edition = ["--edition", "2024"];
    let library = [&edition[..], &["--crate-type", "rlib", "penjing_runtime.rs"]].concat();
    let program =
        [&edition[..], &["--extern", "penjing_runtime=libpenjing_runtime.rlib", "main.rs"]];
    // cargo runs this test with its own compiler beside it
    assert!(compiled(dir.path(), "rustc", &library));
    assert!(compiled(dir.path(), "rustc", &program.concat()));

    let model = Model::from_bytes(article.clone()).unwrap();
    let output = model.outputs().next().unwrap();
    let [arena, small] = [&article, &hard].map(|model| arena_bytes(model));
    let rounded = [arena, small].map(|bytes| bytes.next_multiple_of(8));
    let expected = format!(
        "{arena} {} 784 10 {:?} {}\n{small} {} 3 -128\ntrue {rounded:?} {LABELS:?}\n",
        ops(&article),
        output.scale,
        output.zero_point,
        ops(&hard),
    );
    assert_eq!(printed(dir.path(), "main"), [expected.as_bytes(), &article, &hard].concat());
}

#[test]
fn a_header_of_c_holds_the_model_and_what_its_session_needs() {
    let (dir, [article, hard]) = sources();
    std::fs::write(dir.path().join("main.c"), C).unwrap();
    let model = Model::from_bytes(article.clone()).unwrap();
    let output = model.outputs().next().unwrap();
    let expected = format!(
        "{} {} 784 10 {:x} {}\n{} 3 -128 1\n{}\0",
        arena_bytes(&article),
        ops(&article),
        output.scale.to_bits(),
        output.zero_point,
        arena_bytes(&hard),
        LABELS.join("\0")
    );
    let strict = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-o", "main", "main.c"];
    for (compiler, how) in [
        ("cc", &["-std=c99"][..]),
        ("cc", &["-std=c11"]),
        ("c++", &["-std=c++98", "-xc++"]),
        ("c++", &["-std=c++17", "-xc++"]),
    ] {
        if compiled(dir.path(), compiler, &[how, &strict].concat()) {
            let found = printed(dir.path(), "main");
            let (told, rest) = found.split_at(expected.len().min(found.len()));
            assert_eq!(String::from_utf8_lossy(told), expected, "{how:?}");
            assert_eq!(rest, [&article[..], &hard].concat(), "{how:?}");
        }
    }
}

#[test]
fn an_arena_of_the_size_that_is_told_is_enough_and_no_less_is() {
    let [article, dense] = ["data/sparse_int8.pnj", "data/dense_int8.pnj"].map(fixture);
    for path in [article, dense] {
        let report = ok(&["inspect", "--json", text(&path)]);
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let bytes = report["arena_bytes_in_place"].as_u64().unwrap() as usize;
        assert!(report["not_in_place"].is_null());
        let table = ok(&["inspect", text(&path)]);
        assert!(table.contains(&format!("in place: arena {bytes} bytes\n")), "{table}");
        let model = Model::open(&path).unwrap();
        let mut arena = Arena::<65536>::new();
        InPlace::<{ in_place::ALL }>::new(&model, &mut arena.0[..bytes]).map(drop).unwrap();
        let less = InPlace::<{ in_place::ALL }>::new(&model, &mut arena.0[..bytes - 4]);
        assert!(matches!(less.map(drop), Err(Error::TooLarge { .. })));
    }
}

#[test]
fn what_cannot_run_in_place_or_be_named_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let [rust, c, output] = ["out.rs", "out.h", "out.pnj"].map(path);
    let (good, nowhere) = (fixture("data/sparse_int8.pnj"), path("nowhere/out.h"));
    let [float, coded] =
        ["f32-dense", "int8-coded"].map(|n| fixture(&format!("frozen/v1/{n}.pnj")));
    let both = ["--rust", text(&rust), "--c", text(&c)];
    for (source, more, says) in [
        (&float, &both[..], "f32-dense.pnj: the model cannot run in place: node 0: "),
        (&coded, &both, "entropy-coded"),
        (&good, &["--rust", text(&rust), "--c", text(&nowhere)], "nowhere/out.h"),
        (&good, &["--rust", text(&rust), "--c", text(&rust)], "found it twice"),
        (&good, &["--rust", text(&rust), "--c", text(dir.path())], "found a folder"),
        (&good, &["--rust", text(&rust), "--name", "Kws"], "found \"Kws\""),
        (&good, &["--rust", text(&rust), "--name", "a__b"], "words joined by one `_`"),
        (&good, &["--name", "kws"], "--rust"),
        (&good, &[], "--output"),
        (&good, &["--rust", text(&rust), "-o", text(&output)], "for --output, found a model"),
        (&good, &["--rust", text(&rust), "--packing", "gaps"], "for --packing, found a model"),
    ] {
        let why = refused(&[&["convert", text(source)], more].concat());
        assert!(why.contains(says), "{more:?}: {why}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{more:?}");
    }
    for (source, says) in [(&float, "in place: no: node 0: "), (&coded, "in place: no: node")] {
        let table = ok(&["inspect", text(source)]);
        assert!(table.contains(says), "{table}");
    }
}
