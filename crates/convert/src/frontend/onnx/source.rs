//! An ONNX graph as a graph: names resolved, constants decoded, nodes that the outputs need in topological order. No op is
//! interpreted here beyond its name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::attributes::Attributes;
use super::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::{Tensor, dtype_name};
use super::{NEWEST_OPSET, OLDEST_OPSET, OPS, SUPPORTED};
use crate::ImportError;

/// A checked graph.
#[derive(Debug)]
pub(super) struct Source {
    /// Nodes that the outputs need, in topological order.
    pub(super) nodes: Vec<Node>,
    /// Initializers by name.
    pub(super) constants: HashMap<String, Rc<Tensor>>,
    /// Graph inputs that no initializer stands for.
    pub(super) inputs: Vec<Input>,
    /// Names of the graph's outputs.
    pub(super) outputs: Vec<String>,
    /// For each name the positions in `nodes` of those that read it, once a reading.
    pub(super) consumers: HashMap<String, Vec<usize>>,
}

/// A graph input.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    /// Of the element type.
    pub(super) dtype: i32,
    /// Dimensions; a batch that the file leaves open is 1.
    pub(super) dims: Vec<usize>,
}

/// A node of the file.
#[derive(Debug)]
pub(super) struct Node {
    /// Its number in the file.
    pub(super) index: usize,
    /// Its name, or its first output's.
    pub(super) name: String,
    /// One of [`OPS`].
    pub(super) op: &'static str,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Attributes,
}

impl Node {
    /// An error about an attribute or input of the node.
    pub(super) fn wrong(
        &self,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> ImportError {
        ImportError::Option {
            node: self.index,
            name: self.name.clone(),
            op: self.op,
            field: field.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// Stands in messages for a graph output.
    pub(super) fn output(name: &str) -> Self {
        Self {
            index: usize::MAX,
            name: name.to_owned(),
            op: "graph output",
            inputs: Vec::new(),
            outputs: Vec::new(),
            attributes: Attributes::new(Vec::new()),
        }
    }

    /// The name of input `k`, if it is there.
    pub(super) fn input(&self, k: usize) -> Option<&str> {
        self.inputs.get(k).map(String::as_str).filter(|name| !name.is_empty())
    }
}

pub(super) fn malformed(
    place: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> ImportError {
    ImportError::Malformed { place: place.into(), expected: expected.into(), found: found.into() }
}

impl Source {
    pub(super) fn new(model: ModelProto) -> Result<Self, ImportError> {
        check_opset(&model)?;
        let graph =
            model.graph.ok_or_else(|| malformed("ONNX model", "a graph", "a model without one"))?;
        if !graph.sparse_initializer.is_empty() {
            return Err(malformed("ONNX graph", "dense initializers", "sparse initializers"));
        }
        let constants = constants(&graph)?;
        let inputs = inputs(&graph, &constants)?;
        let outputs: Vec<String> = graph.output.iter().map(|value| value.name.clone()).collect();
        if outputs.is_empty() || inputs.is_empty() {
            return Err(malformed("ONNX graph", "inputs and outputs", "a graph without"));
        }
        let known = constants.keys().chain(inputs.iter().map(|input| &input.name));
        let order = order(&graph.node, known.map(String::as_str).collect(), &outputs)?;
        let nodes = order
            .into_iter()
            .map(|k| node(k, &graph.node[k]))
            .collect::<Result<Vec<_>, ImportError>>()?;
        let mut consumers: HashMap<String, Vec<usize>> = HashMap::new();
        for (k, node) in nodes.iter().enumerate() {
            for name in node.inputs.iter().filter(|name| !name.is_empty()) {
                consumers.entry(name.clone()).or_default().push(k);
            }
        }
        Ok(Self { nodes, constants, inputs, outputs, consumers })
    }

    /// Positions of the nodes that read a value.
    pub(super) fn readers(&self, name: &str) -> &[usize] {
        self.consumers.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether one node alone reads the value, and the graph does not yield it.
    pub(super) fn is_inner(&self, name: &str) -> bool {
        self.readers(name).len() == 1 && !self.outputs.iter().any(|output| output == name)
    }
}

fn check_opset(model: &ModelProto) -> Result<(), ImportError> {
    let mut versions =
        model.opset_import.iter().filter(|set| is_onnx(&set.domain)).map(|set| set.version);
    let found = versions.next().filter(|_| versions.next().is_none());
    let expected = format!("one opset of ai.onnx, {OLDEST_OPSET} to {NEWEST_OPSET}");
    match found {
        Some(version) if (OLDEST_OPSET..=NEWEST_OPSET).contains(&version) => Ok(()),
        Some(version) => Err(malformed("ONNX model, opset_import", expected, version.to_string())),
        None => Err(malformed("ONNX model, opset_import", expected, "none, or several")),
    }
}

fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn constants(graph: &GraphProto) -> Result<HashMap<String, Rc<Tensor>>, ImportError> {
    let mut constants = HashMap::new();
    for (k, proto) in graph.initializer.iter().enumerate() {
        let wrong = |field, expected: String, found: String| ImportError::Tensor {
            tensor: k,
            name: proto.name.clone(),
            field,
            expected,
            found,
        };
        let tensor = Tensor::decode(proto).map_err(|w| wrong(w.field, w.expected, w.found))?;
        if constants.insert(proto.name.clone(), Rc::new(tensor)).is_some() {
            return Err(wrong("name", "one tensor of the name".into(), "a second".into()));
        }
    }
    Ok(constants)
}

fn inputs(
    graph: &GraphProto,
    constants: &HashMap<String, Rc<Tensor>>,
) -> Result<Vec<Input>, ImportError> {
    let mut names = HashSet::new();
    let own = graph.input.iter().enumerate().filter(|(_, i)| !constants.contains_key(&i.name));
    own.map(|(k, proto)| {
        if !names.insert(&proto.name) {
            return Err(malformed(format!("graph input {k} ({})", proto.name), "one", "two"));
        }
        input(k, proto)
    })
    .collect()
}

fn input(k: usize, proto: &ValueInfoProto) -> Result<Input, ImportError> {
    let wrong = |field, expected: &str, found: String| ImportError::Tensor {
        tensor: k,
        name: proto.name.clone(),
        field,
        expected: expected.to_owned(),
        found,
    };
    let missing = |what: &str| wrong("shape", "a graph input with its shape", what.to_owned());
    let tensor = proto.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| missing("no tensor type"))?;
    let shape = tensor.shape.as_ref().ok_or_else(|| missing("none"))?;
    let rank = shape.dim.len();
    if !(2..=4).contains(&rank) {
        return Err(wrong("shape", "2 to 4 dimensions, the first the batch", rank.to_string()));
    }
    let dims = shape.dim.iter().enumerate().map(|(axis, dim)| match (axis, dim.dim_value) {
        (0, None | Some(1)) => Ok(1),
        (0, Some(found)) => Err(wrong("shape", "a batch of 1, or an open one", found.to_string())),
        (_, Some(found)) => usize::try_from(found)
            .ok()
            .filter(|d| (1..=u32::MAX as usize).contains(d))
            .ok_or_else(|| wrong("shape", "dimensions of 1 and more", found.to_string())),
        (_, None) => {
            let found = dim.dim_param.clone().unwrap_or_else(|| "?".into());
            Err(wrong(
                "shape",
                "fixed dimensions behind the batch",
                format!("axis {axis}: {found}"),
            ))
        }
    });
    let dims = dims.collect::<Result<_, _>>()?;
    Ok(Input { name: proto.name.clone(), dtype: tensor.elem_type, dims })
}

/// The nodes that the outputs need, each after those that it reads; otherwise in the file's order.
fn order(
    nodes: &[NodeProto],
    known: HashSet<&str>,
    outputs: &[String],
) -> Result<Vec<usize>, ImportError> {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (k, node) in nodes.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if known.contains(name.as_str()) || producers.insert(name, k).is_some() {
                return Err(malformed(format!("node {k}"), "an output of its own", name));
            }
        }
    }
    let producer = |place: &dyn Fn() -> String, name: &str| match producers.get(name) {
        Some(&k) => Ok(Some(k)),
        None if known.contains(name) => Ok(None),
        None => Err(malformed(place(), "a value of the graph", format!("{name:?}"))),
    };
    let mut needed = vec![false; nodes.len()];
    let mut stack = Vec::new();
    for name in outputs {
        stack.extend(producer(&|| "graph output".to_owned(), name)?);
    }
    while let Some(k) = stack.pop() {
        if std::mem::replace(&mut needed[k], true) {
            continue;
        }
        for name in nodes[k].input.iter().filter(|name| !name.is_empty()) {
            stack.extend(producer(&|| format!("node {k}, input"), name)?);
        }
    }
    let needs = |k: usize| {
        let names = nodes[k].input.iter().filter_map(|name| producers.get(name.as_str()));
        names.copied().collect::<BTreeSet<_>>()
    };
    sorted(&needed, needs)
}

/// Kahn's algorithm, the smallest number first.
fn sorted(
    needed: &[bool],
    needs: impl Fn(usize) -> BTreeSet<usize>,
) -> Result<Vec<usize>, ImportError> {
    let mut waiting = vec![0_usize; needed.len()];
    let mut readers = vec![Vec::new(); needed.len()];
    let mut ready = BTreeSet::new();
    for k in (0..needed.len()).filter(|&k| needed[k]) {
        let before = needs(k);
        waiting[k] = before.len();
        if before.is_empty() {
            ready.insert(k);
        }
        for p in before {
            readers[p].push(k);
        }
    }
    let mut order = Vec::new();
    while let Some(k) = ready.pop_first() {
        order.push(k);
        for &reader in &readers[k] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    match (0..needed.len()).find(|&k| waiting[k] > 0) {
        None => Ok(order),
        Some(k) => Err(malformed(format!("node {k}"), "a graph without cycles", "a cycle")),
    }
}

fn node(index: usize, proto: &NodeProto) -> Result<Node, ImportError> {
    let first = proto.output.first().cloned().unwrap_or_default();
    let name = if proto.name.is_empty() { first } else { proto.name.clone() };
    let op = OPS.iter().find(|&&op| op == proto.op_type).filter(|_| is_onnx(&proto.domain));
    let Some(&op) = op else {
        let op = match proto.domain.as_str() {
            domain if is_onnx(domain) => proto.op_type.clone(),
            domain => format!("{} of domain {domain}", proto.op_type),
        };
        return Err(ImportError::Op { node: index, name, op, supported: SUPPORTED });
    };
    Ok(Node {
        index,
        name,
        op,
        inputs: proto.input.clone(),
        outputs: proto.output.clone(),
        attributes: Attributes::new(proto.attribute.clone()),
    })
}

/// The dtype of a graph input in words.
pub(super) fn unsupported_input(k: usize, input: &Input) -> ImportError {
    ImportError::Tensor {
        tensor: k,
        name: input.name.clone(),
        field: "elem_type",
        expected: "float32, int8 or uint8".into(),
        found: dtype_name(input.dtype),
    }
}
