//! Sums and products of two operands, element by element, either of which may be repeated along some dimensions; the second may be
//! a constant, and the first may lie where the result goes.

use super::{Failure, Planning, mismatch};
use crate::arch::lanes::Set;
use crate::arch::{Isa, Kernel};
use crate::budget::product;
use crate::tensor::{Input, Output};
use alloc::vec;
use alloc::vec::Vec;
use penjing_format::{Constant, DataType, Shape};
use penjing_quant::{Add, Requantize};

/// A planned addition or multiplication.
pub(crate) struct Binary {
    walk: Walk,
    rule: Rule,
    constant: Option<Owned>,
}

/// What becomes of two elements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    Add(Add),
    /// Of the product of codes less their zero points.
    Mul(Requantize, [i32; 2]),
    AddReals(Option<[f32; 2]>),
    MulReals(Option<[f32; 2]>),
}

enum Owned {
    I8(Vec<i8>),
    F32(Vec<f32>),
}

impl Binary {
    /// Of operands of two shapes, the second perhaps a constant.
    pub(crate) fn new(
        planning: Planning<'_>,
        shapes: [Shape; 2],
        output: Shape,
        rule: Rule,
        constant: Option<&Constant<'_>>,
    ) -> Result<Self, Failure> {
        if let Some(constant) = constant {
            planning.budget.take(product(&[constant.packed.elements(), constant.dtype.size()]))?;
        }
        let constant = constant.map(Owned::expand).transpose()?;
        Ok(Self { walk: Walk::new(shapes, output), rule, constant })
    }

    /// Whether operand `index` has as many elements as the result, so that the result may take its place.
    pub(crate) fn covers(&self, index: usize) -> bool {
        self.walk.outer.iter().map(|dim| dim.strides[index]).all(|stride| stride > 0)
            && self.walk.steps[index]
    }

    /// Whether the second operand must become the first: it alone has an element for each of an inner run.
    pub(crate) fn is_turned(&self) -> bool {
        !self.walk.steps[0]
    }

    /// Takes the operands the other way around.
    pub(crate) fn turn(&mut self) {
        self.walk.steps.swap(0, 1);
        self.walk.lens.swap(0, 1);
        for dim in &mut self.walk.outer {
            dim.strides.swap(0, 1);
        }
        match &mut self.rule {
            Rule::Add(add) => add.multipliers.swap(0, 1),
            Rule::Mul(_, zero_points) => zero_points.swap(0, 1),
            Rule::AddReals(_) | Rule::MulReals(_) => {}
        }
    }

    pub(crate) fn has_constant(&self) -> bool {
        self.constant.is_some()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.rule {
            Rule::Add(_) | Rule::AddReals(_) => "add",
            Rule::Mul(..) | Rule::MulReals(_) => "mul",
        }
    }

    /// Runs on `images` images. Without a first operand it lies in `output`; without a second it is the constant.
    pub(crate) fn run(
        &self,
        isa: Isa,
        first: Option<Input<'_>>,
        second: Option<Input<'_>>,
        output: Output<'_>,
        images: usize,
    ) {
        isa.dispatch(Run { op: self, first, second, output, images });
    }
}

impl Owned {
    fn expand(constant: &Constant<'_>) -> Result<Self, Failure> {
        let elements = constant.packed.elements();
        match constant.dtype {
            DataType::F32 => {
                let mut out = vec![0.0; elements];
                constant.packed.expand_f32(&mut out)?;
                Ok(Owned::F32(out))
            }
            _ => {
                let mut out = vec![0; elements];
                constant.packed.expand_i8(&mut out)?;
                Ok(Owned::I8(out))
            }
        }
    }
}

/// How the elements of an image are walked: outer dimensions, and a run in which an operand has an element each, or one for all.
struct Walk {
    /// Outermost first.
    outer: Vec<Dim>,
    run: usize,
    /// Whether an operand has an element for each of a run.
    steps: [bool; 2],
    /// Elements of an operand's image.
    lens: [usize; 2],
}

/// An outer dimension: elements from one of its indices to the next, 0 where an operand is repeated.
struct Dim {
    len: usize,
    strides: [usize; 2],
}

impl Walk {
    fn new(shapes: [Shape; 2], output: Shape) -> Self {
        // A constant's shape may leave out outer dimensions, which are then 1.
        let dim = |shape: &Shape, from_last: usize| {
            shape.dims().iter().rev().nth(from_last).map_or(1, |&dim| dim as usize)
        };
        let mut dims: Vec<Dim> = Vec::new();
        let mut lens = [1, 1];
        for from_last in 0..output.rank().saturating_sub(1) {
            let len = dim(&output, from_last);
            if len == 1 {
                continue;
            }
            let own = shapes.each_ref().map(|shape| dim(shape, from_last));
            let strides = [0, 1].map(|k| if own[k] == 1 { 0 } else { lens[k] });
            match dims.last_mut() {
                Some(last) if [0, 1].iter().all(|&k| (last.strides[k] > 0) == (own[k] > 1)) => {
                    last.len *= len;
                }
                _ => dims.push(Dim { len, strides }),
            }
            lens = [lens[0] * own[0], lens[1] * own[1]];
        }
        dims.reverse();
        let inner = dims.pop();
        let (run, steps) =
            inner.map_or((1, [true; 2]), |dim| (dim.len, dim.strides.map(|s| s > 0)));
        Self { outer: dims, run, steps, lens }
    }

    /// Calls `visit` with the elements' offsets in both operands, run by run.
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut([usize; 2])) {
        /// Dimensions that a shape may have are fewer.
        const MOST: usize = 8;
        let (mut index, mut at) = ([0; MOST], [0; 2]);
        loop {
            visit(at);
            let mut left = self.outer.len();
            loop {
                let Some(dim) = left.checked_sub(1).and_then(|d| self.outer.get(d)) else { return };
                left -= 1;
                index[left] += 1;
                at = [at[0] + dim.strides[0], at[1] + dim.strides[1]];
                if index[left] < dim.len {
                    break;
                }
                at = [at[0] - dim.len * dim.strides[0], at[1] - dim.len * dim.strides[1]];
                index[left] = 0;
            }
        }
    }
}

struct Run<'a> {
    op: &'a Binary,
    first: Option<Input<'a>>,
    second: Option<Input<'a>>,
    output: Output<'a>,
    images: usize,
}

impl Kernel for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Set>(self, _: S) {
        let Self { op, first, second, output, images } = self;
        let (walk, found) = (&op.walk, output.dtype());
        match output {
            Output::I8(out) => {
                let constant = match &op.constant {
                    Some(Owned::I8(constant)) => Some(&constant[..]),
                    _ => None,
                };
                let (first, second) = (first.map(Input::codes), second.map(Input::codes));
                let places = Places { walk, first, second, constant, out, images };
                match op.rule {
                    Rule::Add(add) if add.is_unbounded() => {
                        places.each(|a, b| add.saturate(a, b));
                    }
                    Rule::Add(add) => places.each(|a, b| add.apply(a, b)),
                    Rule::Mul(rule, [z_a, z_b]) => places
                        .each(|a, b| rule.apply((i32::from(a) - z_a) * (i32::from(b) - z_b)) as i8),
                    Rule::AddReals(_) | Rule::MulReals(_) => mismatch(op.name(), found, found),
                }
            }
            Output::F32(out) => {
                let constant = match &op.constant {
                    Some(Owned::F32(constant)) => Some(&constant[..]),
                    _ => None,
                };
                let (first, second) = (first.map(Input::reals), second.map(Input::reals));
                let places = Places { walk, first, second, constant, out, images };
                match op.rule {
                    Rule::AddReals(None) => places.each(|a, b| a + b),
                    Rule::MulReals(None) => places.each(|a, b| a * b),
                    Rule::AddReals(Some(bounds)) => places.each(|a, b| clamp(a + b, bounds)),
                    Rule::MulReals(Some(bounds)) => places.each(|a, b| clamp(a * b, bounds)),
                    Rule::Add(_) | Rule::Mul(..) => mismatch(op.name(), found, found),
                }
            }
            Output::U8(_) => mismatch(op.name(), found, found),
        }
    }
}

/// Operands and result of a tile.
struct Places<'a, T> {
    walk: &'a Walk,
    /// `None` where it lies in `out`.
    first: Option<&'a [T]>,
    /// `None` where it is the constant.
    second: Option<&'a [T]>,
    /// Of every image.
    constant: Option<&'a [T]>,
    out: &'a mut [T],
    images: usize,
}

impl<T: Copy> Places<'_, T> {
    #[inline(always)]
    fn each(self, rule: impl Fn(T, T) -> T) {
        let walk = self.walk;
        let [first_len, second_len] = walk.lens;
        let len = self.out.len() / self.images;
        for (image, out) in self.out.chunks_exact_mut(len).enumerate() {
            let first = self.first.map(|x| &x[image * first_len..][..first_len]);
            let own = self.second.map(|x| &x[image * second_len..][..second_len]);
            let Some(second) = own.or(self.constant) else { return };
            let mut runs = out.chunks_exact_mut(walk.run);
            walk.each(|[a, b]| {
                let Some(out) = runs.next() else { return };
                let first = first.map(|x| &x[a..a + out.len()]);
                if walk.steps[1] {
                    zip(first, &second[b..b + out.len()], out, &rule);
                } else {
                    with(first, second[b], out, &rule);
                }
            });
        }
    }
}

/// A run of elements by another; without a first one it is what `out` holds.
#[inline(always)]
fn zip<T: Copy>(first: Option<&[T]>, second: &[T], out: &mut [T], rule: impl Fn(T, T) -> T) {
    match first {
        Some(first) => {
            for ((to, &a), &b) in out.iter_mut().zip(first).zip(second) {
                *to = rule(a, b);
            }
        }
        None => {
            for (to, &b) in out.iter_mut().zip(second) {
                *to = rule(*to, b);
            }
        }
    }
}

/// As [`zip`], with one second operand for all.
#[inline(always)]
fn with<T: Copy>(first: Option<&[T]>, second: T, out: &mut [T], rule: impl Fn(T, T) -> T) {
    match first {
        Some(first) => {
            for (to, &a) in out.iter_mut().zip(first) {
                *to = rule(a, second);
            }
        }
        None => {
            for to in out {
                *to = rule(*to, second);
            }
        }
    }
}

/// NaN goes to the lower bound.
#[inline(always)]
pub(crate) fn clamp(x: f32, [lo, hi]: [f32; 2]) -> f32 {
    let x = if x > lo { x } else { lo };
    if x < hi { x } else { hi }
}
