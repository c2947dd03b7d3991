//! Depthwise sums: channels in lanes, of reals or of integers that are exact in them. Planes, tables and rounding are `ops`'.
#![allow(unsafe_code)]

use super::super::lanes::{CHUNK_F32, EXACT_PRODUCTS, Lanes, MAX_LANES, Reals, Set};
use super::super::memory::Plain;
use super::super::{Arithmetic, Floats, Integers, Kernel};
use super::conv::Gather;
use super::target::{Lines, Waiting};
use alloc::vec::Vec;
use core::hint::select_unpredictable;
use core::mem::MaybeUninit;
use core::ops::Range;

/// Sums at once: enough to hide a product's latency, and few enough for the registers.
const SUMS: usize = 8;

/// The sums over taps, and what the rule makes of them: `[positions][channels]`.
pub(crate) struct RunDepthwise<'a, 'r, J: Join> {
    pub(crate) taps: Taps<'a>,
    pub(crate) plane: &'a [f32],
    /// `[taps][lanes]`.
    pub(crate) weights: &'a [f32],
    /// One a lane: channels, rounded up to whole vectors.
    pub(crate) bias: &'a [J::Sum],
    pub(crate) rule: <J::Arithmetic as Arithmetic>::Rule<'r>,
    pub(crate) channels: usize,
    pub(crate) out: &'a mut [<J::Arithmetic as Arithmetic>::Out],
}

/// Where the taps of channel 0 lie.
#[derive(Clone, Copy)]
pub(crate) enum Taps<'a> {
    /// In a padded plane; offset `k` of the gather is tap `k`.
    Padded(&'a Gather),
    /// In the image itself.
    Indirect(&'a Indirect),
}

/// Every tap of every position by itself, so that padding needs no place in memory.
pub(crate) struct Indirect {
    /// Bytes, `[positions][taps]`; [`PADDING`](Self::PADDING) where a tap lies outside of the image.
    places: Vec<u32>,
    taps: usize,
    /// The largest of the bytes.
    reach: usize,
}

impl Indirect {
    const PADDING: u32 = u32::MAX;

    /// Places are bytes, `None` for padding, position by position; `None` where one exceeds 32 bits.
    pub(crate) fn new(places: impl Iterator<Item = Option<usize>>, taps: usize) -> Option<Self> {
        let mut reach = 0;
        let places: Option<Vec<u32>> = places
            .map(|place| match place {
                None => Some(Self::PADDING),
                Some(place) => {
                    reach = reach.max(place);
                    u32::try_from(place).ok().filter(|&place| place != Self::PADDING)
                }
            })
            .collect();
        Some(Self { places: places?, taps, reach })
    }
}

/// What f32 lanes are joined into.
pub(crate) trait Join {
    type Sum: Plain;
    /// What ends the layer.
    type Arithmetic: Arithmetic<Sum = Self::Sum>;
    /// Taps that may be summed in f32 before they are joined.
    const CHUNK: usize;
    /// # Safety
    /// `LANES` elements can be read at `base` and written at `to`.
    unsafe fn join<R: Reals>(reals: R, sums: R::R, base: *const Self::Sum, to: *mut Self::Sum);
}

/// Real sums.
pub(crate) struct RealSums;

/// Integer sums.
pub(crate) struct IntegerSums;

impl Join for RealSums {
    type Sum = f32;
    type Arithmetic = Floats;
    const CHUNK: usize = CHUNK_F32;
    #[inline(always)]
    unsafe fn join<R: Reals>(reals: R, sums: R::R, base: *const f32, to: *mut f32) {
        // SAFETY: by this function's contract.
        unsafe { reals.join(sums, base, to) }
    }
}

impl Join for IntegerSums {
    type Sum = i32;
    type Arithmetic = Integers;
    const CHUNK: usize = EXACT_PRODUCTS;
    #[inline(always)]
    unsafe fn join<R: Reals>(reals: R, sums: R::R, base: *const i32, to: *mut i32) {
        // SAFETY: by this function's contract.
        unsafe { reals.join_exact(sums, base, to) }
    }
}

impl<J: Join> Kernel for RunDepthwise<'_, '_, J> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        let width = <S::Reals as Lanes>::LANES;
        let lanes = self.bias.len();
        let (taps, end) = match self.taps {
            Taps::Padded(gather) => {
                (gather.dwords(), gather.end(&(0..gather.bases().len())).saturating_sub(4))
            }
            Taps::Indirect(table) => (table.taps, table.reach),
        };
        // The last vector of channels is read from every tap of every position.
        assert!(lanes.is_multiple_of(width) && self.channels.next_multiple_of(width) == lanes);
        assert!(self.plane.len() * 4 >= end + lanes * 4, "plane");
        assert!(self.weights.len() >= taps * lanes, "weights");
        assert!(J::Arithmetic::channels(self.rule) >= lanes, "rule");
        match self.taps {
            Taps::Padded(gather) => {
                self.positions::<S, false>(set, gather.bases(), gather.offsets());
            }
            Taps::Indirect(table) => self.positions::<S, true>(set, &table.places, &[]),
        }
    }
}

impl<J: Join> RunDepthwise<'_, '_, J> {
    /// # Panics
    /// Where there is no room for every position.
    #[inline(always)]
    fn positions<S: Set, const INDIRECT: bool>(self, set: S, places: &[u32], offsets: &[u32]) {
        let (width, lanes) = (<S::Reals as Lanes>::LANES, self.bias.len());
        let taps = self.weights.len() / lanes;
        let each = if INDIRECT { taps } else { 1 };
        assert!(self.out.len() >= places.len() / each * self.channels, "out");
        // Vectors of a pixel side by side share the reading of its place, and lines of the cache.
        let wide = if S::REGISTERS >= 32 { 4 } else { 2 };
        let wide = lanes / (wide * width) * wide * width;
        let mut run = Run { job: self, set, offsets, each, taps };
        if S::REGISTERS >= 32 {
            run.channels::<4, 4, INDIRECT>(places, 0..wide);
        } else {
            run.channels::<4, 2, INDIRECT>(places, 0..wide);
        }
        run.channels::<SUMS, 1, INDIRECT>(places, wide..lanes);
    }
}

struct Run<'a, 'r, 'o, J: Join, S> {
    job: RunDepthwise<'a, 'r, J>,
    set: S,
    offsets: &'o [u32],
    /// Entries of a position in the places.
    each: usize,
    taps: usize,
}

impl<J: Join, S: Set> Run<'_, '_, '_, J, S> {
    /// `M` positions and `V` vectors of channels at a time.
    #[inline(always)]
    fn channels<const M: usize, const V: usize, const INDIRECT: bool>(
        &mut self,
        places: &[u32],
        channels: Range<usize>,
    ) {
        let lanes = self.job.bias.len();
        let job = &mut self.job;
        let step = V * <S::Reals as Lanes>::LANES;
        for (block, places) in places.chunks(M * self.each).enumerate() {
            for channel in channels.clone().step_by(step) {
                let out = &mut job.out[block * M * job.channels..];
                let lines = Lines { rule: job.rule, channels: job.channels, lane: channel, out };
                let place = Place::<J> {
                    plane: &raw const job.plane[channel],
                    offsets: self.offsets,
                    taps: self.taps,
                    weights: &raw const job.weights[channel],
                    bias: &raw const job.bias[channel],
                    lanes,
                };
                // SAFETY: the job was measured; `channel` plus `V` vectors is at most `lanes`.
                unsafe { place.block::<S, M, V, INDIRECT>(self.set, places, lines) };
            }
        }
    }
}

struct Place<'a, J: Join> {
    plane: *const f32,
    /// Of the taps, unless they are indirect.
    offsets: &'a [u32],
    taps: usize,
    weights: *const f32,
    bias: *const J::Sum,
    lanes: usize,
}

/// What padding reads: as many vectors as a block has.
static ZEROS: [f32; 4 * MAX_LANES] = [0.0; 4 * MAX_LANES];

impl<J: Join> Place<'_, J> {
    /// `V` vectors of channels of up to `M` positions; a missing one repeats the last.
    ///
    /// # Safety
    /// The vectors can be read at every place of the plane, at `weights` for every tap, `lanes` apart, and at `bias`; the rule
    /// holds for them.
    #[inline(always)]
    unsafe fn block<S: Set, const M: usize, const V: usize, const INDIRECT: bool>(
        &self,
        set: S,
        places: &[u32],
        mut lines: Lines<'_, '_, J::Arithmetic>,
    ) {
        let (reals, width) = (set.reals(), <S::Reals as Lanes>::LANES);
        let plane = self.plane.cast::<u8>();
        let each = if INDIRECT { self.taps } else { 1 };
        let rows = (places.len() / each).min(M);
        lines.check(rows);
        let (mut inputs, mut tables) = ([plane; M], [places.as_ptr(); M]);
        for m in 0..M {
            let row = m.min(rows - 1);
            // SAFETY: one of the places, and inside the plane by this function's contract.
            unsafe {
                tables[m] = tables[m].add(row * each);
                if !INDIRECT {
                    inputs[m] = inputs[m].add(*tables[m] as usize);
                }
            }
        }
        let at = |start: usize| {
            let end = self.taps.min(start.saturating_add(J::CHUNK));
            // SAFETY: by this function's contract.
            unsafe { self.chunk::<S::Reals, M, V, INDIRECT>(reals, tables, inputs, start..end) }
        };
        if self.taps <= J::CHUNK && rows == M && lines.whole(V * width) {
            let (acc, bounds) = (at(0), lines.bounds(set));
            unrolled!(n < M * V, {
                let (m, v) = (n / V, n % V);
                let mut sums = Waiting::<J::Sum>::uninit();
                let sums = sums.as_mut_ptr().cast::<J::Sum>();
                // SAFETY: by this function's contract; all are whole vectors.
                unsafe {
                    J::join(reals, acc[m][v], self.bias.add(v * width), sums);
                    lines.put_vector(set, m, v * width, sums, bounds);
                }
            });
            return;
        }
        let mut sums: [[Waiting<J::Sum>; V]; M] = [[MaybeUninit::uninit(); V]; M];
        for start in (0..self.taps).step_by(J::CHUNK.min(self.taps)) {
            let acc = at(start);
            for m in 0..M {
                for v in 0..V {
                    let to = sums[m][v].as_mut_ptr().cast::<J::Sum>();
                    // SAFETY: the bias by this function's contract; what waits was written before it is read.
                    unsafe {
                        let base = if start == 0 { self.bias.add(v * width) } else { to };
                        J::join(reals, acc[m][v], base, to);
                    }
                }
            }
        }
        let ascending = self.lanes == V * width;
        // SAFETY: the sums have been written, and the rule holds by this function's contract.
        unsafe { lines.put_part(set, &sums[..rows], ascending) };
    }

    /// The sums of some taps.
    ///
    /// # Safety
    /// As of [`block`](Self::block): `tables` lead to the places of each position, `inputs` to its first tap where they are direct.
    #[inline(always)]
    unsafe fn chunk<R: Reals, const M: usize, const V: usize, const INDIRECT: bool>(
        &self,
        reals: R,
        tables: [*const u32; M],
        inputs: [*const u8; M],
        taps: Range<usize>,
    ) -> [[R::R; V]; M] {
        let (plane, zeros) = (self.plane.cast::<u8>(), ZEROS.as_ptr().cast::<u8>());
        let mut weights = self.weights.wrapping_add(taps.start * self.lanes);
        let mut acc = [[reals.zero(); V]; M];
        for k in taps {
            // SAFETY: by this function's contract.
            unsafe {
                let mut w = [reals.operand(weights.cast()); V];
                for v in 1..V {
                    w[v] = reals.operand(weights.add(v * R::LANES).cast());
                }
                let offset = if INDIRECT { 0 } else { *self.offsets.get_unchecked(k) as usize };
                for m in 0..M {
                    let x = if INDIRECT {
                        let place = *tables[m].add(k);
                        let padding = place == Indirect::PADDING;
                        select_unpredictable(padding, zeros, plane.wrapping_add(place as usize))
                    } else {
                        inputs[m].add(offset)
                    };
                    for v in 0..V {
                        let x = reals.operand(x.cast::<u32>().add(v * R::LANES));
                        acc[m][v] = reals.dot(acc[m][v], x, w[v]);
                    }
                }
                weights = weights.wrapping_add(self.lanes);
            }
        }
        acc
    }
}
