//! A fully connected layer that takes its input piece by piece, in order: sums of all outputs grow at once, while a walk in each
//! row of the weights goes along with the input.

use super::flaw::Flaw;
use super::step::Step;
use super::sums::Rows;
use penjing_format::packing::stream::StreamMark;

/// Sums and walks.
pub(super) struct Feed<'s> {
    rows: Rows<'s>,
    /// The sum of each output, and where the walk in its row stands: at, stored, code.
    states: &'s mut [[u32; 4]],
}

impl<'s> Feed<'s> {
    /// Words of scratch memory.
    pub(super) fn scratch_words<const OPS: u32>(dense: &Step<'_>) -> Result<u32, Flaw> {
        Rows::new::<OPS>(dense)?;
        Ok(dense.output.elements().saturating_mul(4))
    }

    /// With sums of the biases alone, and every walk at its row's first element.
    #[inline(never)]
    pub(super) fn new<const OPS: u32>(
        dense: &Step<'s>,
        scratch: &mut &'s mut [u32],
    ) -> Option<Self> {
        let rows = Rows::new::<OPS>(dense).ok()?;
        let words = super::take(scratch, dense.output.elements().checked_mul(4)?)?;
        let (states, _) = words.as_chunks_mut::<4>();
        let mut mark = StreamMark::default();
        let mut start = 0_u32;
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
            let mut total = *sum as i32;
            let end = start.wrapping_add(distances.len() as u32);
            self.rows.weights.advance::<OPS>(&mut mark, end, |element, value| {
                let x = distances.get(element.wrapping_sub(start) as usize).map_or(0, |&x| x);
                total = total.wrapping_add(i32::from(value).wrapping_mul(i32::from(x)));
            });
            [*sum, *at, *stored, *code] = [total as u32, mark.at, mark.stored, mark.code];
            start = start.wrapping_add(self.rows.row_len());
        }
    }

    /// The codes, after the last input.
    #[inline(never)]
    pub(super) fn finish(&self, output: &mut [u8], zero: i32) -> Option<()> {
        for (channel, (place, [sum, ..])) in output.iter_mut().zip(self.states.iter()).enumerate() {
            let distance = self.rows.rule(channel).distance(*sum as i32);
            *place = distance.wrapping_add(zero) as u8;
        }
        Some(())
    }
}
