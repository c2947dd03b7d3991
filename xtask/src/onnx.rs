//! `cargo xtask onnx`: holds the import of ONNX against onnxruntime by check_onnx.py, with Python packages in a folder of
//! target/. No part of the tests, which need no network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What check_onnx.py imports.
const PACKAGES: [&str; 4] = ["onnx", "onnxruntime", "numpy", "safetensors"];

#[derive(clap::Args)]
pub(crate) struct OnnxArgs {
    /// Further models, checked as those that are made
    #[arg(value_name = "MODEL.onnx")]
    models: Vec<PathBuf>,
}

/// Builds the command, installs what is missing, and runs the script.
///
/// # Errors
/// Where one of these fails, and where outputs differ.
pub(crate) fn run(args: &OnnxArgs, root: &Path) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let build = ["build", "--release", "-p", "penjing", "--no-default-features"];
    start(Command::new(cargo).args(build).current_dir(root))?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder));
    let venv = target.join("onnx-venv");
    let python = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !python.is_file() {
        let system = if cfg!(windows) { "python" } else { "python3" };
        start(Command::new(system).args(["-m", "venv"]).arg(&venv))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    start(Command::new(&python).args(pip).args(PACKAGES))?;
    let penjing = target.join("release").join(format!("penjing{}", std::env::consts::EXE_SUFFIX));
    let mut script = Command::new(&python);
    script.arg(root.join("xtask/check_onnx.py")).arg(penjing).arg(target.join("onnx-check"));
    start(script.args(&args.models))
}

fn start(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
