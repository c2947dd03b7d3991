//! Constant tensors: bytes whose number is what type and dimensions say, and their elements as Rust has them. Sparse ones are
//! dense here, halves are floats once DEQUANTIZE is folded.

use std::borrow::Cow;

use flatbuffers::Vector;

use super::file::{File, Operator};
use super::generated::TensorType;
use super::sparse;
use crate::frontend::ImportError;

/// A constant tensor.
pub(super) struct Constant<'a> {
    /// Its number.
    pub(super) tensor: usize,
    /// Type of the elements.
    pub(super) dtype: TensorType,
    /// Dimensions, row-major.
    pub(super) dims: Vec<u32>,
    /// The elements, little-endian.
    pub(super) data: Cow<'a, [u8]>,
    /// Real units a step: none, one, or one an index of `axis`.
    pub(super) scales: Vector<'a, f32>,
    /// Integers that stand for real 0.
    pub(super) zero_points: Vector<'a, i64>,
    /// Which dimension the scales count.
    pub(super) axis: i32,
}

/// Bytes of an element; `None` for types without a fixed size, or of less than a byte.
pub(super) fn size(dtype: TensorType) -> Option<usize> {
    match dtype {
        TensorType::INT8 | TensorType::UINT8 | TensorType::BOOL => Some(1),
        TensorType::FLOAT16 | TensorType::INT16 | TensorType::UINT16 | TensorType::BFLOAT16 => {
            Some(2)
        }
        TensorType::FLOAT32 | TensorType::INT32 | TensorType::UINT32 => Some(4),
        TensorType::FLOAT64 | TensorType::INT64 | TensorType::UINT64 => Some(8),
        _ => None,
    }
}

/// A type's name, in lower case as people write it.
pub(super) fn type_name(dtype: TensorType) -> String {
    dtype.variant_name().map_or_else(|| format!("type {}", dtype.0), str::to_lowercase)
}

impl<'a> Constant<'a> {
    /// The constant of that tensor; `None` where it is computed.
    pub(super) fn read(file: &File<'a>, tensor: usize) -> Result<Option<Self>, ImportError> {
        let Some(data) = file.data(tensor)? else { return Ok(None) };
        let dims = file.dims(tensor)?;
        let table = file.tensor(tensor);
        let dtype = table.type_();
        let wrong = |field, expected: String, found: String| ImportError::Tensor {
            tensor,
            name: file.name(tensor),
            field,
            expected,
            found,
        };
        let Some(size) = size(dtype) else {
            let expected = "elements of whole bytes".into();
            return Err(wrong("type", expected, type_name(dtype)));
        };
        let elements = dims.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim as usize));
        let bytes = elements.and_then(|elements| elements.checked_mul(size));
        let Some(bytes) = bytes.filter(|&bytes| u32::try_from(bytes).is_ok()) else {
            return Err(wrong("shape", "less than 4 GiB".into(), format!("{dims:?}")));
        };
        let data = match table.sparsity() {
            Some(sparsity) => {
                let dense = sparse::densify(sparsity, &dims, size, data);
                Cow::Owned(dense.map_err(|(expected, found)| wrong("sparsity", expected, found))?)
            }
            None if data.len() == bytes => Cow::Borrowed(data),
            None => {
                let expected = format!("{bytes} bytes for {} of {dims:?}", type_name(dtype));
                return Err(wrong("buffer", expected, data.len().to_string()));
            }
        };
        let quantization = table.quantization();
        if quantization.is_some_and(|q| q.details_type() != 0) {
            let expected = "scales and zero points".into();
            return Err(wrong("quantization", expected, "a custom scheme".into()));
        }
        let scales = quantization.and_then(|q| q.scale()).unwrap_or_default();
        let zero_points = quantization.and_then(|q| q.zero_point()).unwrap_or_default();
        let axis = quantization.map_or(0, |q| q.quantized_dimension());
        Ok(Some(Self { tensor, dtype, dims, data, scales, zero_points, axis }))
    }

    /// The same constant, of which nothing is copied.
    pub(super) fn borrow(&self) -> Constant<'_> {
        Constant {
            tensor: self.tensor,
            dtype: self.dtype,
            dims: self.dims.clone(),
            data: Cow::Borrowed(&self.data),
            scales: self.scales,
            zero_points: self.zero_points,
            axis: self.axis,
        }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.dims.iter().map(|&dim| dim as usize).product()
    }

    /// Elements of `N` bytes.
    fn elements<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> + '_ {
        self.data.as_chunks::<N>().0.iter().copied()
    }

    /// The elements of a FLOAT32 constant, finite and without -0.
    pub(super) fn f32s(&self, op: &Operator<'_>, field: &str) -> Result<Vec<f32>, ImportError> {
        if self.dtype != TensorType::FLOAT32 {
            return Err(op.refuse(field, "float32", type_name(self.dtype)));
        }
        let finite = |bytes| {
            let x = f32::from_le_bytes(bytes);
            // -0 + 0 is 0; anything else stays
            if x.is_finite() { Ok(x + 0.0) } else { Err(op.refuse(field, "finite elements", x)) }
        };
        self.elements().map(finite).collect()
    }

    /// The elements of an INT8 constant.
    pub(super) fn i8s(&self, op: &Operator<'_>, field: &str) -> Result<Vec<i8>, ImportError> {
        if self.dtype != TensorType::INT8 {
            return Err(op.refuse(field, "int8", type_name(self.dtype)));
        }
        Ok(self.data.iter().map(|&byte| byte.cast_signed()).collect())
    }

    /// The elements of an INT32 constant.
    pub(super) fn i32s(&self, op: &Operator<'_>, field: &str) -> Result<Vec<i32>, ImportError> {
        if self.dtype != TensorType::INT32 {
            return Err(op.refuse(field, "int32", type_name(self.dtype)));
        }
        Ok(self.elements().map(i32::from_le_bytes).collect())
    }

    /// The elements of a constant of INT32 or INT64, such as a shape, in any number up to 64; `None` of other types.
    pub(super) fn ints(&self) -> Option<Vec<i64>> {
        if self.len() > 64 {
            return None;
        }
        match self.dtype {
            TensorType::INT32 => {
                Some(self.elements().map(|b| i64::from(i32::from_le_bytes(b))).collect())
            }
            TensorType::INT64 => Some(self.elements().map(i64::from_le_bytes).collect()),
            _ => None,
        }
    }

    /// What DEQUANTIZE makes of it: FLOAT32, without scales.
    pub(super) fn dequantize(&self, op: &Operator<'_>) -> Result<Constant<'static>, ImportError> {
        let reals: Vec<f32> = match self.dtype {
            TensorType::FLOAT16 => {
                self.elements().map(|bytes| half(u16::from_le_bytes(bytes))).collect()
            }
            TensorType::INT8 => {
                let (scales, per_channel) = self.channel_scales(op)?;
                let codes = self.data.iter().map(|&byte| i64::from(byte.cast_signed()));
                let real = |(index, code): (usize, i64)| {
                    let channel = per_channel(index);
                    let zero = if self.zero_points.is_empty() {
                        0
                    } else {
                        self.zero_points.get(channel.min(self.zero_points.len() - 1))
                    };
                    scales.get(channel) * code.saturating_sub(zero) as f32
                };
                codes.enumerate().map(real).collect()
            }
            other => {
                let expected = "a constant of float16 or int8, or a computed value";
                return Err(op.refuse("input", expected, type_name(other)));
            }
        };
        let data: Vec<u8> = reals.iter().flat_map(|real| real.to_le_bytes()).collect();
        Ok(Constant {
            tensor: self.tensor,
            dtype: TensorType::FLOAT32,
            dims: self.dims.clone(),
            data: Cow::Owned(data),
            scales: Vector::default(),
            zero_points: Vector::default(),
            axis: 0,
        })
    }

    /// Scales, and which of them an element has.
    fn channel_scales(
        &self,
        op: &Operator<'_>,
    ) -> Result<(Vector<'a, f32>, impl Fn(usize) -> usize), ImportError> {
        let axis = usize::try_from(self.axis).ok().filter(|&axis| axis < self.dims.len());
        let channels = axis.map_or(1, |axis| self.dims[axis] as usize);
        let inner: usize =
            axis.map_or(1, |axis| self.dims[axis + 1..].iter().map(|&dim| dim as usize).product());
        let found = self.scales.len();
        if found != 1 && found != channels {
            let expected = format!("1 scale, or {channels}");
            return Err(op.refuse("input", expected, found));
        }
        let channel = move |index: usize| if found == 1 { 0 } else { index / inner % channels };
        Ok((self.scales, channel))
    }
}

/// An IEEE 754 half as a float, exactly.
fn half(bits: u16) -> f32 {
    let magnitude = match (u32::from(bits >> 10) & 0x1f, u32::from(bits) & 0x3ff) {
        (0, fraction) => fraction as f32 * f32::from_bits(0x3380_0000), // 2^-24
        (0x1f, fraction) => f32::from_bits(0x7f80_0000 | (fraction << 13)),
        (exponent, fraction) => f32::from_bits(((exponent + 112) << 23) | (fraction << 13)),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_exact() {
        let known = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
        ];
        for (bits, real) in known {
            assert_eq!(half(bits), real, "{bits:#x}");
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }
}
