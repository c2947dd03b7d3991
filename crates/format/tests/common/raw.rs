//! Files that our writer cannot make, built with flatc's code: one node with every field open. Not a test itself.

use super::file::finish;
use flatbuffers::{FlatBufferBuilder, WIPOffset};
use penjing_format::write::generated::penjing as flatc;
use penjing_format::{Error, ModelView};

pub(crate) const F32: u8 = 1;
pub(crate) const I8: u8 = 2;
pub(crate) const U8: u8 = 3;

pub(crate) const MAX_POOL_2D: u8 = 2;
pub(crate) const FULLY_CONNECTED: u8 = 3;
pub(crate) const RESHAPE: u8 = 4;
pub(crate) const QUANTIZE: u8 = 5;
pub(crate) const DEQUANTIZE: u8 = 6;
pub(crate) const DEPTHWISE_CONV_2D: u8 = 7;
pub(crate) const AVERAGE_POOL_2D: u8 = 8;
pub(crate) const MEAN: u8 = 9;
pub(crate) const ADD: u8 = 10;
pub(crate) const MUL: u8 = 11;
pub(crate) const PAD: u8 = 12;
pub(crate) const CONCAT: u8 = 13;
pub(crate) const RELU: u8 = 14;
pub(crate) const SOFTMAX: u8 = 15;
pub(crate) const LOGISTIC: u8 = 16;
pub(crate) const TANH: u8 = 17;

pub(crate) const DENSE: u8 = 0;
pub(crate) const BITMAP: u8 = 1;
pub(crate) const GROUPS: u8 = 2;
pub(crate) const GAPS: u8 = 3;
pub(crate) const N_OF_M: u8 = 4;
pub(crate) const BLOCKS: u8 = 5;
pub(crate) const COLUMNS: u8 = 6;
pub(crate) const CODED: u8 = 7;

type Builder = FlatBufferBuilder<'static>;

/// One fully connected node, `[2]` of i8 by `[2, 2]` of i8.
pub(crate) struct Raw {
    pub(crate) input_dtype: u8,
    pub(crate) input_scale: f32,
    pub(crate) input_shape: Option<Vec<u32>>,
    pub(crate) op: u8,
    pub(crate) activation: u8,
    pub(crate) weights: Option<RawWeights>,
    pub(crate) bias: Option<Vec<u8>>,
    /// A window of this size, down and across, with this dilation down; 0, 0 and 1 are the usual ones.
    pub(crate) window: Option<[u16; 3]>,
    pub(crate) target: Option<Vec<i32>>,
    /// Values that the node reads.
    pub(crate) inputs: Option<Vec<u16>>,
    /// Type, scale and zero point of its value.
    pub(crate) value: (u8, f32, i16),
    pub(crate) shape: Option<Vec<u32>>,
    /// How often the node occurs.
    pub(crate) nodes: usize,
    pub(crate) outputs: Option<Vec<u16>>,
    pub(crate) normalization: Option<(Vec<f32>, Vec<f32>)>,
    pub(crate) format_version: u16,
}

pub(crate) struct RawWeights {
    pub(crate) values: Option<Vec<u8>>,
    pub(crate) scale: Vec<f32>,
    pub(crate) out_channels: u32,
    pub(crate) packing: u8,
    pub(crate) index: Option<Vec<u8>>,
    pub(crate) value_bits: u8,
    pub(crate) group: u8,
    pub(crate) gap_bits: u8,
    pub(crate) kept: u8,
    pub(crate) no_zero: bool,
    pub(crate) period: u16,
    pub(crate) stored: u32,
    pub(crate) zero_point: i16,
}

impl Default for RawWeights {
    fn default() -> Self {
        Self {
            values: Some(vec![1, 2, 3, 4]),
            scale: vec![0.5],
            out_channels: 2,
            packing: DENSE,
            index: None,
            value_bits: 0,
            group: 4,
            gap_bits: 3,
            kept: 2,
            no_zero: false,
            period: 0,
            stored: 0,
            zero_point: 0,
        }
    }
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            input_dtype: I8,
            input_scale: 1.0,
            input_shape: Some(vec![2]),
            op: FULLY_CONNECTED,
            activation: 0,
            weights: Some(RawWeights::default()),
            bias: None,
            window: None,
            target: None,
            inputs: None,
            value: (I8, 0.25, -1),
            shape: None,
            nodes: 1,
            outputs: None,
            normalization: None,
            format_version: 1,
        }
    }
}

impl RawWeights {
    fn build(&self, fbb: &mut Builder) -> WIPOffset<flatc::Weights<'static>> {
        let args = flatc::WeightsArgs {
            values: self.values.as_ref().map(|values| fbb.create_vector(values)),
            scale: (!self.scale.is_empty()).then(|| fbb.create_vector(&self.scale)),
            out_channels: self.out_channels,
            packing: flatc::Packing(self.packing),
            index: self.index.as_ref().map(|index| fbb.create_vector(index)),
            value_bits: self.value_bits,
            group: self.group,
            gap_bits: self.gap_bits,
            kept: self.kept,
            no_zero: self.no_zero,
            period: self.period,
            stored: self.stored,
            zero_point: self.zero_point,
        };
        WIPOffset::new(flatc::Weights::create(fbb, &args).value())
    }
}

impl Raw {
    /// The weights, which must be there.
    pub(crate) fn weights(&mut self) -> &mut RawWeights {
        self.weights.as_mut().unwrap()
    }

    /// Another op, without weights.
    pub(crate) fn plain(&mut self, op: u8) {
        (self.op, self.weights) = (op, None);
    }

    fn node(&self, fbb: &mut Builder) -> WIPOffset<flatc::Node<'static>> {
        let weights = self.weights.as_ref().map(|weights| weights.build(fbb));
        let window = self.window.map(|[size_h, size_w, dilation_h]| {
            let usual = flatc::WindowArgs::default();
            let args = flatc::WindowArgs { size_h, size_w, dilation_h, ..usual };
            flatc::Window::create(fbb, &args)
        });
        let (dtype, scale, zero_point) = self.value;
        let args = flatc::NodeArgs {
            op: flatc::Op(self.op),
            scale,
            zero_point,
            weights,
            bias: self.bias.as_ref().map(|bias| fbb.create_vector(bias)),
            activation: flatc::Activation(self.activation),
            window,
            dtype: flatc::DataType(dtype),
            shape: self.shape.as_ref().map(|shape| fbb.create_vector(shape)),
            target: self.target.as_ref().map(|target| fbb.create_vector(target)),
            inputs: self.inputs.as_ref().map(|inputs| fbb.create_vector(inputs)),
            ..flatc::NodeArgs::default()
        };
        WIPOffset::new(flatc::Node::create(fbb, &args).value())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let fbb = &mut FlatBufferBuilder::new();
        let node = self.node(fbb);
        let nodes = fbb.create_vector(&vec![node; self.nodes]);
        let args = flatc::ValueArgs {
            dtype: flatc::DataType(self.input_dtype),
            scale: self.input_scale,
            shape: self.input_shape.as_ref().map(|shape| fbb.create_vector(shape)),
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
            format_version: self.format_version,
            ..flatc::ModelArgs::default()
        };
        finish(fbb, &args)
    }
}

/// The refusal of a file that is wrong in one way; its layout is sound.
pub(crate) fn refusal(alter: impl Fn(&mut Raw)) -> Error {
    let mut raw = Raw::default();
    alter(&mut raw);
    let bytes = raw.bytes();
    ModelView::open_structure(&bytes).expect("the layout is sound");
    ModelView::open(&bytes).expect_err("the file means nothing")
}

/// Asserts the error's variant and words of its message.
#[macro_export]
macro_rules! refused {
    ($alter:expr, $variant:pat, $words:expr) => {
        let error = common::raw::refusal($alter);
        assert!(matches!(error, $variant), "{error:?}");
        assert!(error.to_string().contains($words), "{error}");
    };
}
