//! Tells the linker where a board's memory lies. It compiles nothing.

use std::path::PathBuf;

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let board =
        if std::env::var_os("CARGO_FEATURE_MICROBIT").is_some() { "microbit" } else { "mps2" };
    println!("cargo:rerun-if-changed=build.rs");
    for script in [format!("memory-{board}.x"), "link.x".to_owned()] {
        println!("cargo:rerun-if-changed={script}");
        println!("cargo:rustc-link-arg-bins=-T{}", here.join(script).display());
    }
}
