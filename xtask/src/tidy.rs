//! `cargo xtask tidy`: the rules of docs/architecture.md that neither rustc nor clippy holds. It
//! only reads; it formats and fixes nothing.

mod imports;
mod mask;
mod readme;
mod sources;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What one check found.
#[derive(Debug, Default)]
struct Findings {
    /// Broken rules: tidy fails.
    errors: Vec<String>,
    /// Worth a look, no more.
    warnings: Vec<String>,
}

/// Runs every check and prints what it found.
///
/// # Errors
/// Where a rule is broken, or cargo or git cannot be run.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut findings = Findings::default();
    let trees = imports::check(root, &mut findings)?;
    let files = sources::check(root, &mut findings)?;
    readme::check(root, &mut findings)?;
    for warning in &findings.warnings {
        eprintln!("warning: {warning}");
    }
    for error in &findings.errors {
        eprintln!("error: {error}");
    }
    match findings.errors.len() {
        0 => {
            println!("tidy: {trees} dependency trees and {files} Rust files keep the rules");
            Ok(())
        }
        count => bail!("tidy: {count} rules broken"),
    }
}

/// What a program prints on stdout.
fn output(root: &Path, program: &str, args: &[&str]) -> Result<String> {
    let line = || format!("{program} {}", args.join(" "));
    let output = Command::new(program)
        .args(args)
        .current_dir(root)
        .output()
        .with_context(|| format!("cannot start `{}`", line()))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", line(), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", line()))
}
