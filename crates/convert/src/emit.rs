//! From a lowered graph to the bytes of a file: leaves out what a reader can infer, so that a small network's container
//! stays small. Packings and layout are `penjing_format::write`'s.

use penjing_format::attributes::Pads;
use penjing_format::write::{
    self, AveragePool2d, Binary, Concat, Constant, Conv2d, DepthwiseConv2d, FullyConnected,
    MaxPool2d, Node, Normalization, PackingChoice, Pad, Reshape, Value,
};
use penjing_format::{DataType, ReshapeTarget, Shape};

use crate::ir::{self, Bias, Graph, Op, Operand, Pool, ValueId, WeightData, Weights};
use crate::{ConvertError, Options};

/// The bytes of the file.
pub(crate) fn emit(graph: &Graph, options: &Options) -> Result<Vec<u8>, ConvertError> {
    check_layers(graph, options)?;
    let last = graph.inputs.len() + graph.nodes.len() - 1;
    check_labels(graph, options)?;
    let model = write::Model {
        producer: Some(concat!("penjing ", env!("CARGO_PKG_VERSION")).to_owned()),
        inputs: graph.inputs.iter().map(input_value).collect(),
        nodes: (0..graph.nodes.len()).map(|k| node(graph, k, options)).collect::<Result<_, _>>()?,
        outputs: match graph.outputs[..] {
            [only] if only == last => Vec::new(),
            _ => graph.outputs.iter().map(|&id| id16(id)).collect::<Result<_, _>>()?,
        },
        labels: options.labels.clone(),
        normalization: pixel_normalization(graph),
    };
    Ok(model.to_bytes(options.packing)?)
}

/// Whether there are the layers that a packing is asked for.
fn check_layers(graph: &Graph, options: &Options) -> Result<(), ConvertError> {
    let layers =
        || graph.nodes.iter().filter(|node| node.op.layer().is_some()).map(|node| &node.name);
    match options.layer_packing.iter().find(|(asked, _)| !layers().any(|layer| layer == asked)) {
        None => Ok(()),
        Some((layer, _)) => Err(ConvertError::NoSuchLayer {
            layer: layer.clone(),
            layers: layers().cloned().collect(),
        }),
    }
}

fn check_labels(graph: &Graph, options: &Options) -> Result<(), ConvertError> {
    let expected = graph.value(graph.outputs[0]).shape.last().unwrap_or(0) as usize;
    match options.labels.len() {
        0 => Ok(()),
        found if found == expected => Ok(()),
        found => Err(ConvertError::Labels { expected, found }),
    }
}

/// An f32 input takes `pixel / 255`: the file says so to callers who hold pixels.
fn pixel_normalization(graph: &Graph) -> Option<Normalization> {
    (graph.pixels && graph.inputs[0].dtype == DataType::F32)
        .then(|| Normalization { mean: vec![0.0], std: vec![255.0] })
}

/// Inputs state everything.
fn input_value(value: &ir::Value) -> Value {
    Value {
        name: value.name.clone(),
        shape: Some(value.shape),
        dtype: Some(value.dtype),
        quantization: value.quantization,
    }
}

fn node(graph: &Graph, k: usize, options: &Options) -> Result<Node, ConvertError> {
    let node = &graph.nodes[k];
    let own = graph.inputs.len() + k;
    let inputs = match node.inputs[..] {
        [only] if only + 1 == own => Vec::new(),
        _ => node.inputs.iter().map(|&id| id16(id)).collect::<Result<_, _>>()?,
    };
    let of_layer = options.layer_packing.iter().rev().find(|(layer, _)| *layer == node.name);
    let packing = of_layer.map(|&(_, packing)| packing);
    let shape = graph.value(node.inputs[0]).shape;
    Ok(Node { op: op(node, shape, packing)?, inputs, value: node_value(graph, own, options.names) })
}

/// What a reader cannot infer of a node's value; everything, where another than the next node reads it.
///
/// With `names`, a value that has no name of its own takes its node's.
fn node_value(graph: &Graph, id: ValueId, names: bool) -> Option<Value> {
    let node = &graph.nodes[id - graph.inputs.len()];
    let output = &node.output;
    let next = id + 1 - graph.inputs.len();
    let elsewhere =
        graph.nodes.iter().enumerate().any(|(k, n)| k != next && n.inputs.contains(&id));
    let is_last = next == graph.nodes.len();
    let explicit = elsewhere || (graph.outputs.contains(&id) && !is_last);
    // An activation by itself may have a grid of its own.
    let inferred = node.op.is_pass_through()
        && graph.value(node.inputs[0]).quantization == output.quantization;
    let integers = output.dtype != DataType::F32 && !inferred;
    let value = Value {
        name: output.name.clone().or_else(|| names.then(|| node.name.clone())),
        shape: explicit.then_some(output.shape),
        dtype: (explicit || integers).then_some(output.dtype),
        quantization: (explicit || integers)
            .then_some(output.quantization)
            .flatten()
            .filter(|_| output.dtype != DataType::F32),
    };
    (value != Value::default()).then_some(value)
}

fn id16(id: ValueId) -> Result<u16, ConvertError> {
    u16::try_from(id).map_err(|_| ConvertError::TooLarge {
        layer: format!("value {id}"),
        field: "number",
        found: id,
        limit: usize::from(u16::MAX),
    })
}

/// `input` is the shape of the first value that the node reads.
fn op(
    node: &ir::Node,
    input: Shape,
    packing: Option<PackingChoice>,
) -> Result<write::Op, ConvertError> {
    let too_large = |field| ConvertError::TooLarge {
        layer: node.name.clone(),
        field,
        found: usize::MAX,
        limit: penjing_format::MAX_RANK,
    };
    let conv = |op: &ir::Conv| Conv2d {
        weights: Constant { packing, ..kernel(&op.weights) },
        bias: constant_bias(&op.bias),
        stride: op.stride,
        dilation: op.dilation,
        padding: op.padding,
        activation: op.activation,
    };
    Ok(match &node.op {
        Op::Conv2d(op) => write::Op::Conv2d(conv(op)),
        Op::DepthwiseConv2d(op) => {
            let Conv2d { weights, bias, stride, dilation, padding, activation } = conv(op);
            write::Op::DepthwiseConv2d(DepthwiseConv2d {
                weights,
                bias,
                stride,
                dilation,
                padding,
                activation,
            })
        }
        Op::MaxPool2d(Pool { window, stride, padding }) => {
            write::Op::MaxPool2d(MaxPool2d { window: *window, stride: *stride, padding: *padding })
        }
        Op::FullyConnected(op) => write::Op::FullyConnected(FullyConnected {
            weights: Constant { packing, ..kernel(&op.weights) },
            bias: constant_bias(&op.bias),
            activation: op.activation,
        }),
        Op::Reshape => write::Op::Reshape(Reshape { target: target(node.output.shape) }),
        Op::Quantize => write::Op::Quantize,
        Op::Dequantize => write::Op::Dequantize,
        Op::AveragePool2d(Pool { window, stride, padding }) => {
            write::Op::AveragePool2d(AveragePool2d {
                window: *window,
                stride: *stride,
                padding: *padding,
            })
        }
        Op::Mean => write::Op::Mean,
        Op::Add(op) => write::Op::Add(binary(op, input)),
        Op::Mul(op) => write::Op::Mul(binary(op, input)),
        Op::Pad(pads) => {
            let pads = Pads::from_pairs(pads.iter().copied());
            write::Op::Pad(Pad { pads: pads.ok_or_else(|| too_large("pads"))? })
        }
        Op::Concat { axis } => {
            let axis = u32::try_from(*axis).map_err(|_| too_large("axis"))?;
            write::Op::Concat(Concat { axis })
        }
        Op::Relu(activation) => write::Op::Relu(*activation),
        Op::Softmax => write::Op::Softmax,
        Op::Logistic => write::Op::Logistic,
        Op::Tanh => write::Op::Tanh,
    })
}

/// The shape of a constant operand follows from its elements: one, one a channel, or a whole sample's.
fn binary(op: &ir::Binary, input: Shape) -> Binary {
    let operand = op.operand.as_ref();
    let constant = operand.map(|Operand { data, .. }| {
        let elements = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let channels = input.last().unwrap_or(1);
        let one_each = elements == 1 || elements == channels;
        let shape = if one_each { Shape::new(&[elements]).unwrap_or_default() } else { input };
        constant(shape, data)
    });
    Binary {
        operand: constant,
        operand_zero_point: operand.map_or(0, |operand| operand.zero_point),
        activation: op.activation,
    }
}

/// What a reshape to `shape` states; to two dimensions nothing.
fn target(shape: Shape) -> ReshapeTarget {
    if shape.rank() == 2 {
        return ReshapeTarget::FLATTEN;
    }
    let dims = shape.dims().iter().map(|&dim| i32::try_from(dim).unwrap_or(i32::MAX));
    ReshapeTarget::from_dims(dims).unwrap_or(ReshapeTarget::FLATTEN)
}

fn kernel(weights: &Weights) -> Constant {
    // front ends make kernels of rank 2 and 4 only; a wrong length is the writer's to refuse
    let shape = Shape::new(&weights.shape).unwrap_or_default();
    constant(shape, &weights.data)
}

fn constant(shape: Shape, data: &WeightData) -> Constant {
    match data {
        WeightData::F32(data, _) => Constant::f32(shape, data.clone()),
        WeightData::I8(data, scales) => Constant::i8(shape, scales.clone(), data.clone()),
    }
}

/// None where it adds nothing.
fn constant_bias(bias: &Bias) -> Option<Constant> {
    match bias {
        Bias::F32(data) => data.iter().any(|&b| b != 0.0).then(|| Constant::bias_f32(data.clone())),
        Bias::I32(data) => data.iter().any(|&b| b != 0).then(|| Constant::bias(data.clone())),
    }
}
