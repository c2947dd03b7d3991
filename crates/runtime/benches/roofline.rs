//! The most multiply-accumulates (MAC) a second that one core can do, int8 and f32, for each instruction set of this machine
//! or for the one that `PENJING_ISA` names: loops that touch registers alone. What share of it a layer reaches is `cargo
//! xtask bench`'s to say.
//!
//! Prints a JSON line for each, the best of many short segments: other programs can only make a segment slower.

use std::time::{Duration, Instant};

use penjing_runtime::{Error, ISA_VARIABLE, Isa};

/// Long against the clock's resolution, short against the time between two interruptions.
const SEGMENT: Duration = Duration::from_millis(1);
const SEGMENTS: usize = 300;

fn main() -> Result<(), Error> {
    for isa in sets()? {
        for (dtype, integers) in [("int8", true), ("f32", false)] {
            let peak = macs_per_second(isa, integers) / 1e9;
            println!(r#"{{"isa":"{isa}","dtype":"{dtype}","gmac_per_s":{peak:.3}}}"#);
        }
    }
    Ok(())
}

/// The sets to measure.
fn sets() -> Result<Vec<Isa>, Error> {
    if std::env::var_os(ISA_VARIABLE).is_some_and(|name| !name.is_empty()) {
        return Ok(vec![Isa::from_env()?]);
    }
    Ok(Isa::NAMES.iter().filter_map(|name| Isa::from_name(name).ok()).collect())
}

fn macs_per_second(isa: Isa, integers: bool) -> f64 {
    let segment = |iterations: u64| {
        let start = Instant::now();
        let macs = penjing_runtime::roofline::peak(isa, integers, iterations);
        (macs, start.elapsed())
    };
    let mut iterations = 1;
    while segment(iterations).1 < SEGMENT {
        iterations *= 2;
    }
    (0..SEGMENTS)
        .map(|_| segment(iterations))
        .fold(0.0, |best: f64, (macs, time)| best.max(macs as f64 / time.as_secs_f64()))
}
