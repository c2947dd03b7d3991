//! `penjing inspect` of a model file: inputs, outputs, nodes with their weights, totals, and where the file's bytes go.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::CellAlignment;
use penjing_convert::embed;
use penjing_format::{Constant, DataType, Levels, ModelView, Op, Step, TensorType, signature};
use penjing_runtime::{Model, Session, SessionOptions};
use serde::Serialize;

use super::bytes::{Bytes, NodeBytes, SectionReport};
use crate::model_file;

/// A model file.
#[derive(Serialize)]
pub(super) struct ModelReport {
    model: String,
    format_version: u16,
    producer: Option<String>,
    content_hash: String,
    /// Of a signed file; whether the signature is right is `penjing verify`'s to say.
    signed_version: Option<u64>,
    inputs: Vec<ValueReport>,
    outputs: Vec<ValueReport>,
    labels: Vec<String>,
    nodes: Vec<NodeReport>,
    macs: u64,
    parameters: usize,
    nnz: usize,
    /// Packed weights, biases, scales and zero points.
    constant_bytes: usize,
    /// All else.
    container_bytes: usize,
    file_bytes: usize,
    /// Intermediate tensors and the kernels' scratch, of as many images as run at once.
    arena_bytes: u64,
    /// The same, of a session that runs one image at a time.
    arena_bytes_one: u64,
    /// The arena of a session in place, where one runs this file.
    arena_bytes_in_place: Option<usize>,
    /// Why none does.
    not_in_place: Option<String>,
    /// Rows that sum to `file_bytes`.
    sections: Vec<SectionReport>,
}

#[derive(Clone, Serialize)]
struct ValueReport {
    name: Option<String>,
    shape: Vec<u32>,
    dtype: String,
    scale: Option<f32>,
    zero_point: Option<i32>,
}

#[derive(Serialize)]
struct NodeReport {
    index: usize,
    op: &'static str,
    output: ValueReport,
    weights: Option<ConstantReport>,
    bias: Option<ConstantReport>,
    macs: u64,
    bytes: NodeBytes,
    /// Of the file; 0 to 1.
    share: f64,
}

#[derive(Serialize)]
struct ConstantReport {
    shape: Vec<u32>,
    dtype: String,
    packing: &'static str,
    /// Bits of a stored element; none of coded ones.
    element_bits: Option<usize>,
    scales: usize,
    elements: usize,
    nnz: usize,
    /// Elements as packed; scales are not among them.
    bytes: usize,
}

impl ModelReport {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        let file = std::fs::read(path).with_context(name)?;
        // The file as it lies, and the model that runs: entropy-coded weights are decoded in the latter alone.
        let view = ModelView::open_coded(&file).with_context(name)?;
        let model = Model::from_bytes(file.clone()).with_context(name)?;
        let arenas = arena_bytes(&model).with_context(name)?;
        let (in_place, not_in_place) = match embed::arena_bytes(&file, &model) {
            Ok(bytes) => (Some(bytes), None),
            Err(why) => {
                // the line says itself that it tells why
                let cause = std::error::Error::source(&why);
                (None, Some(cause.map_or_else(|| why.to_string(), ToString::to_string)))
            }
        };
        let bytes = Bytes::new(&file, view).with_context(name)?;
        let nodes: Vec<NodeReport> = view
            .walk()
            .zip(model.view().walk())
            .map(|(lies, runs)| Ok(NodeReport::new(&lies?, &runs?, &bytes)))
            .collect::<Result<_>>()
            .with_context(name)?;
        let constants = || nodes.iter().flat_map(|n| n.weights.iter().chain(&n.bias));
        let packed: usize = constants().map(|c| c.bytes + 4 * c.scales).sum();
        let constant_bytes = packed + quantization_bytes(view);
        Ok(Self {
            model: model_file::name(path),
            format_version: view.format_version(),
            producer: view.producer().map(str::to_owned),
            content_hash: penjing_format::hash::stated(&file)
                .map_or_else(String::new, |hash| format!("{hash:016x}")),
            signed_version: signature::split(&file).1.map(|signature| signature.version),
            inputs: inputs(&view)?,
            outputs: outputs(&view, &nodes)?,
            labels: view.labels().map_or_else(Vec::new, |l| l.iter().map(str::to_owned).collect()),
            macs: nodes.iter().map(|n| n.macs).sum(),
            parameters: constants().map(|c| c.elements).sum(),
            nnz: constants().map(|c| c.nnz).sum(),
            constant_bytes,
            container_bytes: file.len() - constant_bytes,
            file_bytes: file.len(),
            arena_bytes: arenas[0],
            arena_bytes_one: arenas[1],
            arena_bytes_in_place: in_place,
            not_in_place,
            sections: bytes.sections(),
            nodes,
        })
    }

    pub(super) fn print(&self, out: &mut impl Write) -> Result<()> {
        let producer = self.producer.as_deref().unwrap_or("not stated");
        writeln!(
            out,
            "{}: format version {}, producer {producer}, content hash {}",
            self.model, self.format_version, self.content_hash
        )?;
        if let Some(version) = self.signed_version {
            writeln!(out, "signed  model version {version} (`penjing verify` checks whose it is)")?;
        }
        for (kind, values) in [("input", &self.inputs), ("output", &self.outputs)] {
            for v in values {
                writeln!(
                    out,
                    "{kind:<7} {} {}",
                    v.name.as_deref().unwrap_or("(unnamed)"),
                    v.describe()
                )?;
            }
        }
        if !self.labels.is_empty() {
            writeln!(out, "labels  {}", self.labels.join(", "))?;
        }
        let mut table = crate::table::new();
        table.set_header([
            "node", "op", "output", "weights", "packing", "non-zero", "bytes", "share", "MACs",
        ]);
        for node in &self.nodes {
            table.add_row(self.row(node));
        }
        for column in table.column_iter_mut().skip(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
        writeln!(
            out,
            "{} parameters, {} non-zero; {} MACs an image; arena {} bytes, {} for one image at a time",
            self.parameters, self.nnz, self.macs, self.arena_bytes, self.arena_bytes_one
        )?;
        match (self.arena_bytes_in_place, &self.not_in_place) {
            (Some(bytes), _) => writeln!(out, "in place: arena {bytes} bytes")?,
            (None, why) => writeln!(out, "in place: no: {}", why.as_deref().unwrap_or(""))?,
        }
        writeln!(
            out,
            "file {} bytes: weights, biases, scales and zero points {}, container {}",
            self.file_bytes, self.constant_bytes, self.container_bytes
        )?;
        let mut table = crate::table::new();
        table.set_header(["section", "bytes", "share"]);
        for section in &self.sections {
            table.add_row([
                section.name.clone(),
                section.bytes.to_string(),
                percent(section.share),
            ]);
        }
        let (sum, share) =
            self.sections.iter().fold((0, 0.0), |(b, s), x| (b + x.bytes, s + x.share));
        table.add_row(["total".to_owned(), sum.to_string(), percent(share)]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
        Ok(())
    }

    fn row(&self, node: &NodeReport) -> Vec<String> {
        let name = node.output.name.as_deref().map_or_else(String::new, |n| format!(" {n}"));
        let mut row =
            vec![format!("{}{name}", node.index), node.op.to_owned(), node.output.describe()];
        match &node.weights {
            None => row.extend(std::iter::repeat_n(String::new(), 3)),
            Some(w) => row.extend([
                format!("{:?} {}", w.shape, w.dtype),
                match w.element_bits {
                    Some(bits) if bits < 8 => format!("{} {bits} bits", w.packing),
                    _ => w.packing.to_owned(),
                },
                format!(
                    "{} of {} ({})",
                    w.nnz,
                    w.elements,
                    percent(w.nnz as f64 / w.elements as f64)
                ),
            ]),
        }
        row.extend([node.bytes.total.to_string(), percent(node.share)]);
        row.push(if node.macs == 0 { String::new() } else { node.macs.to_string() });
        row
    }
}

/// Bytes of a session's arena: as sessions are by default, and of one image at a time.
pub(crate) fn arena_bytes(model: &Model) -> Result<[u64; 2], penjing_runtime::Error> {
    let bytes = |tile_images| {
        let options = SessionOptions { tile_images, ..Default::default() };
        Session::new(model, options).map(|session| session.arena_bytes())
    };
    Ok([bytes(0)?, bytes(1)?])
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Scales and zero points that values state.
fn quantization_bytes(view: ModelView<'_>) -> usize {
    let values = view.inputs().chain(view.nodes().map(|node| node.value()));
    values
        .filter_map(|value| value.quantization)
        .map(|quantization| if quantization.zero_point == 0 { 4 } else { 6 })
        .sum()
}

fn inputs(view: &ModelView<'_>) -> Result<Vec<ValueReport>> {
    (0..view.n_inputs())
        .map(|i| Ok(ValueReport::new(&view.input_type(i)?, view.input(i).and_then(|v| v.name))))
        .collect()
}

/// The outputs' types are among what the walk over the nodes found.
fn outputs(view: &ModelView<'_>, nodes: &[NodeReport]) -> Result<Vec<ValueReport>> {
    view.outputs()
        .map(|id| match usize::from(id).checked_sub(view.n_inputs()) {
            None => Ok(ValueReport::new(&view.input_type(usize::from(id))?, None)),
            Some(node) => Ok(nodes[node].output.clone()),
        })
        .collect()
}

impl NodeReport {
    /// A node as it lies in the file and as it runs.
    fn new(lies: &Step<'_>, runs: &Step<'_>, bytes: &Bytes) -> Self {
        let (weights, bias) = match (lies.op.constants(), runs.op.constants()) {
            (Some((lies, bias)), Some((runs, _))) => {
                let bias = bias.as_ref().map(|bias| ConstantReport::new(bias, bias));
                (Some(ConstantReport::new(&lies, &runs)), bias)
            }
            _ => (None, None),
        };
        let own = bytes.node(lies.index);
        Self {
            index: lies.index,
            op: lies.op.name(),
            output: ValueReport::new(&lies.output.ty, lies.node.value().name),
            weights,
            bias,
            macs: macs(lies),
            share: own.total as f64 / bytes.file() as f64,
            bytes: own,
        }
    }
}

/// Multiply-accumulates for one image: every weight once for each position of the output.
fn macs(step: &Step<'_>) -> u64 {
    let positions: u64 = match step.output.ty.shape.as_4d() {
        Some([_, h, w, _]) => u64::from(h) * u64::from(w),
        None => 1,
    };
    match &step.op {
        Op::Conv2d(c) => positions * c.weights.packed.elements() as u64,
        Op::DepthwiseConv2d(c) => positions * c.weights.packed.elements() as u64,
        Op::FullyConnected(f) => f.weights.packed.elements() as u64,
        _ => 0,
    }
}

impl ConstantReport {
    fn new(lies: &Constant<'_>, runs: &Constant<'_>) -> Self {
        let packing = lies.packed.layout().name();
        let element_bits = match lies.packed.values().levels() {
            Levels::Whole => 8 * lies.dtype.size(),
            Levels::Bits { bits, .. } => usize::from(bits),
        };
        Self {
            shape: lies.shape.dims().to_vec(),
            dtype: lies.dtype.to_string(),
            packing,
            element_bits: (packing != "coded").then_some(element_bits),
            scales: lies.scales.len(),
            elements: lies.packed.elements(),
            nnz: runs.packed.nnz(),
            bytes: lies.packed.stored_bytes(),
        }
    }
}

impl ValueReport {
    fn new(ty: &TensorType, name: Option<&str>) -> Self {
        let quantization = ty.quantization.filter(|_| ty.dtype != DataType::F32);
        Self {
            name: name.map(str::to_owned),
            shape: ty.shape.dims().to_vec(),
            dtype: ty.dtype.to_string(),
            scale: quantization.map(|q| q.scale),
            zero_point: quantization.map(|q| q.zero_point),
        }
    }

    fn describe(&self) -> String {
        match (self.scale, self.zero_point) {
            (Some(s), Some(z)) => format!("{:?} {} scale {s:.6} zero {z}", self.shape, self.dtype),
            _ => format!("{:?} {}", self.shape, self.dtype),
        }
    }
}
