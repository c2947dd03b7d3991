//! Damaged and malicious files in place, read as a device reads them, where nothing has looked at the file before but the hash: no
//! panic, no endless loop, and where the whole check accepts a file too, the results of a session that has a heap.

mod support;

use penjing_format::lean::Flaw;
use penjing_format::write::{
    AveragePool2d, Binary, Constant, MaxPool2d, Model as Spec, Node, Op, PackingChoice, Reshape,
    WriteError,
};
use penjing_format::{Activation, DataType, ReshapeTarget, Shape, hash};
use penjing_runtime::{Error, InPlace, Model, Port, RunError, Session, SessionOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use support::Data;

/// What an arena has for files that may state anything.
const ARENA: usize = 1 << 14;

/// What became of files.
#[derive(Debug, Default)]
struct Seen {
    files: usize,
    opened: usize,
    /// Held against a session that has a heap.
    compared: usize,
    /// Runs that failed, which planning should have seen.
    failed: usize,
    /// Refusals of files that the whole check accepts, by their words.
    refused: BTreeMap<String, usize>,
    /// What is said of files that are refused.
    said: BTreeSet<&'static str>,
    slowest: Duration,
}

/// Inputs and outputs as a session asks for them, by its errors; `None` where it asks for very many elements.
fn ports(session: &mut InPlace<'_>, seed: u64) -> Result<Option<[Vec<Data>; 2]>, RunError> {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let none = || Data::zeros(DataType::U8, 0);
    loop {
        match support::in_place::run(session, &inputs, &mut outputs) {
            Ok(()) => return Ok(Some([inputs, outputs])),
            Err(RunError::Count { of: "inputs", expected, .. }) => {
                inputs.resize_with(expected, none);
            }
            Err(RunError::Count { expected, .. }) => outputs.resize_with(expected, none),
            Err(RunError::DataType { port: Port::Input(index), expected, .. }) => {
                inputs[index] = Data::zeros(expected, 0);
            }
            Err(RunError::DataType { port: Port::Output(index), expected, .. }) => {
                outputs[index] = Data::zeros(expected, 0);
            }
            Err(RunError::Length { expected, .. }) if expected > 1 << 20 => return Ok(None),
            Err(RunError::Length { port, batch: 1, expected, .. }) => {
                let (ports, index) = match port {
                    Port::Input(index) => (&mut inputs, index),
                    Port::Output(index) => (&mut outputs, index),
                };
                let dtype = ports[index].dtype();
                ports[index] = Data::noise(dtype, expected, seed + index as u64);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The outputs of a session that has a heap, of a file that the whole check accepts.
fn with_heap(model: &Model, inputs: &[Data]) -> Option<Vec<Data>> {
    let options = SessionOptions { max_bytes: 1 << 22, ..SessionOptions::default() };
    let mut session = Session::new(model, options).ok()?;
    let mut outputs = support::in_place::outputs(model);
    let given: Vec<_> = inputs.iter().map(Data::input).collect();
    let mut places: Vec<_> = outputs.iter_mut().map(Data::output).collect();
    session.run_many(&given, &mut places).unwrap();
    Some(outputs)
}

impl Seen {
    /// Opens and runs a file.
    fn file(&mut self, bytes: &[u8]) {
        self.files += 1;
        let mut arena = [0xa5; ARENA];
        let begin = Instant::now();
        let session: Result<InPlace<'_>, _> = InPlace::of_bytes(bytes, &mut arena);
        let checked = Model::from_bytes(bytes.to_vec());
        self.said.extend(match &session {
            Err(Error::Refused { what, .. } | Error::Unsupported { what, .. }) => Some(*what),
            Err(Error::Header { source }) => Some(source.text()),
            _ => None,
        });
        let mut session = match (session, &checked) {
            (Ok(session), _) => session,
            (Err(Error::TooLarge { needed, limit }), _) => {
                assert!(needed > limit && limit == ARENA as u64);
                return;
            }
            (Err(_), Err(_)) => return,
            (Err(error), Ok(_)) => {
                *self.refused.entry(error.to_string()).or_default() += 1;
                return;
            }
        };
        self.opened += 1;
        match ports(&mut session, 3) {
            Ok(Some([inputs, outputs])) => {
                self.slowest = self.slowest.max(begin.elapsed());
                if let Ok(model) = &checked
                    && let Some(want) = with_heap(model, &inputs)
                {
                    self.compared += 1;
                    let same = outputs.iter().zip(&want).all(|(found, want)| found.same(want));
                    assert!(same, "{outputs:?}, expected {want:?}");
                }
            }
            Ok(None) => {}
            Err(error) => {
                assert!(checked.is_err(), "{error}");
                self.failed += 1;
            }
        }
    }

    /// What must hold of many files.
    fn check(&self) {
        assert!(self.opened > 0 && self.compared > 0);
        assert_eq!(self.failed, 0, "planned, and then not run");
        let limits = ["2^28 elements", "3 dimensions", "element type"];
        let known = |words: &String| limits.iter().any(|limit| words.contains(limit));
        assert!(self.refused.keys().all(known), "{:?}", self.refused);
        assert!(self.slowest < Duration::from_secs(5), "{:?}", self.slowest);
    }

    /// Flips every bit of a file and cuts it everywhere, each time with the hash that the bytes have then.
    fn damage(&mut self, bytes: &[u8]) {
        let mut stamped = |mut altered: Vec<u8>| {
            hash::stamp(&mut altered);
            self.file(&altered);
        };
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            stamped(flipped);
        }
        for len in 0..bytes.len() {
            stamped(bytes[..len].to_vec());
        }
    }
}

#[test]
fn flipped_bits_and_truncations_are_refused_or_run() {
    let (mut seen, mut packings) = (Seen::default(), 0);
    for (dtype, few) in [(DataType::U8, false), (DataType::I8, true)] {
        for spec in support::small_specs(dtype, few) {
            for packing in PackingChoice::IN_PLACE {
                let bytes = match spec.to_bytes(packing) {
                    Ok(bytes) => bytes,
                    Err(WriteError::Packing { .. }) => continue,
                    Err(error) => panic!("{error}"),
                };
                packings += 1;
                seen.damage(&bytes);
            }
        }
    }
    println!("{packings} files: {seen:#?}");
    seen.check();
}

/// Of every op without weights, several outputs among it.
#[test]
fn damaged_graphs_are_refused_or_run() {
    let mut seen = Seen::default();
    let mut spec = support::light::every_op(DataType::I8);
    seen.damage(&spec.to_bytes(PackingChoice::Auto).unwrap());
    spec.outputs = vec![10, 3, 0];
    seen.damage(&spec.to_bytes(PackingChoice::Auto).unwrap());
    println!("{seen:#?}");
    seen.check();
}

/// Small models that together state every number that a file can.
fn stating_all() -> Vec<Spec> {
    let layer = support::ConvCase {
        dtype: DataType::U8,
        input: [7, 8, 2],
        kernel: [2, 4],
        out_channels: 3,
        stride: [2, 2],
        dilation: [2, 2],
        pads: [1, 2, 3, 4],
        pool: Some(([2, 3], [3, 4], [1, 1, 1, 2])),
        seed: 0xe3,
    };
    let mut chain = layer.spec().unwrap();
    let flatten = Op::Reshape(Reshape { target: ReshapeTarget::FLATTEN });
    chain.nodes.push(Node::new(flatten, None));
    chain.nodes.extend(support::dense_spec(DataType::I8, 12, 2, 7).nodes);
    let depthwise = support::DepthwiseCase {
        dtype: DataType::I8,
        input: [5, 6, 2],
        kernel: [2, 4],
        multiplier: 2,
        stride: [2, 3],
        dilation: [2, 1],
        pads: [1, 2, 3, 4],
        seed: 0x1235,
    };
    let shape: Shape = [1, 3, 4, 2].into();
    let of = |dtype, seed| support::light::Of::new(dtype, shape, seed);
    let (a, b) = (of(DataType::I8, 5), of(DataType::I8, 6));
    let operand = |channels: u32| Binary {
        operand: Some(Constant {
            scales: vec![0.07],
            ..support::weights([channels].into(), false, false, 3)
        }),
        operand_zero_point: -9,
        activation: Activation::Relu6,
    };
    let window =
        MaxPool2d { window: [3, 3], stride: [1, 2], padding: support::padding(1, 2, 2, 1) };
    let MaxPool2d { stride, padding, .. } = window;
    let average = AveragePool2d { window: [3, 3], stride, padding };
    let pooled = support::light::Of { shape: [1, 4, 3, 2].into(), ..a };
    let unsigned = support::light::Of { dtype: DataType::U8, ..a };
    let unsigned = support::light::Of { params: support::params(DataType::U8, 0.3, 6), ..unsigned };
    let reals = support::light::Of { dtype: DataType::F32, ..a };
    let one = |op, from, to| support::light::one_op(op, &[from], to, true);
    vec![
        chain,
        depthwise.spec().unwrap(),
        one(Op::Add(operand(2)), a, b),
        one(Op::Mul(operand(1)), a, b),
        one(Op::MaxPool2d(window), a, pooled),
        one(Op::AveragePool2d(average), a, pooled),
        one(Op::Relu(Activation::ReluN1To1), a, b),
        one(Op::Quantize, a, unsigned),
        one(Op::Quantize, reals, b),
        one(Op::Dequantize, unsigned, reals),
        Spec { outputs: vec![10, 3, 0], ..support::light::every_op(DataType::I8) },
    ]
}

/// Numbers at the ends of every type that a field can have, and reals that are none.
const ENDS: [u32; 20] = [
    0,
    1,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xfffe,
    0xffff,
    0x1_0000,
    0x0fff_ffff,
    0x1000_0000,
    0x4000_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    f32::MAX.to_bits(),
    f32::NEG_INFINITY.to_bits(),
    f32::NAN.to_bits(),
    (-1e30_f32).to_bits(),
];

/// Every number of a file by itself, and a few at once, at the ends of their types.
#[test]
fn numbers_at_their_ends() {
    let mut seen = Seen::default();
    for spec in stating_all() {
        let bytes = spec.to_bytes(PackingChoice::Auto).unwrap();
        let mut stamped = |places: &[(usize, usize, u32)]| {
            let mut altered = bytes.clone();
            for &(at, width, number) in places {
                let place = altered.iter_mut().skip(at).take(width);
                place.zip(number.to_le_bytes()).for_each(|(place, byte)| *place = byte);
            }
            hash::stamp(&mut altered);
            seen.file(&altered);
        };
        for at in (16..bytes.len()).step_by(2) {
            for (number, width) in ENDS.into_iter().flat_map(|n| [(n, 2), (n, 4)]) {
                stamped(&[(at, width, number)]);
            }
        }
        let mut noise = support::Noise(bytes.len() as u64);
        for _ in 0..20_000 {
            let places: Vec<_> = (0..2 + noise.next() % 3)
                .map(|_| {
                    let bits = noise.next();
                    let at = 16 + (bits >> 8) as usize % (bytes.len() - 16);
                    let number = match bits & 3 {
                        0 => (bits >> 32) as u32 >> (bits >> 2 & 31),
                        _ => ENDS[(bits >> 40) as usize % ENDS.len()],
                    };
                    (at & !1, [1, 2, 4][(bits >> 12) as usize % 3], number)
                })
                .collect();
            stamped(&places);
        }
    }
    println!("{seen:#?}");
    seen.check();
    // Everything that planning can say of a field.
    for what in [
        "activation",
        "dtype",
        "inputs",
        "nodes or inputs",
        "outputs",
        "scale or zero point",
        "shape",
        "target",
        "weights",
        "weights.out_channels",
        "weights.scale",
        "weights.scale or bias",
        "weights.scale or zero point",
        "a value of 2^28 elements or more",
        "an op that this session was not made for",
        "element type",
        "more than 3 dimensions of a sample",
        "weights of this packing",
        Flaw::Layout.text(),
        Flaw::Version.text(),
    ] {
        assert!(seen.said.contains(what), "{what}: not reached");
    }
}
