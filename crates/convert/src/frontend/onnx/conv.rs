//! Conv: of one group, or of each channel by itself; 1-D as 2-D of height 1. Reals or integers.

use penjing_format::{Activation, ChannelAxis, DataType, Padding};

use super::build::{Act, Builder, Kind};
use super::layout::Layout;
use super::operands::KernelShape;
use super::qdq::Arithmetic;
use super::source::Node;
use crate::ImportError;
use crate::ir::{Bias, Conv, Op, Weights};

/// A sliding window over (height, width), before padding is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) taps: [usize; 2],
    pub(super) stride: [u32; 2],
    pub(super) dilation: [u32; 2],
}

/// Where a window goes over an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) padding: Padding,
    /// Height and width of the result.
    pub(super) out: [usize; 2],
}

impl Node {
    /// Two numbers of an attribute; of a 1-D op one, behind `one` for the height.
    fn pair(&self, name: &str, spatial: usize, one: u32) -> Result<[u32; 2], ImportError> {
        let Some(found) = self.ints(name)? else { return Ok([one; 2]) };
        let narrow = |&v: &i64| u16::try_from(v).ok().filter(|&v| v > 0).map(u32::from);
        let all: Option<Vec<u32>> = found.iter().map(narrow).collect();
        match (all.as_deref(), spatial) {
            (Some(&[h, w]), 2) => Ok([h, w]),
            (Some(&[w]), 1) => Ok([one, w]),
            _ => {
                let expected = format!("{spatial} numbers from 1 to 65535");
                Err(self.wrong(name, expected, format!("{found:?}")))
            }
        }
    }

    /// Strides and dilations; `taps` from the kernel or `kernel_shape`.
    pub(super) fn window(&self, spatial: usize, taps: [usize; 2]) -> Result<Window, ImportError> {
        let stride = self.pair("strides", spatial, 1)?;
        let dilation = self.pair("dilations", spatial, 1)?;
        Ok(Window { taps, stride, dilation })
    }

    /// `kernel_shape`.
    pub(super) fn kernel_shape(&self, spatial: usize) -> Result<Option<[usize; 2]>, ImportError> {
        if self.ints("kernel_shape")?.is_none() {
            return Ok(None);
        }
        let [h, w] = self.pair("kernel_shape", spatial, 1)?;
        Ok(Some([h as usize, w as usize]))
    }

    /// Padding and size of the result, by `auto_pad` and `pads`.
    pub(super) fn place(
        &self,
        window: &Window,
        spatial: usize,
        image: [usize; 2],
    ) -> Result<Placed, ImportError> {
        let auto = self.string("auto_pad", "NOTSET")?;
        let reach = |axis: usize| (window.taps[axis] - 1) * window.dilation[axis] as usize + 1;
        let pads: [[usize; 2]; 2] = match auto.as_str() {
            "NOTSET" => self.pads(spatial)?,
            "VALID" => [[0; 2]; 2],
            "SAME_UPPER" | "SAME_LOWER" => [0, 1].map(|axis| {
                let stride = window.stride[axis] as usize;
                let out = image[axis].div_ceil(stride);
                let total = ((out - 1) * stride + reach(axis)).saturating_sub(image[axis]);
                let (less, more) = (total / 2, total - total / 2);
                if auto == "SAME_UPPER" { [less, more] } else { [more, less] }
            }),
            other => {
                let expected = "NOTSET, VALID, SAME_UPPER or SAME_LOWER";
                return Err(self.wrong("auto_pad", expected, other));
            }
        };
        let mut out = [0; 2];
        for axis in 0..2 {
            let padded = image[axis] + pads[axis][0] + pads[axis][1];
            let room = padded.checked_sub(reach(axis)).ok_or_else(|| {
                let expected = format!("a window within {padded} elements, padding counted");
                self.wrong("kernel_shape", expected, reach(axis).to_string())
            })?;
            out[axis] = room / window.stride[axis] as usize + 1;
        }
        let narrow = |v: usize| {
            let wide = || self.wrong("pads", "at most 65535", v.to_string());
            u16::try_from(v).map(u32::from).map_err(|_| wide())
        };
        let padding = Padding {
            top: narrow(pads[0][0])?,
            bottom: narrow(pads[0][1])?,
            left: narrow(pads[1][0])?,
            right: narrow(pads[1][1])?,
        };
        Ok(Placed { padding, out })
    }

    /// `[[top, bottom], [left, right]]`.
    fn pads(&self, spatial: usize) -> Result<[[usize; 2]; 2], ImportError> {
        let Some(found) = self.ints("pads")? else { return Ok([[0; 2]; 2]) };
        let narrow = |&v: &i64| u16::try_from(v).ok().map(usize::from);
        let all: Option<Vec<usize>> = found.iter().map(narrow).collect();
        match (all.as_deref(), spatial) {
            (Some(&[top, left, bottom, right]), 2) => Ok([[top, bottom], [left, right]]),
            (Some(&[left, right]), 1) => Ok([[0, 0], [left, right]]),
            _ => {
                let expected = format!("{} numbers from 0 to 65535", 2 * spatial);
                Err(self.wrong("pads", expected, format!("{found:?}")))
            }
        }
    }
}

/// An image value: how many spatial axes, its height, width and channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) spatial: usize,
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
}

impl Image {
    /// Of `[N, C, H, W]` or `[N, C, L]` with the channels last in memory.
    pub(super) fn of(node: &Node, act: &Act) -> Result<Self, ImportError> {
        let (spatial, size) = match act.dims[..] {
            [_, _, h, w] => (2, [h, w]),
            [_, _, w] => (1, [1, w]),
            _ => {
                let found = format!("{:?}", act.dims);
                return Err(node.wrong("input", "[N, C, H, W] or [N, C, L]", found));
            }
        };
        if !act.layout.is_channels_last(&act.dims) {
            let found = format!("{:?}, in memory {:?}", act.dims, act.layout.stored());
            let expected =
                "an image whose channels are ONNX's axis 1 and were not moved by a reshape";
            return Err(node.wrong("input", expected, found));
        }
        Ok(Self { spatial, size, channels: act.dims[1] })
    }

    /// Dimensions in memory of an image.
    pub(super) fn stored(&self) -> [usize; 4] {
        [1, self.size[0], self.size[1], self.channels]
    }

    /// ONNX's dimensions.
    pub(super) fn dims(&self) -> Vec<usize> {
        match self.spatial {
            1 => vec![1, self.channels, self.size[1]],
            _ => vec![1, self.channels, self.size[0], self.size[1]],
        }
    }

    /// The image as a value.
    pub(super) fn act(&self, id: usize, kind: Kind) -> Act {
        let dims = self.dims();
        let layout = Layout::channels_last(&dims);
        Act { id, dims, layout, kind, exclusive: false }
    }
}

impl<'s> Builder<'s> {
    pub(super) fn conv(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let act = self.act(node, 0)?;
        let image = Image::of(node, &act)?;
        let constant = self.kernel(node, 1)?;
        let found = constant.dims();
        if found.len() != image.spatial + 2 {
            let expected = format!("{} dimensions", image.spatial + 2);
            return Err(node.wrong("weights", expected, format!("{found:?}")));
        }
        let (out, inner) = (found[0], found[1]);
        let taps = if image.spatial == 1 { [1, found[2]] } else { [found[2], found[3]] };
        if let Some(stated) = node.kernel_shape(image.spatial)?.filter(|&s| s != taps) {
            return Err(node.wrong("kernel_shape", format!("{taps:?}"), format!("{stated:?}")));
        }
        let depthwise = self.depthwise(node, image.channels, out, inner)?;
        let window = node.window(image.spatial, taps)?;
        let placed = node.place(&window, image.spatial, image.size)?;
        let result = Image { size: placed.out, channels: out, ..image };
        let arithmetic = self.layer_arithmetic(node, &act, constant.is_integer())?;
        let weights = self.weights(
            node,
            &constant,
            &KernelShape {
                dims: &[out, inner, taps[0], taps[1]],
                perm: if depthwise { &[1, 2, 3, 0] } else { &[0, 2, 3, 1] },
                out: 0,
                axis: if depthwise { ChannelAxis::Last } else { ChannelAxis::First },
            },
        )?;
        let make = |weights, bias, activation| {
            let (stride, dilation, padding) = (window.stride, window.dilation, placed.padding);
            let conv = Conv { weights, bias, stride, dilation, padding, activation };
            if depthwise { Op::DepthwiseConv2d(conv) } else { Op::Conv2d(conv) }
        };
        let layer = Layer { act: &act, input: &image.stored(), weights, output: &result.stored() };
        self.layer(node, arithmetic, layer, make, |id, kind| result.act(id, kind))
    }

    /// Whether it is a convolution of each channel by itself.
    fn depthwise(
        &self,
        node: &Node,
        channels: usize,
        out: usize,
        inner: usize,
    ) -> Result<bool, ImportError> {
        let group = node.int("group", 1)?;
        let depthwise = group != 1 && usize::try_from(group) == Ok(channels);
        if group != 1 && !depthwise {
            let expected = format!("1, or {channels}: as many as channels");
            return Err(node.wrong("group", expected, group.to_string()));
        }
        let expected = if depthwise { 1 } else { channels };
        if inner != expected || (depthwise && !out.is_multiple_of(channels)) {
            let expected = format!("kernels of {expected} channels, and as many for each group");
            return Err(node.wrong("weights", expected, format!("{out} of {inner}")));
        }
        Ok(depthwise)
    }

    /// In what a layer computes: its weights and its input decide together.
    pub(super) fn layer_arithmetic(
        &self,
        node: &Node,
        act: &Act,
        integer_weights: bool,
    ) -> Result<Arithmetic, ImportError> {
        let arithmetic = self.arithmetic(node, &[act], true)?;
        match (&arithmetic, integer_weights) {
            (Arithmetic::Real, false) | (Arithmetic::Integer(_), true) => Ok(arithmetic),
            (Arithmetic::Integer(_), false) => Err(node.wrong(
                "weights",
                "int8 behind DequantizeLinear, as input and output are quantized",
                "float32",
            )),
            (Arithmetic::Real, true) => {
                let expected = "input behind DequantizeLinear and output before QuantizeLinear (behind Relu or Clip \
                                at most), as the weights are quantized";
                let found = match act.kind {
                    Kind::Dequantized(_) => "an output that is not quantized, or to two grids",
                    _ => "an input that is not quantized",
                };
                Err(node.wrong("quantization", expected, found))
            }
        }
    }

    /// Appends a convolution or dense layer of reals or of integers, whose bias is input 2.
    pub(super) fn layer(
        &mut self,
        node: &'s Node,
        arithmetic: Arithmetic,
        layer: Layer<'_>,
        make: impl Fn(Weights, Bias, Activation) -> Op,
        act: impl Fn(usize, Kind) -> Act,
    ) -> Result<(), ImportError> {
        let channels = layer.weights.out_channels();
        match arithmetic {
            Arithmetic::Real => {
                let input = self.real_of(node, layer.act.clone())?;
                let x = self.stored_as(node, input.id, layer.input)?;
                let bias = Bias::F32(self.real_bias(node, 2, channels)?);
                let op = make(layer.weights, bias, Activation::None);
                let id = self.push_as(node, op, vec![x], layer.output, DataType::F32, None)?;
                self.bind(node, act(id, Kind::Real));
            }
            Arithmetic::Integer(target) => {
                let grid = self.value(layer.act.id).quantization;
                let grid = grid.ok_or_else(|| node.wrong("input", "a grid", "none"))?;
                let x = self.stored_as(node, layer.act.id, layer.input)?;
                let bias = self.integer_bias(node, 2, &layer.weights, grid)?;
                let op = make(layer.weights, bias, target.activation);
                let quantization = Some(target.grid);
                let id =
                    self.push_as(node, op, vec![x], layer.output, DataType::I8, quantization)?;
                self.bind_target(&target, act(id, Kind::Real));
            }
        }
        Ok(())
    }
}

/// What a layer is made of.
pub(super) struct Layer<'a> {
    pub(super) act: &'a Act,
    /// Dimensions of the input in memory.
    pub(super) input: &'a [usize],
    pub(super) weights: Weights,
    /// Dimensions of the output in memory.
    pub(super) output: &'a [usize],
}
