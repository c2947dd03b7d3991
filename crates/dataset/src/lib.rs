//! Labelled images from a folder of IDX files: the one place where Penjing reads a data set.
//!
//! It finds the files, gzipped or raw, checks them against their headers and against a
//! `SHA256SUMS` beside them, and hands out the pixels as the u8 values that the files hold.
//! It does not normalize, shuffle, batch or augment (training does), and downloads nothing.
//!
//! ```no_run
//! # fn main() -> Result<(), penjing_dataset::DatasetError> {
//! let data = penjing_dataset::Dataset::open("data".as_ref())?;
//! let [height, width, channels] = data.train.shape();
//! data.train.check_labels(10)?;
//! assert_eq!(data.train.image(0).len(), height * width * channels);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod checksums;
mod error;
mod folder;
mod idx;
mod split;

use std::path::Path;

pub use error::{DatasetError, Part};
pub use split::{Split, SplitView};

/// One of the two splits that an IDX folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The files that begin with `train-`.
    Train,
    /// The files that begin with `t10k-`.
    Test,
}

impl Which {
    /// What this split's file names begin with, without the hyphen.
    pub(crate) fn stem(self) -> &'static str {
        match self {
            Which::Train => "train",
            Which::Test => "t10k",
        }
    }
}

/// Both splits of a folder; their images have one shape.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The samples to train and validate on.
    pub train: Split,
    /// The samples to report accuracy on.
    pub test: Split,
}

impl Dataset {
    /// Reads all four files of `dir`. [`open_split`] lists the accepted names and the checks.
    ///
    /// # Errors
    /// What [`open_split`] returns, and [`DatasetError::ShapesDiffer`] when the two splits' images
    /// have different shapes.
    pub fn open(dir: &Path) -> Result<Dataset, DatasetError> {
        let train = open_split(dir, Which::Train)?;
        let test = open_split(dir, Which::Test)?;
        if train.shape() != test.shape() {
            return Err(DatasetError::ShapesDiffer {
                train_file: train.images_file().to_owned(),
                train_shape: train.shape(),
                test_file: test.images_file().to_owned(),
                test_shape: test.shape(),
            });
        }
        Ok(Dataset { train, test })
    }

    /// The number of classes: one more than the largest label of either split.
    pub fn classes(&self) -> usize {
        self.train.classes().max(self.test.classes())
    }

    /// Checks that every label of both splits is below `classes`.
    ///
    /// # Errors
    /// [`DatasetError::LabelOutOfRange`] for the first label that is not.
    pub fn check_labels(&self, classes: usize) -> Result<(), DatasetError> {
        self.train.check_labels(classes)?;
        self.test.check_labels(classes)
    }
}

/// Reads one split of `dir`, and only that split's two files.
///
/// Images are looked for as `train-images-idx3-ubyte` (`t10k-` for the test split), then as
/// `train-images.idx3-ubyte` and `train-images-idx3.ubyte`, then the same with `idx4`; labels
/// likewise with `labels` and `idx1`. Each name is tried as it is and with `.gz`. The first two
/// bytes say whether a file is gzipped, its name does not. An IDX3 file holds images `[N, H, W]`
/// of one channel, an IDX4 file `[N, H, W, C]`; both hold unsigned bytes.
///
/// Where `dir` holds a `SHA256SUMS` (the format of `sha256sum`), each file read whose name
/// without `.gz` stands in it has the hash of its uncompressed bytes compared with it.
///
/// # Errors
/// Each way in which the folder can be wrong is a variant of [`DatasetError`] of its own.
pub fn open_split(dir: &Path, which: Which) -> Result<Split, DatasetError> {
    folder::open_split(dir, which)
}
