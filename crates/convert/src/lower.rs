//! From a checkpoint or an imported graph to the bytes of a model file: the order of front end, passes and emission. It
//! writes no file.

use penjing_checkpoint::{Checkpoint, Stage};
use penjing_format::write::PackingChoice;

use crate::ir::{Graph, WeightData, Weights};
use crate::{ConvertError, emit, frontend, passes};

/// What the layers compute in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetDtype {
    /// int8 for a checkpoint of stage `qat`, f32 otherwise.
    #[default]
    Auto,
    /// Floating point; refused for stage `qat`.
    F32,
    /// Integers only; an error if a layer cannot be.
    Int8,
}

/// What the model takes for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputDtype {
    /// Pixels as they are.
    U8,
    /// Pixel - 128, as TFLite's int8 models take it.
    I8,
    /// Pixel / 255.
    F32,
}

/// How to lower.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the layers compute in.
    pub dtype: TargetDtype,
    /// What the model takes; `None`: u8 pixels for a checkpoint, what an imported model took for that.
    pub input: Option<InputDtype>,
    /// How weights are packed.
    pub packing: PackingChoice,
    /// How the weights of single layers are packed instead, by the layer's name.
    pub layer_packing: Vec<(String, PackingChoice)>,
    /// Whether inner nodes keep the names of their layers; a few bytes each.
    pub names: bool,
    /// Class names, one an output; empty for none.
    pub labels: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dtype: TargetDtype::Auto,
            input: None,
            packing: PackingChoice::Auto,
            layer_packing: Vec::new(),
            names: false,
            labels: Vec::new(),
        }
    }
}

/// A lowered network.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The network before the passes: f32 layers on u8 pixels, with grids. What [`crate::eval`] interprets.
    pub source: Graph,
    /// The network as the file holds it.
    pub graph: Graph,
    /// The file.
    pub bytes: Vec<u8>,
    /// Whether its layers compute in integers.
    pub integers: bool,
}

/// Lowers a checkpoint.
///
/// # Errors
/// A float layer in a model asked to be int8, f32 asked of a `qat` checkpoint, labels that do not match, sizes that the
/// file cannot hold.
pub fn lower_checkpoint(
    checkpoint: &Checkpoint,
    options: &Options,
) -> Result<Lowered, ConvertError> {
    let is_qat = checkpoint.manifest.stage == Stage::Qat;
    let integers = match options.dtype {
        TargetDtype::Auto => is_qat,
        TargetDtype::Int8 => true,
        TargetDtype::F32 if is_qat => return Err(ConvertError::FloatFromQat),
        TargetDtype::F32 => false,
    };
    let source = frontend::checkpoint::read(checkpoint)?;
    let mut graph = source.clone();
    passes::set_input_dtype(&mut graph, options.input.unwrap_or(InputDtype::U8), integers);
    if integers {
        passes::quantize(&mut graph);
        passes::require_integers(&graph)?;
    }
    let bytes = emit::emit(&graph, options)?;
    Ok(Lowered { source, graph, bytes, integers })
}

/// Lowers a graph that another tool's file was imported to. Its layers compute in what they computed in.
///
/// # Errors
/// A float layer in a model asked to be int8, or integers in one asked to be f32; inputs that cannot be of the type asked
/// for; labels that do not match, sizes that the file cannot hold.
pub fn lower_import(source: Graph, options: &Options) -> Result<Lowered, ConvertError> {
    let mut graph = source.clone();
    passes::simplify(&mut graph);
    if let Some(input) = options.input {
        passes::set_import_dtype(&mut graph, input)?;
    }
    let mut layers = graph.nodes.iter().filter(|node| {
        let of_integers = |(weights, _): (&Weights, _)| matches!(weights.data, WeightData::I8(..));
        node.op.layer().is_some_and(of_integers)
    });
    let integers = layers.clone().any(|layer| !layer.op.is_dynamic());
    let integer = layers.next();
    match (options.dtype, integer) {
        (TargetDtype::F32, Some(layer)) => {
            return Err(ConvertError::IntegerLayer {
                layer: layer.name.clone(),
                op: layer.op.name(),
            });
        }
        (TargetDtype::Int8, _) => passes::require_integers(&graph)?,
        _ => {}
    }
    let bytes = emit::emit(&graph, options)?;
    Ok(Lowered { source, graph, bytes, integers })
}
