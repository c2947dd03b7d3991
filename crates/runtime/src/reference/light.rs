//! The oracle's ops without layers' weights, by their definitions. As `reference`, it calls nothing else of ours.

use super::{
    Tensor, activate, clamp, code_bounds, dims4, ends, nearest_even, positions, quantization,
    tap_index,
};
use penjing_format::read::{self, Binary, MaxPool2d, Step};
use penjing_format::{Activation, DataType, Pads, Shape, TensorType};

/// `all` are the values so far.
pub(super) fn run(step: &Step<'_>, all: &[Tensor]) -> Tensor {
    let (from, to) = (&step.input.ty, &step.output.ty);
    let inputs: Vec<&Tensor> =
        step.operands().map(|operand| &all[usize::from(operand.id)]).collect();
    let input = inputs[0];
    match &step.op {
        read::Op::Reshape(_) => input.clone(),
        read::Op::MaxPool2d(op) => max(&windows(op, from, to), input),
        read::Op::AveragePool2d(op) => {
            let read::AveragePool2d { window, stride, padding } = *op;
            mean(&windows(&MaxPool2d { window, stride, padding }, from, to), None, input)
        }
        read::Op::Mean => {
            let [_, h, w, c] = dims4(from);
            let taps = |channel| (0..h * w).map(|at| at * c + channel).collect();
            let windows: Vec<Vec<usize>> = (0..c).map(taps).collect();
            mean(&windows, Some((from, to)), input)
        }
        read::Op::Add(op) | read::Op::Mul(op) => {
            let sum = matches!(step.op, read::Op::Add(_));
            let second = step.second.map(|operand| (operand.ty, inputs[1].clone()));
            binary(sum, op, (from, input), second, to)
        }
        read::Op::Pad(op) => pad(op.pads, from, to, input),
        read::Op::Concat(op) => {
            let shapes: Vec<Shape> = step.operands().map(|operand| operand.ty.shape).collect();
            concat(op.axis as usize, &shapes, &inputs)
        }
        read::Op::Relu(activation) => relu(*activation, from, to, input),
        read::Op::Softmax => softmax(from, to, input),
        read::Op::Logistic => function(|x| 1.0 / (1.0 + (-x).exp()), from, to, input),
        read::Op::Tanh => function(f64::tanh, from, to, input),
        read::Op::Quantize => quantize(from, to, input),
        read::Op::Dequantize => {
            let (scale, zero_point, ..) = quantization(from);
            let real = |&q: &i64| scale * (q - zero_point) as f32;
            Tensor::reals(&input.get_codes().iter().map(real).collect::<Vec<_>>())
        }
        _ => panic!("{} is not one of these", step.op.name()),
    }
}

/// The elements of every window, by output.
fn windows(op: &MaxPool2d, from: &TensorType, to: &TensorType) -> Vec<Vec<usize>> {
    let ([_, h, w, channels], [_, out_h, out_w, _]) = (dims4(from), dims4(to));
    let window = |(y, x, c)| {
        let taps = positions(op.window[0] as usize, op.window[1] as usize, 1);
        let tap = |(r, s, _)| {
            let row = tap_index(y, r, op.stride[0], 1, op.padding.top, h)?;
            let column = tap_index(x, s, op.stride[1], 1, op.padding.left, w)?;
            Some((row * w + column) * channels + c)
        };
        taps.filter_map(tap).collect()
    };
    positions(out_h, out_w, channels).map(window).collect()
}

/// The largest of each window.
fn max(windows: &[Vec<usize>], input: &Tensor) -> Tensor {
    match input {
        Tensor::Codes(x) => {
            let of = |taps: &Vec<usize>| taps.iter().map(|&i| x[i]).max().expect("not empty");
            Tensor::Codes(windows.iter().map(of).collect())
        }
        Tensor::Reals(x, errors) => {
            let of = |taps: &Vec<usize>| {
                let best = taps.iter().map(|&i| x[i]).reduce(f32::max);
                let error = taps.iter().map(|&i| errors[i]).reduce(f64::max);
                (best.expect("not empty"), error.expect("not empty"))
            };
            let (values, tolerances) = windows.iter().map(of).unzip();
            Tensor::Reals(values, tolerances)
        }
    }
}

/// Means of windows; on the input's grid, or, given both types, on the result's.
fn mean(
    windows: &[Vec<usize>],
    types: Option<(&TensorType, &TensorType)>,
    input: &Tensor,
) -> Tensor {
    match input {
        Tensor::Reals(x, errors) => {
            let of = |taps: &Vec<usize>| {
                let n = taps.len() as f64;
                let sum: f64 = taps.iter().map(|&i| f64::from(x[i])).sum();
                let magnitude: f64 = taps.iter().map(|&i| f64::from(x[i].abs())).sum();
                let error: f64 = taps.iter().map(|&i| errors[i]).sum();
                ((sum / n) as f32, (1e-5 * magnitude + error) / n)
            };
            let (values, tolerances) = windows.iter().map(of).unzip();
            Tensor::Reals(values, tolerances)
        }
        Tensor::Codes(x) => {
            let of = |taps: &Vec<usize>| {
                let (n, sum) = (taps.len() as i64, taps.iter().map(|&i| x[i]).sum::<i64>());
                let Some((from, to)) = types else {
                    // Half away from zero: twice the sum, and once the count, over twice the count.
                    return (2 * sum.abs() + n) / (2 * n) * sum.signum();
                };
                let ((s_in, z_in, ..), (s_out, z_out, min, max)) =
                    (quantization(from), quantization(to));
                let multiplier = (1.0_f32 / n as f32) * (s_in / s_out);
                let bias = z_out as f32 - (z_in as f32 * n as f32) * multiplier;
                clamp(nearest_even(sum as f32 * multiplier + bias), min, max)
            };
            Tensor::Codes(windows.iter().map(of).collect())
        }
    }
}

/// Where an element of a result, by its index, lies in an operand that is repeated along dimensions in which it has 1.
fn repeated(mut index: usize, output: Shape, operand: Shape) -> usize {
    let (mut at, mut stride) = (0, 1);
    for from_last in 0..output.rank() {
        let of = |shape: Shape| {
            let dim = shape.dims().iter().rev().nth(from_last);
            dim.map_or(1, |&dim| dim as usize)
        };
        let (position, own) = (index % of(output), of(operand));
        index /= of(output);
        if own > 1 {
            at += position * stride;
        }
        stride *= own;
    }
    at
}

fn binary(
    is_sum: bool,
    op: &Binary<'_>,
    (from, first): (&TensorType, &Tensor),
    second: Option<(TensorType, Tensor)>,
    to: &TensorType,
) -> Tensor {
    let (second_type, second) = second.unwrap_or_else(|| constant(op));
    let elements = to.shape.elements().expect("counted");
    let pairs = (0..elements).map(|index| {
        let of = |shape| repeated(index, to.shape, shape);
        (of(from.shape), of(second_type.shape))
    });
    if let (Tensor::Reals(x, x_errors), Tensor::Reals(y, y_errors)) = (first, &second) {
        let of = |(a, b): (usize, usize)| {
            let real = if is_sum { x[a] + y[b] } else { x[a] * y[b] };
            let error = match is_sum {
                true => x_errors[a] + y_errors[b],
                false => {
                    let (x, y) = (f64::from(x[a].abs()), f64::from(y[b].abs()));
                    x * y_errors[b] + y * x_errors[a]
                }
            };
            (activate(op.activation, f64::from(real)) as f32, error)
        };
        let (values, tolerances) = pairs.map(of).unzip();
        return Tensor::Reals(values, tolerances);
    }
    let ((s_a, z_a, ..), (s_b, z_b, ..), (s_out, z_out, ..)) =
        (quantization(from), quantization(&second_type), quantization(to));
    let (min, max) = code_bounds(op.activation, to);
    let (x, y) = (first.get_codes(), second.get_codes());
    let of = |(a, b): (usize, usize)| {
        let (a, b) = (x[a] - z_a, y[b] - z_b);
        if is_sum {
            let ratios = [s_a / s_out, s_b / s_out];
            // The power of two that brings the larger ratio to 21 bits.
            let exponent = f64::from(ratios[0].max(ratios[1])).log2().floor() as i32;
            let shift = 20 - exponent;
            let unit = 2.0_f32.powi(shift);
            let [m_a, m_b] = ratios.map(|ratio| nearest_even(ratio * unit) as i64);
            let sum = a * m_a + b * m_b + (1 << (shift - 1));
            (sum.div_euclid(1 << shift) + z_out).clamp(min, max)
        } else {
            let product = (a * b) as f32 * ((s_a * s_b) / s_out);
            clamp(nearest_even(product) + z_out as f64, min, max)
        }
    };
    Tensor::Codes(pairs.map(of).collect())
}

/// A constant operand as a value.
fn constant(op: &Binary<'_>) -> (TensorType, Tensor) {
    let constant = op.operand.expect("an operand");
    let (shape, dtype, elements) = (constant.shape, constant.dtype, constant.packed.elements());
    if dtype == DataType::F32 {
        let mut reals = vec![0.0; elements];
        constant.packed.expand_f32(&mut reals).expect("f32 operand");
        return (TensorType { shape, dtype, quantization: None }, Tensor::reals(&reals));
    }
    let mut codes = vec![0; elements];
    constant.packed.expand_i8(&mut codes).expect("i8 operand");
    let (scale, zero_point) = (constant.scales.get(0), op.operand_zero_point);
    let quantization = Some(penjing_format::QuantParams { scale, zero_point });
    (TensorType { shape, dtype, quantization }, Tensor::codes(&codes))
}

fn pad(pads: Pads, from: &TensorType, to: &TensorType, input: &Tensor) -> Tensor {
    let source = |mut index: usize| {
        let (mut at, mut stride) = (0, 1);
        let dims = from.shape.dims().iter().zip(to.shape.dims()).skip(1);
        for ((&own, &padded), &[before, _]) in dims.zip(pads.pairs()).rev() {
            let position = index % padded as usize;
            index /= padded as usize;
            let own = own as usize;
            at += position.checked_sub(before as usize).filter(|&at| at < own)? * stride;
            stride *= own;
        }
        Some(at)
    };
    let sources = (0..to.shape.elements().expect("counted")).map(source);
    match input {
        Tensor::Codes(codes) => {
            let (_, zero_point, ..) = quantization(from);
            Tensor::Codes(sources.map(|at| at.map_or(zero_point, |at| codes[at])).collect())
        }
        Tensor::Reals(values, tolerances) => {
            let of = |at: Option<usize>| at.map_or((0.0, 0.0), |at| (values[at], tolerances[at]));
            let (values, tolerances) = sources.map(of).unzip();
            Tensor::Reals(values, tolerances)
        }
    }
}

/// Index by index of the dimensions before the axis, what every input has there.
fn concat(axis: usize, shapes: &[Shape], inputs: &[&Tensor]) -> Tensor {
    let product = |dims: &[u32]| dims.iter().map(|&dim| dim as usize).product::<usize>();
    let outer = product(&shapes[0].dims()[..axis]);
    let parts = (0..outer).flat_map(|index| {
        shapes.iter().zip(inputs).map(move |(shape, input)| {
            let len = product(&shape.dims()[axis..]);
            (input, index * len..(index + 1) * len)
        })
    });
    if let Tensor::Codes(_) = inputs[0] {
        let codes = parts.flat_map(|(input, range)| input.get_codes()[range].iter().copied());
        return Tensor::Codes(codes.collect());
    }
    let of = |(input, range): (&&Tensor, core::ops::Range<usize>)| match input {
        Tensor::Reals(values, tolerances) => {
            range.map(|at| (values[at], tolerances[at])).collect::<Vec<_>>()
        }
        Tensor::Codes(_) => panic!("reals expected"),
    };
    let (values, tolerances) = parts.flat_map(of).unzip();
    Tensor::Reals(values, tolerances)
}

fn relu(activation: Activation, from: &TensorType, to: &TensorType, input: &Tensor) -> Tensor {
    match input {
        Tensor::Codes(codes) => {
            let ((s_in, z_in, ..), (scale, zero_point, min, max)) =
                (quantization(from), quantization(to));
            // An activation by itself rounds its ends half away from zero, before the zero point is added.
            let code = |end: f32| {
                let steps = f64::from(end / scale).round();
                clamp(steps + zero_point as f64, min, max)
            };
            let (low, high) = (code(ends(activation).0), code(ends(activation).1));
            let same = (s_in, z_in) == (scale, zero_point);
            let factor = f64::from(s_in) / f64::from(scale);
            let moved =
                |q: i64| if same { q } else { twice_rounded(q - z_in, factor) + zero_point };
            Tensor::Codes(codes.iter().map(|&q| moved(q).max(low).min(high)).collect())
        }
        Tensor::Reals(values, tolerances) => {
            let values = values.iter().map(|&x| activate(activation, f64::from(x)) as f32);
            Tensor::Reals(values.collect(), tolerances.clone())
        }
    }
}

fn softmax(from: &TensorType, to: &TensorType, input: &Tensor) -> Tensor {
    let len = from.shape.last().expect("an axis") as usize;
    match input {
        Tensor::Reals(values, _) => {
            let row = |row: &[f32]| {
                let largest = row.iter().fold(f64::NEG_INFINITY, |a, &x| a.max(f64::from(x)));
                let exponentials: Vec<f64> =
                    row.iter().map(|&x| (f64::from(x) - largest).exp()).collect();
                let sum: f64 = exponentials.iter().sum();
                exponentials.into_iter().map(|e| (e / sum) as f32).collect::<Vec<_>>()
            };
            let values: Vec<f32> = values.chunks(len).flat_map(row).collect();
            let tolerances = vec![5e-7; values.len()];
            Tensor::Reals(values, tolerances)
        }
        Tensor::Codes(codes) => {
            let ((s_in, ..), (s_out, z_out, min, max)) = (quantization(from), quantization(to));
            let row = |row: &[i64]| {
                let largest = *row.iter().max().expect("not empty");
                let exponential = |&q: &i64| f64::from(-s_in * (largest - q) as f32).exp() as f32;
                let exponentials: Vec<f32> = row.iter().map(exponential).collect();
                let sum = exponentials.iter().fold(0.0_f32, |sum, e| sum + e);
                let factor = 1.0_f32 / (sum * s_out);
                // Half up, of what is not negative.
                let code =
                    |e: f32| clamp(f64::from((e * factor + 0.5).floor()) + z_out as f64, min, max);
                exponentials.into_iter().map(code).collect::<Vec<_>>()
            };
            Tensor::Codes(codes.chunks(len).flat_map(row).collect())
        }
    }
}

/// A function of one real; of codes, its nearest f32 quantized.
fn function(f: impl Fn(f64) -> f64, from: &TensorType, to: &TensorType, input: &Tensor) -> Tensor {
    match input {
        Tensor::Reals(values, _) => {
            let of = |&x: &f32| {
                let y = f(f64::from(x));
                // A step of f32 at y, normal or not.
                (y as f32, 1.2e-7 * y.abs() + 1e-45)
            };
            let (values, tolerances) = values.iter().map(of).unzip();
            Tensor::Reals(values, tolerances)
        }
        Tensor::Codes(codes) => {
            let ((s_in, z_in, ..), (s_out, z_out, min, max)) =
                (quantization(from), quantization(to));
            let of = |&q: &i64| {
                let y = f(f64::from(s_in * (q - z_in) as f32)) as f32;
                clamp(nearest_even(y * (1.0 / s_out)) + z_out as f64, min, max)
            };
            Tensor::Codes(codes.iter().map(of).collect())
        }
    }
}

fn quantize(from: &TensorType, to: &TensorType, input: &Tensor) -> Tensor {
    let (scale, zero_point, min, max) = quantization(to);
    match input {
        Tensor::Reals(values, _) => {
            let reciprocal = 1.0_f32 / scale;
            let code = |&x: &f32| {
                let steps = nearest_even(x * reciprocal);
                if steps.is_nan() { min } else { clamp(steps + zero_point as f64, min, max) }
            };
            Tensor::Codes(values.iter().map(code).collect())
        }
        Tensor::Codes(codes) => {
            let (s_in, z_in, ..) = quantization(from);
            let same = from.dtype == to.dtype;
            let multiplier = nearest_even(256.0 * (s_in / scale)) as i64;
            let code = |&q: &i64| {
                let scaled = match same {
                    true => ((q - z_in) * multiplier + 128).div_euclid(256),
                    false => twice_rounded(q - z_in, f64::from(s_in) / f64::from(scale)),
                };
                (scaled + zero_point).clamp(min, max)
            };
            Tensor::Codes(codes.iter().map(code).collect())
        }
    }
}

/// `steps * factor`: the factor is a fraction in [0.5, 1) of 31 bits and a power of two; the product with the fraction is rounded,
/// a half upward, and what a negative power leaves of it again, a half away from zero.
fn twice_rounded(steps: i64, factor: f64) -> i64 {
    let mut exponent = factor.log2().floor() as i32 + 1;
    let mut fraction = (factor / 2.0_f64.powi(exponent) * 2.0_f64.powi(31)).round() as i64;
    if fraction == 1 << 31 {
        (fraction, exponent) = (1 << 30, exponent + 1);
    }
    let shifted = steps << exponent.max(0);
    let high = (shifted as f64 * fraction as f64 / 2.0_f64.powi(31) + 0.5).floor();
    (high / 2.0_f64.powi(-exponent.min(0))).round() as i64
}
