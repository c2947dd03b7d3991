//! From a Penjing checkpoint to a graph. The checkpoint was checked when it was loaded; nothing is lowered here.

use penjing_checkpoint::{Activation as LayerActivation, Checkpoint, ResolvedLayer, ResolvedOp};
use penjing_format::{Activation, ChannelAxis, DataType, Padding, QuantParams, Shape};
use penjing_quant::ActivationRange;

use crate::ConvertError;
use crate::ir::{Bias, Conv, Dense, Graph, Node, Op, Pool, Value, WeightData, Weights};

/// The graph of a checkpoint: u8 pixels in, f32 layers, and grids where the stage knows ranges.
///
/// # Errors
/// Sizes that a graph cannot hold.
pub fn read(checkpoint: &Checkpoint) -> Result<Graph, ConvertError> {
    let network = checkpoint.network();
    let input = Value {
        name: Some("input".into()),
        shape: batched("input", &network.input)?,
        dtype: DataType::U8,
        quantization: Some(QuantParams::PIXEL),
    };
    let mut graph = Graph {
        name: checkpoint.manifest.architecture.name.clone(),
        inputs: vec![input],
        nodes: Vec::with_capacity(network.layers.len()),
        outputs: vec![network.layers.len()],
        pixels: true,
    };
    let mut grid = None;
    for (k, layer) in network.layers.iter().enumerate() {
        let op = op(checkpoint, layer)?;
        if !op.is_pass_through() {
            grid = output_grid(checkpoint, layer);
        }
        let output = Value {
            name: None,
            shape: batched(&layer.name, &layer.output)?,
            dtype: DataType::F32,
            // pixels that are only pooled or flattened so far are exact: they need no grid of their own
            quantization: grid,
        };
        graph.nodes.push(Node { name: layer.name.clone(), op, inputs: vec![k], output });
    }
    if let Some(last) = graph.nodes.last_mut() {
        last.output.name = Some("output".into());
    }
    Ok(graph)
}

fn output_grid(checkpoint: &Checkpoint, layer: &ResolvedLayer) -> Option<QuantParams> {
    checkpoint.manifest.quantization.as_ref()?;
    let range = &checkpoint.tensor(&layer.name, "range").data;
    Some(ActivationRange { min: range[0], max: range[1] }.params_i8())
}

fn op(checkpoint: &Checkpoint, layer: &ResolvedLayer) -> Result<Op, ConvertError> {
    let name = &layer.name;
    Ok(match layer.op {
        ResolvedOp::Conv2d { kernel: _, stride, padding, activation } => Op::Conv2d(Conv {
            weights: weights(checkpoint, layer)?,
            bias: Bias::F32(checkpoint.tensor(name, "bias").data.clone()),
            stride: pair(name, "stride", stride)?,
            dilation: [1, 1],
            padding: pads(name, padding)?,
            activation: lower_activation(activation),
        }),
        ResolvedOp::MaxPool2d { window, stride, padding } => Op::MaxPool2d(Pool {
            window: pair(name, "window", window)?,
            stride: pair(name, "stride", stride)?,
            padding: pads(name, padding)?,
        }),
        ResolvedOp::Flatten => Op::Reshape,
        ResolvedOp::Dense { activation } => Op::FullyConnected(Dense {
            weights: weights(checkpoint, layer)?,
            bias: Bias::F32(checkpoint.tensor(name, "bias").data.clone()),
            activation: lower_activation(activation),
        }),
    })
}

fn weights(checkpoint: &Checkpoint, layer: &ResolvedLayer) -> Result<Weights, ConvertError> {
    let tensor = checkpoint.tensor(&layer.name, "weight");
    let shape = tensor.shape.iter().map(|&d| narrow(&layer.name, "weights", d));
    let quantization = checkpoint.manifest.quantization.as_ref();
    let granularity = quantization.and_then(|q| q.weights.get(&layer.name).copied());
    Ok(Weights {
        shape: shape.collect::<Result<_, _>>()?,
        axis: ChannelAxis::First,
        data: WeightData::F32(tensor.data.clone(), granularity),
    })
}

fn lower_activation(activation: LayerActivation) -> Activation {
    match activation {
        LayerActivation::None => Activation::None,
        LayerActivation::Relu => Activation::Relu,
    }
}

fn narrow(layer: &str, field: &'static str, value: usize) -> Result<u32, ConvertError> {
    u32::try_from(value).map_err(|_| ConvertError::TooLarge {
        layer: layer.to_owned(),
        field,
        found: value,
        limit: u32::MAX as usize,
    })
}

/// Strides, windows and paddings are 16-bit in the file.
fn narrow16(layer: &str, field: &'static str, value: usize) -> Result<u32, ConvertError> {
    let limit = usize::from(u16::MAX);
    if value > limit {
        return Err(ConvertError::TooLarge { layer: layer.to_owned(), field, found: value, limit });
    }
    narrow(layer, field, value)
}

fn pair(layer: &str, field: &'static str, v: [usize; 2]) -> Result<[u32; 2], ConvertError> {
    Ok([narrow16(layer, field, v[0])?, narrow16(layer, field, v[1])?])
}

fn pads(layer: &str, [top, bottom, left, right]: [usize; 4]) -> Result<Padding, ConvertError> {
    let narrow = |v| narrow16(layer, "padding", v);
    Ok(Padding {
        top: narrow(top)?,
        bottom: narrow(bottom)?,
        left: narrow(left)?,
        right: narrow(right)?,
    })
}

fn batched(layer: &str, dims: &[usize]) -> Result<Shape, ConvertError> {
    let mut all = vec![1];
    for &d in dims {
        all.push(narrow(layer, "shape", d)?);
    }
    Shape::new(&all).ok_or_else(|| ConvertError::TooLarge {
        layer: layer.to_owned(),
        field: "rank",
        found: all.len(),
        limit: penjing_format::MAX_RANK,
    })
}
