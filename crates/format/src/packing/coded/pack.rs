//! Writes coded constants: looks for the period and the line that make one smallest.

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

use super::coder::Encoder;
use super::{Shape, number, walk};
use crate::packing::Element;
use std::vec::Vec;

/// The largest period that is tried.
const LARGEST_PERIOD: usize = 512;

/// Elements that the search looks at: it codes them some dozens of times.
const SAMPLE: usize = 1 << 16;

/// Periods that lines are tried with.
const PERIODS: usize = 3;

/// The period and the bytes of `values`, which lie in rows of `row_len`. The same for the same values on every machine. No bytes
/// where all values are zero. A negative zero is written as zero.
#[must_use]
pub fn pack<T: Element>(values: &[T], row_len: usize) -> (u16, Vec<u8>) {
    let exponents = values.iter().filter_map(|&value| number::split(value));
    let Some(top) = exponents.map(|parts| parts.exponent).max() else { return (0, Vec::new()) };
    let shape = Shape { row_len, period: 0, top: u8::try_from(top).unwrap_or(u8::MAX), pixels: 0 };
    let sample = values.get(..SAMPLE).unwrap_or(values);
    let size = |shape: &Shape| encode(sample, *shape).len();

    let row = if row_len == 0 { values.len() } else { row_len };
    let divides = |number: usize, by: &usize| number.checked_rem(*by) == Some(0);
    let periods = (1..=LARGEST_PERIOD.min(row)).filter(|period| divides(row, period));
    let periods = periods.filter_map(|period| u16::try_from(period).ok());
    let shapes = periods.map(|period| Shape { period, ..shape });
    let mut sized: Vec<_> = shapes.map(|shape| (size(&shape), shape)).collect();
    // The sort is stable: of equals the shorter period.
    sized.sort_by_key(|&(size, _)| size);
    sized.truncate(PERIODS);
    let lines: Vec<_> = sized
        .iter()
        .flat_map(|&(_, shape)| {
            let image = row.checked_div(usize::from(shape.period)).unwrap_or(0);
            let lines = (2..=u8::MAX).filter(move |&pixels| {
                usize::from(pixels) < image && divides(image, &usize::from(pixels))
            });
            lines.map(move |pixels| Shape { pixels, ..shape })
        })
        .map(|shape| (size(&shape), shape))
        .collect();
    let best = sized.iter().chain(&lines).min_by_key(|&&(size, _)| size);
    let shape = best.map_or(shape, |&(_, shape)| shape);
    (shape.period, encode(values, shape))
}

/// The head and the stream.
fn encode<T: Element>(values: &[T], shape: Shape) -> Vec<u8> {
    let mut encoder = Encoder::new(std::vec![shape.top, shape.pixels]);
    let mut values = values.to_vec();
    let coded = walk(&mut encoder, shape, &mut values);
    debug_assert!(coded.is_ok(), "an element's parts make that element");
    encoder.finish()
}
