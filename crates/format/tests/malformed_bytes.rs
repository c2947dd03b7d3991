//! Files that our writer cannot make, built with flatc's code: each is sound in layout and lacks or misstates one field. Also
//! the models that the writer refuses before it writes, and the limit of accumulators to the last unit. What a writer's caller
//! can get wrong is in `malformed.rs`, damaged bytes are in `codes.rs`.
#![cfg(feature = "write")]

mod common;

use flatbuffers::{FlatBufferBuilder, WIPOffset};
use penjing_format::write::generated::penjing as flatc;
use penjing_format::write::{Op, PackingChoice, WriteError};
use penjing_format::{Error, ModelView};

/// One fully connected node, `[1, 2]` of i8 by `[2, 2]` of i8, with every field open.
struct Raw {
    input_dtype: u8,
    input_scale: f32,
    input_shape: Vec<u32>,
    op: Option<u8>,
    activation: u8,
    weights: bool,
    dtype: u8,
    shape: Option<Vec<u32>>,
    scale: Vec<f32>,
    packing: Packing,
    bias: Option<Bias>,
    value: (u8, f32, i16),
    /// How often the node occurs.
    nodes: usize,
    outputs: Option<Vec<u16>>,
    normalization: Option<(Vec<f32>, Vec<f32>)>,
}

enum Packing {
    Absent,
    Dense(Vec<u8>),
}

struct Bias {
    dtype: u8,
    shape: Option<Vec<u32>>,
    scale: Vec<f32>,
    data: Vec<u8>,
}

const F32: u8 = 1;
const I8: u8 = 2;
const U8: u8 = 3;
const I16: u8 = 4;

impl Default for Raw {
    fn default() -> Self {
        Self {
            input_dtype: I8,
            input_scale: 1.0,
            input_shape: vec![1, 2],
            op: Some(3),
            activation: 0,
            weights: true,
            dtype: I8,
            shape: Some(vec![2, 2]),
            scale: vec![0.5],
            packing: Packing::Dense(vec![1, 2, 3, 4]),
            bias: None,
            value: (I8, 0.25, -1),
            nodes: 1,
            outputs: None,
            normalization: None,
        }
    }
}

type Builder = FlatBufferBuilder<'static>;

fn constant(
    fbb: &mut Builder,
    dtype: u8,
    shape: Option<&[u32]>,
    scale: &[f32],
    packing: &Packing,
) -> WIPOffset<flatc::Constant<'static>> {
    let (packing_type, packing) = match packing {
        Packing::Absent => (0, None),
        Packing::Dense(data) => {
            let data = Some(fbb.create_vector(data));
            (1, Some(flatc::Dense::create(fbb, &flatc::DenseArgs { data }).as_union_value()))
        }
    };
    let args = flatc::ConstantArgs {
        packing_type: flatc::Packing(packing_type),
        packing,
        dtype: flatc::DataType(dtype),
        scale: (!scale.is_empty()).then(|| fbb.create_vector(scale)),
        shape: shape.map(|shape| fbb.create_vector(shape)),
    };
    let offset = flatc::Constant::create(fbb, &args);
    WIPOffset::new(offset.value())
}

impl Raw {
    fn node(&self, fbb: &mut Builder) -> WIPOffset<flatc::Node<'static>> {
        let weights = self
            .weights
            .then(|| constant(fbb, self.dtype, self.shape.as_deref(), &self.scale, &self.packing));
        let bias = self.bias.as_ref().map(|bias| {
            let packing = Packing::Dense(bias.data.clone());
            constant(fbb, bias.dtype, bias.shape.as_deref(), &bias.scale, &packing)
        });
        let activation = flatc::Activation(self.activation);
        let args = flatc::FullyConnectedArgs { weights, bias, activation };
        let op = match self.op {
            Some(3) => flatc::FullyConnected::create(fbb, &args).as_union_value(),
            // Any op without fields, or with defaults alone.
            _ => flatc::Quantize::create(fbb, &flatc::QuantizeArgs {}).as_union_value(),
        };
        let (dtype, scale, zero_point) = self.value;
        let dtype = flatc::DataType(dtype);
        let args = flatc::ValueArgs { dtype, scale, zero_point, ..flatc::ValueArgs::default() };
        let value = flatc::Value::create(fbb, &args);
        let args = flatc::NodeArgs {
            op_type: flatc::Op(self.op.unwrap_or(0)),
            op: self.op.map(|_| op),
            value: Some(value),
            ..flatc::NodeArgs::default()
        };
        let offset = flatc::Node::create(fbb, &args);
        WIPOffset::new(offset.value())
    }

    fn bytes(&self) -> Vec<u8> {
        let fbb = &mut FlatBufferBuilder::new();
        let node = self.node(fbb);
        let nodes = fbb.create_vector(&vec![node; self.nodes]);
        let args = flatc::ValueArgs {
            dtype: flatc::DataType(self.input_dtype),
            scale: self.input_scale,
            shape: Some(fbb.create_vector(&self.input_shape)),
            ..flatc::ValueArgs::default()
        };
        let input = flatc::Value::create(fbb, &args);
        let inputs = fbb.create_vector(&[input]);
        let normalization = self.normalization.as_ref().map(|(mean, std)| {
            let (mean, std_) = (Some(fbb.create_vector(mean)), Some(fbb.create_vector(std)));
            flatc::Normalization::create(fbb, &flatc::NormalizationArgs { mean, std_ })
        });
        let args = flatc::ModelArgs {
            nodes: (self.nodes != 0).then_some(nodes),
            inputs: Some(inputs),
            outputs: self.outputs.as_ref().map(|outputs| fbb.create_vector(outputs)),
            normalization,
            ..flatc::ModelArgs::default()
        };
        let model = flatc::Model::create(fbb, &args);
        flatc::finish_model_buffer(fbb, model);
        fbb.finished_data().to_vec()
    }
}

/// The refusal of a file that is wrong in one way; its layout is sound.
fn refusal(alter: impl Fn(&mut Raw)) -> Error {
    let mut raw = Raw::default();
    alter(&mut raw);
    let bytes = raw.bytes();
    ModelView::open_structure(&bytes).expect("the layout is sound");
    ModelView::open(&bytes).expect_err("the file means nothing")
}

/// Asserts the error's variant and the field that it names.
macro_rules! refused {
    ($alter:expr, $variant:pat, $words:expr) => {
        let error = refusal($alter);
        assert!(matches!(error, $variant), "{error:?}");
        assert!(error.to_string().contains($words), "{error}");
    };
}

#[test]
fn the_file_that_the_others_alter_is_valid() {
    let bytes = Raw::default().bytes();
    let model = ModelView::open(&bytes).unwrap();
    assert_eq!(model.walk().next().unwrap().unwrap().output.ty.shape, [1, 2].into());
}

#[test]
fn what_is_missing_is_named() {
    refused!(|raw| raw.op = None, Error::Missing { .. }, "op: missing");
    refused!(|raw| raw.weights = false, Error::Missing { .. }, "weights: missing");
    refused!(|raw| raw.dtype = 0, Error::Missing { .. }, "weights.dtype: missing");
    refused!(|raw| raw.shape = None, Error::Missing { .. }, "weights.shape: missing");
    refused!(
        |raw| raw.packing = Packing::Absent,
        Error::Missing { .. },
        "weights.packing: missing"
    );
    refused!(|raw| raw.nodes = 0, Error::Missing { .. }, "nodes: missing");
    refused!(|raw| raw.value.0 = 0, Error::Missing { .. }, "value.dtype: missing");
    refused!(|raw| (raw.value.1, raw.value.2) = (0.0, 0), Error::Missing { .. }, "value.scale");
    refused!(|raw| raw.input_dtype = 0, Error::Missing { .. }, "value.dtype: missing");
    refused!(|raw| raw.input_scale = 0.0, Error::Missing { .. }, "value.scale: missing");
}

#[test]
fn types_that_do_not_go_together_are_named() {
    let i16 = |raw: &mut Raw| {
        raw.dtype = I16;
        raw.packing = Packing::Dense(vec![1; 8]);
    };
    refused!(i16, Error::ElementType { .. }, "weights.dtype: expected f32 or i8, found i16");
    let f32_input = |raw: &mut Raw| (raw.input_dtype, raw.input_scale) = (F32, 0.0);
    refused!(f32_input, Error::ElementType { .. }, "inputs: expected i8 or u8, found f32");
    refused!(
        |raw| raw.value.0 = U8,
        Error::ElementType { .. },
        "value.dtype: expected i8, found u8"
    );
    refused!(
        |raw| raw.op = Some(6),
        Error::ElementType { .. },
        "node 0 (dequantize), value.dtype: expected f32, found i8"
    );
    refused!(|raw| raw.op = Some(5), Error::ElementType { .. }, "node 0 (quantize), inputs");
    refused!(
        |raw| (raw.op, raw.value.0) = (Some(6), 0),
        Error::Quantization { .. },
        "value.scale: expected none, since the value is f32"
    );
    refused!(
        |raw| (raw.op, raw.value.0) = (Some(4), 0),
        Error::Quantization { .. },
        "node 0 (reshape), value.scale: expected that of the input"
    );
    refused!(|raw| raw.input_dtype = F32, Error::Quantization { .. }, "input 0, value.scale");
    refused!(|raw| raw.value.2 = -129, Error::ZeroPoint { found: -129, .. }, "[-128, 127]");
    refused!(|raw| raw.value.1 = 0.0, Error::Number { .. }, "value.scale");
}

#[test]
fn biases_that_do_not_fit_are_named() {
    let bias = |dtype, data: &[u8]| Bias { dtype, shape: None, scale: vec![], data: data.into() };
    refused!(
        |raw| raw.bias = Some(bias(F32, &[0; 8])),
        Error::ElementType { .. },
        "bias.dtype: expected i8, i16 or i32, found f32"
    );
    refused!(|raw| raw.bias = Some(bias(I8, &[0; 3])), Error::Packing { .. }, "bias.packing");
    refused!(
        |raw| raw.bias = Some(Bias { shape: Some(vec![1, 2]), ..bias(I8, &[0; 2]) }),
        Error::ShapeMismatch { .. },
        "bias.shape: expected [2], found [1, 2]"
    );
    refused!(
        |raw| raw.bias = Some(Bias { scale: vec![1.0], ..bias(I8, &[0; 2]) }),
        Error::Count { expected: 0, found: 1, .. },
        "bias.scale"
    );
}

#[test]
fn shapes_that_no_tensor_has_are_named() {
    refused!(|raw| raw.shape = Some(vec![1; 7]), Error::Count { found: 7, .. }, "weights.shape");
    refused!(|raw| raw.shape = Some(vec![2, 0]), Error::Shape { .. }, "weights.shape");
    refused!(|raw| raw.shape = Some(vec![65_536; 2]), Error::Shape { .. }, "u32");
    refused!(|raw| raw.shape = Some(vec![4, 1]), Error::Shape { .. }, "the weights expect 1");
    refused!(|raw| raw.input_shape = vec![1, 2, 1], Error::Shape { .. }, "expected 2 dimensions");
    refused!(
        |raw| raw.input_shape = vec![3, 2],
        Error::ShapeMismatch { .. },
        "[1, 2], found [3, 2]"
    );
}

#[test]
fn numbers_that_break_the_arithmetic_are_named() {
    refused!(|raw| raw.scale = vec![0.5; 3], Error::Count { expected: 2, found: 3, .. }, "scale");
    refused!(|raw| raw.scale = vec![1.0, -0.5], Error::Number { index: 1, .. }, "weights.scale");
    let overflow = |raw: &mut Raw| (raw.scale, raw.value.1) = (vec![1e20], 1e-20);
    refused!(overflow, Error::Number { index: 0, .. }, "output scale");
    let underflow = |raw: &mut Raw| (raw.scale, raw.value.1) = (vec![1e-30], 1e30);
    refused!(underflow, Error::Number { index: 0, .. }, "output scale");
}

#[test]
fn outputs_that_are_no_values_are_named() {
    refused!(|raw| raw.outputs = Some(vec![]), Error::Count { found: 0, .. }, "outputs");
    refused!(
        |raw| raw.outputs = Some(vec![2]),
        Error::ValueId { limit: 2, found: 2, .. },
        "outputs"
    );
}

#[test]
fn normalizations_that_divide_by_nothing_are_named() {
    let numbers = |mean: &[f32], std: &[f32]| {
        let numbers = (mean.to_vec(), std.to_vec());
        move |raw: &mut Raw| raw.normalization = Some(numbers.clone())
    };
    refused!(numbers(&[0.0], &[1.0, 0.0]), Error::Number { index: 1, .. }, "normalization.std");
    refused!(numbers(&[f32::NAN], &[1.0]), Error::Number { index: 0, .. }, "normalization.mean");
    refused!(numbers(&[0.0; 3], &[1.0]), Error::Count { expected: 2, found: 3, .. }, "mean");
    refused!(numbers(&[0.0], &[]), Error::Count { found: 0, .. }, "normalization.std");
}

/// An i8 input with zero point 0 reaches 128 from it; the sum of 2^24 - 1 weights of 1 and the bias meet the limit exactly.
#[test]
fn accumulators_may_reach_the_limit_and_not_pass_it() {
    const INPUTS: u32 = (1 << 17) - 1;
    let model = |bias: i32| Raw {
        input_shape: vec![1, INPUTS],
        shape: Some(vec![2, INPUTS]),
        packing: Packing::Dense([vec![1; INPUTS as usize], vec![0x80; INPUTS as usize]].concat()),
        bias: Some(Bias {
            dtype: 5,
            shape: None,
            scale: vec![],
            data: [0, bias].map(i32::to_le_bytes).concat(),
        }),
        ..Raw::default()
    };
    // 128 * 128 * (2^17 - 1) = 2^31 - 2^14
    let room = (1 << 14) - 1;
    for bias in [room, -room] {
        assert!(ModelView::open(&model(bias).bytes()).is_ok());
    }
    for bias in [room + 1, -room - 1] {
        let error = ModelView::open(&model(bias).bytes()).unwrap_err();
        assert!(
            matches!(error, Error::Accumulator { channel: 1, worst: 0x8000_0000, .. }),
            "{error}"
        );
    }
}

#[test]
fn the_writer_refuses_what_it_cannot_write() {
    let refusal = |alter: &dyn Fn(&mut penjing_format::write::FullyConnected)| {
        let mut model = common::small_f32();
        let Op::FullyConnected(op) = &mut model.nodes[1].op else { panic!("node 1 is dense") };
        alter(op);
        model.to_bytes(PackingChoice::Auto).unwrap_err()
    };
    let float = |op: &mut penjing_format::write::FullyConnected, found| {
        let shape = op.weights.shape;
        let mut data = vec![1.0; 12];
        data[7] = found;
        op.weights = penjing_format::write::Constant::f32(shape, data);
    };
    let error = refusal(&|op| float(op, f32::NEG_INFINITY));
    assert!(matches!(error, WriteError::NotFinite { node: 1, field: "weights", index: 7, .. }));
    assert!(matches!(refusal(&|op| float(op, f32::NAN)), WriteError::NotFinite { .. }));
    let error = refusal(&|op| op.weights.shape = [2, 5].into());
    assert!(matches!(error, WriteError::DataLength { expected: 10, found: 12, .. }), "{error}");

    let mut model = common::small_int8();
    let Op::MaxPool2d(op) = &mut model.nodes[1].op else { panic!("node 1 is a pool") };
    op.stride[0] = 65_536;
    let error = model.to_bytes(PackingChoice::Auto).unwrap_err();
    assert!(matches!(error, WriteError::TooLarge { limit: 65_535, found: 65_536, .. }), "{error}");
    assert!(error.to_string().starts_with("node 1, stride_h"), "{error}");
}
