//! Zeros around NHWC images, and the way back. Only copies: no arithmetic.

use std::borrow::Cow;

/// Sizes of a batch of images before padding, `[n, height, width, channels]`, and the padding: top, bottom, left, right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padding {
    /// `[n, height, width, channels]` without padding.
    pub(super) dims: [usize; 4],
    /// Top, bottom, left, right.
    pub(super) around: [usize; 4],
}

impl Padding {
    /// Height and width with the padding.
    pub(super) fn padded(&self) -> [usize; 2] {
        let [_, h, w, _] = self.dims;
        let [top, bottom, left, right] = self.around;
        [h + top + bottom, w + left + right]
    }

    fn is_none(&self) -> bool {
        self.around == [0; 4]
    }

    /// Elements of the batch with the padding.
    pub(super) fn padded_len(&self) -> usize {
        let [h, w] = self.padded();
        self.dims[0] * h * w * self.dims[3]
    }

    /// Calls `f(offset without padding, offset with padding)` for each image row.
    fn rows(&self, mut f: impl FnMut(usize, usize)) {
        let [n, h, w, c] = self.dims;
        let [padded_h, padded_w] = self.padded();
        for image in 0..n {
            for y in 0..h {
                let to = (image * padded_h + y + self.around[0]) * padded_w + self.around[2];
                f((image * h + y) * w * c, to * c);
            }
        }
    }

    /// The images with zeros around them.
    pub(super) fn pad<'a>(&self, x: &'a [f32]) -> Cow<'a, [f32]> {
        if self.is_none() {
            return Cow::Borrowed(x);
        }
        let mut out = vec![0.0; self.padded_len()];
        let len = self.dims[2] * self.dims[3];
        self.rows(|from, to| out[to..to + len].copy_from_slice(&x[from..from + len]));
        Cow::Owned(out)
    }

    /// The images without their borders.
    pub(super) fn crop(&self, padded: Vec<f32>) -> Vec<f32> {
        if self.is_none() {
            return padded;
        }
        let mut out = vec![0.0; self.dims.iter().product()];
        let len = self.dims[2] * self.dims[3];
        self.rows(|from, to| out[from..from + len].copy_from_slice(&padded[to..to + len]));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crop_undoes_pad_and_the_border_is_zero() {
        let padding = Padding { dims: [2, 2, 3, 2], around: [1, 0, 2, 1] };
        let x: Vec<f32> = (1..=24).map(|i| i as f32).collect();
        let padded = padding.pad(&x).into_owned();
        assert_eq!(padded.len(), 2 * 3 * 6 * 2);
        assert_eq!(&padded[..12], &[0.0; 12]);
        assert_eq!(&padded[12..24], &[0., 0., 0., 0., 1., 2., 3., 4., 5., 6., 0., 0.]);
        assert_eq!(padded.iter().sum::<f32>(), x.iter().sum::<f32>());
        assert_eq!(padding.crop(padded), x);
    }
}
