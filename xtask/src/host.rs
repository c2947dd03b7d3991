//! Where the figures were measured: processor and system as `penjing bench` reports them, the compiler, the commit. It
//! measures nothing.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::child::output;

/// The machine, as `penjing bench --json` names it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// The processor's model name.
    pub(crate) cpu: String,
    /// Cores that the process may use.
    pub(crate) cores: usize,
    /// Operating system.
    pub(crate) os: String,
    /// Processor architecture.
    pub(crate) arch: String,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            cpu: model_name(&cpuinfo).unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
        }
    }
}

/// The processor's name in what Linux says of it.
fn model_name(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// `host` of results.json.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    #[serde(flatten)]
    pub(crate) machine: Machine,
    /// `rustc --version` of the compiler that built `penjing`.
    pub(crate) rustc: String,
    /// Instruction set of the runtime's kernels: the lowered rows.
    pub(crate) runtime_isa: String,
    /// Instruction set of the training framework's kernels: the other rows.
    pub(crate) train_isa: String,
}

/// The version of the compiler that cargo uses in `root`.
pub(crate) fn rustc(root: &Path) -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(program).arg("--version").current_dir(root))?;
    Ok(version.trim().to_owned())
}

/// The commit checked out in `root`, followed by `-dirty` where anything differs from it; `unknown` where git does not
/// know.
pub(crate) fn commit(root: &Path) -> String {
    let git = |args: &[&str]| output(Command::new("git").args(args).current_dir(root));
    match (git(&["rev-parse", "HEAD"]), git(&["status", "--porcelain"])) {
        (Ok(commit), Ok(changes)) => {
            let dirty = if changes.trim().is_empty() { "" } else { "-dirty" };
            format!("{}{dirty}", commit.trim())
        }
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_name_is_the_first_processors() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A CPU: 9\nprocessor\t: 1\nmodel name\t: B\n";
        assert_eq!(model_name(cpuinfo), Some("A CPU: 9"));
        assert_eq!(model_name("processor\t: 0\n"), None);
    }

    #[test]
    fn the_commit_says_whether_the_tree_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let identity =
                ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"];
            output(Command::new("git").args(identity).args(args).current_dir(dir.path())).unwrap()
        };
        git(&["init", "--quiet"]);
        assert_eq!(commit(dir.path()), "unknown");
        git(&["commit", "--quiet", "--allow-empty", "--message", "first"]);
        let clean = commit(dir.path());
        assert!(clean.len() >= 40 && clean.bytes().all(|b| b.is_ascii_hexdigit()), "{clean}");
        std::fs::write(dir.path().join("a"), "a").unwrap();
        assert_eq!(commit(dir.path()), format!("{clean}-dirty"));
    }
}
