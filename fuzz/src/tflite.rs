//! Builds `.tflite` files of a few operators, for the seeds of the target `import`. What the operators are is `seeds_import`'s.

use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use penjing_convert::tflite::generated as fb;

use crate::tflite_options::write_options;

pub(crate) use fb::{
    ActivationFunctionType as Fused, BuiltinOperator as Code, Padding, TensorType,
};

pub(crate) type Builder = FlatBufferBuilder<'static>;

/// A tensor of the file. Data makes it a constant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<i32>,
    /// -1 where a dimension is open; none where it is empty.
    pub(crate) signature: Vec<i32>,
    pub(crate) dtype: TensorType,
    pub(crate) scales: Vec<f32>,
    pub(crate) zero_points: Vec<i64>,
    pub(crate) axis: i32,
    pub(crate) data: Vec<u8>,
    pub(crate) sparsity: Option<Sparsity>,
}

/// How a constant is sparse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sparsity {
    pub(crate) order: Vec<i32>,
    pub(crate) blocks: Vec<i32>,
    pub(crate) levels: Vec<Level>,
}

/// One dimension of a sparse constant.
#[derive(Clone, Debug)]
pub(crate) enum Level {
    Dense(i32),
    /// Segments and indices in vectors of 1, 2 or 4 bytes a number.
    Csr(Vec<i32>, Vec<i32>, u8),
}

impl Tensor {
    /// A value of reals.
    pub(crate) fn f32(name: &str, dims: &[i32]) -> Self {
        Self { name: name.into(), dims: dims.into(), ..Self::default() }
    }

    /// A value of int8 on a grid.
    pub(crate) fn i8(name: &str, dims: &[i32], scale: f32, zero_point: i64) -> Self {
        Self {
            dtype: TensorType::INT8,
            scales: vec![scale],
            zero_points: vec![zero_point],
            ..Self::f32(name, dims)
        }
    }

    /// A constant of reals.
    pub(crate) fn reals(name: &str, dims: &[i32], reals: &[f32]) -> Self {
        let data = reals.iter().flat_map(|real| real.to_le_bytes()).collect();
        Self { data, ..Self::f32(name, dims) }
    }

    /// A constant of int8 weights.
    pub(crate) fn codes(name: &str, dims: &[i32], scales: &[f32], codes: &[i8]) -> Self {
        let data = codes.iter().map(|code| code.cast_unsigned()).collect();
        let zero_points = vec![0; scales.len()];
        let scales = scales.into();
        Self { dtype: TensorType::INT8, scales, zero_points, data, ..Self::f32(name, dims) }
    }

    /// A constant of integers: a bias or a shape.
    pub(crate) fn ints(name: &str, dims: &[i32], ints: &[i32]) -> Self {
        let data = ints.iter().flat_map(|int| int.to_le_bytes()).collect();
        Self { dtype: TensorType::INT32, data, ..Self::f32(name, dims) }
    }

    /// A value of integers that shapes are computed with.
    pub(crate) fn shape(name: &str, dims: &[i32]) -> Self {
        Self { dtype: TensorType::INT32, ..Self::f32(name, dims) }
    }
}

/// What an operator says beside its tensors.
#[derive(Clone, Debug)]
pub(crate) enum Options {
    None,
    Conv {
        padding: Padding,
        stride: [i32; 2],
        dilation: [i32; 2],
        fused: Fused,
    },
    Depthwise {
        padding: Padding,
        stride: [i32; 2],
        multiplier: i32,
        fused: Fused,
    },
    Pool {
        padding: Padding,
        stride: [i32; 2],
        window: [i32; 2],
        fused: Fused,
    },
    Dense {
        fused: Fused,
        format: i8,
        keep: bool,
    },
    Softmax(f32),
    Concat(i32, Fused),
    Add(Fused),
    Mul(Fused),
    Sub(Fused),
    Div(Fused),
    Reshape(Vec<i32>),
    Reduce(bool),
    Squeeze(Vec<i32>),
    Gather(i32),
    /// begin, end, ellipsis, new axis, shrink axis.
    Slice([i32; 5]),
    Pack(i32),
}

/// A convolution of stride 1.
pub(crate) fn conv(padding: Padding, fused: Fused) -> Options {
    Options::Conv { padding, stride: [1, 1], dilation: [1, 1], fused }
}

/// A dense layer without an activation.
pub(crate) fn dense() -> Options {
    Options::Dense { fused: Fused::NONE, format: 0, keep: false }
}

/// One operator.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) code: Code,
    pub(crate) inputs: Vec<i32>,
    pub(crate) outputs: Vec<i32>,
    pub(crate) options: Options,
}

/// A file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Net {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) operators: Vec<Operator>,
    pub(crate) inputs: Vec<i32>,
    pub(crate) outputs: Vec<i32>,
    /// What the signature calls inputs and outputs; no signature where it is empty.
    pub(crate) signature: Vec<(String, u32)>,
}

impl Net {
    /// Tensors and operators so far none; the first tensor is the input.
    pub(crate) fn of(input: Tensor) -> Self {
        Self { tensors: vec![input], inputs: vec![0], ..Self::default() }
    }

    /// The number of a tensor that is added.
    pub(crate) fn tensor(&mut self, tensor: Tensor) -> i32 {
        self.tensors.push(tensor);
        self.tensors.len() as i32 - 1
    }

    /// Adds an operator whose one result is a new tensor, and that the network's output.
    pub(crate) fn op(&mut self, code: Code, inputs: &[i32], options: Options, out: Tensor) -> i32 {
        let out = self.tensor(out);
        let (inputs, outputs) = (inputs.into(), vec![out]);
        self.operators.push(Operator { code, inputs, outputs, options });
        self.outputs = vec![out];
        out
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let b = &mut Builder::new();
        let mut buffers = vec![fb::Buffer::create(b, &fb::BufferArgs::default())];
        let mut tensors = Vec::new();
        for tensor in &self.tensors {
            let mut number = 0;
            if !tensor.data.is_empty() {
                number = buffers.len() as u32;
                let data = Some(b.create_vector(&tensor.data));
                buffers.push(fb::Buffer::create(b, &fb::BufferArgs { data, offset: 0, size: 0 }));
            }
            tensors.push(write_tensor(b, tensor, number));
        }
        let mut codes = Vec::new();
        let mut operators = Vec::new();
        for (index, operator) in self.operators.iter().enumerate() {
            codes.push(write_code(b, operator));
            operators.push(write_operator(b, operator, index as u32));
        }
        let graph = fb::SubGraphArgs {
            tensors: Some(b.create_vector(&tensors)),
            inputs: Some(b.create_vector(&self.inputs)),
            outputs: Some(b.create_vector(&self.outputs)),
            operators: Some(b.create_vector(&operators)),
            name: None,
        };
        let graph = fb::SubGraph::create(b, &graph);
        let signature = (!self.signature.is_empty()).then(|| self.write_signature(b));
        let model = fb::ModelArgs {
            version: 3,
            operator_codes: Some(b.create_vector(&codes)),
            subgraphs: Some(b.create_vector(&[graph])),
            buffers: Some(b.create_vector(&buffers)),
            signature_defs: signature.map(|signature| b.create_vector(&[signature])),
        };
        let model = fb::Model::create(b, &model);
        fb::finish_model_buffer(b, model);
        b.finished_data().to_vec()
    }

    fn write_signature(&self, b: &mut Builder) -> WIPOffset<fb::SignatureDef<'static>> {
        let mut entries = Vec::new();
        for (name, tensor_index) in &self.signature {
            let name = Some(b.create_string(name));
            entries.push(fb::TensorMap::create(
                b,
                &fb::TensorMapArgs { name, tensor_index: *tensor_index },
            ));
        }
        let args = fb::SignatureDefArgs {
            inputs: Some(b.create_vector(&entries)),
            outputs: Some(b.create_vector(&entries)),
            signature_key: Some(b.create_string("serving_default")),
            subgraph_index: 0,
        };
        fb::SignatureDef::create(b, &args)
    }
}

fn write_tensor(b: &mut Builder, tensor: &Tensor, buffer: u32) -> WIPOffset<fb::Tensor<'static>> {
    let quantized = !tensor.scales.is_empty();
    let quantization = quantized.then(|| {
        let args = fb::QuantizationParametersArgs {
            scale: Some(b.create_vector(&tensor.scales)),
            zero_point: Some(b.create_vector(&tensor.zero_points)),
            details_type: 0,
            quantized_dimension: tensor.axis,
        };
        fb::QuantizationParameters::create(b, &args)
    });
    let sparsity = tensor.sparsity.as_ref().map(|sparsity| write_sparsity(b, sparsity));
    let args = fb::TensorArgs {
        shape: Some(b.create_vector(&tensor.dims)),
        type_: tensor.dtype,
        buffer,
        name: Some(b.create_string(&tensor.name)),
        quantization,
        is_variable: false,
        sparsity,
        shape_signature: (!tensor.signature.is_empty()).then(|| b.create_vector(&tensor.signature)),
    };
    fb::Tensor::create(b, &args)
}

fn write_sparsity(
    b: &mut Builder,
    sparsity: &Sparsity,
) -> WIPOffset<fb::SparsityParameters<'static>> {
    let mut levels = Vec::new();
    for level in &sparsity.levels {
        let mut args = fb::DimensionMetadataArgs::default();
        match level {
            Level::Dense(size) => args.dense_size = *size,
            Level::Csr(segments, indices, width) => {
                args.format = fb::DimensionType::SPARSE_CSR;
                let segments = write_indices(b, segments, *width);
                args.array_segments_type = segments.0;
                args.array_segments = Some(segments.1);
                let indices = write_indices(b, indices, *width);
                args.array_indices_type = indices.0;
                args.array_indices = Some(indices.1);
            }
        }
        levels.push(fb::DimensionMetadata::create(b, &args));
    }
    let args = fb::SparsityParametersArgs {
        traversal_order: Some(b.create_vector(&sparsity.order)),
        block_map: (!sparsity.blocks.is_empty()).then(|| b.create_vector(&sparsity.blocks)),
        dim_metadata: Some(b.create_vector(&levels)),
    };
    fb::SparsityParameters::create(b, &args)
}

fn write_indices(
    b: &mut Builder,
    numbers: &[i32],
    width: u8,
) -> (fb::SparseIndexVector, WIPOffset<UnionWIPOffset>) {
    use fb::SparseIndexVector as Kind;
    match width {
        1 => {
            let numbers: Vec<u8> = numbers.iter().map(|&n| n as u8).collect();
            let values = Some(b.create_vector(&numbers));
            let vector = fb::Uint8Vector::create(b, &fb::Uint8VectorArgs { values });
            (Kind::Uint8Vector, vector.as_union_value())
        }
        2 => {
            let numbers: Vec<u16> = numbers.iter().map(|&n| n as u16).collect();
            let values = Some(b.create_vector(&numbers));
            let vector = fb::Uint16Vector::create(b, &fb::Uint16VectorArgs { values });
            (Kind::Uint16Vector, vector.as_union_value())
        }
        _ => {
            let values = Some(b.create_vector(numbers));
            let vector = fb::Int32Vector::create(b, &fb::Int32VectorArgs { values });
            (Kind::Int32Vector, vector.as_union_value())
        }
    }
}

fn write_code(b: &mut Builder, operator: &Operator) -> WIPOffset<fb::OperatorCode<'static>> {
    let args = fb::OperatorCodeArgs {
        // as TFLite writes it: 127 stands for what does not fit
        deprecated_builtin_code: operator.code.0.min(127) as i8,
        custom_code: None,
        version: 1,
        builtin_code: operator.code,
    };
    fb::OperatorCode::create(b, &args)
}

fn write_operator(
    b: &mut Builder,
    operator: &Operator,
    opcode_index: u32,
) -> WIPOffset<fb::Operator<'static>> {
    let (builtin_options_type, builtin_options) = write_options(b, &operator.options);
    let args = fb::OperatorArgs {
        opcode_index,
        inputs: Some(b.create_vector(&operator.inputs)),
        outputs: Some(b.create_vector(&operator.outputs)),
        builtin_options_type,
        builtin_options,
    };
    fb::Operator::create(b, &args)
}
