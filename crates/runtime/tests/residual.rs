//! Values that are read more than once, results that are written over dead inputs, looks into a network, and how much memory all
//! that takes. Random single ops are `light_ops`'s.

mod support;

use penjing_format::write::{Binary, Concat, MaxPool2d, Model as Spec, Node, Op, Value};
use penjing_format::write::{PackingChoice, Reshape};
use penjing_format::{Activation, DataType, QuantParams, ReshapeTarget, Shape};
use penjing_runtime::{Error, Placement, Session, SessionOptions};
use support::Data;
use support::light::{conforms, copy};

const GRID: QuantParams = QuantParams { scale: 0.5, zero_point: -3 };

fn value(dtype: DataType, shape: Shape) -> Value {
    support::input_value(dtype, shape, GRID)
}

fn node(op: Op, from: &[u16], dtype: DataType, shape: Shape) -> Node {
    Node { op, inputs: from.to_vec(), value: Some(value(dtype, shape)) }
}

fn binary() -> Binary {
    Binary { operand: None, operand_zero_point: 0, activation: Activation::None }
}

fn one_input(dtype: DataType, shape: Shape, nodes: Vec<Node>, outputs: Vec<u16>) -> Spec {
    Spec { inputs: vec![value(dtype, shape)], nodes, outputs, ..Spec::default() }
}

fn placements(spec: &Spec) -> (u64, Vec<Placement>) {
    let model = support::model(spec, PackingChoice::Auto);
    let options = SessionOptions { tile_images: 1, ..SessionOptions::default() };
    let session = Session::new(&model, options).unwrap();
    (session.plan().tensor_bytes(), session.plan().placements().to_vec())
}

/// Which of the values lie where an input was.
fn in_place(spec: &Spec) -> Vec<usize> {
    let (_, placements) = placements(spec);
    placements.into_iter().filter(|one| one.in_place).map(|one| one.value).collect()
}

const TYPES: [DataType; 2] = [DataType::F32, DataType::I8];

#[test]
fn a_value_joins_itself() {
    let shape = Shape::from([1, 2, 3, 4]);
    for dtype in TYPES {
        for inner in [0, 1] {
            // The input itself, or a copy that nobody reads later.
            let twice = [inner, inner];
            for (op, out) in [
                (Op::Add(binary()), shape),
                (Op::Mul(binary()), shape),
                (Op::Concat(Concat { axis: 2 }), [1, 2, 6, 4].into()),
            ] {
                let mut nodes = vec![node(copy(shape), &[0], dtype, shape)];
                nodes.push(node(op, &twice, dtype, out));
                let spec = one_input(dtype, shape, nodes, vec![2]);
                conforms(&spec, 5, 1.0);
                assert_eq!(in_place(&spec), []);
            }
        }
    }
}

/// `relu(a + b)` in a block, and the block's input is read again behind it.
#[test]
fn a_residual_block_writes_over_what_is_dead() {
    let shape = Shape::from([1, 4, 4, 16]);
    for dtype in TYPES {
        let relu = || Op::Relu(Activation::Relu);
        let nodes = vec![
            node(copy(shape), &[0], dtype, shape),          // 1
            node(relu(), &[1], dtype, shape),               // 2: 1 is read again
            node(Op::Mul(binary()), &[2, 1], dtype, shape), // 3: over 2
            node(Op::Add(binary()), &[1, 3], dtype, shape), // 4: over 1
            node(relu(), &[4], dtype, shape),               // 5: over 4
            node(Op::Softmax, &[5], dtype, shape),          // 6: over 5
        ];
        let spec = one_input(dtype, shape, nodes, vec![6]);
        conforms(&spec, 6, 1.0);
        assert_eq!(in_place(&spec), [3, 4, 5, 6]);
        let (bytes, placements) = placements(&spec);
        assert_eq!(bytes, 2 * 256 * dtype.size() as u64);
        assert_eq!(placements[0].groups, 0..6);
        assert_eq!(placements[1].groups, 1..4);
        assert_eq!((placements[2].offset, placements[5].offset), (bytes / 2, 0));
    }
}

/// Whoever is asked for is not written over, nor is a graph input, nor what a reshape of it is still to be read as.
#[test]
fn what_is_still_wanted_is_not_written_over() {
    let (shape, flat) = (Shape::from([1, 2, 2, 8]), Shape::from([1, 32]));
    for dtype in TYPES {
        let relu = || Op::Relu(Activation::Relu6);
        let flatten = Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN });
        let nodes = vec![
            node(relu(), &[0], dtype, shape),   // 1: the input is the caller's
            node(relu(), &[1], dtype, shape),   // 2: 1 is an output
            node(flatten, &[2], dtype, flat),   // 3
            node(Op::Tanh, &[2], dtype, shape), // 4: 3 is read later
            node(Op::Logistic, &[3], dtype, flat), // 5: over 3, which is 2
            node(Op::Add(binary()), &[3, 5], dtype, flat), // 6
        ];
        let mut spec = one_input(dtype, shape, nodes, vec![1, 4, 6, 0, 6]);
        conforms(&spec, 7, 1.0);
        // 6 takes the place of 3, or of 5: nothing else may.
        assert_eq!(in_place(&spec), [6]);
        // Without the last node the logistic function is the last to read.
        spec.nodes.pop();
        spec.outputs = vec![1, 4, 5];
        conforms(&spec, 8, 1.0);
        assert_eq!(in_place(&spec), [5]);
    }
}

/// The smaller operand cannot hold the result, whichever side it is on.
#[test]
fn a_repeated_operand_is_not_written_over() {
    let (shape, small) = (Shape::from([1, 5, 3, 7]), Shape::from([1, 1, 1, 7]));
    for dtype in TYPES {
        for (operands, over) in [([2, 3], true), ([3, 2], true)] {
            let pool =
                MaxPool2d { window: [5, 3], stride: [5, 3], padding: support::padding(0, 0, 0, 0) };
            let nodes = vec![
                node(copy(shape), &[0], dtype, shape),
                node(copy(shape), &[1], dtype, shape),
                node(Op::MaxPool2d(pool), &[1], dtype, small),
                node(Op::Mul(binary()), &operands, dtype, shape),
            ];
            let spec = one_input(dtype, shape, nodes, vec![4]);
            conforms(&spec, 9, 1.0);
            assert_eq!(in_place(&spec).contains(&4), over);
            let (_, placements) = placements(&spec);
            assert_eq!(placements[3].offset, placements[1].offset);
        }
    }
}

/// One image alone, in a batch, and on several threads.
#[test]
fn every_op_is_the_same_in_any_batch_and_on_any_thread() {
    for dtype in TYPES {
        let spec = support::light::every_op(dtype);
        conforms(&spec, 4, if dtype == DataType::F32 { 10.0 } else { 0.0 });
        let model = support::model(&spec, PackingChoice::Auto);
        let images = Data::noise(dtype, 40 * 48, 2);
        let want = support::run(&mut support::session(&model, 1), &model, &images, 40).unwrap();
        for (threads, tile_images) in [(1, 1), (1, 3), (3, 0)] {
            let options = SessionOptions { threads, tile_images, ..SessionOptions::default() };
            let mut session = Session::new(&model, options).unwrap();
            assert_eq!(support::run(&mut session, &model, &images, 40).unwrap(), want);
        }
    }
}

#[test]
fn a_look_into_a_network_is_the_oracles_value() {
    let model = support::model(&support::network_spec(DataType::U8), PackingChoice::Auto);
    let images = Data::noise(DataType::U8, 3 * 12 * 14, 3);
    let types: Vec<_> = model.view().walk().map(|step| step.unwrap().output.ty).collect();
    for (node, ty) in types.iter().enumerate() {
        let options = SessionOptions { until: Some(node), ..SessionOptions::default() };
        let mut session = Session::new(&model, options).unwrap();
        let len = ty.shape.elements().unwrap();
        let mut found = Data::zeros(ty.dtype, 3 * len);
        session.run(images.input(), found.output()).unwrap();
        for index in 0..3 {
            let input = images.image(index, 12 * 14);
            let values = penjing_runtime::reference::values(&model.view(), &[input]).unwrap();
            support::agree(session.isa(), &found.image(index, len), &values[node + 1], 1.0);
        }
    }
    let options = SessionOptions { until: Some(4), ..SessionOptions::default() };
    let refused = Session::new(&model, options).unwrap_err();
    assert!(matches!(refused, Error::NoNode { node: 4, nodes: 4 }), "{refused}");
    assert_eq!(refused.to_string(), "node: expected one of the model's 4, found 4");
}
