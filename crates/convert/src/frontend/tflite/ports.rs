//! Inputs and outputs of the network: their names by its signature, and their batch.

use super::error::{clean, list, malformed};
use super::file::File;
use super::generated as fb;
use super::import::{Import, Input, Slot, batched};
use super::quantized::value_type;
use crate::frontend::ImportError;
use crate::ir::{Graph, Value};

/// Inputs and outputs at most, each.
const MAX_PORTS: usize = 256;

/// Adds the network's inputs to the graph.
pub(super) fn inputs(import: &mut Import<'_, '_>) -> Result<(), ImportError> {
    let file = import.file;
    let stated = file.graph.inputs().unwrap_or_default();
    if stated.is_empty() || stated.len() > MAX_PORTS {
        return Err(malformed("inputs of the network", format!("1 to {MAX_PORTS}"), stated.len()));
    }
    for (index, tensor) in stated.iter().enumerate() {
        let tensor = file.number(tensor, || "inputs of the network".into())?;
        if matches!(import.slot(tensor), Slot::Value(_)) {
            let found = format!("tensor {tensor} twice");
            return Err(malformed("inputs of the network", "different tensors", found));
        }
        let (dtype, quantization) = value_type(file, tensor)?;
        let dims = input_dims(file, tensor)?;
        let wrong = |expected, found| ImportError::Tensor {
            tensor,
            name: file.name(tensor),
            field: "shape",
            expected,
            found,
        };
        let Some(shape) = batched(&dims) else {
            let expected = format!("at most {} dimensions", penjing_format::MAX_RANK);
            return Err(wrong(expected, list(&dims)));
        };
        let name = signature(file).and_then(|signature| signature.inputs());
        let name = alias(file, name, tensor, || format!("input{index}"));
        import.graph.inputs.push(Value { name: Some(name), shape, dtype, quantization });
        let id = import.graph.inputs.len() - 1;
        import.set(tensor, Slot::Value(Input { id, dims, shape, dtype, grid: quantization }));
    }
    Ok(())
}

/// An input's dimensions with a batch of 1, which the file must have or leave open.
fn input_dims(file: &File<'_>, tensor: usize) -> Result<Vec<u32>, ImportError> {
    let mut dims = file.dims(tensor)?;
    let wrong = |field, expected: &str, found| ImportError::Tensor {
        tensor,
        name: file.name(tensor),
        field,
        expected: expected.into(),
        found,
    };
    let open = file.tensor(tensor).shape_signature().unwrap_or_default();
    if open.iter().skip(1).any(|dim| dim < 0) {
        let expected = "no open dimension but the batch";
        return Err(wrong("shape_signature", expected, list(open.iter())));
    }
    let batch_is_open = open.len() == dims.len() && open.iter().next() == Some(-1);
    if batch_is_open {
        dims[0] = 1;
    } else if dims.len() > 1 && dims[0] != 1 {
        let expected = "a batch of 1, first, or one that the signature leaves open";
        return Err(wrong("shape", expected, list(&dims)));
    }
    Ok(dims)
}

/// Names the network's outputs, and that is the graph.
pub(super) fn finish(import: Import<'_, '_>) -> Result<Graph, ImportError> {
    let file = import.file;
    let stated = file.graph.outputs().unwrap_or_default();
    if stated.is_empty() || stated.len() > MAX_PORTS {
        return Err(malformed("outputs of the network", format!("1 to {MAX_PORTS}"), stated.len()));
    }
    let mut outputs = Vec::new();
    for (index, tensor) in stated.iter().enumerate() {
        let tensor = file.number(tensor, || "outputs of the network".into())?;
        let Slot::Value(value) = import.slot(tensor) else {
            let place = format!("output {index} of the network");
            let found = format!("tensor {tensor} ({})", file.name(tensor));
            return Err(malformed(place, "a computed value", found));
        };
        let names = signature(file).and_then(|signature| signature.outputs());
        outputs.push((value.id, alias(file, names, tensor, || format!("output{index}"))));
    }
    let mut graph = import.graph;
    if graph.nodes.is_empty() {
        return Err(malformed("operators", "one that computes something", "none"));
    }
    for (id, name) in outputs {
        graph.outputs.push(id);
        if let Some(node) = id.checked_sub(graph.inputs.len()) {
            graph.nodes[node].output.name.get_or_insert(name);
        }
    }
    Ok(graph)
}

/// The signature of the first subgraph: `serving_default` where there are several.
fn signature<'a>(file: &File<'a>) -> Option<fb::SignatureDef<'a>> {
    let all = file.model.signature_defs()?;
    let ours = || all.iter().take(64).filter(|signature| signature.subgraph_index() == 0);
    let default = ours().find(|signature| signature.signature_key() == Some("serving_default"));
    default.or_else(|| ours().next())
}

/// What a signature calls a tensor, else its own name, else a number.
fn alias<'a>(
    file: &File<'a>,
    names: Option<flatbuffers::Vector<'a, flatbuffers::ForwardsUOffset<fb::TensorMap<'a>>>>,
    tensor: usize,
    number: impl Fn() -> String,
) -> String {
    let mut entries = names.iter().flatten().take(MAX_PORTS);
    let entry = entries.find(|entry| entry.tensor_index() as usize == tensor);
    let stated = entry.and_then(|entry| entry.name()).map(clean).filter(|name| !name.is_empty());
    let own = || Some(file.name(tensor)).filter(|name| !name.is_empty());
    stated.or_else(own).unwrap_or_else(number)
}
