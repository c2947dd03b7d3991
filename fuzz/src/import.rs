//! The target `import`: any bytes as a TFLite and as an ONNX file. What is read is lowered to a model file, which is opened and,
//! where it is small, planned. Nothing is run.

use penjing_convert::ir::{Graph, Op, WeightData};
use penjing_convert::{ImportError, Options, PackingChoice, lower_import, onnx, tflite};
use penjing_format::ModelView;
use penjing_runtime::{Model, Session, SessionOptions};

/// The most bytes that a session may take.
const MAX_BYTES: u64 = 1 << 22;

/// Elements of constants up to which every packing is tried.
const FEW_ELEMENTS: usize = 1 << 12;

/// Reads `data` as both kinds of file: an error that says something, or a graph that is lowered.
pub fn import(data: &[u8]) {
    read(tflite::read(data, "fuzzed"), data.len());
    read(onnx::read(data, "fuzzed"), data.len());
}

fn read(result: Result<Graph, ImportError>, len: usize) {
    match result {
        Ok(graph) => lower(graph, len),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn lower(graph: Graph, len: usize) {
    let elements = graph.nodes.iter().map(|node| constants(&node.op)).sum::<usize>();
    // sparse constants grow, and a constant may be used a few times
    assert!(elements <= 256 * len + (1 << 20), "{elements} elements of {len} bytes");
    assert!(!graph.outputs.is_empty() && !graph.inputs.is_empty());
    let few = elements <= FEW_ELEMENTS;
    let packing = if few { PackingChoice::Auto } else { PackingChoice::Dense };
    let lowered = match lower_import(graph, &Options { packing, ..Options::default() }) {
        Ok(lowered) => lowered,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    ModelView::open(&lowered.bytes).expect("a written file is one that is read");
    if !few {
        return;
    }
    let model = Model::from_bytes(lowered.bytes).expect("a written file is one that is read");
    let options = SessionOptions { max_bytes: MAX_BYTES, ..SessionOptions::default() };
    match Session::new(&model, options) {
        Ok(session) => assert!(session.arena_bytes() <= MAX_BYTES),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Elements of a node's constants.
fn constants(op: &Op) -> usize {
    let operand: Option<&WeightData> = match op {
        Op::Add(op) | Op::Mul(op) => op.operand.as_ref().map(|operand| &operand.data),
        _ => op.layer().map(|(weights, _)| &weights.data),
    };
    operand.map_or(0, WeightData::len)
}
