//! What a value is: dimensions of a sample, element type, grid. The batch is always 1 here.

use super::flaw::Flaw;
use penjing_format::DataType;
use penjing_format::lean::LeanValue;
use penjing_quant::QuantParams;

/// Values have fewer elements: sizes are products of u32 that must stay far from overflow, and arenas are counted in words of 4
/// bytes.
const TOO_MANY: u32 = 1 << 28;

/// Type of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ty {
    /// Dimensions without the batch, outermost first, after leading 1s.
    pub(super) dims: [u32; 3],
    /// How many dimensions there are, at most 3.
    pub(super) rank: u8,
    pub(super) dtype: DataType,
    /// The code of real 0.
    pub(super) zero_point: i16,
    /// Real units a step.
    pub(super) scale: f32,
}

impl Ty {
    /// The codes of `dtype` and 8-bit types.
    fn data_type(code: u8, scaled: bool) -> Result<DataType, Flaw> {
        match code {
            0 if scaled => Ok(DataType::I8),
            0 => Ok(DataType::F32),
            _ => DataType::from_code(code).ok_or(Flaw::Refused("dtype")),
        }
    }

    /// Of nothing yet.
    pub(super) const NONE: Self =
        Self { dims: [1; 3], rank: 0, dtype: DataType::F32, zero_point: 0, scale: 0.0 };

    /// A whole type, as graph inputs state it and values that another than the next node reads.
    pub(super) fn stated(value: &LeanValue<'_>) -> Result<Self, Flaw> {
        let (dims, rank) = shape(value.shape.ok_or(Flaw::Refused("shape"))?)?;
        let dtype = Self::data_type(value.dtype, value.scale != 0.0)?;
        let (scale, zero_point) = (value.scale, value.zero_point);
        Self { dims, rank, dtype, zero_point, scale }.checked()
    }

    /// This shape with what a node states of its value: an 8-bit type and its grid.
    pub(super) fn quantized(self, value: &LeanValue<'_>) -> Result<Self, Flaw> {
        let dtype = Self::data_type(value.dtype, true)?;
        Self { dtype, ..self }.on_grid(value).checked()
    }

    /// This type with the grid that a node states, if it states one.
    pub(super) fn or_stated(self, value: &LeanValue<'_>) -> Result<Self, Flaw> {
        if value.scale == 0.0 || self.dtype == DataType::F32 {
            return self.checked();
        }
        self.on_grid(value).checked()
    }

    fn on_grid(self, value: &LeanValue<'_>) -> Self {
        Self { scale: value.scale, zero_point: value.zero_point, ..self }
    }

    /// Scale and zero point.
    pub(super) fn grid(&self) -> QuantParams {
        QuantParams { scale: self.scale, zero_point: self.zero_point.into() }
    }

    pub(super) fn with_dims(self, dims: [u32; 3], rank: u8) -> Self {
        Self { dims, rank, ..self }
    }

    /// Grids are finite and codes hold their zero points; sizes are not 0 and not absurd.
    pub(super) fn checked(self) -> Result<Self, Flaw> {
        let [h, w, c] = self.dims;
        match h.checked_mul(w).and_then(|plane| plane.checked_mul(c)) {
            None | Some(0) => return Err(Flaw::Refused("shape")),
            Some(TOO_MANY..) => {
                return Err(Flaw::Unsupported("a value of 2^28 elements or more"));
            }
            Some(_) => {}
        }
        let sound = match self.dtype.integer_range() {
            None => true,
            Some((min, max)) => self.dtype.size() == 1 && self.grid().is_valid(min, max),
        };
        if sound { Ok(self) } else { Err(Flaw::Refused("scale or zero point")) }
    }

    pub(super) fn elements(&self) -> u32 {
        let [h, w, c] = self.dims;
        h.wrapping_mul(w).wrapping_mul(c)
    }

    pub(super) fn bytes(&self) -> u32 {
        self.elements().wrapping_mul(if self.dtype == DataType::F32 { 4 } else { 1 })
    }

    /// Words of 4 bytes that hold it.
    pub(super) fn words(&self) -> u32 {
        self.bytes().div_ceil(4)
    }

    pub(super) fn channels(&self) -> u32 {
        let [_, _, c] = self.dims;
        c
    }

    /// Codes as unsigned bytes above the zero point's.
    pub(super) fn codes(&self) -> Codes {
        let signed = self.dtype == DataType::I8;
        let (flip, lift) = if signed { (0x80, 128) } else { (0, 0) };
        Codes { flip, zero: i32::from(self.zero_point).wrapping_add(lift) }
    }
}

/// How bytes become distances from the zero point, signed or not: `(byte ^ flip) - zero`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    pub(super) flip: u8,
    pub(super) zero: i32,
}

impl Codes {
    #[inline(always)]
    pub(super) fn distance(self, byte: u8) -> i32 {
        i32::from(byte ^ self.flip).wrapping_sub(self.zero)
    }
}

/// Up to three dimensions, u32 each.
pub(super) fn shape(bytes: &[u8]) -> Result<([u32; 3], u8), Flaw> {
    let (words, _) = bytes.as_chunks::<4>();
    dims(words.iter().map(|&word| u32::from_le_bytes(word)))
}

pub(super) fn dims(stated: impl Iterator<Item = u32>) -> Result<([u32; 3], u8), Flaw> {
    let (mut dims, mut rank) = ([1; 3], 0_u8);
    for dim in stated {
        if rank == 3 {
            return Err(Flaw::Unsupported("more than 3 dimensions of a sample"));
        }
        let [_, b, c] = dims;
        dims = [b, c, dim];
        rank = rank.wrapping_add(1);
    }
    Ok((dims, rank))
}
