//! Shapes of a sequential network, worked out and checked before anything runs. Per image: no batch dimension.

use crate::architecture::{Activation, Architecture, Layer, Padding, PaddingMode};
use crate::error::ArchitectureError;

/// Elements of one activation or weight tensor above which a spec is taken for a mistake (4 GiB of f32).
const MAX_ELEMENTS: usize = 1 << 30;

/// A validated network: every layer with its shapes and its padding in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Height, width, channels of one image.
    pub input: [usize; 3],
    /// The layers, first to last.
    pub layers: Vec<ResolvedLayer>,
    /// Length of the last layer's output: one score a class.
    pub classes: usize,
}

/// A layer with everything inferred.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedLayer {
    /// Unique name.
    pub name: String,
    /// Shape of one image's input to the layer: `[H, W, C]` or `[K]`.
    pub input: Vec<usize>,
    /// Shape of one image's output: `[H, W, C]` or `[K]`.
    pub output: Vec<usize>,
    /// What it does.
    pub op: ResolvedOp,
}

/// The ops with their geometry in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the architecture's layers
pub enum ResolvedOp {
    /// Padding is `[top, bottom, left, right]`.
    Conv2d {
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 4],
        activation: Activation,
    },
    /// Padding is `[top, bottom, left, right]`.
    MaxPool2d {
        window: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 4],
    },
    Flatten,
    Dense {
        activation: Activation,
    },
}

impl ResolvedLayer {
    /// Shape of the layer's weights, where it has any: OHWI for conv2d, `[out, in]` for dense. The bias is `[out]`.
    #[must_use]
    pub fn weight_shape(&self) -> Option<Vec<usize>> {
        match self.op {
            ResolvedOp::Conv2d { kernel, .. } => {
                Some(vec![self.output[2], kernel[0], kernel[1], self.input[2]])
            }
            ResolvedOp::Dense { .. } => Some(vec![self.output[0], self.input[0]]),
            _ => None,
        }
    }

    /// The fused activation; `None` for ops that have no such option.
    #[must_use]
    pub fn activation(&self) -> Activation {
        match self.op {
            ResolvedOp::Conv2d { activation, .. } | ResolvedOp::Dense { activation } => activation,
            _ => Activation::None,
        }
    }
}

impl Network {
    /// Layers that have weights.
    pub fn weighted(&self) -> impl Iterator<Item = &ResolvedLayer> {
        self.layers.iter().filter(|l| l.weight_shape().is_some())
    }
}

impl Architecture {
    /// Works out every shape.
    ///
    /// # Errors
    /// Names the layer, the field, what was expected and what was found.
    pub fn resolve(&self) -> Result<Network, ArchitectureError> {
        if self.layers.is_empty() {
            return Err(ArchitectureError::Empty);
        }
        let [h, w, c] = self.input;
        positive("input", "input", &[h, w, c])?;
        elements("input", "input", &self.input)?;
        let mut shape = self.input.to_vec();
        let mut layers: Vec<ResolvedLayer> = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let name = layer.name();
            check_name(i, layer, &layers)?;
            let (output, op) = resolve_layer(layer, &shape)?;
            elements(name, "output", &output)?;
            let resolved = ResolvedLayer { name: name.to_owned(), input: shape, output, op };
            if let Some(weights) = resolved.weight_shape() {
                elements(name, "weights", &weights)?;
            }
            shape = resolved.output.clone();
            layers.push(resolved);
        }
        match shape[..] {
            [classes] => Ok(Network { input: self.input, layers, classes }),
            _ => Err(ArchitectureError::NotFlat {
                layer: layers[layers.len() - 1].name.clone(),
                found: shape,
            }),
        }
    }
}

fn check_name(
    index: usize,
    layer: &Layer,
    before: &[ResolvedLayer],
) -> Result<(), ArchitectureError> {
    let name = layer.name();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(ArchitectureError::Name { index, found: name.to_owned() });
    }
    if before.iter().any(|l| l.name == name) {
        return Err(ArchitectureError::DuplicateName { index, name: name.to_owned() });
    }
    Ok(())
}

fn resolve_layer(
    layer: &Layer,
    input: &[usize],
) -> Result<(Vec<usize>, ResolvedOp), ArchitectureError> {
    let name = layer.name();
    match layer {
        Layer::Conv2d(l) => {
            let [h, w, _] = image(layer, input)?;
            positive(name, "out_channels", &[l.out_channels])?;
            let (out, padding) = windows(name, "kernel", [h, w], l.kernel, l.stride, l.padding)?;
            let op = ResolvedOp::Conv2d {
                kernel: l.kernel,
                stride: l.stride,
                padding,
                activation: l.activation,
            };
            Ok((vec![out[0], out[1], l.out_channels], op))
        }
        Layer::MaxPool2d(l) => {
            let [h, w, c] = image(layer, input)?;
            let stride = l.stride.unwrap_or(l.window);
            let (out, padding) = windows(name, "window", [h, w], l.window, stride, l.padding)?;
            Ok((
                vec![out[0], out[1], c],
                ResolvedOp::MaxPool2d { window: l.window, stride, padding },
            ))
        }
        Layer::Flatten(_) => Ok((vec![input.iter().product()], ResolvedOp::Flatten)),
        Layer::Dense(l) => {
            positive(name, "units", &[l.units])?;
            match input {
                [_] => Ok((vec![l.units], ResolvedOp::Dense { activation: l.activation })),
                _ => Err(ArchitectureError::Rank {
                    layer: name.to_owned(),
                    op: layer.op(),
                    expected: "a flat input [K] (put a flatten layer before it)",
                    found: input.to_vec(),
                }),
            }
        }
    }
}

fn image(layer: &Layer, input: &[usize]) -> Result<[usize; 3], ArchitectureError> {
    input.try_into().map_err(|_| ArchitectureError::Rank {
        layer: layer.name().to_owned(),
        op: layer.op(),
        expected: "an image [H, W, C]",
        found: input.to_vec(),
    })
}

/// Output height and width, and the padding in numbers.
fn windows(
    layer: &str,
    field: &'static str,
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
) -> Result<([usize; 2], [usize; 4]), ArchitectureError> {
    positive(layer, field, &kernel)?;
    positive(layer, "stride", &stride)?;
    elements(layer, field, &kernel)?;
    let padding = match padding {
        Padding::Explicit(p) => p,
        Padding::Mode(PaddingMode::Valid) => [0; 4],
        Padding::Mode(PaddingMode::Same) => {
            let mut p = [0; 4];
            for axis in 0..2 {
                let out = input[axis].div_ceil(stride[axis]);
                // stride can be absurd here: saturate, the check below then speaks
                let covered = (out - 1).saturating_mul(stride[axis]).saturating_add(kernel[axis]);
                let total = covered.saturating_sub(input[axis]);
                p[2 * axis] = total / 2;
                p[2 * axis + 1] = total - total / 2;
            }
            p
        }
    };
    let mut out = [0; 2];
    for axis in 0..2 {
        let (before, after) = (padding[2 * axis], padding[2 * axis + 1]);
        // a window that lies in the padding alone has no maximum and wastes a convolution
        if before >= kernel[axis] || after >= kernel[axis] {
            return Err(ArchitectureError::Padding { layer: layer.to_owned(), padding, kernel });
        }
        let padded = input[axis] + before + after;
        if padded < kernel[axis] {
            return Err(ArchitectureError::Window {
                layer: layer.to_owned(),
                field,
                kernel,
                padding,
                input,
            });
        }
        out[axis] = (padded - kernel[axis]) / stride[axis] + 1;
    }
    Ok((out, padding))
}

fn positive(layer: &str, field: &'static str, values: &[usize]) -> Result<(), ArchitectureError> {
    match values.iter().find(|&&v| v == 0) {
        None => Ok(()),
        Some(_) => {
            Err(ArchitectureError::Zero { layer: layer.to_owned(), field, found: values.to_vec() })
        }
    }
}

fn elements(layer: &str, field: &'static str, shape: &[usize]) -> Result<(), ArchitectureError> {
    let n = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
    match n {
        Some(n) if n <= MAX_ELEMENTS => Ok(()),
        _ => Err(ArchitectureError::TooLarge {
            layer: layer.to_owned(),
            field,
            shape: shape.to_vec(),
            limit: MAX_ELEMENTS,
        }),
    }
}

#[cfg(test)]
#[path = "shapes_tests.rs"]
mod tests;
