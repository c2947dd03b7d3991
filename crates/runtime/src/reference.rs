//! The oracle: every op by its definition, one output at a time, in f64 and i64. Slow on purpose.
//!
//! It states docs/numerics.md in its own words: it calls neither `penjing_quant` nor `ops`, `arch` or `operand`, so that a mistake there
//! cannot hide here. Shapes come from the file's walk. Tests hold every kernel against it, and `penjing compare` reads the
//! values between layers from it; nothing runs models with it.

mod dynamic;
mod light;

use penjing_format::read::{self, Conv2d, DepthwiseConv2d, FullyConnected, Step};
use penjing_format::{Activation, Constant, DataType, Error, ModelView, Padding, TensorType};

/// One image of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Codes of i8 or u8, whichever the type says.
    Codes(Vec<i64>),
    /// Reals, and how far another order of summation may lie from them.
    Reals(Vec<f32>, Vec<f64>),
}

impl Tensor {
    /// Reals that are exact.
    #[must_use]
    pub fn reals(values: &[f32]) -> Self {
        Tensor::Reals(values.to_vec(), vec![0.0; values.len()])
    }

    /// Codes.
    #[must_use]
    pub fn codes<T: Copy + Into<i64>>(values: &[T]) -> Self {
        Tensor::Codes(values.iter().map(|&q| q.into()).collect())
    }

    fn get_codes(&self) -> &[i64] {
        match self {
            Tensor::Codes(codes) => codes,
            Tensor::Reals(..) => panic!("codes expected"),
        }
    }

    fn get_reals(&self) -> &[f32] {
        match self {
            Tensor::Reals(values, _) => values,
            Tensor::Codes(_) => panic!("reals expected"),
        }
    }
}

/// Runs a model on one image of each input and returns the graph's outputs.
///
/// The tolerance of a real is `1e-5 * (sum |x * w| + |bias|)` of the op that made it, given its inputs as computed here: it
/// does not follow errors through a chain of ops.
///
/// # Panics
/// Where `inputs` do not have the model's types and lengths.
pub fn run(model: &ModelView<'_>, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    let values = values(model, inputs)?;
    Ok(model.outputs().map(|id| values[usize::from(id)].clone()).collect())
}

/// As [`run`], and returns every value of the graph by its number: the inputs, then what each node yields.
///
/// # Panics
/// As [`run`].
pub fn values(model: &ModelView<'_>, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    let mut values = inputs.to_vec();
    for step in model.walk() {
        let step = step?;
        let output = run_step(&step, &values);
        values.push(output);
    }
    Ok(values)
}

/// `all` are the values so far.
fn run_step(step: &Step<'_>, all: &[Tensor]) -> Tensor {
    let (from, to) = (&step.input.ty, &step.output.ty);
    let input = &all[usize::from(step.input.id)];
    match &step.op {
        read::Op::Conv2d(op) => weighted(
            conv_taps(op, from, to),
            (&op.weights, op.bias.as_ref(), op.activation),
            step,
            input,
        ),
        read::Op::DepthwiseConv2d(op) => weighted(
            depthwise_taps(op, from, to),
            (&op.weights, op.bias.as_ref(), op.activation),
            step,
            input,
        ),
        read::Op::FullyConnected(op) => {
            weighted(dense_taps(op), (&op.weights, op.bias.as_ref(), op.activation), step, input)
        }
        _ => light::run(step, all),
    }
}

/// Scale, zero point and the codes' range.
fn quantization(ty: &TensorType) -> (f32, i64, i64, i64) {
    let (min, max) = if ty.dtype == DataType::U8 { (0, 255) } else { (-128, 127) };
    let params = ty.quantization.expect("integers have a scale");
    (params.scale, i64::from(params.zero_point), min, max)
}

/// The least and the largest real that an activation lets pass.
fn ends(activation: Activation) -> (f32, f32) {
    match activation {
        Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
        Activation::Relu => (0.0, f32::INFINITY),
        Activation::Relu6 => (0.0, 6.0),
        Activation::ReluN1To1 => (-1.0, 1.0),
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    let (low, high) = ends(activation);
    if activation == Activation::None { x } else { x.max(low.into()).min(high.into()) }
}

/// The codes within which a fused activation keeps a result: its ends on the result's grid, where the zero point is added
/// before rounding.
fn code_bounds(activation: Activation, to: &TensorType) -> (i64, i64) {
    let (scale, zero_point, min, max) = quantization(to);
    let code = |end: f32| clamp(nearest_even(end / scale + zero_point as f32), min, max);
    (code(ends(activation).0), code(ends(activation).1))
}

/// To the nearest integer, a tie to the even one, by its definition.
fn nearest_even(x: f32) -> f64 {
    let x = f64::from(x);
    let below = x.floor();
    match x - below {
        rest if rest < 0.5 => below,
        rest if rest > 0.5 => below + 1.0,
        _ if below / 2.0 == (below / 2.0).floor() => below,
        _ => below + 1.0,
    }
}

fn clamp(x: f64, min: i64, max: i64) -> i64 {
    if x <= min as f64 {
        min
    } else if x >= max as f64 {
        max
    } else {
        x as i64
    }
}

/// An output: its channel, and its products as (index into the input, index into the weights).
type Taps = (usize, Vec<(usize, usize)>);

fn dims4(ty: &TensorType) -> [usize; 4] {
    ty.shape.as_4d().expect("rank 4").map(|dim| dim as usize)
}

/// The index along one axis that tap `tap` of output `position` reads; `None` in the padding.
fn tap_index(
    position: usize,
    tap: usize,
    stride: u32,
    dilation: u32,
    pad: u32,
    len: usize,
) -> Option<usize> {
    let index = position as i64 * i64::from(stride) + tap as i64 * i64::from(dilation);
    usize::try_from(index - i64::from(pad)).ok().filter(|&index| index < len)
}

fn conv_taps(op: &Conv2d<'_>, from: &TensorType, to: &TensorType) -> impl Iterator<Item = Taps> {
    let ([_, h, w, channels], [_, out_h, out_w, out_c]) = (dims4(from), dims4(to));
    let [_, kernel_h, kernel_w, _] = op.weights.shape.as_4d().expect("rank 4").map(|d| d as usize);
    let Padding { top, left, .. } = op.padding;
    positions(out_h, out_w, out_c).map(move |(y, x, o)| {
        let mut taps = Vec::new();
        for (r, s, c) in positions(kernel_h, kernel_w, channels) {
            let row = tap_index(y, r, op.stride[0], op.dilation[0], top, h);
            let column = tap_index(x, s, op.stride[1], op.dilation[1], left, w);
            if let (Some(row), Some(column)) = (row, column) {
                let weight = ((o * kernel_h + r) * kernel_w + s) * channels + c;
                taps.push(((row * w + column) * channels + c, weight));
            }
        }
        (o, taps)
    })
}

/// Weights `[1, KH, KW, O]`: output channel o reads input channel o / multiplier, where the input has O / multiplier of them.
fn depthwise_taps(
    op: &DepthwiseConv2d<'_>,
    from: &TensorType,
    to: &TensorType,
) -> impl Iterator<Item = Taps> {
    let ([_, h, w, channels], [_, out_h, out_w, out_c]) = (dims4(from), dims4(to));
    let [_, kernel_h, kernel_w, _] = op.weights.shape.as_4d().expect("rank 4").map(|d| d as usize);
    let Padding { top, left, .. } = op.padding;
    let multiplier = out_c / channels;
    positions(out_h, out_w, out_c).map(move |(y, x, o)| {
        let mut taps = Vec::new();
        for (r, s, c) in positions(kernel_h, kernel_w, channels) {
            let row = tap_index(y, r, op.stride[0], op.dilation[0], top, h);
            let column = tap_index(x, s, op.stride[1], op.dilation[1], left, w);
            if let (Some(row), Some(column)) = (row, column)
                && c == o / multiplier
            {
                taps.push(((row * w + column) * channels + c, (r * kernel_w + s) * out_c + o));
            }
        }
        (o, taps)
    })
}

fn positions(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

fn dense_taps(op: &FullyConnected<'_>) -> impl Iterator<Item = Taps> {
    let [out, features] = op.weights.shape.as_2d().expect("rank 2").map(|dim| dim as usize);
    (0..out).map(move |o| (o, (0..features).map(|i| (i, o * features + i)).collect()))
}

fn weighted(
    outputs: impl Iterator<Item = Taps>,
    (weights, bias, activation): (&Constant<'_>, Option<&Constant<'_>>, Activation),
    step: &Step<'_>,
    input: &Tensor,
) -> Tensor {
    let (from, to) = (&step.input.ty, &step.output.ty);
    if let Some(row_len) = dynamic::row_len(step) {
        let constants = (weights, bias, activation);
        return dynamic::weighted(outputs, constants, (input.get_reals(), row_len));
    }
    let elements = weights.packed.elements();
    let channels = to.shape.last().expect("channels") as usize;
    if weights.dtype == DataType::F32 {
        let mut w = vec![0.0; elements];
        weights.packed.expand_f32(&mut w).expect("f32 weights");
        let mut b = vec![0.0; channels];
        if let Some(bias) = bias {
            bias.packed.expand_f32(&mut b).expect("f32 bias");
        }
        return reals(outputs, &w, &b, activation, input.get_reals());
    }
    let mut w = vec![0; elements];
    weights.packed.expand_i8(&mut w).expect("i8 weights");
    let mut b = vec![0; channels];
    if let Some(bias) = bias {
        bias.packed.expand_i32(&mut b).expect("integer bias");
    }
    let (x, (s_in, z_in, ..), (s_out, z_out, ..)) =
        (input.get_codes(), quantization(from), quantization(to));
    let (min, max) = code_bounds(activation, to);
    let code = |(o, taps): Taps| {
        let products = taps.iter().map(|&(i, k)| (x[i] - z_in) * i64::from(w[k]));
        let accumulator = i64::from(b[o]) + products.sum::<i64>();
        let accumulator = i32::try_from(accumulator).expect("checked to fit");
        let multiplier = (s_in * weights.scales.get(o)) / s_out;
        // What an i32 holds bounds the product before it is rounded; the largest f32 below 2^31 is 2^31 - 128.
        let product = (accumulator as f32 * multiplier).clamp(-2_147_483_648.0, 2_147_483_520.0);
        clamp(nearest_even(product) + z_out as f64, min, max)
    };
    Tensor::Codes(outputs.map(code).collect())
}

fn reals(
    outputs: impl Iterator<Item = Taps>,
    weights: &[f32],
    bias: &[f32],
    activation: Activation,
    x: &[f32],
) -> Tensor {
    let (mut values, mut tolerances) = (Vec::new(), Vec::new());
    for (o, taps) in outputs {
        let (mut sum, mut magnitude) = (f64::from(bias[o]), f64::from(bias[o].abs()));
        for (i, k) in taps {
            let product = f64::from(x[i]) * f64::from(weights[k]);
            sum += product;
            magnitude += product.abs();
        }
        values.push(activate(activation, sum) as f32);
        tolerances.push(1e-5 * magnitude);
    }
    Tensor::Reals(values, tolerances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use penjing_format::QuantParams;
    use penjing_format::write::{self, Constant, Node, Op, PackingChoice, Value};

    /// `bias + sum (x - zero_point) * w` of [`model`] by hand, [2, 2, 4]: rows 1 and 3, columns 1 and 3 are read, before them
    /// lies padding. Channels 0 and 1 read input channel 0, channels 2 and 3 read input channel 1.
    const SUMS: [i32; 16] =
        [-3, -7, -63, 38, -14, -20, -71, 74, 19, 27, 997, -274, 38, 26, -255, -457];

    /// [1, 2, 2, 4].
    const WEIGHTS: [i8; 16] = [1, 2, 3, -1, -2, 1, 0, 1, 3, -1, 2, 5, 4, 7, -10, 3];
    const BIASES: [i32; 4] = [1, 0, -3, 20];

    /// [4, 4, 2]; `other` is what no window reads.
    fn image(other: i8) -> Vec<i8> {
        let mut image = vec![other; 32];
        for ((y, x), pixel) in
            [((1, 1), [-1, 6]), ((1, 3), [-3, 8]), ((3, 1), [4, -100]), ((3, 3), [5, 7])]
        {
            image[(y * 4 + x) * 2..][..2].copy_from_slice(&pixel);
        }
        image
    }

    /// Multiplier 2, stride 2, dilation 2, a row and a column of padding.
    fn model(reals: bool, activation: Activation) -> Vec<u8> {
        let shape = [1, 2, 2, 4].into();
        let (weights, bias) = if reals {
            let biases = BIASES.map(|bias| bias as f32).to_vec();
            (Constant::f32(shape, WEIGHTS.map(f32::from).to_vec()), Constant::bias_f32(biases))
        } else {
            let scales = vec![0.5, 1.0, 0.25, 2.0];
            (Constant::i8(shape, scales, WEIGHTS.to_vec()), Constant::bias(BIASES.to_vec()))
        };
        let op = Op::DepthwiseConv2d(write::DepthwiseConv2d {
            weights,
            bias: Some(bias),
            stride: [2, 2],
            dilation: [2, 2],
            padding: Padding { top: 1, left: 1, ..Padding::default() },
            activation,
        });
        let value = |scale, zero_point| match reals {
            true => Value { dtype: Some(DataType::F32), ..Value::default() },
            false => Value {
                dtype: Some(DataType::I8),
                quantization: Some(QuantParams { scale, zero_point }),
                ..Value::default()
            },
        };
        let input = Value { shape: Some([1, 4, 4, 2].into()), ..value(1.0, 10) };
        let nodes = vec![Node::new(op, Some(value(2.0, -1)))];
        let model = write::Model { inputs: vec![input], nodes, ..write::Model::default() };
        model.to_bytes(PackingChoice::Auto).unwrap()
    }

    #[test]
    fn depthwise_of_codes_equals_a_count_by_hand() {
        // Multipliers 1/4, 1/2, 1/8 and 1; ties go to the even code; the zero point is -1.
        let codes = [-2, -5, -9, 37, -5, -11, -10, 73, 4, 13, 124, -128, 9, 12, -33, -128];
        let image: Vec<i8> = image(110).iter().map(|&x| x + 10).collect();
        for (activation, floor) in [(Activation::None, -128), (Activation::Relu, -1)] {
            let bytes = model(false, activation);
            let view = ModelView::open(&bytes).unwrap();
            let expected = codes.map(|code: i64| code.max(floor));
            let found = run(&view, &[Tensor::codes(&image)]).unwrap();
            assert_eq!(found, [Tensor::Codes(expected.to_vec())]);
            let all = values(&view, &[Tensor::codes(&image)]).unwrap();
            assert_eq!(all, [Tensor::codes(&image), found[0].clone()]);
        }
    }

    #[test]
    fn depthwise_of_reals_equals_a_count_by_hand() {
        let image: Vec<f32> = image(-77).into_iter().map(f32::from).collect();
        for (activation, floor) in [(Activation::None, i32::MIN), (Activation::Relu, 0)] {
            let bytes = model(true, activation);
            let view = ModelView::open(&bytes).unwrap();
            let found = run(&view, &[Tensor::reals(&image)]).unwrap();
            let [Tensor::Reals(values, tolerances)] = &found[..] else { panic!("{found:?}") };
            assert_eq!(*values, SUMS.map(|sum| sum.max(floor) as f32));
            // |4 * -1| + |1|, and the four products of the last sum: 6 + 8 + 500 + 21, and 20.
            assert_eq!((tolerances[0], tolerances[15]), (1e-5 * 5.0, 1e-5 * 555.0));
        }
    }
}
