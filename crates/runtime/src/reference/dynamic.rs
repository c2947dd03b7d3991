//! The oracle of layers that quantize their input as it comes: reals over int8 weights.

use super::{Taps, Tensor, activate, clamp, nearest_even};
use penjing_format::read::{Conv2d, Op, Step};
use penjing_format::{Activation, Constant, DataType, Padding};

/// Elements of the input that have a range in common, of a layer of reals over int8 weights: those of a position where each
/// position reads one pixel of its own, else an image's.
pub(super) fn row_len(step: &Step<'_>) -> Option<usize> {
    let (weights, _) = step.op.constants()?;
    let shape = step.input.ty.shape;
    if step.input.ty.dtype != DataType::F32 || weights.dtype != DataType::I8 {
        return None;
    }
    let positions = match &step.op {
        Op::Conv2d(Conv2d { stride: [1, 1], padding, .. })
            if *padding == Padding::default() && weights.shape.dims()[1..3] == [1, 1] =>
        {
            shape.dims()[1..3].iter().product::<u32>() as usize
        }
        _ => 1,
    };
    Some(shape.elements().expect("checked") / positions)
}

/// A row of the input: each code less the one for 0, and what a step is.
fn encode(row: &[f32]) -> (Vec<i64>, f32) {
    let least = row.iter().copied().fold(0.0, f32::min);
    let most = row.iter().copied().fold(0.0, f32::max);
    let scale = 255.0 / (most - least);
    if scale.is_infinite() {
        return (vec![0; row.len()], 1.0);
    }
    let zero = nearest_even(-least * scale);
    let code = |&x: &f32| clamp(nearest_even(x * scale) + zero, 0, 255) - zero as i64;
    (row.iter().map(code).collect(), 1.0 / scale)
}

/// `row_len` elements of the input have a range in common.
pub(super) fn weighted(
    outputs: impl Iterator<Item = Taps>,
    (weights, bias, activation): (&Constant<'_>, Option<&Constant<'_>>, Activation),
    (x, row_len): (&[f32], usize),
) -> Tensor {
    let mut w = vec![0; weights.packed.elements()];
    weights.packed.expand_i8(&mut w).expect("i8 weights");
    let mut b = vec![0.0; weights.shape.dims()[0] as usize];
    if let Some(bias) = bias {
        bias.packed.expand_f32(&mut b).expect("f32 bias");
    }
    let rows: Vec<_> = x.chunks_exact(row_len).map(encode).collect();
    let (mut values, mut tolerances) = (Vec::new(), Vec::new());
    for (o, taps) in outputs {
        let row = taps.first().map_or(0, |&(i, _)| i / row_len);
        let (codes, step) = &rows[row];
        let products = |&(i, k): &(usize, usize)| codes[i % row_len] * i64::from(w[k]);
        let sum: i64 = taps.iter().map(products).sum();
        let magnitude: i64 = taps.iter().map(products).map(i64::abs).sum();
        let (scale, bias) = (f64::from(weights.scales.get(o)), f64::from(b[o]));
        let product = f64::from(sum as f32 * step) * scale;
        values.push(activate(activation, product + bias) as f32);
        tolerances.push(1e-5 * (magnitude as f64 * f64::from(*step) * scale + bias.abs()));
    }
    Tensor::Reals(values, tolerances)
}
