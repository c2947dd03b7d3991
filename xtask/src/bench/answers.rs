//! Whether the int8 model gives every test image the same bytes on every instruction set of this machine.

use std::ffi::OsStr;

use anyhow::{Context, Result, ensure};

use super::images;
use super::peers::Setup;
use crate::child::output;
use crate::files;

/// MNIST's test images.
const IMAGES: usize = 10_000;

/// Runs all test images on each set; the sets, of which all must agree.
pub(super) fn same_bytes(setup: &Setup<'_>) -> Result<Vec<String>> {
    let model = setup.model("int8");
    let [input, result] = ["all.safetensors", "scores.safetensors"].map(|n| setup.folder.join(n));
    files::write(&input, images::tensor_file(&setup.images[0], IMAGES, "u8")?)?;
    let mut args: Vec<&OsStr> = vec!["run".as_ref(), model.as_os_str()];
    args.extend(["--input".as_ref(), input.as_os_str(), "--output".as_ref(), result.as_os_str()]);
    let mut first: Option<(&str, Vec<u8>)> = None;
    for set in &setup.sets {
        output(setup.penjing.command(&args).env("PENJING_ISA", set))?;
        let found = std::fs::read(&result).with_context(|| result.display().to_string())?;
        let (of, want) = first.get_or_insert_with(|| (set, found.clone()));
        ensure!(found == *want, "int8: {set} and {of} give {IMAGES} images different scores");
    }
    Ok(setup.sets.clone())
}
