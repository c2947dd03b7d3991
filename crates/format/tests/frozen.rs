//! Files of released versions (`frozen/README.md`): each opens and is what it was, to the last weight. That they run as they did is
//! tested in the runtime.
#![cfg(feature = "write")]

mod common;

use common::raise::raise;
use common::{conv, flatten, input, integers, pool};
use penjing_format::write::{
    AveragePool2d, Binary, Concat, Constant, ConstantData, Conv2d, DepthwiseConv2d, FullyConnected,
    Model, Node, Op, PackingChoice, Pad, Value,
};
use penjing_format::{
    Activation, DataType, ModelView, Padding, Pads, Shape, expand, hash, signature,
};
use std::path::{Path, PathBuf};

const PACKINGS: [PackingChoice; 8] = [
    PackingChoice::Dense,
    PackingChoice::Bitmap,
    PackingChoice::Groups,
    PackingChoice::Gaps,
    PackingChoice::NOfM,
    PackingChoice::Blocks,
    PackingChoice::Columns,
    PackingChoice::Coded,
];

/// Every file and its content hash, so that none can change unseen.
const HASHES: &[(&str, u64)] = &[
    ("bits-bitmap", 0x489f_4339_f71c_a975),
    ("bits-blocks", 0x8c45_221e_b840_75bf),
    ("bits-coded", 0x2e87_8fa1_3e06_bbe9),
    ("bits-columns", 0xacf5_78ae_a780_7efe),
    ("bits-dense", 0xe4e6_3749_63ba_3c85),
    ("bits-gaps", 0xee04_a8d1_12b6_eb26),
    ("bits-groups", 0x6bc0_8680_a903_c5fe),
    ("bits-n-of-m", 0x3d33_6b3c_a8d8_6d30),
    ("f32-bitmap", 0xebf1_9148_6334_e91a),
    ("f32-blocks", 0x0d95_4d69_d047_7f15),
    ("f32-coded", 0x2361_1d22_63cb_62a9),
    ("f32-columns", 0xe028_435b_298e_11b0),
    ("f32-dense", 0x3a15_da1e_5a6d_a86b),
    ("f32-gaps", 0xfec8_ce07_79ea_e018),
    ("f32-groups", 0xeaae_0e30_7392_2126),
    ("f32-n-of-m", 0x9026_f8af_b23a_3c44),
    ("int8-bitmap", 0x85b3_349e_37c9_4aed),
    ("int8-blocks", 0x34c0_aa51_8d9a_d5df),
    ("int8-coded", 0xf09a_8f47_940b_504e),
    ("int8-columns", 0xc683_58e4_5a60_d9dd),
    ("int8-dense", 0xaf26_9c2d_57ea_cfed),
    ("int8-gaps", 0xab6d_bf2d_6776_6647),
    ("int8-groups", 0x6918_dccf_942a_8fa9),
    ("int8-n-of-m", 0x6950_6bb3_c3fa_2941),
    ("joined-bitmap", 0x4995_2543_2048_b6a0),
    ("joined-blocks", 0x81ab_4511_d3b8_5b78),
    ("joined-coded", 0x2e77_25da_84ed_26e0),
    ("joined-columns", 0xa41a_286c_2e48_39be),
    ("joined-dense", 0x834e_a116_83ed_ce17),
    ("joined-gaps", 0x1eaf_291e_840c_56fb),
    ("joined-groups", 0xff81_5659_6e03_fdd0),
    ("joined-n-of-m", 0x1083_32b3_dad2_7077),
    ("joined_f32-bitmap", 0x30e6_18d9_2403_2ccf),
    ("joined_f32-blocks", 0xe04c_6a79_53a7_ffa3),
    ("joined_f32-coded", 0x07a4_81ff_7ec3_1e08),
    ("joined_f32-columns", 0xff43_2da1_1050_25c2),
    ("joined_f32-dense", 0x1524_1402_e70f_715b),
    ("joined_f32-gaps", 0x42ed_8fe9_b578_75d9),
    ("joined_f32-groups", 0xa611_1d7f_bc9b_0863),
    ("joined_f32-n-of-m", 0x5fcd_d2df_595c_092f),
    ("signed", 0x85b3_349e_37c9_4aed),
    ("signs-dense", 0x8da2_adba_647d_4238),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v1")
}

/// Weights of which at most two of four are not zero, and none of the last quarter of a row.
fn weights(len: usize, row: usize, most: i8) -> Vec<i8> {
    (0..len)
        .map(|i| {
            let kept = i % 4 == i / 4 % 4 || i % 4 == (i / 4 + 1) % 4;
            let magnitude = (i % usize::from(most.unsigned_abs())) as i8 + 1;
            let sign = if i % 5 < 2 { -1 } else { 1 };
            if kept && i % row < row * 3 / 4 { sign * magnitude } else { 0 }
        })
        .collect()
}

/// Weights up to `most`, in steps that make them as large as those of 100 steps.
fn int8(most: i8) -> Model {
    let step = 100.0 / f32::from(most);
    let scales = [0.01, 0.02, 0.03, 0.04].map(|scale| scale * step);
    let kernel = Constant::i8([4, 3, 3, 2].into(), scales.into(), weights(72, 18, most));
    let mut first = conv(kernel, Some(Constant::bias(vec![-300, 0, 7, 400])));
    first.padding = Padding { top: 1, bottom: 1, left: 1, right: 1 };
    let kernel = Constant::i8([4, 36].into(), vec![0.02 * step], weights(144, 36, most));
    let bias = Some(Constant::bias(vec![5, -6, 7, -8]));
    let dense = FullyConnected { weights: kernel, bias, activation: Activation::None };
    Model {
        producer: Some("penjing 0.1.0".into()),
        inputs: vec![Value {
            name: Some("image".into()),
            ..input([1, 6, 6, 2].into(), integers(DataType::U8, 1.0 / 255.0, 3))
        }],
        nodes: vec![
            Node::new(Op::Conv2d(first), Some(integers(DataType::I8, 0.05, -128))),
            Node::new(pool(), None),
            Node::new(flatten(), None),
            Node::new(Op::FullyConnected(dense), Some(integers(DataType::I8, 0.5, 12))),
        ],
        labels: ["north", "east", "south", "west"].map(String::from).into(),
        ..Model::default()
    }
}

/// Without a zero, so that one bit a weight is enough.
fn signs() -> Model {
    let mut model = int8(2);
    let sign = |weight: i8| if weight > 0 { 1 } else { -1 };
    for node in &mut model.nodes {
        let (Op::Conv2d(Conv2d { weights, .. })
        | Op::FullyConnected(FullyConnected { weights, .. })) = &mut node.op
        else {
            continue;
        };
        let ConstantData::I8(data) = &mut weights.data else { panic!("int8 weights") };
        data.iter_mut().for_each(|weight| *weight = sign(*weight));
    }
    model
}

fn f32() -> Model {
    let reals = |len, row| weights(len, row, 100).iter().map(|&w| f32::from(w) / 64.0).collect();
    let kernel = Constant::f32([4, 3, 3, 2].into(), reals(72, 18));
    let first = conv(kernel, Some(Constant::bias_f32(vec![-0.5, 0.0, 0.25, 1.0])));
    let depthwise = DepthwiseConv2d {
        weights: Constant::f32([1, 3, 3, 4].into(), reals(36, 36)),
        bias: None,
        stride: [1, 1],
        dilation: [1, 1],
        padding: Padding { top: 1, bottom: 1, left: 1, right: 1 },
        activation: Activation::Relu,
    };
    let bias = Some(Constant::bias_f32(vec![0.5, -0.5, 1.5, -1.5]));
    let weights = Constant::f32([4, 16].into(), reals(64, 16));
    let dense = FullyConnected { weights, bias, activation: Activation::None };
    let f32 = Value { dtype: Some(DataType::F32), ..Value::default() };
    Model {
        producer: Some("penjing 0.1.0".into()),
        inputs: vec![input([1, 6, 6, 2].into(), f32)],
        nodes: vec![
            Node::new(Op::Conv2d(first), None),
            Node::new(Op::DepthwiseConv2d(depthwise), None),
            Node::new(pool(), None),
            Node::new(flatten(), None),
            Node::new(Op::FullyConnected(dense), None),
        ],
        ..Model::default()
    }
}

/// Every op that joins values, pools by the mean, pads or applies a function, in int8 or f32. Three outputs of four scores.
fn joined(real: bool) -> Model {
    let ty = |scale, zero_point| match real {
        true => Value { dtype: Some(DataType::F32), ..Value::default() },
        false => integers(DataType::I8, scale, zero_point),
    };
    let constant = |shape: Shape, scale: f32, data: Vec<i8>| match real {
        true => Constant::f32(shape, data.iter().map(|&code| f32::from(code) * scale).collect()),
        false => Constant::i8(shape, vec![scale], data),
    };
    let zero_point = |zero_point| if real { 0 } else { zero_point };
    let binary = |operand, operand_zero_point, activation| {
        let operand_zero_point = zero_point(operand_zero_point);
        Binary { operand, operand_zero_point, activation }
    };
    let average = |window, stride, before| {
        let padding = Padding { top: before, left: before, ..Padding::default() };
        Op::AveragePool2d(AveragePool2d { window, stride, padding })
    };
    let node = |op, inputs: &[u16], value| Node { op, inputs: inputs.into(), value };
    let shaped = |shape: Shape, ty: Value| Some(input(shape, ty));
    let image = Shape::from([1, 8, 8, 2]);
    let each = constant(image, 0.005, weights(128, 16, 100));
    let channel = constant([4].into(), 0.02, vec![0, 90, -70, 0]);
    let pads = Pads::from_pairs([[1, 1], [0, 2], [0, 0]]).unwrap();
    let scores = |scale, zero_point| shaped([1, 4].into(), ty(scale, zero_point));
    let pixels = integers(DataType::U8, 1.0 / 255.0, 3);
    let first = if real { Op::Dequantize } else { Op::Quantize };
    Model {
        producer: Some("penjing 0.1.0".into()),
        inputs: vec![input([1, 6, 6, 2].into(), pixels)],
        nodes: vec![
            node(first, &[0], Some(ty(1.0 / 128.0, -20))),
            node(Op::Pad(Pad { pads }), &[1], shaped(image, ty(1.0 / 128.0, -20))),
            node(average([8, 8], [8, 8], 0), &[2], None),
            node(Op::Mul(binary(None, 0, Activation::None)), &[2, 3], Some(ty(0.01, 5))),
            node(
                Op::Add(binary(Some(each), 7, Activation::ReluN1To1)),
                &[4],
                shaped(image, ty(0.02, -10)),
            ),
            node(Op::Relu(Activation::Relu6), &[5], None),
            node(Op::Concat(Concat { axis: 3 }), &[5, 6], None),
            node(average([3, 2], [2, 2], 1), &[7], None),
            node(Op::Mean, &[8], Some(ty(0.01, 0))),
            node(Op::Mul(binary(Some(channel), -30, Activation::None)), &[9], scores(0.02, -3)),
            node(Op::Softmax, &[10], scores(1.0 / 256.0, -128)),
            node(Op::Logistic, &[10], scores(1.0 / 256.0, -128)),
            node(Op::Tanh, &[10], scores(1.0 / 128.0, 0)),
        ],
        outputs: vec![11, 12, 13],
        ..Model::default()
    }
}

/// Writes those that are missing. Run by hand, once a version.
fn freeze() {
    let write = |name: String, bytes: Vec<u8>| {
        let path = folder().join(name);
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    };
    let joined = [("joined", joined(false)), ("joined_f32", joined(true))];
    let models = [("int8", int8(100)), ("bits", int8(4)), ("f32", f32())];
    for (name, model) in models.into_iter().chain(joined) {
        for packing in PACKINGS {
            let bytes = model.to_bytes(packing).unwrap();
            write(format!("{name}-{}.pnj", packing.name()), bytes);
        }
    }
    write("signs-dense.pnj".into(), signs().to_bytes(PackingChoice::Auto).unwrap());
    let message = signature::message(&int8(100).to_bytes(PackingChoice::Bitmap).unwrap(), 7);
    write("signed.pnj".into(), signature::append(message, [9; 64]));
}

/// Name and bytes, in the order of [`HASHES`].
fn files() -> Vec<(String, Vec<u8>)> {
    if std::env::var_os("PENJING_FREEZE").is_some() {
        freeze();
    }
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn no_frozen_file_has_changed() {
    let found: Vec<(String, u64)> =
        files().into_iter().map(|(name, bytes)| (name, hash::of(&bytes).unwrap())).collect();
    let expected: Vec<_> = HASHES.iter().map(|&(name, hash)| (name.to_owned(), hash)).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_frozen_file_holds_what_it_held() {
    let read = |bytes: &[u8]| raise(ModelView::open(&expand(bytes, 1 << 20).unwrap()).unwrap());
    let files = files();
    for (name, bytes) in &files {
        let (model, packing) = name.split_once('-').unwrap_or(("int8", "bitmap"));
        let dense = files.iter().find(|(other, _)| *other == format!("{model}-dense")).unwrap();
        assert_eq!(read(bytes), read(&dense.1), "{name}");
        let view = ModelView::open_coded(bytes).unwrap();
        let layouts: Vec<_> = view
            .walk()
            .filter_map(|step| step.unwrap().op.constants())
            .map(|(weights, _)| weights.packed.layout().name())
            .collect();
        assert!(layouts.iter().all(|layout| *layout == packing), "{name}: {layouts:?}");
        assert_eq!(view.producer(), Some("penjing 0.1.0"), "{name}");
    }
    // Of the weights' numbers a few that no packing makes.
    let dense =
        raise(ModelView::open(&files.iter().find(|f| f.0 == "int8-dense").unwrap().1).unwrap());
    let Op::Conv2d(conv) = &dense.nodes[0].op else { panic!("node 0 is a convolution") };
    assert_eq!(conv.weights.scales, [0.01, 0.02, 0.03, 0.04]);
    assert_eq!(conv.weights.data, ConstantData::I8(weights(72, 18, 100)));
    assert_eq!(conv.bias, Some(Constant::bias(vec![-300, 0, 7, 400])));
    assert_eq!(dense.labels, ["north", "east", "south", "west"]);
    for (name, expected) in [("joined-dense", joined(false)), ("joined_f32-dense", joined(true))] {
        let bytes = &files.iter().find(|file| file.0 == name).unwrap().1;
        let ops = |model: Model| model.nodes.into_iter().map(|node| node.op).collect::<Vec<_>>();
        assert_eq!(ops(read(bytes)), ops(expected), "{name}");
    }
}
