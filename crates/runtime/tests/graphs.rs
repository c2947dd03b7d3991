//! Graphs that are no chain: several inputs and outputs, values read more than once, values that are inputs and outputs.

mod support;

use penjing_format::write::{MaxPool2d, Model as Spec, Node, Op, PackingChoice, Reshape, Value};
use penjing_format::{DataType, QuantParams, ReshapeTarget, Shape};
use penjing_runtime::reference::{self, Tensor};
use penjing_runtime::{Input, Output};
use support::Data;

const PARAMS: QuantParams = QuantParams { scale: 0.5, zero_point: -3 };

fn node(op: Op, from: u16, dtype: DataType, shape: Shape) -> Node {
    let quantization = (dtype != DataType::F32).then_some(PARAMS);
    let value = Value { shape: Some(shape), dtype: Some(dtype), quantization, name: None };
    Node { op, inputs: vec![from], value: Some(value) }
}

fn pool(window: u32) -> Op {
    let padding = support::padding(0, 0, 0, 0);
    Op::MaxPool2d(MaxPool2d { window: [window; 2], stride: [window; 2], padding })
}

/// Values 0 and 1 are inputs. Value 3 is read twice and yielded twice, once as another shape.
fn spec() -> Spec {
    let shape = |h: u32| Shape::from([1, h, h, 2]);
    let input = |dtype| support::input_value(dtype, shape(4), PARAMS);
    let flatten = Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN });
    Spec {
        inputs: vec![input(DataType::I8), input(DataType::F32)],
        nodes: vec![
            node(Op::Quantize, 1, DataType::I8, shape(4)),
            node(pool(2), 2, DataType::I8, shape(2)),
            node(Op::Dequantize, 2, DataType::F32, shape(4)),
            node(pool(2), 3, DataType::I8, shape(1)),
            node(flatten, 3, DataType::I8, [1, 8].into()),
            node(pool(2), 0, DataType::I8, shape(2)),
            node(pool(4), 4, DataType::F32, shape(1)),
        ],
        outputs: vec![5, 3, 6, 7, 8, 0, 4],
        ..Spec::default()
    }
}

#[test]
fn every_output_is_the_oracles() {
    const IMAGES: usize = 21;
    let model = support::model(&spec(), PackingChoice::Auto);
    let inputs = [DataType::I8, DataType::F32].map(|ty| Data::noise(ty, IMAGES * 32, 9));
    for threads in [1, 2] {
        let mut session = support::session(&model, threads);
        let mut outputs: Vec<Data> =
            model.outputs().map(|info| Data::zeros(info.dtype, IMAGES * info.len())).collect();
        let given = [inputs[0].input(), inputs[1].input()];
        let mut places: Vec<Output<'_>> = outputs.iter_mut().map(Data::output).collect();
        session.run_many(&given, &mut places).unwrap();
        for index in 0..IMAGES {
            let images = [inputs[0].image(index, 32), inputs[1].image(index, 32)];
            let want = reference::run(&model.view(), &images).unwrap();
            for ((output, want), info) in outputs.iter().zip(&want).zip(model.outputs()) {
                match (output.image(index, info.len()), want) {
                    (Tensor::Codes(found), Tensor::Codes(want)) => assert_eq!(&found, want),
                    (Tensor::Reals(found, _), Tensor::Reals(want, _)) => assert_eq!(&found, want),
                    (found, want) => panic!("{found:?} {want:?}"),
                }
            }
        }
    }
}

#[test]
fn inputs_of_different_batches_are_refused() {
    let model = support::model(&spec(), PackingChoice::Auto);
    let mut session = support::session(&model, 1);
    let mut outputs: Vec<Data> =
        model.outputs().map(|info| Data::zeros(info.dtype, 2 * info.len())).collect();
    let mut places: Vec<Output<'_>> = outputs.iter_mut().map(Data::output).collect();
    let (codes, reals) = ([0_i8; 64], [0.0_f32; 32]);
    let error = session.run_many(&[Input::I8(&codes), Input::F32(&reals)], &mut places);
    assert_eq!(
        error.unwrap_err().to_string(),
        "input 1: expected 64 elements for a batch of 2, found 32"
    );
}

#[test]
fn names_and_types_are_reported() {
    let model = support::model(&spec(), PackingChoice::Auto);
    let inputs: Vec<_> = model.inputs().map(|info| (info.dtype, info.shape)).collect();
    assert_eq!(inputs, [(DataType::I8, [4, 4, 2].into()), (DataType::F32, [4, 4, 2].into())]);
    let outputs: Vec<_> = model.outputs().map(|info| (info.dtype, info.shape)).collect();
    assert_eq!(outputs[2], (DataType::I8, [8].into()));
    assert_eq!(outputs[5], inputs[0]);
    assert_eq!(outputs[6], (DataType::F32, [4, 4, 2].into()));
    let info = model.outputs().next().unwrap();
    assert_eq!((info.scale, info.zero_point), (0.5, -3));
}

/// A convolution whose result is wanted for itself: the pool after it may not swallow it.
#[test]
fn a_shared_convolution_keeps_its_own_result() {
    let case = |dtype| support::ConvCase {
        dtype,
        input: [6, 6, 2],
        kernel: [3, 3],
        out_channels: 5,
        stride: [1, 1],
        dilation: [1, 1],
        pads: [0; 4],
        pool: None,
        seed: 0xe3,
    };
    for (dtype, result) in [(DataType::U8, DataType::I8), (DataType::F32, DataType::F32)] {
        let mut spec = case(dtype).spec().unwrap();
        let quantization = spec.nodes[0].value.as_ref().and_then(|value| value.quantization);
        let of = |shape: Shape| {
            Some(Value { shape: Some(shape), dtype: Some(result), quantization, name: None })
        };
        spec.nodes[0].value = of([1, 4, 4, 5].into());
        let pools = [(pool(2), [1, 2, 2, 5]), (pool(4), [1, 1, 1, 5])];
        spec.nodes.extend(pools.map(|(op, shape)| Node {
            inputs: vec![1],
            value: of(shape.into()),
            ..Node::new(op, None)
        }));
        // Read by two pools; then by one pool and as an output.
        for (nodes, outputs) in [(3, vec![2, 3]), (2, vec![2, 1])] {
            let mut spec = Spec { outputs, ..spec.clone() };
            spec.nodes.truncate(nodes);
            let model = support::model(&spec, PackingChoice::Auto);
            let image = Data::noise(dtype, 72, 4);
            let mut found: Vec<Data> =
                model.outputs().map(|info| Data::zeros(info.dtype, info.len())).collect();
            let mut places: Vec<Output<'_>> = found.iter_mut().map(Data::output).collect();
            let mut session = support::session(&model, 1);
            session.run_many(&[image.input()], &mut places).unwrap();
            let want = reference::run(&model.view(), &[image.image(0, 72)]).unwrap();
            for ((found, want), info) in found.iter().zip(&want).zip(model.outputs()) {
                support::agree(session.isa(), &found.image(0, info.len()), want, 1.0);
            }
        }
    }
}
