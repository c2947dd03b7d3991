//! Bytes that no tool wrote: each gives a graph or an error.

use super::super::proto::TensorProto;
use super::super::read;
use super::super::{OPS, SUPPORTED};
use super::model::{Int, Ints, Model};

/// A model with most kinds of messages and many ops.
fn model() -> Model {
    let mut m = Model::new();
    let x = m.input(&[0, 2, 6, 6]);
    let grid = m.grid(super::model::INT8, 0.05, 3);
    let weight_grid = m.grid(super::model::INT8, 0.02, 0);
    let x = m.qdq(&x, &grid);
    let codes: Vec<i32> = (0..54).map(|k| k * 7 % 255 - 127).collect();
    let w = m.codes(super::model::INT8, &[3, 2, 3, 3], &codes);
    let w = m.dequantize(&w, &weight_grid);
    let y = m.node("Conv", &[&x, &w], &[("pads", Ints(&[1, 1, 1, 1]))]);
    let y = m.node("Relu", &[&y], &[]);
    let y = m.qdq(&y, &grid);
    let pool = [("kernel_shape", Ints(&[2, 2])), ("strides", Ints(&[2, 2]))];
    let y = m.node("MaxPool", &[&y], &pool);
    let (c, h) = (m.noise(&[3, 1, 1]), m.noise(&[12, 27]));
    let y = m.node("Mul", &[&y, &c], &[]);
    let shape = m.node("Shape", &[&y], &[]);
    let at = m.integers(&[0]);
    let batch = m.node("Gather", &[&shape, &at], &[]);
    let rest = m.integers(&[-1]);
    let target = m.node("Concat", &[&batch, &rest], &[("axis", Int(0))]);
    let y = m.node("Reshape", &[&y, &target], &[]);
    let y = m.node("Gemm", &[&y, &h], &[("transB", Int(1))]);
    let y = m.node("Softmax", &[&y], &[]);
    m.output(&y);
    m
}

#[test]
fn the_model_is_read_as_it_is() {
    let graph = model().read().expect("a good model");
    let wanted = [
        "quantize",
        "conv2d",
        "max_pool2d",
        "dequantize",
        "mul",
        "reshape",
        "fully_connected",
        "softmax",
    ];
    assert_eq!(super::ops(&graph), wanted);
}

#[test]
fn no_prefix_panics_and_only_the_whole_is_the_model() {
    let bytes = model().bytes();
    for end in 0..bytes.len() {
        // a prefix may end behind the graph, but not within it
        let _ = read(&bytes[..end], "prefix");
    }
    assert!(read(&[], "nothing").is_err());
    assert!(read(&bytes[..bytes.len() / 2], "half").is_err());
}

#[test]
fn no_flipped_bits_panic() {
    let bytes = model().bytes();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut refused = 0;
    for _ in 0..6000 {
        let mut bad = bytes.clone();
        for _ in 0..=next(3) {
            let at = next(bad.len());
            bad[at] ^= 1 << next(8);
        }
        refused += usize::from(read(&bad, "flipped").is_err());
    }
    assert!(refused > 500, "only {refused} of 6000 refused");
}

#[test]
fn dimensions_without_data_allocate_nothing() {
    for dims in
        [&[i64::MAX][..], &[1 << 31, 1 << 31], &[-1], &[65536, 65536], &[1 << 31], &[0, 1 << 31]]
    {
        let mut m = model();
        let proto = TensorProto { dims: dims.to_vec(), data_type: 1, ..Default::default() };
        m.graph().initializer.push(TensorProto { name: "huge".into(), ..proto });
        assert!(m.read().is_err(), "{dims:?}");
    }
}

#[test]
fn a_constant_that_broadcasts_to_a_huge_value_is_refused() {
    let mut m = Model::new();
    let x = m.input(&[1, 2, 40000, 40000]);
    let c = m.noise(&[2, 40000, 1]);
    let y = m.node("Add", &[&x, &c], &[]);
    m.output(&y);
    assert!(m.read().unwrap_err().to_string().contains("at most"));
}

#[test]
fn a_constant_used_many_times_runs_out_of_its_budget() {
    let mut m = Model::new();
    let mut x = m.input(&[1, 512]);
    let w = m.noise(&[512, 512]);
    for _ in 0..100 {
        x = m.node("MatMul", &[&x, &w], &[]);
    }
    m.output(&x);
    assert!(m.read().unwrap_err().to_string().contains("at most"));
}

#[test]
fn every_op_that_is_named_is_read() {
    for op in OPS {
        assert!(SUPPORTED.contains(op));
        let mut m = Model::new();
        let x = m.input(&[1, 2]);
        let y = m.node(op, &[&x], &[]);
        m.output(&y);
        if let Err(error) = m.read() {
            assert!(!error.to_string().contains("expected an op of"), "{error}");
        }
    }
    assert_eq!(SUPPORTED.replace(" and ", ", ").trim_end_matches(" of ai.onnx"), OPS.join(", "));
}

#[test]
fn deep_messages_are_an_error() {
    let mut bytes = Vec::new();
    for _ in 0..2000 {
        let mut outer = vec![0x3a];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.extend(&bytes);
        bytes = outer;
    }
    assert!(read(&bytes, "deep").is_err());
}
