//! Small TFLite files, described field by field and written by flatc's code, and where the shared files lie. A description may
//! be wrong in any way: tests change one field of a sound one. It does not read what it wrote.
#![allow(dead_code, reason = "each test binary compiles this file and uses a part of it")]

pub(crate) mod nets;
#[rustfmt::skip]
#[allow(unsafe_code, unreachable_pub, unused_imports, rust_2018_idioms, mismatched_lifetime_syntaxes)]
#[allow(deprecated, unsafe_op_in_unsafe_fn, clippy::all, clippy::undocumented_unsafe_blocks)]
#[path = "../../src/frontend/tflite/generated/tflite.rs"]
mod written;

use std::path::PathBuf;

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

pub(crate) use written::tflite as fb;

/// Writes an operator's options.
pub(crate) type Options = Box<dyn Fn(&mut FlatBufferBuilder<'_>) -> WIPOffset<UnionWIPOffset>>;

/// What a signature calls tensors.
pub(crate) type Names = Vec<(&'static str, u32)>;

/// A file of one network.
pub(crate) struct Net {
    pub(crate) version: u32,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) operators: Vec<Operator>,
    pub(crate) inputs: Vec<i32>,
    pub(crate) outputs: Vec<i32>,
    /// Key, then names of inputs and of outputs with their tensors.
    pub(crate) signatures: Vec<(&'static str, Names, Names)>,
    /// Where the first buffer's data is said to be.
    pub(crate) offset: u64,
}

/// A tensor with the data that it has.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: &'static str,
    pub(crate) shape: Vec<i32>,
    pub(crate) signature: Vec<i32>,
    pub(crate) dtype: fb::TensorType,
    pub(crate) data: Vec<u8>,
    pub(crate) scales: Vec<f32>,
    pub(crate) zero_points: Vec<i64>,
    pub(crate) axis: i32,
    pub(crate) sparsity: Option<Sparsity>,
}

/// A sparse tensor's tree.
#[derive(Clone)]
pub(crate) struct Sparsity {
    pub(crate) order: Vec<i32>,
    pub(crate) block_map: Vec<i32>,
    pub(crate) levels: Vec<Level>,
}

/// A level of it, by the width of its vectors.
#[derive(Clone)]
pub(crate) enum Level {
    Dense(i32),
    Csr8(Vec<u8>, Vec<u8>),
    Csr16(Vec<u16>, Vec<u16>),
    Csr32(Vec<i32>, Vec<i32>),
}

/// An operator; a custom one has a name.
pub(crate) struct Operator {
    pub(crate) code: i32,
    pub(crate) custom: Option<&'static str>,
    pub(crate) inputs: Vec<i32>,
    pub(crate) outputs: Vec<i32>,
    pub(crate) options: Option<(fb::BuiltinOptions, Options)>,
}

impl Tensor {
    /// A float32 tensor without data.
    pub(crate) fn f32(shape: &[i32]) -> Self {
        Self {
            name: "value",
            shape: shape.to_vec(),
            signature: Vec::new(),
            dtype: fb::TensorType::FLOAT32,
            data: Vec::new(),
            scales: Vec::new(),
            zero_points: Vec::new(),
            axis: 0,
            sparsity: None,
        }
    }

    /// An int8 tensor without data.
    pub(crate) fn i8(shape: &[i32], scale: f32, zero_point: i64) -> Self {
        let dtype = fb::TensorType::INT8;
        Self { dtype, scales: vec![scale], zero_points: vec![zero_point], ..Self::f32(shape) }
    }

    /// A float32 constant.
    pub(crate) fn reals(shape: &[i32], data: &[f32]) -> Self {
        let data = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { data, name: "constant", ..Self::f32(shape) }
    }

    /// An int8 constant.
    pub(crate) fn codes(shape: &[i32], data: &[i8], scales: &[f32]) -> Self {
        let data = data.iter().map(|x| x.cast_unsigned()).collect();
        let (scales, zero_points) = (scales.to_vec(), vec![0; scales.len()]);
        let dtype = fb::TensorType::INT8;
        Self { data, scales, zero_points, dtype, name: "constant", ..Self::f32(shape) }
    }

    /// An int32 constant.
    pub(crate) fn ints(shape: &[i32], data: &[i32]) -> Self {
        let data = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { data, dtype: fb::TensorType::INT32, name: "constant", ..Self::f32(shape) }
    }
}

impl Operator {
    /// An operator without options.
    pub(crate) fn new(code: fb::BuiltinOperator, inputs: &[i32], outputs: &[i32]) -> Self {
        let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
        Self { code: code.0, custom: None, inputs, outputs, options: None }
    }

    /// The same with options.
    pub(crate) fn with(
        self,
        kind: fb::BuiltinOptions,
        options: impl Fn(&mut FlatBufferBuilder<'_>) -> WIPOffset<UnionWIPOffset> + 'static,
    ) -> Self {
        Self { options: Some((kind, Box::new(options))), ..self }
    }
}

impl Net {
    /// A network of these tensors and operators.
    pub(crate) fn new(
        tensors: Vec<Tensor>,
        operators: Vec<Operator>,
        inputs: &[i32],
        outputs: &[i32],
    ) -> Self {
        let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
        Self { version: 3, tensors, operators, inputs, outputs, signatures: Vec::new(), offset: 0 }
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut to = FlatBufferBuilder::new();
        let empty = fb::Buffer::create(&mut to, &fb::BufferArgs::default());
        let mut buffers = vec![empty];
        let mut tensors = Vec::new();
        for tensor in &self.tensors {
            let buffer = if tensor.data.is_empty() { 0 } else { buffers.len() as u32 };
            if buffer > 0 {
                let data = Some(to.create_vector(&tensor.data));
                let offset = if buffer == 1 { self.offset } else { 0 };
                let args = fb::BufferArgs { data, offset, size: offset };
                buffers.push(fb::Buffer::create(&mut to, &args));
            }
            tensors.push(tensor.write(&mut to, buffer));
        }
        let (mut codes, mut operators) = (Vec::new(), Vec::new());
        for (index, operator) in self.operators.iter().enumerate() {
            codes.push(operator.write_code(&mut to));
            operators.push(operator.write(&mut to, index as u32));
        }
        let graph = fb::SubGraphArgs {
            tensors: Some(to.create_vector(&tensors)),
            inputs: Some(to.create_vector(&self.inputs)),
            outputs: Some(to.create_vector(&self.outputs)),
            operators: Some(to.create_vector(&operators)),
            name: None,
        };
        let graph = fb::SubGraph::create(&mut to, &graph);
        let signatures = self.write_signatures(&mut to);
        let model = fb::ModelArgs {
            version: self.version,
            operator_codes: Some(to.create_vector(&codes)),
            subgraphs: Some(to.create_vector(&[graph])),
            buffers: Some(to.create_vector(&buffers)),
            signature_defs: Some(to.create_vector(&signatures)),
        };
        let model = fb::Model::create(&mut to, &model);
        fb::finish_model_buffer(&mut to, model);
        to.finished_data().to_vec()
    }

    fn write_signatures<'a>(
        &self,
        to: &mut FlatBufferBuilder<'a>,
    ) -> Vec<WIPOffset<fb::SignatureDef<'a>>> {
        let mut signatures = Vec::new();
        for (key, inputs, outputs) in &self.signatures {
            let [inputs, outputs] = [inputs, outputs].map(|maps| {
                let mut entries = Vec::new();
                for &(name, tensor_index) in maps {
                    let name = Some(to.create_string(name));
                    let args = fb::TensorMapArgs { name, tensor_index };
                    entries.push(fb::TensorMap::create(to, &args));
                }
                Some(to.create_vector(&entries))
            });
            let signature_key = Some(to.create_string(key));
            let args = fb::SignatureDefArgs { inputs, outputs, signature_key, subgraph_index: 0 };
            signatures.push(fb::SignatureDef::create(to, &args));
        }
        signatures
    }
}

impl Tensor {
    fn write<'a>(&self, to: &mut FlatBufferBuilder<'a>, buffer: u32) -> WIPOffset<fb::Tensor<'a>> {
        let quantization = fb::QuantizationParametersArgs {
            scale: Some(to.create_vector(&self.scales)),
            zero_point: Some(to.create_vector(&self.zero_points)),
            details_type: 0,
            quantized_dimension: self.axis,
        };
        let quantization = fb::QuantizationParameters::create(to, &quantization);
        let sparsity = self.sparsity.as_ref().map(|sparsity| sparsity.write(to));
        let signature = (!self.signature.is_empty()).then(|| to.create_vector(&self.signature));
        let args = fb::TensorArgs {
            shape: Some(to.create_vector(&self.shape)),
            type_: self.dtype,
            buffer,
            name: Some(to.create_string(self.name)),
            quantization: Some(quantization),
            is_variable: false,
            sparsity,
            shape_signature: signature,
        };
        fb::Tensor::create(to, &args)
    }
}

impl Sparsity {
    fn write<'a>(&self, to: &mut FlatBufferBuilder<'a>) -> WIPOffset<fb::SparsityParameters<'a>> {
        let levels: Vec<_> = self.levels.iter().map(|level| level.write(to)).collect();
        let args = fb::SparsityParametersArgs {
            traversal_order: Some(to.create_vector(&self.order)),
            block_map: Some(to.create_vector(&self.block_map)),
            dim_metadata: Some(to.create_vector(&levels)),
        };
        fb::SparsityParameters::create(to, &args)
    }
}

impl Level {
    fn write<'a>(&self, to: &mut FlatBufferBuilder<'a>) -> WIPOffset<fb::DimensionMetadata<'a>> {
        let (kind, [segments, indices]) = match self {
            Self::Dense(dense_size) => {
                let args =
                    fb::DimensionMetadataArgs { dense_size: *dense_size, ..Default::default() };
                return fb::DimensionMetadata::create(to, &args);
            }
            Self::Csr8(segments, indices) => {
                let vectors = [segments, indices].map(|values| {
                    let values = Some(to.create_vector(values));
                    fb::Uint8Vector::create(to, &fb::Uint8VectorArgs { values }).as_union_value()
                });
                (fb::SparseIndexVector::Uint8Vector, vectors)
            }
            Self::Csr16(segments, indices) => {
                let vectors = [segments, indices].map(|values| {
                    let values = Some(to.create_vector(values));
                    fb::Uint16Vector::create(to, &fb::Uint16VectorArgs { values }).as_union_value()
                });
                (fb::SparseIndexVector::Uint16Vector, vectors)
            }
            Self::Csr32(segments, indices) => {
                let vectors = [segments, indices].map(|values| {
                    let values = Some(to.create_vector(values));
                    fb::Int32Vector::create(to, &fb::Int32VectorArgs { values }).as_union_value()
                });
                (fb::SparseIndexVector::Int32Vector, vectors)
            }
        };
        let args = fb::DimensionMetadataArgs {
            format: fb::DimensionType::SPARSE_CSR,
            dense_size: 0,
            array_segments_type: kind,
            array_segments: Some(segments),
            array_indices_type: kind,
            array_indices: Some(indices),
        };
        fb::DimensionMetadata::create(to, &args)
    }
}

impl Operator {
    fn write_code<'a>(&self, to: &mut FlatBufferBuilder<'a>) -> WIPOffset<fb::OperatorCode<'a>> {
        let args = fb::OperatorCodeArgs {
            deprecated_builtin_code: self.code.clamp(0, 127) as i8,
            custom_code: self.custom.map(|name| to.create_string(name)),
            version: 1,
            builtin_code: fb::BuiltinOperator(self.code),
        };
        fb::OperatorCode::create(to, &args)
    }

    fn write<'a>(
        &self,
        to: &mut FlatBufferBuilder<'a>,
        opcode_index: u32,
    ) -> WIPOffset<fb::Operator<'a>> {
        let mut args = fb::OperatorArgs { opcode_index, ..Default::default() };
        if let Some((kind, options)) = &self.options {
            args.builtin_options_type = *kind;
            args.builtin_options = Some(options(to));
        }
        args.inputs = Some(to.create_vector(&self.inputs));
        args.outputs = Some(to.create_vector(&self.outputs));
        fb::Operator::create(to, &args)
    }
}

/// The shared models; none, said aloud, where the folder is absent. `PENJING_REQUIRE_SHARED` makes that a failure.
pub(crate) fn shared_models() -> Vec<PathBuf> {
    let shared = std::env::var_os("PENJING_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let entries = std::fs::read_dir(shared.join("interop"));
    let Ok(entries) = entries else {
        let required = std::env::var_os("PENJING_REQUIRE_SHARED").is_some();
        assert!(!required, "no folder interop in {}", shared.display());
        eprintln!("SKIPPED: no folder interop in {}", shared.display());
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut models: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "tflite")).collect();
    models.sort();
    models
}
