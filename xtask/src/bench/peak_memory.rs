//! The most resident memory of another program. It runs in a process of its own: the system counts what a process held before
//! it became another program, and the most of all its children.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use nix::sys::resource::{UsageWho, getrusage};

use crate::child::output;

/// Run a command and print the peak resident memory of its processes, in bytes.
#[derive(Args)]
pub(crate) struct PeakMemoryArgs {
    /// Program and arguments; what it prints on stdout is dropped
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs the command and prints the figure.
pub(crate) fn run(args: &PeakMemoryArgs) -> Result<()> {
    let (program, rest) = args.command.split_first().context("expected a command")?;
    let mut command = Command::new(program);
    let status = command.args(rest).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "{} failed ({status})", program.display());
    println!("{}", most_of_children()?);
    Ok(())
}

/// The most that any child that has ended held at a time; bytes.
fn most_of_children() -> Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    // kilobytes everywhere but on Apple's systems
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    Ok(u64::try_from(usage.max_rss()).context("getrusage: a negative size")? * unit)
}

/// The peak of `command`, which this program runs in another process of its own.
pub(super) fn of(command: &Command) -> Result<u64> {
    let this = std::env::current_exe().context("cannot find this program's file")?;
    let mut wrapped = Command::new(this);
    wrapped.args(["peak-memory", "--"]).arg(command.get_program()).args(command.get_args());
    let text = output(&mut wrapped)?;
    text.trim().parse().with_context(|| format!("peak-memory printed {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_holds_more_counts_more() {
        // bigger than the process of this test
        const MB: u64 = 1 << 20;
        let status = Command::new("dd")
            .args(["if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"])
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success());
        let most = most_of_children().unwrap();
        assert!((200 * MB..300 * MB).contains(&most), "{most}");
    }
}
