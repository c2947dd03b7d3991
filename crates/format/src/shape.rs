//! A tensor's dimensions, by value and without a heap. Strides and layouts are the runtime's business.

use core::fmt;

/// The largest number of dimensions that a file may state.
pub const MAX_RANK: usize = 6;

/// Dimensions, outermost first. The default has rank 0 (one element).
#[derive(Clone, Copy, Default)]
pub struct Shape {
    rank: u8,
    dims: [u32; MAX_RANK],
}

impl Shape {
    /// `None` where there are more than [`MAX_RANK`] dimensions.
    #[must_use]
    pub fn new(dims: &[u32]) -> Option<Self> {
        Self::from_dims(dims.iter().copied())
    }

    /// `None` where there are more than [`MAX_RANK`] dimensions.
    #[must_use]
    pub fn from_dims(dims: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut shape = Self::default();
        for dim in dims {
            *shape.dims.get_mut(usize::from(shape.rank))? = dim;
            shape.rank += 1;
        }
        Some(shape)
    }

    /// The dimensions, outermost first.
    #[must_use]
    pub fn dims(&self) -> &[u32] {
        self.dims.get(..usize::from(self.rank)).unwrap_or(&[])
    }

    /// Number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// Product of the dimensions; `None` where it exceeds what a `u32` holds (the format's limit on one tensor).
    #[must_use]
    pub fn elements(&self) -> Option<usize> {
        let product = self.dims().iter().try_fold(1_u32, |product, &dim| product.checked_mul(dim));
        product.and_then(|product| usize::try_from(product).ok())
    }

    /// The first dimension (batch of an activation, output channels of a weight).
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.dims().first().copied()
    }

    /// The last dimension (channels or features).
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.dims().last().copied()
    }

    /// The dimensions of a rank-2 shape.
    #[must_use]
    pub fn as_2d(&self) -> Option<[u32; 2]> {
        self.dims().try_into().ok()
    }

    /// The dimensions of a rank-4 shape.
    #[must_use]
    pub fn as_4d(&self) -> Option<[u32; 4]> {
        self.dims().try_into().ok()
    }
}

impl<const N: usize> From<[u32; N]> for Shape {
    /// At most [`MAX_RANK`] dimensions, checked when compiling.
    fn from(dims: [u32; N]) -> Self {
        const { assert!(N <= MAX_RANK, "a shape has at most MAX_RANK dimensions") };
        Self::from_dims(dims).unwrap_or_default()
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        self.dims() == other.dims()
    }
}

impl Eq for Shape {}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `[1, 28, 28, 1]`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.dims()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn counts_elements_up_to_u32() {
        assert_eq!(Shape::default().elements(), Some(1));
        assert_eq!(Shape::from([1, 28, 28, 1]).elements(), Some(784));
        assert_eq!(Shape::from([65_535, 65_537]).elements(), Some(u32::MAX as usize));
        assert_eq!(Shape::from([65_536, 65_536]).elements(), None);
        assert_eq!(Shape::from([u32::MAX; 6]).elements(), None);
    }

    #[test]
    fn refuses_seven_dimensions_and_shows_a_list() {
        assert_eq!(Shape::new(&[1; 7]), None);
        assert_eq!(Shape::from([1, 28, 28, 1]).to_string(), "[1, 28, 28, 1]");
        assert_ne!(Shape::from([1, 1]), Shape::from([1]));
    }
}
