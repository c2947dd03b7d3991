//! Random valid models: what is written is what is read, in every packing, and the walk infers every value's type. The models
//! are grown op by op beside a record of the types that they must have.
#![cfg(feature = "write")]

mod common;

use common::raise::raise;
use common::{Numbers, input, integers, target};
use penjing_format::write::{
    Constant, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Model, Node, Normalization, Op,
    PackingChoice, Reshape, Value, WriteError,
};
use penjing_format::{Activation, DataType, ModelView, Padding, QuantParams, Shape, TensorType};
use proptest::prelude::*;

/// A model that grows, with the type of every value so far.
struct Grower {
    model: Model,
    types: Vec<TensorType>,
    numbers: Numbers,
}

impl Grower {
    fn new(seed: u64) -> Self {
        let mut numbers = Numbers(seed | 1);
        numbers.next();
        let mut grower = Self { model: Model::default(), types: Vec::new(), numbers };
        for _ in 0..=grower.below(2) {
            let mut shape = vec![1, grower.below(6) + 2, grower.below(6) + 2, grower.below(3) + 1];
            if grower.below(4) == 0 {
                shape.truncate(2);
            }
            let dtype = [DataType::F32, DataType::U8, DataType::I8][grower.below(3) as usize];
            let quantization = grower.quantization(dtype);
            let ty = TensorType { shape: Shape::new(&shape).unwrap(), dtype, quantization };
            let name = grower.name();
            grower.model.inputs.push(Value { name, ..stated(ty) });
            grower.types.push(ty);
        }
        grower
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.numbers.next() >> 16) as u32 % limit
    }

    fn quantization(&mut self, dtype: DataType) -> Option<QuantParams> {
        let (min, max) = dtype.integer_range()?;
        let zero_point = min + self.below((max - min + 1) as u32) as i32;
        Some(QuantParams { scale: (self.below(999) + 1) as f32 * 0.001, zero_point })
    }

    fn name(&mut self) -> Option<String> {
        let names = [None, Some(""), Some("a"), Some("名"), Some("seven 7")];
        names[self.below(5) as usize].map(String::from)
    }

    /// Weights of `channels` output channels, with a bias or not.
    fn weighted(
        &mut self,
        shape: Shape,
        channels: u32,
        float: bool,
    ) -> (Constant, Option<Constant>) {
        let channels = channels as usize;
        let zeros = [0, 300, 800, 1000][self.below(4) as usize];
        let mut weights = self.numbers.weights(shape.elements().unwrap(), zeros);
        // Few levels, which an int8 file has in few bits.
        let divisor = [1, 1, 9, 60][self.below(4) as usize];
        weights.iter_mut().for_each(|weight| *weight /= divisor);
        let has_bias = self.below(4) != 0;
        if float {
            let floats = |ints: Vec<i32>| ints.iter().map(|&i| i as f32 * 0.125).collect();
            let weights = floats(weights.into_iter().map(i32::from).collect());
            let bias = has_bias.then(|| Constant::bias_f32(floats(self.numbers.biases(channels))));
            return (Constant::f32(shape, weights), bias);
        }
        let scales = if self.below(2) == 0 { 1 } else { channels };
        let scales = self.numbers.scales(scales);
        let narrow = [1, 1000, 100_000][self.below(3) as usize];
        let biases = self.numbers.biases(channels).iter().map(|bias| bias / narrow).collect();
        (Constant::i8(shape, scales, weights), has_bias.then(|| Constant::bias(biases)))
    }

    /// Appends one op, if one of the kind fits value `from`.
    fn grow(&mut self, kind: u32) {
        let from = if self.below(4) == 0 {
            self.below(self.types.len() as u32) as usize
        } else {
            self.types.len() - 1
        };
        let ty = self.types[from];
        let float = ty.dtype == DataType::F32;
        let Some((op, shape)) = self.op(kind, ty.shape, float) else { return };
        let dtype = match &op {
            Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_) if !float => {
                DataType::I8
            }
            Op::Quantize if !float => return,
            Op::Quantize => [DataType::I8, DataType::U8][self.below(2) as usize],
            Op::Dequantize if float => return,
            Op::Dequantize => DataType::F32,
            _ => ty.dtype,
        };
        let hands_on = matches!(op, Op::MaxPool2d(_) | Op::Reshape(_));
        let quantization = if hands_on { ty.quantization } else { self.quantization(dtype) };
        let result = TensorType { shape, dtype, quantization };
        // Whether a later node reads it is not known yet: `leave_out` removes what turns out to be inferable.
        let value = Value { name: self.name(), ..stated(result) };
        let previous = self.types.len() - 1;
        let inputs =
            if from == previous && self.below(2) == 0 { vec![] } else { vec![from as u16] };
        self.model.nodes.push(Node { op, inputs, value: Some(value) });
        self.types.push(result);
    }

    fn op(&mut self, kind: u32, shape: Shape, float: bool) -> Option<(Op, Shape)> {
        let activation = [Activation::None, Activation::Relu][self.below(2) as usize];
        match (kind, shape.dims()) {
            (0 | 6, &[n, h, w, channels]) => {
                let depthwise = kind == 6;
                let out =
                    if depthwise { (self.below(3) + 1) * channels } else { self.below(4) + 1 };
                let taps = [self.below(h.min(3)) + 1, self.below(w.min(3)) + 1];
                let weights = if depthwise {
                    [1, taps[0], taps[1], out]
                } else {
                    [out, taps[0], taps[1], channels]
                };
                let (weights, bias) = self.weighted(weights.into(), out, float);
                let padding =
                    Padding { top: self.below(2), right: self.below(3), ..Padding::default() };
                let stride = [self.below(2) + 1, self.below(3) + 1];
                let padded = [h + padding.top, w + padding.right];
                let size = |axis: usize| (padded[axis] - taps[axis]) / stride[axis] + 1;
                let result = [n, size(0), size(1), out].into();
                let dilation = [1, 1];
                let op = if depthwise {
                    Op::DepthwiseConv2d(DepthwiseConv2d {
                        weights,
                        bias,
                        stride,
                        dilation,
                        padding,
                        activation,
                    })
                } else {
                    Op::Conv2d(Conv2d { weights, bias, stride, dilation, padding, activation })
                };
                Some((op, result))
            }
            (1, &[n, h, w, channels]) => {
                let window = [self.below(h.min(3)) + 1, self.below(w.min(3)) + 1];
                let stride = [self.below(3) + 1, self.below(3) + 1];
                let padding = Padding { left: self.below(window[1]), ..Padding::default() };
                let size = |axis: usize, input| (input - window[axis]) / stride[axis] + 1;
                let result = [n, size(0, h), size(1, w + padding.left), channels].into();
                Some((Op::MaxPool2d(MaxPool2d { window, stride, padding }), result))
            }
            (2, &[n, features]) => {
                let out = self.below(5) + 1;
                let (weights, bias) = self.weighted([out, features].into(), out, float);
                Some((
                    Op::FullyConnected(FullyConnected { weights, bias, activation }),
                    [n, out].into(),
                ))
            }
            (3, _) => {
                let elements = shape.elements()? as u32;
                let dims: &[i32] = if self.below(2) == 0 { &[1, -1] } else { &[1, 1, -1, 1] };
                let op = Op::Reshape(Reshape { target: target(dims) });
                let result =
                    if dims.len() == 2 { [1, elements].into() } else { [1, 1, elements, 1].into() };
                Some((op, result))
            }
            (4, _) => Some((Op::Quantize, shape)),
            (5, _) => Some((Op::Dequantize, shape)),
            _ => None,
        }
    }

    fn finish(mut self) -> (Model, Vec<TensorType>) {
        let model = &mut self.model;
        if model.nodes.is_empty() {
            let op = Op::Reshape(Reshape { target: target(&[1, -1]) });
            let last = self.types[self.types.len() - 1];
            let shape = [1, last.shape.elements().unwrap() as u32].into();
            model.nodes.push(Node::new(op, None));
            self.types.push(TensorType { shape, ..last });
        }
        let count = self.types.len() as u32;
        let mut first = self.types[self.types.len() - 1];
        if self.numbers.next().is_multiple_of(3) {
            // The last value and graph inputs need state nothing more, whatever is left out below.
            self.model.outputs = vec![0, (count - 1) as u16];
            first = self.types[0];
        }
        if self.numbers.next().is_multiple_of(2) {
            let classes = first.shape.last().unwrap();
            self.model.labels = (0..classes).map(|class| format!("class {class}")).collect();
        }
        if self.numbers.next().is_multiple_of(2) {
            let channels = self.types[0].shape.last().unwrap() as usize;
            let std = self.numbers.scales(channels);
            self.model.normalization = Some(Normalization { mean: vec![-3.5], std });
        }
        self.model.producer = self.name();
        self.leave_out();
        (self.model, self.types)
    }

    /// Leaves out, at random, what a reader infers of values that only the next node reads.
    fn leave_out(&mut self) {
        let inputs = self.model.inputs.len();
        for index in 0..self.model.nodes.len() {
            let id = (inputs + index) as u16;
            let far = self.model.nodes.iter().skip(index + 2).any(|node| node.inputs.contains(&id));
            let coin = self.below(2) == 0;
            let node = &mut self.model.nodes[index];
            let Some(value) = node.value.as_mut().filter(|_| !far && coin) else { continue };
            value.shape = None;
            let inferred = match node.op {
                Op::MaxPool2d(_) | Op::Reshape(_) | Op::Dequantize => true,
                Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_) => {
                    value.dtype == Some(DataType::F32)
                }
                Op::Quantize => false,
            };
            if inferred {
                node.value = None;
            }
        }
    }
}

fn stated(ty: TensorType) -> Value {
    Value {
        name: None,
        shape: Some(ty.shape),
        dtype: Some(ty.dtype),
        quantization: ty.quantization,
    }
}

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
            assert_eq!(step.output.ty, types[usize::from(step.output.id)]);
            assert_eq!(usize::from(step.output.id), model.inputs.len() + step.index);
        }
    }
    packings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_is_read(seed in any::<u64>(), kinds in prop::collection::vec(0_u32..7, 0..12)) {
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
        // Reals without a zero are not so many of so many.
        assert_eq!(packings, if name == "f32" { all - 1 } else { all }, "{name}");
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
