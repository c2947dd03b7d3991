//! Tells the kernels of sessions in place which instructions a Cortex-M has: `cfg(target_feature)` does not, on stable Rust.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["penjing_dsp", "penjing_fpu", "penjing_plain"] {
        println!("cargo::rustc-check-cfg=cfg({name})");
    }
    let has = |name: &str| std::env::var_os(name).is_some();
    let target = std::env::var("TARGET").unwrap_or_default();
    // `--cfg penjing_plain` asks for plain Rust: to compare, or where something is wrong.
    if !target.starts_with("thumb") || has("CARGO_CFG_PENJING_PLAIN") {
        return;
    }
    // SMLAD and its kin: every Cortex-M4 and M7; of later cores those that were built with the DSP extension.
    if target.starts_with("thumbv7em") || has("CARGO_FEATURE_DSP") {
        println!("cargo::rustc-cfg=penjing_dsp");
    }
    if target.ends_with("eabihf") {
        println!("cargo::rustc-cfg=penjing_fpu");
    }
}
