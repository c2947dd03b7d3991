//! Finds the files that the program embeds: the model as `penjing convert --rust` writes it, and samples in Rust. Both are made
//! by `cargo xtask devices --prepare`, and may be others.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let model = find("PENJING_MODEL", "../../target/devices/models/article.rs");
    let samples = find("PENJING_SAMPLES", "../../target/devices/samples/samples.rs");
    println!("cargo:rustc-env=PENJING_MODEL={}", model.display());
    println!("cargo:rustc-env=PENJING_SAMPLES={}", samples.display());
}

/// The absolute path that a variable names, or the default from here.
fn find(variable: &str, default: &str) -> PathBuf {
    println!("cargo:rerun-if-env-changed={variable}");
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let named = std::env::var_os(variable);
    let path = here.join(named.map_or_else(|| default.into(), PathBuf::from));
    println!("cargo:rerun-if-changed={}", path.display());
    match path.canonicalize() {
        Ok(path) => path,
        Err(error) => {
            println!(
                "cargo:error={}: {error}; `cargo xtask devices --prepare` makes it, {variable} names another",
                path.display()
            );
            std::process::exit(1)
        }
    }
}
