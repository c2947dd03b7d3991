//! Products of registers, as fast as they come: what [`roofline`](crate::roofline) measures.
#![allow(unsafe_code)]

use super::super::lanes::{Lanes, Set};
use super::super::{Arithmetic, Kernel};
use core::hint::black_box;
use core::marker::PhantomData;

/// Returns lanes times products.
pub(crate) struct Roof<A> {
    iterations: u64,
    arithmetic: PhantomData<A>,
}

impl<A> Roof<A> {
    pub(crate) fn new(iterations: u64) -> Self {
        Self { iterations, arithmetic: PhantomData }
    }
}

impl<A: Arithmetic> Kernel for Roof<A> {
    type Output = u64;

    #[inline(always)]
    fn run<S: Set>(self, set: S) -> u64 {
        if S::REGISTERS >= 32 {
            products::<A::Lanes<S>, 4>(A::lanes(set), self.iterations)
        } else {
            products::<A::Lanes<S>, 2>(A::lanes(set), self.iterations)
        }
    }
}

/// `4 * X` sums at once: enough to hide a product's latency, and few enough for the registers.
#[inline(always)]
fn products<L: Lanes, const X: usize>(lanes: L, iterations: u64) -> u64 {
    let source = [0_u8; 64];
    // SAFETY: there are 64 bytes, a vector of any set.
    let one = unsafe { lanes.splat(source.as_ptr()) };
    let (mut x, mut w) = ([one; X], [one; 4]);
    let mut sums = [[lanes.zero(); 4]; X];
    for _ in 0..iterations {
        for x in &mut x {
            *x = lanes.opaque(*x);
        }
        for w in &mut w {
            *w = lanes.opaque(*w);
        }
        for (sums, &x) in sums.iter_mut().zip(&x) {
            for (sum, &w) in sums.iter_mut().zip(&w) {
                *sum = lanes.dot(*sum, x, w);
            }
        }
    }
    // As they are: a sum over their lanes would let the compiler choose another order of lanes for the loop.
    black_box(sums);
    iterations * (4 * X * L::LANES) as u64
}
