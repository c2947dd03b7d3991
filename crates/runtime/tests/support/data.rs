//! Images and noise of any type. No assertions here.
#![allow(dead_code, reason = "each test takes what it needs")]

use penjing_format::DataType;
use penjing_runtime::reference::Tensor;
use penjing_runtime::{Input, Output};

/// Owned elements of any type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    U8(Vec<u8>),
    I8(Vec<i8>),
    F32(Vec<f32>),
}

impl Data {
    pub(crate) fn zeros(dtype: DataType, len: usize) -> Self {
        match dtype {
            DataType::U8 => Data::U8(vec![0; len]),
            DataType::I8 => Data::I8(vec![0; len]),
            _ => Data::F32(vec![0.0; len]),
        }
    }

    /// Elements from bytes; every eighth f32 or so is an extreme.
    pub(crate) fn noise(dtype: DataType, len: usize, seed: u64) -> Self {
        let mut bytes = Noise(seed);
        match dtype {
            DataType::U8 => Data::U8((0..len).map(|_| bytes.extreme_byte()).collect()),
            DataType::I8 => Data::I8((0..len).map(|_| bytes.extreme_byte() as i8).collect()),
            _ => Data::F32((0..len).map(|_| bytes.real()).collect()),
        }
    }

    /// Sets all but every `keep`th run of 11 elements to what stands for real 0.
    pub(crate) fn blank(&mut self, zero_point: i32, keep: usize) {
        let runs = |i: usize| !(i / 11).is_multiple_of(keep);
        match self {
            Data::U8(x) => {
                x.iter_mut().enumerate().for_each(|(i, x)| {
                    if runs(i) {
                        *x = zero_point as u8
                    }
                });
            }
            Data::I8(x) => {
                x.iter_mut().enumerate().for_each(|(i, x)| {
                    if runs(i) {
                        *x = zero_point as i8
                    }
                });
            }
            Data::F32(x) => {
                x.iter_mut().enumerate().for_each(|(i, x)| {
                    if runs(i) {
                        *x = 0.0
                    }
                });
            }
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

    pub(crate) fn dtype(&self) -> DataType {
        match self {
            Data::U8(_) => DataType::U8,
            Data::I8(_) => DataType::I8,
            Data::F32(_) => DataType::F32,
        }
    }

    /// `len` elements from `from` on.
    pub(crate) fn part(&self, from: usize, len: usize) -> Self {
        let range = from..from + len;
        match self {
            Data::U8(x) => Data::U8(x[range].to_vec()),
            Data::I8(x) => Data::I8(x[range].to_vec()),
            Data::F32(x) => Data::F32(x[range].to_vec()),
        }
    }

    /// Whether all bits are the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Data::F32(a), Data::F32(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
            }
            _ => self == other,
        }
    }

    /// Image `index` of images of `len` elements, as the oracle takes it.
    pub(crate) fn image(&self, index: usize, len: usize) -> Tensor {
        let range = index * len..(index + 1) * len;
        match self {
            Data::U8(x) => Tensor::codes(&x[range]),
            Data::I8(x) => Tensor::codes(&x[range]),
            Data::F32(x) => Tensor::reals(&x[range]),
        }
    }
}

/// splitmix64: small, and the same everywhere.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A byte; the ends of both signs' ranges often.
    pub(crate) fn extreme_byte(&mut self) -> u8 {
        let bits = self.next();
        match bits >> 61 {
            0 => [0, 255, 127, 128][(bits >> 8) as usize % 4],
            _ => bits as u8,
        }
    }

    /// A weight code: the ends of the range and zero often.
    pub(crate) fn weight(&mut self) -> i8 {
        let bits = self.next();
        match bits >> 61 {
            0 => [127, -127, 0, -128][(bits >> 8) as usize % 4],
            1..=3 => 0,
            _ => bits as i8,
        }
    }

    /// A real around 1, or zero.
    pub(crate) fn real(&mut self) -> f32 {
        let bits = self.next();
        let unit = (bits >> 40) as f32 / (1 << 23) as f32 - 1.0;
        match bits & 7 {
            0 => 0.0,
            1 => unit * 100.0,
            _ => unit,
        }
    }
}
