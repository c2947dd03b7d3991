//! AVX-512: 16 lanes in 32 registers. Integers are quads of u8 and i8 (`vpdpbusd`).
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::kernels::patches::Patches;
use super::super::lanes::{CHUNK_F32, Codes, Ints, Lanes, Products, Quads, Reals, Set};
use core::arch::asm;
use core::arch::x86_64::*;
use penjing_quant::Requantize;

/// Proof of AVX-512 F, BW, DQ, VL and VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The token, where the processor has all of them.
    pub(crate) fn new() -> Option<Self> {
        has!("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni", "avx2", "fma")
            .then_some(Self(()))
    }

    /// Runs `kernel` compiled for this set.
    pub(crate) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
        fn entry<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the processor has all of these.
        unsafe { entry(self, kernel) }
    }
}

impl Set for Avx512 {
    type Ints = Avx512Ints;
    type Reals = Avx512;
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn ints(self) -> Avx512Ints {
        Avx512Ints(self)
    }
    #[inline(always)]
    fn reals(self) -> Avx512 {
        self
    }
    #[inline(always)]
    unsafe fn store_codes(self, x: __m512, shift: i32, to: *mut u8) {
        // SAFETY: `self` proves AVX-512; the caller lends 16 bytes.
        unsafe {
            let q = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(shift));
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(q));
        }
    }
    #[inline(always)]
    unsafe fn reals_of(self, from: *const i32) -> __m512 {
        // SAFETY: `self` proves AVX-512; the caller lends 16 elements.
        unsafe { _mm512_cvtepi32_ps(_mm512_loadu_si512(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store_i8(self, x: __m512, zero_point: i32, to: *mut i8) {
        // SAFETY: `self` proves AVX-512; the caller lends 16 bytes.
        unsafe {
            let q = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(zero_point));
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(q));
        }
    }
    #[inline(always)]
    unsafe fn store_four_i8(self, x: [__m512; 4], _lo: __m512, rule: Requantize, to: *mut i8) {
        // SAFETY: `self` proves AVX-512; the caller lends 64 bytes.
        unsafe {
            // What is too small for an integer becomes the smallest one, and packs to the lowest code.
            let [a, b, c, d] = x.map(|x| _mm512_cvtps_epi32(x));
            let zero_point = _mm512_set1_epi16(rule.zero_point as i16);
            let low = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point);
            let high = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero_point);
            let packed = _mm512_packs_epi16(low, high);
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let codes = _mm512_permutexvar_epi32(order, packed);
            let codes = _mm512_max_epi8(codes, _mm512_set1_epi8(rule.min as i8));
            _mm512_storeu_si512(to.cast(), codes);
        }
    }
    const PATCHES: Option<Products> = Some(Products::Quads);
    #[inline(always)]
    fn patches(self, job: Patches<'_>) {
        job.run_quads(self);
    }
    instructions! {
        fn best(sums: [__m512i; 4]) -> __m512 {
            {
                let [a, b, c, d] = sums;
                let best = _mm512_max_epi32(_mm512_max_epi32(a, b), _mm512_max_epi32(c, d));
                _mm512_cvtepi32_ps(best)
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn opaque_ints(mut w: __m512i) -> __m512i {
    // SAFETY: an empty instruction changes nothing.
    unsafe { asm!("/* {0} */", inout(zmm_reg) w, options(nomem, nostack, preserves_flags)) };
    w
}

#[inline]
#[target_feature(enable = "avx512f")]
fn opaque_reals(mut w: __m512) -> __m512 {
    // SAFETY: an empty instruction changes nothing.
    unsafe { asm!("/* {0} */", inout(zmm_reg) w, options(nomem, nostack, preserves_flags)) };
    w
}

/// Integers on AVX-512 with VNNI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Ints(Avx512);

impl Ints for Avx512Ints {
    const CODES: Codes = Codes::U8;
    #[inline(always)]
    unsafe fn splat_sum(self, from: *const i32) -> __m512i {
        // SAFETY: `self` proves AVX-512; the caller lends an element.
        unsafe { _mm512_set1_epi32(from.read()) }
    }
}

impl Quads for Avx512Ints {
    #[inline(always)]
    unsafe fn spread(self, from: *const u8) -> __m512i {
        /// Words `l` and `l + 1` in lane `l`.
        static WORDS: [u16; 32] = {
            let mut words = [0; 32];
            let mut i = 0;
            while i < 32 {
                words[i] = (i / 2 + i % 2) as u16;
                i += 1;
            }
            words
        };
        // SAFETY: `self` proves AVX-512 F and BW; the caller lends 64 bytes.
        unsafe {
            let words = _mm512_loadu_si512(WORDS.as_ptr().cast());
            _mm512_permutexvar_epi16(words, _mm512_loadu_si512(from.cast()))
        }
    }

    instructions! {
        fn all_equal(rows: [__m512i; 4], byte: u8) -> bool {
            {
                let byte = _mm512_set1_epi8(byte as i8);
                let [a, b, c, d] = rows;
                let ab = _mm512_or_si512(_mm512_xor_si512(a, byte), _mm512_xor_si512(b, byte));
                let cd = _mm512_or_si512(_mm512_xor_si512(c, byte), _mm512_xor_si512(d, byte));
                let any = _mm512_or_si512(ab, cd);
                _mm512_test_epi32_mask(any, any) == 0
            }
        }
    }
}

/// The upper half added to the lower.
#[inline]
#[target_feature(enable = "avx512f")]
fn fold_ints(x: __m512i) -> __m256i {
    _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64::<1>(x))
}

/// The upper half added to the lower.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn fold_reals(x: __m512) -> __m256 {
    _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x))
}

impl Lanes for Avx512Ints {
    type V = __m512i;
    type W = __m512i;
    type Sum = i32;
    const LANES: usize = 16;
    const CHUNK: usize = usize::MAX;

    instructions! {
        fn zero() -> __m512i { _mm512_setzero_si512() }
        fn dot(sums: __m512i, x: __m512i, w: __m512i) -> __m512i {
            _mm512_dpbusd_epi32(sums, x, w)
        }
        fn total(sums: [__m512i; 4]) -> [i32; 4] {
            {
                let [a, b, c, d] = sums;
                let ab = _mm256_hadd_epi32(fold_ints(a), fold_ints(b));
                let halves = _mm256_hadd_epi32(ab, _mm256_hadd_epi32(fold_ints(c), fold_ints(d)));
                let (low, high) = (_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
                core::mem::transmute::<__m128i, [i32; 4]>(_mm_add_epi32(low, high))
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> __m512i {
        // SAFETY: `self` proves AVX-512; the caller lends 64 bytes.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> __m512i {
        // SAFETY: `self` proves AVX-512; the caller lends 4 bytes.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: __m512i, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves AVX-512; the caller lends 16 elements each.
        unsafe {
            let sums = _mm512_add_epi32(_mm512_loadu_si512(base.cast()), sums);
            _mm512_storeu_si512(to.cast(), sums);
        }
    }
    instructions! {
        fn opaque(w: __m512i) -> __m512i { opaque_ints(w) }
    }
    #[inline(always)]
    fn plus(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
}

impl Lanes for Avx512 {
    type V = __m512;
    type W = __m512;
    type Sum = f32;
    const LANES: usize = 16;
    const CHUNK: usize = CHUNK_F32;

    instructions! {
        fn zero() -> __m512 { _mm512_setzero_ps() }
        fn dot(sums: __m512, x: __m512, w: __m512) -> __m512 { _mm512_fmadd_ps(x, w, sums) }
        fn total(sums: [__m512; 4]) -> [f32; 4] {
            {
                let [a, b, c, d] = sums;
                let ab = _mm256_hadd_ps(fold_reals(a), fold_reals(b));
                let halves = _mm256_hadd_ps(ab, _mm256_hadd_ps(fold_reals(c), fold_reals(d)));
                let (low, high) = (_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
                core::mem::transmute::<__m128, [f32; 4]>(_mm_add_ps(low, high))
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> __m512 {
        // SAFETY: `self` proves AVX-512; the caller lends 64 bytes.
        unsafe { _mm512_loadu_ps(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> __m512 {
        // SAFETY: `self` proves AVX-512; the caller lends 4 bytes.
        unsafe { _mm512_set1_ps(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: __m512, base: *const f32, to: *mut f32) {
        // SAFETY: `self` proves AVX-512; the caller lends 16 elements each.
        unsafe { _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(base), sums)) }
    }
    instructions! {
        fn opaque(w: __m512) -> __m512 { opaque_reals(w) }
    }
    #[inline(always)]
    fn plus(a: f32, b: f32) -> f32 {
        a + b
    }
}

impl Reals for Avx512 {
    type R = __m512;

    instructions! {
        fn splat_real(x: f32) -> __m512 { _mm512_set1_ps(x) }
        fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
        fn mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        fn dot_sub(c: __m512, a: __m512, b: __m512) -> __m512 { _mm512_fnmadd_ps(a, b, c) }
        fn max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
        fn min(a: __m512, b: __m512) -> __m512 { _mm512_min_ps(a, b) }
        fn and(a: __m512, b: __m512) -> __m512 { _mm512_and_ps(a, b) }
        fn or(a: __m512, b: __m512) -> __m512 { _mm512_or_ps(a, b) }
        fn unzip(a: __m512, b: __m512) -> [__m512; 2] {
            {
                let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                let odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
                [_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)]
            }
        }
        fn is_zero(a: __m512) -> bool {
            {
                let bits = _mm512_castps_si512(a);
                _mm512_test_epi32_mask(bits, bits) == 0
            }
        }
    }

    #[inline(always)]
    unsafe fn store(self, x: __m512, to: *mut f32) {
        // SAFETY: `self` proves AVX-512; the caller lends 16 elements.
        unsafe { _mm512_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn join_exact(self, sums: __m512, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves AVX-512; the caller lends 16 elements each.
        unsafe {
            let base = _mm512_loadu_si512(base.cast());
            _mm512_storeu_si512(to.cast(), _mm512_add_epi32(base, _mm512_cvtps_epi32(sums)));
        }
    }
}
