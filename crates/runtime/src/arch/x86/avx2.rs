//! AVX2 with FMA: 8 lanes in 16 registers. Integers are pairs of i16 (`vpmaddwd`).
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::kernels::patches::Patches;
use super::super::lanes::{CHUNK_F32, Codes, Ints, Lanes, Pairs, Products, Reals, Set};
use core::arch::asm;
use core::arch::x86_64::*;
use penjing_quant::Requantize;

/// Proof of AVX2 and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The token, where the processor has both.
    pub(crate) fn new() -> Option<Self> {
        has!("avx2", "fma").then_some(Self(()))
    }

    /// Runs `kernel` compiled for this set.
    pub(crate) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn entry<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the processor has AVX2 and FMA.
        unsafe { entry(self, kernel) }
    }
}

impl Set for Avx2 {
    type Ints = Avx2Ints;
    type Reals = Avx2;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn ints(self) -> Avx2Ints {
        Avx2Ints(self)
    }
    #[inline(always)]
    fn reals(self) -> Avx2 {
        self
    }
    #[inline(always)]
    unsafe fn store_codes(self, x: __m256, _shift: i32, to: *mut u8) {
        // SAFETY: `self` proves AVX2; the caller lends 16 bytes.
        unsafe {
            let x = _mm256_cvtps_epi32(x);
            let x = _mm256_permute4x64_epi64::<0b1000>(_mm256_packs_epi32(x, x));
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(x));
        }
    }
    #[inline(always)]
    unsafe fn reals_of(self, from: *const i32) -> __m256 {
        // SAFETY: `self` proves AVX2; the caller lends 8 elements.
        unsafe { _mm256_cvtepi32_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store_i8(self, x: __m256, zero_point: i32, to: *mut i8) {
        // SAFETY: `self` proves AVX2; the caller lends 8 bytes.
        unsafe {
            let q = _mm256_cvtps_epi32(x);
            let q = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256::<1>(q));
            let q = _mm_add_epi16(q, _mm_set1_epi16(zero_point as i16));
            _mm_storel_epi64(to.cast(), _mm_packs_epi16(q, q));
        }
    }
    #[inline(always)]
    unsafe fn store_four_i8(self, x: [__m256; 4], _lo: __m256, rule: Requantize, to: *mut i8) {
        // SAFETY: `self` proves AVX2; the caller lends 32 bytes.
        unsafe {
            // What is too small for an integer becomes the smallest one, and packs to the lowest code.
            let [a, b, c, d] = x.map(|x| _mm256_cvtps_epi32(x));
            let zero_point = _mm256_set1_epi16(rule.zero_point as i16);
            let low = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point);
            let high = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero_point);
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let codes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
            let codes = _mm256_max_epi8(codes, _mm256_set1_epi8(rule.min as i8));
            _mm256_storeu_si256(to.cast(), codes);
        }
    }
    const PATCHES: Option<Products> = Some(Products::Pairs);
    #[inline(always)]
    fn patches(self, job: Patches<'_>) {
        job.run_pairs(self);
    }
    instructions! {
        fn best(sums: [__m256i; 4]) -> __m256 {
            {
                let [a, b, c, d] = sums;
                let best = _mm256_max_epi32(_mm256_max_epi32(a, b), _mm256_max_epi32(c, d));
                _mm256_cvtepi32_ps(best)
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx")]
fn opaque_ints(mut w: __m256i) -> __m256i {
    // SAFETY: an empty instruction changes nothing.
    unsafe { asm!("/* {0} */", inout(ymm_reg) w, options(nomem, nostack, preserves_flags)) };
    w
}

#[inline]
#[target_feature(enable = "avx")]
fn opaque_reals(mut w: __m256) -> __m256 {
    // SAFETY: an empty instruction changes nothing.
    unsafe { asm!("/* {0} */", inout(ymm_reg) w, options(nomem, nostack, preserves_flags)) };
    w
}

/// Integers on AVX2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2Ints(Avx2);

impl Ints for Avx2Ints {
    const CODES: Codes = Codes::I16;
    #[inline(always)]
    unsafe fn splat_sum(self, from: *const i32) -> __m256i {
        // SAFETY: `self` proves AVX2; the caller lends an element.
        unsafe { _mm256_set1_epi32(from.read()) }
    }
}

impl Pairs for Avx2Ints {
    instructions! {
        fn evens(a: __m256i, b: __m256i) -> __m256i {
            _mm256_blend_epi16::<0b1010_1010>(a, _mm256_slli_epi32::<16>(b))
        }
        fn odds(a: __m256i, b: __m256i) -> __m256i {
            _mm256_blend_epi16::<0b1010_1010>(_mm256_srli_epi32::<16>(a), b)
        }
        fn or(a: __m256i, b: __m256i) -> __m256i { _mm256_or_si256(a, b) }
        fn is_zero(a: __m256i) -> bool { _mm256_testz_si256(a, a) == 1 }
    }
}

impl Lanes for Avx2Ints {
    type V = __m256i;
    type W = __m256i;
    type Sum = i32;
    const LANES: usize = 8;
    const CHUNK: usize = usize::MAX;

    instructions! {
        fn zero() -> __m256i { _mm256_setzero_si256() }
        fn dot(sums: __m256i, x: __m256i, w: __m256i) -> __m256i {
            _mm256_add_epi32(sums, _mm256_madd_epi16(x, w))
        }
        fn total(sums: [__m256i; 4]) -> [i32; 4] {
            {
                let [a, b, c, d] = sums;
                let halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
                let high = _mm256_extracti128_si256::<1>(halves);
                core::mem::transmute::<__m128i, [i32; 4]>(_mm_add_epi32(_mm256_castsi256_si128(halves), high))
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> __m256i {
        // SAFETY: `self` proves AVX2; the caller lends 32 bytes.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> __m256i {
        // SAFETY: `self` proves AVX2; the caller lends 4 bytes.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: __m256i, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves AVX2; the caller lends 8 elements each.
        unsafe {
            let sums = _mm256_add_epi32(_mm256_loadu_si256(base.cast()), sums);
            _mm256_storeu_si256(to.cast(), sums);
        }
    }
    instructions! {
        fn opaque(w: __m256i) -> __m256i { opaque_ints(w) }
    }
    #[inline(always)]
    fn plus(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
}

impl Lanes for Avx2 {
    type V = __m256;
    type W = __m256;
    type Sum = f32;
    const LANES: usize = 8;
    const CHUNK: usize = CHUNK_F32;

    instructions! {
        fn zero() -> __m256 { _mm256_setzero_ps() }
        fn dot(sums: __m256, x: __m256, w: __m256) -> __m256 { _mm256_fmadd_ps(x, w, sums) }
        fn total(sums: [__m256; 4]) -> [f32; 4] {
            {
                let [a, b, c, d] = sums;
                let halves = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
                let high = _mm256_extractf128_ps::<1>(halves);
                core::mem::transmute::<__m128, [f32; 4]>(_mm_add_ps(_mm256_castps256_ps128(halves), high))
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> __m256 {
        // SAFETY: `self` proves AVX; the caller lends 32 bytes.
        unsafe { _mm256_loadu_ps(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> __m256 {
        // SAFETY: `self` proves AVX; the caller lends 4 bytes.
        unsafe { _mm256_set1_ps(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: __m256, base: *const f32, to: *mut f32) {
        // SAFETY: `self` proves AVX; the caller lends 8 elements each.
        unsafe { _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(base), sums)) }
    }
    instructions! {
        fn opaque(w: __m256) -> __m256 { opaque_reals(w) }
    }
    #[inline(always)]
    fn plus(a: f32, b: f32) -> f32 {
        a + b
    }
}

impl Reals for Avx2 {
    type R = __m256;

    instructions! {
        fn splat_real(x: f32) -> __m256 { _mm256_set1_ps(x) }
        fn add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        fn sub(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
        fn mul(a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
        fn dot_sub(c: __m256, a: __m256, b: __m256) -> __m256 { _mm256_fnmadd_ps(a, b, c) }
        fn max(a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
        fn min(a: __m256, b: __m256) -> __m256 { _mm256_min_ps(a, b) }
        fn and(a: __m256, b: __m256) -> __m256 { _mm256_and_ps(a, b) }
        fn or(a: __m256, b: __m256) -> __m256 { _mm256_or_ps(a, b) }
        fn unzip(a: __m256, b: __m256) -> [__m256; 2] {
            {
                let low = _mm256_permute2f128_ps::<0x20>(a, b);
                let high = _mm256_permute2f128_ps::<0x31>(a, b);
                [
                    _mm256_shuffle_ps::<0b10_00_10_00>(low, high),
                    _mm256_shuffle_ps::<0b11_01_11_01>(low, high),
                ]
            }
        }
        fn is_zero(a: __m256) -> bool {
            {
                let bits = _mm256_castps_si256(a);
                _mm256_testz_si256(bits, bits) == 1
            }
        }
    }

    #[inline(always)]
    unsafe fn store(self, x: __m256, to: *mut f32) {
        // SAFETY: `self` proves AVX; the caller lends 8 elements.
        unsafe { _mm256_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn join_exact(self, sums: __m256, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves AVX2; the caller lends 8 elements each.
        unsafe {
            let base = _mm256_loadu_si256(base.cast());
            _mm256_storeu_si256(to.cast(), _mm256_add_epi32(base, _mm256_cvtps_epi32(sums)));
        }
    }
}
