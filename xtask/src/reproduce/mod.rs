//! `cargo xtask reproduce`: trains the article's six variants, converts them, runs them and prints its three tables, all by
//! the `penjing` binary. It computes nothing that a user could not.

mod article;
mod bars;
mod jobs;
mod measure;
mod recipe;
mod report;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use bars::{DenseZeros, Found};
use jobs::Job;
use measure::{Bench, Row, TABLES};
use recipe::STAGES;
use report::Report;

use crate::child::Penjing;
use crate::files;
use crate::host::{self, Host};
use crate::progress::Progress;

/// Train the article's six variants, convert them, run them and print its three tables.
#[derive(Args)]
pub(crate) struct ReproduceArgs {
    /// Seeds 0..N; several give mean and standard deviation
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    seeds: u32,
    /// One epoch a stage and few repeats: shows that all works, not how well
    #[arg(long, conflicts_with_all = ["check", "publish"])]
    quick: bool,
    /// Fail where a bar of accuracy, size or time is missed
    #[arg(long)]
    check: bool,
    /// Copy the tables into docs/results and README.md
    #[arg(long)]
    publish: bool,
    /// Folder for tables.md, results.json and models/ [default: target/reproduce of the workspace]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder of IDX files [default: data of the workspace]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What a run works with.
struct Run<'a> {
    args: &'a ReproduceArgs,
    root: &'a Path,
    out: PathBuf,
    data: PathBuf,
    penjing: &'a Penjing,
    progress: &'a Progress,
}

/// Runs it all; `false` where `--check` found a bar missed.
pub(crate) fn run(args: &ReproduceArgs, root: &Path) -> Result<bool> {
    let out = files::absolute(args.out.as_deref(), root, "target/reproduce")?;
    let data = files::absolute(args.data.as_deref(), root, "data")?;
    ensure!(data.is_dir(), "--data {}: no such folder", data.display());
    // before the build: a commit that comes while this runs is not what is measured
    let commit = host::commit(root);
    let penjing = Penjing::build(root)?;
    let progress = Progress::start();
    let run = Run { args, root, out, data, penjing: &penjing, progress: &progress };
    let out = &run.out;
    for seed in 0..args.seeds {
        let folder = run.models(seed);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    for stale in ["tables.md", "results.json"] {
        files::remove(&out.join(stale))?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    jobs::run_all(&run.jobs(), cores, run.progress)?;
    let measured = run.measure()?;
    let (report, found_missed) = run.report(&measured, commit)?;
    print!("{}", report.text());
    files::write(&out.join("tables.md"), report.markdown())?;
    files::write(&out.join("results.json"), report.json()?)?;
    if args.publish {
        publish(root, &report)?;
    }
    println!("{:.0} s after the build; {}", run.progress.seconds(), out.display());
    if args.check {
        found_missed.iter().for_each(|line| eprintln!("MISSED {line}"));
        if found_missed.is_empty() {
            println!("every bar is met");
        }
        return Ok(found_missed.is_empty());
    }
    Ok(true)
}

/// The folder with the models `names` of the first seed, trained and converted as by a whole run where it lacks them.
pub(crate) fn first_models(
    names: &[&str],
    root: &Path,
    penjing: &Penjing,
    progress: &Progress,
) -> Result<PathBuf> {
    let args = ReproduceArgs {
        seeds: 1,
        quick: false,
        check: false,
        publish: false,
        out: None,
        data: None,
    };
    let (out, data) = (root.join("target/reproduce"), root.join("data"));
    let run = Run { args: &args, root, out, data, penjing, progress };
    let folder = run.models(0);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for name in names.iter().filter(|name| !folder.join(format!("{name}.pnj")).is_file()) {
        for stage in recipe::chain(name) {
            if !folder.join(STAGES[stage].name).with_extension("safetensors").is_file() {
                let step = progress.step();
                run.train(0, stage)?;
                step.done(&format!("train {}", STAGES[stage].name));
            }
            if STAGES[stage].name == *name {
                run.convert(0, stage)?;
            }
        }
    }
    Ok(folder)
}

impl Run<'_> {
    /// Where a seed's checkpoints and models lie; the first seed's are the ones to keep.
    fn models(&self, seed: u32) -> PathBuf {
        if seed == 0 { self.out.join("models") } else { self.out.join(format!("seed-{seed}")) }
    }

    /// Training and conversion of every stage and seed: all seeds of a stage before the next one, so that no core is left
    /// waiting for the last seed's chain.
    fn jobs(&self) -> Vec<Job<'_>> {
        let seeds = self.args.seeds;
        let index = |stage: usize, seed: u32| stage * seeds as usize + seed as usize;
        let mut jobs: Vec<Job<'_>> = Vec::new();
        for (i, stage) in STAGES.iter().enumerate() {
            for seed in 0..seeds {
                jobs.push(Job {
                    name: format!("seed {seed}: train {}", stage.name),
                    needs: stage.parent.map(|p| index(p, seed)).into_iter().collect(),
                    work: Box::new(move || self.train(seed, i)),
                });
            }
        }
        for (i, stage) in STAGES.iter().enumerate() {
            for seed in 0..seeds {
                jobs.push(Job {
                    name: format!("seed {seed}: convert {}", stage.name),
                    needs: vec![index(i, seed)],
                    work: Box::new(move || self.convert(seed, i)),
                });
            }
        }
        jobs
    }

    fn train(&self, seed: u32, stage: usize) -> Result<()> {
        let (stage, folder) = (&STAGES[stage], self.models(seed));
        let file = |name: &str| folder.join(format!("{name}.safetensors"));
        let (seed, output) = (seed.to_string(), file(stage.name));
        let parent = stage.parent.map(|p| file(STAGES[p].name));
        let words = stage.words(self.args.quick);
        let mut args: Vec<&OsStr> = words.into_iter().map(OsStr::new).collect();
        if let Some(parent) = &parent {
            args.extend([OsStr::new("--from"), parent.as_os_str()]);
        }
        args.extend(["--seed", &seed, "--quiet", "--data"].map(OsStr::new));
        args.extend([self.data.as_os_str(), OsStr::new("-o"), output.as_os_str()]);
        self.penjing.run(&args).map(drop)
    }

    fn convert(&self, seed: u32, stage: usize) -> Result<()> {
        let path = self.models(seed).join(STAGES[stage].name);
        let (checkpoint, model) = (path.with_extension("safetensors"), path.with_extension("pnj"));
        let images = if self.args.quick { "1000" } else { "10000" };
        let words = ["--check-images", images, "--data"].map(OsStr::new);
        let mut args = vec![OsStr::new("convert"), checkpoint.as_os_str()];
        args.extend([OsStr::new("-o"), model.as_os_str()]);
        args.extend(words);
        args.push(self.data.as_os_str());
        self.penjing.run(&args).map(drop)
    }

    /// Every table's rows on every seed, `[table][row][seed]`, one measurement at a time.
    fn measure(&self) -> Result<Vec<Vec<Vec<Bench>>>> {
        let repeats = if self.args.quick { 2 } else { 7 };
        let mut measured = Vec::new();
        for table in &TABLES {
            let step = self.progress.step();
            let row = |file: &str| -> Result<Vec<Bench>> {
                (0..self.args.seeds)
                    .map(|seed| {
                        let path = self.models(seed).join(file);
                        measure::bench(self.penjing, &path, &self.data, table, repeats)
                    })
                    .collect()
            };
            measured.push(table.models.iter().map(|m| row(m.file)).collect::<Result<_>>()?);
            step.done(&format!("measure table {}", table.number));
        }
        Ok(measured)
    }

    /// The report, and the bars that were missed.
    fn report(
        &self,
        measured: &[Vec<Vec<Bench>>],
        commit: String,
    ) -> Result<(Report, Vec<String>)> {
        let rows = |i: usize| measure::rows(&TABLES[i], &measured[i]);
        let tables = [rows(0), rows(1), rows(2)];
        let lowered = self.lowered(&tables[1])?;
        let dense_zeros = self.dense_zeros()?;
        let mut notes = Vec::new();
        for (name, checkpoint, file) in &lowered {
            notes.push(format!("{name}: accuracy {file:.4}, of its checkpoint {checkpoint:.4}"));
        }
        for (name, counts) in &dense_zeros {
            let texts: Vec<String> = counts.iter().map(bars::zeros).collect();
            notes.push(format!("{name}: zeros in the dense kernel: {}", texts.join(", ")));
        }
        let missed = bars::missed(&Found { table_2: &tables[1], lowered, dense_zeros });
        let of = |row: usize| &measured[1][row][0];
        let host = Host {
            machine: of(0).host.clone(),
            rustc: host::rustc(self.root)?,
            runtime_isa: of(3).isa.clone(),
            train_isa: of(0).isa.clone(),
        };
        let report = Report {
            tables,
            host,
            commit,
            seeds: self.args.seeds as usize,
            recipe: recipe::lines(self.args.quick),
            notes,
        };
        Ok((report, missed))
    }

    /// Each lowered model with the mean accuracy of its checkpoint and of its file; two of those files are no row of a
    /// table.
    fn lowered(&self, table_2: &[Row]) -> Result<Vec<(&'static str, f64, f64)>> {
        let row = |model: &str| {
            table_2.iter().find(|r| r.model == model).map_or(f64::NAN, |r| r.accuracy)
        };
        Ok(vec![
            ("baseline_lite", row("baseline"), self.accuracy("baseline.pnj")?),
            ("pruned_lite", row("pruned"), row("pruned_lite")),
            ("qat_lite", row("qat"), row("qat_lite")),
            ("pruned_qat_lite", self.accuracy("pruned_qat.safetensors")?, row("pruned_qat_lite")),
        ])
    }

    /// Mean accuracy of a file over the seeds.
    fn accuracy(&self, file: &str) -> Result<f64> {
        let of = |seed| -> Result<f64> {
            let path = self.models(seed).join(file);
            let mut args = vec![OsStr::new("eval"), path.as_os_str(), OsStr::new("--data")];
            args.extend([self.data.as_os_str(), OsStr::new("--json")]);
            let found: Value = self.penjing.json(&args)?;
            found["accuracy"].as_f64().context("penjing eval --json: no accuracy")
        };
        let all = (0..self.args.seeds).map(of).collect::<Result<Vec<f64>>>()?;
        Ok(measure::mean(&all))
    }

    /// Zeros and elements of the last kernel of the lowered pruned models, seed by seed.
    fn dense_zeros(&self) -> Result<Vec<DenseZeros>> {
        let of = |file: &str| (0..self.args.seeds).map(|s| self.last_kernel(s, file)).collect();
        let (pruned, pruned_qat): (Result<_>, Result<_>) = (of("pruned.pnj"), of("pruned_qat.pnj"));
        Ok(vec![("pruned_lite", pruned?), ("pruned_qat_lite", pruned_qat?)])
    }

    /// Zeros and elements of the last kernel of a model.
    fn last_kernel(&self, seed: u32, file: &str) -> Result<(u64, u64)> {
        let path = self.models(seed).join(file);
        let found: Value =
            self.penjing.json(&[OsStr::new("inspect"), path.as_os_str(), OsStr::new("--json")])?;
        let kernels = found["nodes"].as_array().context("penjing inspect --json: no nodes")?;
        let last = kernels.iter().map(|node| &node["weights"]).rfind(|w| !w.is_null());
        let count = |field: &str| last.and_then(|w| w[field].as_u64());
        let (Some(elements), Some(nnz)) = (count("elements"), count("nnz")) else {
            anyhow::bail!("{}: penjing inspect --json shows no kernel", path.display());
        };
        Ok((elements - nnz, elements))
    }
}

/// Puts the tables where readers look.
fn publish(root: &Path, report: &Report) -> Result<()> {
    let results = root.join("docs/results");
    std::fs::create_dir_all(&results).with_context(|| results.display().to_string())?;
    files::write(&results.join("tables.md"), report.markdown())?;
    files::write(&results.join("results.json"), report.json()?)?;
    files::replace_between(&root.join("README.md"), "tables", &report.markdown())
}
