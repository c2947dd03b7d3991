//! What kernels ask of an instruction set: vectors of 32-bit lanes, of integers and of reals. Kernels are written once over
//! these traits (`kernels`); each set implements them in a file of its own.
//!
//! An operand of an integer product is a dword, which holds one code or several: a kernel never looks inside, the plan lays
//! weights and inputs out alike ([`Codes`]).

#![allow(unsafe_code)]

use super::kernels::patches::Patches;
use super::memory::Plain;
use penjing_quant::Requantize;

/// An instruction set's two arithmetics. A value of the type proves that the processor has the set.
pub(crate) trait Set: Copy {
    type Ints: Ints;
    type Reals: Reals;
    /// Vector registers: how many sums a kernel may keep in them.
    const REGISTERS: usize;
    fn ints(self) -> Self::Ints;
    fn reals(self) -> Self::Reals;
    /// Rounds to nearest even, adds `shift` and writes `LANES` codes as this set's [`Ints::CODES`]; they must lie within
    /// that type's range.
    ///
    /// # Safety
    /// As many bytes can be written at `to`, which is aligned for the codes.
    unsafe fn store_codes(self, x: <Self::Reals as Reals>::R, shift: i32, to: *mut u8);
    /// Sums as reals, rounded to nearest even.
    ///
    /// # Safety
    /// `LANES` elements can be read at `from`.
    unsafe fn reals_of(self, from: *const i32) -> <Self::Reals as Reals>::R;
    /// Rounds to nearest even, adds `zero_point` and writes `LANES` codes of i8; they must lie within its range.
    ///
    /// # Safety
    /// As many bytes can be written at `to`.
    unsafe fn store_i8(self, x: <Self::Reals as Reals>::R, zero_point: i32, to: *mut i8);
    /// As [`store_i8`](Self::store_i8) of `x`, four vectors side by side, none above `rule.max - rule.zero_point`; what is below
    /// `lo`, which is `rule.min - rule.zero_point`, is taken for it.
    ///
    /// # Safety
    /// As many bytes can be written at `to`.
    #[inline(always)]
    unsafe fn store_four_i8(
        self,
        x: [<Self::Reals as Reals>::R; 4],
        lo: <Self::Reals as Reals>::R,
        rule: Requantize,
        to: *mut i8,
    ) {
        let reals = self.reals();
        for (n, x) in x.into_iter().enumerate() {
            // SAFETY: the caller lends four vectors' bytes.
            unsafe {
                let to = to.add(n * <Self::Reals as Lanes>::LANES);
                self.store_i8(reals.max(x, lo), rule.zero_point, to);
            }
        }
    }
    /// The largest of four sums, as reals rounded to nearest even.
    fn best(self, sums: [<Self::Ints as Lanes>::V; 4]) -> <Self::Reals as Reals>::R;
    /// Which integer products [`patches`](Self::patches) takes; `None` for none: reals do it.
    const PATCHES: Option<Products>;
    /// Runs patches by this set's integer products.
    fn patches(self, job: Patches<'_>);
}

/// Integer products by the codes of a dword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Products {
    Pairs,
    Quads,
}

/// How integer codes lie in the memory that products are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codes {
    /// `q - zero_point`, one a dword; sums of up to [`EXACT_PRODUCTS`] products are exact.
    F32,
    /// `q - zero_point`, two a dword.
    I16,
    /// `q`, shifted into u8, four a dword; weights are i8. The zero point is folded into the bias.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "AVX-512's"))]
    U8,
    /// `q`, shifted into i8, four a dword. The zero point is folded into the bias.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "NEON's dot products'"))]
    I8,
}

impl Codes {
    /// Bytes of a code.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Codes::F32 => 4,
            Codes::I16 => 2,
            Codes::U8 | Codes::I8 => 1,
        }
    }

    /// Codes in a dword.
    pub(crate) const fn per_dword(self) -> usize {
        4 / self.bytes()
    }
}

/// Lanes of the widest set.
pub(crate) const MAX_LANES: usize = 16;

/// Products of codes whose sum f32 holds exactly: `|q - zero_point| <= 255` times `|w| <= 128`, 514 times, stays below 2^24.
pub(crate) const EXACT_PRODUCTS: usize = 512;

/// Products of reals in a row: their sum loses at most as many halves of a unit in the last place, and with the joins of some
/// thousand further chunks' stays within 1e-5 of the magnitudes summed.
pub(crate) const CHUNK_F32: usize = 128;

/// Sums of products in 32-bit lanes.
pub(crate) trait Lanes: Copy {
    /// Sums, one a lane.
    type V: Copy;
    /// Operands, a dword a lane.
    type W: Copy;
    /// A finished sum.
    type Sum: Plain + PartialOrd;
    const LANES: usize;
    /// How many products a lane may sum before the sum must be joined with the rest: what keeps it exact, or keeps rounding
    /// errors small.
    const CHUNK: usize;

    fn zero(self) -> Self::V;
    /// # Safety
    /// `LANES` dwords can be read at `from`, at any alignment.
    unsafe fn operand(self, from: *const u32) -> Self::W;
    /// # Safety
    /// 4 bytes can be read at `from`, at any alignment.
    unsafe fn splat(self, from: *const u8) -> Self::W;
    /// `sums + x * w`, lane by lane.
    fn dot(self, sums: Self::V, x: Self::W, w: Self::W) -> Self::V;
    /// Writes `base + sums` to `to`.
    ///
    /// # Safety
    /// `LANES` elements can be read at `base` and written at `to`.
    unsafe fn join(self, sums: Self::V, base: *const Self::Sum, to: *mut Self::Sum);
    /// The sum over the lanes of each of four vectors, in an order that depends on nothing.
    fn total(self, sums: [Self::V; 4]) -> [Self::Sum; 4];
    /// The same operand, which the compiler must take for another one.
    fn opaque(self, w: Self::W) -> Self::W;
    /// `a + b`.
    fn plus(a: Self::Sum, b: Self::Sum) -> Self::Sum;
}

/// Lanes of exact integer sums; `Sum` is what wraps around as i32 does, which a checked model never lets it do.
pub(crate) trait Ints: Lanes<Sum = i32> {
    const CODES: Codes;
    /// One sum in all lanes.
    ///
    /// # Safety
    /// An element can be read at `from`.
    unsafe fn splat_sum(self, from: *const i32) -> Self::V;
}

/// Integers whose dwords are pairs of i16.
pub(crate) trait Pairs: Ints {
    /// Low halves of `a` and of `b`, in this order.
    fn evens(self, a: Self::W, b: Self::W) -> Self::W;
    /// High halves of `a` and of `b`, in this order.
    fn odds(self, a: Self::W, b: Self::W) -> Self::W;
    /// Bitwise or.
    fn or(self, a: Self::W, b: Self::W) -> Self::W;
    /// Whether all bits are 0.
    fn is_zero(self, a: Self::W) -> bool;
}

/// Integers whose dwords are quads of bytes.
pub(crate) trait Quads: Ints {
    /// Bytes `2 * l` to `2 * l + 3` in lane `l`.
    ///
    /// # Safety
    /// 64 bytes can be read at `from`.
    unsafe fn spread(self, from: *const u8) -> Self::W;
    /// Whether all bytes of all vectors are `byte`.
    fn all_equal(self, rows: [Self::W; 4], byte: u8) -> bool;
}

/// Lanes of f32.
pub(crate) trait Reals: Lanes<Sum = f32, V = Self::R, W = Self::R> {
    /// Reals, one a lane.
    type R: Copy;
    fn splat_real(self, x: f32) -> Self::R;
    /// # Safety
    /// `LANES` elements can be written at `to`.
    unsafe fn store(self, x: Self::R, to: *mut f32);
    fn add(self, a: Self::R, b: Self::R) -> Self::R;
    fn sub(self, a: Self::R, b: Self::R) -> Self::R;
    fn mul(self, a: Self::R, b: Self::R) -> Self::R;
    /// `c - a * b`, rounded once or twice; [`Lanes::dot`] is `c + a * b`.
    fn dot_sub(self, c: Self::R, a: Self::R, b: Self::R) -> Self::R;
    /// The larger; `b` where `a` is NaN.
    fn max(self, a: Self::R, b: Self::R) -> Self::R;
    /// The smaller.
    fn min(self, a: Self::R, b: Self::R) -> Self::R;
    /// Bitwise and.
    fn and(self, a: Self::R, b: Self::R) -> Self::R;
    /// Bitwise or.
    fn or(self, a: Self::R, b: Self::R) -> Self::R;
    /// What lies at the even and at the odd places of `a` followed by `b`.
    fn unzip(self, a: Self::R, b: Self::R) -> [Self::R; 2];
    /// Writes `base + sums` to `to`, where the sums are integers.
    ///
    /// # Safety
    /// `LANES` elements can be read at `base` and written at `to`.
    unsafe fn join_exact(self, sums: Self::R, base: *const i32, to: *mut i32);
    /// Whether all bits are 0.
    fn is_zero(self, a: Self::R) -> bool;
}

/// The bounds of a rounded product before the zero point is added.
pub(crate) fn centred_bounds(rule: Requantize) -> (f32, f32) {
    ((rule.min - rule.zero_point) as f32, (rule.max - rule.zero_point) as f32)
}
