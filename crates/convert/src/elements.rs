//! Elements of inputs and outputs in memory of their own, in the types that the runtime takes and gives. No shapes, no files.

use std::ops::Range;

use penjing_format::{DataType, QuantParams};
use penjing_runtime::{Input, Output};

/// A vector of elements of an activation's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// 8-bit unsigned codes.
    U8(Vec<u8>),
    /// 8-bit signed codes.
    I8(Vec<i8>),
    /// Reals.
    F32(Vec<f32>),
}

impl Elements {
    /// `len` zeros; `None` for a type that no activation has.
    #[must_use]
    pub fn zeros(dtype: DataType, len: usize) -> Option<Self> {
        match dtype {
            DataType::U8 => Some(Self::U8(vec![0; len])),
            DataType::I8 => Some(Self::I8(vec![0; len])),
            DataType::F32 => Some(Self::F32(vec![0.0; len])),
            DataType::I16 | DataType::I32 => None,
        }
    }

    /// Reals as elements of that type, on `grid` where they become integers; `None` for a type that no activation has.
    #[must_use]
    pub fn from_reals(reals: &[f32], dtype: DataType, grid: QuantParams) -> Option<Self> {
        let reals = reals.iter().copied();
        match dtype {
            DataType::U8 => Some(Self::U8(reals.map(|x| grid.quantize_u8(x)).collect())),
            DataType::I8 => Some(Self::I8(reals.map(|x| grid.quantize_i8(x)).collect())),
            DataType::F32 => Some(Self::F32(reals.collect())),
            DataType::I16 | DataType::I32 => None,
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::F32(v) => v.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// To be read by a session.
    ///
    /// # Panics
    /// If the range is not inside.
    #[must_use]
    pub fn input(&self, range: Range<usize>) -> Input<'_> {
        match self {
            Self::U8(v) => Input::U8(&v[range]),
            Self::I8(v) => Input::I8(&v[range]),
            Self::F32(v) => Input::F32(&v[range]),
        }
    }

    /// To be written by a session.
    ///
    /// # Panics
    /// If the range is not inside.
    pub fn output(&mut self, range: Range<usize>) -> Output<'_> {
        match self {
            Self::U8(v) => Output::U8(&mut v[range]),
            Self::I8(v) => Output::I8(&mut v[range]),
            Self::F32(v) => Output::F32(&mut v[range]),
        }
    }

    /// Elements as reals; integers are codes of `grid`.
    ///
    /// # Panics
    /// If the range is not inside.
    #[must_use]
    pub fn reals(&self, range: Range<usize>, grid: QuantParams) -> Vec<f32> {
        let real = |code: i32| grid.dequantize(code);
        match self {
            Self::U8(v) => v[range].iter().map(|&q| real(i32::from(q))).collect(),
            Self::I8(v) => v[range].iter().map(|&q| real(i32::from(q))).collect(),
            Self::F32(v) => v[range].to_vec(),
        }
    }
}
