//! `cargo xtask devices`: builds the examples for devices, runs them under emulators and in Node, and holds what they answer, and
//! what they cost, against what they should. It installs nothing: what is missing is named.

mod answers;
mod boards;
mod budget;
mod elf;
mod samples;
mod table;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{files, host};

/// Build and run the examples for devices.
#[derive(Args)]
pub(crate) struct DevicesArgs {
    /// Fail where a package is missing, rather than skip what needs it
    #[arg(long)]
    require: bool,
    /// Only this target; may be given again
    #[arg(long, value_name = "TARGET")]
    only: Vec<String>,
    /// Only write the files that the examples embed, under target/devices/
    #[arg(long, conflicts_with_all = ["only", "record"])]
    prepare: bool,
    /// A built `penjing`, rather than one built now
    #[arg(long, value_name = "PATH")]
    penjing: Option<PathBuf>,
    /// Keep the table in docs/devices.md
    #[arg(long, conflicts_with = "only")]
    record: bool,
}

/// A line of the table.
pub(super) struct Row {
    /// The target as rustc calls it.
    pub(super) target: String,
    /// What ran there.
    pub(super) what: String,
    /// Bytes of flash without model and samples.
    pub(super) code: Option<u64>,
    /// Bytes of the model in flash.
    pub(super) model: Option<u64>,
    /// Bytes of statics and stack.
    pub(super) ram: Option<u64>,
    /// The most bytes that the stack held.
    pub(super) stack: Option<u64>,
    /// Instructions an inference.
    pub(super) instructions: Option<u64>,
    /// How much of it is as the host has it.
    pub(super) matches: String,
}

/// What every family of targets works with.
pub(super) struct Context {
    /// The workspace.
    pub(super) root: PathBuf,
    /// Where everything is built and written: target/devices.
    pub(super) out: PathBuf,
    /// A built `penjing`.
    pub(super) penjing: PathBuf,
    /// What is missing is an error.
    pub(super) require: bool,
    /// The targets asked for; all where it is empty.
    pub(super) only: Vec<String>,
}

impl Context {
    /// Whether a target was asked for.
    pub(super) fn wants(&self, target: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == target)
    }

    /// `penjing` with arguments, run in the workspace's root.
    pub(super) fn penjing(&self) -> Command {
        let mut command = Command::new(&self.penjing);
        command.current_dir(&self.root);
        command
    }
}

/// A program or file that must be there, and the Debian package that has it.
pub(super) type Package = (&'static str, &'static str);

/// Targets that are built and run alike.
struct Family {
    targets: &'static [&'static str],
    packages: &'static [&'static [Package]],
    run: fn(&Context) -> Result<Vec<Row>>,
}

const FAMILIES: &[Family] = &[
    Family { targets: boards::ARM_TARGETS, packages: boards::ARM_PACKAGES, run: boards::run_arm },
    Family {
        targets: boards::RISCV_TARGETS,
        packages: boards::RISCV_PACKAGES,
        run: boards::run_riscv,
    },
];

/// Runs it all.
///
/// # Errors
/// What building and running answer; answers that are not the host's; a budget that is exceeded; with `--require` a missing
/// package.
pub(crate) fn run(args: &DevicesArgs, root: &Path) -> Result<()> {
    let known: Vec<&str> = FAMILIES.iter().flat_map(|family| family.targets).copied().collect();
    for only in &args.only {
        ensure!(known.contains(&&**only), "--only {only}: expected one of {}", known.join(", "));
    }
    let out = root.join("target/devices");
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let commit = host::commit(root);
    let penjing = match &args.penjing {
        Some(path) => std::path::absolute(path).with_context(|| path.display().to_string())?,
        None => build_penjing(root)?,
    };
    let context = Context {
        root: root.to_owned(),
        out,
        penjing,
        require: args.require,
        only: args.only.clone(),
    };
    samples::prepare_article(&context)?;
    if args.prepare {
        println!("written under {}", context.out.display());
        return Ok(());
    }
    let mut rows = Vec::new();
    let mut skipped = false;
    for family in FAMILIES.iter().filter(|f| f.targets.iter().any(|target| context.wants(target))) {
        let missing = missing(family.packages);
        if missing.is_empty() {
            rows.extend((family.run)(&context)?);
            continue;
        }
        let line = format!("{}: apt-get install {}", family.targets.join(", "), missing.join(" "));
        ensure!(!context.require, "--require: missing for {line}");
        println!("SKIPPED {line}");
        skipped = true;
    }
    if !rows.is_empty() {
        print!("{}", table::text(&rows));
    }
    if args.record {
        let keywords = rows.iter().any(|row| row.what.starts_with("keywords"));
        ensure!(!skipped && keywords, "--record: something was skipped");
        let text =
            format!("{}\n{}, commit {commit}.", table::markdown(&rows), toolchain::version()?);
        files::replace_between(&root.join("docs/devices.md"), "devices", &text)?;
    }
    let exceeded = budget::judge(&rows);
    for line in &exceeded {
        eprintln!("EXCEEDED {line}");
    }
    if !exceeded.is_empty() {
        bail!("{} budgets are exceeded", exceeded.len());
    }
    Ok(())
}

/// The Debian packages of which something is not there.
fn missing(packages: &[&[Package]]) -> Vec<&'static str> {
    let needed = packages.iter().flat_map(|list| list.iter());
    let absent = needed.filter(|(thing, _)| !toolchain::is_there(thing));
    let mut missing: Vec<_> = absent.map(|&(_, package)| package).collect();
    missing.dedup();
    missing
}

/// Builds the command without training, which needs no more than the runtime does.
fn build_penjing(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "-p", "penjing", "--no-default-features"]);
    let status = command.current_dir(root).status().context("cannot start cargo")?;
    ensure!(status.success(), "building penjing ended with {status}");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder));
    Ok(target.join("release").join(format!("penjing{}", std::env::consts::EXE_SUFFIX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_package_is_named_once() {
        let there: &[Package] = &[("cargo", "cargo"), (env!("CARGO_MANIFEST_DIR"), "here")];
        let absent: &[Package] = &[("no-such-program", "package"), ("/no/such/file", "package")];
        assert_eq!(missing(&[there]), [""; 0]);
        assert_eq!(missing(&[there, absent]), ["package"]);
    }
}
