//! The roof over every kernel: how many multiplications a second an instruction set does with all operands in registers.
//! A yardstick for benches; no model runs here.

use crate::arch::kernels::roof::Roof;
use crate::arch::{Floats, Integers, Isa};

/// Multiplies and adds in registers, `iterations` times as many as keep the set's units busy, and returns the count of
/// multiplications done.
///
/// Integers are 8-bit codes as the set's kernels take them; else f32.
#[must_use]
pub fn peak(isa: Isa, integers: bool, iterations: u64) -> u64 {
    if integers {
        let per_lane = isa.traits().codes.per_dword() as u64;
        per_lane * isa.dispatch(Roof::<Integers>::new(iterations))
    } else {
        isa.dispatch(Roof::<Floats>::new(iterations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_with_the_iterations() {
        for isa in Isa::available() {
            for integers in [true, false] {
                let one = peak(isa, integers, 1);
                assert!(one >= 16, "{isa}: {one}");
                assert_eq!(peak(isa, integers, 5), 5 * one);
            }
        }
    }
}
