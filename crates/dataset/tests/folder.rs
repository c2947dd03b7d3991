//! The shipped data folder, and folders that are written by hand: which names and contents are
//! accepted. What must be refused is in `refused.rs`.

mod support;

use std::path::Path;

use penjing_dataset::{Dataset, DatasetError, Which, open_split};
use support::{Folder, gzip, idx};

#[test]
fn the_shipped_data_is_mnist() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let data = Dataset::open(&dir).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (60_000, 10_000));
    assert_eq!((data.train.shape(), data.test.shape()), ([28, 28, 1], [28, 28, 1]));
    assert_eq!((data.train.classes(), data.test.classes(), data.classes()), (10, 10, 10));
    data.check_labels(10).unwrap();
    assert_eq!(data.train.labels()[..5], [5, 0, 4, 1, 9]);
    assert_eq!(data.test.labels()[..5], [7, 2, 1, 0, 4]);
    // The first digit's ink and the mean that everyone quotes for the training pixels (0.1307).
    assert_eq!(data.train.image(0).iter().filter(|&&pixel| pixel > 0).count(), 166);
    let sum: u64 = data.train.images().iter().map(|&pixel| u64::from(pixel)).sum();
    let mean = sum as f64 / data.train.images().len() as f64 / 255.0;
    assert!((mean - 0.1307).abs() < 5e-5, "{mean}");
}

#[test]
fn raw_and_gzipped_are_told_apart_by_content() {
    let folder = Folder::new();
    let images = idx(0x803, &[2, 2, 3], &(0..12).collect::<Vec<u8>>());
    let labels = idx(0x801, &[2], &[3, 1]);
    // Each under the name of the other.
    folder.write("train-images-idx3-ubyte", &gzip(&images));
    folder.write("train-labels-idx1-ubyte.gz", &labels);
    let split = open_split(folder.path(), Which::Train).unwrap();
    assert_eq!((split.len(), split.shape()), (2, [2, 3, 1]));
    assert_eq!(split.image(1), [6, 7, 8, 9, 10, 11]);
    assert_eq!(split.labels(), [3, 1]);
    assert_eq!(split.images_file(), folder.path().join("train-images-idx3-ubyte"));
}

#[test]
fn a_gzip_file_of_several_members_is_one_file() {
    let folder = Folder::good();
    let images = idx(0x803, &[1, 2, 2], &[9, 8, 7, 6]);
    let members = [gzip(&images[..7]), gzip(&images[7..])].concat();
    folder.write("t10k-images-idx3-ubyte", &members);
    folder.write("t10k-labels-idx1-ubyte", &idx(0x801, &[1], &[0]));
    assert_eq!(open_split(folder.path(), Which::Test).unwrap().image(0), [9, 8, 7, 6]);
}

#[test]
fn the_spellings_with_a_dot_are_accepted() {
    for (images, labels) in [
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"),
        ("t10k-images-idx3.ubyte.gz", "t10k-labels-idx1.ubyte"),
    ] {
        let folder = Folder::new();
        folder.write(images, &idx(0x803, &[1, 1, 2], &[5, 6]));
        folder.write(labels, &idx(0x801, &[1], &[4]));
        let split = open_split(folder.path(), Which::Test).unwrap();
        assert_eq!((split.images(), split.labels()), (&[5, 6][..], &[4][..]));
    }
}

#[test]
fn idx4_images_have_channels() {
    let folder = Folder::new();
    let pixels: Vec<u8> = (0..24).collect();
    folder.write("train-images-idx4-ubyte.gz", &gzip(&idx(0x804, &[2, 2, 2, 3], &pixels)));
    folder.write("train-labels-idx1-ubyte", &idx(0x801, &[2], &[0, 1]));
    let split = open_split(folder.path(), Which::Train).unwrap();
    assert_eq!(split.shape(), [2, 2, 3]);
    assert_eq!(split.image(1), &pixels[12..]);
}

#[test]
fn one_split_needs_only_its_own_files() {
    let folder = Folder::new();
    folder.write("t10k-images-idx3-ubyte", &idx(0x803, &[1, 1, 1], &[200]));
    folder.write("t10k-labels-idx1-ubyte", &idx(0x801, &[1], &[1]));
    assert_eq!(open_split(folder.path(), Which::Test).unwrap().images(), [200]);
    assert!(matches!(Dataset::open(folder.path()), Err(DatasetError::MissingFile { .. })));
}

#[test]
fn checksums_are_of_uncompressed_bytes_and_only_of_listed_files() {
    let folder = Folder::good();
    // sha256sum of the eight bytes 00 00 08 01 00 00 00 02 and 00 01 is listed; the rest is not.
    folder.write(
        "SHA256SUMS",
        format!("{}  train-labels-idx1-ubyte\n", support::GOOD_LABELS_SHA256).as_bytes(),
    );
    folder.write("train-labels-idx1-ubyte", &support::good_labels());
    open_split(folder.path(), Which::Train).unwrap();
    folder.remove("train-labels-idx1-ubyte");
    folder.write("train-labels-idx1-ubyte.gz", &gzip(&support::good_labels()));
    open_split(folder.path(), Which::Train).unwrap();
}
