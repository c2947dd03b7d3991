//! From the owned structs to bytes, over flatc's generated builders. Fields that have their default or can be inferred by
//! every reader (shapes of weights, usual windows and types, flattening) are left out.

#![forbid(unsafe_code)]

use super::constant::{Constant, ConstantData};
use super::generated::penjing as fb;
use super::pack::{PackingChoice, pack};
use super::{Model, Node, Normalization, Op, Value, WriteError};
use crate::attributes::ChannelAxis;
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::infer;
use crate::read::ModelView;
use crate::shape::Shape;
use crate::{ExpandError, IDENTIFIER, expand, hash, signature};
use flatbuffers::{FlatBufferBuilder, Vector, WIPOffset};
use std::format;
use std::vec::Vec;

type Built<T> = Result<WIPOffset<T>, WriteError>;
pub(super) type Maybe<T> = Result<Option<WIPOffset<T>>, WriteError>;

impl Model {
    /// The file. The same model gives the same bytes; what is returned passes [`ModelView::open`].
    pub fn to_bytes(&self, packing: PackingChoice) -> Result<Vec<u8>, WriteError> {
        let mut builder = Builder { fbb: FlatBufferBuilder::new(), packing };
        let root = builder.model(self)?;
        fb::finish_model_buffer(&mut builder.fbb, root);
        let bytes = with_hash(builder.fbb.finished_data());
        self.check_shapes(ModelView::open_coded(&bytes)?)?;
        match expand(&bytes, u64::MAX) {
            Ok(_) => {}
            Err(ExpandError::Format(error)) => return Err(error.into()),
            // Of no limit there is nothing above.
            Err(ExpandError::TooLarge { needed, limit }) => {
                let place = "weights, decoded".into();
                let number = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
                let (limit, found) = (number(limit), number(needed));
                return Err(WriteError::TooLarge { place, limit, found });
            }
        }
        Ok(bytes)
    }

    /// A file states neither the shapes of weights nor the type of a bias nor the batch: whether a reader infers what was given.
    fn check_shapes(&self, view: ModelView<'_>) -> Result<(), WriteError> {
        for (step, node) in view.walk().zip(&self.nodes) {
            let step = step?;
            if let Op::Reshape(op) = &node.op {
                let place = Owner::Node(step.index, step.op.name()).field("target");
                let (found, input) = (step.output.ty.shape, step.input.ty.shape);
                let expected = infer::reshape(input, op.target)
                    .map_err(|source| Error::Shape { place, source })?;
                if expected != found {
                    return Err(Error::ShapeMismatch { place, expected, found }.into());
                }
            }
            let (Some((read, read_bias)), Some((weights, bias))) =
                (step.op.constants(), node.op.weights())
            else {
                continue;
            };
            let (node, expected, found) = (step.index, read.shape, weights.shape);
            if expected != found {
                return Err(WriteError::WeightsShape { node, expected, found });
            }
            if let (Some(read), Some(bias)) = (read_bias, bias)
                && read.dtype != bias.data.dtype()
            {
                let reals = read.dtype == DataType::F32;
                let expected = if reals { "f32" } else { "i8, i16 or i32" };
                let (field, found) = ("bias", bias.data.dtype());
                return Err(WriteError::ElementType { node, field, expected, found });
            }
        }
        Ok(())
    }
}

/// The file of a flatbuffer: eight bytes of hash after the identifier. Offsets inside are relative and stay as they are.
fn with_hash(flatbuffer: &[u8]) -> Vec<u8> {
    let (head, rest) = flatbuffer.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let root = u32::from_le_bytes(*head).saturating_add(8);
    let mut file = root.to_le_bytes().to_vec();
    file.extend(IDENTIFIER);
    file.extend([0; 8]);
    file.extend(rest.get(4..).unwrap_or_default());
    // Numbers at the end may look like the mark of a signature.
    if file.ends_with(&signature::MARK) {
        file.extend([0; 4]);
    }
    hash::stamp(&mut file);
    file
}

pub(super) struct Builder {
    pub(super) fbb: FlatBufferBuilder<'static>,
    packing: PackingChoice,
}

/// `None` of what is empty: an absent vector takes no bytes.
fn filled<T>(items: &[T]) -> Option<&[T]> {
    (!items.is_empty()).then_some(items)
}

/// What a value states as numbers: scale, zero point, type's code.
fn numbers(
    value: &Value,
    owner: Owner,
    place: &str,
) -> Result<(f32, i16, fb::DataType), WriteError> {
    let (scale, zero_point) =
        value.quantization.map_or((0.0, 0), |params| (params.scale, params.zero_point));
    // 0 would mean to a reader that there is none.
    if let (Some(_), found @ 0.0) = (value.quantization, scale) {
        let (place, expected) = (owner.field("scale"), "finite and positive");
        return Err(Error::Number { place, index: 0, expected, found }.into());
    }
    // So would its code, of a type that activations do not have.
    if let Some(found) = value.dtype.filter(|dtype| dtype.code() == 0) {
        let (place, expected) = (owner.field("dtype"), "f32, i8 or u8");
        return Err(Error::ElementType { place, expected, found }.into());
    }
    let zero_point = self::zero_point(zero_point, place)?;
    let usual = if value.quantization.is_some() { DataType::I8 } else { DataType::F32 };
    let stated = value.dtype.filter(|&dtype| dtype != usual);
    Ok((scale, zero_point, fb::DataType(stated.map_or(0, DataType::code))))
}

fn zero_point(found: i32, place: &str) -> Result<i16, WriteError> {
    i16::try_from(found).map_err(|_| WriteError::TooLarge {
        place: format!("{place}, zero_point"),
        limit: i16::MAX.into(),
        found: found.into(),
    })
}

impl Builder {
    fn model(&mut self, model: &Model) -> Built<fb::Model<'static>> {
        let nodes = model.nodes.iter().enumerate().map(|(index, node)| self.node(index, node));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let inputs = model.inputs.iter().enumerate();
        let inputs =
            inputs.map(|(index, value)| self.input(index, value)).collect::<Result<Vec<_>, _>>()?;
        if let Some(index) = model.labels.iter().position(|label| label.contains('\n')) {
            return Err(WriteError::Label { index });
        }
        let labels = model.labels.join("\n");
        let labels = (!model.labels.is_empty()).then(|| self.fbb.create_string(&labels));
        let normalization = model.normalization.as_ref().map(|n| self.normalization(n));
        let fbb = &mut self.fbb;
        let args = fb::ModelArgs {
            format_version: crate::FORMAT_VERSION,
            producer: model.producer.as_ref().map(|name| fbb.create_string(name)),
            inputs: Some(fbb.create_vector(&inputs)),
            nodes: Some(fbb.create_vector(&nodes)),
            outputs: filled(&model.outputs).map(|outputs| fbb.create_vector(outputs)),
            labels,
            normalization,
        };
        Ok(fb::Model::create(fbb, &args))
    }

    fn normalization(&mut self, n: &Normalization) -> WIPOffset<fb::Normalization<'static>> {
        let args = fb::NormalizationArgs {
            mean: Some(self.fbb.create_vector(&n.mean)),
            std_: Some(self.fbb.create_vector(&n.std)),
        };
        fb::Normalization::create(&mut self.fbb, &args)
    }

    /// Dimensions without the batch.
    fn shape(&mut self, shape: Option<Shape>, place: &str) -> Maybe<Vector<'static, u32>> {
        let Some(found) = shape else { return Ok(None) };
        match found.dims() {
            [1, sample @ ..] => {
                let offset = self.fbb.create_vector(sample);
                Ok(Some(WIPOffset::new(offset.value())))
            }
            _ => Err(WriteError::Batch { place: format!("{place}, shape"), found }),
        }
    }

    fn input(&mut self, index: usize, value: &Value) -> Built<fb::Value<'static>> {
        let place = format!("input {index}");
        let (scale, zero_point, dtype) = numbers(value, Owner::Input(index), &place)?;
        let shape = self.shape(value.shape, &place)?;
        let name = value.name.as_ref().map(|name| self.fbb.create_string(name));
        let args = fb::ValueArgs { scale, zero_point, dtype, shape, name };
        Ok(fb::Value::create(&mut self.fbb, &args))
    }

    fn node(&mut self, index: usize, node: &Node) -> Built<fb::Node<'static>> {
        let place = format!("node {index}");
        let value = node.value.clone().unwrap_or_default();
        let (scale, zero_point, dtype) = numbers(&value, Owner::Node(index, "node"), &place)?;
        let (weights, bias) = match node.op.weights() {
            None => (None, None),
            Some((weights, bias)) => {
                let axis = node.op.channel_axis();
                let bias = bias.map(|bias| self.bias(index, bias, weights, axis)).transpose()?;
                (Some(self.weights(index, weights, &node.op)?), bias)
            }
        };
        let args = fb::NodeArgs {
            op: node.op.code(),
            scale,
            zero_point,
            weights,
            bias,
            name: value.name.as_ref().map(|name| self.fbb.create_string(name)),
            activation: fb::Activation(node.op.activation().code()),
            window: self.window(index, &node.op)?,
            dtype,
            shape: self.shape(value.shape, &place)?,
            inputs: filled(&node.inputs).map(|inputs| self.fbb.create_vector(inputs)),
            target: self.target(index, &node.op)?,
        };
        Ok(fb::Node::create(&mut self.fbb, &args))
    }

    fn bias(
        &mut self,
        node: usize,
        bias: &Constant,
        weights: &Constant,
        axis: ChannelAxis,
    ) -> Built<Vector<'static, u8>> {
        check_data(node, "bias", bias)?;
        let channels = axis.channels(weights.shape).and_then(|channels| channels.try_into().ok());
        if let (Some(expected), found) = (channels, bias.data.len())
            && expected != found
        {
            return Err(WriteError::DataLength { node, field: "bias", expected, found });
        }
        let found = bias.data.dtype();
        // Beside integers it may be either: `check_shapes` sees which.
        if weights.data.dtype() == DataType::F32 && found != DataType::F32 {
            let expected = "f32";
            return Err(WriteError::ElementType { node, field: "bias", expected, found });
        }
        let bytes = self.fbb.create_vector(&bias.data.to_le_bytes());
        Ok(WIPOffset::new(bytes.value()))
    }

    fn weights(&mut self, node: usize, weights: &Constant, op: &Op) -> Built<fb::Weights<'static>> {
        check_data(node, "weights", weights)?;
        let found = weights.data.dtype();
        if !matches!(found, DataType::F32 | DataType::I8) {
            let (field, expected) = ("weights", "f32 or i8");
            return Err(WriteError::ElementType { node, field, expected, found });
        }
        let choice = weights.packing.unwrap_or(self.packing);
        let packed = pack(weights, op.channel_axis(), choice)
            .ok_or(WriteError::Packing { node, packing: choice.name() })?;
        let (out_channels, zero_point) = op.counts(weights);
        let zero_point = self::zero_point(zero_point, &format!("node {node}, weights"))?;
        let fbb = &mut self.fbb;
        let args = fb::WeightsArgs {
            values: Some(fbb.create_vector(&packed.values)),
            scale: filled(&weights.scales).map(|scales| fbb.create_vector(scales)),
            out_channels,
            zero_point,
            packing: packed.packing,
            index: filled(&packed.index).map(|index| fbb.create_vector(index)),
            value_bits: packed.value_bits,
            group: packed.group,
            gap_bits: packed.gap_bits,
            kept: packed.kept,
            no_zero: packed.no_zero,
            period: packed.period,
            stored: packed.stored,
        };
        let offset = fb::Weights::create(fbb, &args);
        Ok(WIPOffset::new(offset.value()))
    }
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
    let (int8_weights, found) =
        (field == "weights" && constant.data.dtype() == DataType::I8, constant.scales.len());
    let scales = |expected| {
        let field = if field == "weights" { "weights.scale" } else { "bias.scale" };
        Err(WriteError::Scales { node, field, expected, found })
    };
    match (int8_weights, found) {
        (true, 0) => scales("one or one an output channel"),
        (false, 1..) => scales("none"),
        _ => Ok(()),
    }
}
