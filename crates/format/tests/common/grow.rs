//! Random valid models, grown op by op beside a record of the types that they must have. What joins values or has no weights to
//! slide over them grows in `grow_joined`. Not a test itself.

use super::{Numbers, target};
use penjing_format::write::{
    Constant, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Model, Node, Normalization, Op,
    Reshape, Value,
};
use penjing_format::{Activation, DataType, Padding, QuantParams, Shape, TensorType};

/// A model that grows, with the type of every value so far.
pub(crate) struct Grower {
    model: Model,
    types: Vec<TensorType>,
    numbers: Numbers,
}

impl Grower {
    pub(crate) fn new(seed: u64) -> Self {
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

    pub(super) fn below(&mut self, limit: u32) -> u32 {
        (self.numbers.next() >> 16) as u32 % limit
    }

    pub(super) fn quantization(&mut self, dtype: DataType) -> Option<QuantParams> {
        let (min, max) = dtype.integer_range()?;
        let zero_point = min + self.below((max - min + 1) as u32) as i32;
        Some(QuantParams { scale: (self.below(999) + 1) as f32 * 0.001, zero_point })
    }

    fn name(&mut self) -> Option<String> {
        let names = [None, Some(""), Some("a"), Some("名"), Some("seven 7")];
        names[self.below(5) as usize].map(String::from)
    }

    /// Weights of `channels` output channels, with a bias or not: reals, integers, or integers for reals that are quantized as
    /// they come.
    pub(super) fn weighted(
        &mut self,
        shape: Shape,
        channels: u32,
        float: bool,
        dynamic: bool,
    ) -> (Constant, Option<Constant>) {
        let channels = channels as usize;
        let zeros = [0, 300, 800, 1000][self.below(4) as usize];
        let mut weights = self.numbers.weights(shape.elements().unwrap(), zeros);
        // Few levels, which an int8 file has in few bits.
        let divisor = [1, 1, 9, 60][self.below(4) as usize];
        weights.iter_mut().for_each(|weight| *weight /= divisor);
        let has_bias = self.below(4) != 0;
        let floats = |ints: Vec<i32>| ints.iter().map(|&i| i as f32 * 0.125).collect();
        if dynamic {
            let scales = self.numbers.scales(if has_bias { 1 } else { channels });
            let bias = has_bias.then(|| Constant::bias_f32(floats(self.numbers.biases(channels))));
            return (Constant::i8(shape, scales, weights), bias);
        }
        if float {
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
    pub(crate) fn grow(&mut self, kind: u32) {
        let from = if self.below(4) == 0 {
            self.below(self.types.len() as u32) as usize
        } else {
            self.types.len() - 1
        };
        let ty = self.types[from];
        let float = ty.dtype == DataType::F32;
        if kind >= 7 {
            return self.grow_joined(kind, from as u16, ty);
        }
        let Some((op, shape)) = self.op(kind, ty.shape, float) else { return };
        let dtype = match &op {
            Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_) if !float => {
                DataType::I8
            }
            Op::Quantize => [DataType::I8, DataType::U8][self.below(2) as usize],
            Op::Dequantize if float => return,
            Op::Dequantize => DataType::F32,
            _ => ty.dtype,
        };
        let hands_on = matches!(op, Op::MaxPool2d(_) | Op::Reshape(_));
        let mut quantization = if hands_on { ty.quantization } else { self.quantization(dtype) };
        if let (Op::Quantize, Some(from), Some(to)) = (&op, ty.quantization, &mut quantization) {
            // A grid that is neither much finer nor much coarser.
            to.scale = from.scale * (0.5 + to.scale);
        }
        let result = TensorType { shape, dtype, quantization };
        self.push(op, vec![from as u16], result);
    }

    pub(super) fn push(&mut self, op: Op, mut inputs: Vec<u16>, result: TensorType) {
        // Whether a later node reads it is not known yet: `leave_out` removes what turns out to be inferable.
        let value = Value { name: self.name(), ..stated(result) };
        let previous = (self.types.len() - 1) as u16;
        if inputs == [previous] && self.below(2) == 0 {
            inputs.clear();
        }
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
                let dynamic = float && !depthwise && self.below(3) == 0;
                let (weights, bias) = self.weighted(weights.into(), out, float, dynamic);
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
                let dynamic = float && self.below(3) == 0;
                let (weights, bias) = self.weighted([out, features].into(), out, float, dynamic);
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

    pub(crate) fn finish(mut self) -> (Model, Vec<TensorType>) {
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
                Op::MaxPool2d(_)
                | Op::Reshape(_)
                | Op::Dequantize
                | Op::AveragePool2d(_)
                | Op::Pad(_)
                | Op::Concat(_)
                | Op::Relu(_) => true,
                Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected(_) => {
                    value.dtype == Some(DataType::F32)
                }
                _ => false,
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
