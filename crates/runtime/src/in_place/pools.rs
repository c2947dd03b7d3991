//! Pools by themselves, and means over a plane.

use super::step::Step;
use penjing_quant::{Average, Mean};

/// Calls `visit` for every element of the result: folds of the bytes that its window sees, and how many they are.
#[inline(always)]
fn windows(
    step: &Step<'_>,
    input: &[u8],
    output: &mut [u8],
    (init, fold): (i32, impl Fn(i32, u8) -> i32),
    result: impl Fn(i32, u32) -> i32,
) -> Option<()> {
    let ([height, width, channels], [h, w, _]) = (step.input.dims, step.output.dims);
    let window = &step.window;
    let ([size_h, size_w], [down, right]) =
        (window.size.map(u32::from), window.stride.map(u32::from));
    let [top, left] = window.before.map(u32::from);
    let mut places = output.iter_mut();
    for y in 0..h {
        let (above, below) = bounds(y, down, top, size_h, height);
        for x in 0..w {
            let (from, to) = bounds(x, right, left, size_w, width);
            for channel in 0..channels {
                let mut folded = init;
                for row in above..below {
                    for column in from..to {
                        let at = row.wrapping_mul(width).wrapping_add(column);
                        let at = at.wrapping_mul(channels).wrapping_add(channel);
                        folded = fold(folded, *input.get(at as usize)?);
                    }
                }
                let count = below.wrapping_sub(above).wrapping_mul(to.wrapping_sub(from));
                *places.next()? = result(folded, count) as u8;
            }
        }
    }
    Some(())
}

/// The elements along one axis that a window sees.
pub(super) fn bounds(at: u32, stride: u32, before: u32, size: u32, len: u32) -> (u32, u32) {
    let first = at.wrapping_mul(stride);
    let end = first.wrapping_add(size).saturating_sub(before);
    (first.saturating_sub(before).min(len), end.min(len))
}

/// The largest code of each window.
#[inline(never)]
pub(super) fn max(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    // Signed codes in the order of unsigned ones.
    let flip = step.input.codes().flip;
    let fold = |largest: i32, byte: u8| largest.max(i32::from(byte ^ flip));
    windows(step, input, output, (0, fold), |largest, _| largest ^ i32::from(flip))
}

/// The mean of each window.
#[inline(never)]
pub(super) fn average(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    let fold = |sum: i32, byte: u8| sum.wrapping_add(byte.cast_signed().into());
    windows(step, input, output, (0, fold), |sum, count| Average::new(count).apply(sum))
}

/// The mean of each channel.
#[inline(never)]
pub(super) fn mean(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    let [h, w, channels] = step.input.dims;
    let (from, to) = (step.input.grid(), step.output.grid());
    let rule = Mean::new(h.wrapping_mul(w), from, to, [-128, 127]);
    for (channel, place) in output.iter_mut().enumerate() {
        let codes = input.get(channel..)?.iter().step_by(channels.max(1) as usize);
        let sum = codes.fold(0_i32, |sum, &byte| sum.wrapping_add(byte.cast_signed().into()));
        *place = rule.apply(sum) as u8;
    }
    Some(())
}
