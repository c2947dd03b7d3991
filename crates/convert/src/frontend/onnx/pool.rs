//! Pools over windows, and means over height and width.

use penjing_format::{Activation, ChannelAxis, DataType, Padding};

use super::build::{Act, Builder, Kind};
use super::conv::{Image, Placed, Window};
use super::layout::Layout;
use super::qdq::Arithmetic;
use super::source::Node;
use crate::ImportError;
use crate::ir::{Bias, Conv, Op, Pool, WeightData, Weights};

impl Node {
    /// Window and place of a pool, by its attributes.
    fn pool(&self, image: &Image) -> Result<(Window, Placed), ImportError> {
        let taps = self.kernel_shape(image.spatial)?;
        let taps = taps.ok_or_else(|| self.wrong("kernel_shape", "a window", "none"))?;
        let window = self.window(image.spatial, taps)?;
        if window.dilation != [1, 1] {
            return Err(self.wrong("dilations", "1", format!("{:?}", window.dilation)));
        }
        let placed = self.place(&window, image.spatial, image.size)?;
        self.ceil_mode(image, &window, &placed)?;
        let Padding { top, bottom, left, right } = placed.padding;
        let widest = [top.max(bottom), left.max(right)];
        if (0..2).any(|axis| widest[axis] as usize >= taps[axis]) {
            return Err(self.wrong("pads", "less than the window", format!("{widest:?}")));
        }
        Ok((window, placed))
    }

    /// `ceil_mode` is refused, except where it makes no difference.
    fn ceil_mode(
        &self,
        image: &Image,
        window: &Window,
        placed: &Placed,
    ) -> Result<(), ImportError> {
        if self.int("ceil_mode", 0)? == 0 || self.string("auto_pad", "NOTSET")? != "NOTSET" {
            return Ok(());
        }
        let Padding { top, bottom, left, right } = placed.padding;
        let pads = [top + bottom, left + right];
        let rest = |axis: usize| {
            let room = image.size[axis] + pads[axis] as usize - window.taps[axis];
            room % window.stride[axis] as usize
        };
        match [rest(0), rest(1)] {
            [0, 0] => Ok(()),
            _ => Err(self.wrong("ceil_mode", "0, or windows that fit exactly", "1")),
        }
    }
}

/// The convolution that averages int8 codes and brings the means to another grid, in one rounding.
fn averaging(pool: Pool, channels: usize) -> Conv {
    let [height, width] = pool.window;
    let count = (height * width) as usize;
    // the channels are those of a value, whose dimensions fit 32 bits
    let shape = vec![1, height, width, u32::try_from(channels).unwrap_or(u32::MAX)];
    let data = WeightData::I8(vec![1; count * channels], vec![1.0 / count as f32]);
    Conv {
        weights: Weights { shape, axis: ChannelAxis::Last, data },
        bias: Bias::I32(vec![0; channels]),
        stride: pool.stride,
        dilation: [1, 1],
        padding: pool.padding,
        activation: Activation::None,
    }
}

fn taps(window: &Window) -> [u32; 2] {
    // kernel_shape was read as 16 bits
    window.taps.map(|v| u32::try_from(v).unwrap_or(u32::MAX))
}

impl<'s> Builder<'s> {
    pub(super) fn max_pool(&mut self, node: &'s Node) -> Result<(), ImportError> {
        if node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
            return Err(node.wrong("outputs", "the maxima alone", "their indices too"));
        }
        let act = self.act(node, 0)?;
        let image = Image::of(node, &act)?;
        let (window, placed) = node.pool(&image)?;
        let x = self.stored_as(node, act.id, &image.stored())?;
        let pool = Pool { window: taps(&window), stride: window.stride, padding: placed.padding };
        let result = Image { size: placed.out, ..image };
        let id = self.push(node, Op::MaxPool2d(pool), vec![x], &result.stored())?;
        self.bind(node, result.act(id, act.kind));
        Ok(())
    }

    pub(super) fn average_pool(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let act = self.act(node, 0)?;
        let image = Image::of(node, &act)?;
        let (window, placed) = node.pool(&image)?;
        let arithmetic = self.arithmetic(node, &[&act], false)?;
        let whole = window.taps == image.size && placed.padding == Padding::default();
        if whole {
            let result = Image { size: [1, 1], ..image };
            return self.mean(node, arithmetic, &act, image.stored(), result.dims());
        }
        let id = self.operand_id(node, &arithmetic, &act)?;
        let mut x = self.stored_as(node, id, &image.stored())?;
        let mut padding = placed.padding;
        let counts_padding = node.int("count_include_pad", 0)? != 0;
        if counts_padding && padding != Padding::default() {
            let Padding { top, bottom, left, right } = std::mem::take(&mut padding);
            let padded = Image {
                size: [
                    image.size[0] + (top + bottom) as usize,
                    image.size[1] + (left + right) as usize,
                ],
                ..image
            };
            let pads = vec![[top, bottom], [left, right], [0, 0]];
            x = self.push(node, Op::Pad(pads), vec![x], &padded.stored())?;
        }
        let pool = Pool { window: taps(&window), stride: window.stride, padding };
        let result = Image { size: placed.out, ..image };
        if let Arithmetic::Integer(target) = &arithmetic
            && self.value(x).quantization != Some(target.grid)
            && padding == Padding::default()
        {
            let channels = image.channels;
            self.spend(node, channels.saturating_mul(window.taps[0] * window.taps[1]))?;
            let (op, grid) = (Op::DepthwiseConv2d(averaging(pool, channels)), Some(target.grid));
            let id = self.push_as(node, op, vec![x], &result.stored(), DataType::I8, grid)?;
            self.bind_target(target, result.act(id, Kind::Real));
            return Ok(());
        }
        let id = self.push(node, Op::AveragePool2d(pool), vec![x], &result.stored())?;
        self.bind_result(node, &arithmetic, result.act(id, Kind::Real));
        Ok(())
    }

    /// The value that an op of that arithmetic reads: reals, or int8 codes.
    pub(super) fn operand_id(
        &mut self,
        node: &Node,
        arithmetic: &Arithmetic,
        act: &Act,
    ) -> Result<usize, ImportError> {
        match arithmetic {
            Arithmetic::Real => Ok(self.real_of(node, act.clone())?.id),
            Arithmetic::Integer(_) => self.signed(node, act.id),
        }
    }

    /// Names the result of an op; codes are brought to the grid that is asked for, where they are not on it.
    pub(super) fn bind_result(&mut self, node: &'s Node, arithmetic: &Arithmetic, act: Act) {
        match arithmetic {
            Arithmetic::Real => self.bind(node, act),
            Arithmetic::Integer(target) => {
                let id = self.requantized(node, act.id, target.grid);
                self.bind_target(target, Act { id, ..act });
            }
        }
    }

    pub(super) fn global_average_pool(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let act = self.act(node, 0)?;
        let image = Image::of(node, &act)?;
        let arithmetic = self.arithmetic(node, &[&act], false)?;
        let result = Image { size: [1, 1], ..image };
        self.mean(node, arithmetic, &act, image.stored(), result.dims())
    }

    pub(super) fn reduce_mean(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let act = self.act(node, 0)?;
        let rank = act.dims.len();
        let axes = match (node.ints("axes")?, self.integers(node, 1)?) {
            (Some(axes), _) => axes.to_vec(),
            (None, Some(axes)) => axes,
            (None, None) => Vec::new(),
        };
        let axes = axes.into_iter().map(|a| node.axis("axes", a, rank));
        let axes = axes.collect::<Result<Vec<_>, _>>()?;
        let keep = node.int("keepdims", 1)? != 0;
        let wrong = || {
            let expected = "height and width of an image, whose channels lie last in memory";
            node.wrong("axes", expected, format!("{axes:?} of {:?}", act.dims))
        };
        // which axes are long decides: those of length 1 have no mean to take
        let long: Vec<usize> = act
            .layout
            .order()
            .iter()
            .copied()
            .filter(|&a| act.dims.get(a).is_some_and(|&d| d != 1))
            .collect();
        let (reduced, kept): (Vec<usize>, Vec<usize>) = long.iter().partition(|a| axes.contains(a));
        let in_order = long.iter().eq(reduced.iter().chain(&kept));
        if !act.layout.is_of(&act.dims) || axes.is_empty() || axes.contains(&0) || !in_order {
            return Err(wrong());
        }
        let (height, width) = match reduced[..] {
            [] => (1, 1),
            [w] => (1, act.dims[w]),
            [h, w] => (act.dims[h], act.dims[w]),
            _ => return Err(wrong()),
        };
        let channels = kept.iter().map(|&a| act.dims[a]).product();
        let dims = act.dims.iter().enumerate().filter(|(a, _)| keep || !axes.contains(a));
        let dims = dims.map(|(a, &d)| if axes.contains(&a) { 1 } else { d }).collect();
        let arithmetic = self.arithmetic(node, &[&act], false)?;
        self.mean(node, arithmetic, &act, [1, height, width, channels], dims)
    }

    /// Mean over the middle axes of `stored`; ONNX sees `dims`.
    fn mean(
        &mut self,
        node: &'s Node,
        arithmetic: Arithmetic,
        act: &Act,
        stored: [usize; 4],
        dims: Vec<usize>,
    ) -> Result<(), ImportError> {
        let id = self.operand_id(node, &arithmetic, act)?;
        let x = self.stored_as(node, id, &stored)?;
        let (dtype, grid) = match &arithmetic {
            Arithmetic::Real => (DataType::F32, None),
            Arithmetic::Integer(target) => (DataType::I8, Some(target.grid)),
        };
        let id = self.push_as(node, Op::Mean, vec![x], &[1, stored[3]], dtype, grid)?;
        // the channels are in the order in which memory had them
        let layout = act.layout.without(&act.dims, &dims);
        let act = Act { id, dims, layout, kind: Kind::Real, exclusive: false };
        self.bind_result(node, &arithmetic, act);
        Ok(())
    }
}

impl Layout {
    /// After a mean over axes that `dims` has as 1 or not at all: the axes that are left keep their order.
    fn without(&self, before: &[usize], dims: &[usize]) -> Self {
        if before.len() == dims.len() {
            return Self::with_order(dims, self.order().to_vec());
        }
        Self::row_major(dims)
    }
}
