//! Debian's compiler, which builds core for any target from its own source: rustup's targets are not to be had everywhere. It
//! starts programs and waits for them.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Context, Package};
use crate::child;

/// The compiler and its source must be of one version.
const RUSTC: &str = "/usr/bin/rustc";

/// What building for a board needs.
pub(super) const PACKAGES: &[Package] = &[
    (RUSTC, "rustc-web"),
    ("/usr/lib/rustlib/src/rust/library/core/src/lib.rs", "rust-web-src"),
    ("ld.lld-22", "lld-22"),
];

/// Whether a file is where its path says, or a program in a folder of PATH.
pub(super) fn is_there(thing: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Path::new(thing).exists() && thing.contains('/')
        || std::env::split_paths(&path).any(|folder| folder.join(thing).is_file())
}

/// `rustc --version`.
pub(super) fn version() -> Result<String> {
    Ok(child::output(Command::new(RUSTC).arg("--version"))?.trim().to_owned())
}

/// `cargo COMMAND` in a folder of the workspace, by that compiler, for a target, with core built too.
pub(super) fn cargo(context: &Context, command: &str, folder: &str, target: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let variable = format!("CARGO_TARGET_{}_LINKER", target.replace('-', "_").to_uppercase());
    cargo
        .args([command, "--release", "--locked", "-Zbuild-std=core", "--target", target])
        .current_dir(context.root.join(folder))
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env(variable, "ld.lld-22")
        .env("CARGO_TARGET_DIR", context.out.join("build"));
    // What is set for the host's compiler is not meant for this one.
    for other in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(other);
    }
    cargo
}

/// What a program prints on stdout and stderr, which is kept in a file; whether it ends well.
///
/// # Errors
/// Where it cannot be started, or runs longer than it may: it is ended then.
pub(super) fn logged(command: &mut Command, log: &Path, limit: Duration) -> Result<(bool, String)> {
    let file = File::create(log).with_context(|| log.display().to_string())?;
    let words: Vec<OsString> = std::iter::once(command.get_program().to_owned())
        .chain(command.get_args().map(OsString::from))
        .collect();
    command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file);
    let mut child = command.spawn().with_context(|| format!("cannot start {words:?}"))?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("{words:?} ran longer than {limit:?}; what it printed is in {}", log.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let printed = std::fs::read(log).with_context(|| log.display().to_string())?;
    Ok((status.success(), String::from_utf8_lossy(&printed).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_files_are_found() {
        assert!(is_there("cargo") && is_there(env!("CARGO_MANIFEST_DIR")));
        assert!(!is_there("no-such-program") && !is_there("/no/such/file"));
        // A folder of the current one is no program.
        assert!(!is_there("src"));
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let hour = Duration::from_secs(3600);
        let (well, text) = logged(Command::new("cargo").arg("--version"), &log, hour).unwrap();
        assert!(well && text.starts_with("cargo "), "{text}");
        let (well, text) = logged(Command::new("cargo").arg("--no-such"), &log, hour).unwrap();
        assert!(!well && text.contains("--no-such"), "{text}");
        if cfg!(unix) {
            let start = Instant::now();
            let limit = Duration::from_millis(100);
            let error = logged(Command::new("sleep").arg("60"), &log, limit).unwrap_err();
            assert!(error.to_string().contains("ran longer than 100ms"), "{error}");
            assert!(start.elapsed() < Duration::from_secs(30));
        }
    }
}
