//! Where an element's neighbours lie, and what they say together. Only elements before it, so that a decoder has them.
//!
//! A row of a dense layer that follows a convolution is itself an image: channels in a pixel, pixels in a line. So the element
//! a *period* before is the same channel's in the pixel to the left, and that a *line* before is the one above.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use super::number::level;
use crate::packing::Element;

/// How far before an element its neighbours lie; 0 for those that do not exist.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distances {
    /// Of neighbours in the element's own row: left, above, above to the right, above to the left, second to the left, second
    /// above, one and two elements before.
    own: [usize; 8],
    /// Of neighbours in other rows: the same column's in the last row and the one before, then in the last row those to the
    /// right, to the left, below and above.
    others: [usize; 6],
}

impl Distances {
    /// Of rows of `row` elements, of pixels of `period` elements, of lines of `pixels` pixels.
    pub(super) fn new(row: usize, period: usize, pixels: usize) -> Self {
        let line = period.saturating_mul(pixels);
        let above_left = if line == 0 { 0 } else { line.saturating_add(period) };
        let (right, left) = (row.saturating_sub(period), row.saturating_add(period));
        let (below, above) = (row.saturating_sub(line), row.saturating_add(line));
        let twice = |distance: usize| distance.saturating_mul(2);
        let own = [
            period,
            line,
            line.saturating_sub(period),
            above_left,
            twice(period),
            twice(line),
            1,
            2,
        ];
        Self { own, others: [row, twice(row), right, left, below, above] }
    }
}

/// The neighbours of one element as levels, and its place.
pub(super) struct Near {
    own: [i32; 8],
    others: [i32; 6],
    /// Its number in its pixel.
    pub(super) channel: usize,
}

impl Near {
    /// Of the element that follows all of `before`.
    #[inline]
    pub(super) fn new<T: Element>(
        before: &[T],
        column: usize,
        channel: usize,
        distances: &Distances,
        top: u32,
    ) -> Self {
        let at = before.len();
        // A distance of 0 leads past the last.
        let value = |distance: usize| {
            let element = at.checked_sub(distance).and_then(|at| before.get(at));
            element.map_or(0, |&element| level(element, top))
        };
        let (mut own, mut others) = ([0; 8], [0; 6]);
        for (level, &distance) in own.iter_mut().zip(&distances.own) {
            if distance <= column {
                *level = value(distance);
            }
        }
        for (level, &distance) in others.iter_mut().zip(&distances.others) {
            *level = value(distance);
        }
        Self { own, others, channel }
    }

    /// Of zero or not: one bit for each of seven neighbours.
    #[inline]
    pub(super) fn zeros(&self) -> usize {
        let [left, above, right, diagonal, _, _, one, two] = self.own;
        let [last, ..] = self.others;
        let pattern = [left, above, one, two, last, right, diagonal];
        pattern.iter().rev().fold(0, |bits, &level| bits << 1 | usize::from(level != 0))
    }

    /// How large the neighbours of the own row's image are.
    #[inline]
    fn row_activity(&self) -> u32 {
        let weights = [3, 3, 2, 2, 1, 1];
        self.own.iter().zip(weights).fold(0, |sum, (level, weight)| {
            sum.wrapping_add(level.unsigned_abs().wrapping_mul(weight))
        })
    }

    /// How large all neighbours are.
    #[inline]
    pub(super) fn activity(&self) -> u32 {
        let [.., one, two] = self.own;
        let [last, second, ..] = self.others;
        let columns = last.unsigned_abs().wrapping_add(second.unsigned_abs()).wrapping_mul(2);
        let channels = one.unsigned_abs().wrapping_add(two.unsigned_abs()) / 2;
        self.row_activity().wrapping_add(columns).wrapping_add(channels)
    }

    /// The weighted sum of the neighbours of the own row's image.
    #[inline]
    pub(super) fn sum(&self) -> i32 {
        let weights = [3, 3, 2, 2, 1, 1];
        self.own
            .iter()
            .zip(weights)
            .fold(0, |sum, (level, weight)| sum.wrapping_add(level.wrapping_mul(weight)))
    }

    /// The signs of four neighbours, a digit to the base of 3 for each: 0 negative, 1 zero, 2 positive.
    #[inline]
    pub(super) fn signs(&self) -> usize {
        let [left, above, right, diagonal, ..] = self.own;
        [left, above, right, diagonal].iter().fold(0, |digits, &level| {
            let digit = usize::from(level >= 0).wrapping_add(usize::from(level > 0));
            digits.wrapping_mul(3).wrapping_add(digit)
        })
    }

    /// Twice the weighted mean of the neighbours that are not zero, without sign; 0 where all are.
    #[inline]
    pub(super) fn mean(&self) -> u32 {
        let weighted = self.own.iter().zip([3, 3, 2, 2, 1, 1, 0, 0]);
        let weighted = weighted.chain(self.others.iter().zip([2, 2, 1, 1, 1, 1]));
        let (sum, weights) = weighted.fold((0_u32, 0_u32), |(sum, weights), (level, weight)| {
            let present = if *level == 0 { 0 } else { weight };
            let level = level.unsigned_abs().wrapping_mul(weight);
            (sum.wrapping_add(level), weights.wrapping_add(present))
        });
        sum.wrapping_mul(2).checked_div(weights).unwrap_or(0)
    }
}
