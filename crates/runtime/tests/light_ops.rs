//! Ops without layers' weights on every instruction set against the oracle, over random shapes, types, grids and extreme values,
//! with inputs that they may write over and inputs that they may not. Layers are `conformance`'s.

mod support;

use penjing_format::write::{AveragePool2d, Binary, Concat, Constant, Op, Pad};
use penjing_format::{Activation, DataType, Pads, Shape, infer};
use proptest::prelude::*;
use support::light::{Of, conforms, one_op};

const SIGNED: [DataType; 2] = [DataType::F32, DataType::I8];

fn activation(seed: u64) -> Activation {
    [Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1]
        [(seed >> 17) as usize % 4]
}

/// A sample's shape of 1 to 4 dimensions, and so many of them 1.
fn shapes() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(prop_oneof![1 => Just(1), 4 => 1..9_u32, 1 => 1..70_u32], 1..5)
}

fn batched(sample: &[u32]) -> Shape {
    Shape::from_dims([1].into_iter().chain(sample.iter().copied())).unwrap()
}

/// The smaller grid of a sum's operands; the format allows a ratio of scales from 1/1024 to 256, which these keep.
fn sums_and_products(case: &Case, op: impl Fn(Binary) -> Op) {
    let Case { dtype, seed, .. } = *case;
    let [a, b] = [0, 1].map(|k| {
        let dims = case.sample.iter().zip(0..).map(|(&dim, at)| {
            if (seed >> (2 * at + k)) & 0x11 == 0x11 && !case.constant { 1 } else { dim }
        });
        Of::new(dtype, batched(&dims.collect::<Vec<_>>()), seed + k)
    });
    let binary = |operand, operand_zero_point| Binary {
        operand,
        operand_zero_point,
        activation: activation(seed),
    };
    if case.constant {
        // A shape that says the same as a smaller one is written as that.
        let elements = match (seed >> 9) % 3 {
            0 => 1,
            1 => case.sample.last().copied().unwrap_or(1),
            _ => case.sample.iter().product(),
        };
        let shape = infer::operand(a.shape, elements).unwrap();
        let weights = support::weights(shape, dtype == DataType::F32, false, seed);
        let operand = if dtype == DataType::F32 {
            weights
        } else {
            Constant { scales: vec![b.params.scale], ..weights }
        };
        let out = Of::new(dtype, a.shape, seed + 2);
        let op = op(binary(Some(operand), b.params.zero_point * i32::from(dtype != DataType::F32)));
        return conforms(&one_op(op, &[a], out, case.inner), seed, 1.0);
    }
    let out = Of::new(dtype, infer::add_mul(a.shape, b.shape).unwrap(), seed + 2);
    conforms(&one_op(op(binary(None, 0)), &[a, b], out, case.inner), seed, 1.0);
}

#[derive(Clone, Debug)]
struct Case {
    dtype: DataType,
    sample: Vec<u32>,
    constant: bool,
    inner: bool,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    (0..2_usize, shapes(), any::<bool>(), any::<bool>(), 0..u64::MAX - 9).prop_map(
        |(dtype, sample, constant, inner, seed)| {
            let dtype = SIGNED[dtype];
            Case { dtype, sample, constant, inner, seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn average_pool2d(
        case in case(),
        shape in [1..12_u32, 1..12, 1..140],
        window in [1..6_u32, 1..6],
        stride in [1..5_u32, 1..5],
        pads in [0..4_u32, 0..4, 0..4, 0..4],
    ) {
        let input = Of::new(case.dtype, batched(&shape), case.seed);
        let padding = support::padding(pads[0], pads[1], pads[2], pads[3]);
        if let Ok(shape) = infer::average_pool2d(input.shape, window, stride, padding) {
            let op = Op::AveragePool2d(AveragePool2d { window, stride, padding });
            conforms(&one_op(op, &[input], Of { shape, ..input }, case.inner), case.seed, 1.0);
        }
    }

    #[test]
    fn mean(case in case(), shape in [1..20_u32, 1..20, 1..140], same: bool) {
        let input = Of::new(case.dtype, batched(&shape), case.seed);
        let shape = infer::mean(input.shape).unwrap();
        let output = Of::new(case.dtype, shape, case.seed + 1);
        let output = if same { Of { shape, ..input } } else { output };
        conforms(&one_op(Op::Mean, &[input], output, case.inner), case.seed, 1.0);
    }

    #[test]
    fn add(case in case()) {
        sums_and_products(&case, Op::Add);
    }

    #[test]
    fn mul(case in case()) {
        sums_and_products(&case, Op::Mul);
    }

    #[test]
    fn pad(dtype in 0..3_usize, case in case(), pads in proptest::collection::vec([0..4_u32, 0..4], 4)) {
        let input = Of::new(support::TYPES[dtype], batched(&case.sample), case.seed);
        let some = |(at, &pair): (usize, &[u32; 2])| if case.seed >> at & 1 == 0 { pair } else { [0; 2] };
        let pads = pads.iter().enumerate().map(some).take(case.sample.len());
        let pads = Pads::from_pairs(pads).unwrap();
        let output = Of { shape: infer::pad(input.shape, pads).unwrap(), ..input };
        conforms(&one_op(Op::Pad(Pad { pads }), &[input], output, case.inner), case.seed, 1.0);
    }

    #[test]
    fn concat(dtype in 0..3_usize, case in case(), lens in proptest::collection::vec(1..9_u32, 1..5)) {
        let first = Of::new(support::TYPES[dtype], batched(&case.sample), case.seed);
        let axis = 1 + (case.seed >> 7) as usize % case.sample.len();
        let inputs: Vec<Of> = lens.iter().map(|&len| {
            let dims = first.shape.dims().iter().enumerate();
            let dims = dims.map(|(at, &dim)| if at == axis { len } else { dim });
            Of { shape: Shape::from_dims(dims).unwrap(), ..first }
        }).collect();
        let shape = infer::concat(axis as u32, inputs.iter().map(|of| of.shape)).unwrap();
        let op = Op::Concat(Concat { axis: axis as u32 });
        conforms(&one_op(op, &inputs, Of { shape, ..first }, case.inner), case.seed, 1.0);
    }

    #[test]
    fn relu(case in case(), ratio in 0..6_usize) {
        let activation = match activation(case.seed) {
            Activation::None => Activation::Relu,
            other => other,
        };
        let input = Of::new(case.dtype, batched(&case.sample), case.seed);
        let mut output = input;
        // Its own grid, of a ratio at which ties are frequent or of any, or the input's.
        if let Some(ratio) = [1.0, 2.0, 0.5, 0.37].get(ratio) && case.dtype == DataType::I8 {
            output = Of::new(case.dtype, input.shape, case.seed + 1);
            output.params.scale = input.params.scale * ratio;
        }
        conforms(&one_op(Op::Relu(activation), &[input], output, case.inner), case.seed, 1.0);
    }

    #[test]
    fn softmax_logistic_and_tanh(case in case(), usual: bool) {
        let input = Of::new(case.dtype, batched(&case.sample), case.seed);
        for (op, scale, zero_point) in
            [(Op::Softmax, 256.0, -128), (Op::Logistic, 256.0, -128), (Op::Tanh, 128.0, 0)]
        {
            let mut output = Of::new(case.dtype, input.shape, case.seed + 1);
            if usual {
                output.params.scale = 1.0 / scale;
                output.params.zero_point = zero_point;
            }
            conforms(&one_op(op, &[input], output, case.inner), case.seed, 1.0);
        }
    }

    #[test]
    fn quantize_between_integers(case in case(), types in [0..2_usize, 0..2], ratio in 0..4_usize) {
        let [from, to] = types.map(|ty| [DataType::I8, DataType::U8][ty]);
        let input = Of::new(from, batched(&case.sample), case.seed);
        let mut output = Of::new(to, input.shape, case.seed + 1);
        // Ratios at which ties are frequent, and any.
        if let Some(ratio) = [1.0, 2.0, 0.5].get(ratio) {
            output.params.scale = input.params.scale * ratio;
        }
        let ratio = input.params.scale / output.params.scale;
        if (1.0 / 256.0..=128.0).contains(&ratio) {
            conforms(&one_op(Op::Quantize, &[input], output, case.inner), case.seed, 1.0);
        }
    }
}
