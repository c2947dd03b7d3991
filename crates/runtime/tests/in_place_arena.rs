//! Sessions in place: how large their arena is, what must be linked for them, what callers are told. Results are `in_place`'s.

mod support;

use penjing_format::write::{Model as Spec, Node, Op, PackingChoice};
use penjing_format::{Activation, DataType, QuantParams, hash, lean};
use penjing_runtime::in_place::{self, Arena};
use penjing_runtime::{Error, InPlace, Input, Model, Output, Port, RunError, Session};
use std::path::Path;
use support::Data;
use support::in_place::Guarded;

fn network() -> Model {
    support::model(&support::network_spec(DataType::U8), PackingChoice::Auto)
}

/// The network that is shipped as an example: pruned, of int8.
fn article() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models");
    Model::open(folder.join("article.pnj")).unwrap()
}

fn every_op() -> Model {
    support::model(&support::light::every_op(DataType::I8), PackingChoice::Auto)
}

/// So many nodes in a row.
fn chain(nodes: usize) -> Spec {
    let grid = QuantParams { scale: 0.5, zero_point: -3 };
    let value = support::input_value(DataType::I8, [1, 2, 3, 1].into(), grid);
    let node = Node::new(Op::Relu(Activation::Relu6), Some(value.clone()));
    Spec { inputs: vec![value], nodes: vec![node; nodes], ..Spec::default() }
}

fn models() -> Vec<Model> {
    let mut models = vec![network(), article(), every_op()];
    for dtype in [DataType::U8, DataType::I8] {
        for spec in support::small_specs(dtype, true) {
            let fits = |&packing: &PackingChoice| spec.to_bytes(packing).is_ok();
            let packings = PackingChoice::IN_PLACE.into_iter().filter(fits);
            models.extend(packings.map(|packing| support::model(&spec, packing)));
        }
    }
    models.extend([1, 2, 40].map(|nodes| support::model(&chain(nodes), PackingChoice::Auto)));
    models
}

#[test]
fn arenas_are_as_large_as_is_said_and_no_larger() {
    for (number, model) in models().iter().enumerate() {
        let exact = in_place::arena_bytes(model).unwrap();
        assert!(exact.is_multiple_of(4) && exact > 0, "{exact}");
        for past in 0..4 {
            let whole = exact + (4 - past) % 4;
            // Whoever lends what the error says gets there.
            let (mut len, mut tries) = (0, 0);
            loop {
                let mut arena = Guarded::new(len, past, 5);
                let limit = len as u64;
                match InPlace::<{ in_place::ALL }>::new(model, arena.arena()) {
                    Ok(_) => break,
                    Err(Error::TooLarge { needed, limit: found }) if found == limit => {
                        assert!(needed > limit && needed <= whole as u64, "{needed} of {whole}");
                        len = needed as usize;
                    }
                    Err(error) => panic!("{error}"),
                }
                arena.check();
                tries += 1;
                assert!(tries < 4);
            }
            assert_eq!(len, whole, "model {number}, {past} bytes past a word");
            // A word less is too little, by that word.
            for less in [1, 4] {
                let mut arena = Guarded::new(whole - less, past, 5);
                let error = InPlace::<{ in_place::ALL }>::new(model, arena.arena()).err().unwrap();
                let (limit, needed) = ((whole - less) as u64, whole as u64);
                let Error::TooLarge { needed: found, limit: of } = error else { panic!("{error}") };
                assert_eq!((found, of), (needed, limit));
            }
        }
    }
}

#[test]
fn nobody_writes_outside_the_arena() {
    for model in models() {
        let exact = in_place::arena_bytes(&model).unwrap();
        for past in 0..4 {
            for more in [0, 1, 50] {
                let mut arena = Guarded::new(exact + (4 - past) % 4 + more, past, 9);
                let mut session = Session::in_place(&model, arena.arena()).unwrap();
                let inputs: Vec<Data> =
                    model.inputs().map(|info| Data::noise(info.dtype, info.len(), 3)).collect();
                let mut outputs = support::in_place::outputs(&model);
                support::in_place::run(&mut session, &inputs, &mut outputs).unwrap();
                arena.check();
            }
        }
    }
}

/// A session in place of exactly these bits does what one of all does.
fn linked<const OPS: u32>(model: &Model) {
    let all = in_place::ops(model).unwrap();
    assert_eq!(format!("{OPS:#x}"), format!("{all:#x}"));
    let exact = in_place::arena_bytes(model).unwrap();
    let inputs: Vec<Data> =
        model.inputs().map(|info| Data::noise(info.dtype, info.len(), 3)).collect();
    let found = [false, true].map(|whole| {
        let mut outputs = support::in_place::outputs(model);
        let mut arena = Guarded::new(exact, 0, 4);
        if whole {
            let mut session = InPlace::<{ in_place::ALL }>::new(model, arena.arena()).unwrap();
            support::in_place::run(&mut session, &inputs, &mut outputs).unwrap();
        } else {
            let mut session = InPlace::<OPS>::new(model, arena.arena()).unwrap();
            support::in_place::run(&mut session, &inputs, &mut outputs).unwrap();
        }
        outputs
    });
    assert_eq!(found[0], found[1]);
}

/// One that lacks a bit that it needs is refused.
fn refused<const OPS: u32>(model: &Model) {
    let mut arena = vec![0; in_place::arena_bytes(model).unwrap() + 3];
    let error = InPlace::<OPS>::new(model, &mut arena).err().unwrap();
    assert!(matches!(error, Error::Unsupported { .. }), "{OPS:#x}: {error}");
}

/// `ops` of a model are those; with any of these bits less, none is left.
macro_rules! exactly {
    ($model:expr, $ops:literal, $($bit:literal)*) => {
        let model = $model;
        linked::<$ops>(&model);
        $(refused::<{ $ops & !(1 << $bit) }>(&model);)*
        assert_eq!(0 $(| 1 << $bit)*, $ops, "every bit is tried");
    };
}

#[test]
fn what_is_linked_is_what_is_needed() {
    // A packing a layer, 3 x 3 patches, and a layer that takes its input piece by piece.
    exactly!(article(), 0x1400_0f06, 1 2 8 9 10 11 26 28);
    // Packed weights in few bits.
    let [small, depthwise] = support::small_specs(DataType::I8, true);
    exactly!(support::model(&small, PackingChoice::Gaps), 0x0c00_0f88, 3 7 8 9 10 11 26 27);
    exactly!(support::model(&depthwise, PackingChoice::NOfM), 0x0000_4090, 4 7 14);
    // Ops without weights.
    exactly!(every_op(), 0x01ff_8000, 15 16 17 18 19 20 21 22 23 24);
}

#[test]
fn wrong_counts_types_and_lengths() {
    let model = network();
    let mut arena = Arena([0; 4096]);
    let mut session: InPlace<'_> = InPlace::new(&model, &mut arena.0).unwrap();
    let (image, mut scores) = ([0_u8; 168], [0_i8; 10]);
    let (input, output) = (Port::Input(0), Port::Output(0));
    for found in [0, 1, 167, 169, 336] {
        // Images go in one by one.
        let wrong = session.run(&[0_u8; 336][..found], &mut scores);
        let expected = RunError::Length { port: input, batch: 1, expected: 168, found };
        assert_eq!(wrong, Err(expected));
    }
    assert_eq!(
        session.run(&[0_i8; 168], &mut scores),
        Err(RunError::DataType { port: input, expected: DataType::U8, found: DataType::I8 })
    );
    assert_eq!(
        session.run(&image, &mut [0.0_f32; 10]),
        Err(RunError::DataType { port: output, expected: DataType::I8, found: DataType::F32 })
    );
    for found in [0, 9, 11] {
        let wrong = session.run(&image, Output::I8(&mut [0; 11][..found]));
        let expected = RunError::Length { port: output, batch: 1, expected: 10, found };
        assert_eq!(wrong, Err(expected));
    }
    let two = [Input::U8(&image), Input::U8(&image)];
    for found in [0, 2] {
        assert_eq!(
            session.run_many(&two[..found], &mut [Output::I8(&mut scores)]),
            Err(RunError::Count { of: "inputs", expected: 1, found })
        );
    }
    assert_eq!(
        session.run_many(&two[..1], &mut []),
        Err(RunError::Count { of: "outputs", expected: 1, found: 0 })
    );
    assert_eq!(session.run(&image, &mut scores), Ok(()));
}

/// A memory map shows what others write to the file.
#[cfg(target_os = "linux")]
#[test]
fn bytes_that_change_are_an_error() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.pnj");
    let bytes = support::network_spec(DataType::U8).to_bytes(PackingChoice::Auto).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let model = Model::open(&path).unwrap();
    let mut arena = Arena([0; 4096]);
    let mut session: InPlace<'_> = InPlace::new(&model, &mut arena.0).unwrap();
    let mut scores = [0_i8; 10];
    assert_eq!(session.run(&[7_u8; 168], &mut scores), Ok(()));
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for damage in [0_u8, 0xff, 0x55] {
        file.write_all_at(&vec![damage; bytes.len()], 0).unwrap();
        assert_eq!(session.run(&[7_u8; 168], &mut scores), Err(RunError::Model), "{damage:#x}");
    }
}

#[test]
fn what_is_no_model_is_refused() {
    let bytes = support::network_spec(DataType::U8).to_bytes(PackingChoice::Auto).unwrap();
    let open = |bytes: &[u8]| {
        let error = InPlace::<{ in_place::ALL }>::of_bytes(bytes, &mut [0; 4096]).err()?;
        let Error::Header { source } = error else { panic!("{error}") };
        assert_eq!(error.to_string(), format!("model: {}", source.text()));
        Some(source)
    };
    assert_eq!(open(&bytes), None);
    for short in [&[][..], b"PNJ1", &bytes[..15], b"no model at all, but long"] {
        assert_eq!(open(short), Some(lean::Flaw::Header));
    }
    // Every bit but those of the identifier, which is looked at first, and of the root's place behind it.
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected =
            if (4..8).contains(&(bit / 8)) { lean::Flaw::Header } else { lean::Flaw::Hash };
        assert_eq!(open(&flipped), Some(expected), "bit {bit}");
    }
    for len in 16..bytes.len() {
        assert_eq!(open(&bytes[..len]), Some(lean::Flaw::Hash), "cut to {len}");
    }
    // The root's place.
    let mut far = bytes.clone();
    far[0..4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    hash::stamp(&mut far);
    assert_eq!(open(&far), Some(lean::Flaw::Layout));
}

#[test]
fn what_is_beyond_a_session_in_place_is_said() {
    let refused = |model: &Model| match in_place::arena_bytes(model) {
        Err(Error::Unsupported { node, what }) => (node, what),
        other => panic!("{other:?}"),
    };
    let reals = support::model(&support::network_spec(DataType::F32), PackingChoice::Auto);
    assert_eq!(refused(&reals), (0, "element type"));
    let mut deep = chain(1);
    let value = deep.inputs[0].clone();
    let value = penjing_format::write::Value { shape: Some([1, 2, 1, 3, 1].into()), ..value };
    (deep.inputs[0], deep.nodes[0].value) = (value.clone(), Some(value));
    let deep = support::model(&deep, PackingChoice::Auto);
    assert_eq!(refused(&deep), (0, "more than 3 dimensions of a sample"));
    let long = support::model(&chain(1025), PackingChoice::Auto);
    assert_eq!(refused(&long), (0, "more than 1024 nodes or inputs"));
    assert!(in_place::ops(&long).is_err());
    let mut arena = vec![0; 1 << 16];
    assert!(Session::in_place(&long, &mut arena).is_err());
}

/// As many nodes as there may be, each of which is wanted to the end: the most that planning has to compare.
#[test]
fn the_longest_model_is_planned_at_once() {
    let mut spec = chain(1024);
    for node in &mut spec.nodes {
        node.inputs = vec![0];
    }
    spec.outputs = (1..=1024).collect();
    let begin = std::time::Instant::now();
    let model = support::model(&spec, PackingChoice::Auto);
    assert!(support::in_place::conforms(&model, 3));
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}
