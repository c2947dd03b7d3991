//! Writes small IDX folders for the tests; it shares no code with the reader.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// What `sha256sum` says of [`good_labels`].
pub(crate) const GOOD_LABELS_SHA256: &str =
    "8c50639ad7f90a8211edb1bbdfb25436fd8e2a10794b6d5e3d479d1b22c7e318";

/// A temporary folder, removed when dropped.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty folder.
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// Two training samples of 2x2 pixels, raw, without checksums.
    pub(crate) fn good() -> Folder {
        let folder = Folder::new();
        folder.write("train-images-idx3-ubyte", &good_images());
        folder.write("train-labels-idx1-ubyte", &good_labels());
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }
}

pub(crate) fn good_images() -> Vec<u8> {
    idx(0x803, &[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8])
}

pub(crate) fn good_labels() -> Vec<u8> {
    idx(0x801, &[2], &[0, 1])
}

/// An IDX file with any header over any body.
pub(crate) fn idx(magic: u32, dims: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    for dim in dims {
        bytes.extend(dim.to_be_bytes());
    }
    bytes.extend(body);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
