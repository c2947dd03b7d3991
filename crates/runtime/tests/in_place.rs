//! Sessions in place against sessions that have a heap, bit for bit: layers in every packing and width, constant operands, files of
//! released versions. Ops without weights and layers of any shape are held against each other where `light_ops`, `residual` and
//! `conformance` hold them against the oracle; graphs of many ops are `in_place_graphs`'s, arenas and errors `in_place_arena`'s.

mod support;

use penjing_format::write::{
    Binary, Constant, ConstantData, FullyConnected, Model as Spec, Node, Op, PackingChoice,
    Reshape, WriteError,
};
use penjing_format::{Activation, DataType, QuantParams, ReshapeTarget, Shape};
use penjing_runtime::{Model, in_place};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use support::Noise;

/// Zeros of which every packing can make something, each in its own way.
fn thin(elements: &mut [i8], row_len: usize, packing: PackingChoice, seed: u64) {
    let mut noise = Noise(seed);
    let keep = 1 + seed % 7;
    let mut some = || noise.next() % 8 < keep;
    match packing {
        PackingChoice::NOfM => {
            let kept = 1 + (seed >> 5) as usize % 3;
            for four in elements.chunks_mut(4) {
                let first = if some() { 0 } else { 4 - kept };
                let zeros = |(at, _): &(usize, &mut i8)| !(first..first + kept).contains(at);
                four.iter_mut().enumerate().filter(zeros).for_each(|(_, weight)| *weight = 0);
            }
        }
        PackingChoice::Blocks => {
            let size = 2 + (seed >> 5) as usize % 20;
            for block in elements.chunks_mut(size).filter(|_| some()) {
                block.fill(0);
            }
        }
        PackingChoice::Columns => {
            let kept: Vec<bool> = (0..row_len).map(|_| some()).collect();
            for row in elements.chunks_mut(row_len) {
                row.iter_mut().zip(&kept).for_each(|(weight, kept)| *weight *= i8::from(*kept));
            }
        }
        _ => elements.iter_mut().for_each(|weight| *weight *= i8::from(some())),
    }
}

/// Of weights that are to take `bits` each, as many levels as that allows, 0 among them or not.
fn narrow(elements: &mut [i8], bits: u32, zero: bool) {
    let half = 1 << bits.saturating_sub(1);
    for weight in elements {
        let level = i32::from(*weight).rem_euclid(2 * half) - half;
        *weight = if level >= 0 && !zero { level + 1 } else { level } as i8;
    }
}

/// The int8 weights of every layer, with the length of their rows.
fn weights(spec: &mut Spec) -> impl Iterator<Item = (&mut Vec<i8>, usize)> {
    spec.nodes.iter_mut().filter_map(|node| {
        let (constant, along_last) = match &mut node.op {
            Op::Conv2d(op) => (&mut op.weights, false),
            Op::FullyConnected(op) => (&mut op.weights, false),
            Op::DepthwiseConv2d(op) => (&mut op.weights, true),
            Op::Add(op) | Op::Mul(op) => (op.operand.as_mut()?, true),
            _ => return None,
        };
        let (first, last) = (constant.shape.first()?, constant.shape.last()?);
        let ConstantData::I8(data) = &mut constant.data else { return None };
        let row_len = if along_last { last as usize } else { data.len() / first as usize };
        Some((data, row_len))
    })
}

/// How weights are stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    packing: PackingChoice,
    /// 8: as they are.
    bits: u32,
    zero: bool,
    seed: u64,
}

fn stored() -> impl Strategy<Value = Stored> {
    (0..PackingChoice::IN_PLACE.len(), 1..12_u32, any::<bool>(), any::<u64>()).prop_map(
        |(packing, bits, zero, seed)| {
            let packing = PackingChoice::IN_PLACE[packing];
            Stored { packing, bits: bits.min(8), zero, seed }
        },
    )
}

impl Stored {
    /// The model with its weights stored so; none where they cannot be.
    fn model(self, spec: &mut Spec) -> Option<Model> {
        for (data, row_len) in weights(spec) {
            if self.bits < 8 {
                narrow(data, self.bits, self.zero);
            }
            thin(data, row_len, self.packing, self.seed);
        }
        match spec.to_bytes(self.packing) {
            Ok(bytes) => Some(Model::from_bytes(bytes).unwrap()),
            Err(WriteError::Packing { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Appends what flattens the last value, and a layer of it.
fn into_dense(spec: &mut Spec, out: u32, seed: u64) {
    let model = support::model(spec, PackingChoice::Auto);
    let shape = model.outputs().next().unwrap().shape;
    let features = shape.elements().unwrap() as u32;
    let flatten = Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN });
    let dense = Op::FullyConnected(FullyConnected {
        weights: support::weights([out, features].into(), false, seed.is_multiple_of(7), seed),
        bias: support::bias(out, false, seed >> 2),
        activation: support::activation(seed >> 6),
    });
    let value = support::i8_value(false, support::params(DataType::I8, 0.5, seed >> 8));
    spec.nodes.extend([Node::new(flatten, None), Node::new(dense, value)]);
}

fn integers(dtype: DataType) -> DataType {
    if dtype == DataType::F32 { DataType::I8 } else { dtype }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn packed_convolutions(
        mut case in support::conv_case(),
        small_pool in 0..4_u8,
        dense in proptest::option::of(1..5_u32),
        stored in stored(),
    ) {
        case.dtype = integers(case.dtype);
        if small_pool == 0 {
            case.pool = Some(([2, 2], [2, 2], [0; 4]));
        }
        let Some(mut spec) = case.spec() else { return Ok(()) };
        if let Some(out) = dense {
            into_dense(&mut spec, out, case.seed);
        }
        if let Some(model) = stored.model(&mut spec) {
            prop_assert!(support::in_place::conforms(&model, case.seed));
        }
    }

    /// The way of grey images, of any number of channels.
    #[test]
    fn packed_patches(
        unsigned: bool,
        size in [4..15_u32, 4..15],
        out_channels in 1..90_u32,
        dense in proptest::option::of(1..5_u32),
        stored in stored(),
        seed: u64,
    ) {
        let case = support::ConvCase {
            dtype: if unsigned { DataType::U8 } else { DataType::I8 },
            input: [size[0], size[1], 1],
            kernel: [3, 3],
            out_channels,
            stride: [1, 1],
            dilation: [1, 1],
            pads: [0; 4],
            pool: Some(([2, 2], [2, 2], [0; 4])),
            seed,
        };
        let mut spec = case.spec().unwrap();
        if let Some(out) = dense {
            into_dense(&mut spec, out, case.seed);
        }
        if let Some(model) = stored.model(&mut spec) {
            prop_assert!(support::in_place::conforms(&model, case.seed));
        }
    }

    #[test]
    fn packed_depthwise_convolutions(
        mut case in support::depthwise_case(),
        dense in proptest::option::of(1..5_u32),
        stored in stored(),
    ) {
        case.dtype = integers(case.dtype);
        let Some(mut spec) = case.spec() else { return Ok(()) };
        if let Some(out) = dense {
            into_dense(&mut spec, out, case.seed);
        }
        if let Some(model) = stored.model(&mut spec) {
            prop_assert!(support::in_place::conforms(&model, case.seed));
        }
    }

    #[test]
    fn packed_layers(
        unsigned: bool,
        features in 1..300_u32,
        out in 1..14_u32,
        stored in stored(),
        seed: u64,
    ) {
        let dtype = if unsigned { DataType::U8 } else { DataType::I8 };
        let mut spec = support::dense_spec(dtype, features, out, seed);
        if let Some(model) = stored.model(&mut spec) {
            prop_assert!(support::in_place::conforms(&model, seed));
        }
    }

    #[test]
    fn packed_operands(
        dims in proptest::collection::vec(1..14_u32, 1..4),
        extent in 0..3_u8,
        product: bool,
        stored in stored(),
        seed: u64,
    ) {
        let shape = Shape::from_dims([1].into_iter().chain(dims.iter().copied())).unwrap();
        let elements = match extent {
            0 => 1,
            1 => dims[dims.len() - 1],
            _ => dims.iter().product(),
        };
        let constant = penjing_format::infer::operand(shape, elements).unwrap();
        let scale = support::light::Of::new(DataType::I8, shape, seed).params.scale;
        let weights = support::weights(constant, false, false, seed);
        let binary = Binary {
            operand: Some(Constant { scales: vec![scale], ..weights }),
            operand_zero_point: support::zero_point(DataType::I8, seed),
            activation: support::activation(seed >> 3),
        };
        let op = if product { Op::Mul(binary) } else { Op::Add(binary) };
        let [from, to] = [1, 2].map(|k| support::light::Of::new(DataType::I8, shape, seed ^ k));
        let mut spec = support::light::one_op(op, &[from], to, seed.is_multiple_of(3));
        if let Some(model) = stored.model(&mut spec) {
            prop_assert!(support::in_place::conforms(&model, seed));
        }
    }
}

/// That the proptests above can reach them all: networks with every op that has weights, in every packing and width.
#[test]
fn every_packing_and_width() {
    let mut reached = BTreeSet::new();
    for packing in PackingChoice::IN_PLACE {
        for bits in 1..=8 {
            for (zero, seed) in [(false, 3), (true, 4), (true, 7)] {
                let [mut network, mut depthwise] = support::small_specs(DataType::U8, false);
                for spec in [&mut network, &mut depthwise] {
                    let stored = Stored { packing, bits, zero, seed };
                    let Some(model) = stored.model(spec) else { continue };
                    assert!(support::in_place::conforms(&model, seed));
                    for step in model.view().walk() {
                        let Some((weights, _)) = step.unwrap().op.constants() else { continue };
                        let packed = weights.packed;
                        reached.insert(packed.layout().name().to_string());
                        reached.insert(format!("{:?}", packed.values().levels()));
                    }
                }
            }
        }
    }
    // Seven packings; 1 to 7 bits with a level for 0, 1 to 7 without, and whole bytes.
    assert_eq!(reached.len(), 7 + 15, "{reached:?}");
}

/// Also without the checks of a build that has a heap.
#[test]
fn files_of_released_versions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../format/tests/frozen/v1");
    let (mut ran, mut refused) = (0, BTreeSet::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let model = Model::from_bytes(bytes.clone()).unwrap();
        if !support::in_place::conforms(&model, 5) {
            refused.insert(name);
            continue;
        }
        ran += 1;
        let mut arena = vec![0_u8; in_place::arena_bytes(&model).unwrap() + 3];
        let opened = penjing_runtime::InPlace::<{ in_place::ALL }>::of_bytes(&bytes, &mut arena);
        // Coded weights are decoded by what has a heap.
        assert_eq!(opened.is_ok(), !name.contains("coded"), "{name}");
    }
    assert!(refused.iter().all(|name| name.contains("f32")), "{refused:?}");
    assert_eq!((ran, refused.len()), (26, 16));
}

/// The article's network, whole.
#[test]
fn the_network() {
    for dtype in [DataType::U8, DataType::I8] {
        for packing in PackingChoice::IN_PLACE.into_iter().chain(PackingChoice::DECODED) {
            match support::network_spec(dtype).to_bytes(packing) {
                Ok(bytes) => assert!(support::in_place::conforms(
                    &Model::from_bytes(bytes).unwrap(),
                    u64::from(dtype.code())
                )),
                Err(WriteError::Packing { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Codes at the ends, and grids at which every sum saturates or none moves a code.
#[test]
fn extremes() {
    for (scale, zero_point) in [(1e-6, 0), (1e6, -128), (1e-3, 127), (0.02, 5)] {
        for activation in [Activation::None, Activation::Relu6, Activation::ReluN1To1] {
            for dtype in [DataType::U8, DataType::I8] {
                let mut spec = support::network_spec(dtype);
                for node in &mut spec.nodes {
                    if let Op::Conv2d(op) = &mut node.op {
                        op.activation = activation;
                        let grid = QuantParams { scale, zero_point };
                        node.value = support::i8_value(false, grid);
                    }
                }
                assert!(support::in_place::conforms(
                    &support::model(&spec, PackingChoice::Auto),
                    9
                ));
            }
        }
    }
}
