//! Labelled images in memory, and views of a range of them. Nothing here touches a file; the
//! paths are kept for messages only.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::DatasetError;

/// Where a split came from, so that an error found later can still name the file.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) images_file: PathBuf,
    pub(crate) labels_file: PathBuf,
}

/// Labelled images: pixels u8 `[N, H, W, C]`, row-major, and one u8 label an image.
#[derive(Clone, Debug)]
pub struct Split {
    images: Vec<u8>,
    labels: Vec<u8>,
    shape: [usize; 3],
    origin: Origin,
}

impl Split {
    pub(crate) fn new(
        images: Vec<u8>,
        labels: Vec<u8>,
        shape: [usize; 3],
        origin: Origin,
    ) -> Split {
        debug_assert_eq!(images.len(), labels.len() * shape.iter().product::<usize>());
        Split { images, labels, shape, origin }
    }

    /// A split of images `[N, H, W, C]` that are in memory already, N being the number of labels;
    /// `name` stands in messages where a file's path would.
    ///
    /// # Errors
    /// [`DatasetError::PixelCount`] where there are not N * H * W * C pixels.
    pub fn from_memory(
        name: &str,
        images: Vec<u8>,
        labels: Vec<u8>,
        shape: [usize; 3],
    ) -> Result<Split, DatasetError> {
        // Saturating, for four factors of 64 bits can pass 128; no Vec is that long anyway.
        let expected = shape
            .iter()
            .fold(labels.len() as u128, |bytes, &dim| bytes.saturating_mul(dim as u128));
        if images.len() as u128 != expected {
            return Err(DatasetError::PixelCount {
                count: labels.len(),
                shape,
                expected,
                found: images.len(),
            });
        }
        let origin = Origin { images_file: name.into(), labels_file: name.into() };
        Ok(Split::new(images, labels, shape, origin))
    }

    /// The number of images, N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image at all; a split that was read from files has at least one.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of one image: `[H, W, C]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Image `index`, u8 `[H, W, C]`. Panics where `index` is not below [`Split::len`].
    pub fn image(&self, index: usize) -> &[u8] {
        self.view().image(index)
    }

    /// All pixels, u8 `[N, H, W, C]`.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, u8 `[N]`.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The number of classes that the labels speak for: the largest label + 1, 0 without labels.
    pub fn classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |&label| usize::from(label) + 1)
    }

    /// Checks that every label is below `classes`.
    ///
    /// # Errors
    /// [`DatasetError::LabelOutOfRange`] for the first label that is not.
    pub fn check_labels(&self, classes: usize) -> Result<(), DatasetError> {
        match self.labels.iter().position(|&label| usize::from(label) >= classes) {
            None => Ok(()),
            Some(index) => Err(DatasetError::LabelOutOfRange {
                file: self.origin.labels_file.clone(),
                index,
                label: self.labels[index],
                classes,
            }),
        }
    }

    /// All samples, borrowed.
    pub fn view(&self) -> SplitView<'_> {
        SplitView { images: &self.images, labels: &self.labels, shape: self.shape }
    }

    /// The samples of `range`, borrowed. Panics where `range` ends after [`Split::len`].
    pub fn slice(&self, range: Range<usize>) -> SplitView<'_> {
        self.view().slice(range)
    }

    /// The file that the images came from, or the name given to [`Split::from_memory`].
    pub fn images_file(&self) -> &Path {
        &self.origin.images_file
    }

    /// The file that the labels came from, or the name given to [`Split::from_memory`].
    pub fn labels_file(&self) -> &Path {
        &self.origin.labels_file
    }
}

/// A range of a [`Split`], borrowed: the validation part of the training samples, or one batch.
#[derive(Clone, Copy, Debug)]
pub struct SplitView<'a> {
    images: &'a [u8],
    labels: &'a [u8],
    shape: [usize; 3],
}

impl<'a> SplitView<'a> {
    /// The number of images in the view, N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the view holds no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of one image: `[H, W, C]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Image `index` of the view, u8 `[H, W, C]`. Panics where `index` is not below
    /// [`SplitView::len`].
    pub fn image(&self, index: usize) -> &'a [u8] {
        let size: usize = self.shape.iter().product();
        &self.images[index * size..(index + 1) * size]
    }

    /// The view's pixels, u8 `[N, H, W, C]`.
    pub fn images(&self) -> &'a [u8] {
        self.images
    }

    /// The view's labels, u8 `[N]`.
    pub fn labels(&self) -> &'a [u8] {
        self.labels
    }

    /// The samples of `range` of this view. Panics where `range` ends after [`SplitView::len`].
    pub fn slice(&self, range: Range<usize>) -> SplitView<'a> {
        let size: usize = self.shape.iter().product();
        SplitView {
            images: &self.images[range.start * size..range.end * size],
            labels: &self.labels[range],
            shape: self.shape,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Split {
        Split::from_memory("made up", (0..24).collect(), vec![2, 0, 7, 1], [3, 1, 2]).unwrap()
    }

    #[test]
    fn images_and_slices_line_up_with_their_labels() {
        let split = small();
        assert_eq!(split.image(2), [12, 13, 14, 15, 16, 17]);
        let tail = split.slice(1..4).slice(1..3);
        assert_eq!((tail.len(), tail.shape()), (2, [3, 1, 2]));
        assert_eq!(tail.labels(), [7, 1]);
        assert_eq!(tail.image(0), split.image(2));
        assert_eq!(tail.images(), &split.images()[12..]);
        assert!(split.slice(4..4).is_empty());
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_slice_past_the_end_panics() {
        small().slice(2..5);
    }

    #[test]
    fn a_label_out_of_range_names_index_label_and_classes() {
        let split = small();
        assert_eq!(split.classes(), 8);
        split.check_labels(8).unwrap();
        let message = split.check_labels(7).unwrap_err().to_string();
        assert_eq!(message, "made up: label 2 is 7, expected less than 7 (the number of classes)");
    }

    #[test]
    fn pixels_must_fill_the_shape() {
        for (pixels, shape) in [(23, [3, 1, 2]), (25, [3, 1, 2]), (24, [usize::MAX; 3])] {
            let error = Split::from_memory("x", vec![0; pixels], vec![0; 4], shape).unwrap_err();
            assert!(
                matches!(error, DatasetError::PixelCount { count: 4, found, .. } if found == pixels)
            );
        }
    }
}
