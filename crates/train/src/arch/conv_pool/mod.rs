//! Convolution + bias + ReLU + max-pool in one pass, and its backward pass. Output channels lie in the lanes; the
//! positions under one pooling window ("phases") are computed together, so that they share the loads of the weights.
//!
//! Images come padded already; layouts are NHWC and OHWI. The convolution without pooling is `gemm` over patches instead.

mod backward;
mod forward;

pub(crate) use backward::Backward;
pub(crate) use forward::Forward;

/// Marks a pooled value that ReLU cut off; hence a pooling window may have at most 255 positions.
pub(crate) const INACTIVE: u8 = 255;

/// Sizes of one fused layer, in elements; the image is the padded one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    /// Height and width of the padded image.
    pub(crate) image: [usize; 2],
    /// Input channels.
    pub(crate) in_channels: usize,
    /// Output channels.
    pub(crate) out_channels: usize,
    /// Kernel height and width.
    pub(crate) kernel: [usize; 2],
    /// Stride of the convolution.
    pub(crate) stride: [usize; 2],
    /// Pooling window; its stride is its size.
    pub(crate) pool: [usize; 2],
    /// Height and width of the pooled result.
    pub(crate) output: [usize; 2],
}

impl Geometry {
    /// Elements from one image row to the next.
    fn row(&self) -> usize {
        self.image[1] * self.in_channels
    }
    /// Elements of one image.
    pub(crate) fn image_len(&self) -> usize {
        self.image[0] * self.row()
    }
    /// Elements that one kernel row covers, side by side in image and weights alike.
    fn run(&self) -> usize {
        self.kernel[1] * self.in_channels
    }
    /// Weights of one output channel.
    pub(crate) fn patch_len(&self) -> usize {
        self.kernel[0] * self.run()
    }
    /// Pooled positions of one image.
    pub(crate) fn cells(&self) -> usize {
        self.output[0] * self.output[1]
    }
    /// Where the patch of the first phase of cell (y, x) starts in the image.
    #[inline(always)]
    fn base(&self, y: usize, x: usize) -> usize {
        y * self.pool[0] * self.stride[0] * self.row()
            + x * self.pool[1] * self.stride[1] * self.in_channels
    }
    /// Where the patch of each phase starts, from the base of its cell; row-major in the pooling window.
    fn phases(&self) -> Vec<usize> {
        let mut offsets = Vec::with_capacity(self.pool[0] * self.pool[1]);
        for y in 0..self.pool[0] {
            for x in 0..self.pool[1] {
                let (dy, dx) = (y * self.stride[0], x * self.stride[1]);
                offsets.push(dy * self.row() + dx * self.in_channels);
            }
        }
        offsets
    }
    /// Whether the kernels' unrolled instance (3x3, one input channel) serves it.
    fn is_3x3x1(&self) -> bool {
        self.kernel == [3, 3] && self.in_channels == 1
    }
}
