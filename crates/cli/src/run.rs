//! `penjing run`: a model on tensors of a safetensors file. Images of a folder are `eval`'s and `bench`'s.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use penjing_convert::elements::Elements;
use penjing_format::ModelView;
use penjing_runtime::{Input, Model, Output, Session, SessionOptions, TensorInfo};

use crate::model_file::{self, Kind};
use crate::tensors::{self, Port};

/// Run a model on tensors of a safetensors file
///
/// A model with one input reads the tensor `input` and writes the tensor `output`; one with several reads and writes
/// tensors of its inputs' and outputs' names, or input0, input1, .. where they have none. The first dimension is the batch, of
/// any length; it may be left out for one sample. Dimensions of 1 need not be those of the model.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  penjing run model.pnj --input images.safetensors --output scores.safetensors"
)]
pub(crate) struct RunArgs {
    /// Model file
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// safetensors file to read; dtype as the model's input
    #[arg(long, value_name = "IN.safetensors")]
    input: PathBuf,
    /// safetensors file to write
    #[arg(long, value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Write what this node yields instead of the outputs: its number, or its name where the file has one, as in
    /// `penjing inspect`
    #[arg(long, value_name = "NODE")]
    until: Option<String>,
    /// Threads; 0 for all cores
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
}

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let name = || args.model.display().to_string();
    if let Kind::Tflite | Kind::Onnx = model_file::kind(&args.model)? {
        return Err(model_file::convert_first(&args.model));
    }
    let model = Model::open(&args.model).with_context(name)?;
    let until = args.until.as_deref().map(|node| find(&model.view(), node)).transpose();
    let until = until.with_context(name)?;
    let options = SessionOptions { threads: args.threads, until, ..Default::default() };
    let mut session = Session::new(&model, options).with_context(name)?;
    let bytes = std::fs::read(&args.input).with_context(|| args.input.display().to_string())?;
    let file = tensors::parse(&args.input, &bytes)?;
    let mut batch = None;
    let mut inputs = Vec::new();
    for port in tensors::inputs(&model.view())? {
        let (elements, n) = tensors::read(&args.input, &file, &port)?;
        tensors::same_batch(&args.input, &port, &mut batch, n)?;
        inputs.push(elements);
    }
    let batch = batch.unwrap_or(0);
    let ports = match until {
        Some(node) => vec![node_port(&model.view(), node).with_context(name)?],
        None => outputs(&model),
    };
    let room = |port: Port| {
        let elements = room(&port, batch)?;
        Ok((port, elements))
    };
    let mut outputs = ports.into_iter().map(room).collect::<Result<Vec<_>>>()?;
    let given: Vec<Input<'_>> =
        inputs.iter().map(|elements| elements.input(0..elements.len())).collect();
    let mut taken: Vec<Output<'_>> = outputs
        .iter_mut()
        .map(|(_, elements)| {
            let all = 0..elements.len();
            elements.output(all)
        })
        .collect();
    session.run_many(&given, &mut taken)?;
    drop(taken);
    tensors::write(&args.output, &outputs, batch)
}

/// The node of that number or name.
fn find(model: &ModelView<'_>, node: &str) -> Result<usize> {
    let count = model.n_nodes();
    if let Ok(index) = node.parse::<usize>() {
        ensure!(index < count, "--until: expected a node below {count}, found {index}");
        return Ok(index);
    }
    let named = |index: &usize| {
        let value = model.node(*index).map(|node| node.value());
        value.and_then(|value| value.name) == Some(node)
    };
    (0..count)
        .find(named)
        .with_context(|| format!("--until: expected a node's number or name, found {node:?}"))
}

fn outputs(model: &Model) -> Vec<Port> {
    let infos: Vec<TensorInfo<'_>> = model.outputs().collect();
    let port = |(index, info): (usize, &TensorInfo<'_>)| Port {
        name: tensors::port_name(info.name, index, infos.len(), "output"),
        dims: info.shape.dims().iter().map(|&dim| dim as usize).collect(),
        dtype: info.dtype,
        grid: None,
    };
    infos.iter().enumerate().map(port).collect()
}

fn node_port(model: &ModelView<'_>, node: usize) -> Result<Port> {
    let step = model.walk().nth(node).context("the file was replaced")??;
    let ty = step.output.ty;
    Ok(Port {
        name: "output".to_owned(),
        dims: ty.shape.dims().iter().skip(1).map(|&dim| dim as usize).collect(),
        dtype: ty.dtype,
        grid: None,
    })
}

fn room(port: &Port, batch: usize) -> Result<Elements> {
    let sample = port.dims.iter().try_fold(1_usize, |n, &dim| n.checked_mul(dim));
    let len = sample
        .and_then(|n| n.checked_mul(batch))
        .context("the output has more elements than memory can hold")?;
    Elements::zeros(port.dtype, len).with_context(|| {
        format!("the model's output has dtype {}, which no tensor can hold", port.dtype)
    })
}
