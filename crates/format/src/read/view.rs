//! Typed, borrowed views of the model, its values and its nodes. Ops are in `ops`, inferred types in `walk`.

use super::check::{self, CodedWeights};
use super::layout;
use super::ops::Op;
use super::structure;
use super::table::{Defect, Numbers, Offsets, Table};
use super::walk::{TensorType, Walk};
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::infer::ShapeError;
use crate::shape::{MAX_RANK, Shape};
use crate::{FORMAT_VERSION, IDENTIFIER, hash, signature};
use penjing_quant::QuantParams;

/// A model in borrowed bytes.
///
/// Values (activation tensors) are numbered: the graph's inputs first, then each node's one result in order.
#[derive(Clone, Copy)]
pub struct ModelView<'a> {
    bytes: &'a [u8],
    root: Table<'a>,
}

impl<'a> ModelView<'a> {
    /// Checks all of a file once: content hash, layout, then meaning. Allocates nothing; takes time linear in the file's length.
    /// A signature at its end is passed over, neither asked for nor verified.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::open_as(bytes, CodedWeights::Refused)
    }

    /// As [`open`](Self::open), of a file that may have entropy-coded weights, whose elements remain unchecked. For tools that
    /// show a file as it lies; to use one, [`expand`](crate::expand()) it.
    pub fn open_coded(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::open_as(bytes, CodedWeights::PassedOver)
    }

    fn open_as(bytes: &'a [u8], coded: CodedWeights) -> Result<Self, Error> {
        let content = header(bytes)?;
        if let (Some(expected), Some(found)) = (hash::of(bytes), hash::stated(bytes))
            && expected != found
        {
            return Err(Error::Hash { expected, found });
        }
        let model = Self::layout(content)?;
        check::model(model, coded)?;
        Ok(model)
    }

    /// Checks the header and the layout alone, not the hash. For tools that look at files which mean nothing to this version.
    pub fn open_structure(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::layout(header(bytes)?)
    }

    fn layout(bytes: &'a [u8]) -> Result<Self, Error> {
        let defect = |defect: Defect| defect.of(Owner::Model);
        let root = Table::root(bytes).map_err(defect)?;
        let found = root.scalar(layout::model::FORMAT_VERSION, 1_u16).map_err(defect)?;
        if found > FORMAT_VERSION {
            return Err(Error::Version { expected: FORMAT_VERSION, found });
        }
        structure::check(root, bytes.len())?;
        Ok(Self { bytes, root })
    }

    /// A view of bytes that [`open`](Self::open) accepted before, without checking them again. Safe for any bytes: where
    /// they are broken, accessors return errors, `None` or defaults.
    #[must_use]
    pub fn assume_checked(bytes: &'a [u8]) -> Self {
        let bytes = signature::split(bytes).0;
        let root = Table::root(bytes).unwrap_or_else(|_| Table::empty(bytes));
        Self { bytes, root }
    }

    /// The file, without a signature that it may have.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The version of the format that a reader must know.
    #[must_use]
    pub fn format_version(&self) -> u16 {
        self.root.scalar(layout::model::FORMAT_VERSION, 1).unwrap_or(1)
    }

    /// What wrote the file.
    #[must_use]
    pub fn producer(&self) -> Option<&'a str> {
        self.root.string(layout::model::PRODUCER).ok().flatten()
    }

    /// Number of graph inputs.
    #[must_use]
    pub fn n_inputs(&self) -> usize {
        self.offsets(layout::model::INPUTS).map_or(0, |inputs| inputs.len())
    }

    /// Number of nodes.
    #[must_use]
    pub fn n_nodes(&self) -> usize {
        self.offsets(layout::model::NODES).map_or(0, |nodes| nodes.len())
    }

    /// Number of values: inputs and one a node.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.n_inputs().saturating_add(self.n_nodes())
    }

    /// Graph input `index`, as stated.
    #[must_use]
    pub fn input(&self, index: usize) -> Option<Value<'a>> {
        let table = self.offsets(layout::model::INPUTS)?.table(index)?.ok()?;
        let name = table.string(layout::value::NAME).ok().flatten();
        Some(Value { name, ..self.try_input(index)?.ok()? })
    }

    /// The graph's inputs, values `0..n_inputs`.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = Value<'a>> + use<'a> {
        let model = *self;
        (0..self.n_inputs()).map(move |index| model.input(index).unwrap_or_default())
    }

    /// The type of graph input `index`, which must state all of it.
    pub fn input_type(&self, index: usize) -> Result<TensorType, Error> {
        let owner = Owner::Input(index);
        let missing = |field| Error::Missing { place: owner.field(field) };
        let value = self.try_input(index).ok_or(missing("value"))??;
        value.complete().map_err(missing)
    }

    /// The values that the graph yields, in order.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = u16> + Clone + use<'a> {
        let last = u16::try_from(self.n_values().saturating_sub(1)).unwrap_or(u16::MAX);
        let stated = self.root.numbers(layout::model::OUTPUTS).ok().flatten();
        let count = stated.map_or(1, |outputs| outputs.len());
        (0..count).map(move |index| match stated {
            Some(outputs) => outputs.get(index).unwrap_or(u16::MAX),
            None => last,
        })
    }

    /// Node `index`.
    #[must_use]
    pub fn node(&self, index: usize) -> Option<Node<'a>> {
        let table = self.offsets(layout::model::NODES)?.table(index)?;
        let table = table.unwrap_or_else(|_| Table::empty(self.bytes));
        Some(Node { table, index, id: self.n_inputs().saturating_add(index) })
    }

    /// The nodes, in an order in which every input precedes its use.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node<'a>> + Clone + use<'a> {
        let model = *self;
        (0..self.n_nodes()).map(move |index| {
            let id = model.n_inputs().saturating_add(index);
            model.node(index).unwrap_or(Node { table: Table::empty(model.bytes), index, id })
        })
    }

    /// The nodes with their ops and every value's type, inferred.
    #[must_use]
    pub fn walk(&self) -> Walk<'a> {
        Walk::new(*self)
    }

    /// Class names, in the order of the first output's last dimension.
    #[must_use]
    pub fn labels(&self) -> Option<Labels<'a>> {
        self.root.string(layout::model::LABELS).ok().flatten().map(Labels)
    }

    /// How 8-bit pixels become the first input's reals, for callers of a model with an f32 input.
    #[must_use]
    pub fn normalization(&self) -> Option<Normalization<'a>> {
        let table = self.root.table(layout::model::NORMALIZATION).ok().flatten()?;
        let numbers = |field| table.numbers(field).ok().flatten().unwrap_or(Numbers::EMPTY);
        Some(Normalization {
            mean: numbers(layout::normalization::MEAN),
            std: numbers(layout::normalization::STD),
        })
    }

    pub(super) fn root(&self) -> Table<'a> {
        self.root
    }

    fn offsets(&self, field: layout::Field) -> Option<Offsets<'a>> {
        self.root.offsets(field).ok().flatten()
    }

    pub(super) fn has_outputs(&self) -> bool {
        matches!(self.root.numbers::<u16>(layout::model::OUTPUTS), Ok(Some(_)))
    }

    /// Without its name.
    fn try_input(&self, index: usize) -> Option<Result<Value<'a>, Error>> {
        use layout::value::{DTYPE, SCALE, SHAPE, ZERO_POINT};
        let owner = Owner::Input(index);
        let table = self.offsets(layout::model::INPUTS)?.table(index)?.map_err(|d| d.of(owner));
        Some(
            table.and_then(|table| Value::unnamed(table, [SCALE, ZERO_POINT, DTYPE, SHAPE], owner)),
        )
    }
}

impl core::fmt::Debug for ModelView<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ModelView")
            .field("bytes", &self.bytes.len())
            .field("inputs", &self.n_inputs())
            .field("nodes", &self.n_nodes())
            .finish()
    }
}

/// The content of a file that begins as a model does.
fn header(bytes: &[u8]) -> Result<&[u8], Error> {
    let content = signature::split(bytes).0;
    let too_short = Error::TooShort { expected: hash::PLACE.end, found: content.len() };
    let found = content.get(4..8).and_then(|id| id.try_into().ok()).ok_or(too_short)?;
    if found != IDENTIFIER {
        return Err(Error::Identifier { found });
    }
    if content.len() < hash::PLACE.end { Err(too_short) } else { Ok(content) }
}

/// `(pixel - mean[c]) / std[c]`; one number for all channels, or one a channel. Never applied by the runtime.
#[derive(Clone, Copy, Debug)]
pub struct Normalization<'a> {
    /// In units of pixels, 0..=255.
    pub mean: Numbers<'a, f32>,
    /// In units of pixels; positive.
    pub std: Numbers<'a, f32>,
}

/// What a file states about a value. See [`TensorType`] for what it is after inference.
#[derive(Clone, Copy, Debug, Default)]
pub struct Value<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// Its dimensions, the batch written 1.
    pub shape: Option<Shape>,
    /// Its elements' type.
    pub dtype: Option<DataType>,
    /// Its scale and zero point.
    pub quantization: Option<QuantParams>,
}

impl<'a> Value<'a> {
    /// What a table states but its name, which may be long: types are asked for many times. The fields are those of scale, zero
    /// point, type and shape.
    fn unnamed(table: Table<'a>, fields: [layout::Field; 4], owner: Owner) -> Result<Self, Error> {
        let [scale_field, zero_point, dtype, shape] = fields;
        let defect = |defect: Defect| defect.of(owner);
        let dtype = match table.scalar(dtype, 0).map_err(defect)? {
            0 => None,
            found => {
                let place = owner.field(dtype.name);
                Some(DataType::from_code(found).ok_or(Error::UnknownCode { place, found })?)
            }
        };
        let dims = table.numbers(shape).map_err(defect)?;
        let scale = table.scalar(scale_field, 0.0_f32).map_err(defect)?;
        let zero_point = table.scalar(zero_point, 0_i16).map_err(defect)?;
        let place = owner.field(scale_field.name);
        let quantization = if scale == 0.0 && zero_point == 0 {
            None
        } else {
            let scale = positive(scale).ok_or(not_positive(place, 0, scale))?;
            Some(QuantParams { scale, zero_point: i32::from(zero_point) })
        };
        Ok(Self {
            name: None,
            shape: dims.map(|dims| read_shape(dims, owner, shape)).transpose()?,
            dtype,
            quantization,
        })
    }

    /// The whole type, or the name of what is not stated. A type that is not stated is i8 beside a scale and f32 beside none.
    pub(super) fn complete(&self) -> Result<TensorType, &'static str> {
        let shape = self.shape.ok_or(layout::value::SHAPE.name)?;
        let usual = if self.quantization.is_some() { DataType::I8 } else { DataType::F32 };
        let dtype = self.dtype.unwrap_or(usual);
        if dtype.integer_range().is_some() && self.quantization.is_none() {
            return Err(layout::value::SCALE.name);
        }
        Ok(TensorType { shape, dtype, quantization: self.quantization })
    }
}

/// Class names, one a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels<'a>(&'a str);

impl<'a> Labels<'a> {
    /// The class names, in the order of the first output's last dimension.
    pub fn iter(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.split('\n')
    }
}

/// A number that may be a scale.
pub(super) fn positive(number: f32) -> Option<f32> {
    (number.is_finite() && number > 0.0).then_some(number)
}

pub(super) fn not_positive(place: crate::error::Place, index: usize, found: f32) -> Error {
    Error::Number { place, index, expected: "finite and positive", found }
}

/// Dimensions that a value can have: at most [`MAX_RANK`] with the batch, which the file leaves out and which is written 1; none
/// 0; a product that a u32 holds.
fn read_shape(dims: Numbers<'_, u32>, owner: Owner, field: layout::Field) -> Result<Shape, Error> {
    let place = owner.field(field.name);
    let shape = Shape::from_dims(core::iter::once(1).chain(dims.iter())).ok_or(Error::Count {
        place,
        expected: MAX_RANK.saturating_sub(1),
        found: dims.len(),
    })?;
    if shape.dims().contains(&0) {
        return Err(Error::Shape { place, source: ShapeError::Zero { of: "dimension" } });
    }
    match shape.elements() {
        Some(_) => Ok(shape),
        None => Err(Error::Shape { place, source: ShapeError::Overflow }),
    }
}

/// One operation, which yields one value.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    table: Table<'a>,
    index: usize,
    id: usize,
}

/// Where in the file two fields of a node's weights lie.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct WeightsPlaces {
    /// The offset of `values`.
    pub(crate) values: usize,
    /// The code of `packing`.
    pub(crate) packing: usize,
}

impl<'a> Node<'a> {
    /// `None` where it has no weights or one of the fields is left out.
    #[cfg(feature = "alloc")]
    pub(crate) fn weights_places(&self) -> Option<WeightsPlaces> {
        use layout::weights::{PACKING, VALUES};
        let table = self.table.table(layout::node::WEIGHTS).ok().flatten()?;
        Some(WeightsPlaces { values: table.place(VALUES)?, packing: table.place(PACKING)? })
    }

    /// Its index among the nodes.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The number of the value that it yields.
    #[must_use]
    pub fn output(&self) -> u16 {
        u16::try_from(self.id).unwrap_or(u16::MAX)
    }

    /// The name of what it does, in errors and listings; `node` where this version does not know it.
    #[must_use]
    pub fn op_name(&self) -> &'static str {
        self.table.scalar(layout::node::OP, 0).map_or("node", Op::name_of)
    }

    /// What it does to an input of this type, or to several of which this is the first.
    pub fn op(&self, input: TensorType) -> Result<Op<'a>, Error> {
        Op::read(self.table, self.index, input)
    }

    /// Its name in errors: index and op.
    pub(super) fn owner(&self) -> Owner {
        Owner::Node(self.index, self.op_name())
    }

    /// The values that it reads; where the file states none, the one just before its own.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = u16> + Clone + use<'a> {
        let stated = self.table.numbers(layout::node::INPUTS).ok().flatten();
        let previous = u16::try_from(self.id.saturating_sub(1)).unwrap_or(u16::MAX);
        let count = stated.map_or(1, |inputs| inputs.len());
        (0..count).map(move |index| match stated {
            Some(inputs) => inputs.get(index).unwrap_or(u16::MAX),
            None => previous,
        })
    }

    /// What the file states about the value that it yields.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        let name = self.table.string(layout::node::NAME).ok().flatten();
        Value { name, ..self.try_value(self.owner()).unwrap_or_default() }
    }

    /// Without its name.
    pub(super) fn try_value(&self, owner: Owner) -> Result<Value<'a>, Error> {
        use layout::node::{DTYPE, SCALE, SHAPE, ZERO_POINT};
        Value::unnamed(self.table, [SCALE, ZERO_POINT, DTYPE, SHAPE], owner)
    }
}

impl core::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.owner())
    }
}
