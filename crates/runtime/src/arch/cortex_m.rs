//! The kernels of `small` by the DSP instructions of a Cortex-M4 and later: two 16-bit products an instruction. Bit for bit the
//! same sums.
#![allow(unsafe_code)]

use super::small::{QUAD, Sum, is_all, rows};
use core::arch::asm;
use penjing_format::packing::stream::Fours;

/// What a pooled position of a 3 x 3 convolution sees, as pairs of 16-bit elements: of each of four rows (x0, x2) and (x1, x3);
/// then of the first and second row (x1, x1') and (x2, x2'), and of the second and third.
#[repr(C, align(8))]
pub(crate) struct Patch([u32; 12]);

impl Patch {
    /// Of zeros.
    pub(crate) const EMPTY: Self = Self([0; 12]);

    /// Reads `(byte ^ flip) - zero` from the first of `bytes` on, rows being `stride` apart. False, and nothing read, where all
    /// are 0; `None` where there are too few.
    #[inline(always)]
    pub(crate) fn load(
        &mut self,
        bytes: &[u8],
        stride: usize,
        flip: u8,
        zero: i32,
    ) -> Option<bool> {
        let [w0, w1, w2, w3] = rows(bytes, stride)?;
        if is_all(zero as u8 ^ flip, [w0, w1, w2, w3]) {
            return Some(false);
        }
        let flip = u32::from_ne_bytes([flip; 4]);
        let zeros = (zero as u32 & 0xffff).wrapping_mul(0x0001_0001);
        let split = |word: u32| -> (u32, u32) {
            let (even, odd);
            // SAFETY: instructions on registers alone.
            unsafe {
                asm!(
                    "uxtb16 {even}, {word}",
                    "uxtb16 {odd}, {word}, ror #8",
                    "ssub16 {even}, {even}, {zeros}",
                    "ssub16 {odd}, {odd}, {zeros}",
                    word = in(reg) word ^ flip,
                    zeros = in(reg) zeros,
                    even = out(reg) even,
                    odd = out(reg) odd,
                    options(pure, nomem, nostack),
                );
            }
            (even, odd)
        };
        let ((e0, o0), (e1, o1), (e2, o2), (e3, o3)) = (split(w0), split(w1), split(w2), split(w3));
        let low = |x: u32, y: u32| (x & 0xffff) | (y << 16);
        let high = |x: u32, y: u32| (x >> 16) | (y & 0xffff_0000);
        let (a, b, c, d) = (low(o0, o1), high(e0, e1), low(o1, o2), high(e1, e2));
        self.0 = [e0, o0, e1, o1, e2, o2, e3, o3, a, b, c, d];
        Some(true)
    }

    // A frame of its own costs less than what a caller would spill around so many registers.
    #[inline(never)]
    pub(crate) fn largest(&self, row: &[u8; 9], bias: i32) -> i32 {
        let (p, q, r, s): (i32, i32, i32, i32);
        // SAFETY: reads the nine bytes of `row`, whole words of them at any address, which Cortex-M cores with DSP allow, and the
        // twelve words of the patch, aligned for LDRD; writes nothing.
        unsafe {
            asm!(
                // (w0, w2) of each row of the kernel.
                "ldr {a}, [{row}]",
                "ldr {b}, [{row}, #3]",
                "ldr {c}, [{row}, #5]",
                "sxtb16 {a}, {a}",
                "sxtb16 {b}, {b}",
                "sxtb16 {c}, {c}, ror #8",
                "ldrd {p}, {q}, [{patch}]",
                "smlad {p}, {a}, {p}, {bias}",
                "smlad {q}, {a}, {q}, {bias}",
                "ldrd {x}, {y}, [{patch}, #8]",
                "smlad {p}, {b}, {x}, {p}",
                "smlad {q}, {b}, {y}, {q}",
                "smlad {r}, {a}, {x}, {bias}",
                "smlad {s}, {a}, {y}, {bias}",
                "ldrd {x}, {y}, [{patch}, #16]",
                "smlad {p}, {c}, {x}, {p}",
                "smlad {q}, {c}, {y}, {q}",
                "smlad {r}, {b}, {x}, {r}",
                "smlad {s}, {b}, {y}, {s}",
                // w1 of the last row.
                "ldrsb {a}, [{row}, #7]",
                "smlabb {p}, {a}, {y}, {p}",
                "smlabt {q}, {a}, {x}, {q}",
                "ldrd {x}, {y}, [{patch}, #24]",
                "smlad {r}, {c}, {x}, {r}",
                "smlad {s}, {c}, {y}, {s}",
                "smlabb {r}, {a}, {y}, {r}",
                "smlabt {s}, {a}, {x}, {s}",
                // (w1, w1') of the first two.
                "ldrsb {a}, [{row}, #1]",
                "ldrsb {b}, [{row}, #4]",
                "pkhbt {a}, {a}, {b}, lsl #16",
                "ldrd {x}, {y}, [{patch}, #32]",
                "smlad {p}, {a}, {x}, {p}",
                "smlad {q}, {a}, {y}, {q}",
                "ldrd {x}, {y}, [{patch}, #40]",
                "smlad {r}, {a}, {x}, {r}",
                "smlad {s}, {a}, {y}, {s}",
                row = in(reg) row.as_ptr(),
                patch = in(reg) self.0.as_ptr(),
                bias = in(reg) bias,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                x = out(reg) _,
                y = out(reg) _,
                p = out(reg) p,
                q = out(reg) q,
                r = out(reg) r,
                s = out(reg) s,
                options(pure, readonly, nostack),
            );
        }
        p.max(q).max(r.max(s))
    }
}

/// `bias + sum w * x` for four columns of a patch in the order of [`super::small::place`]. Weights are int8 in bytes.
#[inline(never)]
pub(crate) fn columns(row: &[u8], patch: &[i16], bias: i32) -> [i32; 4] {
    let (patches, _) = patch.as_chunks::<QUAD>();
    let (quads, rest) = row.as_chunks::<4>();
    let [mut p, mut q, mut r, mut s] = [bias; 4];
    let mut last = [0; 4];
    last.iter_mut().zip(rest).for_each(|(last, &weight)| *last = weight);
    let tail = core::iter::once(&last).filter(|_| !rest.is_empty());
    for (quad, patch) in quads.iter().chain(tail).zip(patches) {
        // SAFETY: reads the sixteen halves of a part of the patch, in words: Cortex-M cores with DSP allow any address to LDR, and
        // LDM is given one that is a multiple of 4, since patches begin at a word; writes nothing.
        unsafe {
            asm!(
                "sxtb16 {even}, {weights}",
                "sxtb16 {odd}, {weights}, ror #8",
                "ldr {x}, [{patch}]",
                "ldr {y}, [{patch}, #4]",
                "smlad {p}, {even}, {x}, {p}",
                "smlad {q}, {even}, {y}, {q}",
                "ldr {x}, [{patch}, #8]",
                "ldr {y}, [{patch}, #12]",
                "smlad {r}, {even}, {x}, {r}",
                "smlad {s}, {even}, {y}, {s}",
                "ldr {x}, [{patch}, #16]",
                "ldr {y}, [{patch}, #20]",
                "smlad {p}, {odd}, {x}, {p}",
                "smlad {q}, {odd}, {y}, {q}",
                "ldr {x}, [{patch}, #24]",
                "ldr {y}, [{patch}, #28]",
                "smlad {r}, {odd}, {x}, {r}",
                "smlad {s}, {odd}, {y}, {s}",
                weights = in(reg) u32::from_le_bytes(*quad),
                patch = in(reg) patch.as_ptr(),
                even = out(reg) _,
                odd = out(reg) _,
                x = out(reg) _,
                y = out(reg) _,
                p = inout(reg) p,
                q = inout(reg) q,
                r = inout(reg) r,
                s = inout(reg) s,
                options(pure, readonly, nostack),
            );
        }
    }
    [p, q, r, s]
}

/// `clamp(round_ties_even(sum * multiplier))`: VCVTR rounds as FPSCR says, which after reset is to the nearest even, and saturates.
#[cfg(penjing_fpu)]
#[inline(always)]
pub(crate) fn requantize(sum: i32, multiplier: f32, [min, max]: [i32; 2]) -> i32 {
    let mut x = sum;
    // SAFETY: instructions on registers alone, of which those that are not named are said to change.
    unsafe {
        asm!(
            "vmov s0, {x}",
            "vmov s1, {multiplier}",
            "vcvt.f32.s32 s0, s0",
            "vmul.f32 s0, s0, s1",
            "vcvtr.s32.f32 s0, s0",
            "vmov {x}, s0",
            x = inout(reg) x,
            multiplier = in(reg) multiplier.to_bits(),
            out("s0") _,
            out("s1") _,
            options(pure, nomem, nostack),
        );
    }
    x.max(min).min(max)
}

/// The product of the next value and the half at `place` and so many bytes more.
macro_rules! member {
    ($more:literal) => {
        concat!(
            "ldrsb {w}, [{next}], #1\n",
            "ldrsh {y}, [{place}, #",
            $more,
            "]\n",
            "smlabb {sum}, {w}, {y}, {sum}"
        )
    };
}

/// The sum of the products of groups' members with the elements of `x` at their places; `None` where `x` is too short.
#[inline(always)]
pub(crate) fn fours(groups: &Fours<'_>, x: &[i16]) -> Option<Sum> {
    let Fours { live, members, odd, values } = *groups;
    let reach = 32_u32.wrapping_sub(live.leading_zeros()).wrapping_mul(4) as usize;
    if x.len() < reach || members.len() < 20 || values.len() < 96 || live >= 1 << 24 {
        return None;
    }
    let (mut sum, mut next) = (0_i32, values.as_ptr());
    let (mut left, mut more) = (if odd { 7_u32 } else { 8 }, members.as_ptr().wrapping_add(4));
    // SAFETY: reads a word of `members` for each eight groups, which are 24 at most, and one more: 16 bytes, at any address, as
    // Cortex-M cores with DSP allow; four halves of `x` for a group, below `reach`; a value for each bit of a group, 96 at most.
    // Writes nothing. The jump is to one of sixteen places, by four bits.
    unsafe {
        asm!(
            "cmp {live}, #0",
            "beq 7f",
            "2:",
            "rbit {place}, {live}",
            "sub {y}, {live}, #1",
            "clz {place}, {place}",
            "and {live}, {live}, {y}",
            "and {w}, {members}, #15",
            "add {place}, {x}, {place}, lsl #3",
            "lsr {members}, {members}, #4",
            "tbb [pc, {w}]",
            "4:",
            ".byte (3f - 4b) / 2, (21f - 4b) / 2, (22f - 4b) / 2, (23f - 4b) / 2, (24f - 4b) / 2, (25f - 4b) / 2, (26f - 4b) / 2, (27f - 4b) / 2",
            ".byte (28f - 4b) / 2, (29f - 4b) / 2, (30f - 4b) / 2, (31f - 4b) / 2, (32f - 4b) / 2, (33f - 4b) / 2, (34f - 4b) / 2, (35f - 4b) / 2",
            "21:", member!(0), "b 3f",
            "22:", member!(2), "b 3f",
            "23:", member!(0), member!(2), "b 3f",
            "24:", member!(4), "b 3f",
            "25:", member!(0), member!(4), "b 3f",
            "26:", member!(2), member!(4), "b 3f",
            "27:", member!(0), member!(2), member!(4), "b 3f",
            "28:", member!(6), "b 3f",
            "29:", member!(0), member!(6), "b 3f",
            "30:", member!(2), member!(6), "b 3f",
            "31:", member!(0), member!(2), member!(6), "b 3f",
            "32:", member!(4), member!(6), "b 3f",
            "33:", member!(0), member!(4), member!(6), "b 3f",
            "34:", member!(2), member!(4), member!(6), "b 3f",
            "35:", member!(0), member!(2), member!(4), member!(6),
            "3:",
            "subs {left}, {left}, #1",
            "beq 6f",
            "5:",
            "cmp {live}, #0",
            "bne 2b",
            "b 7f",
            "6:",
            "ldr {members}, [{more}], #4",
            "movs {left}, #8",
            "b 5b",
            "7:",
            live = inout(reg) live => _,
            x = in(reg) x.as_ptr(),
            members = inout(reg) first_word(members) >> if odd { 4 } else { 0 } => _,
            more = inout(reg) more,
            left = inout(reg) left,
            next = inout(reg) next,
            sum = inout(reg) sum,
            place = out(reg) _,
            w = out(reg) _,
            y = out(reg) _,
            options(pure, readonly, nostack),
        );
    }
    let passed = |from: &[u8], to: *const u8| (to as u32).wrapping_sub(from.as_ptr() as u32);
    // Two groups a byte of the words that were read, but for those left of the last one.
    let groups = passed(members, more).wrapping_mul(2).wrapping_sub(left).wrapping_sub(odd.into());
    Some(Sum { sum, values: passed(values, next), groups })
}

fn first_word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |&word| u32::from_le_bytes(word))
}
