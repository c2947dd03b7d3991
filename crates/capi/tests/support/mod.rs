//! Builds the library as a user does, compiles C against it and runs what comes out, under valgrind where there is one. What
//! the programs must print is the tests'.

use penjing_runtime::{Model, in_place};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Fails a test that cannot find valgrind, where it would be skipped.
const REQUIRE_VALGRIND: &str = "PENJING_REQUIRE_VALGRIND";

/// Warnings are errors.
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// What a static library of Rust wants of the system.
const SYSTEM: [&str; 3] = ["-lpthread", "-ldl", "-lm"];

pub(crate) fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn root() -> PathBuf {
    crate_folder().join("../..")
}

/// A file of the format's tests.
pub(crate) fn model(name: &str) -> PathBuf {
    root().join("crates/format/tests").join(name)
}

/// The article's network, pruned: of weights that are packed.
pub(crate) fn article() -> PathBuf {
    root().join("examples/models/article.pnj")
}

/// Which of the libraries.
#[derive(Clone, Copy)]
pub(crate) enum Linkage {
    Static,
    Shared,
    /// Without std, for a device that runs [`article`] alone.
    Device,
}

/// Runs a program and returns what it printed; a failure shows all of it.
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The folder of a built library.
fn library(linkage: Linkage) -> &'static Path {
    static HOSTED: OnceLock<PathBuf> = OnceLock::new();
    static DEVICE: OnceLock<PathBuf> = OnceLock::new();
    match linkage {
        Linkage::Static | Linkage::Shared => HOSTED.get_or_init(|| build(&["build"], &[], None)),
        Linkage::Device => DEVICE.get_or_init(|| {
            let ops = in_place::ops(&Model::open(article()).unwrap()).unwrap();
            let arguments = ["rustc", "--no-default-features", "--profile", "device"];
            build(&arguments, &["--crate-type", "staticlib"], Some(ops))
        }),
    }
}

/// Builds the library, of all ops or of some in place, and returns the folder that it lies in, as cargo tells it.
fn build(arguments: &[&str], last: &[&str], ops: Option<u32>) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(["-p", "penjing-capi", "--message-format", "json"]).args(last);
    cargo.env_remove("PENJING_OPS");
    if let Some(ops) = ops {
        cargo.env("PENJING_OPS", ops.to_string());
    }
    let messages = run(cargo.current_dir(root()));
    let mut words = messages.split('"').map(Path::new);
    let found = words.find(|word| word.ends_with("libpenjing.a"));
    found.and_then(Path::parent).expect("cargo tells where the library lies").to_path_buf()
}

/// Compiles a program and links it; `language` is a standard such as `c11`.
pub(crate) fn compile(
    source: &Path,
    language: &str,
    linkage: Linkage,
    more: &[&str],
    folder: &Path,
) -> PathBuf {
    let libraries = library(linkage);
    let program = folder.join(source.file_stem().expect("a source has a name"));
    let compiler = if language.starts_with("c++") { "c++" } else { "cc" };
    let mut command = Command::new(compiler);
    command.arg(format!("-std={language}")).args(WARNINGS).args(["-O1", "-g"]);
    command.arg("-I").arg(crate_folder().join("include")).arg(source).arg("-o").arg(&program);
    match linkage {
        Linkage::Static => command.arg(libraries.join("libpenjing.a")).args(SYSTEM),
        Linkage::Shared => {
            let search = format!("-Wl,-rpath,{}", libraries.display());
            command.arg("-L").arg(libraries).arg("-lpenjing").arg(search)
        }
        Linkage::Device => command.arg(libraries.join("libpenjing.a")),
    };
    run(command.args(more));
    program
}

/// A program under valgrind: an access to memory that is not there, a branch on what was never written, or memory that is
/// lost makes it fail. Where there is no valgrind, the program by itself.
pub(crate) fn checked(program: &Path) -> Command {
    let found = Command::new("valgrind").arg("--version").output().is_ok();
    if !found {
        assert!(
            std::env::var_os(REQUIRE_VALGRIND).is_none(),
            "valgrind is missing, which {REQUIRE_VALGRIND} asks for: install the package valgrind"
        );
        println!("SKIPPED valgrind, which is missing: {} runs by itself", program.display());
        return Command::new(program);
    }
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    command
        .args(["--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect"]);
    command.arg(program);
    command
}
