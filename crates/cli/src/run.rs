//! `penjing run`: a model on tensors of a safetensors file. Images of a folder are `eval`'s and `bench`'s.

use std::path::PathBuf;

use anyhow::{Context, Result};
use penjing_convert::elements::Elements;
use penjing_format::QuantParams;
use penjing_runtime::{Input, Model, Output, Session, SessionOptions, TensorInfo};

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
    /// Threads; 0 for all cores
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
}

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let name = || args.model.display().to_string();
    let model = Model::open(&args.model).with_context(name)?;
    let options = SessionOptions { threads: args.threads, ..Default::default() };
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
    let infos: Vec<TensorInfo<'_>> = model.outputs().collect();
    let mut outputs = Vec::with_capacity(infos.len());
    for (index, info) in infos.iter().enumerate() {
        let port = output_port(info, index, infos.len());
        outputs.push((port, room(info, batch)?));
    }
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

fn output_port(info: &TensorInfo<'_>, index: usize, count: usize) -> Port {
    Port {
        name: tensors::port_name(info.name, index, count, "output"),
        dims: info.shape.dims().iter().map(|&dim| dim as usize).collect(),
        dtype: info.dtype,
        grid: Some(QuantParams { scale: info.scale, zero_point: info.zero_point }),
    }
}

fn room(info: &TensorInfo<'_>, batch: usize) -> Result<Elements> {
    let len = info
        .shape
        .elements()
        .and_then(|n| n.checked_mul(batch))
        .context("the output has more elements than memory can hold")?;
    Elements::zeros(info.dtype, len).with_context(|| {
        format!("the model's output has dtype {}, which no tensor can hold", info.dtype)
    })
}
