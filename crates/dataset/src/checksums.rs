//! The `SHA256SUMS` of a folder: parsing and comparing. The hashes are of uncompressed bytes, so
//! that a folder means the same gzipped and raw. It does not decide which files must be listed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::DatasetError;

/// The list's name in a folder.
const FILE_NAME: &str = "SHA256SUMS";

/// A list names four files in practice; what lies past this many bytes is not read.
const MAX_LIST_BYTES: u64 = 1 << 20;

/// The hashes that a folder's list gives, by file name; empty where there is no list.
#[derive(Debug)]
pub(crate) struct Checksums {
    list: PathBuf,
    by_name: HashMap<String, String>,
}

impl Checksums {
    pub(crate) fn open(dir: &Path) -> Result<Checksums, DatasetError> {
        let list = dir.join(FILE_NAME);
        let mut text = String::new();
        let read =
            File::open(&list).and_then(|file| file.take(MAX_LIST_BYTES).read_to_string(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(DatasetError::Io { file: list, source }),
        }
        let by_name = parse(&text).map_err(|(line, found)| DatasetError::MalformedChecksums {
            list: list.clone(),
            line,
            found,
        })?;
        Ok(Checksums { list, by_name })
    }

    /// Compares the hash of `parts`, one after the other, with the one listed for `file`.
    /// A file that is not listed passes.
    pub(crate) fn check(&self, file: &Path, parts: &[&[u8]]) -> Result<(), DatasetError> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let raw_name = name.strip_suffix(".gz").unwrap_or(&name);
        let Some(expected) = self.by_name.get(raw_name) else {
            return Ok(());
        };
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        let found = hex(&hasher.finalize());
        if found == *expected {
            return Ok(());
        }
        Err(DatasetError::ChecksumMismatch {
            file: file.to_owned(),
            list: self.list.clone(),
            expected: expected.clone(),
            found,
        })
    }
}

/// Hashes in lower case by file name, or the number and beginning of the first malformed line.
fn parse(text: &str) -> Result<HashMap<String, String>, (usize, String)> {
    let mut by_name = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (hash, name) =
            parse_line(line).ok_or_else(|| (index + 1, line.chars().take(100).collect()))?;
        by_name.insert(name.to_owned(), hash.to_ascii_lowercase());
    }
    Ok(by_name)
}

/// `HASH  NAME` (text) or `HASH *NAME` (binary), as sha256sum writes them.
fn parse_line(line: &str) -> Option<(&str, &str)> {
    let (hash, rest) = line.trim_end().split_once(' ')?;
    let name = rest.strip_prefix([' ', '*'])?;
    let name = name.strip_prefix("./").unwrap_or(name);
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && !name.is_empty()).then_some((hash, name))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_text_and_binary_lines() {
        let hash = "0FA7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7";
        let text = format!("# the raw bytes\n\n{hash}  a-file\n{hash} *./b file\r\n");
        let by_name = parse(&text).unwrap();
        assert_eq!(by_name.len(), 2);
        assert_eq!(by_name["a-file"], hash.to_ascii_lowercase());
        assert_eq!(by_name["b file"], hash.to_ascii_lowercase());
    }

    #[test]
    fn says_which_line_is_malformed() {
        let hash = "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7";
        for bad in [
            "short  name".to_owned(),
            hash.to_owned(),
            format!("{hash}  "),
            format!("{hash} name"),
            format!("g{}  name", &hash[1..]),
        ] {
            let text = format!("{hash}  good\n{bad}\n");
            assert_eq!(parse(&text).unwrap_err(), (2, bad.clone()), "{bad:?}");
        }
    }

    #[test]
    fn hash_of_parts_is_the_hash_of_the_whole() {
        // The example "abc" of FIPS 180-2.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let list = Checksums {
            list: "SHA256SUMS".into(),
            by_name: HashMap::from([("abc".to_owned(), expected.to_owned())]),
        };
        list.check(Path::new("dir/abc.gz"), &[b"a", b"", b"bc"]).unwrap();
        assert!(list.check(Path::new("dir/abc"), &[b"abd"]).is_err());
        list.check(Path::new("dir/unlisted"), &[b"abd"]).unwrap();
    }
}
