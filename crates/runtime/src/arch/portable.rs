//! Plain Rust, on any machine: 4 lanes in arrays, which LLVM turns into whatever vectors the target has. Integers are exact
//! reals.
#![allow(unsafe_code)]

use super::kernels::patches::Patches;
use super::lanes::{Codes, Ints, Lanes, Products, Reals, Set};
use core::array::from_fn;

const LANES: usize = 4;

/// 1.5 * 2^23: adding it leaves no bits below 1, and rounds to nearest even as every f32 addition does; the low bits of the
/// sum are the integer, which saves a conversion that would have to saturate.
const MAGIC: f32 = 12_582_912.0;

/// Needs no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

/// Integers, exact in f32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortableInts;

/// The same vector, which the compiler must take for another one; in a register, where the target is known.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn opaque(w: [f32; LANES]) -> [f32; LANES] {
    // SAFETY: every x86-64 has this register class; both types are four f32, and an empty instruction changes nothing.
    unsafe {
        let mut w: core::arch::x86_64::__m128 = core::mem::transmute(w);
        core::arch::asm!("/* {0} */", inout(xmm_reg) w, options(nomem, nostack, preserves_flags));
        core::mem::transmute(w)
    }
}

/// The same vector, which the compiler must take for another one.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn opaque(w: [f32; LANES]) -> [f32; LANES] {
    core::hint::black_box(w)
}

impl Set for Portable {
    type Ints = PortableInts;
    type Reals = Portable;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn ints(self) -> PortableInts {
        PortableInts
    }
    #[inline(always)]
    fn reals(self) -> Portable {
        self
    }
    #[inline(always)]
    unsafe fn store_codes(self, x: [f32; LANES], _shift: i32, to: *mut u8) {
        let rounded: [f32; LANES] = from_fn(|l| (x[l] + MAGIC) - MAGIC);
        // SAFETY: the caller lends 16 aligned bytes.
        unsafe { to.cast::<[f32; LANES]>().write(rounded) }
    }
    #[inline(always)]
    unsafe fn reals_of(self, from: *const i32) -> [f32; LANES] {
        // SAFETY: the caller lends 4 elements.
        let sums = unsafe { from.cast::<[i32; LANES]>().read() };
        sums.map(|sum| sum as f32)
    }
    #[inline(always)]
    unsafe fn store_i8(self, x: [f32; LANES], zero_point: i32, to: *mut i8) {
        let offset = zero_point.wrapping_sub(MAGIC.to_bits() as i32);
        let codes = x.map(|x| ((x + MAGIC).to_bits() as i32).wrapping_add(offset) as i8);
        // SAFETY: the caller lends 4 bytes.
        unsafe { to.cast::<[i8; LANES]>().write(codes) }
    }
    #[inline(always)]
    fn best(self, sums: [[f32; LANES]; 4]) -> [f32; LANES] {
        let [a, b, c, d] = sums;
        self.max(self.max(a, b), self.max(c, d))
    }
    const PATCHES: Option<Products> = None;
    fn patches(self, _: Patches<'_>) {
        unreachable!("reals do it")
    }
}

impl Ints for PortableInts {
    const CODES: Codes = Codes::F32;
    #[inline(always)]
    unsafe fn splat_sum(self, from: *const i32) -> [f32; LANES] {
        // SAFETY: the caller lends an element.
        [unsafe { from.read() } as f32; LANES]
    }
}

impl Lanes for PortableInts {
    type V = [f32; LANES];
    type W = [f32; LANES];
    type Sum = i32;
    const LANES: usize = LANES;
    const CHUNK: usize = super::lanes::EXACT_PRODUCTS;

    #[inline(always)]
    fn zero(self) -> [f32; LANES] {
        [0.0; LANES]
    }
    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> [f32; LANES] {
        // SAFETY: the caller lends 4 dwords.
        unsafe { Portable.operand(from) }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> [f32; LANES] {
        // SAFETY: the caller lends 4 bytes.
        unsafe { Portable.splat(from) }
    }
    #[inline(always)]
    fn dot(self, sums: [f32; LANES], x: [f32; LANES], w: [f32; LANES]) -> [f32; LANES] {
        Portable.dot(sums, x, w)
    }
    #[inline(always)]
    unsafe fn join(self, sums: [f32; LANES], base: *const i32, to: *mut i32) {
        // SAFETY: the caller lends 4 elements each.
        unsafe { Portable.join_exact(sums, base, to) }
    }
    #[inline(always)]
    fn total(self, sums: [[f32; LANES]; 4]) -> [i32; 4] {
        sums.map(|lanes| lanes.map(|x| x as i32).into_iter().fold(0, i32::wrapping_add))
    }
    #[inline(always)]
    fn opaque(self, w: [f32; LANES]) -> [f32; LANES] {
        opaque(w)
    }
    #[inline(always)]
    fn plus(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
}

impl Lanes for Portable {
    type V = [f32; LANES];
    type W = [f32; LANES];
    type Sum = f32;
    const LANES: usize = LANES;
    const CHUNK: usize = super::lanes::CHUNK_F32;

    #[inline(always)]
    fn zero(self) -> [f32; LANES] {
        [0.0; LANES]
    }
    #[inline(always)]
    unsafe fn operand(self, from: *const u32) -> [f32; LANES] {
        // SAFETY: the caller lends 4 dwords.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn splat(self, from: *const u8) -> [f32; LANES] {
        // SAFETY: the caller lends 4 bytes.
        [unsafe { from.cast::<f32>().read_unaligned() }; LANES]
    }
    #[inline(always)]
    fn dot(self, sums: [f32; LANES], x: [f32; LANES], w: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| sums[l] + x[l] * w[l])
    }
    #[inline(always)]
    unsafe fn join(self, sums: [f32; LANES], base: *const f32, to: *mut f32) {
        // SAFETY: the caller lends 4 elements each.
        unsafe {
            let base = base.cast::<[f32; LANES]>().read();
            to.cast::<[f32; LANES]>().write(from_fn(|l| base[l] + sums[l]));
        }
    }
    #[inline(always)]
    fn total(self, sums: [[f32; LANES]; 4]) -> [f32; 4] {
        sums.map(|[a, b, c, d]| (a + c) + (b + d))
    }
    #[inline(always)]
    fn opaque(self, w: [f32; LANES]) -> [f32; LANES] {
        opaque(w)
    }
    #[inline(always)]
    fn plus(a: f32, b: f32) -> f32 {
        a + b
    }
}

impl Reals for Portable {
    type R = [f32; LANES];

    #[inline(always)]
    fn splat_real(self, x: f32) -> [f32; LANES] {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn store(self, x: [f32; LANES], to: *mut f32) {
        // SAFETY: the caller lends 4 elements.
        unsafe { to.cast::<[f32; LANES]>().write(x) }
    }
    #[inline(always)]
    unsafe fn join_exact(self, sums: [f32; LANES], base: *const i32, to: *mut i32) {
        // SAFETY: the caller lends 4 elements each.
        unsafe {
            let base = base.cast::<[i32; LANES]>().read();
            to.cast::<[i32; LANES]>().write(from_fn(|l| base[l].wrapping_add(sums[l] as i32)));
        }
    }
    #[inline(always)]
    fn add(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| a[l] + b[l])
    }
    #[inline(always)]
    fn sub(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| a[l] - b[l])
    }
    #[inline(always)]
    fn mul(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| a[l] * b[l])
    }
    #[inline(always)]
    fn dot_sub(self, c: [f32; LANES], a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| c[l] - a[l] * b[l])
    }
    #[inline(always)]
    fn max(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| if a[l] > b[l] { a[l] } else { b[l] })
    }
    #[inline(always)]
    fn min(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| if a[l] < b[l] { a[l] } else { b[l] })
    }
    #[inline(always)]
    fn and(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| f32::from_bits(a[l].to_bits() & b[l].to_bits()))
    }
    #[inline(always)]
    fn or(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        from_fn(|l| f32::from_bits(a[l].to_bits() | b[l].to_bits()))
    }
    #[inline(always)]
    fn unzip(self, a: [f32; LANES], b: [f32; LANES]) -> [[f32; LANES]; 2] {
        [[a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]]]
    }
    #[inline(always)]
    fn is_zero(self, a: [f32; LANES]) -> bool {
        a.iter().fold(0, |bits, x| bits | x.to_bits()) == 0
    }
}
