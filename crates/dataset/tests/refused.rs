//! Folders that must be refused: one test an error variant, each looking at the variant's numbers
//! and at the message's file names.

mod support;

use penjing_dataset::{Dataset, DatasetError, Part, Which, open_split};
use support::{Folder, good_images, good_labels, gzip, idx};

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

/// The error of opening the training split; its message must hold each of `words`.
fn refuse(folder: &Folder, words: &[&str]) -> DatasetError {
    let error = open_split(folder.path(), Which::Train).unwrap_err();
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    error
}

/// The error with one file of a good folder replaced, raw first and then gzipped.
fn refuse_both_ways(name: &str, bytes: &[u8], words: &[&str]) -> [DatasetError; 2] {
    [bytes.to_vec(), gzip(bytes)].map(|bytes| {
        let folder = Folder::good();
        folder.write(name, &bytes);
        refuse(&folder, &[&[name], words].concat())
    })
}

#[test]
fn a_missing_folder() {
    let folder = Folder::new();
    let dir = folder.path().join("nowhere");
    let error = Dataset::open(&dir).unwrap_err();
    assert!(matches!(&error, DatasetError::MissingFolder { dir: found } if *found == dir));
    assert!(error.to_string().contains("nowhere"));
}

#[test]
fn a_missing_file_and_the_names_tried() {
    let folder = Folder::good();
    folder.remove(LABELS);
    let error =
        refuse(&folder, &["train labels", "train-labels-idx1-ubyte.gz", "train-labels.idx1-ubyte"]);
    assert!(matches!(error, DatasetError::MissingFile { tried, .. } if tried.len() == 6));
}

#[cfg(unix)]
#[test]
fn a_checksum_list_that_cannot_be_read() {
    let folder = Folder::good();
    std::fs::create_dir(folder.path().join("SHA256SUMS")).unwrap();
    let error = refuse(&folder, &["SHA256SUMS"]);
    assert!(matches!(error, DatasetError::Io { .. }), "{error:?}");
}

#[test]
fn the_magic_number_of_another_kind() {
    for error in refuse_both_ways(IMAGES, &good_labels_padded(), &["0x00000803", "0x00000801"]) {
        assert!(matches!(error, DatasetError::WrongMagic { found: 0x801, .. }), "{error:?}");
    }
    for error in refuse_both_ways(LABELS, &good_images(), &["0x00000801", "0x00000803"]) {
        assert!(matches!(error, DatasetError::WrongMagic { found: 0x803, .. }), "{error:?}");
    }
    // Images of 32-bit floats, and a file that is not IDX at all.
    for magic in [0x0d03, 0x504b_0304] {
        for error in refuse_both_ways(IMAGES, &idx(magic, &[2, 2, 2], &[0; 32]), &[]) {
            assert!(matches!(error, DatasetError::WrongMagic { found, .. } if found == magic));
        }
    }
}

fn good_labels_padded() -> Vec<u8> {
    let mut bytes = good_labels();
    bytes.resize(24, 0);
    bytes
}

#[test]
fn a_header_that_ends_early() {
    for len in [0, 1, 3, 4, 15] {
        for error in refuse_both_ways(IMAGES, &good_images()[..len], &["header", "16 bytes"]) {
            let DatasetError::Truncated { part: Part::Header, expected: 16, found, .. } = error
            else {
                panic!("{error:?}")
            };
            assert_eq!(found, len as u64);
        }
    }
    let idx4 = idx(0x804, &[1, 1, 1], &[]);
    for error in refuse_both_ways(IMAGES, &idx4, &["header", "20 bytes", "found 16"]) {
        assert!(matches!(error, DatasetError::Truncated { expected: 20, found: 16, .. }));
    }
}

#[test]
fn a_body_that_ends_early() {
    for len in [16, 23] {
        for error in refuse_both_ways(IMAGES, &good_images()[..len], &["body", "8 bytes"]) {
            let DatasetError::Truncated { part: Part::Body, expected: 8, found, .. } = error else {
                panic!("{error:?}")
            };
            assert_eq!(found, len as u64 - 16);
        }
    }
}

#[test]
fn a_gzip_stream_that_was_cut_off() {
    let folder = Folder::good();
    let mut pixels = Vec::new();
    let mut state = 1_u32;
    pixels.resize_with(4000, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let whole = gzip(&idx(0x803, &[10, 20, 20], &pixels));
    folder.write(IMAGES, &whole[..whole.len() / 2]);
    let error = refuse(&folder, &[IMAGES, "expected 4000 bytes"]);
    assert!(
        matches!(error, DatasetError::Truncated { part: Part::Body, expected: 4000, found, .. }
            if found < 4000),
        "{error:?}"
    );
    // Only the trailer is missing: every value came through, but nothing vouches for them.
    folder.write(IMAGES, &whole[..whole.len() - 3]);
    let error = refuse(&folder, &[IMAGES, "corrupt gzip", "4016"]);
    assert!(matches!(error, DatasetError::CorruptGzip { decoded: 4016, .. }), "{error:?}");
}

#[test]
fn a_corrupt_gzip_stream() {
    // The two bytes that promise gzip, then nonsense.
    let folder = Folder::good();
    folder.write(IMAGES, b"\x1f\x8bthis is no gzip header");
    let error = refuse(&folder, &[IMAGES, "corrupt gzip"]);
    assert!(matches!(error, DatasetError::CorruptGzip { decoded: 0, .. }), "{error:?}");
    // A flipped bit in the stored CRC.
    let mut bytes = gzip(&good_images());
    let crc = bytes.len() - 8;
    bytes[crc] ^= 1;
    folder.write(IMAGES, &bytes);
    let error = refuse(&folder, &[IMAGES, "corrupt gzip"]);
    assert!(matches!(error, DatasetError::CorruptGzip { decoded: 24, .. }), "{error:?}");
}

#[test]
fn bytes_after_the_body() {
    let mut bytes = good_images();
    bytes.push(0);
    for error in refuse_both_ways(IMAGES, &bytes, &["trailing", "expected 8 bytes"]) {
        assert!(matches!(error, DatasetError::TrailingBytes { expected: 8, found: 9, .. }));
    }
}

#[test]
fn a_gzip_bomb_is_read_no_further_than_its_header_says() {
    // 64 MiB of zeros in 64 KiB of gzip behind a header that declares 4 bytes.
    let mut bytes = idx(0x803, &[1, 2, 2], &[]);
    bytes.resize(64 << 20, 0);
    let folder = Folder::good();
    folder.write(IMAGES, &gzip(&bytes));
    let error = refuse(&folder, &[IMAGES]);
    assert!(matches!(error, DatasetError::TrailingBytes { expected: 4, found: 5, .. }));
}

#[test]
fn dimensions_that_no_file_could_fill() {
    // Fits u64, but is far more than the file: nothing may be allocated for it.
    let claims_gigabytes = idx(0x803, &[60_000, 28_000, 28_000], &[0; 100]);
    for error in refuse_both_ways(IMAGES, &claims_gigabytes, &["47040000000000", "100"]) {
        assert!(matches!(error, DatasetError::Truncated { part: Part::Body, found: 100, .. }));
    }
    let overflows = idx(0x804, &[u32::MAX; 4], &[0; 100]);
    for error in refuse_both_ways(IMAGES, &overflows, &["4294967295"]) {
        let DatasetError::TooLarge { dims, bytes, .. } = error else { panic!("{error:?}") };
        assert_eq!(dims, [u32::MAX; 4]);
        assert_eq!(bytes, u128::from(u32::MAX).pow(4));
    }
    // A product that wraps to 0 in 64 bits.
    let wraps = idx(0x803, &[1 << 31, 1 << 31, 4], &[]);
    for error in refuse_both_ways(IMAGES, &wraps, &[]) {
        assert!(matches!(error, DatasetError::TooLarge { .. }), "{error:?}");
    }
}

#[test]
fn a_zero_dimension() {
    for dims in [[0, 2, 2], [2, 0, 2], [2, 2, 0]] {
        for error in refuse_both_ways(IMAGES, &idx(0x803, &dims, &[]), &["[", "0"]) {
            assert!(
                matches!(error, DatasetError::ZeroDimension { dims: found, .. } if found == dims)
            );
        }
    }
    for error in refuse_both_ways(LABELS, &idx(0x801, &[0], &[]), &["[0]"]) {
        assert!(matches!(error, DatasetError::ZeroDimension { .. }));
    }
}

#[test]
fn counts_that_differ() {
    let words = ["2 images", "3 labels", IMAGES, LABELS];
    for error in refuse_both_ways(LABELS, &idx(0x801, &[3], &[0, 1, 1]), &words) {
        assert!(matches!(error, DatasetError::CountsDiffer { images: 2, labels: 3, .. }));
    }
}

#[test]
fn splits_of_different_shapes() {
    let folder = Folder::good();
    folder.write("t10k-images-idx3-ubyte", &idx(0x803, &[1, 2, 3], &[0; 6]));
    folder.write("t10k-labels-idx1-ubyte", &idx(0x801, &[1], &[0]));
    let error = Dataset::open(folder.path()).unwrap_err();
    let DatasetError::ShapesDiffer { train_shape, test_shape, train_file, test_file } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!((*train_shape, *test_shape), ([2, 2, 1], [2, 3, 1]));
    let message = error.to_string();
    for file in [train_file, test_file] {
        assert!(message.contains(&file.display().to_string()), "{message}");
    }
}

#[test]
fn a_label_out_of_range() {
    let folder = Folder::good();
    folder.write(LABELS, &idx(0x801, &[2], &[9, 10]));
    let split = open_split(folder.path(), Which::Train).unwrap();
    split.check_labels(11).unwrap();
    let error = split.check_labels(10).unwrap_err();
    assert!(matches!(
        error,
        DatasetError::LabelOutOfRange { index: 1, label: 10, classes: 10, .. }
    ));
    assert!(error.to_string().contains(LABELS));
}

#[test]
fn a_checksum_that_differs() {
    let expected = support::GOOD_LABELS_SHA256;
    for bytes in [idx(0x801, &[2], &[1, 1]), gzip(&idx(0x801, &[2], &[1, 1]))] {
        let folder = Folder::good();
        folder.write("SHA256SUMS", format!("{expected} *{LABELS}\n").as_bytes());
        folder.write(LABELS, &bytes);
        let error = refuse(&folder, &[LABELS, "SHA256SUMS", expected]);
        let DatasetError::ChecksumMismatch { file, expected: listed, found, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(file, folder.path().join(LABELS));
        assert_eq!(listed, expected);
        assert_ne!(found, expected);
        assert_eq!(found.len(), 64);
    }
}

#[test]
fn a_checksum_list_that_is_no_such_list() {
    let folder = Folder::good();
    folder.write("SHA256SUMS", b"\n<html>not found</html>\n");
    let error = refuse(&folder, &["SHA256SUMS", "line 2", "html"]);
    assert!(matches!(error, DatasetError::MalformedChecksums { line: 2, .. }));
}
