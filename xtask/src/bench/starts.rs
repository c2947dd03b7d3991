//! What a program that classifies one batch of 32 waits for and holds: the time from file to first result, and its memory.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::images;
use super::peak_memory;
use super::peers::{Ours, Setup};
use super::record::Start;
use crate::child::json;
use crate::files;

const BATCH: usize = 32;
/// As often as `penjing bench` opens its model anew.
const LOADS: usize = 20;

/// The figures so far, two programs and two types.
pub(super) struct Starts {
    pub(super) starts: Vec<Start>,
}

/// What litert_start.py prints.
#[derive(Deserialize)]
struct Load {
    load_us: f64,
}

impl Starts {
    /// Writes the batch for `penjing run`.
    pub(super) fn new(setup: &Setup<'_>) -> Result<Self> {
        for dtype in ["int8", "f32"] {
            let model = setup.model(dtype);
            let args = [OsStr::new("inspect"), model.as_os_str(), OsStr::new("--json")];
            let found: Value = setup.penjing.json(&args)?;
            let input = found["inputs"][0]["dtype"].as_str();
            let input = input.context("penjing inspect --json: no input's dtype")?;
            let bytes = images::tensor_file(&setup.images[0], BATCH, input)?;
            files::write(&input_file(setup, dtype), bytes)?;
        }
        Ok(Self { starts: Vec::new() })
    }

    /// One round: `ours` is `penjing bench` of the same model in batches of 32.
    pub(super) fn round(&mut self, setup: &Setup<'_>, dtype: &str, ours: &Ours) -> Result<()> {
        let mnist = &setup.images[0];
        let load: Load = json(&mut setup.litert.start(dtype, mnist, LOADS))?;
        let peak_bytes = peak_memory::of(&setup.litert.start(dtype, mnist, 1))?;
        self.add("LiteRT", dtype, load.load_us, peak_bytes);
        let (model, input) = (setup.model(dtype), input_file(setup, dtype));
        let output = setup.folder.join("output.safetensors");
        let mut args: Vec<&OsStr> = vec!["run".as_ref(), model.as_os_str()];
        args.extend(["--input".as_ref(), input.as_os_str()]);
        args.extend(["--output".as_ref(), output.as_os_str()]);
        let peak_bytes = peak_memory::of(&setup.penjing.command(&args))?;
        self.add("penjing", dtype, ours.load_us, peak_bytes);
        Ok(())
    }

    fn add(&mut self, program: &str, dtype: &str, load_us: f64, peak_bytes: u64) {
        let same = |start: &&mut Start| start.program == program && start.dtype == dtype;
        match self.starts.iter_mut().find(same) {
            Some(start) => {
                start.load_us = start.load_us.min(load_us);
                start.peak_bytes = start.peak_bytes.max(peak_bytes);
            }
            None => self.starts.push(Start {
                program: program.to_owned(),
                dtype: dtype.to_owned(),
                load_us,
                peak_bytes,
            }),
        }
    }
}

fn input_file(setup: &Setup<'_>, dtype: &str) -> PathBuf {
    setup.folder.join(format!("{dtype}.safetensors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_time_and_the_most_memory_are_kept() {
        let mut starts = Starts { starts: Vec::new() };
        starts.add("penjing", "int8", 120.0, 5);
        starts.add("LiteRT", "int8", 900.0, 40);
        starts.add("penjing", "int8", 100.0, 6);
        starts.add("penjing", "int8", 110.0, 4);
        let found: Vec<(f64, u64)> =
            starts.starts.iter().map(|s| (s.load_us, s.peak_bytes)).collect();
        assert_eq!(found, [(100.0, 6), (900.0, 40)]);
    }
}
