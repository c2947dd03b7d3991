//! Owned constants: what a model's builder is given before it is packed. The choice of a packing is `pack`'s.

#![forbid(unsafe_code)]

use super::pack::PackingChoice;
use crate::dtype::DataType;
use crate::packing::dense;
use crate::shape::Shape;
use std::vec::Vec;

/// Weights or biases.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Dimensions, the output channel first; last in a depthwise convolution's weights.
    pub shape: Shape,
    /// Real units a step of integer weights: one, or one an output channel; none for f32 and for biases.
    pub scales: Vec<f32>,
    /// The elements, row-major.
    pub data: ConstantData,
    /// How weights are packed, where it is not as the whole model's. Biases are never packed.
    pub packing: Option<PackingChoice>,
}

/// Elements of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstantData {
    /// Finite; a negative zero is written as zero.
    F32(Vec<f32>),
    /// Weights or narrow biases.
    I8(Vec<i8>),
    /// Narrow biases.
    I16(Vec<i16>),
    /// Biases.
    I32(Vec<i32>),
}

impl Constant {
    /// F32 weights.
    #[must_use]
    pub fn f32(shape: Shape, data: Vec<f32>) -> Self {
        Self { shape, scales: Vec::new(), data: ConstantData::F32(data), packing: None }
    }

    /// Symmetric int8 weights (zero point 0) with one scale, or one an output channel.
    #[must_use]
    pub fn i8(shape: Shape, scales: Vec<f32>, data: Vec<i8>) -> Self {
        Self { shape, scales, data: ConstantData::I8(data), packing: None }
    }

    /// Biases, one an output channel, in steps of `input scale * weight scale`: in the narrowest of i8, i16 and i32 that
    /// holds them all.
    #[must_use]
    pub fn bias(biases: Vec<i32>) -> Self {
        fn narrow<T: TryFrom<i32>>(biases: &[i32]) -> Option<Vec<T>> {
            biases.iter().map(|&bias| T::try_from(bias).ok()).collect()
        }
        let shape = Self::bias_shape(biases.len());
        let data = match (narrow(&biases), narrow(&biases)) {
            (Some(narrow), _) => ConstantData::I8(narrow),
            (None, Some(narrow)) => ConstantData::I16(narrow),
            (None, None) => ConstantData::I32(biases),
        };
        Self { shape, scales: Vec::new(), data, packing: None }
    }

    /// F32 biases, one an output channel.
    #[must_use]
    pub fn bias_f32(biases: Vec<f32>) -> Self {
        Self::f32(Self::bias_shape(biases.len()), biases)
    }

    fn bias_shape(channels: usize) -> Shape {
        // A count beyond u32 cannot match the weights' output channels, which the checks report.
        [u32::try_from(channels).unwrap_or(u32::MAX)].into()
    }
}

impl ConstantData {
    /// The elements' type.
    #[must_use]
    pub fn dtype(&self) -> DataType {
        match self {
            ConstantData::F32(_) => DataType::F32,
            ConstantData::I8(_) => DataType::I8,
            ConstantData::I16(_) => DataType::I16,
            ConstantData::I32(_) => DataType::I32,
        }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            ConstantData::F32(data) => data.len(),
            ConstantData::I8(data) => data.len(),
            ConstantData::I16(data) => data.len(),
            ConstantData::I32(data) => data.len(),
        }
    }

    /// The elements' bytes, little-endian.
    pub(super) fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            ConstantData::F32(data) => dense::pack(data),
            ConstantData::I8(data) => dense::pack(data),
            ConstantData::I16(data) => dense::pack(data),
            ConstantData::I32(data) => dense::pack(data),
        }
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_take_the_narrowest_type() {
        let dtype = |biases: &[i32]| Constant::bias(biases.to_vec()).data.dtype();
        assert_eq!(dtype(&[-128, 127]), DataType::I8);
        assert_eq!(dtype(&[-129, 0]), DataType::I16);
        assert_eq!(dtype(&[128]), DataType::I16);
        assert_eq!(dtype(&[-32_768, 32_767]), DataType::I16);
        assert_eq!(dtype(&[32_768, -5]), DataType::I32);
        assert_eq!(dtype(&[i32::MIN]), DataType::I32);
    }
}
