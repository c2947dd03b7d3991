//! The files that the examples embed or read: models as Rust source, samples, and what the host makes of each by `penjing run`.
//! It judges nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::Context;
use crate::bench::images::{Images, random};
use crate::child::output;
use crate::{files, safetensors};

/// The article's network, pruned and trained quantization-aware.
pub(super) const ARTICLE: &str = "examples/models/article.pnj";
/// MNIST's first test images.
const ARTICLE_SAMPLES: usize = 100;
/// The keyword spotter of MLPerf Tiny, of the shared folder.
const KWS: &str = "interop/kws_ref_model";
/// Fewer, for each takes an emulator as long as 30 images.
const KWS_SAMPLES: usize = 20;

/// A model, as a file and as the source that a program includes, and samples of it.
pub(super) struct Prepared {
    pub(super) pnj: PathBuf,
    /// What `penjing convert --rust` wrote.
    pub(super) source: PathBuf,
    /// Folder of samples.rs and of the .bin files that it includes.
    pub(super) samples: PathBuf,
}

impl Prepared {
    /// How many samples there are.
    pub(super) fn count(&self) -> Result<u64> {
        let size = |name: &str| -> Result<u64> {
            let path = self.samples.join(name);
            Ok(std::fs::metadata(&path).with_context(|| path.display().to_string())?.len())
        };
        Ok(size("images.bin")? / size("noise.bin")?)
    }

    /// The bytes that are in a program but no part of its code: model, samples and scores.
    pub(super) fn embedded(&self) -> Result<[Vec<u8>; 3]> {
        let read = |path: PathBuf| std::fs::read(&path).with_context(|| path.display().to_string());
        Ok([
            read(self.pnj.clone())?,
            read(self.samples.join("images.bin"))?,
            read(self.samples.join("scores.bin"))?,
        ])
    }
}

/// Inputs of a model, one after the other.
struct Inputs {
    /// `U8` or `I8`.
    dtype: &'static str,
    /// Of one input.
    shape: Vec<usize>,
    samples: Vec<u8>,
}

/// Where the article's network and its samples are.
pub(super) fn article(context: &Context) -> Prepared {
    Prepared {
        pnj: context.root.join(ARTICLE),
        source: source(context, "article"),
        samples: context.out.join("samples"),
    }
}

/// Writes them.
pub(super) fn prepare_article(context: &Context) -> Result<()> {
    let images = Images { name: "MNIST", folder: context.root.join("data") };
    let (samples, [height, width]) = images.pixels(ARTICLE_SAMPLES)?;
    let inputs = Inputs { dtype: "U8", shape: vec![height, width, 1], samples };
    prepare(context, &article(context), &inputs)
}

/// target/devices/samples-kws/ and models/kws.rs; none where the shared folder lacks the model.
pub(super) fn prepare_kws(context: &Context) -> Result<Option<Prepared>> {
    let shared = std::env::var_os("PENJING_SHARED").unwrap_or_else(|| "../shared".into());
    let theirs = context.root.join(shared).join(KWS).with_extension("tflite");
    if !theirs.is_file() {
        let required = std::env::var_os("PENJING_REQUIRE_SHARED").is_some_and(|value| value == "1");
        ensure!(!required, "{}: missing, with PENJING_REQUIRE_SHARED=1", theirs.display());
        println!(
            "SKIPPED the keyword spotter: no {}; PENJING_SHARED names another folder",
            theirs.display()
        );
        return Ok(None);
    }
    let golden = theirs.with_extension("golden.safetensors");
    let file = std::fs::read(&golden).with_context(|| golden.display().to_string())?;
    let tensor = safetensors::read(&file, "input").with_context(|| golden.display().to_string())?;
    ensure!(tensor.dtype == "I8", "{}: expected I8, found {}", golden.display(), tensor.dtype);
    let shape = tensor.shape[1..].to_vec();
    let bytes = KWS_SAMPLES * shape.iter().product::<usize>();
    let samples = tensor.data.get(..bytes).with_context(|| golden.display().to_string())?;
    let inputs = Inputs { dtype: "I8", shape, samples: samples.to_vec() };
    let prepared = Prepared {
        pnj: source(context, "kws").with_extension("pnj"),
        source: source(context, "kws"),
        samples: context.out.join("samples-kws"),
    };
    folder(&context.out.join("models"))?;
    let args = ["convert".as_ref(), theirs.as_os_str(), "-o".as_ref(), prepared.pnj.as_os_str()];
    output(context.penjing().args(args))?;
    prepare(context, &prepared, &inputs)?;
    Ok(Some(prepared))
}

/// Where a model's source is written.
fn source(context: &Context, name: &str) -> PathBuf {
    context.out.join("models").join(name).with_extension("rs")
}

fn folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| path.display().to_string())
}

/// Writes what differs: a file that is written is compiled anew.
fn update(path: &Path, contents: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == contents) {
        return Ok(());
    }
    files::write(path, contents)
}

/// Writes the source, the samples, an input of noise, and the host's scores of all.
fn prepare(context: &Context, prepared: &Prepared, inputs: &Inputs) -> Result<()> {
    let Prepared { pnj, source, samples } = prepared;
    folder(&context.out.join("models"))?;
    folder(samples)?;
    let new = source.with_extension("new.rs");
    let args = ["convert".as_ref(), pnj.as_os_str(), "--rust".as_ref(), new.as_os_str()];
    output(context.penjing().args(args))?;
    let written = std::fs::read(&new).with_context(|| new.display().to_string())?;
    update(source, &written)?;
    let mut state = 6;
    let noise: Vec<u8> =
        (0..inputs.shape.iter().product()).map(|_| (random(&mut state) >> 56) as u8).collect();
    for (name, scores, data) in
        [("images", "scores", &inputs.samples), ("noise", "noise_scores", &noise)]
    {
        let found = run(context, (pnj, samples), inputs, data)?;
        update(&samples.join(name).with_extension("bin"), data)?;
        update(&samples.join(scores).with_extension("bin"), &found)?;
    }
    update(&samples.join("samples.rs"), rust(inputs.dtype).as_bytes())
}

/// What the host makes of samples: int8 scores, one row after the other.
fn run(
    context: &Context,
    (model, folder): (&Path, &Path),
    inputs: &Inputs,
    samples: &[u8],
) -> Result<Vec<u8>> {
    let [input, result] = ["input", "output"].map(|n| folder.join(n).with_extension("safetensors"));
    let count = samples.len() / inputs.shape.iter().product::<usize>();
    let shape = [&[count], &inputs.shape[..]].concat();
    files::write(&input, safetensors::write("input", inputs.dtype, &shape, samples))?;
    let mut args: Vec<&OsStr> = vec!["run".as_ref(), model.as_os_str()];
    args.extend(["--input".as_ref(), input.as_os_str(), "--output".as_ref(), result.as_os_str()]);
    output(context.penjing().args(args))?;
    let file = std::fs::read(&result).with_context(|| result.display().to_string())?;
    let scores =
        safetensors::read(&file, "output").with_context(|| result.display().to_string())?;
    ensure!(
        scores.dtype == "I8" && scores.shape.first() == Some(&count),
        "{}: expected I8 scores of {count} samples, found {} {:?}",
        result.display(),
        scores.dtype,
        scores.shape
    );
    Ok(scores.data.to_vec())
}

/// The files beside it, for a program that includes this.
fn rust(dtype: &str) -> String {
    let element = dtype.to_lowercase();
    let mut text = "// Made by `cargo xtask devices`. Do not edit.\n".to_owned();
    text += &format!("pub(super) type Element = {element};\n");
    for (name, file) in [
        ("SAMPLES", "images"),
        ("SCORES", "scores"),
        ("NOISE", "noise"),
        ("NOISE_SCORES", "noise_scores"),
    ] {
        text += &format!("pub(super) static {name}: &[u8] = include_bytes!(\"{file}.bin\");\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_names_every_file() {
        let text = rust("I8");
        assert!(text.contains("type Element = i8;"), "{text}");
        assert_eq!(text.matches("include_bytes!").count(), 4);
        assert!(text.contains("NOISE_SCORES: &[u8] = include_bytes!(\"noise_scores.bin\");"));
    }
}
