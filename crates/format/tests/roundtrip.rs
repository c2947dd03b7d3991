//! Random valid models: what is written is what is read, in every packing, and the walk infers every value's type. The models
//! are grown by `common::grow`.
#![cfg(feature = "write")]

mod common;

use common::grow::Grower;
use common::raise::raise;
use common::{input, integers};
use penjing_format::write::{Model, PackingChoice, Value, WriteError};
use penjing_format::{DataType, ModelView, QuantParams, Shape, TensorType, read};
use proptest::prelude::*;

/// The model as it is read back: implied edges and outputs spelled out, usual types left out.
fn as_read(mut model: Model) -> Model {
    fn usual_left_out(value: &mut Value) {
        let usual = if value.quantization.is_some() { DataType::I8 } else { DataType::F32 };
        value.dtype = value.dtype.filter(|&dtype| dtype != usual);
    }
    let inputs = model.inputs.len();
    model.inputs.iter_mut().for_each(usual_left_out);
    for (index, node) in model.nodes.iter_mut().enumerate() {
        node.value.iter_mut().for_each(usual_left_out);
        node.value = node.value.take().filter(|value| *value != Value::default());
        if node.inputs.is_empty() {
            node.inputs = vec![(inputs + index - 1) as u16];
        }
    }
    if model.outputs.is_empty() {
        model.outputs = vec![(inputs + model.nodes.len() - 1) as u16];
    }
    model
}

/// Returns how many packings the model can have.
fn check(model: &Model, types: &[TensorType]) -> usize {
    let mut packings = 0;
    for packing in PackingChoice::IN_PLACE {
        let bytes = match model.to_bytes(packing) {
            Ok(bytes) => bytes,
            // A group without a zero, or groups that do not fill the weights.
            Err(WriteError::Packing { .. }) if packing == PackingChoice::NOfM => continue,
            Err(error) => panic!("{}: {error}", packing.name()),
        };
        packings += 1;
        assert_eq!(bytes, model.to_bytes(packing).unwrap(), "the same model, the same bytes");
        let view = ModelView::open(&bytes).unwrap();
        assert_eq!(raise(view), as_read(model.clone()));
        assert_eq!(raise(ModelView::assume_checked(&bytes)), as_read(model.clone()));
        assert_eq!(view.walk().count(), model.nodes.len());
        for step in view.walk() {
            let step = step.unwrap();
            assert_eq!(step.input.ty, types[usize::from(step.input.id)]);
            for operand in step.operands() {
                assert_eq!(operand.ty, types[usize::from(operand.id)]);
            }
            assert!(step.operands().map(|operand| operand.id).eq(step.node.inputs()));
            let two = matches!(step.op, read::Op::Add(_) | read::Op::Mul(_));
            assert_eq!(step.second, step.operands().nth(1).filter(|_| two));
            assert_eq!(step.output.ty, types[usize::from(step.output.id)]);
            assert_eq!(usize::from(step.output.id), model.inputs.len() + step.index);
        }
    }
    packings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_is_read(seed in any::<u64>(), kinds in prop::collection::vec(0_u32..15, 0..12)) {
        let mut grower = Grower::new(seed);
        for kind in kinds {
            grower.grow(kind);
        }
        let (model, types) = grower.finish();
        check(&model, &types);
    }
}

/// A chain needs nothing but what cannot be inferred, and gives the same types.
#[test]
fn a_chain_infers_what_it_leaves_out() {
    let model = common::article_int8(800);
    let quantized = |shape: &[u32], scale, zero_point| TensorType {
        shape: Shape::new(shape).unwrap(),
        dtype: DataType::I8,
        quantization: Some(QuantParams { scale, zero_point }),
    };
    let pixels = QuantParams { scale: 1.0 / 255.0, zero_point: 0 };
    let types = [
        TensorType {
            shape: [1, 28, 28, 1].into(),
            dtype: DataType::U8,
            quantization: Some(pixels),
        },
        quantized(&[1, 26, 26, 12], 0.0213, -128),
        quantized(&[1, 13, 13, 12], 0.0213, -128),
        quantized(&[1, 2028], 0.0213, -128),
        quantized(&[1, 10], 0.17, 12),
    ];
    assert_eq!(check(&model, &types), PackingChoice::IN_PLACE.len());
}

/// The small models between them have every op and every field; what they hold is read in every packing.
#[test]
fn what_the_small_models_hold_is_read() {
    for (model, name) in common::small_models() {
        let bytes = model.to_bytes(PackingChoice::Auto).unwrap();
        let view = ModelView::open(&bytes).unwrap();
        let inputs = (0..view.n_inputs()).map(|index| view.input_type(index).unwrap());
        let outputs = view.walk().map(|step| step.unwrap().output.ty);
        let packings = check(&model, &inputs.chain(outputs).collect::<Vec<_>>());
        let all = PackingChoice::IN_PLACE.len();
        // Neither reals without a zero nor a single constant are so many of so many.
        let reals = name == "f32" || name.starts_with("joined");
        assert_eq!(packings, if reals { all - 1 } else { all }, "{name}");
    }
}

/// Node 1's input is value 0, a graph input that every file states in full.
#[test]
fn a_node_may_read_a_graph_input_again() {
    let mut model = common::small_f32();
    model.nodes[1].inputs = vec![1];
    let bytes = model.to_bytes(PackingChoice::Auto).unwrap();
    let steps: Vec<_> = ModelView::open(&bytes).unwrap().walk().map(Result::unwrap).collect();
    assert_eq!(steps.iter().map(|step| step.input.id).collect::<Vec<_>>(), [0, 1, 2]);
    let ty = integers(DataType::I8, 1.0, 0);
    model.inputs.push(input([1, 2].into(), ty));
    assert!(model.to_bytes(PackingChoice::Auto).is_err(), "every later value has a new number");
}
