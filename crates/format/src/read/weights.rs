//! Weights and biases as the file states them: which packing, how many elements by the op's and the input's shapes. What the
//! elements may be is `check`'s business, what packings mean is `packing`'s.

use super::layout::{self, Field, weights as fields};
use super::ops::{Constant, Scales};
use super::table::{Defect, Numbers, Table};
use crate::attributes::ChannelAxis;
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::infer::{self, ShapeError};
use crate::packing::{
    Layout, Levels, Packed, PackingError, Values, bitmap, blocks, coded, columns, dense, gaps,
    groups, n_of_m,
};
use crate::shape::Shape;

/// The table of a node's weights.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    table: Table<'a>,
    owner: Owner,
}

/// A constant's elements, and how many columns one of its rows has.
#[derive(Clone, Copy)]
struct Matrix {
    elements: usize,
    columns: usize,
}

impl<'a> Weights<'a> {
    pub(super) fn new(table: Table<'a>, owner: Owner) -> Self {
        Self { table, owner }
    }

    fn ok<T>(&self, result: Result<T, Defect>) -> Result<T, Error> {
        result.map_err(|defect| defect.of(self.owner))
    }

    fn byte(&self, field: Field, default: u8) -> Result<u8, Error> {
        self.ok(self.table.scalar(field, default))
    }

    fn bytes(&self, field: Field) -> Result<&'a [u8], Error> {
        self.ok(self.table.bytes(field)).map(|bytes| bytes.unwrap_or_default())
    }

    pub(super) fn out_channels(&self) -> Result<u32, Error> {
        match self.ok(self.table.scalar(fields::OUT_CHANNELS, 0_u32))? {
            0 => Err(Error::Missing { place: self.owner.field(fields::OUT_CHANNELS.name) }),
            channels => Ok(channels),
        }
    }

    /// The weights, of a shape that the op knows. Real 0 is their 0.
    pub(super) fn constant(&self, shape: Shape, axis: ChannelAxis) -> Result<Constant<'a>, Error> {
        if self.table.has(fields::ZERO_POINT) {
            return Err(Error::Unexpected { place: self.owner.field(fields::ZERO_POINT.name) });
        }
        self.elements(shape, axis)
    }

    /// The constant beside an input of this shape, and its zero point.
    pub(super) fn operand(&self, input: Shape) -> Result<(Constant<'a>, i32), Error> {
        let place = self.owner.field(fields::OUT_CHANNELS.name);
        let shape = infer::operand(input, self.out_channels()?);
        let shape = shape.map_err(|source| Error::Shape { place, source })?;
        let constant = self.elements(shape, ChannelAxis::Last)?;
        let place = self.owner.field(fields::ZERO_POINT.name);
        let found = i32::from(self.ok(self.table.scalar(fields::ZERO_POINT, 0_i16))?);
        match constant.dtype.integer_range() {
            None if found != 0 => Err(Error::Unexpected { place }),
            Some(expected) if !(expected.0..=expected.1).contains(&found) => {
                Err(Error::ZeroPoint { place, expected, found })
            }
            _ => Ok((constant, found)),
        }
    }

    fn elements(&self, shape: Shape, axis: ChannelAxis) -> Result<Constant<'a>, Error> {
        let overflow = Error::Shape {
            place: self.owner.field(layout::node::WEIGHTS.name),
            source: ShapeError::Overflow,
        };
        let elements = shape.elements().ok_or(overflow)?;
        let columns = axis.row_len(shape).ok_or(overflow)?;
        let numbers = self.ok(self.table.numbers(fields::SCALE))?.unwrap_or(Numbers::EMPTY);
        let scales = Scales::new(numbers);
        let dtype = if scales.is_empty() { DataType::F32 } else { DataType::I8 };
        let packed = self.packed(dtype, Matrix { elements, columns })?;
        Ok(Constant { shape, dtype, scales, packed })
    }

    fn packed(&self, dtype: DataType, matrix: Matrix) -> Result<Packed<'a>, Error> {
        let code = self.byte(fields::PACKING, fields::DENSE)?;
        let place = self.owner.field(layout::node::WEIGHTS.name);
        let refused = |source| Error::Packing { place, source };
        let index = self.bytes(fields::INDEX)?;
        if matches!(code, fields::DENSE | fields::CODED) && !index.is_empty() {
            return Err(Error::Unexpected { place: self.owner.field(fields::INDEX.name) });
        }
        let (layout, stored) = self.layout(code, index, dtype, matrix)?.map_err(refused)?;
        let bits = self.byte(fields::VALUE_BITS, 0)?;
        if let Layout::Coded(view) = layout {
            if bits != 0 {
                return Err(Error::Unexpected { place: self.owner.field(fields::VALUE_BITS.name) });
            }
            let none = Values::new(dtype, Levels::Whole, &[], None).map_err(refused)?;
            return Ok(Packed::new(layout, none, matrix.elements, view.data().len()));
        }
        let masked = matches!(layout, Layout::Bitmap(_) | Layout::Groups(_) | Layout::Gaps(_));
        let zero = !masked && self.byte(fields::NO_ZERO, 0)? == 0;
        let levels = if bits == 0 { Levels::Whole } else { Levels::Bits { bits, zero } };
        let bytes = self.bytes(fields::VALUES)?;
        let values = Values::new(dtype, levels, bytes, stored).map_err(refused)?;
        // What gaps lead to is known once it is known how many there are.
        let layout = match layout {
            Layout::Gaps(view) => {
                let view = gaps::View::new(view.bits(), index, values.len(), matrix.elements);
                Layout::Gaps(view.map_err(refused)?)
            }
            layout => layout,
        };
        Ok(Packed::new(layout, values, matrix.elements, index.len()))
    }

    /// Which elements are stored, and how many; `None`: as many as there are values.
    fn layout(
        &self,
        code: u8,
        index: &'a [u8],
        dtype: DataType,
        Matrix { elements, columns }: Matrix,
    ) -> Result<Result<(Layout<'a>, Option<usize>), PackingError>, Error> {
        let group = self.byte(fields::GROUP, fields::GROUP_DEFAULT)?;
        Ok(match code {
            fields::DENSE => Ok((Layout::Dense(dense::View::new(elements)), Some(elements))),
            fields::BITMAP => bitmap::View::new(index, elements)
                .map(|view| (Layout::Bitmap(view), Some(view.stored()))),
            fields::GROUPS => groups::View::new(group, index, elements)
                .map(|view| (Layout::Groups(view), Some(view.stored()))),
            fields::GAPS => {
                let bits = self.byte(fields::GAP_BITS, fields::GAP_BITS_DEFAULT)?;
                let whole = self.byte(fields::VALUE_BITS, 0)? == 0;
                let stated = self.ok(self.table.scalar(fields::STORED, 0_u32))?;
                let stored = if whole { None } else { usize::try_from(stated).ok() };
                gaps::View::new(bits, index, stored.unwrap_or(0), elements)
                    .map(|view| (Layout::Gaps(view), stored))
            }
            fields::N_OF_M => {
                let kept = self.byte(fields::KEPT, fields::KEPT_DEFAULT)?;
                n_of_m::View::new(kept, group, index, elements)
                    .map(|view| (Layout::NOfM(view), Some(view.stored())))
            }
            fields::BLOCKS => blocks::View::new(group, index, elements)
                .map(|view| (Layout::Blocks(view), Some(view.stored()))),
            fields::CODED => {
                // An empty stream means zeros; none at all leaves nothing to turn to decoded weights.
                let place = self.owner.field(fields::VALUES.name);
                if !self.table.has(fields::VALUES) {
                    return Err(Error::Missing { place });
                }
                let period = self.ok(self.table.scalar(fields::PERIOD, 0_u16))?;
                coded::View::new(dtype, period, self.bytes(fields::VALUES)?, elements)
                    .map(|view| (Layout::Coded(view), None))
            }
            fields::COLUMNS => columns::View::new(columns, index, elements)
                .map(|view| (Layout::Columns(view), Some(view.stored()))),
            found => {
                let place = self.owner.field(fields::PACKING.name);
                return Err(Error::UnknownCode { place, found });
            }
        })
    }
}

/// A bias of one element an output channel: f32 where sums are `reals`, otherwise integers of as many bytes as fill the vector.
pub(super) fn bias(
    bytes: &[u8],
    reals: bool,
    channels: u32,
    owner: Owner,
) -> Result<Constant<'_>, Error> {
    let count = usize::try_from(channels).unwrap_or(usize::MAX);
    let integers = [DataType::I8, DataType::I16, DataType::I32];
    let fits = |dtype: &DataType| count.checked_mul(dtype.size()) == Some(bytes.len());
    let dtype = if reals {
        DataType::F32
    } else {
        // Of a length that is none's, the packing says what it expects.
        integers.into_iter().find(fits).unwrap_or(DataType::I32)
    };
    let packed = Packed::dense(dtype, bytes, count)
        .map_err(|source| Error::Packing { place: owner.field(layout::node::BIAS.name), source })?;
    let scales = Scales::new(Numbers::EMPTY);
    Ok(Constant { shape: [channels].into(), dtype, scales, packed })
}
