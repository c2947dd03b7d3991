//! The description of a sequential network, as a spec file and a manifest both hold it. Shapes are worked out in
//! `shapes`; weights are no part of it.

use serde::{Deserialize, Serialize};

/// A sequential network over one image input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// A name for people; it reaches the model file as the producer's note, nothing depends on it.
    pub name: String,
    /// Height, width, channels of one image. Pixels are 8-bit and enter the network as `pixel / 255`.
    pub input: [usize; 3],
    /// The layers, first to last; the last one yields one score a class.
    pub layers: Vec<Layer>,
}

/// One layer, told apart by its `op`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Layer {
    /// Two-dimensional convolution.
    #[serde(rename = "conv2d")]
    Conv2d(Conv2d),
    /// Two-dimensional maximum pooling.
    #[serde(rename = "max_pool2d")]
    MaxPool2d(MaxPool2d),
    /// `[H, W, C]` to `[H * W * C]`, in that order.
    Flatten(Flatten),
    /// Fully connected layer.
    Dense(Dense),
}

/// Convolution with bias; weights are `[out_channels, kernel_h, kernel_w, in_channels]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Unique name, the prefix of the layer's tensors; made from the op and position when left out.
    #[serde(default)]
    pub name: String,
    /// Number of filters.
    pub out_channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Step in height and width.
    #[serde(default = "one_one")]
    pub stride: [usize; 2],
    /// Padding around the input, in real zeros.
    #[serde(default)]
    pub padding: Padding,
    /// Applied to the output.
    #[serde(default)]
    pub activation: Activation,
}

/// Maximum over windows; padding never wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    /// Unique name.
    #[serde(default)]
    pub name: String,
    /// Window height and width.
    pub window: [usize; 2],
    /// Step in height and width; the window itself when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<[usize; 2]>,
    /// Padding around the input.
    #[serde(default)]
    pub padding: Padding,
}

/// Flatten has no options but its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {
    /// Unique name.
    #[serde(default)]
    pub name: String,
}

/// Fully connected layer with bias; weights are `[units, inputs]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Unique name, the prefix of the layer's tensors.
    #[serde(default)]
    pub name: String,
    /// Number of outputs.
    pub units: usize,
    /// Applied to the output.
    #[serde(default)]
    pub activation: Activation,
}

/// What follows a convolution or dense layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(0, x)`.
    Relu,
}

/// Padding by name or in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Padding {
    /// `"valid"` or `"same"`.
    Mode(PaddingMode),
    /// `[top, bottom, left, right]`.
    Explicit([usize; 4]),
}

/// The two paddings that Keras names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// No padding.
    Valid,
    /// As much as makes the output `ceil(input / stride)`; an odd rest goes to the bottom and the right.
    Same,
}

impl Default for Padding {
    fn default() -> Self {
        Self::Mode(PaddingMode::Valid)
    }
}

fn one_one() -> [usize; 2] {
    [1, 1]
}

impl Layer {
    /// The layer's name; empty until [`Architecture::name_layers`] has run.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Conv2d(l) => &l.name,
            Self::MaxPool2d(l) => &l.name,
            Self::Flatten(l) => &l.name,
            Self::Dense(l) => &l.name,
        }
    }

    /// The op as a spec file spells it.
    #[must_use]
    pub fn op(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "conv2d",
            Self::MaxPool2d(_) => "max_pool2d",
            Self::Flatten(_) => "flatten",
            Self::Dense(_) => "dense",
        }
    }

    fn name_mut(&mut self) -> &mut String {
        match self {
            Self::Conv2d(l) => &mut l.name,
            Self::MaxPool2d(l) => &mut l.name,
            Self::Flatten(l) => &mut l.name,
            Self::Dense(l) => &mut l.name,
        }
    }
}

impl Architecture {
    /// Gives every unnamed layer the name of its op, with a number from the second of its kind on: `conv2d`,
    /// `conv2d_1`, ...
    pub fn name_layers(&mut self) {
        for i in 0..self.layers.len() {
            if !self.layers[i].name().is_empty() {
                continue;
            }
            let op = self.layers[i].op();
            let taken = |name: &str| self.layers.iter().any(|l| l.name() == name);
            let mut name = op.to_owned();
            let mut n = 0;
            while taken(&name) {
                n += 1;
                name = format!("{op}_{n}");
            }
            *self.layers[i].name_mut() = name;
        }
    }
}
