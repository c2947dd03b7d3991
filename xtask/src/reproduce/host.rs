//! Where the figures were measured: processor and system as `penjing bench` reports them, the compiler, the commit. It
//! measures nothing.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::child::output;

/// The machine, as `penjing bench --json` names it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Machine {
    /// The processor's model name.
    pub(super) cpu: String,
    /// Cores that the process may use.
    pub(super) cores: usize,
    /// Operating system.
    pub(super) os: String,
    /// Processor architecture.
    pub(super) arch: String,
}

/// `host` of results.json.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Host {
    #[serde(flatten)]
    pub(super) machine: Machine,
    /// `rustc --version` of the compiler that built `penjing`.
    pub(super) rustc: String,
    /// Instruction set of the runtime's kernels: the lowered rows.
    pub(super) runtime_isa: String,
    /// Instruction set of the training framework's kernels: the other rows.
    pub(super) train_isa: String,
}

/// The version of the compiler that cargo uses in `root`.
pub(super) fn rustc(root: &Path) -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(program).arg("--version").current_dir(root))?;
    Ok(version.trim().to_owned())
}

/// The commit checked out in `root`, followed by `-dirty` where anything differs from it; `unknown` where git does not
/// know.
pub(super) fn commit(root: &Path) -> String {
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
