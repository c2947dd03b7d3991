//! Models of one op without layers' weights, or of one and what brings its inputs into the arena. No assertions here.
#![allow(dead_code, reason = "each test takes what it needs")]

use super::cases::{input_value, params};
use super::data::{Data, Noise};
use super::{agree, instruction_sets, model, session_on};
use penjing_format::write::{
    AveragePool2d, Binary, Concat, Model as Spec, Node, Op, PackingChoice, Pad, Value,
};
use penjing_format::{Activation, DataType, Padding, Pads, QuantParams, Shape};
use penjing_runtime::{Model, Output, reference};

/// A tensor's type, shape and grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of {
    pub(crate) dtype: DataType,
    pub(crate) shape: Shape,
    pub(crate) params: QuantParams,
}

impl Of {
    /// A grid of any zero point and of a scale between about 0.004 and 1.
    pub(crate) fn new(dtype: DataType, shape: Shape, seed: u64) -> Self {
        let bits = Noise(seed).next();
        let scale = ((bits >> 40) as f32 / (1 << 24) as f32 * -5.5).exp();
        Self { dtype, shape, params: params(dtype, scale, bits >> 3) }
    }

    /// What a node states that yields it.
    pub(crate) fn value(self) -> Value {
        input_value(self.dtype, self.shape, self.params)
    }
}

/// An op that copies: padding of nothing.
pub(crate) fn copy(shape: Shape) -> Op {
    let none = shape.dims().iter().skip(1).map(|_| [0, 0]);
    Op::Pad(Pad { pads: Pads::from_pairs(none).unwrap() })
}

/// A model of one op. With `inner` its inputs are copies that nothing else reads, over which it may write.
pub(crate) fn one_op(op: Op, inputs: &[Of], output: Of, inner: bool) -> Spec {
    let n = inputs.len() as u16;
    let mut nodes = Vec::new();
    if inner {
        nodes.extend(inputs.iter().zip(0..).map(|(of, id)| Node {
            op: copy(of.shape),
            inputs: vec![id],
            value: Some(of.value()),
        }));
    }
    let first = if inner { n } else { 0 };
    nodes.push(Node { op, inputs: (first..first + n).collect(), value: Some(output.value()) });
    let inputs = inputs.iter().map(|of| of.value()).collect();
    Spec { inputs, nodes, ..Spec::default() }
}

/// A chain of every op without weights, of which some read a value before the last too.
pub(crate) fn every_op(dtype: DataType) -> Spec {
    let params = QuantParams { scale: 0.05, zero_point: -8 };
    let value = |shape: Shape| Some(input_value(dtype, shape, params));
    let binary =
        || Binary { operand: None, operand_zero_point: 0, activation: Activation::ReluN1To1 };
    let (image, wide) = (Shape::from([1, 4, 4, 3]), Shape::from([1, 4, 4, 6]));
    let pool = AveragePool2d { window: [2; 2], stride: [2; 2], padding: Padding::default() };
    let pads = Pads::from_pairs([[1, 1], [1, 1], [0, 0]]).unwrap();
    let node =
        |op, inputs: &[u16], shape| Node { op, inputs: inputs.to_vec(), value: value(shape) };
    let nodes = vec![
        node(Op::Relu(Activation::Relu), &[0], image),
        node(Op::Add(binary()), &[0, 1], image),
        node(Op::Mul(binary()), &[1, 2], image),
        node(Op::Concat(Concat { axis: 3 }), &[2, 3], wide),
        node(Op::AveragePool2d(pool), &[4], [1, 2, 2, 6].into()),
        node(Op::Pad(Pad { pads }), &[5], wide),
        node(Op::Tanh, &[6], wide),
        node(Op::Logistic, &[7], wide),
        node(Op::Mean, &[8], [1, 6].into()),
        node(Op::Softmax, &[9], [1, 6].into()),
    ];
    Spec { inputs: vec![input_value(dtype, image, params)], nodes, ..Spec::default() }
}

/// Runs images of any model on every instruction set and holds every output against the oracle.
pub(crate) fn conforms(spec: &Spec, seed: u64, slack: f64) {
    const IMAGES: usize = 3;
    let model = model(spec, PackingChoice::Auto);
    let inputs: Vec<Data> = model
        .inputs()
        .zip(seed..)
        .map(|(info, seed)| Data::noise(info.dtype, IMAGES * info.len(), seed))
        .collect();
    conforms_on(&model, &inputs, IMAGES, slack);
}

pub(crate) fn conforms_on(model: &Model, inputs: &[Data], images: usize, slack: f64) {
    for &isa in instruction_sets() {
        let mut session = session_on(model, isa, 1);
        let mut outputs: Vec<Data> =
            model.outputs().map(|info| Data::zeros(info.dtype, images * info.len())).collect();
        let given: Vec<_> = inputs.iter().map(Data::input).collect();
        let mut places: Vec<Output<'_>> = outputs.iter_mut().map(Data::output).collect();
        session.run_many(&given, &mut places).unwrap();
        if isa == instruction_sets()[0] {
            super::in_place::agrees(model, images, inputs, &outputs);
        }
        for index in 0..images {
            let own: Vec<_> = model
                .inputs()
                .zip(inputs)
                .map(|(info, data)| data.image(index, info.len()))
                .collect();
            let want = reference::run(&model.view(), &own).unwrap();
            for ((output, want), info) in outputs.iter().zip(&want).zip(model.outputs()) {
                agree(isa, &output.image(index, info.len()), want, slack);
            }
        }
    }
}
