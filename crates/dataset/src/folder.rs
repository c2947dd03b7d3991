//! From a folder to a split: which file names are tried, and how images and labels are joined.
//! The bytes of one file are `idx`'s business, their hashes `checksums`'.

use std::path::{Path, PathBuf};

use crate::Which;
use crate::checksums::Checksums;
use crate::error::DatasetError;
use crate::idx::{self, Idx, Kind};
use crate::split::{Origin, Split};

pub(crate) fn open_split(dir: &Path, which: Which) -> Result<Split, DatasetError> {
    if !dir.is_dir() {
        return Err(DatasetError::MissingFolder { dir: dir.to_owned() });
    }
    let images_file = find(dir, which, Kind::Images)?;
    let labels_file = find(dir, which, Kind::Labels)?;
    let checksums = Checksums::open(dir)?;
    let images = read_checked(&images_file, Kind::Images, &checksums)?;
    let labels = read_checked(&labels_file, Kind::Labels, &checksums)?;

    // The body was read to its declared length, so each dimension fits a usize.
    let dim = |axis: usize| images.dims.get(axis).map_or(1, |&dim| dim as usize);
    let shape = [dim(1), dim(2), dim(3)];
    if dim(0) != labels.body.len() {
        return Err(DatasetError::CountsDiffer {
            images_file,
            images: dim(0),
            labels_file,
            labels: labels.body.len(),
        });
    }
    let origin = Origin { images_file, labels_file };
    Ok(Split::new(images.body, labels.body, shape, origin))
}

fn read_checked(file: &Path, kind: Kind, checksums: &Checksums) -> Result<Idx, DatasetError> {
    let idx = idx::read(file, kind)?;
    checksums.check(file, &[&idx.header, &idx.body])?;
    Ok(idx)
}

/// The first of the accepted names that exists.
fn find(dir: &Path, which: Which, kind: Kind) -> Result<PathBuf, DatasetError> {
    let tried = names(which, kind);
    match tried.iter().map(|name| dir.join(name)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => Err(DatasetError::MissingFile {
            dir: dir.to_owned(),
            what: match (which, kind) {
                (Which::Train, Kind::Images) => "train images",
                (Which::Train, Kind::Labels) => "train labels",
                (Which::Test, Kind::Images) => "test images",
                (Which::Test, Kind::Labels) => "test labels",
            }
            .to_owned(),
            tried,
        }),
    }
}

/// The accepted names in the order in which they are tried.
fn names(which: Which, kind: Kind) -> Vec<String> {
    let (noun, ranks): (_, &[u8]) = match kind {
        Kind::Images => ("images", &[3, 4]),
        Kind::Labels => ("labels", &[1]),
    };
    let mut names = Vec::new();
    for rank in ranks {
        for (before, after) in [('-', '-'), ('.', '-'), ('-', '.')] {
            let name = format!("{}-{noun}{before}idx{rank}{after}ubyte", which.stem());
            names.push(name.clone());
            names.push(name + ".gz");
        }
    }
    names
}
