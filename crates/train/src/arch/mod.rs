//! Vector kernels of training and the choice of the instruction set that runs them.
//!
//! Every kernel is one generic body over `simd::Simd`; `Isa::dispatch` compiles it once an instruction set and enters the
//! right copy. Everything here is single-threaded: sums never depend on a thread count. What is *not* here: tensors,
//! shapes and autograd (`ops`), and integer arithmetic (`penjing_quant`).

use std::cell::Cell;
use std::sync::OnceLock;

pub(crate) mod conv_pool;
pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod simd;
#[cfg(target_arch = "x86_64")]
mod x86;

use simd::{Portable, Simd};

/// Environment variable that forces one instruction set: `portable`, `avx2` or `avx512`.
pub const ISA_VARIABLE: &str = "PENJING_ISA";

/// One body of work, written once for all instruction sets.
///
/// `run` must be `#[inline(always)]`, and so must everything generic that it calls: only then does it inherit the
/// instruction set of the entry function that it is inlined into.
pub(crate) trait Kernel {
    /// What the kernel returns.
    type Output;
    /// Runs with the vectors of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that this machine has: the value is the proof.
#[derive(Clone, Copy, Debug)]
pub struct Isa(Token);

#[derive(Clone, Copy, Debug)]
enum Token {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
}

impl Isa {
    /// Names of all instruction sets that kernels are compiled for on some machine, narrowest first.
    pub const NAMES: [&'static str; 3] = ["portable", "avx2", "avx512"];

    /// The instruction set of this name, or `None` where this machine (or this target) lacks it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Isa> {
        match name {
            "portable" => Some(Isa(Token::Portable(Portable))),
            #[cfg(target_arch = "x86_64")]
            "avx2" => x86::Avx2::new().map(|token| Isa(Token::Avx2(token))),
            #[cfg(target_arch = "x86_64")]
            "avx512" => x86::Avx512::new().map(|token| Isa(Token::Avx512(token))),
            _ => None,
        }
    }

    /// Its name, one of [`Isa::NAMES`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Token::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => "avx512",
        }
    }

    /// The widest instruction set of this machine.
    #[must_use]
    pub fn best() -> Isa {
        let widest = Isa::NAMES.iter().rev().find_map(|name| Isa::by_name(name));
        widest.unwrap_or(Isa(Token::Portable(Portable)))
    }

    /// What the environment variable [`ISA_VARIABLE`] forces, or else the widest.
    ///
    /// # Errors
    /// A text naming the variable and its value where it asks for a set that is unknown or absent here.
    pub fn from_environment() -> Result<Isa, String> {
        match std::env::var(ISA_VARIABLE) {
            Err(_) => Ok(Isa::best()),
            Ok(name) => Isa::by_name(&name).ok_or_else(|| {
                format!(
                    "{ISA_VARIABLE}={name}: expected one of {} that this machine has, found none",
                    Isa::NAMES.join(", ")
                )
            }),
        }
    }

    /// Runs `kernel` compiled for this instruction set.
    #[inline]
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Token::Portable(token) => kernel.run(token),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(token) => token.enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(token) => token.enter(kernel),
        }
    }
}

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// Runs `f` with every op made on this thread bound to `isa`; an op keeps its instruction set for its backward pass.
pub fn with_isa<R>(isa: Isa, f: impl FnOnce() -> R) -> R {
    /// Puts the former choice back even when `f` panics.
    struct Restore(Option<Isa>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(Some(isa)));
    f()
}

/// The instruction set of ops made now: that of [`with_isa`], of the environment, or the widest, in this order.
///
/// # Errors
/// As [`Isa::from_environment`].
pub fn current_isa() -> candle_core::Result<Isa> {
    static DETECTED: OnceLock<Result<Isa, String>> = OnceLock::new();
    if let Some(isa) = FORCED.get() {
        return Ok(isa);
    }
    DETECTED.get_or_init(Isa::from_environment).clone().map_err(candle_core::Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_the_unknown_is_refused() {
        for name in Isa::NAMES {
            match Isa::by_name(name) {
                Some(isa) => assert_eq!(isa.name(), name),
                None => eprintln!("SKIPPED: {name} is absent on this machine"),
            }
        }
        assert!(Isa::by_name("sse9").is_none());
        assert!(Isa::by_name("portable").is_some());
    }

    #[test]
    fn with_isa_is_undone_even_by_a_panic() {
        let portable = Isa::by_name("portable").unwrap();
        assert_eq!(with_isa(portable, || current_isa().unwrap().name()), "portable");
        let caught = std::panic::catch_unwind(|| with_isa(portable, || panic!("on purpose")));
        assert!(caught.is_err());
        assert!(FORCED.get().is_none());
    }
}
