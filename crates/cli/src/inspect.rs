//! `penjing inspect`: what a model file or a checkpoint holds, as a table or JSON. It runs nothing.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use comfy_table::CellAlignment;
use penjing_checkpoint::Checkpoint;
use penjing_format::{Constant, DataType, ModelView, Op, Packed, Step, TensorType};
use penjing_runtime::{Model, Session, SessionOptions};
use serde::Serialize;

use crate::model_file::{self, Kind};

/// Show what a model file or checkpoint holds
#[derive(clap::Args)]
#[command(after_help = "Example:\n  penjing inspect model.pnj")]
pub(crate) struct InspectArgs {
    /// Model (.pnj) or checkpoint (.safetensors)
    #[arg(value_name = "MODEL|CKPT")]
    model: PathBuf,
    /// Print JSON instead
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match model_file::kind(&args.model)? {
        Kind::Model => {
            let report = ModelReport::new(&args.model)?;
            if args.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            } else {
                report.print(&mut out)?;
            }
        }
        Kind::Checkpoint => {
            let checkpoint = Checkpoint::load(&args.model)?;
            let report = CheckpointReport::new(&args.model, &checkpoint)?;
            if args.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            } else {
                report.print(&mut out)?;
            }
        }
    }
    Ok(())
}

/// A model file.
#[derive(Serialize)]
struct ModelReport {
    model: String,
    format_version: u16,
    producer: Option<String>,
    inputs: Vec<ValueReport>,
    outputs: Vec<ValueReport>,
    labels: Vec<String>,
    nodes: Vec<NodeReport>,
    macs: u64,
    parameters: usize,
    nnz: usize,
    constant_bytes: usize,
    container_bytes: usize,
    file_bytes: usize,
    arena_bytes: u64,
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
    name: Option<String>,
    output: ValueReport,
    weights: Option<ConstantReport>,
    bias: Option<ConstantReport>,
    macs: u64,
}

#[derive(Serialize)]
struct ConstantReport {
    shape: Vec<u32>,
    dtype: String,
    packing: &'static str,
    scales: usize,
    elements: usize,
    nnz: usize,
    /// Elements as packed; scales are not among them.
    bytes: usize,
}

impl ModelReport {
    fn new(path: &Path) -> Result<Self> {
        let model = Model::open(path).with_context(|| path.display().to_string())?;
        let view = model.view();
        let session = Session::new(&model, SessionOptions { threads: 1, ..Default::default() })
            .with_context(|| path.display().to_string())?;
        let nodes: Vec<NodeReport> = view
            .walk()
            .map(|step| Ok(NodeReport::new(&step?)))
            .collect::<Result<_>>()
            .with_context(|| path.display().to_string())?;
        let constants = || nodes.iter().flat_map(|n| n.weights.iter().chain(&n.bias));
        let constant_bytes = constants().map(|c| c.bytes + 4 * c.scales).sum();
        let file_bytes = view.bytes().len();
        Ok(Self {
            model: model_file::name(path),
            format_version: view.format_version(),
            producer: view.producer().map(str::to_owned),
            inputs: inputs(&view)?,
            outputs: outputs(&view, &nodes)?,
            labels: view.labels().map_or_else(Vec::new, |l| l.iter().map(str::to_owned).collect()),
            macs: nodes.iter().map(|n| n.macs).sum(),
            parameters: constants().map(|c| c.elements).sum(),
            nnz: constants().map(|c| c.nnz).sum(),
            constant_bytes,
            container_bytes: file_bytes - constant_bytes,
            file_bytes,
            arena_bytes: session.arena_bytes(),
            nodes,
        })
    }

    fn print(&self, out: &mut impl Write) -> Result<()> {
        let producer = self.producer.as_deref().unwrap_or("not stated");
        writeln!(
            out,
            "{}: format version {}, producer {producer}",
            self.model, self.format_version
        )?;
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
            "{} parameters, {} non-zero; {} MACs an image; arena {} bytes",
            self.parameters, self.nnz, self.macs, self.arena_bytes
        )?;
        writeln!(
            out,
            "file {} bytes: weights, biases and scales {}, container {}",
            self.file_bytes, self.constant_bytes, self.container_bytes
        )?;
        Ok(())
    }

    fn row(&self, node: &NodeReport) -> Vec<String> {
        let name = node.name.as_deref().map_or_else(String::new, |n| format!(" {n}"));
        let mut row =
            vec![format!("{}{name}", node.index), node.op.to_owned(), node.output.describe()];
        match &node.weights {
            None => row.extend(std::iter::repeat_n(String::new(), 5)),
            Some(w) => {
                let bias = node.bias.as_ref().map_or(0, |b| b.bytes + 4 * b.scales);
                let bytes = w.bytes + 4 * w.scales + bias;
                row.extend([
                    format!("{:?} {}", w.shape, w.dtype),
                    w.packing.to_owned(),
                    format!(
                        "{} of {} ({:.1} %)",
                        w.nnz,
                        w.elements,
                        100.0 * w.nnz as f64 / w.elements as f64
                    ),
                    bytes.to_string(),
                    format!("{:.1} %", 100.0 * bytes as f64 / self.file_bytes as f64),
                ]);
            }
        }
        row.push(if node.macs == 0 { String::new() } else { node.macs.to_string() });
        row
    }
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
    fn new(step: &Step<'_>) -> Self {
        let (weights, bias) = match step.op.constants() {
            None => (None, None),
            Some((weights, bias)) => {
                (Some(ConstantReport::new(&weights)), bias.as_ref().map(ConstantReport::new))
            }
        };
        let name = step.node.value().and_then(|v| v.name);
        Self {
            index: step.index,
            op: step.op.name(),
            name: step.node.name().map(str::to_owned),
            output: ValueReport::new(&step.output.ty, name),
            weights,
            bias,
            macs: macs(step),
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
    fn new(constant: &Constant<'_>) -> Self {
        Self {
            shape: constant.shape.dims().to_vec(),
            dtype: constant.dtype.to_string(),
            packing: match constant.packed {
                Packed::Dense(_) => "dense",
                Packed::Bitmap(_) => "bitmap",
                Packed::Gaps(_) => "gaps",
            },
            scales: constant.scales.len(),
            elements: constant.packed.elements(),
            nnz: constant.packed.nnz(),
            bytes: constant.packed.stored_bytes(),
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

/// A checkpoint.
#[derive(Serialize)]
struct CheckpointReport<'a> {
    checkpoint: String,
    manifest: &'a penjing_checkpoint::Manifest,
    tensors: Vec<TensorReport>,
    parameters: usize,
    file_bytes: u64,
}

#[derive(Serialize)]
struct TensorReport {
    name: String,
    shape: Vec<usize>,
    zeros: usize,
    elements: usize,
    min: f32,
    max: f32,
}

impl<'a> CheckpointReport<'a> {
    fn new(path: &Path, checkpoint: &'a Checkpoint) -> Result<Self> {
        let tensors: Vec<TensorReport> = checkpoint
            .tensors
            .iter()
            .map(|(name, t)| TensorReport {
                name: name.clone(),
                shape: t.shape.clone(),
                zeros: t.data.iter().filter(|v| **v == 0.0).count(),
                elements: t.data.len(),
                min: t.data.iter().copied().fold(f32::INFINITY, f32::min),
                max: t.data.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            })
            .collect();
        let weights = tensors.iter().filter(|t| !t.name.ends_with(".range"));
        Ok(Self {
            checkpoint: model_file::name(path),
            manifest: &checkpoint.manifest,
            parameters: weights.map(|t| t.elements).sum(),
            file_bytes: std::fs::metadata(path)?.len(),
            tensors,
        })
    }

    fn print(&self, out: &mut impl Write) -> Result<()> {
        let m = self.manifest;
        writeln!(
            out,
            "{}: stage {}, network {:?}, seed {}, parent {}",
            self.checkpoint,
            m.stage.name(),
            m.architecture.name,
            m.seed,
            m.parent.as_deref().unwrap_or("none")
        )?;
        let mut table = crate::table::new();
        table.set_header(["tensor", "shape", "zeros", "min", "max"]);
        for t in &self.tensors {
            let zeros = format!(
                "{} of {} ({:.1} %)",
                t.zeros,
                t.elements,
                100.0 * t.zeros as f64 / t.elements as f64
            );
            let (min, max) = (format!("{:.4}", t.min), format!("{:.4}", t.max));
            table.add_row([t.name.clone(), format!("{:?}", t.shape), zeros, min, max]);
        }
        writeln!(out, "{table}")?;
        writeln!(out, "{} parameters; file {} bytes", self.parameters, self.file_bytes)?;
        Ok(())
    }
}
