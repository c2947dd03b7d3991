//! Inputs of a session, made from the bytes after a model, and owned places for its outputs. No assertions here.

use penjing_format::DataType;
use penjing_runtime::reference::Tensor;
use penjing_runtime::{Input, Output};

/// Owned elements of any type of activation.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    U8(Vec<u8>),
    I8(Vec<i8>),
    F32(Vec<f32>),
}

impl Data {
    pub(crate) fn zeros(dtype: DataType, len: usize) -> Self {
        Self::from_bytes(dtype, len, &[], false)
    }

    /// `len` elements from as many bytes as there are, over and over, changed each time. Of reals, `raw` ones are four bytes as they
    /// are, infinities and NaN among them.
    pub(crate) fn from_bytes(dtype: DataType, len: usize, bytes: &[u8], raw: bool) -> Self {
        let byte = |i: usize| match i.checked_rem(bytes.len()) {
            Some(at) => bytes[at].wrapping_add((i / bytes.len()).wrapping_mul(37) as u8),
            None => 0,
        };
        let real = |i: usize| match raw {
            true => f32::from_le_bytes([0, 1, 2, 3].map(|part| byte(4 * i + part))),
            false => f32::from(byte(i) as i8) / 16.0,
        };
        match dtype {
            DataType::U8 => Data::U8((0..len).map(byte).collect()),
            DataType::I8 => Data::I8((0..len).map(|i| byte(i) as i8).collect()),
            _ => Data::F32((0..len).map(real).collect()),
        }
    }

    pub(crate) fn input(&self) -> Input<'_> {
        match self {
            Data::U8(x) => x.into(),
            Data::I8(x) => x.into(),
            Data::F32(x) => x.into(),
        }
    }

    pub(crate) fn output(&mut self) -> Output<'_> {
        match self {
            Data::U8(x) => x.into(),
            Data::I8(x) => x.into(),
            Data::F32(x) => x.into(),
        }
    }

    /// Image `index` of images of `len` elements.
    pub(crate) fn image(&self, index: usize, len: usize) -> Self {
        let range = index * len..(index + 1) * len;
        match self {
            Data::U8(x) => Data::U8(x[range].to_vec()),
            Data::I8(x) => Data::I8(x[range].to_vec()),
            Data::F32(x) => Data::F32(x[range].to_vec()),
        }
    }

    /// As the oracle takes it.
    pub(crate) fn tensor(&self) -> Tensor {
        match self {
            Data::U8(x) => Tensor::codes(x),
            Data::I8(x) => Tensor::codes(x),
            Data::F32(x) => Tensor::reals(x),
        }
    }

    pub(crate) fn has_nan(&self) -> bool {
        matches!(self, Data::F32(x) if x.iter().any(|x| x.is_nan()))
    }

    /// Whether all elements are the same; reals bit for bit, one NaN as good as another.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let equal = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        match (self, other) {
            (Data::U8(a), Data::U8(b)) => a == b,
            (Data::I8(a), Data::I8(b)) => a == b,
            (Data::F32(a), Data::F32(b)) => a.len() == b.len() && a.iter().zip(b).all(equal),
            _ => false,
        }
    }
}
