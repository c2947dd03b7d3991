//! Ops without a kernel and without windows: operands, padding, concatenation, means over an image, softmax.

use penjing_format::Shape;

use super::{Argument, Constants};
use crate::ir::Value;

/// `[1, H, W, C]` to `[1, C]`.
pub(super) fn mean((x, input): Argument<'_>) -> Vec<f32> {
    let c = input.shape.last().unwrap_or(1) as usize;
    // in f64, so that no order of additions is better than another
    let mut sums = vec![0.0_f64; c];
    for position in x.chunks_exact(c) {
        for (sum, &x) in sums.iter_mut().zip(position) {
            *sum += f64::from(x);
        }
    }
    let n = (x.len() / c).max(1) as f64;
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}

/// `f(a, b)` of two values that broadcast to the output's shape, or of a value and a constant.
pub(super) fn binary(
    inputs: &[Argument<'_>],
    constants: &Constants,
    output: &Value,
    f: impl Fn(f32, f32) -> f32,
) -> Vec<f32> {
    let (a, a_value) = inputs[0];
    if let Constants::Operand(b) = constants {
        // one element, one a channel, or one for each of a sample's: all repeat to the sample's length
        return a.iter().zip(b.iter().cycle()).map(|(&a, &b)| f(a, b)).collect();
    }
    let (b, b_value) = inputs[1];
    if a_value.shape == b_value.shape {
        return a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect();
    }
    let (of_a, of_b) =
        (spread(&a_value.shape, &output.shape), spread(&b_value.shape, &output.shape));
    of_a.zip(of_b).map(|(i, j)| f(a[i], b[j])).collect()
}

/// For each element of a tensor of shape `to`, in order, the element of one of shape `from` that is repeated there.
fn spread<'s>(from: &'s Shape, to: &'s Shape) -> impl Iterator<Item = usize> + use<'s> {
    let n = to.elements().unwrap_or(0);
    (0..n).map(move |index| {
        let (mut rest, mut at, mut step) = (index, 0, 1);
        for (&d, &dim) in from.dims().iter().zip(to.dims()).rev() {
            let (dim, d) = (dim as usize, d as usize);
            if d != 1 {
                at += rest % dim * step;
                step *= d;
            }
            rest /= dim;
        }
        at
    })
}

/// Zeros around the input; `amounts` leave the batch out.
pub(super) fn pad((x, input): Argument<'_>, output: &Value, amounts: &[[u32; 2]]) -> Vec<f32> {
    let mut y = vec![0.0; output.shape.elements().unwrap_or(0)];
    let (from, to) = (&input.shape.dims()[1..], &output.shape.dims()[1..]);
    let row = input.shape.last().unwrap_or(1) as usize;
    for (r, x) in x.chunks_exact(row).enumerate() {
        let (mut rest, mut at, mut step) = (r * row, 0, 1);
        for ((&d, &dim), before) in from.iter().zip(to).zip(amounts).rev() {
            at += (rest % d as usize + before[0] as usize) * step;
            step *= dim as usize;
            rest /= d as usize;
        }
        y[at..at + row].copy_from_slice(x);
    }
    y
}

/// Inputs one after the other along `axis`.
pub(super) fn concat(inputs: &[Argument<'_>], axis: usize) -> Vec<f32> {
    let inner = |value: &Value| -> usize {
        value.shape.dims()[axis..].iter().map(|&d| d as usize).product::<usize>().max(1)
    };
    let mut y = Vec::with_capacity(inputs.iter().map(|(x, _)| x.len()).sum());
    let outer = inputs[0].0.len() / inner(inputs[0].1);
    for i in 0..outer {
        for (x, value) in inputs {
            let n = inner(value);
            y.extend_from_slice(&x[i * n..(i + 1) * n]);
        }
    }
    y
}

/// Over the last axis.
pub(super) fn softmax((x, input): Argument<'_>) -> Vec<f32> {
    let n = input.shape.last().unwrap_or(1).max(1) as usize;
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks_exact(n) {
        let largest = row.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
        let start = y.len();
        y.extend(row.iter().map(|&v| (v - largest).exp()));
        let sum: f32 = y[start..].iter().sum();
        for v in &mut y[start..] {
            *v /= sum;
        }
    }
    y
}
