//! NEON with dot products: 4 lanes in 32 registers. Integers are quads of i8 (`sdot`); reals are `neon`'s.
#![allow(unsafe_code)]

use super::super::Kernel;
use super::super::kernels::patches::Patches;
use super::super::lanes::{Codes, Ints, Lanes, Products, Quads, Set};
use super::neon::Neon;
use core::arch::aarch64::*;
use core::arch::asm;

/// Proof of NEON and its dot products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dotprod(Neon);

impl Dotprod {
    /// The token, where the processor has both.
    pub(crate) fn new() -> Option<Self> {
        Neon::new().filter(|_| has!("dotprod")).map(Self)
    }

    /// Runs `kernel` compiled for this set.
    pub(crate) fn enter<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "neon,dotprod")]
        fn entry<K: Kernel>(token: Dotprod, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the processor has both.
        unsafe { entry(self, kernel) }
    }
}

impl Set for Dotprod {
    type Ints = DotprodInts;
    type Reals = Neon;
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn ints(self) -> DotprodInts {
        DotprodInts(self)
    }
    #[inline(always)]
    fn reals(self) -> Neon {
        self.0
    }
    #[inline(always)]
    unsafe fn store_codes(self, x: float32x4_t, shift: i32, to: *mut u8) {
        // SAFETY: the caller lends 4 bytes, and these codes are i8.
        unsafe { self.0.store_i8(x, shift, to.cast()) }
    }
    #[inline(always)]
    unsafe fn reals_of(self, from: *const i32) -> float32x4_t {
        // SAFETY: the caller lends 4 elements.
        unsafe { self.0.reals_of(from) }
    }
    #[inline(always)]
    unsafe fn store_i8(self, x: float32x4_t, zero_point: i32, to: *mut i8) {
        // SAFETY: the caller lends 4 bytes.
        unsafe { self.0.store_i8(x, zero_point, to) }
    }
    const PATCHES: Option<Products> = Some(Products::Quads);
    #[inline(always)]
    fn patches(self, job: Patches<'_>) {
        job.run_quads(self);
    }
    instructions! {
        fn best(sums: [int32x4_t; 4]) -> float32x4_t {
            {
                let [a, b, c, d] = sums;
                vcvtq_f32_s32(vmaxq_s32(vmaxq_s32(a, b), vmaxq_s32(c, d)))
            }
        }
    }
}

/// `sums + x * w`: its intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sums: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t {
    // SAFETY: this function has the instruction, which touches no memory and no flags.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sums,
            in(vreg) x,
            in(vreg) w,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Integers on NEON with dot products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DotprodInts(Dotprod);

impl Ints for DotprodInts {
    const CODES: Codes = Codes::I8;
    #[inline(always)]
    unsafe fn splat_sum(self, from: *const i32) -> int32x4_t {
        // SAFETY: `self` proves NEON; the caller lends an element.
        unsafe { vdupq_n_s32(from.read()) }
    }
}

impl Quads for DotprodInts {
    #[inline(always)]
    unsafe fn spread(self, from: *const u8) -> int8x16_t {
        /// Bytes `2 * l` to `2 * l + 3` in lane `l`.
        static BYTES: [u8; 16] = [0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9];
        // SAFETY: `self` proves NEON; the caller lends 64 bytes.
        unsafe { vreinterpretq_s8_u8(vqtbl1q_u8(vld1q_u8(from), vld1q_u8(BYTES.as_ptr()))) }
    }

    instructions! {
        fn all_equal(rows: [int8x16_t; 4], byte: u8) -> bool {
            {
                let byte = vdupq_n_s8(byte as i8);
                let [a, b, c, d] = rows;
                let ab = vorrq_s8(veorq_s8(a, byte), veorq_s8(b, byte));
                let cd = vorrq_s8(veorq_s8(c, byte), veorq_s8(d, byte));
                vmaxvq_u32(vreinterpretq_u32_s8(vorrq_s8(ab, cd))) == 0
            }
        }
    }
}

impl Lanes for DotprodInts {
    type V = int32x4_t;
    type W = int8x16_t;
    type Sum = i32;
    const LANES: usize = 4;
    const CHUNK: usize = usize::MAX;

    instructions! {
        fn zero() -> int32x4_t { vdupq_n_s32(0) }
        fn dot(sums: int32x4_t, x: int8x16_t, w: int8x16_t) -> int32x4_t { sdot(sums, x, w) }
        fn total(sums: [int32x4_t; 4]) -> [i32; 4] {
            {
                let [a, b, c, d] = sums;
                let total = vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
                core::mem::transmute::<int32x4_t, [i32; 4]>(total)
            }
        }
    }

    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> int8x16_t {
        // SAFETY: `self` proves NEON; the caller lends 16 bytes.
        unsafe { vld1q_s8(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> int8x16_t {
        // SAFETY: `self` proves NEON; the caller lends 4 bytes.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(from.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    unsafe fn join(self, sums: int32x4_t, base: *const i32, to: *mut i32) {
        // SAFETY: `self` proves NEON; the caller lends 4 elements each.
        unsafe { vst1q_s32(to, vaddq_s32(vld1q_s32(base), sums)) }
    }
    #[inline(always)]
    fn opaque(self, mut w: int8x16_t) -> int8x16_t {
        // SAFETY: an empty instruction changes nothing.
        unsafe { asm!("/* {0:v} */", inout(vreg) w, options(nomem, nostack, preserves_flags)) };
        w
    }
    #[inline(always)]
    fn plus(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
}
