//! The general product: sums over dwords gathered from a plane, for tiles of output channels in lanes. Convolutions of any
//! geometry are one, a dense layer over a batch is one with images for positions. Planes, tables and rounding are `ops`'.
#![allow(unsafe_code)]

use super::super::lanes::{Lanes, Set};
use super::super::{Arithmetic, Kernel};
use super::target::{At, Target, Waiting};
use alloc::vec::Vec;
use core::mem::MaybeUninit;
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

/// The products of the positions `positions`, and what becomes of them.
pub(crate) struct Product<'a, 'r, A: Arithmetic> {
    pub(crate) gather: &'a Gather,
    pub(crate) positions: Range<usize>,
    pub(crate) plane: &'a [u8],
    /// `[tiles][dwords][tile * LANES]`.
    pub(crate) weights: &'a [u32],
    /// One a lane of every tile.
    pub(crate) bias: &'a [A::Sum],
    pub(crate) target: Target<'a, 'r, A>,
    /// Vectors of a tile, 1 to 4.
    pub(crate) tile: usize,
}

impl<A: Arithmetic> Kernel for Product<'_, '_, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, set: S) {
        // A tile's sums, its weights and one input must fit in the registers, with one to spare for the compiler.
        match (self.tile, S::REGISTERS >= 32) {
            (1, false) => self.run::<S, 8, 1>(set),
            (2, false) => self.run::<S, 6, 2>(set),
            (3, false) => self.run::<S, 3, 3>(set),
            (1, true) => self.run::<S, 8, 1>(set),
            (2, true) => self.run::<S, 8, 2>(set),
            (3, true) => self.run::<S, 8, 3>(set),
            (_, true) => self.run::<S, 6, 4>(set),
            (tile, false) => unreachable!("tiles of {tile} vectors"),
        }
    }
}

impl<A: Arithmetic> Product<'_, '_, A> {
    #[inline(always)]
    fn run<S: Set, const M: usize, const N: usize>(mut self, set: S) {
        let width = N * <A::Lanes<S> as Lanes>::LANES;
        let dwords = self.gather.dwords();
        let tiles = self.bias.len() / width;
        let bases = &self.gather.bases[self.positions.clone()];
        assert!(self.plane.len() >= self.gather.end(&self.positions), "plane");
        assert!(self.weights.len() >= tiles * dwords * width, "weights");
        self.target.check(bases.len(), tiles * width, N * <A::Lanes<S> as Lanes>::LANES);
        let plane = self.plane.as_ptr();
        for tile in 0..tiles {
            let weights = &self.weights[tile * dwords * width..(tile + 1) * dwords * width];
            let bias = &self.bias[tile * width..(tile + 1) * width];
            let place = Place::<A> { plane, offsets: &self.gather.offsets, weights, bias };
            let (blocks, rest) = bases.as_chunks::<M>();
            let mut at = At { first: 0, rows: M, lane: tile * width, tiles };
            // SAFETY: `Gather` bounds every address by its `end`, which the plane reaches; weights, bias and the target were
            // measured above, for `tiles` tiles of `width` lanes.
            unsafe {
                for bases in blocks {
                    place.block::<S, M, N>(set, bases, at, &mut self.target);
                    at.first += M;
                }
                at.rows = rest.len();
                match *rest {
                    [] => {}
                    [base] => place.block::<S, 1, N>(set, &[base], at, &mut self.target),
                    [.., last] => {
                        let mut bases = [last; M];
                        bases[..rest.len()].copy_from_slice(rest);
                        place.block::<S, M, N>(set, &bases, at, &mut self.target);
                    }
                }
            }
        }
    }
}

struct Place<'a, A: Arithmetic> {
    plane: *const u8,
    offsets: &'a [u32],
    weights: &'a [u32],
    bias: &'a [A::Sum],
}

impl<A: Arithmetic> Place<'_, A> {
    /// The sums of `at.rows` positions, at least 1 of `M`.
    ///
    /// # Safety
    /// All of `bases` plus `offsets` plus 4 lie inside the plane; `weights` has `offsets.len() * N * LANES` elements, `bias`
    /// `N * LANES`, and the target has been checked.
    #[inline(always)]
    unsafe fn block<S: Set, const M: usize, const N: usize>(
        &self,
        set: S,
        bases: &[u32; M],
        at: At,
        target: &mut Target<'_, '_, A>,
    ) {
        let lanes = A::lanes(set);
        let width = <A::Lanes<S> as Lanes>::LANES;
        let chunk = <A::Lanes<S> as Lanes>::CHUNK;
        let mut inputs = [self.plane; M];
        for m in 0..M {
            // SAFETY: inside the plane, by this function's contract.
            inputs[m] = unsafe { self.plane.add(bases[m] as usize) };
        }
        let bias = self.bias.as_ptr();
        let (offsets, mut left) = self.offsets.split_at(self.offsets.len().min(chunk));
        let weights = self.weights.as_ptr();
        // SAFETY: by this function's contract: `N * LANES` weights a dword and elements of the bias; the target has been checked.
        unsafe {
            let acc = chunk_of::<A::Lanes<S>, M, N>(lanes, inputs, offsets, weights);
            if left.is_empty() {
                target.put::<S, M, N>(set, acc, |_, n| bias.add(n * width), at);
                return;
            }
            let mut waiting: [[Waiting<A::Sum>; N]; M] = [[MaybeUninit::uninit(); N]; M];
            for m in 0..M {
                for n in 0..N {
                    lanes.join(acc[m][n], bias.add(n * width), waiting[m][n].as_mut_ptr().cast());
                }
            }
            loop {
                let weights = weights.add((self.offsets.len() - left.len()) * N * width);
                let (offsets, rest) = left.split_at(left.len().min(chunk));
                let acc = chunk_of::<A::Lanes<S>, M, N>(lanes, inputs, offsets, weights);
                left = rest;
                if left.is_empty() {
                    let base = |m: usize, n: usize| waiting[m][n].as_ptr().cast::<A::Sum>();
                    target.put::<S, M, N>(set, acc, base, at);
                    return;
                }
                for m in 0..M {
                    for n in 0..N {
                        let to = waiting[m][n].as_mut_ptr().cast();
                        lanes.join(acc[m][n], to, to);
                    }
                }
            }
        }
    }
}

/// The sums of some dwords.
///
/// # Safety
/// 4 bytes can be read at every offset from every input, and `N * LANES` weights a dword.
#[inline(always)]
unsafe fn chunk_of<L: Lanes, const M: usize, const N: usize>(
    lanes: L,
    inputs: [*const u8; M],
    offsets: &[u32],
    mut weights: *const u32,
) -> [[L::V; N]; M] {
    let mut acc = [[lanes.zero(); N]; M];
    for &offset in offsets {
        // SAFETY: by this function's contract.
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
    acc
}
