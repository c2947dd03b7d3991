//! Starts the programs that do the work and reads what they print: the `penjing` binary above all. It knows their command
//! lines only as text.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// A built `penjing`.
pub(crate) struct Penjing {
    binary: PathBuf,
    /// Where it runs: the workspace's root.
    root: PathBuf,
}

impl Penjing {
    /// Builds `penjing` in the release profile, or finds that it is up to date.
    pub(crate) fn build(root: &Path) -> Result<Self> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--release", "--package", "penjing"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(root)
            .stderr(Stdio::inherit());
        let output = cargo.output().context("cannot start cargo")?;
        ensure!(output.status.success(), "`cargo build --release --package penjing` failed");
        let messages = String::from_utf8(output.stdout).context("cargo printed no UTF-8")?;
        let binary = executable(&messages, "penjing")
            .context("cargo did not say where the executable of `penjing` is")?;
        Ok(Self { binary, root: root.to_owned() })
    }

    /// Runs `penjing ARGS` and returns what it prints on stdout.
    ///
    /// # Errors
    /// Where it fails: with the command line and what it printed on stderr.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String> {
        output(&mut self.command(args))
    }

    /// `penjing ARGS`, to be started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(&self.binary);
        // Several threads cost candle several times the CPU time for steps this small.
        command.args(args).current_dir(&self.root).env("RAYON_NUM_THREADS", "1");
        command
    }

    /// Runs `penjing ARGS` and parses what it prints as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned, S: AsRef<OsStr>>(
        &self,
        args: &[S],
    ) -> Result<T> {
        json(&mut self.command(args))
    }
}

/// The path of a program among cargo's JSON messages.
pub(crate) fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// What a program prints on stdout, parsed as JSON.
///
/// # Errors
/// As [`output`], and where it prints something else.
pub(crate) fn json<T: serde::de::DeserializeOwned>(command: &mut Command) -> Result<T> {
    let text = output(command)?;
    serde_json::from_str(&text)
        .with_context(|| format!("`{}` printed {text:?}", command_line(command)))
}

/// What a program prints on stdout.
///
/// # Errors
/// Where it cannot be started or fails: with the command line and what it printed on stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}):\n{}", output.status, stderr.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no UTF-8"))
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_line_and_stderr() {
        let mut rustc = Command::new("rustc");
        let error = output(rustc.args(["--print", "no-such-thing"])).unwrap_err().to_string();
        assert!(error.starts_with("`rustc --print no-such-thing` failed (exit"), "{error}");
        assert!(error.lines().count() > 1, "no stderr: {error}");
        let error = output(&mut Command::new("./no-such-program")).unwrap_err().to_string();
        assert_eq!(error, "cannot start `./no-such-program`");
    }

    #[test]
    fn the_executable_is_found_among_messages() {
        let messages = "a line\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"syn\"},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"xtask\"},\"executable\":\"/t/xtask\"}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"penjing\"},\"executable\":\"/t/penjing\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages, "penjing"), Some("/t/penjing".into()));
        assert_eq!(executable(messages, "serde"), None);
    }
}
