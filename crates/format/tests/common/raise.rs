//! From a reader's view back to the writer's structs, so that a test can compare them. Not a test itself.

use penjing_format::write::{
    Binary, Constant, ConstantData, Conv2d, DepthwiseConv2d, FullyConnected, Model, Node,
    Normalization, Op, Value,
};
use penjing_format::{DataType, ModelView, read};

/// What a file holds, as the writer's structs, with implied edges and outputs spelled out.
pub(crate) fn raise(view: ModelView<'_>) -> Model {
    let value = |value: read::Value<'_>| Value {
        name: value.name.map(String::from),
        shape: value.shape,
        dtype: value.dtype,
        quantization: value.quantization,
    };
    let node = |node: read::Node<'_>, op: read::Op<'_>| Node {
        op: raise_op(op),
        inputs: node.inputs().collect(),
        value: Some(value(node.value())).filter(|value| *value != Value::default()),
    };
    Model {
        producer: view.producer().map(String::from),
        inputs: view.inputs().map(value).collect(),
        nodes: view.walk().map(Result::unwrap).map(|step| node(step.node, step.op)).collect(),
        outputs: view.outputs().collect(),
        labels: view.labels().map_or(vec![], |labels| labels.iter().map(String::from).collect()),
        normalization: view.normalization().map(|normalization| Normalization {
            mean: normalization.mean.iter().collect(),
            std: normalization.std.iter().collect(),
        }),
    }
}

fn raise_op(op: read::Op<'_>) -> Op {
    match op {
        read::Op::Conv2d(op) => Op::Conv2d(Conv2d {
            weights: raise_constant(op.weights),
            bias: op.bias.map(raise_constant),
            stride: op.stride,
            dilation: op.dilation,
            padding: op.padding,
            activation: op.activation,
        }),
        read::Op::DepthwiseConv2d(op) => Op::DepthwiseConv2d(DepthwiseConv2d {
            weights: raise_constant(op.weights),
            bias: op.bias.map(raise_constant),
            stride: op.stride,
            dilation: op.dilation,
            padding: op.padding,
            activation: op.activation,
        }),
        read::Op::FullyConnected(op) => Op::FullyConnected(FullyConnected {
            weights: raise_constant(op.weights),
            bias: op.bias.map(raise_constant),
            activation: op.activation,
        }),
        read::Op::MaxPool2d(op) => Op::MaxPool2d(op),
        read::Op::Reshape(op) => Op::Reshape(op),
        read::Op::Quantize => Op::Quantize,
        read::Op::Dequantize => Op::Dequantize,
        read::Op::AveragePool2d(op) => Op::AveragePool2d(op),
        read::Op::Mean => Op::Mean,
        read::Op::Add(op) => Op::Add(raise_binary(op)),
        read::Op::Mul(op) => Op::Mul(raise_binary(op)),
        read::Op::Pad(op) => Op::Pad(op),
        read::Op::Concat(op) => Op::Concat(op),
        read::Op::Relu(activation) => Op::Relu(activation),
        read::Op::Softmax => Op::Softmax,
        read::Op::Logistic => Op::Logistic,
        read::Op::Tanh => Op::Tanh,
    }
}

fn raise_binary(op: read::Binary<'_>) -> Binary {
    Binary {
        operand: op.operand.map(raise_constant),
        operand_zero_point: op.operand_zero_point,
        activation: op.activation,
    }
}

fn raise_constant(constant: read::Constant<'_>) -> Constant {
    let len = constant.packed.elements();
    let mut wide = vec![0; len];
    let data = match constant.dtype {
        DataType::F32 => {
            let mut data = vec![0.0; len];
            constant.packed.expand_f32(&mut data).unwrap();
            ConstantData::F32(data)
        }
        DataType::I8 => {
            let mut data = vec![0; len];
            constant.packed.expand_i8(&mut data).unwrap();
            ConstantData::I8(data)
        }
        DataType::I16 => {
            constant.packed.expand_i32(&mut wide).unwrap();
            ConstantData::I16(wide.into_iter().map(|bias| bias.try_into().unwrap()).collect())
        }
        DataType::I32 => {
            constant.packed.expand_i32(&mut wide).unwrap();
            ConstantData::I32(wide)
        }
        DataType::U8 => panic!("no constant is of u8"),
    };
    let scales = (0..constant.scales.len()).map(|channel| constant.scales.get(channel)).collect();
    Constant { shape: constant.shape, scales, data, packing: None }
}
