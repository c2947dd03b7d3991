//! The model as a device reads it: every field by itself, in bounds or an error, and nothing else. What fields mean together is
//! the reader's own business: the checks of [`ModelView`](crate::ModelView) take tens of kilobytes of code, which a
//! microcontroller has not.
//!
//! [`Lean::open`] holds the content hash against the bytes, so that a damaged file is refused whole. A file that someone made on
//! purpose can say anything that lies within its bounds.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use crate::read::layout;
use crate::{FORMAT_VERSION, IDENTIFIER, hash, signature};

/// What a node's `op` can be: the codes of `Op` in the schema.
pub mod op {
    use crate::read::layout::node;

    macro_rules! codes {
        ($($name:ident)*) => {$(
            /// As in schemas/model.fbs.
            pub const $name: u8 = node::$name;
        )*};
    }

    codes! {
        CONV_2D MAX_POOL_2D FULLY_CONNECTED RESHAPE QUANTIZE DEQUANTIZE DEPTHWISE_CONV_2D AVERAGE_POOL_2D MEAN ADD MUL PAD
        CONCAT RELU SOFTMAX LOGISTIC TANH
    }
}

/// Why a file is refused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Too short for a header, or without `PNJ1` at byte 4.
    Header,
    /// The bytes are not those that were hashed.
    Hash,
    /// Written for a later version.
    Version,
    /// A field reaches past the file.
    Layout,
}

impl Flaw {
    /// The flaw in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Flaw::Header => "not a model: expected PNJ1 at byte 4",
            Flaw::Hash => "content hash: not that of the bytes, the file is damaged",
            Flaw::Version => "written for a later version of the format",
            Flaw::Layout => "a field reaches past the file",
        }
    }
}

type Read<T> = Result<T, Flaw>;

/// A table of the file; by default one without fields.
#[derive(Clone, Copy, Debug, Default)]
struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    vtable: usize,
    /// Bytes of the vtable.
    len: usize,
}

fn u16_at(bytes: &[u8], at: usize) -> Read<usize> {
    let pair = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Flaw::Layout)?;
    Ok(usize::from(u16::from_le_bytes(*pair)))
}

fn u32_at(bytes: &[u8], at: usize) -> Read<u32> {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Flaw::Layout)?;
    Ok(u32::from_le_bytes(*word))
}

/// Where the distance at `at` leads.
fn follow(bytes: &[u8], at: usize) -> Read<usize> {
    usize::try_from(u32_at(bytes, at)?).ok().and_then(|far| at.checked_add(far)).ok_or(Flaw::Layout)
}

/// The bytes of the vector at `at`, of elements of `size` bytes.
fn vector(bytes: &[u8], at: usize, size: usize) -> Read<&[u8]> {
    let len = usize::try_from(u32_at(bytes, at)?).ok().and_then(|len| len.checked_mul(size));
    let rest = at.checked_add(4).and_then(|first| bytes.get(first..)).ok_or(Flaw::Layout)?;
    rest.get(..len.ok_or(Flaw::Layout)?).ok_or(Flaw::Layout)
}

impl<'a> Table<'a> {
    #[inline(never)]
    fn new(bytes: &'a [u8], at: usize) -> Read<Self> {
        // The distance is signed and subtracted: as two's complement either way.
        let back = usize::try_from(u32_at(bytes, at)?).map_err(|_| Flaw::Layout)?;
        let vtable = (at as u32).wrapping_sub(back as u32) as usize;
        let len = u16_at(bytes, vtable)?;
        Ok(Self { bytes, at, vtable, len })
    }

    /// Where a field lies; `None` where it has its default.
    #[inline(never)]
    fn place(&self, id: u16) -> Read<Option<usize>> {
        let entry = usize::from(id).saturating_mul(2).saturating_add(4);
        if entry >= self.len {
            return Ok(None);
        }
        let offset = u16_at(self.bytes, self.vtable.saturating_add(entry))?;
        Ok((offset != 0).then(|| self.at.saturating_add(offset)))
    }

    /// A number of `size` bytes, at most 4.
    #[inline(never)]
    fn number(&self, id: u16, size: usize, default: u32) -> Read<u32> {
        let Some(at) = self.place(id)? else { return Ok(default) };
        let bytes = self.bytes.get(at..).and_then(|rest| rest.get(..size)).ok_or(Flaw::Layout)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number: u32, &byte| number.wrapping_shl(8) | u32::from(byte)))
    }

    fn byte(&self, id: u16, default: u8) -> Read<u8> {
        self.number(id, 1, u32::from(default)).map(|number| number as u8)
    }

    /// The bytes of a vector; none where it is absent.
    #[inline(never)]
    fn vector(&self, id: u16, size: usize) -> Read<Option<&'a [u8]>> {
        let Some(at) = self.place(id)? else { return Ok(None) };
        vector(self.bytes, follow(self.bytes, at)?, size).map(Some)
    }

    fn bytes(&self, id: u16) -> Read<&'a [u8]> {
        Ok(self.vector(id, 1)?.unwrap_or(&[]))
    }

    #[inline(never)]
    fn table(&self, id: u16) -> Read<Option<Table<'a>>> {
        let Some(at) = self.place(id)? else { return Ok(None) };
        Table::new(self.bytes, follow(self.bytes, at)?).map(Some)
    }

    /// How many tables a vector has, and the first one's offset.
    fn tables(&self, id: u16) -> Read<Tables> {
        let Some(at) = self.place(id)? else { return Ok(Tables::default()) };
        let at = follow(self.bytes, at)?;
        let len = vector(self.bytes, at, 4)?.len() / 4;
        Ok(Tables { first: at.saturating_add(4), len })
    }
}

/// A vector of tables.
#[derive(Clone, Copy, Debug, Default)]
struct Tables {
    first: usize,
    len: usize,
}

/// A file whose hash is right.
#[derive(Clone, Copy, Debug)]
pub struct Lean<'a> {
    root: Table<'a>,
    inputs: Tables,
    nodes: Tables,
}

/// What a file states of a value, by the fields' numbers in the schema; 0 where it states nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeanValue<'a> {
    /// Real units a step.
    pub scale: f32,
    /// The code of real 0.
    pub zero_point: i16,
    /// Code of a `DataType`, or 0.
    pub dtype: u8,
    /// Dimensions without the batch, u32 each, where they are stated.
    pub shape: Option<&'a [u8]>,
}

/// A node's fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeanNode<'a> {
    /// Code of an `Op`.
    pub op: u8,
    /// Code of an `Activation`.
    pub activation: u8,
    /// Of its value.
    pub value: LeanValue<'a>,
    /// u16 each, where they are stated.
    pub inputs: Option<&'a [u8]>,
    /// Little-endian.
    pub bias: &'a [u8],
    /// i32 each, where it is stated.
    pub target: Option<&'a [u8]>,
    table: Table<'a>,
}

/// Where a convolution or a pool looks; 0 where the file leaves a number out, 1 of dilations.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeanWindow {
    /// Height, width.
    pub size: [u16; 2],
    /// Vertical, horizontal.
    pub stride: [u16; 2],
    /// Top, bottom, left, right.
    pub pad: [u16; 4],
    /// Vertical, horizontal.
    pub dilation: [u16; 2],
}

/// A node's weights, as they lie.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeanWeights<'a> {
    /// Stored elements.
    pub values: &'a [u8],
    /// Which they are.
    pub index: &'a [u8],
    /// f32 each.
    pub scale: &'a [u8],
    /// First dimension, or the last of a depthwise convolution.
    pub out_channels: u32,
    /// Code of a `Packing`.
    pub packing: u8,
    /// Bits of an element, 0 for 8.
    pub value_bits: u8,
    /// Elements of a group or block.
    pub group: u8,
    /// Bits of a code of Gaps.
    pub gap_bits: u8,
    /// Stored elements of a group of NOfM.
    pub kept: u8,
    /// Whether elements of few bits have no level for 0.
    pub no_zero: bool,
    /// Of a constant operand.
    pub zero_point: i16,
    /// Elements of Gaps with `value_bits`.
    pub stored: u32,
}

impl<'a> Lean<'a> {
    /// Holds header, version and content hash against the bytes. A signature at the end is passed over.
    pub fn open(file: &'a [u8]) -> Read<Self> {
        let bytes = signature::split(file).0;
        match bytes.first_chunk::<16>() {
            Some([_, _, _, _, a, b, c, d, ..]) if [*a, *b, *c, *d] == IDENTIFIER => {}
            _ => return Err(Flaw::Header),
        }
        if hash::of(bytes) != hash::stated(bytes) {
            return Err(Flaw::Hash);
        }
        let lean = Self::assume_whole(bytes)?;
        if lean.root.number(layout::model::FORMAT_VERSION.id, 2, 1)? > u32::from(FORMAT_VERSION) {
            return Err(Flaw::Version);
        }
        Ok(lean)
    }

    /// As [`open`](Self::open), of bytes that it took before. Safe for any bytes.
    pub fn assume_whole(file: &'a [u8]) -> Read<Self> {
        let bytes = signature::split(file).0;
        let root = Table::new(bytes, follow(bytes, 0)?)?;
        let (inputs, nodes) = (layout::model::INPUTS.id, layout::model::NODES.id);
        Ok(Self { root, inputs: root.tables(inputs)?, nodes: root.tables(nodes)? })
    }

    /// Number of graph inputs.
    #[must_use]
    pub fn n_inputs(&self) -> usize {
        self.inputs.len
    }

    /// Number of nodes.
    #[must_use]
    pub fn n_nodes(&self) -> usize {
        self.nodes.len
    }

    /// The numbers of the values that the graph yields, u16 each; `None`: the last one.
    pub fn outputs(&self) -> Read<Option<&'a [u8]>> {
        self.root.vector(layout::model::OUTPUTS.id, 2)
    }

    fn table(&self, tables: Tables, index: usize) -> Read<Table<'a>> {
        if index >= tables.len {
            return Err(Flaw::Layout);
        }
        let at = tables.first.saturating_add(index.saturating_mul(4));
        Table::new(self.root.bytes, follow(self.root.bytes, at)?)
    }

    /// Graph input `index`.
    pub fn input(&self, index: usize) -> Read<LeanValue<'a>> {
        use layout::value::{DTYPE, SCALE, SHAPE, ZERO_POINT};
        LeanValue::read(
            &self.table(self.inputs, index)?,
            [SCALE.id, ZERO_POINT.id, DTYPE.id, SHAPE.id],
        )
    }

    /// What is stated of value `id`: inputs first, then one a node.
    pub fn value(&self, id: usize) -> Read<LeanValue<'a>> {
        use layout::node::{DTYPE, SCALE, SHAPE, ZERO_POINT};
        let Some(node) = id.checked_sub(self.inputs.len) else { return self.input(id) };
        LeanValue::read(
            &self.table(self.nodes, node)?,
            [SCALE.id, ZERO_POINT.id, DTYPE.id, SHAPE.id],
        )
    }

    /// Reads node `index` into `node`: results by value would take stack that devices have not.
    #[inline(never)]
    pub fn node(&self, index: usize, node: &mut LeanNode<'a>) -> Read<()> {
        use layout::node as fields;
        node.table = self.table(self.nodes, index)?;
        let table = &node.table;
        let value = [fields::SCALE.id, fields::ZERO_POINT.id, fields::DTYPE.id, fields::SHAPE.id];
        node.op = table.byte(fields::OP.id, 0)?;
        node.activation = table.byte(fields::ACTIVATION.id, 0)?;
        node.value = LeanValue::read(table, value)?;
        node.inputs = table.vector(fields::INPUTS.id, 2)?;
        node.bias = table.bytes(fields::BIAS.id)?;
        node.target = table.vector(fields::TARGET.id, 4)?;
        Ok(())
    }
}

impl<'a> LeanValue<'a> {
    /// By the fields of scale, zero point, type and shape.
    #[inline(never)]
    fn read(table: &Table<'a>, [scale, zero_point, dtype, shape]: [u16; 4]) -> Read<Self> {
        Ok(Self {
            scale: f32::from_bits(table.number(scale, 4, 0)?),
            zero_point: table.number(zero_point, 2, 0)? as i16,
            dtype: table.byte(dtype, 0)?,
            shape: table.vector(shape, 4)?,
        })
    }
}

impl<'a> LeanNode<'a> {
    /// Its window, all zeros where it has none.
    #[inline(never)]
    pub fn window(&self) -> Read<LeanWindow> {
        let window = self.table.table(layout::node::WINDOW.id)?.unwrap_or_default();
        let mut numbers = [0_u16; 10];
        for (id, number) in (0..).zip(&mut numbers) {
            let default = u32::from(id >= layout::window::DILATION_H.id);
            *number = window.number(id, 2, default)? as u16;
        }
        let [h, w, stride_h, stride_w, top, bottom, left, right, dilation_h, dilation_w] = numbers;
        Ok(LeanWindow {
            size: [h, w],
            stride: [stride_h, stride_w],
            pad: [top, bottom, left, right],
            dilation: [dilation_h, dilation_w],
        })
    }

    /// Its weights; where it has none, nothing of them.
    #[inline(never)]
    pub fn weights(&self, weights: &mut LeanWeights<'a>) -> Read<()> {
        use layout::weights as fields;
        let table = self.table.table(layout::node::WEIGHTS.id)?.unwrap_or_default();
        *weights = LeanWeights {
            values: table.bytes(fields::VALUES.id)?,
            index: table.bytes(fields::INDEX.id)?,
            scale: table.vector(fields::SCALE.id, 4)?.unwrap_or(&[]),
            out_channels: table.number(fields::OUT_CHANNELS.id, 4, 0)?,
            packing: table.byte(fields::PACKING.id, fields::DENSE)?,
            value_bits: table.byte(fields::VALUE_BITS.id, 0)?,
            group: table.byte(fields::GROUP.id, fields::GROUP_DEFAULT)?,
            gap_bits: table.byte(fields::GAP_BITS.id, fields::GAP_BITS_DEFAULT)?,
            kept: table.byte(fields::KEPT.id, fields::KEPT_DEFAULT)?,
            no_zero: table.byte(fields::NO_ZERO.id, 0)? != 0,
            zero_point: table.number(fields::ZERO_POINT.id, 2, 0)? as i16,
            stored: table.number(fields::STORED.id, 4, 0)?,
        };
        Ok(())
    }
}
