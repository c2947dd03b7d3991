//! `penjing run`: a model on tensors of a safetensors file. Images of a folder are `eval`'s and `bench`'s.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use penjing_checkpoint::write_atomically;
use penjing_format::DataType;
use penjing_runtime::{Input, Model, Output, Session, SessionOptions, TensorInfo};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Run a model on a tensor of a safetensors file
///
/// A model with one input reads the tensor `input` and writes the tensor `output`; one with several reads and writes
/// tensors of its inputs' and outputs' names. The first dimension is the batch, of any length; it may be left out for
/// one sample.
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

/// A tensor's elements in the dtype that the runtime takes and gives.
enum Elements {
    I8(Vec<i8>),
    U8(Vec<u8>),
    F32(Vec<f32>),
}

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let model = Model::open(&args.model).with_context(|| args.model.display().to_string())?;
    let mut session =
        Session::new(&model, SessionOptions { threads: args.threads, ..Default::default() })
            .with_context(|| args.model.display().to_string())?;
    let bytes = std::fs::read(&args.input).with_context(|| args.input.display().to_string())?;
    let file = SafeTensors::deserialize(&bytes)
        .with_context(|| format!("{}: not a safetensors file", args.input.display()))?;
    let (infos, out_infos): (Vec<_>, Vec<_>) =
        (model.inputs().collect(), model.outputs().collect());
    let mut batch = None;
    let mut inputs = Vec::with_capacity(infos.len());
    for (i, info) in infos.iter().enumerate() {
        let name = tensor_name(info, i, infos.len(), "input");
        let (elements, n) = read(&args.input, &file, &name, info)?;
        ensure!(
            *batch.get_or_insert(n) == n,
            "{}: tensor {name:?}: expected a batch of {}, as the others, found {n}",
            args.input.display(),
            batch.unwrap_or(n)
        );
        inputs.push(elements);
    }
    let batch = batch.unwrap_or(0);
    let mut outputs: Vec<Elements> =
        out_infos.iter().map(|info| empty(info, batch)).collect::<Result<_>>()?;
    let given: Vec<Input<'_>> = inputs.iter().map(Elements::as_input).collect();
    let mut taken: Vec<Output<'_>> = outputs.iter_mut().map(Elements::as_output).collect();
    session.run_many(&given, &mut taken)?;
    drop(taken);
    write(&args.output, &out_infos, &outputs, batch)
}

/// `input` or `output` where there is one, the value's own name (or its number) where there are several.
fn tensor_name(info: &TensorInfo<'_>, index: usize, count: usize, single: &str) -> String {
    if count == 1 {
        return single.to_owned();
    }
    info.name.map_or_else(|| format!("{single}{index}"), str::to_owned)
}

/// The tensor's elements and its batch.
fn read(
    path: &Path,
    file: &SafeTensors<'_>,
    name: &str,
    info: &TensorInfo<'_>,
) -> Result<(Elements, usize)> {
    let view = file.tensor(name).with_context(|| {
        let names = file.names();
        format!("{}: expected a tensor {name:?}, found {names:?}", path.display())
    })?;
    let expected = match info.dtype {
        DataType::U8 => Dtype::U8,
        DataType::I8 => Dtype::I8,
        DataType::F32 => Dtype::F32,
        other => bail!("the model's input {name:?} has dtype {other}, which no tensor can feed"),
    };
    ensure!(
        view.dtype() == expected,
        "{}: tensor {name:?}: expected dtype {expected:?}, found {:?}",
        path.display(),
        view.dtype()
    );
    let batch = batch_of(info, view.shape()).with_context(|| {
        format!(
            "{}: tensor {name:?}: expected shape {} with or without a batch before it, found {:?}",
            path.display(),
            info.shape,
            view.shape()
        )
    })?;
    Ok((decode(&view), batch))
}

/// The batch of a tensor, if its shape is the sample's shape with a batch before it, or the sample's shape alone.
fn batch_of(info: &TensorInfo<'_>, shape: &[usize]) -> Option<usize> {
    let sample: Vec<usize> = info.shape.dims().iter().map(|&d| d as usize).collect();
    if shape == sample {
        return Some(1);
    }
    let (batch, rest) = shape.split_first()?;
    (rest == sample).then_some(*batch)
}

fn decode(view: &TensorView<'_>) -> Elements {
    let data = view.data();
    match view.dtype() {
        Dtype::U8 => Elements::U8(data.to_vec()),
        Dtype::I8 => Elements::I8(data.iter().map(|&b| b as i8).collect()),
        _ => {
            Elements::F32(data.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect())
        }
    }
}

fn empty(info: &TensorInfo<'_>, batch: usize) -> Result<Elements> {
    let len = info
        .shape
        .elements()
        .and_then(|n| n.checked_mul(batch))
        .context("the output has more elements than memory can hold")?;
    Ok(match info.dtype {
        DataType::U8 => Elements::U8(vec![0; len]),
        DataType::I8 => Elements::I8(vec![0; len]),
        DataType::F32 => Elements::F32(vec![0.0; len]),
        other => bail!("the model's output has dtype {other}, which no tensor can hold"),
    })
}

impl Elements {
    fn as_input(&self) -> Input<'_> {
        match self {
            Self::I8(v) => Input::I8(v),
            Self::U8(v) => Input::U8(v),
            Self::F32(v) => Input::F32(v),
        }
    }

    fn as_output(&mut self) -> Output<'_> {
        match self {
            Self::I8(v) => Output::I8(v),
            Self::U8(v) => Output::U8(v),
            Self::F32(v) => Output::F32(v),
        }
    }

    fn encode(&self) -> (Dtype, Vec<u8>) {
        match self {
            Self::I8(v) => (Dtype::I8, v.iter().map(|&q| q as u8).collect()),
            Self::U8(v) => (Dtype::U8, v.clone()),
            Self::F32(v) => (Dtype::F32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
        }
    }
}

fn write(path: &Path, infos: &[TensorInfo<'_>], outputs: &[Elements], batch: usize) -> Result<()> {
    let encoded: Vec<_> = outputs.iter().map(Elements::encode).collect();
    let mut tensors = Vec::with_capacity(outputs.len());
    for (i, (info, (dtype, bytes))) in infos.iter().zip(&encoded).enumerate() {
        let shape = std::iter::once(batch).chain(info.shape.dims().iter().map(|&d| d as usize));
        let view = TensorView::new(*dtype, shape.collect(), bytes)?;
        tensors.push((tensor_name(info, i, infos.len(), "output"), view));
    }
    let bytes = safetensors::serialize(tensors, None)?;
    write_atomically(path, &bytes).with_context(|| path.display().to_string())
}
