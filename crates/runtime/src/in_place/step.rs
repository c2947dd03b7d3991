//! A node as it is run: what the file states, with what it leaves out inferred, and whether its shapes go together.
//! Shapes are the rules of `penjing_format::infer` in 32 bits; a test holds the two against each other.

use super::flaw::Flaw;
use super::ops::{self, has};
use super::ty::{self, Ty};
use penjing_format::lean::{Lean, LeanNode, LeanWeights, op};
use penjing_format::{Activation, DataType};

/// Where a convolution or a pool looks, nothing left out. Pairs are (height, width) or (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) size: [u16; 2],
    pub(super) stride: [u16; 2],
    pub(super) dilation: [u16; 2],
    /// Padding above and to the left.
    pub(super) before: [u16; 2],
    /// Below and to the right.
    after: [u16; 2],
}

/// One node of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) node: LeanNode<'a>,
    pub(super) weights: LeanWeights<'a>,
    /// Of convolutions and pools.
    pub(super) window: Window,
    /// Number and type of the value that it reads, or of the first.
    pub(super) id: u32,
    pub(super) input: Ty,
    pub(super) output: Ty,
}

impl Step<'_> {
    /// Weights of one output channel.
    pub(super) fn row_len(&self) -> u32 {
        match self.node.op {
            op::FULLY_CONNECTED => self.input.elements(),
            op::DEPTHWISE_CONV_2D => self.output.channels(),
            // Too many for any file stay too many.
            _ => self.taps().saturating_mul(self.input.channels()),
        }
    }

    /// Elements of the window.
    pub(super) fn taps(&self) -> u32 {
        let [h, w] = self.window.size.map(u32::from);
        h.wrapping_mul(w)
    }

    /// The codes that its activation keeps a result within.
    #[inline(never)]
    pub(super) fn bounds(&self) -> Result<[i32; 2], Flaw> {
        let (lo, hi) = match Activation::from_code(self.node.activation) {
            Some(activation) => activation.bounds(),
            None => return Err(Flaw::Refused("activation")),
        };
        if lo.is_none() && hi.is_none() {
            return Ok([-128, 127]);
        }
        let (lo, hi) = (lo.unwrap_or(f32::NEG_INFINITY), hi.unwrap_or(f32::INFINITY));
        Ok(self.output.grid().bounds_i8(lo, hi))
    }
}

/// Number of the value that input number `index` of a node reads.
pub(super) fn input_id(node: &LeanNode<'_>, index: usize, own: u32) -> Result<u32, Flaw> {
    let id = match node.inputs {
        None if index == 0 => own.checked_sub(1),
        None => None,
        Some(ids) => {
            let (ids, _) = ids.as_chunks::<2>();
            ids.get(index).map(|&id| u32::from(u16::from_le_bytes(id)))
        }
    };
    id.filter(|&id| id < own).ok_or(Flaw::Refused("inputs"))
}

/// How many values a node reads.
pub(super) fn input_count(node: &LeanNode<'_>) -> usize {
    node.inputs.map_or(1, |ids| ids.len() / 2)
}

/// Goes through the nodes. Of types it remembers the last value's and the one before; others are stated in the file.
pub(super) struct Walk<'m, 'a> {
    pub(super) model: &'m Lean<'a>,
    /// The node where it stands.
    pub(super) step: Step<'a>,
    /// The last value's type, once there is one, and that of the value before it.
    pub(super) types: [Ty; 2],
}

impl<'m, 'a> Walk<'m, 'a> {
    /// Before the first node.
    #[inline(always)]
    pub(super) fn new(model: &'m Lean<'a>) -> Self {
        let step = Step {
            node: LeanNode::default(),
            weights: LeanWeights::default(),
            window: Window::NONE,
            id: 0,
            input: Ty::NONE,
            output: Ty::NONE,
        };
        Self { model, step, types: [Ty::NONE; 2] }
    }

    /// The number of the value of node `index`.
    pub(super) fn own(&self, index: usize) -> u32 {
        self.model.n_inputs().wrapping_add(index) as u32
    }

    /// Type of value `id` for node `index`, where the walk stands once it has gone there: `last` is that of the value before.
    #[inline(never)]
    pub(super) fn ty(&self, id: u32, index: usize, last: &Ty) -> Result<Ty, Flaw> {
        if id.wrapping_add(1) == self.own(index) && *last != Ty::NONE {
            return Ok(*last);
        }
        Ty::stated(&self.model.value(id as usize)?)
    }

    /// Goes to node `index`, the one after the last.
    #[inline(never)]
    pub(super) fn go<const OPS: u32>(&mut self, index: usize) -> Result<(), Flaw> {
        let own = self.own(index);
        self.model.node(index, &mut self.step.node)?;
        let op = self.step.node.op;
        if op == 0 || op > op::TANH || !has::<OPS>(ops::bit(op)) {
            return Err(Flaw::Unsupported("an op that this session was not made for"));
        }
        self.step.id = input_id(&self.step.node, 0, own)?;
        self.step.input = self.ty(self.step.id, index, &self.types[0])?;
        self.step.node.weights(&mut self.step.weights)?;
        let bit = ops::bit(op);
        if has::<OPS>(ops::WINDOWED) && bit & ops::WINDOWED != 0 {
            self.step.window = Window::new(&self.step.node, bit & ops::POOLS != 0)?;
        }
        let two = matches!(op, op::ADD | op::MUL) && self.step.weights.out_channels == 0;
        let wanted = if two { 2 } else { 1 };
        if input_count(&self.step.node) != wanted && op != op::CONCAT {
            return Err(Flaw::Refused("inputs"));
        }
        let output = self.output::<OPS>(index)?;
        if let Some(stated) = self.step.node.value.shape
            && ty::shape(stated)? != (output.dims, output.rank)
        {
            return Err(Flaw::Refused("shape"));
        }
        self.step.output = output;
        self.types = [output, self.types[0]];
        Ok(())
    }

    #[inline(never)]
    fn output<const OPS: u32>(&self, index: usize) -> Result<Ty, Flaw> {
        let Step { node, weights, window, input, .. } = &self.step;
        let channels = weights.out_channels;
        let ty = match node.op {
            op::CONV_2D if has::<OPS>(ops::bit(op::CONV_2D)) => window.over(input, channels),
            op::DEPTHWISE_CONV_2D if has::<OPS>(ops::bit(op::DEPTHWISE_CONV_2D)) => {
                let whole = channels.checked_rem(input.channels()) == Some(0);
                window.over(input, channels).filter(|_| whole)
            }
            op::FULLY_CONNECTED if has::<OPS>(ops::bit(op::FULLY_CONNECTED)) => {
                (input.rank == 1).then(|| input.with_dims([1, 1, channels], 1))
            }
            op::RESHAPE if has::<OPS>(ops::bit(op::RESHAPE)) => {
                return reshape(input, node.target);
            }
            _ => return super::light::output::<OPS>(self, index),
        };
        if !matches!(input.dtype, DataType::I8 | DataType::U8) {
            return Err(Flaw::Unsupported("element type"));
        }
        ty.ok_or(Flaw::Refused("shape"))?.quantized(&node.value)
    }
}

impl Window {
    pub(super) const NONE: Self =
        Self { size: [0; 2], stride: [0; 2], dilation: [0; 2], before: [0; 2], after: [0; 2] };

    fn new(node: &LeanNode<'_>, pool: bool) -> Result<Self, Flaw> {
        let stated = node.window()?;
        let or = |pair: [u16; 2], usual: [u16; 2]| {
            let ([a, b], [c, d]) = (pair, usual);
            [if a == 0 { c } else { a }, if b == 0 { d } else { b }]
        };
        let size = or(stated.size, if pool { [2; 2] } else { [3; 2] });
        let stride = or(stated.stride, if pool { size } else { [1; 2] });
        let [top, bottom, left, right] = stated.pad;
        let (before, after) = ([top, left], [bottom, right]);
        Ok(Self { size, stride, dilation: stated.dilation, before, after })
    }

    /// Whether there is no padding.
    pub(super) fn is_whole(&self) -> bool {
        self.before == [0; 2] && self.after == [0; 2]
    }

    /// Whether every position of a pool sees an element.
    pub(super) fn sees(&self) -> bool {
        let [h, w] = self.size;
        [self.before, self.after].iter().all(|&[rows, columns]| rows < h && columns < w)
    }

    /// The type of so many channels at its positions over `input`; `None` where it does not fit.
    #[inline(never)]
    pub(super) fn over(&self, input: &Ty, channels: u32) -> Option<Ty> {
        let [h, w, _] = input.dims;
        let mut dims = [h, w, channels];
        for (axis, dim) in dims.iter_mut().enumerate().take(2) {
            let of = |pair: &[u16; 2]| pair.get(axis).map(|&number| u32::from(number));
            let extent = of(&self.size)?.checked_sub(1)?.checked_mul(of(&self.dilation)?)?;
            let padded = dim.checked_add(of(&self.before)?)?.checked_add(of(&self.after)?)?;
            let room = padded.checked_sub(extent)?.checked_sub(1)?;
            let dilated = of(&self.dilation)? > 0;
            *dim = room.checked_div(of(&self.stride)?)?.checked_add(1).filter(|_| dilated)?;
        }
        (input.rank == 3).then(|| input.with_dims(dims, 3))
    }
}

fn reshape(input: &Ty, target: Option<&[u8]>) -> Result<Ty, Flaw> {
    let Some(target) = target else { return Ok(input.with_dims([1, 1, input.elements()], 1)) };
    let error = Flaw::Refused("target");
    let (words, _) = target.as_chunks::<4>();
    let open = [255; 4];
    let mut product = 1_u32;
    for &word in words.iter().filter(|&&word| word != open) {
        product = product.checked_mul(u32::from_le_bytes(word)).ok_or(error)?;
    }
    // Whatever is left; where nothing is left open, it is 1.
    let left = input.elements().checked_div(product).ok_or(error)?;
    let known = |&word: &[u8; 4]| if word == open { left } else { u32::from_le_bytes(word) };
    let (dims, rank) = ty::dims(words.iter().map(known))?;
    let ty = input.with_dims(dims, rank).checked()?;
    if ty.elements() == input.elements() { Ok(ty) } else { Err(error) }
}

#[cfg(test)]
mod tests;
