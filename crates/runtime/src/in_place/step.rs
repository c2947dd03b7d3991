//! A node as it is run: what the file states, with what it leaves out inferred, and whether its shapes go together.
//! Shapes are the rules of `penjing_format::infer` in 32 bits; a test holds the two against each other.

use super::flaw::Flaw;
use super::ops::{self, has};
use super::ty::{Ty, dims};
use penjing_format::Activation;
use penjing_format::DataType;
use penjing_format::lean::{Lean, LeanNode, LeanWeights, op};

/// Where a convolution or a pool looks, nothing left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Height and width.
    pub(super) size: [u32; 2],
    pub(super) stride: [u32; 2],
    pub(super) dilation: [u32; 2],
    /// Rows above, columns to the left.
    pub(super) before: [u32; 2],
    after: [u32; 2],
}

/// One node of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) node: LeanNode<'a>,
    pub(super) weights: LeanWeights<'a>,
    /// Of convolutions and pools.
    pub(super) window: Window,
    /// Number and type of the value that it reads, or of the first.
    pub(super) input: (u32, Ty),
    /// Of the second of an `Add` or a `Mul` of two.
    pub(super) second: Option<(u32, Ty)>,
    pub(super) output: Ty,
}

impl Step<'_> {
    /// Weights of one output channel.
    pub(super) fn row_len(&self) -> u32 {
        let ([h, w], (_, input)) = (self.window.size, self.input);
        match self.node.op {
            op::FULLY_CONNECTED => input.elements(),
            op::DEPTHWISE_CONV_2D => self.output.channels(),
            _ => h.wrapping_mul(w).wrapping_mul(input.channels()),
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

    /// The codes that its activation keeps a result within.
    pub(super) fn bounds(&self) -> Result<[i32; 2], Flaw> {
        let activation = Activation::from_code(self.node.activation);
        Ok(match activation.ok_or(Flaw::Refused("activation"))?.bounds() {
            (None, None) => [-128, 127],
            (lo, hi) => {
                let (lo, hi) = (lo.unwrap_or(f32::NEG_INFINITY), hi.unwrap_or(f32::INFINITY));
                self.output.grid.bounds_i8(lo, hi)
            }
        })
    }
}

/// The types of values as a walk goes along: the last value's is remembered, others are stated in the file.
#[derive(Clone, Copy)]
pub(super) struct Walk<'m, 'a> {
    pub(super) model: &'m Lean<'a>,
    pub(super) last: Option<Ty>,
}

impl<'a> Walk<'_, 'a> {
    fn ty(&self, id: u32, own: u32) -> Result<Ty, Flaw> {
        match self.last {
            Some(last) if id.wrapping_add(1) == own => Ok(last),
            _ => Ty::stated(&self.model.value(id as usize)?),
        }
    }

    /// Node `index`, and its value's type for the next.
    #[inline(never)]
    pub(super) fn step<const OPS: u32>(&mut self, index: usize) -> Result<Step<'a>, Flaw> {
        let node = self.model.node(index)?;
        let own = self.model.n_inputs().wrapping_add(index) as u32;
        if node.op == 0 || !has::<OPS>(ops::bit(node.op)) {
            return Err(Flaw::Unsupported("an op that this session was not made for"));
        }
        let first = Step::input_id(&node, 0, own)?;
        let input = self.ty(first, own)?;
        let mut step = Step {
            node,
            weights: LeanWeights::default(),
            window: Window {
                size: [0; 2],
                stride: [0; 2],
                dilation: [1; 2],
                before: [0; 2],
                after: [0; 2],
            },
            input: (first, input),
            second: None,
            output: input,
        };
        if let Some(weights) = node.weights()? {
            step.weights = weights;
        }
        if has::<OPS>(ops::WINDOWED) && has::<{ ops::WINDOWED }>(ops::bit(node.op)) {
            let is_pool = has::<{ ops::bit(op::MAX_POOL_2D) | ops::bit(op::AVERAGE_POOL_2D) }>(
                ops::bit(node.op),
            );
            step.window = Window::new(&node, is_pool)?;
        }
        let inputs = Step::input_count(&node);
        let wanted = match node.op {
            op::CONCAT => inputs.max(1),
            op::ADD | op::MUL if step.weights.out_channels == 0 => {
                let second = Step::input_id(&node, 1, own)?;
                step.second = Some((second, self.ty(second, own)?));
                2
            }
            _ => 1,
        };
        if inputs != wanted {
            return Err(Flaw::Refused("inputs"));
        }
        step.output = self.output::<OPS>(&step, own)?;
        if let Some(stated) = node.value.shape
            && super::ty::shape(stated)? != (step.output.dims, step.output.rank)
        {
            return Err(Flaw::Refused("shape"));
        }
        self.last = Some(step.output);
        Ok(step)
    }

    fn output<const OPS: u32>(&self, step: &Step<'a>, own: u32) -> Result<Ty, Flaw> {
        let (_, input) = step.input;
        let stated = &step.node.value;
        let plane = |channels: u32| -> Result<Ty, Flaw> {
            let [h, w, _] = input.dims;
            let [h, w] = step
                .window
                .positions([h, w])
                .filter(|_| input.rank == 3)
                .ok_or(Flaw::Refused("window"))?;
            Ok(input.with_dims([h, w, channels], 3))
        };
        let whole = |ty: Ty| ty.checked();
        let eight_bit = matches!(input.dtype, DataType::I8 | DataType::U8);
        let only = |fine: bool| if fine { Ok(()) } else { Err(Flaw::Unsupported("element type")) };
        let out = step.weights.out_channels;
        match step.node.op {
            op::CONV_2D if has::<OPS>(ops::bit(op::CONV_2D)) => {
                only(eight_bit)?;
                plane(out)?.quantized(stated)
            }
            op::DEPTHWISE_CONV_2D if has::<OPS>(ops::bit(op::DEPTHWISE_CONV_2D)) => {
                only(eight_bit)?;
                if out.checked_rem(input.channels()) != Some(0) {
                    return Err(Flaw::Refused("weights.out_channels"));
                }
                plane(out)?.quantized(stated)
            }
            op::FULLY_CONNECTED if has::<OPS>(ops::bit(op::FULLY_CONNECTED)) => {
                only(eight_bit)?;
                if input.rank != 1 {
                    return Err(Flaw::Refused("inputs"));
                }
                input.with_dims([1, 1, out], 1).quantized(stated)
            }
            op::MAX_POOL_2D | op::AVERAGE_POOL_2D => {
                only(input.dtype == DataType::I8)?;
                let [a, b] = step.window.before;
                let [c, d] = step.window.after;
                let [h, w] = step.window.size;
                if a.max(c) >= h || b.max(d) >= w {
                    return Err(Flaw::Refused("window"));
                }
                whole(plane(input.channels())?)
            }
            op::RESHAPE => reshape(input, step.node.target),
            _ => super::light::output::<OPS>(self, step, own),
        }
    }

    /// Of the `index`-th input of node `own`.
    pub(super) fn input_type(
        &self,
        node: &LeanNode<'a>,
        index: usize,
        own: u32,
    ) -> Result<(u32, Ty), Flaw> {
        let id = Step::input_id(node, index, own)?;
        Ok((id, self.ty(id, own)?))
    }
}

impl Window {
    fn new(node: &LeanNode<'_>, pool: bool) -> Result<Self, Flaw> {
        let stated = node.window()?;
        let or = |number: u16, usual: u32| if number == 0 { usual } else { u32::from(number) };
        let usual = if pool { 2 } else { 3 };
        let size = stated.size.map(|size| or(size, usual));
        let [h, w] = stated.stride;
        let [usual_h, usual_w] = if pool { size } else { [1; 2] };
        let [top, bottom, left, right] = stated.pad.map(u32::from);
        Ok(Self {
            size,
            stride: [or(h, usual_h), or(w, usual_w)],
            dilation: stated.dilation.map(u32::from),
            before: [top, left],
            after: [bottom, right],
        })
    }

    /// Whether there is no padding.
    pub(super) fn is_whole(&self) -> bool {
        self.before == [0; 2] && self.after == [0; 2]
    }

    /// Positions along both axes of a plane; `None` where the window does not fit.
    fn positions(&self, plane: [u32; 2]) -> Option<[u32; 2]> {
        let mut count = [0; 2];
        for (axis, count) in count.iter_mut().enumerate() {
            let of = |pair: [u32; 2]| pair.get(axis).copied();
            let extent =
                of(self.size)?.checked_sub(1)?.checked_mul(of(self.dilation)?)?.checked_add(1)?;
            let padded = of(plane)?.checked_add(of(self.before)?)?.checked_add(of(self.after)?)?;
            let room = padded.checked_sub(extent)?;
            *count = room.checked_div(of(self.stride)?)?.checked_add(1)?;
        }
        Some(count)
    }
}

fn reshape(input: Ty, target: Option<&[u8]>) -> Result<Ty, Flaw> {
    let error = Flaw::Refused("target");
    let Some(target) = target else { return Ok(input.with_dims([1, 1, input.elements()], 1)) };
    let (words, _) = target.as_chunks::<4>();
    let mut product = 1_u32;
    for &word in words {
        if word != [255; 4] {
            product = product.checked_mul(u32::from_le_bytes(word)).ok_or(error)?;
        }
    }
    // Whatever is left; where nothing is left open, it is 1.
    let open = input.elements().checked_div(product).ok_or(error)?;
    let known =
        words.iter().map(|&word| if word == [255; 4] { open } else { u32::from_le_bytes(word) });
    let (dims, rank) = dims(known)?;
    let ty = input.with_dims(dims, rank).checked()?;
    if ty.elements() == input.elements() { Ok(ty) } else { Err(error) }
}
