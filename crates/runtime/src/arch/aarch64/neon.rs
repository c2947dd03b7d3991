//! NEON: 4 lanes, on every aarch64. Integers are pairs of i16 (`smlal`, `smlal2`).
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::kernels::patches::Patches;
use super::super::lanes::{CHUNK_F32, Codes, Ints, Lanes, Pairs, Products, Reals, Set};
use core::arch::aarch64::*;
use core::arch::asm;

/// Proof of NEON, which every aarch64 with floating point has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neon(());

impl Neon {
    /// The token, where the processor has it: always.
    pub(crate) fn new() -> Option<Self> {
        has!("neon").then_some(Self(()))
    }

    /// Runs `kernel` compiled for this set.
    pub(crate) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "neon")]
        fn entry<K: Kernel>(token: Neon, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the processor has NEON.
        unsafe { entry(self, kernel) }
    }
}

impl Set for Neon {
    type Ints = NeonInts;
    type Reals = Neon;
    // Of 32, since a sum of integers takes two.
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn ints(self) -> NeonInts {
        NeonInts(self)
    }
    #[inline(always)]
    fn reals(self) -> Neon {
        self
    }
    #[inline(always)]
    unsafe fn store_codes(self, x: float32x4_t, _shift: i32, to: *mut u8) {
        // SAFETY: `self` proves NEON; the caller lends 8 bytes.
        unsafe { vst1_s16(to.cast(), vmovn_s32(vcvtnq_s32_f32(x))) }
    }
    #[inline(always)]
    unsafe fn reals_of(self, from: *const i32) -> float32x4_t {
        // SAFETY: `self` proves NEON; the caller lends 4 elements.
        unsafe { vcvtq_f32_s32(vld1q_s32(from)) }
    }
    #[inline(always)]
    unsafe fn store_i8(self, x: float32x4_t, zero_point: i32, to: *mut i8) {
        // SAFETY: `self` proves NEON; the caller lends 4 bytes.
        unsafe {
            let q = vmovn_s32(vaddq_s32(vcvtnq_s32_f32(x), vdupq_n_s32(zero_point)));
            let q = vreinterpret_u32_s8(vmovn_s16(vcombine_s16(q, q)));
            to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(q));
        }
    }
    const PATCHES: Option<Products> = Some(Products::Pairs);
    #[inline(always)]
    fn patches(self, job: Patches<'_>) {
        job.run_pairs(self);
    }
    instructions! {
        fn best(sums: [PairSums; 4]) -> float32x4_t {
            {
                let [a, b, c, d] = sums;
                let ab = vmaxq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(b[0], b[1]));
                let cd = vmaxq_s32(vpaddq_s32(c[0], c[1]), vpaddq_s32(d[0], d[1]));
                vcvtq_f32_s32(vmaxq_s32(ab, cd))
            }
        }
    }
}

/// A vector of sums, each as two addends that lie side by side: lanes 0 and 1, then 2 and 3. So a product is two instructions
/// that add up as they multiply, where finished sums would cost four.
pub(crate) type PairSums = [int32x4_t; 2];

/// Integers on NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeonInts(Neon);

impl Ints for NeonInts {
    const CODES: Codes = Codes::I16;
    #[inline(always)]
    unsafe fn splat_sum(self, from: *const i32) -> PairSums {
        // SAFETY: `self` proves NEON; the caller lends an element.
        unsafe { [vtrn1q_s32(vdupq_n_s32(from.read()), vdupq_n_s32(0)); 2] }
    }
}

impl Pairs for NeonInts {
    instructions! {
        fn evens(a: int16x8_t, b: int16x8_t) -> int16x8_t { vtrn1q_s16(a, b) }
        fn odds(a: int16x8_t, b: int16x8_t) -> int16x8_t { vtrn2q_s16(a, b) }
        fn or(a: int16x8_t, b: int16x8_t) -> int16x8_t { vorrq_s16(a, b) }
        fn is_zero(a: int16x8_t) -> bool { vmaxvq_u32(vreinterpretq_u32_s16(a)) == 0 }
    }
}

impl Lanes for NeonInts {
    type V = PairSums;
    type W = int16x8_t;
    type Sum = i32;
    const LANES: usize = 4;
    const CHUNK: usize = usize::MAX;

    instructions! {
        fn zero() -> PairSums { [vdupq_n_s32(0); 2] }
        fn dot(sums: PairSums, x: int16x8_t, w: int16x8_t) -> PairSums {
            [
                vmlal_s16(sums[0], vget_low_s16(x), vget_low_s16(w)),
                vmlal_high_s16(sums[1], x, w),
            ]
        }
        fn total(sums: [PairSums; 4]) -> [i32; 4] {
            {
                let [a, b, c, d] = sums;
                let ab = vpaddq_s32(vaddq_s32(a[0], a[1]), vaddq_s32(b[0], b[1]));
                let cd = vpaddq_s32(vaddq_s32(c[0], c[1]), vaddq_s32(d[0], d[1]));
                core::mem::transmute::<int32x4_t, [i32; 4]>(vpaddq_s32(ab, cd))
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> int16x8_t {
        // SAFETY: `self` proves NEON; the caller lends 16 bytes.
        unsafe { vreinterpretq_s16_u8(vld1q_u8(from.cast())) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> int16x8_t {
        // SAFETY: `self` proves NEON; the caller lends 4 bytes.
        unsafe { vreinterpretq_s16_s32(vdupq_n_s32(from.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: PairSums, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves NEON; the caller lends 4 elements each.
        unsafe { vst1q_s32(to, vaddq_s32(vld1q_s32(base), vpaddq_s32(sums[0], sums[1]))) }
    }
    #[inline(always)]
    fn opaque(self, mut w: int16x8_t) -> int16x8_t {
        // SAFETY: an empty instruction changes nothing.
        unsafe { asm!("/* {0:v} */", inout(vreg) w, options(nomem, nostack, preserves_flags)) };
        w
    }
    #[inline(always)]
    fn plus(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
}

impl Lanes for Neon {
    type V = float32x4_t;
    type W = float32x4_t;
    type Sum = f32;
    const LANES: usize = 4;
    const CHUNK: usize = CHUNK_F32;

    instructions! {
        fn zero() -> float32x4_t { vdupq_n_f32(0.0) }
        fn dot(sums: float32x4_t, x: float32x4_t, w: float32x4_t) -> float32x4_t {
            vfmaq_f32(sums, x, w)
        }
        fn total(sums: [float32x4_t; 4]) -> [f32; 4] {
            {
                let [a, b, c, d] = sums;
                let total = vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
                core::mem::transmute::<float32x4_t, [f32; 4]>(total)
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> float32x4_t {
        // SAFETY: `self` proves NEON; the caller lends 16 bytes.
        unsafe { vld1q_f32(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> float32x4_t {
        // SAFETY: `self` proves NEON; the caller lends 4 bytes.
        unsafe { vdupq_n_f32(from.cast::<f32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: float32x4_t, base: *const f32, to: *mut f32) {
        // SAFETY: `self` proves NEON; the caller lends 4 elements each.
        unsafe { vst1q_f32(to, vaddq_f32(vld1q_f32(base), sums)) }
    }
    #[inline(always)]
    fn opaque(self, mut w: float32x4_t) -> float32x4_t {
        // SAFETY: an empty instruction changes nothing.
        unsafe { asm!("/* {0:v} */", inout(vreg) w, options(nomem, nostack, preserves_flags)) };
        w
    }
    #[inline(always)]
    fn plus(a: f32, b: f32) -> f32 {
        a + b
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn bits(x: float32x4_t) -> uint32x4_t {
    vreinterpretq_u32_f32(x)
}

impl Reals for Neon {
    type R = float32x4_t;

    instructions! {
        fn splat_real(x: f32) -> float32x4_t { vdupq_n_f32(x) }
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
        fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t { vsubq_f32(a, b) }
        fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t { vmulq_f32(a, b) }
        fn dot_sub(c: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
            vfmsq_f32(c, a, b)
        }
        // Not `fmax` and `fmin`, which hand on a NaN from either side: a comparison takes `b`.
        fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            vbslq_f32(vcgtq_f32(a, b), a, b)
        }
        fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            vbslq_f32(vcltq_f32(a, b), a, b)
        }
        fn and(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            vreinterpretq_f32_u32(vandq_u32(bits(a), bits(b)))
        }
        fn or(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            vreinterpretq_f32_u32(vorrq_u32(bits(a), bits(b)))
        }
        fn unzip(a: float32x4_t, b: float32x4_t) -> [float32x4_t; 2] {
            [vuzp1q_f32(a, b), vuzp2q_f32(a, b)]
        }
        fn is_zero(a: float32x4_t) -> bool { vmaxvq_u32(bits(a)) == 0 }
    }

    #[inline(always)]
    unsafe fn store(self, x: float32x4_t, to: *mut f32) {
        // SAFETY: `self` proves NEON; the caller lends 4 elements.
        unsafe { vst1q_f32(to, x) }
    }
    #[inline(always)]
    unsafe fn join_exact(self, sums: float32x4_t, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves NEON; the caller lends 4 elements each.
        unsafe { vst1q_s32(to, vaddq_s32(vld1q_s32(base), vcvtnq_s32_f32(sums))) }
    }
}
