//! The general product: sums over dwords gathered from a plane, for tiles of output channels in lanes. Convolutions of any
//! geometry are one, a dense layer over a batch is one with images for positions. Planes, tables and rounding are `ops`'.
#![allow(unsafe_code)]

use super::super::lanes::{Lanes, Set};
use super::super::{Arithmetic, Kernel};
use alloc::vec::Vec;
use core::ops::Range;

/// Where products take their inputs: position `p` and dword `k` of a kernel lie at byte `bases[p] + offsets[k]`.
pub(crate) struct Gather {
    /// In rising order.
    bases: Vec<u32>,
    offsets: Vec<u32>,
    /// The largest offset.
    reach: usize,
}

impl Gather {
    /// `None` where an address exceeds 32 bits, or bases do not rise.
    pub(crate) fn new(bases: impl Iterator<Item = usize>, offsets: &[usize]) -> Option<Self> {
        let reach = offsets.iter().copied().max().unwrap_or(0);
        let mut narrow = Vec::with_capacity(bases.size_hint().0);
        let mut last = 0;
        for base in bases {
            let base = u32::try_from(base).ok().filter(|&base| base >= last)?;
            narrow.push(base);
            last = base;
        }
        u32::try_from((last as usize).checked_add(reach)?.checked_add(4)?).ok()?;
        // No offset exceeds `reach`, which the line above has seen to fit.
        Some(Self { bases: narrow, offsets: offsets.iter().map(|&x| x as u32).collect(), reach })
    }

    /// The byte before which the reads of these positions end.
    pub(crate) fn end(&self, positions: &Range<usize>) -> usize {
        let last = positions.end.checked_sub(1).and_then(|last| self.bases.get(last));
        last.map_or(0, |&base| base as usize + self.reach + 4)
    }

    /// Dwords of a kernel.
    pub(crate) fn dwords(&self) -> usize {
        self.offsets.len()
    }

    pub(crate) fn bases(&self) -> &[u32] {
        &self.bases
    }

    pub(crate) fn offsets(&self) -> &[u32] {
        &self.offsets
    }
}

/// Writes sums of the positions `positions` to `sums`, `[positions][tiles * tile * LANES]`.
pub(crate) struct Product<'a, S> {
    pub(crate) gather: &'a Gather,
    pub(crate) positions: Range<usize>,
    pub(crate) plane: &'a [u8],
    /// `[tiles][dwords][tile * LANES]`.
    pub(crate) weights: &'a [u32],
    /// One a lane of every tile.
    pub(crate) bias: &'a [S],
    pub(crate) sums: &'a mut [S],
    /// Vectors of a tile, 1 to 4.
    pub(crate) tile: usize,
}

/// A product of integers or of reals.
pub(crate) struct RunProduct<'a, A: Arithmetic>(pub(crate) Product<'a, A::Sum>);

impl<A: Arithmetic> Kernel for RunProduct<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        let lanes = A::lanes(set);
        // A tile's sums, its weights and one input must fit in the registers, with one to spare for the compiler.
        match (self.0.tile, S::REGISTERS >= 32) {
            (1, false) => self.0.run::<A::Lanes<S>, 8, 1>(lanes),
            (2, false) => self.0.run::<A::Lanes<S>, 6, 2>(lanes),
            (3, false) => self.0.run::<A::Lanes<S>, 3, 3>(lanes),
            (1, true) => self.0.run::<A::Lanes<S>, 12, 1>(lanes),
            (2, true) => self.0.run::<A::Lanes<S>, 12, 2>(lanes),
            (3, true) => self.0.run::<A::Lanes<S>, 8, 3>(lanes),
            (_, true) => self.0.run::<A::Lanes<S>, 6, 4>(lanes),
            (tile, false) => unreachable!("tiles of {tile} vectors"),
        }
    }
}

impl<T: Copy> Product<'_, T> {
    #[inline(always)]
    fn run<L: Lanes<Sum = T>, const M: usize, const N: usize>(self, lanes: L) {
        let width = N * L::LANES;
        let dwords = self.gather.dwords();
        let tiles = self.bias.len() / width;
        let bases = &self.gather.bases[self.positions.clone()];
        assert!(self.plane.len() >= self.gather.end(&self.positions), "plane");
        assert!(self.weights.len() >= tiles * dwords * width, "weights");
        assert!(self.sums.len() >= bases.len() * tiles * width, "sums");
        let (plane, end) = (self.plane.as_ptr(), self.sums.len());
        for tile in 0..tiles {
            let weights = &self.weights[tile * dwords * width..(tile + 1) * dwords * width];
            let bias = &self.bias[tile * width..(tile + 1) * width];
            let place = Place { plane, offsets: &self.gather.offsets, weights, bias };
            let (blocks, rest) = bases.as_chunks::<M>();
            let pitch = tiles * width;
            // SAFETY: `Gather` bounds every address by its `end`, which the plane reaches; weights, bias and sums were measured
            // above, for `tiles` tiles of `width` lanes.
            unsafe {
                for (block, bases) in blocks.iter().enumerate() {
                    let sums = &mut self.sums[block * M * pitch + tile * width..];
                    place.block::<L, M, N>(lanes, bases, M, pitch, sums);
                }
                let sums = &mut self.sums[(blocks.len() * M * pitch + tile * width).min(end)..];
                match *rest {
                    [] => {}
                    [base] => place.block::<L, 1, N>(lanes, &[base], 1, pitch, sums),
                    [.., last] => {
                        let mut bases = [last; M];
                        bases[..rest.len()].copy_from_slice(rest);
                        place.block::<L, M, N>(lanes, &bases, rest.len(), pitch, sums);
                    }
                }
            }
        }
    }
}

struct Place<'a, T> {
    plane: *const u8,
    offsets: &'a [u32],
    weights: &'a [u32],
    bias: &'a [T],
}

impl<T: Copy> Place<'_, T> {
    /// The sums of the first `rows` positions, at least 1 of `M`.
    ///
    /// # Safety
    /// All of `bases` plus `offsets` plus 4 lie inside the plane; `weights` has `offsets.len() * N * LANES` elements, `bias`
    /// `N * LANES`, and `sums` as many from every `pitch` on for each base.
    #[inline(always)]
    unsafe fn block<L: Lanes<Sum = T>, const M: usize, const N: usize>(
        &self,
        lanes: L,
        bases: &[u32; M],
        rows: usize,
        pitch: usize,
        sums: &mut [T],
    ) {
        let mut inputs = [self.plane; M];
        for m in 0..M {
            // SAFETY: inside the plane, by this function's contract.
            inputs[m] = unsafe { self.plane.add(bases[m] as usize) };
        }
        assert!(sums.len() >= (rows - 1) * pitch + N * L::LANES, "sums");
        let sums = sums.as_mut_ptr();
        let mut weights = self.weights.as_ptr();
        for (chunk, offsets) in self.offsets.chunks(L::CHUNK).enumerate() {
            let mut acc = [[lanes.zero(); N]; M];
            for &offset in offsets {
                // SAFETY: `N * LANES` weights a dword; every input lies inside the plane, by this function's contract.
                unsafe {
                    let mut w = [lanes.operand(weights); N];
                    for n in 1..N {
                        w[n] = lanes.operand(weights.add(n * L::LANES));
                    }
                    for m in 0..M {
                        let x = lanes.splat(inputs[m].add(offset as usize));
                        for n in 0..N {
                            acc[m][n] = lanes.dot(acc[m][n], x, w[n]);
                        }
                    }
                    weights = weights.add(N * L::LANES);
                }
            }
            for m in 0..M {
                if m >= rows {
                    break;
                }
                for n in 0..N {
                    // SAFETY: a row of `sums`, as asserted; it and `bias` have `N * LANES` elements, by this function's
                    // contract.
                    unsafe {
                        let to = sums.add(m * pitch + n * L::LANES);
                        let base =
                            if chunk == 0 { self.bias.as_ptr().add(n * L::LANES) } else { to };
                        lanes.join(acc[m][n], base, to);
                    }
                }
            }
        }
    }
}
