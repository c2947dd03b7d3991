//! What the command's tests share: a folder with a small data set and spec, and calls of the built binary.
#![allow(dead_code)] // each test file uses a part

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use penjing_dataset::{Split, Which, open_split};
use tempfile::TempDir;

/// Four classes of 12x12 images through the pattern conv + ReLU + max-pool.
pub(crate) const SPEC: &str = r#"
name = "small"
input = [12, 12, 1]

[[layers]]
op = "conv2d"
name = "conv"
out_channels = 6
kernel = [3, 3]
activation = "relu"

[[layers]]
op = "max_pool2d"
window = [2, 2]

[[layers]]
op = "flatten"

[[layers]]
op = "dense"
name = "dense"
units = 4
"#;

/// Runs the binary that cargo built for this test.
pub(crate) fn penjing<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_penjing")).args(args).output().expect("the binary starts")
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A temporary folder with `data/` and `spec.toml`.
pub(crate) struct Workplace {
    dir: TempDir,
}

impl Workplace {
    pub(crate) fn new(spec: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let this = Self { dir };
        std::fs::write(this.path("spec.toml"), spec).unwrap();
        std::fs::create_dir(this.data()).unwrap();
        write_split(&this.data(), "train", 800, 1);
        write_split(&this.data(), "t10k", 200, 2);
        this
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn test_split(&self) -> Split {
        open_split(&self.data(), Which::Test).unwrap()
    }

    /// Trains two epochs of a stage and returns the checkpoint's path.
    pub(crate) fn train(&self, stage: &str, from: Option<&Path>, name: &str) -> PathBuf {
        let output = self.path(name);
        let mut args: Vec<PathBuf> =
            vec!["train".into(), stage.into(), "--epochs".into(), "2".into()];
        match from {
            None => args.extend(["--spec".into(), self.path("spec.toml")]),
            Some(parent) => args.extend(["--from".into(), parent.to_owned()]),
        }
        args.extend(["--data".into(), self.data(), "-o".into(), output.clone()]);
        let done = penjing(&args);
        assert!(done.status.success(), "{}", stderr(&done));
        output
    }
}

/// Images whose class shows: a bright quarter of the image, noise elsewhere.
fn write_split(dir: &Path, prefix: &str, n: u32, seed: u64) {
    let mut state = seed;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let mut images = Vec::new();
    let mut labels = Vec::new();
    for i in 0..n {
        let class = random() % 4;
        // a tenth of the test labels is wrong, so that no accuracy is 1 by whatever it is counted over
        let wrong = prefix == "t10k" && i % 10 == 9;
        labels.push(if wrong { (class + 1) % 4 } else { class });
        for y in 0..12_u8 {
            for x in 0..12_u8 {
                let bright = (y / 6) * 2 + x / 6 == class;
                images.push(if bright { 128 + random() / 2 } else { random() / 3 });
            }
        }
    }
    let write = |name: &str, magic: u32, dims: &[u32], body: &[u8]| {
        let mut file = std::fs::File::create(dir.join(name)).unwrap();
        for word in [magic].iter().chain(dims) {
            file.write_all(&word.to_be_bytes()).unwrap();
        }
        file.write_all(body).unwrap();
    };
    write(&format!("{prefix}-images-idx3-ubyte"), 0x803, &[n, 12, 12], &images);
    write(&format!("{prefix}-labels-idx1-ubyte"), 0x801, &[n], &labels);
}
