//! Broken TFLite bytes: each is an error or a graph, soon and without a panic. What the errors say is tflite_refusals.rs's.

mod support;

use std::time::{Duration, Instant};

use penjing_convert::tflite;

use support::nets::{conv, conv_i8, conv_op, conv_options};
use support::{Level, Net, Sparsity, Tensor, shared_models};

/// Reads a file, which may be refused; an optimized build does so in a moment.
fn read(bytes: &[u8]) -> bool {
    let start = Instant::now();
    let taken = tflite::read(bytes, "test").is_ok();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    taken
}

/// A small network with a sparse kernel, two signatures and integers.
fn sparse() -> Net {
    let mut net = conv_i8();
    let levels = vec![
        Level::Dense(3),
        Level::Dense(3),
        Level::Dense(3),
        Level::Csr8((0..=27).collect(), vec![1; 27]),
    ];
    let sparsity = Sparsity { order: vec![0, 1, 2, 3], block_map: vec![], levels };
    let kernel = Tensor::codes(&[3, 3, 3, 2], &[7; 27], &[0.5, 0.25, 0.125]);
    net.tensors[1] = Tensor { sparsity: Some(sparsity), ..kernel };
    net.signatures = vec![("a", vec![("x", 0)], vec![("y", 3)])];
    net
}

/// A linear congruential generator: bits that are alike on every machine.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// `n` copies with one to eight bits turned, most of them in the first and last parts, where the tables are.
fn turn_bits(bytes: &[u8], n: usize, noise: &mut Noise) {
    for _ in 0..n {
        let mut turned = bytes.to_vec();
        for _ in 0..=noise.below(8) {
            let near = bytes.len().min(4096);
            let at = match noise.below(3) {
                0 => noise.below(bytes.len()),
                1 => noise.below(near),
                _ => bytes.len() - 1 - noise.below(near),
            };
            turned[at] ^= 1 << noise.below(8);
        }
        read(&turned);
    }
}

#[test]
fn every_prefix_and_every_turned_bit_of_small_files() {
    for net in [conv(), conv_i8(), sparse()] {
        let bytes = net.bytes();
        assert!(read(&bytes));
        (0..bytes.len()).for_each(|end| _ = read(&bytes[..end]));
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            read(&turned);
        }
    }
}

#[test]
fn words_of_small_files_replaced_by_extremes() {
    for net in [conv(), conv_i8(), sparse()] {
        let bytes = net.bytes();
        for at in (0..bytes.len() - 4).step_by(2) {
            for word in [0, 1, u32::MAX, 0x7fff_ffff, 0x8000_0000, 0x0001_0000, 0x7f80_0000] {
                let mut other = bytes.clone();
                other[at..at + 4].copy_from_slice(&word.to_le_bytes());
                read(&other);
            }
        }
    }
}

#[test]
fn no_bytes_and_other_files() {
    for bytes in [&b""[..], b"TFL3", b"\0\0\0\0TFL3", b"\x08\0\0\0TFL3\0\0\0\0", &[0xff; 64]] {
        assert!(!read(bytes));
    }
    let error = tflite::read(b"\x08\0\0\0PNJ1", "test").expect_err("another format").to_string();
    assert!(error.contains("TFL3") && error.contains("PNJ1"), "{error}");
}

#[test]
fn one_constant_used_too_often_is_refused() {
    let mut net = conv();
    let (shape, n) = ([1, 1, 1, 4096], 4096);
    net.tensors =
        vec![Tensor::f32(&[1, 1, 1, 4096]), Tensor::reals(&[1, 64, 64, 1], &vec![1.0; n])];
    net.operators.clear();
    // depth 1 of 64 x 64 windows, each of the file's operators with the same kernel
    net.tensors[0].shape = vec![1, 64, 64, 1];
    for k in 0..2000 {
        net.tensors.push(Tensor::f32(&[1, 1, 1, 1]));
        net.operators.push(conv_op(&[0, 1], 2 + k, conv_options()));
    }
    net.outputs = vec![2];
    let error = tflite::read(&net.bytes(), "test").expect_err("a file that grows").to_string();
    assert!(error.contains("constants that are used a few times"), "{error}, {shape:?}");
}

#[test]
fn shared_models_cut_and_turned() {
    let mut noise = Noise(7);
    for path in shared_models() {
        let bytes = std::fs::read(&path).expect("a readable file");
        // every cut of the first and last bytes, where something begins or ends; of the rest one in 97
        let ends =
            (0..bytes.len()).filter(|at| *at < 2048 || bytes.len() - at < 2048 || at % 97 == 0);
        for end in ends {
            assert!(!read(&bytes[..end]), "{}: the first {end} bytes", path.display());
        }
        turn_bits(&bytes, 400, &mut noise);
    }
}
