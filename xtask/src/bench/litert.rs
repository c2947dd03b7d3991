//! LiteRT as a peer: its Python package under target/, its models and its timing script in the shared folder. It installs and
//! starts programs; what is timed when is `peers`'.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::images::Images;
use crate::child::{json, output};
use crate::files;

/// What pip installs; the file that marks a finished installation holds the same words.
const PACKAGES: [&str; 2] = ["ai-edge-litert==2.3.0", "numpy"];

/// An installed LiteRT with the article's network in its format.
pub(super) struct LiteRt {
    python: PathBuf,
    /// `peers` of the shared folder.
    peers: PathBuf,
    /// Folder of our own scripts.
    scripts: PathBuf,
}

/// From the script's report; the same fields as `penjing bench --json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Timing {
    pub(super) us_per_image_min: f64,
    pub(super) us_per_image_p10: f64,
    pub(super) us_per_image_median: f64,
    pub(super) accuracy: f64,
}

/// The file of the article's network for a type and a batch.
fn model(dtype: &str, batch: usize) -> String {
    let name = if dtype == "int8" { "pqat_int8io" } else { "baseline_f32" };
    format!("models/{name}_b{batch}.tflite")
}

impl LiteRt {
    /// Finds the models and the script, then installs the package into `venv` where it is not there yet.
    ///
    /// # Errors
    /// Where a file is missing: with the way to make it.
    pub(super) fn install(root: &Path, venv: &Path) -> Result<Self> {
        let peers = match std::env::var_os("PENJING_SHARED") {
            Some(shared) => root.join(shared).join("peers"),
            None => root.join("../shared/peers"),
        };
        let models = ["int8", "f32"].iter().flat_map(|d| [model(d, 1), model(d, 32)]);
        let needed = models.chain(["litert_bench.py".to_owned()]);
        let missing: Vec<String> = needed.filter(|file| !peers.join(file).is_file()).collect();
        if !missing.is_empty() {
            bail!("{}", how_to_make(&peers, &missing));
        }
        let (python, marker) = (venv.join("bin/python"), venv.join("penjing-packages"));
        let wanted = PACKAGES.join(" ");
        if std::fs::read_to_string(&marker).ok().as_deref() != Some(&wanted) {
            eprintln!("installing {wanted} into {}", venv.display());
            output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))
                .context("LiteRT needs Python 3 with its module venv")?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            output(Command::new(&python).args(pip).args(PACKAGES))?;
            files::write(&marker, &wanted)?;
        }
        Ok(Self { python, peers, scripts: root.join("xtask") })
    }

    /// The folder that `PENJING_SHARED` names.
    pub(super) fn shared(&self) -> &Path {
        self.peers.parent().unwrap_or(&self.peers)
    }

    /// Python with the packages.
    pub(super) fn python(&self) -> Command {
        Command::new(&self.python)
    }

    /// A script of ours.
    pub(super) fn script(&self, file: &str) -> PathBuf {
        self.scripts.join(file)
    }

    /// Its name and version.
    pub(super) fn name(&self) -> Result<String> {
        let script = "from importlib.metadata import version; print(version('ai-edge-litert'))";
        Ok(format!("LiteRT {}", output(Command::new(&self.python).args(["-c", script]))?.trim()))
    }

    /// Times it on test images.
    pub(super) fn time(
        &self,
        dtype: &str,
        images: &Images,
        [batch, threads, repeats]: [usize; 3],
    ) -> Result<Timing> {
        let mut command = Command::new(&self.python);
        command.arg(self.peers.join("litert_bench.py"));
        command.arg("--model").arg(self.peers.join(model(dtype, batch)));
        command.arg("--images").arg(images.images()).arg("--labels").arg(images.labels());
        for (flag, value) in [("--batch", batch), ("--threads", threads), ("--repeats", repeats)] {
            command.args([flag, &value.to_string()]);
        }
        json(&mut command)
    }

    /// The command that loads a model and runs its first batch of 32, `repeats` times; it prints the least microseconds.
    pub(super) fn start(&self, dtype: &str, images: &Images, repeats: usize) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(self.script("litert_start.py"))
            .arg(self.peers.join(model(dtype, 32)))
            .arg(images.images());
        command.arg(repeats.to_string());
        command
    }
}

fn how_to_make(peers: &Path, missing: &[String]) -> String {
    let mut text = format!("{}: missing ", peers.display());
    text += &missing.join(", ");
    text += "\nPENJING_SHARED names the folder that holds peers/ (../shared by default). Its models are the article's \
             network: trained by Keras and TensorFlow Model Optimization (baseline; pruned to 80 % and fine-tuned \
             quantization-aware), then lowered by tf.lite.TFLiteConverter from a concrete function with a fixed batch of 1 \
             or 32. baseline_f32_b1 and _b32 are the baseline without optimizations; pqat_int8io_b1 and _b32 are the \
             pruned and quantization-aware model with optimizations DEFAULT and inference_input_type and \
             inference_output_type int8. litert_bench.py takes --model --images --labels --batch --threads --repeats and \
             prints one JSON line with the fields of `penjing bench --json`. The folder's README tells more.";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_models_are_named_with_the_way_to_make_them() {
        let text = how_to_make(Path::new("p/peers"), &[model("int8", 32), model("f32", 1)]);
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            "p/peers: missing models/pqat_int8io_b32.tflite, models/baseline_f32_b1.tflite"
        );
        for word in ["PENJING_SHARED", "TFLiteConverter", "int8", "batch of 1 or 32"] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
}
