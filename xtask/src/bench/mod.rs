//! `cargo xtask bench`: kernels beside the machine's peak; with `--peers` the article's network beside LiteRT, with `--interop`
//! the reference models of MLPerf Tiny. It spawns `cargo bench`, the `penjing` binary and Python; what it times is what a user
//! runs.

mod answers;
mod bars;
pub(crate) mod images;
mod interop;
mod kernels;
mod litert;
mod peak_memory;
mod peers;
mod record;
mod report;
mod starts;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use bars::Verdict;
use images::Images;
use litert::LiteRt;
use peers::{Found, Setup};
use record::{Peak, Record};

use crate::child::Penjing;
use crate::files;
use crate::host::{self, Machine};
use crate::progress::Progress;
use crate::reproduce;

pub(crate) use peak_memory::{PeakMemoryArgs, run as peak_memory};

/// Time kernels beside the machine's peak, and networks beside LiteRT.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Alternate with LiteRT on the article's network
    #[arg(long)]
    peers: bool,
    /// Alternate with LiteRT on the reference models of MLPerf Tiny
    #[arg(long)]
    interop: bool,
    /// Times that the two alternate
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Timed passes of each process
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// One round and few passes: shows that all works, not how fast
    #[arg(long, conflicts_with_all = ["check", "record", "rounds", "repeats"])]
    quick: bool,
    /// Fail where a bar is missed
    #[arg(long)]
    check: bool,
    /// Keep the run in docs/results and show it in docs/performance.md
    #[arg(long, requires = "peers")]
    record: bool,
}

/// Runs it all; `false` where `--check` found a bar missed.
pub(crate) fn run(args: &BenchArgs, root: &Path) -> Result<bool> {
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    // at once: what is missing should not be found out after minutes
    let litert = if args.peers || args.interop {
        Some(LiteRt::install(root, &root.join("target/litert"))?)
    } else {
        None
    };
    // before the build: a commit that comes while this runs is not what is measured
    let commit = host::commit(root);
    let penjing = Penjing::build(root)?;
    let progress = Progress::start();
    let step = progress.step();
    let kernels = kernels::measure(root, &folder.join("criterion"), args.quick)?;
    step.done("layers and peaks");
    let found = match &litert {
        Some(litert) if args.peers => {
            let setup = setup(args, root, &penjing, litert, &kernels.peaks, &progress)?;
            Some(peers::measure(&setup, &progress)?)
        }
        _ => None,
    };
    let foreign = match &litert {
        Some(litert) if args.interop => {
            interop::measure((&penjing, litert), &folder, numbers(args), &progress)?
        }
        _ => Vec::new(),
    };
    let record = Record {
        host: Machine::here(),
        kernel: record::kernel()?,
        rustc: host::rustc(root)?,
        isa: kernels.layers[0].isa.clone(),
        commit,
        date: record::today()?,
        peaks: kernels.peaks,
        layers: kernels.layers,
        peers: found.as_ref().map(|found| found.peers.clone()),
        interop: foreign,
    };
    if let Some(Found { isa, .. }) = &found {
        ensure!(*isa == record.isa, "the benches ran {} kernels, penjing {isa}", record.isa);
    }
    print!("{}", report::text(&record));
    if args.record {
        keep(root, &record)?;
    }
    println!("{:.0} s after the build", progress.seconds());
    Ok(!args.check || meets_all(&record))
}

/// Rounds, and timed passes of each process.
fn numbers(args: &BenchArgs) -> (usize, usize) {
    if args.quick { (1, 3) } else { (args.rounds.into(), args.repeats.into()) }
}

/// What the peers' rounds work with.
fn setup<'a>(
    args: &BenchArgs,
    root: &Path,
    penjing: &'a Penjing,
    litert: &'a LiteRt,
    peaks: &[Peak],
    progress: &Progress,
) -> Result<Setup<'a>> {
    let folder = root.join("target/bench");
    let mut sets: Vec<String> = peaks.iter().map(|peak| peak.isa.clone()).collect();
    sets.dedup();
    let (rounds, repeats) = numbers(args);
    Ok(Setup {
        penjing,
        litert,
        models: reproduce::first_models(&["baseline", "pruned_qat"], root, penjing, progress)?,
        images: [
            Images { name: "MNIST", folder: root.join("data") },
            images::write_noise(&folder.join("noise"))?,
        ],
        folder,
        sets,
        rounds,
        repeats,
    })
}

/// Puts the record where readers look, and the tables of all records into the page.
fn keep(root: &Path, record: &Record) -> Result<()> {
    let results = root.join("docs/results");
    std::fs::create_dir_all(&results).with_context(|| results.display().to_string())?;
    files::write(&results.join(record.file_name()), record.json()?)?;
    let tables = report::markdown(&record::read_all(&results)?);
    files::replace_between(&root.join("docs/performance.md"), "performance", &tables)
}

/// Says which bars were missed.
fn meets_all(record: &Record) -> bool {
    let of_peers = record.peers.iter().flat_map(|peers| bars::judge_peers(record, peers));
    let of_models = bars::judge_interop(record);
    let judged = of_peers.chain(of_models).chain(bars::judge_layers(record));
    let missed: Vec<_> = judged.filter(|bar| bar.verdict == Verdict::Missed).collect();
    for bar in &missed {
        eprintln!("MISSED {}: {}, expected {}", bar.what, bar.found, bar.expected);
    }
    if missed.is_empty() {
        println!("no bar is missed");
    }
    missed.is_empty()
}
