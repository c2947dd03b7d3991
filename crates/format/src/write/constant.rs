//! Owned constants and the choice of their packing.

#![forbid(unsafe_code)]

use crate::dtype::DataType;
use crate::packing::{Element, bitmap, dense};
use crate::shape::Shape;
use std::vec::Vec;

/// How constants are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PackingChoice {
    /// Each the way that takes the fewest bytes; of equals, dense.
    #[default]
    Auto,
    /// Every element.
    Dense,
    /// Non-zero elements and a mask.
    Bitmap,
}

/// Weights or biases.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Dimensions, the output channel first; last in a depthwise convolution's weights.
    pub shape: Shape,
    /// Real units a step of integer weights: one, or one an output channel; none for f32 and for biases.
    pub scales: Vec<f32>,
    /// The elements, row-major.
    pub data: ConstantData,
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
        Self { shape, scales: Vec::new(), data: ConstantData::F32(data) }
    }

    /// Symmetric int8 weights (zero point 0) with one scale, or one an output channel.
    #[must_use]
    pub fn i8(shape: Shape, scales: Vec<f32>, data: Vec<i8>) -> Self {
        Self { shape, scales, data: ConstantData::I8(data) }
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
        Self { shape, scales: Vec::new(), data }
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

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn pack(&self, choice: PackingChoice) -> PackedBytes {
        match self {
            ConstantData::F32(data) => pack(data, choice),
            ConstantData::I8(data) => pack(data, choice),
            ConstantData::I16(data) => pack(data, choice),
            ConstantData::I32(data) => pack(data, choice),
        }
    }
}

/// The bytes of a packing's fields.
pub(super) enum PackedBytes {
    Dense { data: Vec<u8> },
    Bitmap { mask: Vec<u8>, values: Vec<u8> },
}

fn pack<T: Element>(data: &[T], choice: PackingChoice) -> PackedBytes {
    let dense = || PackedBytes::Dense { data: dense::pack(data) };
    let (mask, values) = match choice {
        PackingChoice::Dense => return dense(),
        PackingChoice::Auto | PackingChoice::Bitmap => bitmap::pack(data),
    };
    // A second vector costs its offset and its length, and each vector is filled up to a multiple of 4.
    let whole = |bytes: usize| bytes.next_multiple_of(4);
    let bitmap_bytes = whole(mask.len()) + whole(values.len()) + 8;
    if choice == PackingChoice::Auto && whole(data.len() * T::SIZE) <= bitmap_bytes {
        return dense();
    }
    PackedBytes::Bitmap { mask, values }
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

    #[test]
    fn auto_packs_the_smaller_way() {
        let is_bitmap =
            |data: &[i8]| matches!(pack(data, PackingChoice::Auto), PackedBytes::Bitmap { .. });
        let mut data = std::vec![0_i8; 800];
        assert!(is_bitmap(&data));
        data[..692].fill(1);
        assert!(!is_bitmap(&data), "100 + 692 + 8 bytes equal dense's 800");
        data[688..692].fill(0);
        assert!(is_bitmap(&data));
        assert!(!is_bitmap(&[0; 12]), "a short constant is cheaper dense");
    }
}
