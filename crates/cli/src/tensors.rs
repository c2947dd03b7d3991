//! Tensors of safetensors files as inputs of models, and outputs as such files. It runs nothing.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use penjing_checkpoint::write_atomically;
use penjing_convert::elements::Elements;
use penjing_convert::samples::Samples;
use penjing_format::{DataType, ModelView, QuantParams};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};

/// What a model calls an input or output, and a sample of it.
pub(crate) struct Port {
    /// The tensor's name in a file.
    pub(crate) name: String,
    /// Dimensions of a sample.
    pub(crate) dims: Vec<usize>,
    pub(crate) dtype: DataType,
    /// Of integers.
    pub(crate) grid: Option<QuantParams>,
}

/// `single` where there is one of the kind, the value's own name, or its number, where there are several.
pub(crate) fn port_name(name: Option<&str>, index: usize, count: usize, single: &str) -> String {
    match name {
        _ if count == 1 => single.to_owned(),
        Some(name) => name.to_owned(),
        None => format!("{single}{index}"),
    }
}

/// The inputs of a model.
pub(crate) fn inputs(model: &ModelView<'_>) -> Result<Vec<Port>> {
    let count = model.n_inputs();
    let port = |index: usize| {
        let ty = model.input_type(index)?;
        let name = model.input(index).and_then(|value| value.name);
        Ok(Port {
            name: port_name(name, index, count, "input"),
            dims: ty.shape.dims().iter().skip(1).map(|&dim| dim as usize).collect(),
            dtype: ty.dtype,
            grid: ty.quantization,
        })
    };
    (0..count).map(port).collect()
}

/// A file's bytes as safetensors.
pub(crate) fn parse<'b>(path: &Path, bytes: &'b [u8]) -> Result<SafeTensors<'b>> {
    SafeTensors::deserialize(bytes)
        .with_context(|| format!("{}: not a safetensors file", path.display()))
}

/// The tensor of a port, which must be of its type, and its batch.
pub(crate) fn read(path: &Path, file: &SafeTensors<'_>, port: &Port) -> Result<(Elements, usize)> {
    let view = find(path, file, port)?;
    let expected = match port.dtype {
        DataType::U8 => Dtype::U8,
        DataType::I8 => Dtype::I8,
        DataType::F32 => Dtype::F32,
        other => {
            bail!("the model's input {:?} has dtype {other}, which no tensor can feed", port.name)
        }
    };
    ensure!(
        view.dtype() == expected,
        "{}: tensor {:?}: expected dtype {expected:?}, found {:?}",
        path.display(),
        port.name,
        view.dtype()
    );
    Ok((decode(&view), batch(path, port, view.shape())?))
}

/// Tensors for all inputs of a model, as [`reals`] are.
pub(crate) fn samples(path: &Path, model: &ModelView<'_>) -> Result<Samples<'static>> {
    reals(path, &inputs(model)?)
}

/// Tensors for all ports, as reals: of f32, or integers on the port's grid or, where the model takes f32, on the grid that the
/// file's metadata states as `input_scale` and `input_zero_point`. A grid of u8 tells what i8 means too, and the other way
/// round: the same codes, shifted.
pub(crate) fn reals(path: &Path, ports: &[Port]) -> Result<Samples<'static>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = parse(path, &bytes)?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes)?;
    let mut count = None;
    let mut reals = Vec::new();
    for port in ports {
        let view = find(path, &file, port)?;
        let n = batch(path, port, view.shape())?;
        same_batch(path, port, &mut count, n)?;
        let grid = match view.dtype() {
            Dtype::F32 => QuantParams::PIXEL,
            found @ (Dtype::U8 | Dtype::I8) => {
                shifted_grid(port, found).or_else(|| stated_grid(&metadata)).with_context(|| {
                    format!(
                        "{}: tensor {:?}: expected f32, as the model takes, or metadata input_scale and input_zero_point; found {found:?}",
                        path.display(),
                        port.name,
                    )
                })?
            }
            found => bail!(
                "{}: tensor {:?}: expected dtype F32, I8 or U8, found {found:?}",
                path.display(),
                port.name
            ),
        };
        let elements = decode(&view);
        reals.push(elements.reals(0..elements.len(), grid));
    }
    Ok(Samples::reals(reals, count.unwrap_or(0)))
}

/// The grid of a port for codes of that type.
fn shifted_grid(port: &Port, codes: Dtype) -> Option<QuantParams> {
    let by = match (port.dtype, codes) {
        (DataType::U8, Dtype::I8) => -128,
        (DataType::I8, Dtype::U8) => 128,
        _ => 0,
    };
    port.grid.map(|grid| QuantParams { zero_point: grid.zero_point + by, ..grid })
}

/// Writes outputs, `batch` samples each, to a file.
pub(crate) fn write(path: &Path, outputs: &[(Port, Elements)], batch: usize) -> Result<()> {
    let encoded: Vec<_> = outputs.iter().map(|(_, elements)| encode(elements)).collect();
    let mut tensors = Vec::with_capacity(outputs.len());
    for ((port, _), (dtype, bytes)) in outputs.iter().zip(&encoded) {
        let shape = std::iter::once(batch).chain(port.dims.iter().copied()).collect();
        tensors.push((&port.name, TensorView::new(*dtype, shape, bytes)?));
    }
    let bytes = safetensors::serialize(tensors, None)?;
    write_atomically(path, &bytes).with_context(|| path.display().to_string())
}

/// All inputs must have one batch.
pub(crate) fn same_batch(
    path: &Path,
    port: &Port,
    batch: &mut Option<usize>,
    found: usize,
) -> Result<()> {
    let expected = *batch.get_or_insert(found);
    ensure!(
        expected == found,
        "{}: tensor {:?}: expected a batch of {expected}, as the others, found {found}",
        path.display(),
        port.name
    );
    Ok(())
}

fn find<'f>(path: &Path, file: &SafeTensors<'f>, port: &Port) -> Result<TensorView<'f>> {
    file.tensor(&port.name).with_context(|| {
        let names = file.names();
        format!("{}: expected a tensor {:?}, found {names:?}", path.display(), port.name)
    })
}

/// The batch of a tensor, if its shape is the sample's shape with a batch before it, or the sample's shape alone. Dimensions
/// of 1 may be left out or added.
fn batch(path: &Path, port: &Port, shape: &[usize]) -> Result<usize> {
    let squeezed = |dims: &[usize]| dims.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
    let sample = squeezed(&port.dims);
    let batch = match shape.split_first() {
        _ if shape == port.dims => Some(1),
        Some((&batch, rest)) if squeezed(rest) == sample => Some(batch),
        _ if squeezed(shape) == sample => Some(1),
        _ => None,
    };
    batch.with_context(|| {
        format!(
            "{}: tensor {:?}: expected shape {:?} with or without a batch before it, found {shape:?}",
            path.display(),
            port.name,
            port.dims
        )
    })
}

fn stated_grid(metadata: &Metadata) -> Option<QuantParams> {
    let stated = metadata.metadata().as_ref()?;
    let scale: f32 = stated.get("input_scale")?.parse().ok()?;
    let zero_point = stated.get("input_zero_point")?.parse().ok()?;
    (scale > 0.0 && scale.is_finite()).then_some(QuantParams { scale, zero_point })
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

fn encode(elements: &Elements) -> (Dtype, Vec<u8>) {
    match elements {
        Elements::I8(v) => (Dtype::I8, v.iter().map(|&q| q as u8).collect()),
        Elements::U8(v) => (Dtype::U8, v.clone()),
        Elements::F32(v) => (Dtype::F32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
    }
}
