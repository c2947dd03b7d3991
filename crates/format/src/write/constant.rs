//! Owned constants and the choice of their packing.

#![forbid(unsafe_code)]

use crate::dtype::DataType;
use crate::packing::{Element, bitmap, dense, gaps};
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
    /// Non-zero elements and the gaps between them, in codes of as many bits as take the fewest bytes.
    Gaps,
}

impl PackingChoice {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Dense, Self::Bitmap, Self::Gaps];
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
    Gaps { bits: u8, codes: Vec<u8>, values: Vec<u8> },
}

impl PackedBytes {
    /// Bytes of the file: a vector is filled up to a multiple of 4, a second one costs its offset and its length, and bits
    /// that are not the usual ones a byte.
    fn cost(&self) -> usize {
        let whole = |bytes: &Vec<u8>| bytes.len().next_multiple_of(4);
        match self {
            PackedBytes::Dense { data } => whole(data),
            PackedBytes::Bitmap { mask, values } => whole(mask) + whole(values) + 8,
            PackedBytes::Gaps { bits, codes, values } => {
                whole(codes) + whole(values) + 8 + if *bits == 3 { 0 } else { 4 }
            }
        }
    }
}

fn pack<T: Element>(data: &[T], choice: PackingChoice) -> PackedBytes {
    let dense = || PackedBytes::Dense { data: dense::pack(data) };
    let bitmap = || {
        let (mask, values) = bitmap::pack(data);
        PackedBytes::Bitmap { mask, values }
    };
    let gaps = || {
        let packed = gaps::BITS.map(|bits| {
            let (codes, values) = gaps::pack(data, bits);
            PackedBytes::Gaps { bits, codes, values }
        });
        packed.min_by_key(PackedBytes::cost)
    };
    match choice {
        PackingChoice::Dense => dense(),
        PackingChoice::Bitmap => bitmap(),
        PackingChoice::Gaps => gaps().unwrap_or_else(dense),
        // Of equals the first: what is quicker to walk.
        PackingChoice::Auto => {
            let packed = [Some(dense()), Some(bitmap()), gaps()];
            packed.into_iter().flatten().min_by_key(PackedBytes::cost).unwrap_or_else(dense)
        }
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

    #[test]
    fn auto_packs_the_smallest_way() {
        let every = |n: usize| -> Vec<i8> { (0..800).map(|i| i8::from(i % n == 0)).collect() };
        for data in [every(1), every(2), every(3), every(8), every(100), std::vec![0; 800]] {
            let costs = PackingChoice::ALL.map(|choice| pack(&data, choice).cost());
            assert_eq!(costs[0], costs[1..].iter().copied().min().unwrap(), "{costs:?}");
        }
        let auto = |data: &[i8]| pack(data, PackingChoice::Auto);
        assert!(matches!(auto(&every(2)), PackedBytes::Bitmap { .. }));
        assert!(matches!(auto(&every(8)), PackedBytes::Gaps { bits: 3 | 4, .. }));
        let short = [0, 1, 0, 0, 5, 6, 0, 1];
        assert!(matches!(auto(&short), PackedBytes::Dense { .. }), "a vector costs more");
    }
}
