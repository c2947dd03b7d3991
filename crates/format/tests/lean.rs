//! The reader of devices (`lean`) against flatc's generated one: of what the whole check accepts, both read the same, field by field;
//! and of any bytes it reads without a panic. What fields mean together is the runtime's business.
#![cfg(feature = "write")]

mod common;

use common::file::{flipped, in_every_packing, stamped};
use penjing_format::lean::{Flaw, Lean, LeanNode, LeanValue, LeanWeights, LeanWindow};
use penjing_format::write::PackingChoice;
use penjing_format::write::generated::penjing as flatc;
use penjing_format::{FORMAT_VERSION, ModelView, hash};
use std::path::Path;

/// Numbers of a vector, as their bytes.
fn bytes<T: Copy, const N: usize>(
    numbers: Option<impl IntoIterator<Item = T>>,
    of: fn(T) -> [u8; N],
) -> Option<Vec<u8>> {
    numbers.map(|numbers| numbers.into_iter().flat_map(of).collect())
}

/// Bits of scale, zero point, type and shape.
type Stated = (u32, i16, u8, Option<Vec<u8>>);

fn value(ours: &LeanValue<'_>) -> Stated {
    (ours.scale.to_bits(), ours.zero_point, ours.dtype, ours.shape.map(<[u8]>::to_vec))
}

fn weights(theirs: Option<flatc::Weights<'_>>, ours: &LeanWeights<'_>, what: &str) {
    let Some(theirs) = theirs else {
        let LeanWeights { values, index, scale, out_channels, .. } = ours;
        assert!(values.is_empty() && index.is_empty() && scale.is_empty() && *out_channels == 0);
        return;
    };
    assert_eq!(Some(ours.values), theirs.values().map(|values| values.bytes()).or(Some(&[])));
    assert_eq!(Some(ours.index), theirs.index().map(|index| index.bytes()).or(Some(&[])));
    let scales = bytes(theirs.scale(), f32::to_le_bytes).unwrap_or_default();
    assert_eq!(ours.scale, scales, "{what}");
    assert_eq!(
        (ours.out_channels, ours.packing, ours.value_bits, ours.group, ours.gap_bits),
        (
            theirs.out_channels(),
            theirs.packing().0,
            theirs.value_bits(),
            theirs.group(),
            theirs.gap_bits()
        ),
        "{what}"
    );
    assert_eq!(
        (ours.kept, ours.no_zero, ours.stored, ours.zero_point),
        (theirs.kept(), theirs.no_zero(), theirs.stored(), theirs.zero_point()),
        "{what}"
    );
}

fn window(theirs: Option<flatc::Window<'_>>, ours: LeanWindow) {
    let Some(theirs) = theirs else {
        let LeanWindow { size, stride, pad, dilation } = ours;
        assert_eq!((size, stride, pad, dilation), ([0; 2], [0; 2], [0; 4], [1; 2]));
        return;
    };
    assert_eq!(ours.size, [theirs.size_h(), theirs.size_w()]);
    assert_eq!(ours.stride, [theirs.stride_h(), theirs.stride_w()]);
    assert_eq!(ours.dilation, [theirs.dilation_h(), theirs.dilation_w()]);
    let pads = [theirs.pad_top(), theirs.pad_bottom(), theirs.pad_left(), theirs.pad_right()];
    assert_eq!(ours.pad, pads);
}

/// Whether the whole check accepts; then ours reads what flatc's reader does.
fn compare(file: &[u8], what: &str) -> bool {
    let lean = Lean::open(file);
    let Ok(model) = ModelView::open_coded(file) else {
        lean.as_ref().map(walk).ok();
        return false;
    };
    // Without the signature, if there is one.
    let theirs = flatc::root_as_model(model.bytes()).unwrap();
    let lean = lean.unwrap_or_else(|flaw| panic!("{what}: {}", flaw.text()));
    let outputs = bytes(theirs.outputs(), u16::to_le_bytes);
    assert_eq!(lean.outputs().unwrap(), outputs.as_deref(), "{what}");
    let inputs = theirs.inputs().unwrap();
    assert_eq!(lean.n_inputs(), inputs.len());
    let shape = |dims: Option<flatbuffers::Vector<'_, u32>>| bytes(dims, u32::to_le_bytes);
    let mut id = 0;
    for (index, input) in inputs.iter().enumerate() {
        let stated =
            (input.scale().to_bits(), input.zero_point(), input.dtype().0, shape(input.shape()));
        assert_eq!(value(&lean.input(index).unwrap()), stated, "{what}");
        assert_eq!(value(&lean.value(id).unwrap()), stated, "{what}");
        id += 1;
    }
    let nodes = theirs.nodes().unwrap();
    assert_eq!(lean.n_nodes(), nodes.len());
    let (mut ours, mut constants) = (LeanNode::default(), LeanWeights::default());
    for (index, node) in nodes.iter().enumerate() {
        lean.node(index, &mut ours).unwrap();
        assert_eq!((ours.op, ours.activation), (node.op().0, node.activation().0), "{what}");
        let stated =
            (node.scale().to_bits(), node.zero_point(), node.dtype().0, shape(node.shape()));
        assert_eq!(value(&ours.value), stated, "{what}");
        assert_eq!(value(&lean.value(id).unwrap()), stated, "{what}");
        assert_eq!(ours.inputs.map(<[u8]>::to_vec), bytes(node.inputs(), u16::to_le_bytes));
        assert_eq!(ours.target.map(<[u8]>::to_vec), bytes(node.target(), i32::to_le_bytes));
        assert_eq!(Some(ours.bias), node.bias().map(|bias| bias.bytes()).or(Some(&[])));
        window(node.window(), ours.window().unwrap());
        ours.weights(&mut constants).unwrap();
        weights(node.weights(), &constants, what);
        id += 1;
    }
    assert!(lean.input(inputs.len()).is_err() && lean.value(id).is_err());
    assert!(lean.node(nodes.len(), &mut ours).is_err());
    true
}

/// Reads every field there is, of bytes that mean nothing.
fn walk(lean: &Lean<'_>) {
    let _ = lean.outputs();
    for index in 0..lean.n_inputs().min(1000) {
        let _ = lean.input(index);
    }
    let (mut node, mut weights) = (LeanNode::default(), LeanWeights::default());
    for index in 0..lean.n_nodes().min(1000) {
        if lean.node(index, &mut node).is_ok() {
            let _ = (node.window(), node.weights(&mut weights));
        }
    }
}

/// Small models in every packing, entropy-coded ones among them.
fn files() -> impl Iterator<Item = (Vec<u8>, String)> {
    common::small_models().into_iter().flat_map(|(model, name)| {
        let coded = model.to_bytes(PackingChoice::Coded).map(|bytes| (bytes, name.to_string()));
        in_every_packing(&model, name).into_iter().chain(coded)
    })
}

#[test]
fn files_of_released_versions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v1");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(compare(&std::fs::read(&path).unwrap(), &path.display().to_string()));
        count += 1;
    }
    assert_eq!(count, 42);
}

#[test]
fn models_of_every_kind() {
    for (file, what) in files() {
        assert!(compare(&file, &what), "{what}");
    }
}

#[test]
fn damaged_files_are_read_alike_or_refused() {
    let (mut accepted, mut refused) = (0, 0);
    for (file, what) in files() {
        for bit in (0..file.len() * 8).step_by(3) {
            let same = compare(&flipped(&file, bit), &what);
            (accepted, refused) = (accepted + usize::from(same), refused + usize::from(!same));
        }
        for len in 0..file.len() {
            assert!(!compare(&stamped(file[..len].to_vec()), &what) || len + 3 >= file.len());
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > 1000 && refused > 1000);
}

/// Words at their ends in every place, behind a right hash: offsets that lead everywhere.
#[test]
fn offsets_lead_nowhere_else() {
    for (file, what) in files().step_by(5) {
        for at in (0..file.len() - 4).filter(|at| !(4..16).contains(at)) {
            for word in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, u32::MAX - 3, file.len() as u32]
            {
                let mut altered = file.clone();
                altered[at..at + 4].copy_from_slice(&word.to_le_bytes());
                compare(&stamped(altered), &what);
            }
        }
    }
}

#[test]
fn each_flaw_is_told_from_the_others() {
    let (file, _) = files().next().unwrap();
    let open = |bytes: &[u8]| Lean::open(bytes).err();
    assert_eq!(open(&file), None);
    for bytes in [&[][..], &file[..15], b"PNJ1PNJ1PNJ1", b"0123PNJ2 and so on, for long"] {
        assert_eq!(open(bytes), Some(Flaw::Header));
    }
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(open(&damaged), Some(Flaw::Hash));
    // Every place at which the version could stand.
    let mut later = Vec::new();
    let mut fbb = flatbuffers::FlatBufferBuilder::new();
    for version in [FORMAT_VERSION, FORMAT_VERSION + 1, u16::MAX] {
        let args = flatc::ModelArgs { format_version: version, ..flatc::ModelArgs::default() };
        later.push(open(&common::file::finish(&mut fbb, &args)));
        fbb.reset();
    }
    assert_eq!(later, [None, Some(Flaw::Version), Some(Flaw::Version)]);
    let mut far = file.clone();
    far[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    hash::stamp(&mut far);
    assert_eq!(open(&far), Some(Flaw::Layout));
    // What was taken before is not hashed again.
    assert!(Lean::assume_whole(&damaged).is_ok());
    let texts = [Flaw::Header, Flaw::Hash, Flaw::Version, Flaw::Layout].map(Flaw::text);
    assert!((1..4).all(|at| !texts[..at].contains(&texts[at])));
}
