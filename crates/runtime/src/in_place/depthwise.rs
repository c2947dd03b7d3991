//! Convolutions of each channel by itself: the sums of all channels of a position grow tap by tap, so that weights are read in
//! the order in which they lie.

use super::step::Step;
use super::sums::Rows;
use penjing_format::packing::stream::StreamMark;

/// Runs on one image.
#[inline(never)]
pub(super) fn run<const OPS: u32>(
    step: &Step<'_>,
    input: &[u8],
    output: &mut [u8],
    mut scratch: &mut [u32],
) -> Option<()> {
    let mut rows = Rows::EMPTY;
    rows.read::<OPS>(step).ok()?;
    let channels = step.output.channels();
    let sums = super::take(&mut scratch, channels)?;
    let rules = rows.prepare::<OPS>(false, &mut scratch)?;
    let zero = i32::from(step.output.zero_point);
    let [h, w, _] = step.output.dims;
    let mut places = output.chunks_exact_mut((channels as usize).max(1));
    for y in 0..h {
        for x in 0..w {
            position::<OPS>(step, &rows, input, [y, x], sums);
            let places = places.next()?;
            rules.each_rule(|channel, rule| {
                if let (Some(place), Some(&sum)) = (places.get_mut(channel), sums.get(channel)) {
                    let sum = rule.bias.wrapping_add(sum as i32);
                    *place = rule.distance(sum).wrapping_add(zero) as u8;
                }
            });
        }
    }
    Some(())
}

/// The sums at one position, without biases.
#[inline(always)]
fn position<const OPS: u32>(
    step: &Step<'_>,
    rows: &Rows<'_>,
    input: &[u8],
    [y, x]: [u32; 2],
    sums: &mut [u32],
) {
    sums.fill(0);
    let (window, codes, channels) = (&step.window, step.input.codes(), step.output.channels());
    let [height, width, inputs] = step.input.dims;
    let multiplier = channels.checked_div(inputs).unwrap_or(1);
    let ([size_h, size_w], [down, right]) =
        (window.size.map(u32::from), window.stride.map(u32::from));
    let ([top, left], [far, wide]) = (window.before.map(u32::from), window.dilation.map(u32::from));
    let (y, x) = (y.wrapping_mul(down).wrapping_sub(top), x.wrapping_mul(right).wrapping_sub(left));
    let (above, below) = seen(y, far, size_h, height);
    let (from, to) = seen(x, wide, size_w, width);
    let mut mark = StreamMark::default();
    for kernel_y in above..below {
        for kernel_x in from..to {
            let first = kernel_y.wrapping_mul(size_w).wrapping_add(kernel_x).wrapping_mul(channels);
            let end = first.wrapping_add(channels);
            let row = y.wrapping_add(kernel_y.wrapping_mul(far));
            let at = x.wrapping_add(kernel_x.wrapping_mul(wide));
            let at = row.wrapping_mul(width).wrapping_add(at).wrapping_mul(inputs);
            let seen = input.get(at as usize..).unwrap_or(&[]);
            let add = |sum: &mut u32, weight: i8, byte: u8| {
                let product = i32::from(weight).wrapping_mul(codes.distance(byte));
                *sum = sum.wrapping_add(product as u32);
            };
            if let Some(weights) = rows.weights.whole()
                && multiplier == 1
            {
                let weights = weights.get(first as usize..).unwrap_or(&[]);
                for ((sum, &weight), &byte) in sums.iter_mut().zip(weights).zip(seen) {
                    add(sum, weight.cast_signed(), byte);
                }
                continue;
            }
            rows.weights.skip::<OPS>(&mut mark, first);
            rows.weights.advance::<OPS>(&mut mark, end, |element, weight| {
                let channel = element.wrapping_sub(first);
                let byte = seen.get(channel.checked_div(multiplier).unwrap_or(0) as usize);
                if let (Some(sum), Some(&byte)) = (sums.get_mut(channel as usize), byte) {
                    add(sum, weight, byte);
                }
            });
        }
    }
}

/// The taps along one axis that see an element, of `taps` so far apart. The first lies at `at`, which wrapped around below 0.
fn seen(at: u32, apart: u32, taps: u32, len: u32) -> (u32, u32) {
    let (at, apart) = (at.cast_signed(), apart.max(1));
    let before = at.min(0).unsigned_abs().div_ceil(apart);
    let room = len.cast_signed().wrapping_sub(at).max(0).unsigned_abs();
    (before, room.div_ceil(apart).min(taps))
}
