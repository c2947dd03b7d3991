//! Which instruction set a session uses: a token that proves that the machine has it, chosen once, and the one way into a kernel.

#[cfg(target_arch = "aarch64")]
use super::aarch64;
use super::lanes::{self, Ints, Lanes, Set};
use super::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::error::Error;
use alloc::string::String;
use core::fmt;

/// The environment variable that forces an instruction set.
#[cfg(feature = "std")]
pub const ISA_VARIABLE: &str = "PENJING_ISA";

/// An instruction set that this machine has: a value of this type proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Token);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Sse2(x86::sse2::Sse2),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::avx512::Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(aarch64::neon::Neon),
    #[cfg(target_arch = "aarch64")]
    Dotprod(aarch64::dotprod::Dotprod),
}

/// Work that is compiled once for every instruction set.
///
/// `run` must be `#[inline(always)]`, and so must all that it calls with `set` or its lanes.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Set>(self, set: S) -> Self::Output;
}

impl Isa {
    /// Plain Rust, on any machine.
    pub const PORTABLE: Isa = Isa(Token::Portable(Portable));

    /// Names of all sets that kernels are compiled for on this architecture, best last.
    #[cfg(target_arch = "x86_64")]
    pub const NAMES: &'static [&'static str] = &["portable", "sse2", "avx2", "avx512"];
    /// Names of all sets that kernels are compiled for on this architecture, best last.
    #[cfg(target_arch = "aarch64")]
    pub const NAMES: &'static [&'static str] = &["portable", "neon", "dotprod"];
    /// Names of all sets that kernels are compiled for on this architecture, best last.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub const NAMES: &'static [&'static str] = &["portable"];

    /// The best set that this machine has.
    #[must_use]
    pub fn detect() -> Self {
        Self::NAMES.iter().rev().find_map(|name| Self::find(name)).unwrap_or(Self::PORTABLE)
    }

    /// All sets that this machine has, best last.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::NAMES.iter().filter_map(|name| Self::find(name))
    }

    /// The set of that name, if it is known and this machine has it.
    fn find(name: &str) -> Option<Self> {
        match name {
            "portable" => Some(Self::PORTABLE),
            #[cfg(target_arch = "x86_64")]
            "sse2" => x86::sse2::Sse2::new().map(|token| Isa(Token::Sse2(token))),
            #[cfg(target_arch = "x86_64")]
            "avx2" => x86::avx2::Avx2::new().map(|token| Isa(Token::Avx2(token))),
            #[cfg(target_arch = "x86_64")]
            "avx512" => x86::avx512::Avx512::new().map(|token| Isa(Token::Avx512(token))),
            #[cfg(target_arch = "aarch64")]
            "neon" => aarch64::neon::Neon::new().map(|token| Isa(Token::Neon(token))),
            #[cfg(target_arch = "aarch64")]
            "dotprod" => aarch64::dotprod::Dotprod::new().map(|token| Isa(Token::Dotprod(token))),
            _ => None,
        }
    }

    /// The set of that name; an error where it is unknown or this machine lacks it.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        Self::find(name).ok_or_else(|| Error::Isa {
            requested: String::from(name),
            known: Self::NAMES.contains(&name),
            choices: Self::available().map(Isa::name).collect(),
        })
    }

    /// What `PENJING_ISA` names; the best set where it is unset or empty.
    #[cfg(feature = "std")]
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variable(std::env::var_os(ISA_VARIABLE))
    }

    #[cfg(feature = "std")]
    fn from_variable(value: Option<std::ffi::OsString>) -> Result<Self, Error> {
        match value {
            Some(name) if !name.is_empty() => Self::from_name(&name.to_string_lossy()),
            _ => Ok(Self::detect()),
        }
    }

    /// Its name, as `PENJING_ISA` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Token::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Token::Sse2(_) => "sse2",
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => "neon",
            #[cfg(target_arch = "aarch64")]
            Token::Dotprod(_) => "dotprod",
        }
    }

    /// Runs a kernel compiled for this set.
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Token::Portable(token) => kernel.run(token),
            #[cfg(target_arch = "x86_64")]
            Token::Sse2(token) => token.enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(token) => token.enter(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(token) => token.enter(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(token) => token.enter(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Dotprod(token) => token.enter(kernel),
        }
    }

    /// What the planner must know of the set.
    pub(crate) fn traits(self) -> Traits {
        struct Ask;
        impl Kernel for Ask {
            type Output = Traits;
            #[inline(always)]
            fn run<S: Set>(self, _: S) -> Traits {
                Traits {
                    lanes: <S::Ints as Lanes>::LANES,
                    codes: <S::Ints as Ints>::CODES,
                    registers: S::REGISTERS,
                    patches: S::PATCHES,
                }
            }
        }
        self.dispatch(Ask)
    }
}

/// A set in figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// 32-bit lanes of a vector.
    pub(crate) lanes: usize,
    /// What integer kernels read.
    pub(crate) codes: lanes::Codes,
    pub(crate) registers: usize,
    /// By which integer products it does patches.
    pub(crate) patches: Option<lanes::Products>,
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::kernels::rows::ToReals;

    #[test]
    fn an_unknown_set_names_the_choices() {
        let error = Isa::from_name("mmx").unwrap_err();
        let text = alloc::string::ToString::to_string(&error);
        assert!(text.contains("mmx") && text.contains("portable"), "{text}");
        assert_eq!(Isa::from_name("portable").unwrap(), Isa::PORTABLE);
        for unset in [None, Some("".into())] {
            assert_eq!(Isa::from_variable(unset).unwrap(), Isa::detect());
        }
        assert!(Isa::from_variable(Some("portable".into())).is_ok());
        assert!(Isa::from_variable(Some("Portable ".into())).is_err());
    }

    #[test]
    fn clamps_take_nan_to_their_lower_bound_on_every_set() {
        let mut sums = [1.0; 16];
        sums[..5].copy_from_slice(&[f32::NAN, -1.0, f32::INFINITY, -f32::NAN, f32::NEG_INFINITY]);
        for isa in Isa::available() {
            for (clamp, expected) in [
                ([0.0, f32::INFINITY], [0.0, 0.0, f32::INFINITY, 0.0, 0.0]),
                ([0.0, 6.0], [0.0, 0.0, 6.0, 0.0, 0.0]),
                ([-1.0, 1.0], [-1.0, -1.0, 1.0, -1.0, -1.0]),
            ] {
                let mut out = [7.0; 5];
                isa.dispatch(ToReals {
                    sums: &sums,
                    lanes: 16,
                    channels: 5,
                    clamp: Some(clamp),
                    out: &mut out,
                });
                assert_eq!(out, expected, "{isa}");
            }
        }
    }
}
