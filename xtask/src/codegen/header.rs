//! crates/capi/include/penjing.h, made by cbindgen, a crate of which the version is pinned. What the interface is, and how it
//! is documented, is the crate's.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The crate that is described, with a cbindgen.toml.
const CRATE: &str = "crates/capi";

/// The header, as the committed file must be.
pub(super) const HEADER: &str = "crates/capi/include/penjing.h";

/// What cbindgen makes of the crate.
pub(super) fn generate(root: &Path) -> Result<String> {
    let folder = root.join(CRATE);
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml"))
        .map_err(|error| anyhow::anyhow!("{CRATE}/cbindgen.toml: {error}"))?;
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_crate(&folder)
        .generate()
        .with_context(|| format!("cbindgen cannot read {CRATE}"))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    let mut text = String::from_utf8(text).context("cbindgen wrote no UTF-8")?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    // An item that cbindgen cannot read is left out with no more than a word in its log.
    for needed in ["penjing_model_open", "penjing_session_run", "PenjingSessionStorage"] {
        ensure!(text.contains(needed), "cbindgen made no {needed} of {CRATE}");
    }
    Ok(text)
}
