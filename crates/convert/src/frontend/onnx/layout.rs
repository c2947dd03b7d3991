//! How the elements of a value lie in memory, beside the dimensions that ONNX gives it: channels last, where ONNX has them
//! first. A transposition only changes what is said here; so does a flattening, whose permuted features the dense layer after
//! it then takes up in its weights.

use super::tensor::visit;

/// The order of a value's elements.
///
/// Row-major `factors` are, in ONNX's order, what row-major dimensions are; memory holds them with the axes in `order`,
/// outermost first. Axes of length 1 may stand anywhere. `factors` are the dimensions themselves, except where channels-last
/// elements were flattened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    factors: Vec<usize>,
    order: Vec<usize>,
}

/// `[0, 2, .., 1]`: the axes of `[N, C, ...]` with the channels last.
fn channels_last_order(rank: usize) -> Vec<usize> {
    match rank {
        0..=2 => (0..rank).collect(),
        _ => std::iter::once(0).chain(2..rank).chain([1]).collect(),
    }
}

impl Layout {
    /// In ONNX's own order.
    pub(super) fn row_major(dims: &[usize]) -> Self {
        Self { factors: dims.to_vec(), order: (0..dims.len()).collect() }
    }

    /// `[N, C, ...]` with the channels last.
    pub(super) fn channels_last(dims: &[usize]) -> Self {
        Self { factors: dims.to_vec(), order: channels_last_order(dims.len()) }
    }

    pub(super) fn with_order(dims: &[usize], order: Vec<usize>) -> Self {
        Self { factors: dims.to_vec(), order }
    }

    /// Axes in memory order, without those of length 1.
    fn long_axes(&self) -> Vec<usize> {
        long(&self.factors, &self.order)
    }

    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Whether the axes of memory are those of a value of these dimensions.
    pub(super) fn is_of(&self, dims: &[usize]) -> bool {
        self.factors == dims
    }

    /// Whether memory is in ONNX's own order.
    pub(super) fn is_row_major(&self) -> bool {
        self.long_axes().is_sorted()
    }

    /// Whether a value of these dimensions lies with axis 1 last.
    pub(super) fn is_channels_last(&self, dims: &[usize]) -> bool {
        self.agrees(dims, &channels_last_order(dims.len()))
    }

    /// Whether a value of these dimensions lies with its axes in `order`, those of length 1 aside.
    pub(super) fn agrees(&self, dims: &[usize], order: &[usize]) -> bool {
        self.is_of(dims) && self.long_axes() == long(dims, order)
    }

    /// The dimensions in memory order.
    pub(super) fn stored(&self) -> Vec<usize> {
        self.order.iter().map(|&axis| self.factors[axis]).collect()
    }

    /// The axis of the innermost dimension in memory that is longer than 1.
    pub(super) fn innermost(&self) -> Option<usize> {
        self.long_axes().last().copied()
    }

    /// After a transposition of a value whose dimensions are `factors`.
    pub(super) fn transposed(&self, perm: &[usize]) -> Self {
        let new_axis = |old: usize| perm.iter().position(|&p| p == old).unwrap_or(old);
        Self {
            factors: perm.iter().map(|&axis| self.factors[axis]).collect(),
            order: self.order.iter().map(|&axis| new_axis(axis)).collect(),
        }
    }

    /// After a reshape to `dims`: no element moves.
    pub(super) fn reshaped(&self, dims: &[usize]) -> Self {
        let long_old: Vec<usize> =
            (0..self.factors.len()).filter(|&a| self.factors[a] != 1).collect();
        let long_new: Vec<usize> = (0..dims.len()).filter(|&a| dims[a] != 1).collect();
        let same = long_old.iter().map(|&a| self.factors[a]).eq(long_new.iter().map(|&a| dims[a]));
        let wanted: Vec<usize> = if same {
            let place = |axis: usize| long_old.iter().position(|&a| a == axis);
            self.long_axes().into_iter().filter_map(place).map(|k| long_new[k]).collect()
        } else if self.is_row_major() {
            long_new
        } else {
            return self.clone();
        };
        let channels_last = channels_last_order(dims.len());
        if long(dims, &channels_last) == wanted {
            return Self { factors: dims.to_vec(), order: channels_last };
        }
        let short = (0..dims.len()).filter(|&a| dims[a] == 1);
        Self { factors: dims.to_vec(), order: short.chain(wanted).collect() }
    }

    /// For each element in memory order, its row-major index in ONNX's order.
    pub(super) fn indices(&self) -> Vec<usize> {
        let mut indices = Vec::with_capacity(self.factors.iter().product());
        visit(&self.factors, &self.order, |index| indices.push(index));
        indices
    }
}

fn long(dims: &[usize], order: &[usize]) -> Vec<usize> {
    order.iter().copied().filter(|&axis| dims.get(axis).is_some_and(|&d| d != 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flattened_image_remembers_its_order_and_takes_its_axes_back() {
        let image = Layout::channels_last(&[1, 3, 2, 2]);
        assert_eq!(image.stored(), [1, 2, 2, 3]);
        let flat = image.reshaped(&[1, 12]);
        assert!(!flat.is_row_major() && !flat.is_of(&[1, 12]));
        assert_eq!(flat.indices(), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(flat.reshaped(&[1, 3, 2, 2]), image);
    }

    #[test]
    fn axes_of_length_one_move_freely() {
        let image = Layout::row_major(&[1, 28, 28, 1]).reshaped(&[1, 1, 28, 28]);
        assert!(image.is_channels_last(&[1, 1, 28, 28]));
        assert!(Layout::channels_last(&[1, 64, 1, 1]).reshaped(&[1, 64]).is_row_major());
        let line = Layout::channels_last(&[1, 8, 5]).reshaped(&[1, 8, 1, 5]);
        assert!(line.is_channels_last(&[1, 8, 1, 5]));
        assert_eq!(line.stored(), [1, 1, 5, 8]);
    }

    #[test]
    fn a_transposition_moves_no_element() {
        let nhwc = Layout::row_major(&[1, 4, 5, 3]);
        let nchw = nhwc.transposed(&[0, 3, 1, 2]);
        assert!(nchw.is_channels_last(&[1, 3, 4, 5]));
        assert!(nchw.transposed(&[0, 2, 3, 1]).is_row_major());
    }
}
