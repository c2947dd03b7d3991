//! Fully connected layers of a stored value, a row of weights after the other.

use super::step::Step;
use super::sums::Rows;
use penjing_format::packing::stream::StreamMark;

/// Runs on one image.
#[inline(never)]
pub(super) fn run<const OPS: u32>(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    let mut rows = Rows::EMPTY;
    rows.read::<OPS>(step).ok()?;
    let codes = step.input.codes();
    let zero = i32::from(step.output.zero_point);
    let (mut mark, mut start) = (StreamMark::default(), 0_u32);
    for (channel, place) in output.iter_mut().enumerate() {
        let rule = rows.rule(channel);
        let mut sum = rule.bias;
        let end = start.wrapping_add(rows.row_len());
        if let Some(weights) = rows.weights.whole() {
            for (&weight, &byte) in weights.get(start as usize..)?.iter().zip(input) {
                let weight = i32::from(weight.cast_signed());
                sum = sum.wrapping_add(weight.wrapping_mul(codes.distance(byte)));
            }
        } else {
            rows.weights.advance::<OPS>(&mut mark, end, |element, value| {
                let byte = input.get(element.wrapping_sub(start) as usize);
                let distance = byte.map_or(0, |&byte| codes.distance(byte));
                sum = sum.wrapping_add(i32::from(value).wrapping_mul(distance));
            });
        }
        *place = rule.distance(sum).wrapping_add(zero) as u8;
        start = end;
    }
    Some(())
}
