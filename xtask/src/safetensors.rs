//! Safetensors files of the few tensors that are passed to and from `penjing run`. It is no check of the format.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A tensor in a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Tensor<'a> {
    /// `U8`, `I8`, `F32` or another.
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: &'a [u8],
}

/// What the header says of one.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// A file with one tensor.
pub(crate) fn write(name: &str, dtype: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let entry = serde_json::json!({
        name: { "dtype": dtype, "shape": shape, "data_offsets": [0, data.len()] }
    });
    let mut header = entry.to_string();
    // Data begin at a multiple of 8.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// The tensor of a name.
///
/// # Errors
/// Where there is none, or no such file.
pub(crate) fn read<'a>(file: &'a [u8], name: &str) -> Result<Tensor<'a>> {
    let parts = || {
        let (length, rest) = file.split_first_chunk()?;
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
    };
    let (header, data) = parts().context("expected a safetensors file, found no whole header")?;
    let mut entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).context("a safetensors file's header is no JSON")?;
    let entry = entries.remove(name).with_context(|| format!("expected a tensor `{name}`"))?;
    let Entry { dtype, shape, data_offsets: [begin, end] } =
        serde_json::from_value(entry).with_context(|| format!("tensor `{name}`"))?;
    let data = data
        .get(begin..end)
        .with_context(|| format!("tensor `{name}`: bytes {begin} to {end} of {}", data.len()))?;
    Ok(Tensor { dtype, shape, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = write("input", "I8", &[2, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!((file.len() - 6) % 8, 0);
        let tensor = read(&file, "input").unwrap();
        assert_eq!(
            tensor,
            Tensor { dtype: "I8".into(), shape: vec![2, 3], data: &[1, 2, 3, 4, 5, 6] }
        );
        assert_eq!(read(&file, "output").unwrap_err().to_string(), "expected a tensor `output`");
    }

    #[test]
    fn a_file_that_ends_early_is_refused() {
        let file = write("input", "U8", &[4], &[0; 4]);
        for length in [0, 7, 8, 20, file.len() - 1] {
            assert!(read(&file[..length], "input").is_err(), "{length} bytes");
        }
        assert!(read(&u64::MAX.to_le_bytes(), "input").is_err());
    }
}
