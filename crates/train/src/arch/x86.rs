//! AVX2 with FMA, and AVX-512: the tokens, their vectors and the entry functions. Kernels themselves are elsewhere.
//!
//! A token can be had only from its `new`, which asks the processor; that makes the intrinsics below sound to call.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::Kernel;
use super::simd::Simd;

/// Proof of AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

/// Proof of AVX-512 F, beside AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx2 {
    /// The token, where the processor has both AVX2 and FMA.
    pub(super) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }

    /// Runs `kernel` compiled for AVX2 and FMA.
    #[inline]
    pub(super) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn entry<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the processor has AVX2 and FMA.
        unsafe { entry(self, kernel) }
    }
}

impl Avx512 {
    /// The token, where the processor has AVX-512 F, AVX2 and FMA.
    pub(super) fn new() -> Option<Self> {
        Avx2::new()?;
        is_x86_feature_detected!("avx512f").then_some(Avx512(()))
    }

    /// Runs `kernel` compiled for AVX-512 F.
    #[inline]
    pub(super) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn entry<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the processor has AVX-512 F, AVX2 and FMA.
        unsafe { entry(self, kernel) }
    }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    type V = __m256;
    type A = [f32; 8];
    type M = __m256;

    #[inline(always)]
    fn chunks(slice: &[f32]) -> &[[f32; 8]] {
        slice.as_chunks().0
    }
    #[inline(always)]
    fn chunks_mut(slice: &mut [f32]) -> &mut [[f32; 8]] {
        slice.as_chunks_mut().0
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, a: &[f32; 8]) -> __m256 {
        // SAFETY: the token proves AVX2; the array holds the 8 values read, at any alignment.
        unsafe { _mm256_loadu_ps(a.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: __m256, a: &mut [f32; 8]) {
        // SAFETY: the token proves AVX2; the array holds the 8 values written, at any alignment.
        unsafe { _mm256_storeu_ps(a.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8]) -> __m256 {
        let bytes: &[u8; 8] = bytes.first_chunk().expect("8 bytes");
        // SAFETY: the token proves AVX2.
        unsafe {
            let packed = _mm_cvtsi64_si128(i64::from_le_bytes(*bytes));
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(packed))
        }
    }
    #[inline(always)]
    fn store_bytes(self, v: __m256, bytes: &mut [u8]) {
        let bytes: &mut [u8; 8] = bytes.first_chunk_mut().expect("8 bytes");
        // SAFETY: the token proves AVX2.
        *bytes = unsafe {
            let words = _mm256_cvtps_epi32(v);
            let halves = _mm_packus_epi32(
                _mm256_castsi256_si128(words),
                _mm256_extracti128_si256::<1>(words),
            );
            _mm_cvtsi128_si64(_mm_packus_epi16(halves, halves)).to_le_bytes()
        };
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the token proves FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn greater(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_cmp_ps::<_CMP_GT_OQ>(a, b) }
    }
    #[inline(always)]
    fn at_most(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_cmp_ps::<_CMP_LE_OQ>(a, b) }
    }
    #[inline(always)]
    fn equal(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, m: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: the token proves AVX2.
        unsafe { _mm256_blendv_ps(b, a, m) }
    }
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    type V = __m512;
    type A = [f32; 16];
    type M = __mmask16;

    #[inline(always)]
    fn chunks(slice: &[f32]) -> &[[f32; 16]] {
        slice.as_chunks().0
    }
    #[inline(always)]
    fn chunks_mut(slice: &mut [f32]) -> &mut [[f32; 16]] {
        slice.as_chunks_mut().0
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, a: &[f32; 16]) -> __m512 {
        // SAFETY: the token proves AVX-512 F; the array holds the 16 values read, at any alignment.
        unsafe { _mm512_loadu_ps(a.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, v: __m512, a: &mut [f32; 16]) {
        // SAFETY: the token proves AVX-512 F; the array holds the 16 values written, at any alignment.
        unsafe { _mm512_storeu_ps(a.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8]) -> __m512 {
        let bytes: &[u8; 16] = bytes.first_chunk().expect("16 bytes");
        // SAFETY: the token proves AVX-512 F; the array holds the 16 bytes read, at any alignment.
        unsafe {
            let packed = _mm_loadu_si128(bytes.as_ptr().cast());
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(packed))
        }
    }
    #[inline(always)]
    fn store_bytes(self, v: __m512, bytes: &mut [u8]) {
        let bytes: &mut [u8; 16] = bytes.first_chunk_mut().expect("16 bytes");
        // SAFETY: the token proves AVX-512 F; the array holds the 16 bytes written, at any alignment.
        unsafe {
            let packed = _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(v));
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), packed);
        }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn greater(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
    }
    #[inline(always)]
    fn at_most(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b) }
    }
    #[inline(always)]
    fn equal(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, m: __mmask16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512 F.
        unsafe { _mm512_mask_blend_ps(m, b, a) }
    }
}
