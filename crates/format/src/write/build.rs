//! From the owned structs to bytes, over flatc's generated builders. Fields that have their default or can be inferred by
//! every reader (a bias's shape, flattening, a pool's stride) are left out.

#![forbid(unsafe_code)]

use super::constant::{Constant, ConstantData, PackedBytes, PackingChoice};
use super::generated::penjing as fb;
use super::{
    Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d, Model, Node, Normalization, Op, Value,
    WriteError,
};
use crate::attributes::{ChannelAxis, ReshapeTarget};
use crate::read::ModelView;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use std::format;
use std::string::String;
use std::vec::Vec;

type Built<T> = Result<WIPOffset<T>, WriteError>;
/// A union's code and value.
type BuiltOp = Result<(fb::Op, WIPOffset<UnionWIPOffset>), WriteError>;

impl Model {
    /// The file. The same model gives the same bytes; what is returned passes [`ModelView::open`].
    pub fn to_bytes(&self, packing: PackingChoice) -> Result<Vec<u8>, WriteError> {
        let mut builder = Builder { fbb: FlatBufferBuilder::new(), packing };
        let root = builder.model(self)?;
        fb::finish_model_buffer(&mut builder.fbb, root);
        let bytes = builder.fbb.finished_data().to_vec();
        ModelView::open(&bytes)?;
        Ok(bytes)
    }
}

struct Builder {
    fbb: FlatBufferBuilder<'static>,
    packing: PackingChoice,
}

/// `None` of what is empty: an absent vector takes no bytes.
fn filled<T>(items: &[T]) -> Option<&[T]> {
    (!items.is_empty()).then_some(items)
}

impl Builder {
    fn model(&mut self, model: &Model) -> Built<fb::Model<'static>> {
        let nodes = model.nodes.iter().enumerate().map(|(index, node)| self.node(index, node));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let inputs = model.inputs.iter().enumerate();
        let inputs = inputs
            .map(|(index, value)| self.value(value, &format!("input {index}")))
            .collect::<Result<Vec<_>, _>>()?;
        let labels: Vec<_> = model.labels.iter().map(|label| self.string(label)).collect();
        let normalization = model.normalization.as_ref().map(|n| self.normalization(n));
        let fbb = &mut self.fbb;
        let args = fb::ModelArgs {
            format_version: crate::FORMAT_VERSION,
            producer: model.producer.as_ref().map(|name| fbb.create_string(name)),
            inputs: Some(fbb.create_vector(&inputs)),
            nodes: Some(fbb.create_vector(&nodes)),
            outputs: filled(&model.outputs).map(|outputs| fbb.create_vector(outputs)),
            labels: filled(&labels).map(|labels| fbb.create_vector(labels)),
            normalization,
        };
        Ok(fb::Model::create(fbb, &args))
    }

    fn string(&mut self, string: &str) -> WIPOffset<&'static str> {
        let offset = self.fbb.create_string(string);
        WIPOffset::new(offset.value())
    }

    fn normalization(&mut self, n: &Normalization) -> WIPOffset<fb::Normalization<'static>> {
        let args = fb::NormalizationArgs {
            mean: Some(self.fbb.create_vector(&n.mean)),
            std_: Some(self.fbb.create_vector(&n.std)),
        };
        fb::Normalization::create(&mut self.fbb, &args)
    }

    fn value(&mut self, value: &Value, owner: &str) -> Built<fb::Value<'static>> {
        let (scale, zero_point) =
            value.quantization.map_or((0.0, 0), |params| (params.scale, params.zero_point));
        let zero_point = i16::try_from(zero_point).map_err(|_| WriteError::TooLarge {
            place: format!("{owner}, value.zero_point"),
            limit: i16::MAX.into(),
            found: zero_point.into(),
        })?;
        let args = fb::ValueArgs {
            scale,
            zero_point,
            dtype: fb::DataType(value.dtype.map_or(0, |dtype| dtype.code())),
            shape: value.shape.map(|shape| self.fbb.create_vector(shape.dims())),
            name: value.name.as_ref().map(|name| self.fbb.create_string(name)),
        };
        Ok(fb::Value::create(&mut self.fbb, &args))
    }

    fn node(&mut self, index: usize, node: &Node) -> Built<fb::Node<'static>> {
        let (op_type, op) = self.op(index, &node.op)?;
        let stated = node.value.as_ref().filter(|value| **value != Value::default());
        let value = stated.map(|value| self.value(value, &format!("node {index}"))).transpose()?;
        let args = fb::NodeArgs {
            op_type,
            op: Some(op),
            value,
            inputs: filled(&node.inputs).map(|inputs| self.fbb.create_vector(inputs)),
            name: node.name.as_ref().map(|name| self.fbb.create_string(name)),
        };
        Ok(fb::Node::create(&mut self.fbb, &args))
    }

    fn op(&mut self, index: usize, op: &Op) -> BuiltOp {
        match op {
            Op::Conv2d(op) => self.conv_2d(index, op),
            Op::DepthwiseConv2d(op) => self.depthwise_conv_2d(index, op),
            Op::MaxPool2d(op) => self.max_pool_2d(index, op),
            Op::FullyConnected(op) => self.fully_connected(index, op),
            Op::Reshape(op) => {
                let stated = (op.target != ReshapeTarget::FLATTEN).then_some(op.target);
                let shape = stated.map(|target| self.fbb.create_vector(target.dims()));
                let op = fb::Reshape::create(&mut self.fbb, &fb::ReshapeArgs { shape });
                Ok((fb::Op::Reshape, op.as_union_value()))
            }
            Op::Quantize => {
                let op = fb::Quantize::create(&mut self.fbb, &fb::QuantizeArgs {});
                Ok((fb::Op::Quantize, op.as_union_value()))
            }
            Op::Dequantize => {
                let op = fb::Dequantize::create(&mut self.fbb, &fb::DequantizeArgs {});
                Ok((fb::Op::Dequantize, op.as_union_value()))
            }
        }
    }

    fn conv_2d(&mut self, node: usize, op: &Conv2d) -> BuiltOp {
        let short = |value, field| short(value, node, field);
        let args = fb::Conv2dArgs {
            weights: Some(self.constant(node, "weights", &op.weights)?),
            bias: self.bias(node, op.bias.as_ref(), &op.weights, ChannelAxis::First)?,
            activation: fb::Activation(op.activation.code()),
            stride_h: short(op.stride[0], "stride_h")?,
            stride_w: short(op.stride[1], "stride_w")?,
            pad_top: short(op.padding.top, "pad_top")?,
            pad_bottom: short(op.padding.bottom, "pad_bottom")?,
            pad_left: short(op.padding.left, "pad_left")?,
            pad_right: short(op.padding.right, "pad_right")?,
            dilation_h: short(op.dilation[0], "dilation_h")?,
            dilation_w: short(op.dilation[1], "dilation_w")?,
        };
        let op = fb::Conv2d::create(&mut self.fbb, &args);
        Ok((fb::Op::Conv2d, op.as_union_value()))
    }

    fn depthwise_conv_2d(&mut self, node: usize, op: &DepthwiseConv2d) -> BuiltOp {
        let short = |value, field| short(value, node, field);
        let args = fb::DepthwiseConv2dArgs {
            weights: Some(self.constant(node, "weights", &op.weights)?),
            bias: self.bias(node, op.bias.as_ref(), &op.weights, ChannelAxis::Last)?,
            activation: fb::Activation(op.activation.code()),
            stride_h: short(op.stride[0], "stride_h")?,
            stride_w: short(op.stride[1], "stride_w")?,
            pad_top: short(op.padding.top, "pad_top")?,
            pad_bottom: short(op.padding.bottom, "pad_bottom")?,
            pad_left: short(op.padding.left, "pad_left")?,
            pad_right: short(op.padding.right, "pad_right")?,
            dilation_h: short(op.dilation[0], "dilation_h")?,
            dilation_w: short(op.dilation[1], "dilation_w")?,
        };
        let op = fb::DepthwiseConv2d::create(&mut self.fbb, &args);
        Ok((fb::Op::DepthwiseConv2d, op.as_union_value()))
    }

    fn max_pool_2d(&mut self, node: usize, op: &MaxPool2d) -> BuiltOp {
        let short = |value, field| short(value, node, field);
        let stride = |axis: usize| {
            if op.stride[axis] == op.window[axis] { 0 } else { op.stride[axis] }
        };
        let args = fb::MaxPool2dArgs {
            window_h: short(op.window[0], "window_h")?,
            window_w: short(op.window[1], "window_w")?,
            stride_h: short(stride(0), "stride_h")?,
            stride_w: short(stride(1), "stride_w")?,
            pad_top: short(op.padding.top, "pad_top")?,
            pad_bottom: short(op.padding.bottom, "pad_bottom")?,
            pad_left: short(op.padding.left, "pad_left")?,
            pad_right: short(op.padding.right, "pad_right")?,
        };
        let op = fb::MaxPool2d::create(&mut self.fbb, &args);
        Ok((fb::Op::MaxPool2d, op.as_union_value()))
    }

    fn fully_connected(&mut self, node: usize, op: &FullyConnected) -> BuiltOp {
        let args = fb::FullyConnectedArgs {
            weights: Some(self.constant(node, "weights", &op.weights)?),
            bias: self.bias(node, op.bias.as_ref(), &op.weights, ChannelAxis::First)?,
            activation: fb::Activation(op.activation.code()),
        };
        let op = fb::FullyConnected::create(&mut self.fbb, &args);
        Ok((fb::Op::FullyConnected, op.as_union_value()))
    }

    /// A bias, without its shape where it is one element an output channel of the weights.
    fn bias(
        &mut self,
        node: usize,
        bias: Option<&Constant>,
        weights: &Constant,
        axis: ChannelAxis,
    ) -> Result<Option<WIPOffset<fb::Constant<'static>>>, WriteError> {
        let Some(bias) = bias else { return Ok(None) };
        let inferred = axis.channels(weights.shape).map(|channels| [channels].into());
        let shape =
            (Some(bias.shape) != inferred).then(|| self.fbb.create_vector(bias.shape.dims()));
        self.constant_with(node, "bias", bias, shape).map(Some)
    }

    fn constant(
        &mut self,
        node: usize,
        field: &'static str,
        constant: &Constant,
    ) -> Built<fb::Constant<'static>> {
        let shape = self.fbb.create_vector(constant.shape.dims());
        self.constant_with(node, field, constant, Some(shape))
    }

    fn constant_with<'f>(
        &mut self,
        node: usize,
        field: &'static str,
        constant: &Constant,
        shape: Option<WIPOffset<flatbuffers::Vector<'f, u32>>>,
    ) -> Built<fb::Constant<'static>> {
        check_data(node, field, constant)?;
        let scale = filled(&constant.scales).map(|scales| self.fbb.create_vector(scales));
        let (packing_type, packing) = self.packing(constant.data.pack(self.packing));
        let args = fb::ConstantArgs {
            packing_type,
            packing: Some(packing),
            dtype: fb::DataType(constant.data.dtype().code()),
            scale,
            shape,
        };
        let offset = fb::Constant::create(&mut self.fbb, &args);
        Ok(WIPOffset::new(offset.value()))
    }

    fn packing(&mut self, packed: PackedBytes) -> (fb::Packing, WIPOffset<UnionWIPOffset>) {
        let fbb = &mut self.fbb;
        match packed {
            PackedBytes::Dense { data } => {
                let data = Some(fbb.create_vector(&data));
                let table = fb::Dense::create(fbb, &fb::DenseArgs { data });
                (fb::Packing::Dense, table.as_union_value())
            }
            PackedBytes::Bitmap { mask, values } => {
                let mask = Some(fbb.create_vector(&mask));
                let values = Some(fbb.create_vector(&values));
                let table = fb::Bitmap::create(fbb, &fb::BitmapArgs { mask, values });
                (fb::Packing::Bitmap, table.as_union_value())
            }
            PackedBytes::Gaps { bits, codes, values } => {
                let codes = Some(fbb.create_vector(&codes));
                let values = Some(fbb.create_vector(&values));
                let table = fb::Gaps::create(fbb, &fb::GapsArgs { codes, values, bits });
                (fb::Packing::Gaps, table.as_union_value())
            }
        }
    }
}

fn short(value: u32, node: usize, field: &str) -> Result<u16, WriteError> {
    u16::try_from(value).map_err(|_| WriteError::TooLarge {
        place: place(node, field),
        limit: u16::MAX.into(),
        found: value.into(),
    })
}

fn place(node: usize, field: &str) -> String {
    format!("node {node}, {field}")
}

fn check_data(node: usize, field: &'static str, constant: &Constant) -> Result<(), WriteError> {
    let found = constant.data.len();
    let expected = constant.shape.elements().unwrap_or(usize::MAX);
    if found != expected {
        return Err(WriteError::DataLength { node, field, expected, found });
    }
    if let ConstantData::F32(data) = &constant.data
        && let Some((index, &found)) = data.iter().enumerate().find(|(_, value)| !value.is_finite())
    {
        return Err(WriteError::NotFinite { node, field, index, found });
    }
    Ok(())
}
