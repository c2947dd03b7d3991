//! The file as flatbuffers has it: verified, its first subgraph, its tensors and operators by number, every number of a tensor
//! or an op code in range. What the operators mean is not looked at.

use flatbuffers::{ForwardsUOffset, Vector, VerifierOptions};

use super::error::{clean, list, malformed};
use super::generated as fb;
use super::ops::SUPPORTED;
use crate::frontend::ImportError;

/// Bytes of a file at most.
const MAX_BYTES: usize = 1 << 30;

/// Values of a model file are numbered by 16 bits.
const MAX_OPERATORS: usize = u16::MAX as usize;

/// Inputs of all operators together.
const MAX_EDGES: usize = 1 << 18;

/// What the verifier visits at most: an operator with its tensors, constants and options is a dozen tables.
const MAX_TABLES: usize = 1 << 19;

/// A verified file.
pub(super) struct File<'a> {
    /// Bytes of the file.
    pub(super) len: usize,
    /// The whole file.
    pub(super) model: fb::Model<'a>,
    /// The network.
    pub(super) graph: fb::SubGraph<'a>,
    /// In the order of the file.
    pub(super) operators: Vec<Operator<'a>>,
    tensors: Vector<'a, ForwardsUOffset<fb::Tensor<'a>>>,
}

/// One operator of the network.
pub(super) struct Operator<'a> {
    /// Its place in the file.
    pub(super) index: usize,
    /// Which.
    pub(super) code: fb::BuiltinOperator,
    /// The code's name.
    pub(super) op: &'static str,
    /// The name of its first output.
    pub(super) name: String,
    /// Tensors; `None` where an optional one is left out.
    pub(super) inputs: Vec<Option<usize>>,
    /// Tensors.
    pub(super) outputs: Vec<usize>,
    /// Where its options are.
    pub(super) table: fb::Operator<'a>,
}

impl<'a> File<'a> {
    /// Verifies the bytes and numbers what they hold.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImportError> {
        if bytes.len() > MAX_BYTES {
            return Err(malformed("file", format!("at most {MAX_BYTES} bytes"), bytes.len()));
        }
        let identifier = bytes.get(4..8).unwrap_or_default();
        if identifier != fb::MODEL_IDENTIFIER.as_bytes() {
            let found = format!("{:?}", String::from_utf8_lossy(identifier));
            return Err(malformed("file", "the identifier \"TFL3\" in bytes 4 to 7", found));
        }
        let options = VerifierOptions {
            max_depth: 16,
            max_tables: MAX_TABLES,
            max_apparent_size: bytes.len().saturating_mul(4).saturating_add(1 << 20),
            ignore_missing_null_terminator: true,
        };
        let model = fb::root_as_model_with_opts(&options, bytes)
            .map_err(|error| malformed("file", "a sound flatbuffer", one_line(&error)))?;
        if model.version() != 3 {
            return Err(malformed("version", "3", model.version()));
        }
        let graphs = model.subgraphs().filter(|graphs| !graphs.is_empty());
        let graphs = graphs.ok_or_else(|| malformed("subgraphs", "a network", "none"))?;
        let graph = graphs.get(0);
        let tensors = graph.tensors().unwrap_or_default();
        let mut file = Self { len: bytes.len(), model, graph, operators: Vec::new(), tensors };
        file.number_operators()?;
        Ok(file)
    }

    fn number_operators(&mut self) -> Result<(), ImportError> {
        let operators = self.graph.operators().unwrap_or_default();
        if operators.is_empty() || operators.len() > MAX_OPERATORS {
            let expected = format!("1 to {MAX_OPERATORS} operators");
            return Err(malformed("operators", expected, operators.len()));
        }
        let mut edges = 0;
        for (index, table) in operators.iter().enumerate() {
            let operator = self.operator(index, table)?;
            edges += operator.inputs.len() + operator.outputs.len();
            if edges > MAX_EDGES {
                let expected = format!("at most {MAX_EDGES} inputs and outputs in all");
                return Err(malformed("operators", expected, "more"));
            }
            self.operators.push(operator);
        }
        Ok(())
    }

    fn operator(&self, index: usize, table: fb::Operator<'a>) -> Result<Operator<'a>, ImportError> {
        let place = || format!("operator {index}");
        let codes = self.model.operator_codes().unwrap_or_default();
        let code_index = table.opcode_index() as usize;
        if code_index >= codes.len() {
            let expected = format!("a code below {}", codes.len());
            return Err(malformed(place(), expected, code_index));
        }
        let code = codes.get(code_index);
        let (inputs, outputs) = (table.inputs(), table.outputs());
        let inputs = inputs.iter().flatten().take(MAX_EDGES + 1).map(|tensor| match tensor {
            -1 => Ok(None),
            tensor => self.number(tensor, place).map(Some),
        });
        let outputs = outputs.iter().flatten().take(MAX_EDGES + 1);
        let outputs = outputs.map(|tensor| self.number(tensor, place));
        let (inputs, outputs): (Vec<_>, Vec<_>) =
            (inputs.collect::<Result<_, _>>()?, outputs.collect::<Result<_, _>>()?);
        let name = outputs.first().map_or_else(String::new, |&tensor| self.name(tensor));
        let number = code.builtin_code().0.max(i32::from(code.deprecated_builtin_code()));
        let code_name = fb::BuiltinOperator(number).variant_name();
        let op = match (code_name, code.custom_code()) {
            (Some(known), _) if super::ops::is_supported(fb::BuiltinOperator(number)) => known,
            (Some("CUSTOM"), Some(custom)) => {
                let op = format!("the custom op {}", clean(custom));
                return Err(ImportError::Op { node: index, name, op, supported: SUPPORTED });
            }
            (known, _) => {
                let op = known.map_or_else(|| format!("op number {number}"), str::to_owned);
                return Err(ImportError::Op { node: index, name, op, supported: SUPPORTED });
            }
        };
        let code = fb::BuiltinOperator(number);
        Ok(Operator { index, code, op, name, inputs, outputs, table })
    }

    /// A number of the file as one of a tensor.
    pub(super) fn number(
        &self,
        tensor: i32,
        place: impl Fn() -> String,
    ) -> Result<usize, ImportError> {
        let number = usize::try_from(tensor).ok().filter(|&number| number < self.tensors.len());
        number.ok_or_else(|| {
            malformed(place(), format!("a tensor below {}", self.tensors.len()), tensor)
        })
    }

    /// Number of tensors.
    pub(super) fn n_tensors(&self) -> usize {
        self.tensors.len()
    }

    /// The tensor of a number that [`Self::number`] gave.
    pub(super) fn tensor(&self, tensor: usize) -> fb::Tensor<'a> {
        self.tensors.get(tensor)
    }

    /// A tensor's name, cut to what people can use.
    pub(super) fn name(&self, tensor: usize) -> String {
        clean(self.tensor(tensor).name().unwrap_or_default())
    }

    /// A tensor's dimensions as stated, each at least 1.
    pub(super) fn dims(&self, tensor: usize) -> Result<Vec<u32>, ImportError> {
        let stated = self.tensor(tensor).shape().unwrap_or_default();
        let dims = stated.iter().take(9).map(|dim| u32::try_from(dim).ok().filter(|&dim| dim > 0));
        let dims: Option<Vec<u32>> = dims.collect();
        dims.filter(|dims| dims.len() <= 8).ok_or_else(|| ImportError::Tensor {
            tensor,
            name: self.name(tensor),
            field: "shape",
            expected: "at most 8 dimensions of at least 1".into(),
            found: list(stated.iter()),
        })
    }

    /// The bytes of a tensor's constant; `None` of a tensor that is computed.
    pub(super) fn data(&self, tensor: usize) -> Result<Option<&'a [u8]>, ImportError> {
        let number = self.tensor(tensor).buffer() as usize;
        let buffers = self.model.buffers().unwrap_or_default();
        if number == 0 {
            return Ok(None);
        }
        if number >= buffers.len() {
            let expected = format!("a buffer below {}", buffers.len());
            return Err(malformed(format!("tensor {tensor}"), expected, number));
        }
        let buffer = buffers.get(number);
        if buffer.offset() > 1 || buffer.size() > 1 {
            let name = self.name(tensor);
            let expected = "data inside the flatbuffer".into();
            let found = format!("data at byte {} of the file, behind it", buffer.offset());
            return Err(ImportError::Tensor { tensor, name, field: "buffer", expected, found });
        }
        Ok(buffer.data().map(|data| data.bytes()).filter(|data| !data.is_empty()))
    }
}

/// The verifier's message; it prints a trace over several lines.
fn one_line(error: &flatbuffers::InvalidFlatbuffer) -> String {
    let text = error.to_string();
    clean(text.lines().next().unwrap_or_default())
}
