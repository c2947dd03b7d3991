//! The two arithmetics of a layer with weights: what is summed in which lanes, and what a finished sum becomes.
#![allow(unsafe_code)]

use super::lanes::{Lanes, Reals, Set, centred_bounds};
use super::memory::Plain;
use penjing_quant::Requantize;

/// Reals, one a lane.
type R<S> = <<S as Set>::Reals as Reals>::R;

/// What numbers a kernel sums: [`Integers`] or [`Floats`].
pub(crate) trait Arithmetic {
    type Sum: Plain + PartialOrd;
    /// What a sum becomes.
    type Out: Plain;
    type Lanes<S: Set>: Lanes<Sum = Self::Sum>;
    /// How it does.
    type Rule<'a>: Copy;
    fn lanes<S: Set>(set: S) -> Self::Lanes<S>;
    /// The rule's bounds in all lanes.
    fn bounds<S: Set>(set: S, rule: Self::Rule<'_>) -> Bounds<R<S>>;
    /// Channels that the rule holds for.
    fn channels(rule: Self::Rule<'_>) -> usize;
    /// What finished sums come to, not yet rounded.
    ///
    /// # Safety
    /// `LANES` elements can be read at `sums`; the rule holds for as many channels from `channel` on.
    unsafe fn finish<S: Set>(
        set: S,
        sums: *const Self::Sum,
        rule: Self::Rule<'_>,
        channel: usize,
        bounds: Bounds<R<S>>,
    ) -> R<S>;
    /// Rounds and writes what [`finish`](Self::finish) returned.
    ///
    /// # Safety
    /// `LANES` elements can be written at `to`.
    unsafe fn store<S: Set>(
        set: S,
        y: R<S>,
        rule: Self::Rule<'_>,
        bounds: Bounds<R<S>>,
        to: *mut Self::Out,
    );
    /// As [`store`](Self::store), four vectors side by side.
    ///
    /// # Safety
    /// `4 * LANES` elements can be written at `to`.
    unsafe fn store_four<S: Set>(
        set: S,
        y: [R<S>; 4],
        rule: Self::Rule<'_>,
        bounds: Bounds<R<S>>,
        to: *mut Self::Out,
    );
}

/// The smallest and the largest result, in all lanes.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<R> {
    pub(crate) lo: R,
    pub(crate) hi: R,
}

/// Codes, summed exactly.
pub(crate) struct Integers;

/// f32.
pub(crate) struct Floats;

/// From integer sums to int8 codes.
#[derive(Clone, Copy)]
pub(crate) struct ToCode<'a> {
    /// One a channel, and whatever up to a whole vector.
    pub(crate) multipliers: &'a [f32],
    /// Its own multiplier is not used.
    pub(crate) rule: Requantize,
}

/// What reals are clamped to, if they are: that takes NaN to the lower bound.
pub(crate) type Clamp = Option<[f32; 2]>;

impl Arithmetic for Integers {
    type Sum = i32;
    type Out = i8;
    type Lanes<S: Set> = S::Ints;
    type Rule<'a> = ToCode<'a>;

    #[inline(always)]
    fn lanes<S: Set>(set: S) -> S::Ints {
        set.ints()
    }
    #[inline(always)]
    fn bounds<S: Set>(set: S, rule: ToCode<'_>) -> Bounds<R<S>> {
        // Clamping before the rounding equals clamping after it, since the bounds are integers.
        let (lo, hi) = centred_bounds(rule.rule);
        Bounds { lo: set.reals().splat_real(lo), hi: set.reals().splat_real(hi) }
    }
    fn channels(rule: ToCode<'_>) -> usize {
        rule.multipliers.len()
    }
    #[inline(always)]
    unsafe fn finish<S: Set>(
        set: S,
        sums: *const i32,
        rule: ToCode<'_>,
        channel: usize,
        bounds: Bounds<R<S>>,
    ) -> R<S> {
        let reals = set.reals();
        // SAFETY: by this function's contract.
        unsafe {
            let multiplier = reals.operand(rule.multipliers.as_ptr().add(channel).cast());
            reals.min(reals.mul(set.reals_of(sums), multiplier), bounds.hi)
        }
    }
    #[inline(always)]
    unsafe fn store<S: Set>(set: S, y: R<S>, rule: ToCode<'_>, bounds: Bounds<R<S>>, to: *mut i8) {
        // SAFETY: by this function's contract.
        unsafe { set.store_i8(set.reals().max(y, bounds.lo), rule.rule.zero_point, to) }
    }
    #[inline(always)]
    unsafe fn store_four<S: Set>(
        set: S,
        y: [R<S>; 4],
        rule: ToCode<'_>,
        bounds: Bounds<R<S>>,
        to: *mut i8,
    ) {
        // SAFETY: by this function's contract.
        unsafe { set.store_four_i8(y, bounds.lo, rule.rule, to) }
    }
}

impl Arithmetic for Floats {
    type Sum = f32;
    type Out = f32;
    type Lanes<S: Set> = S::Reals;
    type Rule<'a> = Clamp;

    #[inline(always)]
    fn lanes<S: Set>(set: S) -> S::Reals {
        set.reals()
    }
    #[inline(always)]
    fn bounds<S: Set>(set: S, rule: Clamp) -> Bounds<R<S>> {
        let [lo, hi] = rule.unwrap_or_default();
        Bounds { lo: set.reals().splat_real(lo), hi: set.reals().splat_real(hi) }
    }
    fn channels(_: Clamp) -> usize {
        usize::MAX
    }
    #[inline(always)]
    unsafe fn finish<S: Set>(
        set: S,
        sums: *const f32,
        rule: Clamp,
        _: usize,
        bounds: Bounds<R<S>>,
    ) -> R<S> {
        let reals = set.reals();
        // SAFETY: by this function's contract.
        let y = unsafe { reals.operand(sums.cast()) };
        if rule.is_some() { reals.min(reals.max(y, bounds.lo), bounds.hi) } else { y }
    }
    #[inline(always)]
    unsafe fn store<S: Set>(set: S, y: R<S>, _: Clamp, _: Bounds<R<S>>, to: *mut f32) {
        // SAFETY: by this function's contract.
        unsafe { set.reals().store(y, to) }
    }
    #[inline(always)]
    unsafe fn store_four<S: Set>(set: S, y: [R<S>; 4], _: Clamp, _: Bounds<R<S>>, to: *mut f32) {
        for (n, y) in y.into_iter().enumerate() {
            // SAFETY: by this function's contract.
            unsafe { set.reals().store(y, to.add(n * <S::Reals as Lanes>::LANES)) }
        }
    }
}
