//! Differentiable operations on candle tensors with backward passes of their own: NHWC activations, OHWI weights, f32 on
//! the CPU, one thread.
//!
//! Candle's own convolution, pooling and ReLU are *not* used anywhere in training: their gradients are wrong at ties and
//! zeros, and slow. What is not here either: parameters (`optimizer`) and how layers are put together.

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

mod conv2d;
mod conv_relu_pool;
mod cross_entropy;
mod fake_quantize;
mod linear;
mod max_pool2d;
mod padding;
mod relu;

pub use conv_relu_pool::conv_relu_pool;
pub use conv2d::conv2d;
pub use cross_entropy::cross_entropy;
pub use fake_quantize::{fake_quantize_activation, fake_quantize_weights, min_max};
pub use linear::linear;
pub use max_pool2d::max_pool2d;
pub use relu::relu;

/// A window that slides over the height and width of an image: of a convolution or of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width, in pixels.
    pub kernel: [usize; 2],
    /// Step down and to the right, in pixels.
    pub stride: [usize; 2],
    /// Pixels added at the top, bottom, left and right.
    pub padding: [usize; 4],
}

impl Window {
    /// Height and width of the result on an image of `height` x `width`, or `None` where the window does not fit even once
    /// or a size is 0. Rows and columns that are left over at the end are dropped.
    #[must_use]
    pub fn output_size(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let [top, bottom, left, right] = self.padding;
        let along = |size: usize, kernel: usize, stride: usize| {
            let rest = size.checked_sub(kernel)?;
            if kernel == 0 || stride == 0 { None } else { Some(rest / stride + 1) }
        };
        Some([
            along(height + top + bottom, self.kernel[0], self.stride[0])?,
            along(width + left + right, self.kernel[1], self.stride[1])?,
        ])
    }

    /// As [`Window::output_size`], with an error that names `op` and the sizes.
    fn checked_output(&self, op: &str, height: usize, width: usize) -> Result<[usize; 2]> {
        match self.output_size(height, width) {
            Some(size) => Ok(size),
            None => bail!("{op}: {self:?} does not fit an image of {height} x {width}"),
        }
    }
}

/// The values of a contiguous f32 storage.
fn values<'a>(op: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("{op}: expected a contiguous tensor, found strides {:?}", layout.stride()),
    }
}

/// Calls `f` with the values of a tensor, copied first where it is not contiguous.
pub(crate) fn with_values<R>(
    op: &str,
    tensor: &Tensor,
    f: impl FnOnce(&[f32]) -> Result<R>,
) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(values(op, storage, layout)?),
        _ => bail!("{op}: expected a tensor on the CPU, found {:?}", tensor.device()),
    }
}

/// A new tensor, outside autograd, in the shape of `like`.
fn shaped_like(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_follow_the_usual_formula() {
        let window = |kernel, stride, padding| Window { kernel, stride, padding };
        assert_eq!(window([3, 3], [1, 1], [0; 4]).output_size(28, 28), Some([26, 26]));
        assert_eq!(window([2, 2], [2, 2], [0; 4]).output_size(26, 27), Some([13, 13]));
        assert_eq!(window([3, 2], [2, 1], [1, 0, 0, 1]).output_size(5, 4), Some([2, 4]));
        assert_eq!(window([5, 1], [1, 1], [1, 1, 0, 0]).output_size(2, 9), None);
        assert_eq!(window([1, 1], [0, 1], [0; 4]).output_size(2, 2), None);
        assert_eq!(window([0, 1], [1, 1], [0; 4]).output_size(2, 2), None);
    }
}
