//! SSE2: 4 lanes in 16 registers, on every x86-64. Integers are pairs of i16 (`pmaddwd`).
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::kernels::patches::Patches;
use super::super::lanes::{CHUNK_F32, Codes, Ints, Lanes, Pairs, Products, Reals, Set};
use core::arch::asm;
use core::arch::x86_64::*;
use penjing_quant::Requantize;

/// Proof of SSE2, which every x86-64 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sse2(());

impl Sse2 {
    /// The token, where the processor has it: always.
    pub(crate) fn new() -> Option<Self> {
        has!("sse2").then_some(Self(()))
    }

    /// Runs `kernel` compiled for this set.
    pub(crate) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "sse2")]
        fn entry<K: Kernel>(token: Sse2, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the processor has SSE2.
        unsafe { entry(self, kernel) }
    }
}

impl Set for Sse2 {
    type Ints = Sse2Ints;
    type Reals = Sse2;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn ints(self) -> Sse2Ints {
        Sse2Ints(self)
    }
    #[inline(always)]
    fn reals(self) -> Sse2 {
        self
    }
    #[inline(always)]
    unsafe fn store_codes(self, x: __m128, _shift: i32, to: *mut u8) {
        // SAFETY: `self` proves SSE2; the caller lends 8 bytes.
        unsafe {
            let x = _mm_cvtps_epi32(x);
            _mm_storel_epi64(to.cast(), _mm_packs_epi32(x, x));
        }
    }
    #[inline(always)]
    unsafe fn reals_of(self, from: *const i32) -> __m128 {
        // SAFETY: `self` proves SSE2; the caller lends 4 elements.
        unsafe { _mm_cvtepi32_ps(_mm_loadu_si128(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store_i8(self, x: __m128, zero_point: i32, to: *mut i8) {
        // SAFETY: `self` proves SSE2; the caller lends 4 bytes.
        unsafe {
            let q = _mm_cvtps_epi32(x);
            let q = _mm_add_epi16(_mm_packs_epi32(q, q), _mm_set1_epi16(zero_point as i16));
            to.cast::<i32>().write_unaligned(_mm_cvtsi128_si32(_mm_packs_epi16(q, q)));
        }
    }
    #[inline(always)]
    unsafe fn store_four_i8(self, x: [__m128; 4], lo: __m128, rule: Requantize, to: *mut i8) {
        // SAFETY: `self` proves SSE2; the caller lends 16 bytes.
        unsafe {
            let [a, b, c, d] = x.map(|x| _mm_cvtps_epi32(_mm_max_ps(x, lo)));
            let zero_point = _mm_set1_epi16(rule.zero_point as i16);
            let low = _mm_add_epi16(_mm_packs_epi32(a, b), zero_point);
            let high = _mm_add_epi16(_mm_packs_epi32(c, d), zero_point);
            _mm_storeu_si128(to.cast(), _mm_packs_epi16(low, high));
        }
    }
    const PATCHES: Option<Products> = Some(Products::Pairs);
    #[inline(always)]
    fn patches(self, job: Patches<'_>) {
        job.run_pairs(self);
    }
    instructions! {
        fn best(sums: [__m128i; 4]) -> __m128 {
            {
                // SSE2 has no maximum of i32; conversion rounds monotonically, so that it may come first.
                let [a, b, c, d] = sums;
                let best = _mm_max_ps(_mm_cvtepi32_ps(a), _mm_cvtepi32_ps(b));
                _mm_max_ps(best, _mm_max_ps(_mm_cvtepi32_ps(c), _mm_cvtepi32_ps(d)))
            }
        }
    }
}

/// Integers on SSE2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sse2Ints(Sse2);

impl Ints for Sse2Ints {
    const CODES: Codes = Codes::I16;
    #[inline(always)]
    unsafe fn splat_sum(self, from: *const i32) -> __m128i {
        // SAFETY: `self` proves SSE2; the caller lends an element.
        unsafe { _mm_set1_epi32(from.read()) }
    }
}

impl Pairs for Sse2Ints {
    instructions! {
        fn evens(a: __m128i, b: __m128i) -> __m128i {
            _mm_or_si128(_mm_srli_epi32::<16>(_mm_slli_epi32::<16>(a)), _mm_slli_epi32::<16>(b))
        }
        fn odds(a: __m128i, b: __m128i) -> __m128i {
            _mm_or_si128(_mm_srli_epi32::<16>(a), _mm_slli_epi32::<16>(_mm_srli_epi32::<16>(b)))
        }
        fn or(a: __m128i, b: __m128i) -> __m128i { _mm_or_si128(a, b) }
        fn is_zero(a: __m128i) -> bool {
            _mm_movemask_epi8(_mm_cmpeq_epi32(a, _mm_setzero_si128())) == 0xffff
        }
    }
}

impl Lanes for Sse2Ints {
    type V = __m128i;
    type W = __m128i;
    type Sum = i32;
    const LANES: usize = 4;
    const CHUNK: usize = usize::MAX;

    instructions! {
        fn zero() -> __m128i { _mm_setzero_si128() }
        fn dot(sums: __m128i, x: __m128i, w: __m128i) -> __m128i {
            _mm_add_epi32(sums, _mm_madd_epi16(x, w))
        }
        fn total(sums: [__m128i; 4]) -> [i32; 4] {
            {
                let [a, b, c, d] = sums;
                let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
                let (ab_high, cd_high) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
                let (ab, cd) = (_mm_add_epi32(ab, ab_high), _mm_add_epi32(cd, cd_high));
                let total = _mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd));
                core::mem::transmute::<__m128i, [i32; 4]>(total)
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> __m128i {
        // SAFETY: `self` proves SSE2; the caller lends 16 bytes.
        unsafe { _mm_loadu_si128(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> __m128i {
        // SAFETY: `self` proves SSE2; the caller lends 4 bytes.
        unsafe { _mm_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: __m128i, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves SSE2; the caller lends 4 elements each.
        unsafe {
            let sums = _mm_add_epi32(_mm_loadu_si128(base.cast()), sums);
            _mm_storeu_si128(to.cast(), sums);
        }
    }
    #[inline(always)]
    fn opaque(self, mut w: __m128i) -> __m128i {
        // SAFETY: an empty instruction changes nothing.
        unsafe { asm!("/* {0} */", inout(xmm_reg) w, options(nomem, nostack, preserves_flags)) };
        w
    }
    #[inline(always)]
    fn plus(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
}

impl Lanes for Sse2 {
    type V = __m128;
    type W = __m128;
    type Sum = f32;
    const LANES: usize = 4;
    const CHUNK: usize = CHUNK_F32;

    instructions! {
        fn zero() -> __m128 { _mm_setzero_ps() }
        fn dot(sums: __m128, x: __m128, w: __m128) -> __m128 { _mm_add_ps(sums, _mm_mul_ps(x, w)) }
        fn total(sums: [__m128; 4]) -> [f32; 4] {
            {
                let [a, b, c, d] = sums;
                let ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
                let cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
                let total = _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
                core::mem::transmute::<__m128, [f32; 4]>(total)
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> __m128 {
        // SAFETY: `self` proves SSE; the caller lends 16 bytes.
        unsafe { _mm_loadu_ps(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> __m128 {
        // SAFETY: `self` proves SSE; the caller lends 4 bytes.
        unsafe { _mm_set1_ps(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: __m128, base: *const f32, to: *mut f32) {
        // SAFETY: `self` proves SSE; the caller lends 4 elements each.
        unsafe { _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(base), sums)) }
    }
    #[inline(always)]
    fn opaque(self, mut w: __m128) -> __m128 {
        // SAFETY: an empty instruction changes nothing.
        unsafe { asm!("/* {0} */", inout(xmm_reg) w, options(nomem, nostack, preserves_flags)) };
        w
    }
    #[inline(always)]
    fn plus(a: f32, b: f32) -> f32 {
        a + b
    }
}

impl Reals for Sse2 {
    type R = __m128;

    instructions! {
        fn splat_real(x: f32) -> __m128 { _mm_set1_ps(x) }
        fn add(a: __m128, b: __m128) -> __m128 { _mm_add_ps(a, b) }
        fn sub(a: __m128, b: __m128) -> __m128 { _mm_sub_ps(a, b) }
        fn mul(a: __m128, b: __m128) -> __m128 { _mm_mul_ps(a, b) }
        fn dot_sub(c: __m128, a: __m128, b: __m128) -> __m128 { _mm_sub_ps(c, _mm_mul_ps(a, b)) }
        fn max(a: __m128, b: __m128) -> __m128 { _mm_max_ps(a, b) }
        fn min(a: __m128, b: __m128) -> __m128 { _mm_min_ps(a, b) }
        fn and(a: __m128, b: __m128) -> __m128 { _mm_and_ps(a, b) }
        fn or(a: __m128, b: __m128) -> __m128 { _mm_or_ps(a, b) }
        fn unzip(a: __m128, b: __m128) -> [__m128; 2] {
            [_mm_shuffle_ps::<0b10_00_10_00>(a, b), _mm_shuffle_ps::<0b11_01_11_01>(a, b)]
        }
        fn is_zero(a: __m128) -> bool {
            {
                let zero = _mm_cmpeq_epi32(_mm_castps_si128(a), _mm_setzero_si128());
                _mm_movemask_epi8(zero) == 0xffff
            }
        }
    }

    #[inline(always)]
    unsafe fn store(self, x: __m128, to: *mut f32) {
        // SAFETY: `self` proves SSE; the caller lends 4 elements.
        unsafe { _mm_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn join_exact(self, sums: __m128, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves SSE2; the caller lends 4 elements each.
        unsafe {
            let base = _mm_loadu_si128(base.cast());
            _mm_storeu_si128(to.cast(), _mm_add_epi32(base, _mm_cvtps_epi32(sums)));
        }
    }
}
