//! Builds ONNX models for tests: nodes one after the other, each named by what it is and its number.

use prost::Message;

use super::super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::super::read;
use crate::ImportError;
use crate::ir::Graph;

pub(super) const FLOAT: i32 = 1;
pub(super) const UINT8: i32 = 2;
pub(super) const INT8: i32 = 3;

/// A model under construction.
pub(super) struct Model {
    pub(super) proto: ModelProto,
}

/// An attribute.
pub(super) enum Attribute<'a> {
    Int(i64),
    Float(f32),
    Ints(&'a [i64]),
    Text(&'a str),
    Tensor(TensorProto),
}

pub(super) use Attribute::{Float, Int, Ints, Tensor, Text};

impl Model {
    pub(super) fn new() -> Self {
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
        let graph = Some(GraphProto { name: "test".into(), ..Default::default() });
        Self { proto: ModelProto { ir_version: Some(8), graph, opset_import } }
    }

    pub(super) fn graph(&mut self) -> &mut GraphProto {
        self.proto.graph.as_mut().expect("new() makes one")
    }

    /// A graph input; a dimension of 0 is an open one.
    pub(super) fn input_of(&mut self, name: &str, elem_type: i32, dims: &[i64]) -> String {
        let dim = dims.iter().map(|&d| match d {
            0 => DimensionProto { dim_value: None, dim_param: Some("N".into()) },
            d => DimensionProto { dim_value: Some(d), dim_param: None },
        });
        let shape = Some(TensorShapeProto { dim: dim.collect() });
        let tensor_type = Some(TensorTypeProto { elem_type, shape });
        let value = ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) };
        self.graph().input.push(value);
        name.into()
    }

    pub(super) fn input(&mut self, dims: &[i64]) -> String {
        self.input_of("x", FLOAT, dims)
    }

    fn constant(&mut self, proto: TensorProto) -> String {
        let name = format!("constant{}", self.graph().initializer.len());
        self.graph().initializer.push(TensorProto { name: name.clone(), ..proto });
        name
    }

    pub(super) fn reals(&mut self, dims: &[i64], values: &[f32]) -> String {
        self.constant(reals(dims, values))
    }

    /// Multiples of 1/8 that look like noise.
    pub(super) fn noise(&mut self, dims: &[i64]) -> String {
        let count = dims.iter().product::<i64>() as usize;
        self.reals(dims, &noise(count))
    }

    pub(super) fn integers(&mut self, values: &[i64]) -> String {
        let dims = vec![values.len() as i64];
        self.constant(TensorProto {
            dims,
            data_type: 7,
            int64_data: values.to_vec(),
            ..Default::default()
        })
    }

    pub(super) fn codes(&mut self, elem_type: i32, dims: &[i64], values: &[i32]) -> String {
        let (dims, int32_data) = (dims.to_vec(), values.to_vec());
        self.constant(TensorProto { dims, data_type: elem_type, int32_data, ..Default::default() })
    }

    /// Appends a node with one output and returns its name.
    pub(super) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        let name = format!("{op}{}", self.graph().node.len());
        let node = NodeProto {
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.into(),
            attribute: attributes.iter().map(attribute).collect(),
            domain: String::new(),
        };
        self.graph().node.push(node);
        name
    }

    pub(super) fn output(&mut self, name: &str) -> &mut Self {
        self.graph().output.push(ValueInfoProto { name: name.into(), r#type: None });
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.proto.encode_to_vec()
    }

    pub(super) fn read(&self) -> Result<Graph, ImportError> {
        read(&self.bytes(), "test")
    }

    /// Scale and zero point, as names.
    pub(super) fn grid(&mut self, elem_type: i32, scale: f32, zero_point: i32) -> [String; 2] {
        [self.reals(&[], &[scale]), self.codes(elem_type, &[], &[zero_point])]
    }

    pub(super) fn quantize(&mut self, x: &str, [scale, zero]: &[String; 2]) -> String {
        self.node("QuantizeLinear", &[x, scale, zero], &[])
    }

    pub(super) fn dequantize(&mut self, x: &str, [scale, zero]: &[String; 2]) -> String {
        self.node("DequantizeLinear", &[x, scale, zero], &[])
    }

    /// QuantizeLinear and DequantizeLinear.
    pub(super) fn qdq(&mut self, x: &str, grid: &[String; 2]) -> String {
        let codes = self.quantize(x, grid);
        self.dequantize(&codes, grid)
    }
}

pub(super) fn reals(dims: &[i64], values: &[f32]) -> TensorProto {
    let (dims, float_data) = (dims.to_vec(), values.to_vec());
    TensorProto { dims, data_type: FLOAT, float_data, ..Default::default() }
}

pub(super) fn noise(count: usize) -> Vec<f32> {
    (0..count).map(|k| ((k * 37 + 11) % 17) as f32 / 8.0 - 1.0).collect()
}

fn attribute((name, value): &(&str, Attribute<'_>)) -> AttributeProto {
    let mut proto = AttributeProto { name: (*name).into(), ..Default::default() };
    match value {
        Float(v) => (proto.f, proto.r#type) = (Some(*v), 1),
        Int(v) => (proto.i, proto.r#type) = (Some(*v), 2),
        Text(v) => (proto.s, proto.r#type) = (Some(v.as_bytes().to_vec()), 3),
        Tensor(v) => (proto.t, proto.r#type) = (Some(Box::new(v.clone())), 4),
        Ints(v) => (proto.ints, proto.r#type) = (v.to_vec(), 7),
    }
    proto
}
