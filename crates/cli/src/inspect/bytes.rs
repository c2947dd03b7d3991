//! Where a model file's bytes go: each byte is counted once, for the first part that has it, so that rows sum to the file. What
//! parts there are is `penjing_format`'s.

use penjing_format::read::{Part, Section};
use penjing_format::{Error, ModelView, Owner, signature};
use serde::Serialize;

/// A row of the listing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct SectionReport {
    pub(super) name: String,
    pub(super) bytes: usize,
    /// Of the file; 0 to 1.
    pub(super) share: f64,
}

/// What one node takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct NodeBytes {
    pub(super) total: usize,
    /// Stored elements of weights, with their vector's length, as all that follows.
    values: usize,
    /// Which elements are stored.
    index: usize,
    scales: usize,
    bias: usize,
    name: usize,
    /// Tables, window, dimensions, edges.
    tables: usize,
}

/// All of a file.
pub(super) struct Bytes {
    file: usize,
    header: usize,
    model: usize,
    vtables: usize,
    producer: usize,
    labels: usize,
    normalization: usize,
    inputs: Vec<usize>,
    nodes: Vec<NodeBytes>,
    padding: usize,
    signature: usize,
}

impl Bytes {
    pub(super) fn new(file: &[u8], view: ModelView<'_>) -> Result<Self, Error> {
        let mut bytes = Self {
            file: file.len(),
            header: 0,
            model: 0,
            vtables: 0,
            producer: 0,
            labels: 0,
            normalization: 0,
            inputs: vec![0; view.n_inputs()],
            nodes: vec![NodeBytes::default(); view.n_nodes()],
            padding: 0,
            signature: signature::split(file).1.map_or(0, |_| signature::SIZE),
        };
        let mut told = vec![false; view.bytes().len()];
        view.sections(|section| {
            let new = told[section.bytes.clone()].iter_mut().filter(|told| !**told);
            let count = new.map(|told| *told = true).count();
            bytes.add(&section, count);
        })?;
        bytes.padding = told.iter().filter(|told| !**told).count();
        Ok(bytes)
    }

    fn add(&mut self, section: &Section, count: usize) {
        match (section.part, section.owner) {
            (Part::Header, _) => self.header += count,
            (Part::Vtables, _) => self.vtables += count,
            (_, Owner::Input(index)) => self.inputs[index] += count,
            (part, Owner::Node(index, _)) => {
                let node = &mut self.nodes[index];
                node.total += count;
                *match part {
                    Part::Values => &mut node.values,
                    Part::Index => &mut node.index,
                    Part::Scales => &mut node.scales,
                    Part::Bias => &mut node.bias,
                    Part::Text => &mut node.name,
                    _ => &mut node.tables,
                } += count;
            }
            (_, Owner::Model) => {
                *match section.field {
                    "producer" => &mut self.producer,
                    "labels" => &mut self.labels,
                    field if field.starts_with("normalization") => &mut self.normalization,
                    _ => &mut self.model,
                } += count;
            }
        }
    }

    /// Bytes of the file.
    pub(super) fn file(&self) -> usize {
        self.file
    }

    pub(super) fn node(&self, index: usize) -> NodeBytes {
        self.nodes.get(index).cloned().unwrap_or_default()
    }

    /// The rows, which sum to the file; those without a byte are left out.
    pub(super) fn sections(&self) -> Vec<SectionReport> {
        let of_model = [
            ("header and content hash", self.header),
            ("model table", self.model),
            ("vtables", self.vtables),
            ("producer", self.producer),
            ("labels", self.labels),
            ("normalization", self.normalization),
        ];
        let mut rows: Vec<(String, usize)> =
            of_model.map(|(name, bytes)| (name.to_owned(), bytes)).into();
        rows.extend(self.inputs.iter().enumerate().map(|(i, &n)| (format!("input {i}"), n)));
        for (index, node) in self.nodes.iter().enumerate() {
            let parts = [
                ("tables", node.tables),
                ("name", node.name),
                ("weights", node.values),
                ("index", node.index),
                ("scales", node.scales),
                ("bias", node.bias),
            ];
            rows.extend(parts.map(|(part, bytes)| (format!("node {index} {part}"), bytes)));
        }
        rows.push(("padding".to_owned(), self.padding));
        rows.push(("signature".to_owned(), self.signature));
        let share = |bytes| bytes as f64 / self.file as f64;
        rows.into_iter()
            .filter(|&(_, bytes)| bytes > 0)
            .map(|(name, bytes)| SectionReport { name, bytes, share: share(bytes) })
            .collect()
    }
}
