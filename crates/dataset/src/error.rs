//! What can be wrong with a data folder, one variant a cause; no cause is handled here.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a file ended too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The magic number and the dimensions.
    Header,
    /// The values after the header.
    Body,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Header => "header",
            Part::Body => "body",
        })
    }
}

/// Why a data folder could not be read. Byte counts are of uncompressed bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The path given is not a folder that exists.
    #[error("{}: no such folder", dir.display())]
    MissingFolder {
        /// The path as it was given.
        dir: PathBuf,
    },

    /// None of the accepted names exists in the folder.
    #[error("{}: no {what} here, tried {}", dir.display(), tried.join(", "))]
    MissingFile {
        /// The folder.
        dir: PathBuf,
        /// What was looked for, such as `train images`.
        what: String,
        /// The names tried, in order.
        tried: Vec<String>,
    },

    /// The operating system refused to open or read a file.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },

    /// A file that begins like gzip does not decompress.
    #[error("{}: corrupt gzip stream after {decoded} decompressed bytes: {source}", file.display())]
    CorruptGzip {
        /// The file.
        file: PathBuf,
        /// How many bytes came out before the error.
        decoded: u64,
        /// The decoder's error.
        source: io::Error,
    },

    /// The first four bytes are not those of the kind of IDX file that the name promises.
    #[error("{}: expected the magic number {expected} ({kind}), found 0x{found:08x}", file.display())]
    WrongMagic {
        /// The file.
        file: PathBuf,
        /// What the file should hold.
        kind: &'static str,
        /// The magic numbers that would do.
        expected: &'static str,
        /// The first four bytes, big-endian.
        found: u32,
    },

    /// A dimension in the header is zero.
    #[error("{}: the header's dimensions are {dims:?}, expected all of them to be at least 1", file.display())]
    ZeroDimension {
        /// The file.
        file: PathBuf,
        /// The header's dimensions: `[N]`, `[N, H, W]` or `[N, H, W, C]`.
        dims: Vec<u32>,
    },

    /// The header's dimensions multiply to more bytes than this machine can address.
    #[error("{}: the header's dimensions {dims:?} need {bytes} bytes, expected at most {limit}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The header's dimensions.
        dims: Vec<u32>,
        /// Their product.
        bytes: u128,
        /// The largest product that can be read.
        limit: u64,
    },

    /// A file ends before its header or the values that its header declares do.
    #[error("{}: truncated {part}: expected {expected} bytes, found {found}", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// What ends early.
        part: Part,
        /// How many bytes this part has.
        expected: u64,
        /// How many bytes of it are there.
        found: u64,
    },

    /// A file goes on after the values that its header declares.
    #[error("{}: trailing bytes: expected {expected} bytes after the header, found at least {found}", file.display())]
    TrailingBytes {
        /// The file.
        file: PathBuf,
        /// How many bytes the header declares.
        expected: u64,
        /// How many were seen before reading stopped.
        found: u64,
    },

    /// A split has not one label an image.
    #[error("{} holds {images} images, but {} holds {labels} labels", images_file.display(), labels_file.display())]
    CountsDiffer {
        /// The file of the images.
        images_file: PathBuf,
        /// How many images it holds.
        images: usize,
        /// The file of the labels.
        labels_file: PathBuf,
        /// How many labels it holds.
        labels: usize,
    },

    /// The train and test images have different shapes.
    #[error("{} holds images of {train_shape:?} [H, W, C], but {} of {test_shape:?}", train_file.display(), test_file.display())]
    ShapesDiffer {
        /// The file of the train images.
        train_file: PathBuf,
        /// Their shape `[H, W, C]`.
        train_shape: [usize; 3],
        /// The file of the test images.
        test_file: PathBuf,
        /// Their shape `[H, W, C]`.
        test_shape: [usize; 3],
    },

    /// A label is not below the number of classes.
    #[error("{}: label {index} is {label}, expected less than {classes} (the number of classes)", file.display())]
    LabelOutOfRange {
        /// The file of the labels.
        file: PathBuf,
        /// The label's position in the file, from 0.
        index: usize,
        /// The label.
        label: u8,
        /// The number of classes that it was checked against.
        classes: usize,
    },

    /// Pixels handed over in memory do not fill the shape that was said.
    #[error(
        "expected {expected} pixel bytes for {count} images of {shape:?} [H, W, C], found {found}"
    )]
    PixelCount {
        /// The number of images, taken from the labels.
        count: usize,
        /// The shape `[H, W, C]` of one image.
        shape: [usize; 3],
        /// count * H * W * C.
        expected: u128,
        /// The number of bytes handed over.
        found: usize,
    },

    /// A file's uncompressed bytes are not those that `SHA256SUMS` lists.
    #[error("{}: checksum mismatch against {}: expected {expected}, found {found}", file.display(), list.display())]
    ChecksumMismatch {
        /// The file.
        file: PathBuf,
        /// The list of checksums.
        list: PathBuf,
        /// The hash listed, in hexadecimal.
        expected: String,
        /// The hash found, in hexadecimal.
        found: String,
    },

    /// A line of `SHA256SUMS` is not 64 hexadecimal digits, a space, a space or `*`, and a name.
    #[error("{}: line {line}: expected a SHA-256 in hexadecimal and a file name, found {found:?}", list.display())]
    MalformedChecksums {
        /// The list of checksums.
        list: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The line's beginning.
        found: String,
    },
}
