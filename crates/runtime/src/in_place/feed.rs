//! A fully connected layer that takes its input piece by piece, in order: sums of all outputs grow at once, while a walk in each
//! row of the weights goes along with the input.

use super::ops::has;
use super::sums::Rows;
use crate::arch::small::{self, Sum};
use penjing_format::packing::stream::{Stream, StreamMark, set};

/// Sums and walks.
pub(super) struct Feed<'s> {
    rows: &'s Rows<'s>,
    /// The sum of each output, and where the walk in its row stands: at, stored, code.
    states: &'s mut [[u32; 4]],
}

impl<'s> Feed<'s> {
    /// With sums of the biases alone, and every walk at its row's first element. Takes four words of scratch memory an output.
    #[inline(never)]
    pub(super) fn new<const OPS: u32>(
        rows: &'s Rows<'s>,
        scratch: &mut &'s mut [u32],
    ) -> Option<Self> {
        let words = super::take(scratch, (rows.channels() as u32).checked_mul(4)?)?;
        let (states, _) = words.as_chunks_mut::<4>();
        let (mut mark, mut start) = (StreamMark::default(), 0_u32);
        for (channel, state) in states.iter_mut().enumerate() {
            rows.weights.skip::<OPS>(&mut mark, start);
            *state = [rows.rule(channel).bias as u32, mark.at, mark.stored, mark.code];
            start = start.wrapping_add(rows.row_len());
        }
        Some(Self { rows, states })
    }

    /// Takes the distances of the next inputs from their zero point, of which `first` came before.
    #[inline(never)]
    pub(super) fn take<const OPS: u32>(&mut self, distances: &[i16], first: u32) {
        let mut start = first;
        for [sum, at, stored, code] in self.states.iter_mut() {
            let mut mark = StreamMark { at: *at, stored: *stored, code: *code };
            let end = start.wrapping_add(distances.len() as u32);
            let more = dot::<OPS>(&self.rows.weights, &mut mark, [start, end], distances);
            let total = sum.wrapping_add(more as u32);
            [*sum, *at, *stored, *code] = [total, mark.at, mark.stored, mark.code];
            start = start.wrapping_add(self.rows.row_len());
        }
    }

    /// The codes, after the last input.
    #[inline(never)]
    pub(super) fn finish(&self, output: &mut [u8], zero: i32) {
        for (channel, (place, [sum, ..])) in output.iter_mut().zip(self.states.iter()).enumerate() {
            let distance = self.rows.rule(channel).distance(*sum as i32);
            *place = distance.wrapping_add(zero) as u8;
        }
    }
}

/// The sum of the products of the elements from `first` on and before `end` with as many distances. The mark passes them; before,
/// it may stand at an earlier element, after which nothing is stored before `first`.
#[inline(always)]
fn dot<const OPS: u32>(
    weights: &Stream<'_>,
    mark: &mut StreamMark,
    [first, end]: [u32; 2],
    distances: &[i16],
) -> i32 {
    if has::<OPS>(set::GROUPS)
        && let Some(fours) = weights.fours(mark, end)
        && let Some(Sum { sum, values, groups }) = small::fours(&fours, distances)
    {
        mark.at = end;
        mark.stored = mark.stored.wrapping_add(values);
        mark.code = mark.code.wrapping_add(groups);
        return sum;
    }
    let mut sum = 0_i32;
    weights.advance::<OPS>(mark, end, |element, value| {
        let x = distances.get(element.wrapping_sub(first) as usize).map_or(0, |&x| i32::from(x));
        sum = sum.wrapping_add(i32::from(value).wrapping_mul(x));
    });
    sum
}
