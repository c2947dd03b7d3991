//! An accepted model by our reader and by flatc's generated one: both read the same. What the fields mean is not asked here.

use crate::decode;
use crate::visit::MOST_ELEMENTS;
use penjing_format::write::generated::penjing as flatc;
use penjing_format::{
    Constant, DataType, ModelView, Op, Padding, QuantParams, ReshapeTarget, Shape, Step, Value,
};

/// Panics where they differ.
pub(crate) fn model(ours: &ModelView<'_>) {
    let bytes = ours.bytes();
    assert!(flatc::model_buffer_has_identifier(bytes), "the identifier");
    let theirs = match flatc::root_as_model(bytes) {
        Ok(model) => model,
        Err(error) => panic!("ours accepts, flatc's verifier does not: {error}"),
    };
    assert_eq!(ours.format_version(), theirs.format_version());
    assert_eq!(ours.producer(), theirs.producer());
    let labels = ours.labels().map(|labels| labels.iter().collect::<Vec<_>>().join("\n"));
    assert_eq!(labels.as_deref(), theirs.labels());
    let last = u16::try_from(ours.n_values() - 1).expect("values are numbered by u16");
    let outputs = theirs.outputs().map_or(vec![last], |outputs| outputs.iter().collect());
    assert!(ours.outputs().eq(outputs), "outputs");
    assert_eq!(ours.normalization().is_some(), theirs.normalization().is_some());
    if let (Some(ours), Some(theirs)) = (ours.normalization(), theirs.normalization()) {
        assert!(ours.mean.iter().eq(theirs.mean().expect("checked to be there").iter()));
        assert!(ours.std.iter().eq(theirs.std_().expect("checked to be there").iter()));
    }
    let inputs = theirs.inputs().expect("checked to be there");
    assert_eq!(ours.n_inputs(), inputs.len());
    for (index, (ours, theirs)) in ours.inputs().zip(inputs).enumerate() {
        assert!(ours.shape.is_some(), "input {index}");
        value(&ours, theirs.name(), theirs.shape(), theirs.dtype());
        quantization(ours.quantization, theirs.scale(), theirs.zero_point());
    }
    let nodes = theirs.nodes().expect("checked to be there");
    assert_eq!(ours.n_nodes(), nodes.len());
    for (step, theirs) in ours.walk().zip(nodes) {
        let step = step.expect("an accepted model's walk is free of errors");
        let ours = step.node;
        value(&ours.value(), theirs.name(), theirs.shape(), theirs.dtype());
        quantization(ours.value().quantization, theirs.scale(), theirs.zero_point());
        let inputs = theirs.inputs().map(|inputs| inputs.iter().collect::<Vec<_>>());
        let inputs = inputs.unwrap_or_else(|| vec![step.output.id - 1]);
        assert!(ours.inputs().eq(inputs.iter().copied()), "inputs of node {}", step.index);
        assert!(step.operands().map(|operand| operand.id).eq(inputs.iter().copied()));
        assert_eq!((inputs[0], inputs.get(1)), (step.input.id, second(&step).as_ref()));
        op(&step.op, theirs);
    }
}

/// The second value, which only sums and products of two name apart.
fn second(step: &Step<'_>) -> Option<u16> {
    let joined = step.operands().nth(1).map(|operand| operand.id);
    if matches!(step.op, Op::Concat(_)) { joined } else { step.second.map(|operand| operand.id) }
}

fn value(
    ours: &Value<'_>,
    name: Option<&str>,
    shape: Option<impl IntoIterator<Item = u32>>,
    dtype: flatc::DataType,
) {
    assert_eq!(ours.name, name);
    let with_batch = |dims| Shape::from_dims(std::iter::once(1).chain(dims)).expect("few enough");
    assert_eq!(ours.shape, shape.map(|dims| with_batch(dims.into_iter())));
    assert_eq!(ours.dtype.map_or(0, DataType::code), dtype.0);
}

fn quantization(ours: Option<QuantParams>, scale: f32, zero_point: i16) {
    let theirs = QuantParams { scale, zero_point: i32::from(zero_point) };
    assert_eq!(ours, Some(theirs).filter(|theirs| theirs.scale != 0.0));
}

fn op(ours: &Op<'_>, theirs: flatc::Node<'_>) {
    let code = match ours {
        Op::Conv2d(_) => flatc::Op::Conv2d,
        Op::MaxPool2d(_) => flatc::Op::MaxPool2d,
        Op::FullyConnected(_) => flatc::Op::FullyConnected,
        Op::Reshape(_) => flatc::Op::Reshape,
        Op::Quantize => flatc::Op::Quantize,
        Op::Dequantize => flatc::Op::Dequantize,
        Op::DepthwiseConv2d(_) => flatc::Op::DepthwiseConv2d,
        Op::AveragePool2d(_) => flatc::Op::AveragePool2d,
        Op::Mean => flatc::Op::Mean,
        Op::Add(_) => flatc::Op::Add,
        Op::Mul(_) => flatc::Op::Mul,
        Op::Pad(_) => flatc::Op::Pad,
        Op::Concat(_) => flatc::Op::Concat,
        Op::Relu(_) => flatc::Op::Relu,
        Op::Softmax => flatc::Op::Softmax,
        Op::Logistic => flatc::Op::Logistic,
        Op::Tanh => flatc::Op::Tanh,
    };
    assert_eq!(theirs.op(), code, "{}", ours.name());
    assert_eq!(ours.activation().code(), theirs.activation().0);
    match ours {
        Op::Conv2d(op) => {
            let [_, h, w, _] = op.weights.shape.as_4d().expect("four dimensions");
            window(theirs, [h, w], op.stride, op.dilation, op.padding, 3);
        }
        Op::DepthwiseConv2d(op) => {
            let [_, h, w, _] = op.weights.shape.as_4d().expect("four dimensions");
            window(theirs, [h, w], op.stride, op.dilation, op.padding, 3);
        }
        Op::MaxPool2d(op) => window(theirs, op.window, op.stride, [1, 1], op.padding, 2),
        Op::Reshape(op) => {
            let target = theirs.target().map_or(Some(ReshapeTarget::FLATTEN), |dims| {
                ReshapeTarget::from_dims(std::iter::once(1).chain(dims.iter()))
            });
            assert_eq!(Some(op.target), target);
        }
        Op::AveragePool2d(op) => window(theirs, op.window, op.stride, [1, 1], op.padding, 2),
        Op::Pad(op) => {
            let target = theirs.target().expect("checked to be there");
            let pads = op.pads.pairs().iter().flatten().copied();
            assert!(pads.eq(target.iter().map(i32::unsigned_abs)), "pads");
        }
        Op::Concat(op) => {
            if let Some(target) = theirs.target() {
                assert!(target.iter().map(|axis| axis.unsigned_abs() + 1).eq([op.axis]), "axis");
            }
        }
        Op::Add(op) | Op::Mul(op) => {
            let zero_point = theirs.weights().map_or(0, |operand| operand.zero_point());
            assert_eq!(op.operand_zero_point, i32::from(zero_point));
        }
        Op::FullyConnected(_)
        | Op::Quantize
        | Op::Dequantize
        | Op::Mean
        | Op::Relu(_)
        | Op::Softmax
        | Op::Logistic
        | Op::Tanh => {}
    }
    match ours.constants() {
        None => assert!(theirs.weights().is_none() && theirs.bias().is_none()),
        Some((weights, bias)) => {
            constant(ours, &weights, theirs.weights().expect("checked to be there"));
            assert_eq!(bias.is_some(), theirs.bias().is_some());
            if let (Some(ours), Some(theirs)) = (bias, theirs.bias()) {
                assert_eq!(ours.packed.values().bytes(), theirs.bytes());
            }
        }
    }
}

/// Sizes as our reader gives them, and the op's usual size: 2 of a pool, whose usual stride is its size.
fn window(
    theirs: flatc::Node<'_>,
    size: [u32; 2],
    stride: [u32; 2],
    dilation: [u32; 2],
    padding: Padding,
    usual: u32,
) {
    let stated = |number: fn(&flatc::Window<'_>) -> u16, default: u16| {
        u32::from(theirs.window().map_or(default, |window| number(&window)))
    };
    let or = |stated: u32, usual: u32| if stated == 0 { usual } else { stated };
    let [h, w] = [stated(|w| w.size_h(), 0), stated(|w| w.size_w(), 0)].map(|n| or(n, usual));
    let strides = if usual == 2 { [h, w] } else { [1, 1] };
    let [stride_h, stride_w] = [stated(|w| w.stride_h(), 0), stated(|w| w.stride_w(), 0)];
    assert_eq!(size, [h, w]);
    assert_eq!(stride, [or(stride_h, strides[0]), or(stride_w, strides[1])]);
    assert_eq!(dilation, [stated(|w| w.dilation_h(), 1), stated(|w| w.dilation_w(), 1)]);
    let theirs = Padding {
        top: stated(|w| w.pad_top(), 0),
        bottom: stated(|w| w.pad_bottom(), 0),
        left: stated(|w| w.pad_left(), 0),
        right: stated(|w| w.pad_right(), 0),
    };
    assert_eq!(padding, theirs);
}

fn constant(op: &Op<'_>, ours: &Constant<'_>, theirs: flatc::Weights<'_>) {
    let scales = theirs.scale().map_or(Vec::new(), |scales| scales.iter().collect());
    assert_eq!(ours.scales.len(), scales.len());
    assert!(scales.iter().enumerate().all(|(i, &scale)| ours.scales.get(i) == scale));
    let channels = match op {
        Op::Add(_) | Op::Mul(_) => ours.shape.elements().map(|elements| elements as u32),
        _ => op.channel_axis().and_then(|axis| axis.channels(ours.shape)),
    };
    assert_eq!(channels, Some(theirs.out_channels()));
    let values = theirs.values().map_or(&[][..], |values| values.bytes());
    assert_eq!(ours.packed.values().bytes(), values);
    let index = theirs.index().map_or(0, |index| index.len());
    assert_eq!(ours.packed.stored_bytes(), index + values.len());
    let len = ours.packed.elements();
    if len > MOST_ELEMENTS {
        return;
    }
    let channels = theirs.out_channels() as usize;
    let columns = match op {
        Op::DepthwiseConv2d(_) => channels,
        Op::Add(_) | Op::Mul(_) => ours.shape.last().map_or(1, |last| last as usize),
        _ => len / channels,
    };
    let theirs = decode::elements(theirs, len, columns);
    if ours.dtype == DataType::F32 {
        let mut read = vec![0.0; len];
        ours.packed.expand_f32(&mut read).expect("f32 weights");
        assert_eq!(read, theirs);
    } else {
        let mut read = vec![0; len];
        ours.packed.expand_i8(&mut read).expect("int8 weights");
        assert!(read.iter().map(|&weight| f32::from(weight)).eq(theirs), "weights");
    }
}
