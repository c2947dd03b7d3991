//! Every op with a backward pass of its own against finite differences in f64, ties and zeros against one-sided ones, on
//! every instruction set of this machine; and the optimizer against a restatement. Training runs are tested elsewhere.

mod finite_differences;
mod quantization;
mod reference;
mod ties;
mod training;

use penjing_train::arch::Isa;

/// The instruction sets of this machine. An absent one is reported; `PENJING_REQUIRE_ISA` (names with commas between)
/// turns that into a failure.
pub(crate) fn instruction_sets() -> Vec<Isa> {
    let required = std::env::var("PENJING_REQUIRE_ISA").unwrap_or_default();
    let mut found = Vec::new();
    for name in Isa::NAMES {
        match Isa::by_name(name) {
            Some(isa) => found.push(isa),
            None => {
                eprintln!("SKIPPED: {name} is absent on this machine");
                assert!(!required.split(',').any(|r| r == name), "{name} is required but absent");
            }
        }
    }
    found
}
