//! Where a product's sums go: to memory as they are, or through the rule that ends the layer to its output.
#![allow(unsafe_code)]

use super::super::lanes::{Lanes, MAX_LANES, Reals, Set};
use super::super::{Arithmetic, Bounds};
use core::mem::MaybeUninit;

/// Where a product goes.
pub(crate) enum Target<'a, 'r, A: Arithmetic> {
    /// The sums themselves, `[positions][tiles * tile * LANES]`.
    Sums(&'a mut [A::Sum]),
    /// What the rule makes of them, `[positions][channels]`; there are as many tiles as the channels fill.
    Out { rule: A::Rule<'r>, channels: usize, out: &'a mut [A::Out] },
}

/// Where in its target a block lies.
#[derive(Clone, Copy)]
pub(crate) struct At {
    /// Its first position.
    pub(crate) first: usize,
    /// Positions of it that there are.
    pub(crate) rows: usize,
    /// Its first lane.
    pub(crate) lane: usize,
    /// Of the whole product.
    pub(crate) tiles: usize,
}

/// A vector of sums that waits in memory.
pub(crate) type Waiting<T> = MaybeUninit<[T; MAX_LANES]>;

impl<A: Arithmetic> Target<'_, '_, A> {
    pub(crate) fn check(&self, positions: usize, lanes: usize, tile: usize) {
        match self {
            Target::Sums(sums) => assert!(sums.len() >= positions * lanes, "sums"),
            Target::Out { rule, channels, out } => {
                assert!(out.len() >= positions * channels, "out");
                assert!(*channels <= lanes && channels + tile > lanes, "channels");
                let vectors = channels.next_multiple_of(tile).min(lanes);
                assert!(A::channels(*rule) >= vectors, "rule");
            }
        }
    }

    /// Puts a block's sums, each with what lies at its `base`, to their place.
    ///
    /// # Safety
    /// `LANES` elements can be read at every base; the target has been checked for the block's product.
    #[inline(always)]
    pub(crate) unsafe fn put<S: Set, const M: usize, const N: usize>(
        &mut self,
        set: S,
        acc: [[<A::Lanes<S> as Lanes>::V; N]; M],
        base: impl Fn(usize, usize) -> *const A::Sum,
        at: At,
    ) {
        let width = <A::Lanes<S> as Lanes>::LANES;
        match self {
            Target::Sums(sums) => {
                let pitch = at.tiles * N * width;
                let sums = &mut sums[at.first * pitch..][..at.rows * pitch];
                for m in 0..M {
                    if m >= at.rows {
                        break;
                    }
                    for n in 0..N {
                        // SAFETY: a lane of the row; the base by this function's contract.
                        unsafe {
                            let to = sums.as_mut_ptr().add(m * pitch + at.lane + n * width);
                            A::lanes(set).join(acc[m][n], base(m, n), to);
                        }
                    }
                }
            }
            Target::Out { rule, channels, out } => {
                let here = *channels - at.lane;
                let place = Lines::<A> {
                    rule: *rule,
                    channels: *channels,
                    lane: at.lane,
                    out: &mut out[at.first * *channels..],
                };
                // Vectors of a position, or of all of them, that fill places side by side.
                let side_by_side = N == 4 || *channels == N * width;
                if at.rows == M && here >= N * width {
                    // SAFETY: by this function's contract, and as just compared.
                    unsafe {
                        if side_by_side {
                            place.put_whole::<S, M, N, true>(set, acc, base);
                        } else {
                            place.put_whole::<S, M, N, false>(set, acc, base);
                        }
                    }
                    return;
                }
                let mut sums: [[Waiting<A::Sum>; N]; M] = [[MaybeUninit::uninit(); N]; M];
                unrolled!(v < M * N, {
                    let (m, n) = (v / N, v % N);
                    let to = sums[m][n].as_mut_ptr().cast();
                    // SAFETY: by this function's contract.
                    unsafe { A::lanes(set).join(acc[m][n], base(m, n), to) };
                });
                // SAFETY: by this function's contract; the sums have been written.
                unsafe { place.put_part(set, &sums[..at.rows], at.tiles == 1) };
            }
        }
    }
}

/// A block's place in the output.
pub(crate) struct Lines<'a, 'r, A: Arithmetic> {
    pub(crate) rule: A::Rule<'r>,
    pub(crate) channels: usize,
    /// The first lane.
    pub(crate) lane: usize,
    /// From the block's first position on.
    pub(crate) out: &'a mut [A::Out],
}

impl<A: Arithmetic> Lines<'_, '_, A> {
    /// Of whole vectors, `FOUR` of which may be written at once.
    ///
    /// # Safety
    /// As of [`Target::put`]. `M` positions have `N` whole vectors: for `FOUR` each position its only ones, or `N` is 4.
    #[inline(always)]
    unsafe fn put_whole<S: Set, const M: usize, const N: usize, const FOUR: bool>(
        self,
        set: S,
        acc: [[<A::Lanes<S> as Lanes>::V; N]; M],
        base: impl Fn(usize, usize) -> *const A::Sum,
    ) {
        let width = <A::Lanes<S> as Lanes>::LANES;
        let bounds = A::bounds(set, self.rule);
        assert!(self.out.len() >= (M - 1) * self.channels + self.lane + N * width, "out");
        let out = self.out.as_mut_ptr();
        let mut four = [set.reals().splat_real(0.0); 4];
        unrolled!(v < M * N, {
            let (m, n) = (v / N, v % N);
            let mut sums = Waiting::<A::Sum>::uninit();
            let sums = sums.as_mut_ptr().cast::<A::Sum>();
            // SAFETY: by this function's contract, and as asserted.
            unsafe {
                A::lanes(set).join(acc[m][n], base(m, n), sums);
                four[v % 4] = A::finish(set, sums, self.rule, self.lane + n * width, bounds);
                let end = out.add(m * self.channels + self.lane + (n + 1) * width);
                if !FOUR {
                    A::store(set, four[v % 4], self.rule, bounds, end.sub(width));
                } else if v % 4 == 3 {
                    A::store_four(set, four, self.rule, bounds, end.sub(4 * width));
                } else if v / 4 == M * N / 4 {
                    A::store(set, four[v % 4], self.rule, bounds, end.sub(width));
                }
            }
        });
    }

    /// # Panics
    /// Where there is no room for so many positions.
    pub(crate) fn check(&self, positions: usize) {
        assert!(self.out.len() >= positions * self.channels && self.lane < self.channels, "out");
    }

    /// Whether so many lanes all have channels.
    pub(crate) fn whole(&self, lanes: usize) -> bool {
        self.channels - self.lane >= lanes
    }

    /// The rule's bounds in all lanes.
    #[inline(always)]
    pub(crate) fn bounds<S: Set>(&self, set: S) -> Bounds<<S::Reals as Reals>::R> {
        A::bounds(set, self.rule)
    }

    /// Of one whole vector, `lane` lanes after the first.
    ///
    /// # Safety
    /// The position and the lanes are those of [`check`](Self::check) and [`whole`](Self::whole), the bounds the rule's; the
    /// rule holds for the lanes, whose sums have been written.
    #[inline(always)]
    pub(crate) unsafe fn put_vector<S: Set>(
        &mut self,
        set: S,
        position: usize,
        lane: usize,
        sums: *const A::Sum,
        bounds: Bounds<<S::Reals as Reals>::R>,
    ) {
        let channel = self.lane + lane;
        // SAFETY: by this function's contract.
        unsafe {
            let to = self.out.as_mut_ptr().add(position * self.channels + channel);
            let y = A::finish(set, sums, self.rule, channel, bounds);
            A::store(set, y, self.rule, bounds, to);
        }
    }

    /// Of any number of positions and channels; `ascending` where what lies past a position's channels is written later.
    ///
    /// # Safety
    /// The sums have been written; the rule holds for all their channels.
    #[inline(always)]
    pub(crate) unsafe fn put_part<S: Set, const N: usize>(
        self,
        set: S,
        sums: &[[Waiting<A::Sum>; N]],
        ascending: bool,
    ) {
        let width = <A::Lanes<S> as Lanes>::LANES;
        let bounds = A::bounds(set, self.rule);
        for (m, sums) in sums.iter().enumerate() {
            let row = &mut self.out[m * self.channels + self.lane..];
            for (n, sums) in sums.iter().enumerate() {
                let (channel, to) = (self.lane + n * width, &mut row[n * width..]);
                let part = self.channels - channel;
                // SAFETY: by this function's contract; there is room for a vector wherever one is written.
                unsafe {
                    let y = A::finish(set, sums.as_ptr().cast(), self.rule, channel, bounds);
                    if part >= width || ascending && to.len() >= width {
                        A::store(set, y, self.rule, bounds, to.as_mut_ptr());
                    } else {
                        let mut last = [to[0]; MAX_LANES];
                        A::store(set, y, self.rule, bounds, last.as_mut_ptr());
                        to[..part].copy_from_slice(&last[..part]);
                    }
                }
            }
        }
    }
}
