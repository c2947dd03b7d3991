//! From a Penjing model of f32 layers back to a graph, to be quantized. A model of integers has lost the reals that it was made
//! of and is refused; an 8-bit input that a first node turns into reals is none.

use penjing_format::read::{Binary, Constant, Conv2d, Op as FileOp, Step, TensorType};
use penjing_format::{ChannelAxis, DataType, ModelView, PackingError};

use crate::frontend::ImportError;
use crate::ir::{self, Bias, Conv, Dense, Graph, Node, Op, Operand, Pool, Value};
use crate::ir::{WeightData, Weights};

/// The graph of a model file; `name` becomes the graph's. A node takes its value's name, or its op's and its number.
///
/// # Errors
/// For a model that computes in integers, one that was not checked, and pixels that are normalized otherwise than as
/// `pixel / 255`.
pub fn read(model: &ModelView<'_>, name: &str) -> Result<Graph, ImportError> {
    let mut inputs = Vec::with_capacity(model.n_inputs());
    for index in 0..model.n_inputs() {
        let ty = model.input_type(index).map_err(unchecked)?;
        inputs.push(value(model.input(index).and_then(|input| input.name), &ty));
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(model.n_nodes());
    for step in model.walk() {
        nodes.push(node(&step.map_err(unchecked)?)?);
    }
    let outputs: Vec<usize> = model.outputs().map(usize::from).collect();
    for (k, node) in nodes.iter_mut().enumerate() {
        // other values' names are those of nodes, which have them now
        if !outputs.contains(&(inputs.len() + k)) {
            node.output.name = None;
        }
    }
    Ok(Graph { name: name.to_owned(), inputs, nodes, outputs, pixels: pixels(model)? })
}

/// Whether the first input stands for pixels: a file says so of reals, and pixels have a grid of their own.
fn pixels(model: &ModelView<'_>) -> Result<bool, ImportError> {
    if let Some(n) = model.normalization() {
        let plain = n.mean.iter().all(|m| m == 0.0) && n.std.iter().all(|s| s == 255.0);
        return if plain {
            Ok(true)
        } else {
            Err(ImportError::Malformed {
                place: "normalization".into(),
                expected: "pixel / 255, mean 0 and std 255".into(),
                found: format!(
                    "mean {:?}, std {:?}",
                    n.mean.iter().collect::<Vec<_>>(),
                    n.std.iter().collect::<Vec<_>>()
                ),
            })
        };
    }
    let first = model.input_type(0).map_err(unchecked)?;
    Ok(first.dtype == DataType::U8 && first.quantization == Some(penjing_quant::QuantParams::PIXEL))
}

fn unchecked(error: penjing_format::Error) -> ImportError {
    let (place, expected) = ("model".into(), "a model that was checked".into());
    ImportError::Malformed { place, expected, found: error.to_string() }
}

fn value(name: Option<&str>, ty: &TensorType) -> Value {
    Value {
        name: name.map(str::to_owned),
        shape: ty.shape,
        dtype: ty.dtype,
        quantization: ty.quantization,
    }
}

fn node(step: &Step<'_>) -> Result<Node, ImportError> {
    let own = step.node.value().name;
    let name = own.map_or_else(|| format!("{}_{}", step.op.name(), step.index), str::to_owned);
    let refused = |field: &str, found: DataType| ImportError::Option {
        node: step.index,
        name: name.clone(),
        op: step.op.name(),
        field: field.to_owned(),
        expected: "f32: int8 models keep no reals to quantize".into(),
        found: found.to_string(),
    };
    if step.output.ty.dtype != DataType::F32 {
        return Err(refused("type", step.output.ty.dtype));
    }
    // Beside reals, the int8 weights of a layer stand for reals.
    let binary = matches!(step.op, FileOp::Add(_) | FileOp::Mul(_));
    if let Some((weights, _)) = step.op.constants()
        && weights.dtype != DataType::F32
        && (binary || step.input.ty.dtype != DataType::F32)
    {
        return Err(refused("weights", weights.dtype));
    }
    Ok(Node {
        op: op(&step.op)?,
        inputs: step.operands().map(|operand| usize::from(operand.id)).collect(),
        output: value(own, &step.output.ty),
        name,
    })
}

fn op(op: &FileOp<'_>) -> Result<Op, ImportError> {
    let pool = |window, stride, padding| Pool { window, stride, padding };
    Ok(match op {
        FileOp::Conv2d(op) => Op::Conv2d(conv(op, ChannelAxis::First)?),
        FileOp::DepthwiseConv2d(op) => {
            let &penjing_format::read::DepthwiseConv2d {
                weights,
                bias,
                stride,
                dilation,
                padding,
                activation,
            } = op;
            let op = Conv2d { weights, bias, stride, dilation, padding, activation };
            Op::DepthwiseConv2d(conv(&op, ChannelAxis::Last)?)
        }
        FileOp::FullyConnected(op) => Op::FullyConnected(Dense {
            weights: weights(&op.weights, ChannelAxis::First)?,
            bias: bias(op.bias.as_ref(), op.weights.shape.first())?,
            activation: op.activation,
        }),
        FileOp::MaxPool2d(op) => Op::MaxPool2d(pool(op.window, op.stride, op.padding)),
        FileOp::AveragePool2d(op) => Op::AveragePool2d(pool(op.window, op.stride, op.padding)),
        FileOp::Mean => Op::Mean,
        FileOp::Add(op) => Op::Add(binary(op)?),
        FileOp::Mul(op) => Op::Mul(binary(op)?),
        FileOp::Pad(op) => Op::Pad(op.pads.pairs().to_vec()),
        FileOp::Concat(op) => Op::Concat { axis: op.axis as usize },
        FileOp::Relu(activation) => Op::Relu(*activation),
        FileOp::Softmax => Op::Softmax,
        FileOp::Logistic => Op::Logistic,
        FileOp::Tanh => Op::Tanh,
        FileOp::Reshape(_) => Op::Reshape,
        FileOp::Quantize => Op::Quantize,
        FileOp::Dequantize => Op::Dequantize,
    })
}

fn conv(op: &Conv2d<'_>, axis: ChannelAxis) -> Result<Conv, ImportError> {
    Ok(Conv {
        weights: weights(&op.weights, axis)?,
        bias: bias(op.bias.as_ref(), axis.channels(op.weights.shape))?,
        stride: op.stride,
        dilation: op.dilation,
        padding: op.padding,
        activation: op.activation,
    })
}

fn weights(constant: &Constant<'_>, axis: ChannelAxis) -> Result<Weights, ImportError> {
    let data = if constant.dtype == DataType::I8 {
        let mut codes = vec![0; constant.packed.elements()];
        let read = constant.packed.expand_i8(&mut codes);
        read.map_err(|error| unread(constant, "int8", &error))?;
        WeightData::I8(codes, (0..constant.scales.len()).map(|i| constant.scales.get(i)).collect())
    } else {
        WeightData::F32(reals(constant)?, None)
    };
    Ok(Weights { shape: constant.shape.dims().to_vec(), axis, data })
}

/// Zeros where the file states none.
fn bias(constant: Option<&Constant<'_>>, channels: Option<u32>) -> Result<Bias, ImportError> {
    let zeros = || vec![0.0; channels.unwrap_or(0) as usize];
    Ok(Bias::F32(constant.map(reals).transpose()?.unwrap_or_else(zeros)))
}

fn binary(op: &Binary<'_>) -> Result<ir::Binary, ImportError> {
    let operand = op.operand.as_ref().map(|constant| {
        let data = WeightData::F32(reals(constant)?, None);
        Ok(Operand { data, zero_point: 0 })
    });
    Ok(ir::Binary { operand: operand.transpose()?, activation: op.activation })
}

fn reals(constant: &Constant<'_>) -> Result<Vec<f32>, ImportError> {
    let mut reals = vec![0.0; constant.packed.elements()];
    let read = constant.packed.expand_f32(&mut reals);
    read.map_err(|error| unread(constant, "f32", &error))?;
    Ok(reals)
}

fn unread(constant: &Constant<'_>, expected: &str, error: &PackingError) -> ImportError {
    ImportError::Malformed {
        place: format!("constant of shape {}", constant.shape),
        expected: expected.into(),
        found: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InputDtype, Options, emit, passes};
    use penjing_checkpoint::Granularity;
    use penjing_format::{Activation, Padding, QuantParams, Shape};

    /// Pixels, a convolution, a pool, a dense layer.
    fn graph(granularity: Option<Granularity>) -> Graph {
        let value = |shape: &[u32], grid: Option<QuantParams>| Value {
            name: None,
            shape: Shape::new(shape).unwrap(),
            dtype: DataType::F32,
            quantization: grid.filter(|_| granularity.is_some()),
        };
        let grid = Some(QuantParams { scale: 0.1, zero_point: -128 });
        let weights = |shape: &[u32], axis| {
            let n = shape.iter().product::<u32>() as i16;
            let data = (0..n).map(|i| f32::from(i % 5) * 0.25).collect();
            Weights { shape: shape.to_vec(), axis, data: WeightData::F32(data, granularity) }
        };
        let conv = Op::Conv2d(Conv {
            weights: weights(&[2, 3, 3, 1], ChannelAxis::First),
            bias: Bias::F32(vec![0.5, -0.5]),
            stride: [1, 1],
            dilation: [1, 1],
            padding: Padding::default(),
            activation: Activation::Relu,
        });
        let pool = Pool { window: [2, 2], stride: [2, 2], padding: Padding::default() };
        let dense = Op::FullyConnected(Dense {
            weights: weights(&[3, 8], ChannelAxis::First),
            bias: Bias::F32(vec![0.0; 3]),
            activation: Activation::None,
        });
        let node = |k: usize, op: Op, shape: &[u32]| Node {
            name: format!("layer {k}"),
            op,
            inputs: vec![k],
            output: value(shape, grid),
        };
        let mut graph = Graph {
            name: "made up".into(),
            inputs: vec![Value {
                name: Some("input".into()),
                dtype: DataType::U8,
                quantization: Some(QuantParams::PIXEL),
                ..value(&[1, 6, 6, 1], None)
            }],
            nodes: vec![
                node(0, conv, &[1, 4, 4, 2]),
                node(1, Op::MaxPool2d(pool), &[1, 2, 2, 2]),
                node(2, Op::Reshape, &[1, 8]),
                node(3, dense, &[1, 3]),
            ],
            outputs: vec![4],
            pixels: true,
        };
        graph.nodes[3].output.name = Some("scores".into());
        graph
    }

    fn written(graph: &Graph, names: bool) -> Vec<u8> {
        emit::emit(graph, &Options { names, ..Options::default() }).unwrap()
    }

    #[test]
    fn a_written_network_is_read_back() {
        for (input, names) in [(InputDtype::F32, true), (InputDtype::U8, false)] {
            let mut source = graph(None);
            passes::set_input_dtype(&mut source, input, false);
            let bytes = written(&source, names);
            let read = read(&ModelView::open(&bytes).unwrap(), "made up").unwrap();
            assert!(read.pixels);
            assert_eq!(read.inputs, source.inputs);
            assert_eq!(read.nodes.len(), source.nodes.len());
            for (k, (read, source)) in read.nodes.iter().zip(&source.nodes).enumerate() {
                assert_eq!(format!("{:?}", read.op), format!("{:?}", source.op));
                assert_eq!(read.inputs, source.inputs);
                assert_eq!(read.output.shape, source.output.shape);
                if names && k < 3 {
                    assert_eq!(read.name, source.name);
                }
            }
            assert_eq!(read.nodes.last().unwrap().name, "scores");
            if !names {
                assert_eq!(read.nodes[1].name, "conv2d_1");
            }
            assert_eq!(written(&read, names), written(&source, names));
        }
    }

    #[test]
    fn int8_weights_of_a_layer_of_reals_are_read_back() {
        let mut source = graph(None);
        passes::set_input_dtype(&mut source, InputDtype::F32, false);
        for (node, scales) in [(0, vec![0.5, 0.25]), (3, vec![0.125])] {
            let (weights, _) = source.nodes[node].op.layer_mut().unwrap();
            let codes = (0..weights.data.len()).map(|i| i as i8 - 9).collect();
            weights.data = WeightData::I8(codes, scales);
            assert!(source.nodes[node].op.is_dynamic());
        }
        let bytes = written(&source, true);
        let read = read(&ModelView::open(&bytes).unwrap(), "made up").unwrap();
        for (read, source) in read.nodes.iter().zip(&source.nodes) {
            assert_eq!(format!("{:?}", read.op), format!("{:?}", source.op));
            assert_eq!(read.output.dtype, DataType::F32);
        }
        let error = passes::require_integers(&read).unwrap_err().to_string();
        assert!(error.contains("quantizes its input as it comes"), "{error}");
    }

    #[test]
    fn integers_are_refused_by_node_and_field() {
        let mut integers = graph(Some(Granularity::PerChannel));
        passes::quantize(&mut integers);
        let bytes = written(&integers, false);
        let error = read(&ModelView::open(&bytes).unwrap(), "").unwrap_err();
        assert_eq!(
            error.to_string(),
            "node 0 (conv2d conv2d_0), type: expected f32: int8 models keep no reals to quantize, found i8"
        );
    }
}
