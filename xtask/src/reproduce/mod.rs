//! `cargo xtask reproduce`: trains the article's six variants, converts them, runs them and prints its three tables, all by
//! the `penjing` binary. It computes nothing that a user could not.

mod article;
mod bars;
mod child;
mod host;
mod jobs;
mod measure;
mod progress;
mod recipe;
mod report;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use bars::Found;
use child::Penjing;
use host::Host;
use jobs::Job;
use measure::{Bench, TABLES};
use progress::Progress;
use recipe::STAGES;
use report::Report;

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
    /// Folder for tables.md, results.json and models/
    #[arg(long, value_name = "DIR", default_value = "target/reproduce")]
    out: PathBuf,
    /// Folder of IDX files
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
}

/// What a run works with.
struct Run<'a> {
    args: &'a ReproduceArgs,
    root: &'a Path,
    penjing: Penjing,
    progress: Progress,
}

/// Runs it all; `false` where `--check` found a bar missed.
pub(crate) fn run(args: &ReproduceArgs, root: &Path) -> Result<bool> {
    let penjing = Penjing::build(root)?;
    let run = Run { args, root, penjing, progress: Progress::start() };
    let (out, data) = (root.join(&args.out), root.join(&args.data));
    ensure!(data.is_dir(), "--data {}: no such folder", data.display());
    for seed in 0..args.seeds {
        let folder = run.models(seed);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    jobs::run_all(&run.jobs(&data), cores, &run.progress)?;
    let measured = run.measure(&data)?;
    let (report, found_missed) = run.report(&measured, &data)?;
    print!("{}", report.text());
    write(&out.join("tables.md"), &report.markdown())?;
    write(&out.join("results.json"), &report.json()?)?;
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

impl Run<'_> {
    /// Where a seed's checkpoints and models lie; the first seed's are the ones to keep.
    fn models(&self, seed: u32) -> PathBuf {
        let out = self.root.join(&self.args.out);
        if seed == 0 { out.join("models") } else { out.join(format!("seed-{seed}")) }
    }

    /// Training and conversion of every stage and seed.
    fn jobs<'a>(&'a self, data: &'a Path) -> Vec<Job<'a>> {
        let n = STAGES.len();
        let mut jobs: Vec<Job<'a>> = Vec::new();
        for seed in 0..self.args.seeds {
            let first = jobs.len();
            for (i, stage) in STAGES.iter().enumerate() {
                jobs.push(Job {
                    name: format!("seed {seed}: train {}", stage.name),
                    needs: stage.parent.map(|p| first + p).into_iter().collect(),
                    work: Box::new(move || self.train(seed, i, data)),
                });
            }
            for (i, stage) in STAGES.iter().enumerate() {
                jobs.push(Job {
                    name: format!("seed {seed}: convert {}", stage.name),
                    needs: vec![first + i],
                    work: Box::new(move || self.convert(seed, i, data)),
                });
            }
            debug_assert_eq!(jobs.len(), first + 2 * n);
        }
        jobs
    }

    fn train(&self, seed: u32, stage: usize, data: &Path) -> Result<()> {
        let (stage, folder) = (&STAGES[stage], self.models(seed));
        let file = |name: &str| folder.join(format!("{name}.safetensors"));
        let (seed, output) = (seed.to_string(), file(stage.name));
        let parent = stage.parent.map(|p| file(STAGES[p].name));
        let mut args: Vec<&OsStr> = stage.words(self.args.quick).map(OsStr::new).collect();
        if let Some(parent) = &parent {
            args.extend([OsStr::new("--from"), parent.as_os_str()]);
        }
        args.extend(["--seed", &seed, "--quiet", "--data"].map(OsStr::new));
        args.extend([data.as_os_str(), OsStr::new("-o"), output.as_os_str()]);
        self.penjing.run(&args).map(drop)
    }

    fn convert(&self, seed: u32, stage: usize, data: &Path) -> Result<()> {
        let path = self.models(seed).join(STAGES[stage].name);
        let (checkpoint, model) = (path.with_extension("safetensors"), path.with_extension("pnj"));
        let images = if self.args.quick { "1000" } else { "10000" };
        let words = ["--check-images", images, "--data"].map(OsStr::new);
        let mut args = vec![OsStr::new("convert"), checkpoint.as_os_str()];
        args.extend([OsStr::new("-o"), model.as_os_str()]);
        args.extend(words);
        args.push(data.as_os_str());
        self.penjing.run(&args).map(drop)
    }

    /// Every table's rows on every seed, `[table][row][seed]`, one measurement at a time.
    fn measure(&self, data: &Path) -> Result<Vec<Vec<Vec<Bench>>>> {
        let repeats = if self.args.quick { 2 } else { 7 };
        let mut measured = Vec::new();
        for table in &TABLES {
            let step = self.progress.step();
            let row = |file: &str| -> Result<Vec<Bench>> {
                (0..self.args.seeds)
                    .map(|seed| {
                        let path = self.models(seed).join(file);
                        measure::bench(&self.penjing, &path, data, table, repeats)
                    })
                    .collect()
            };
            measured.push(table.models.iter().map(|m| row(m.file)).collect::<Result<_>>()?);
            step.done(&format!("measure table {}", table.number));
        }
        Ok(measured)
    }

    /// The report, and the bars that were missed.
    fn report(&self, measured: &[Vec<Vec<Bench>>], data: &Path) -> Result<(Report, Vec<String>)> {
        let rows = |i: usize| measure::rows(&TABLES[i], &measured[i]);
        let tables = [rows(0), rows(1), rows(2)];
        let accuracy = |model: &str| {
            tables[1].iter().find(|r| r.model == model).map_or(f64::NAN, |r| r.accuracy)
        };
        let lowered = vec![
            ("pruned_lite", accuracy("pruned"), accuracy("pruned_lite")),
            ("qat_lite", accuracy("qat"), accuracy("qat_lite")),
            ("pruned_qat_lite", self.checkpoint_accuracy(data)?, accuracy("pruned_qat_lite")),
        ];
        let mut dense_zeros = Vec::new();
        for (model, file) in [("pruned_lite", "pruned.pnj"), ("pruned_qat_lite", "pruned_qat.pnj")]
        {
            let (zeros, elements) = self.dense_zeros(file)?;
            dense_zeros.push((model, zeros, elements));
        }
        let mut notes = Vec::new();
        for (name, checkpoint, file) in &lowered {
            notes.push(format!("{name}: accuracy {file:.4}, of its checkpoint {checkpoint:.4}"));
        }
        for (name, zeros, elements) in &dense_zeros {
            let percent = 100.0 * *zeros as f64 / *elements as f64;
            notes.push(format!(
                "{name}: {zeros} of {elements} dense weights are zero ({percent:.1} %)"
            ));
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
            commit: host::commit(self.root),
            seeds: self.args.seeds as usize,
            recipe: recipe::lines(self.args.quick),
            notes,
        };
        Ok((report, missed))
    }

    /// Mean accuracy of the pruned and quantization-aware checkpoints, which are no row of a table.
    fn checkpoint_accuracy(&self, data: &Path) -> Result<f64> {
        let of = |seed| -> Result<f64> {
            let path = self.models(seed).join("pruned_qat.safetensors");
            let args = [
                OsStr::new("eval"),
                path.as_os_str(),
                OsStr::new("--data"),
                data.as_os_str(),
                OsStr::new("--json"),
            ];
            let found: Value = self.penjing.json(&args)?;
            found["accuracy"].as_f64().context("penjing eval --json: no accuracy")
        };
        let all = (0..self.args.seeds).map(of).collect::<Result<Vec<f64>>>()?;
        Ok(measure::mean(&all))
    }

    /// Zeros and elements of the last kernel of the first seed's model.
    fn dense_zeros(&self, file: &str) -> Result<(u64, u64)> {
        let path = self.models(0).join(file);
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
    write(&results.join("tables.md"), &report.markdown())?;
    write(&results.join("results.json"), &report.json()?)?;
    let readme = root.join("README.md");
    let text = std::fs::read_to_string(&readme).with_context(|| readme.display().to_string())?;
    write(&readme, &report::splice(&text, &report.markdown())?)
}

/// Writes beside the place and renames.
fn write(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, path))
        .with_context(|| path.display().to_string())
}
