//! The boards that QEMU plays: builds examples/cortex-m and examples/riscv for each, runs them as `cargo run` does, and measures
//! what they take. What they may take is `budget`'s.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::answers::Answers;
use super::elf::Elf;
use super::samples::{self, Prepared};
use super::{Context, Package, Row, toolchain};
use crate::child::executable;

pub(super) const M4F: &str = "thumbv7em-none-eabihf";
pub(super) const M3: &str = "thumbv7m-none-eabi";
pub(super) const M0: &str = "thumbv6m-none-eabi";
pub(super) const RISCV: &str = "riscv32imc-unknown-none-elf";

pub(super) const ARM_TARGETS: &[&str] = &[M4F, M3, M0];
pub(super) const ARM_PACKAGES: &[&[Package]] =
    &[toolchain::PACKAGES, &[("qemu-system-arm", "qemu-system-arm")]];
pub(super) const RISCV_TARGETS: &[&str] = &[RISCV];
pub(super) const RISCV_PACKAGES: &[&[Package]] =
    &[toolchain::PACKAGES, &[("qemu-system-riscv32", "qemu-system-misc")]];

/// Long: the slowest takes seconds, on a machine that does nothing else.
const RUN_LIMIT: Duration = Duration::from_secs(300);
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// Kernels of plain Rust where a core has better ones.
const PLAIN: &str = "--cfg penjing_plain";

/// What the linker says of the call that the panic handler makes.
const PANIC: &str = "undefined symbol: a_panic_is_reachable";

/// A program for a board.
struct Board {
    target: &'static str,
    example: &'static str,
    features: &'static [&'static str],
    /// For rustc.
    flags: &'static str,
    /// What it is, in the table.
    what: &'static str,
}

impl Board {
    const fn new(target: &'static str, what: &'static str) -> Self {
        Self { target, example: "cortex-m", features: &[], flags: "", what }
    }
}

const ARM: &[Board] = &[
    Board { flags: PLAIN, ..Board::new(M4F, "article, plain Rust") },
    Board::new(M4F, "article, SMLAD"),
    Board::new(M3, "article, no FPU"),
    Board { features: &["microbit"], ..Board::new(M0, "article, no FPU") },
];

const ARM_KWS: &[Board] = &[
    Board { flags: PLAIN, ..Board::new(M4F, "keywords, plain Rust") },
    Board::new(M4F, "keywords, SMLAD"),
];

const RISCV_BOARDS: &[Board] =
    &[Board { example: "riscv", ..Board::new(RISCV, "article, no FPU") }];

/// Every Cortex-M.
pub(super) fn run_arm(context: &Context) -> Result<Vec<Row>> {
    let mut rows = run_all(context, ARM)?;
    if !context.wants(M4F) {
        return Ok(rows);
    }
    if let Some(kws) = samples::prepare_kws(context)? {
        for board in ARM_KWS {
            rows.extend(run(context, board, &kws)?);
        }
    }
    Ok(rows)
}

/// The RISC-V.
pub(super) fn run_riscv(context: &Context) -> Result<Vec<Row>> {
    run_all(context, RISCV_BOARDS)
}

fn run_all(context: &Context, boards: &[Board]) -> Result<Vec<Row>> {
    let article = samples::article(context);
    let mut rows = Vec::new();
    let wanted = boards.iter().filter(|board| context.wants(board.target));
    for (index, board) in wanted.enumerate() {
        rows.extend(run(context, board, &article)?);
        if index == 0 {
            refuses_panics(context, board, &article)?;
        }
    }
    Ok(rows)
}

/// Builds, runs and measures: a row of the samples and one of noise.
fn run(context: &Context, board: &Board, prepared: &Prepared) -> Result<[Row; 2]> {
    let name = format!("{}, {}", board.target, board.what);
    let elf = build(context, board, prepared).with_context(|| name.clone())?;
    let log = log(context, board, "run");
    let mut command = cargo(context, "run", board, prepared);
    let (well, printed) = toolchain::logged(command.arg("--quiet"), &log, RUN_LIMIT)?;
    let answers = Answers::parse(&printed).with_context(|| name.clone())?;
    let all = (answers.equal, answers.noise_equal) == (answers.samples, answers.noise);
    ensure!(
        well && all && answers.samples > 0,
        "{name}: {} of {} samples and {} of {} of noise have the host's scores, {}",
        answers.equal,
        answers.samples,
        answers.noise_equal,
        answers.noise,
        if well { "exit code 0" } else { "exit code not 0" }
    );
    let size = Size::of(&elf, prepared).with_context(|| name.clone())?;
    println!("{name}: {}; {}", size.words(), words(&answers));
    Ok(rows(board, &size, &answers))
}

fn rows(board: &Board, size: &Size, answers: &Answers) -> [Row; 2] {
    let samples = Row {
        target: board.target.to_owned(),
        what: board.what.to_owned(),
        code: Some(size.code),
        model: Some(size.model),
        ram: Some(size.statics + answers.stack),
        stack: Some(answers.stack),
        instructions: Some(answers.mean),
        matches: format!("{} of {}", answers.equal, answers.samples),
    };
    let noise = Row {
        target: board.target.to_owned(),
        what: format!("{}, noise", board.what),
        code: None,
        model: None,
        ram: None,
        stack: None,
        instructions: Some(answers.noise_instructions),
        matches: format!("{} of {}", answers.noise_equal, answers.noise),
    };
    [samples, noise]
}

fn words(answers: &Answers) -> String {
    format!(
        "instructions {} to {} an inference, {} to open the model",
        answers.least, answers.most, answers.opening
    )
}

/// What a program takes before it runs.
struct Size {
    code: u64,
    model: u64,
    statics: u64,
}

impl Size {
    /// Code is all that is neither model nor samples; each of these must be there once.
    fn of(path: &PathBuf, prepared: &Prepared) -> Result<Self> {
        let file = std::fs::read(path).with_context(|| path.display().to_string())?;
        let elf = Elf::parse(&file).with_context(|| path.display().to_string())?;
        let embedded = prepared.embedded()?;
        for bytes in &embedded {
            let times = elf.count(bytes);
            ensure!(
                times == 1,
                "{}: expected the {} bytes of a file once, found them {times} times",
                path.display(),
                bytes.len()
            );
        }
        let [model, samples, scores] = embedded.map(|bytes| bytes.len() as u64);
        let noise = (samples + scores) / prepared.count()?;
        Ok(Self {
            code: elf.flash() - model - samples - scores - noise,
            model,
            statics: elf.statics(),
        })
    }

    fn words(&self) -> String {
        format!("{} bytes of code, {} of model, {} of statics", self.code, self.model, self.statics)
    }
}

/// Builds; the executable.
fn build(context: &Context, board: &Board, prepared: &Prepared) -> Result<PathBuf> {
    let log = log(context, board, "build");
    let mut command = cargo(context, "build", board, prepared);
    command.arg("--message-format=json-render-diagnostics");
    let (well, printed) = toolchain::logged(&mut command, &log, BUILD_LIMIT)?;
    if !well {
        let shown: Vec<&str> = printed.lines().filter(|line| !line.starts_with('{')).collect();
        let shown = shown.join("\n");
        let hint = if shown.contains(PANIC) { ": a panic can be reached" } else { "" };
        bail!("the build failed{hint}\n{shown}");
    }
    executable(&printed, &format!("penjing-{}", board.example))
        .context("cargo did not say where the executable is")
}

/// A program with a panic that can be reached must not link: else that the others link would show nothing.
fn refuses_panics(context: &Context, board: &Board, prepared: &Prepared) -> Result<()> {
    let mut command = cargo(context, "build", board, prepared);
    command.args(["--features", "reachable-panic"]);
    let log = log(context, board, "reachable-panic");
    let (well, printed) = toolchain::logged(&mut command, &log, BUILD_LIMIT)?;
    ensure!(
        !well && printed.contains(PANIC),
        "{}: expected a program with a reachable panic not to link ({PANIC}), found\n{printed}",
        board.target
    );
    println!("{}: a program with a panic that can be reached does not link", board.target);
    Ok(())
}

fn cargo(
    context: &Context,
    command: &str,
    board: &Board,
    prepared: &Prepared,
) -> std::process::Command {
    let folder = format!("examples/{}", board.example);
    let mut cargo = toolchain::cargo(context, command, &folder, board.target);
    cargo.env("PENJING_MODEL", &prepared.source);
    cargo.env("PENJING_SAMPLES", prepared.samples.join("samples.rs"));
    if !board.flags.is_empty() {
        cargo.env("RUSTFLAGS", board.flags);
    }
    if !board.features.is_empty() {
        cargo.args(["--features", &board.features.join(",")]);
    }
    cargo
}

/// Where a step's output is kept.
fn log(context: &Context, board: &Board, step: &str) -> PathBuf {
    let what = board.what.replace([',', ' '], "");
    context.out.join(format!("{}-{what}-{step}.log", board.target))
}
