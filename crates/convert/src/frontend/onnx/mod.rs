//! From an ONNX file to a graph. Opsets 13 and newer of the domain ai.onnx; f32, and int8 by QuantizeLinear and
//! DequantizeLinear around the ops (QDQ). The bytes are hostile: whatever they are, the answer is a graph or an error.
//!
//! **Axes.** ONNX has the channels first, the graph has them last. Inputs and outputs of rank 4 (and 3) are therefore
//! NHWC (NLC), unless the file itself turns them: then they are as the file has them. Transpositions cost nothing, see
//! `layout`; a dense layer takes up the order of an image that was flattened before it in its weights.
//!
//! **Batch.** The first dimension of every value is the batch, 1 or open; arithmetic on shapes is folded with a batch of 1.
//!
//! **Integers.** 8-bit values become int8: unsigned codes are shifted by 128 together with their zero point, which is exact;
//! a graph input of uint8 stays as it is. A layer between DequantizeLinear and QuantizeLinear becomes a layer of integers,
//! or an error. What the file itself computes in f32 (no QuantizeLinear after it) stays in f32, unless its weights are
//! quantized.

mod activations;
mod attributes;
mod build;
mod constants;
mod conv;
mod dense;
mod elementwise;
mod layout;
mod moves;
mod operands;
mod pool;
mod proto;
mod qdq;
mod source;
mod tensor;
#[cfg(test)]
mod tests;

use prost::Message;

use build::{Act, Builder, Codes, Kind, Slot};
use layout::Layout;
use penjing_format::DataType;
use source::{Input, Node, Source, malformed, unsupported_input};
use tensor::dtype;

use crate::ImportError;
use crate::ir::{Graph, Value};

/// The opset from which on the ops are read as they are meant.
const OLDEST_OPSET: i64 = 13;

/// The newest opset in which the ops that are read mean the same, as far as their attributes are.
const NEWEST_OPSET: i64 = 28;

/// The ops that are read.
const OPS: [&str; 33] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "MatMul",
    "MaxPool",
    "Mul",
    "Pad",
    "QuantizeLinear",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// [`OPS`] in words.
const SUPPORTED: &str = "Add, AveragePool, BatchNormalization, Cast, Clip, Concat, Constant, Conv, \
                         DequantizeLinear, Div, Dropout, Flatten, Gather, Gemm, GlobalAveragePool, Identity, \
                         MatMul, MaxPool, Mul, Pad, QuantizeLinear, ReduceMean, Relu, Reshape, Shape, Sigmoid, \
                         Slice, Softmax, Squeeze, Sub, Tanh, Transpose and Unsqueeze of ai.onnx";

/// What may stand between an input and its transposition.
const BEFORE_TRANSPOSITION: [&str; 7] =
    ["Add", "DequantizeLinear", "Div", "Identity", "Mul", "QuantizeLinear", "Sub"];

/// Reads an ONNX model. `name` is the graph's, for people.
///
/// # Errors
/// Bytes that are no ONNX model or contradict themselves, and anything that a Penjing model does not hold; the message names
/// the node or tensor, what was expected and what was found.
pub fn read(bytes: &[u8], name: &str) -> Result<Graph, ImportError> {
    let model = proto::ModelProto::decode(bytes)
        .map_err(|error| malformed("ONNX model", "messages of onnx.proto", error.to_string()))?;
    let source = Source::new(model)?;
    let mut builder = Builder::new(&source, name, bytes.len());
    builder.fold_constants()?;
    builder.inputs()?;
    for (k, node) in source.nodes.iter().enumerate() {
        if !builder.done[k] {
            builder.node(node)?;
        }
    }
    builder.finish()
}

impl<'s> Builder<'s> {
    fn inputs(&mut self) -> Result<(), ImportError> {
        let source = self.source;
        for (k, input) in source.inputs.iter().enumerate() {
            let (dtype, kind) = match input.dtype {
                dtype::FLOAT => (DataType::F32, Kind::Real),
                dtype::INT8 => (DataType::I8, Kind::Codes(Codes::I8)),
                dtype::UINT8 => (DataType::U8, Kind::Codes(Codes::U8)),
                _ => return Err(unsupported_input(k, input)),
            };
            let layout = if self.has_channels_last(input) {
                Layout::row_major(&input.dims)
            } else {
                Layout::channels_last(&input.dims)
            };
            let shape = build::shape(&Node::output(&input.name), &layout.stored())?;
            let name = Some(input.name.clone());
            self.graph.inputs.push(Value { name, shape, dtype, quantization: None });
            let (dims, exclusive) = (input.dims.clone(), source.is_inner(&input.name));
            self.set(&input.name, Slot::Value(Act { id: k, dims, layout, kind, exclusive }));
        }
        Ok(())
    }

    /// First the nodes that read constants alone, since an op looks ahead at the scales of a QuantizeLinear behind it.
    fn fold_constants(&mut self) -> Result<(), ImportError> {
        for (k, node) in self.source.nodes.iter().enumerate() {
            let is_constant = |name: &String| {
                name.is_empty()
                    || matches!(self.slot(name), Some(Slot::Constant(_) | Slot::Quantized(_)))
            };
            if node.inputs.iter().all(is_constant) {
                self.node(node)?;
                self.done[k] = true;
            }
        }
        Ok(())
    }

    /// Whether the file has an input NHWC or NLC: it turns it to NCHW or NCL before anything else, as exporters from
    /// TensorFlow do, or has dense layers at each step of a sequence.
    fn has_channels_last(&self, input: &Input) -> bool {
        let (mut name, mut turned) = (input.name.as_str(), false);
        // through the ops between an input and the first that tells, each with one reader
        for _ in 0..8 {
            let &[reader] = self.source.readers(name) else { break };
            let node = &self.source.nodes[reader];
            let Some(next) = node.outputs.first() else { break };
            match node.op {
                "Transpose" => match node.ints("perm") {
                    Ok(Some([0, 3, 1, 2])) => return true,
                    Ok(Some([0, 2, 1])) => turned = !turned,
                    _ => break,
                },
                "MatMul" if input.dims.len() == 3 => return !turned,
                // one channel is turned by a reshape
                "Reshape" => {
                    let wanted = self.integers(node, 1).ok().flatten();
                    let one_channel = matches!(wanted.as_deref(), Some([_, 1, _, _] | [_, 1, _]));
                    return one_channel && input.dims.last() == Some(&1);
                }
                op if BEFORE_TRANSPOSITION.contains(&op) => {}
                _ => break,
            }
            name = next;
        }
        turned
    }

    fn node(&mut self, node: &'s Node) -> Result<(), ImportError> {
        match node.op {
            "Add" | "Sub" => self.add(node),
            "AveragePool" => self.average_pool(node),
            "BatchNormalization" => self.batch_normalization(node),
            "Cast" => self.cast(node),
            "Clip" => self.clip(node),
            "Concat" => self.concat(node),
            "Constant" => self.constant_node(node),
            "Conv" => self.conv(node),
            "DequantizeLinear" => self.dequantize(node),
            "Dropout" => self.dropout(node),
            "Flatten" => self.flatten(node),
            "Gather" => self.gather(node),
            "Gemm" => self.gemm(node),
            "GlobalAveragePool" => self.global_average_pool(node),
            "Identity" => self.identity(node),
            "MatMul" => self.mat_mul(node),
            "MaxPool" => self.max_pool(node),
            "Mul" | "Div" => self.mul(node),
            "Pad" => self.pad(node),
            "QuantizeLinear" => self.quantize(node),
            "ReduceMean" => self.reduce_mean(node),
            "Relu" => self.relu(node),
            "Reshape" => self.reshape(node),
            "Shape" => self.shape_of(node),
            "Sigmoid" | "Softmax" | "Tanh" => self.smooth(node),
            "Slice" => self.slice(node),
            "Squeeze" | "Unsqueeze" => self.squeeze(node),
            "Transpose" => self.transpose(node),
            // OPS and this list are the same: a test goes through both
            _ => Err(ImportError::Op {
                node: node.index,
                name: node.name.clone(),
                op: node.op.into(),
                supported: SUPPORTED,
            }),
        }
    }
}
