//! The images that both programs are timed on: MNIST's test images as they lie in data/, and uniform noise in the same files
//! of another folder. Also one batch of them as a tensor file, for `penjing run`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;

use crate::safetensors;

/// Noise images: enough for a pass of 1024 and for a count of accuracy that takes no time.
const NOISE: u32 = 2048;
const SIDE: u32 = 28;
const CLASSES: u64 = 10;

/// A folder of test images.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    /// As reports name it.
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
}

impl Images {
    /// The file of the test images, compressed or not.
    pub(super) fn images(&self) -> PathBuf {
        self.file("t10k-images-idx3-ubyte")
    }

    /// The file of their labels.
    pub(super) fn labels(&self) -> PathBuf {
        self.file("t10k-labels-idx1-ubyte")
    }

    fn file(&self, name: &str) -> PathBuf {
        let compressed = self.folder.join(format!("{name}.gz"));
        if compressed.is_file() { compressed } else { self.folder.join(name) }
    }

    /// Pixels of the first `count` images, and the shape `[height, width]`.
    pub(crate) fn pixels(&self, count: usize) -> Result<(Vec<u8>, [usize; 2])> {
        let path = self.images();
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let mut raw = Vec::new();
        if path.extension().is_some_and(|extension| extension == "gz") {
            let read = GzDecoder::new(&bytes[..]).read_to_end(&mut raw);
            read.with_context(|| path.display().to_string())?;
        } else {
            raw = bytes;
        }
        let (header, body) = raw
            .split_at_checked(16)
            .with_context(|| format!("{}: no IDX file of images", path.display()))?;
        let dim = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| header[at + i])) as usize;
        let (height, width) = (dim(8), dim(12));
        let pixels = body.get(..count * height * width).with_context(|| {
            format!("{}: expected {count} images or more, found {}", path.display(), dim(4))
        })?;
        Ok((pixels.to_vec(), [height, width]))
    }
}

/// Writes a folder of uniform noise with random labels, the same in every run.
pub(super) fn write_noise(folder: &Path) -> Result<Images> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let pixels = (SIDE * SIDE) as usize;
    for set in ["train", "t10k"] {
        let count = NOISE as usize;
        let images: Vec<u8> =
            (0..count * pixels).map(|_| (random(&mut state) >> 56) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|_| (random(&mut state) % CLASSES) as u8).collect();
        let header = |kind: u32, dims: &[u32]| -> Vec<u8> {
            std::iter::once(&kind).chain(dims).flat_map(|word| word.to_be_bytes()).collect()
        };
        let files = [
            (format!("{set}-images-idx3-ubyte"), header(0x803, &[NOISE, SIDE, SIDE]), images),
            (format!("{set}-labels-idx1-ubyte"), header(0x801, &[NOISE]), labels),
        ];
        for (name, header, body) in files {
            let path = folder.join(name);
            std::fs::write(&path, [header, body].concat())
                .with_context(|| path.display().to_string())?;
        }
    }
    Ok(Images { name: "noise", folder: folder.to_owned() })
}

/// SplitMix64.
pub(crate) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A safetensors file with the tensor `input`: `[count, height, width, 1]` in the type that a model takes.
pub(super) fn tensor_file(images: &Images, count: usize, dtype: &str) -> Result<Vec<u8>> {
    let (pixels, [height, width]) = images.pixels(count)?;
    let data: Vec<u8> = match dtype {
        "u8" => pixels,
        "i8" => pixels.iter().map(|pixel| pixel ^ 0x80).collect(),
        "f32" => pixels.iter().flat_map(|&p| (f32::from(p) / 255.0).to_le_bytes()).collect(),
        other => anyhow::bail!("a model's input: expected u8, i8 or f32, found {other}"),
    };
    Ok(safetensors::write("input", &dtype.to_uppercase(), &[count, height, width, 1], &data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_uniform_and_the_same_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let noise = write_noise(dir.path()).unwrap();
        let (pixels, shape) = noise.pixels(NOISE as usize).unwrap();
        assert_eq!((shape, pixels.len()), ([28, 28], 2048 * 784));
        let mean = pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64;
        assert!((mean - 127.5).abs() < 0.5, "{mean}");
        assert!((0..=255).all(|value| pixels.contains(&value)));
        assert!(noise.pixels(NOISE as usize + 1).is_err());
        let labels = std::fs::read(noise.labels()).unwrap();
        assert_eq!(labels.len(), 8 + 2048);
        assert!(labels[8..].iter().all(|&l| l < 10) && (0..10).all(|l| labels[8..].contains(&l)));
        let again = tempfile::tempdir().unwrap();
        assert_eq!(write_noise(again.path()).unwrap().pixels(9).unwrap().0, pixels[..9 * 784]);
    }

    #[test]
    fn a_tensor_file_holds_the_pixels_in_the_models_type() {
        let dir = tempfile::tempdir().unwrap();
        let noise = write_noise(dir.path()).unwrap();
        let pixel = noise.pixels(1).unwrap().0[0];
        for (dtype, size) in [("u8", 1), ("i8", 1), ("f32", 4)] {
            let file = tensor_file(&noise, 2, dtype).unwrap();
            let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
            let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
            assert_eq!(header["input"]["shape"], serde_json::json!([2, 28, 28, 1]));
            let data = &file[8 + length..];
            assert_eq!(data.len(), 2 * 784 * size);
            assert_eq!(header["input"]["data_offsets"][1], data.len());
            let real = match dtype {
                "u8" => f32::from(data[0]),
                "i8" => f32::from(data[0] as i8) + 128.0,
                _ => f32::from_le_bytes(data[..4].try_into().unwrap()) * 255.0,
            };
            assert!((real - f32::from(pixel)).abs() < 1e-3, "{dtype}: {real}");
        }
        assert!(tensor_file(&noise, 2, "i16").is_err());
    }
}
