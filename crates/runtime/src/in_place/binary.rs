//! Sums and products of two values, or of a value and a constant, repeated along dimensions of which one side has 1.

use super::flaw::Flaw;
use super::lend::Lent;
use super::run::Run;
use super::step::{Step, Walk, input_id};
use super::ty::Ty;
use crate::arch::memory::bytes_of_mut;
use penjing_format::DataType;
use penjing_format::lean::op;
use penjing_format::packing::stream::Stream;
use penjing_quant::{Add, QuantParams, Requantize};

/// The grid of a constant.
fn grid(step: &Step<'_>) -> QuantParams {
    let scale = step.weights.scale.first_chunk().map_or(0.0, |&bytes| f32::from_le_bytes(bytes));
    QuantParams { scale, zero_point: step.weights.zero_point.into() }
}

/// Dimensions of a constant: of one element, of the channels, or of a sample.
fn constant(step: &Step<'_>) -> Result<[u32; 3], Flaw> {
    let elements = step.weights.out_channels;
    let sound = step.weights.scale.len() == 4 && grid(step).is_valid(-128, 127);
    match elements {
        _ if !sound => Err(Flaw::Refused("weights.scale or zero point")),
        1 => Ok([1; 3]),
        _ if elements == step.input.channels() => Ok([1, 1, elements]),
        _ if elements == step.input.elements() => Ok(step.input.dims),
        _ => Err(Flaw::Refused("weights.out_channels")),
    }
}

/// Shape of the value of node `index`.
#[inline(never)]
pub(super) fn output(walk: &Walk<'_, '_>, index: usize) -> Result<Ty, Flaw> {
    let step = &walk.step;
    if step.weights.out_channels != 0 {
        constant(step)?;
        return Ok(step.input);
    }
    let second = input_id(&step.node, 1, walk.own(index))?;
    let second = walk.ty(second, index, &walk.types[0])?;
    if second.dtype != DataType::I8 || second.rank != step.input.rank {
        return Err(Flaw::Refused("inputs"));
    }
    let mut dims = step.input.dims;
    for (dim, other) in dims.iter_mut().zip(second.dims) {
        *dim = match (*dim, other) {
            (a, b) if a == b || b == 1 => a,
            (1, b) => b,
            _ => return Err(Flaw::Refused("inputs")),
        };
    }
    Ok(step.input.with_dims(dims, step.input.rank))
}

/// Words of a constant that is packed.
pub(super) fn scratch_words<const OPS: u32>(step: &Step<'_>) -> Result<u32, Flaw> {
    step.bounds()?;
    let elements = step.weights.out_channels;
    if elements == 0 {
        return Ok(0);
    }
    let mut stream = Stream::EMPTY;
    let [.., columns] = constant(step)?;
    if !stream.read::<OPS>(&step.weights, elements, columns) {
        return Err(Flaw::Unsupported("weights of this packing"));
    }
    Ok(if stream.whole().is_some() { 0 } else { elements.div_ceil(4) })
}

/// A rule of two codes' distances from their zero points.
enum Rule {
    Add(Add),
    Mul(Requantize, [i32; 2]),
}

fn rule(step: &Step<'_>, second: QuantParams) -> Result<Rule, Flaw> {
    let (first, output, bounds) = (step.input.grid(), step.output.grid(), step.bounds()?);
    if step.node.op == op::ADD {
        return Ok(Rule::Add(Add::new(first, second, output, bounds)));
    }
    let QuantParams { scale, zero_point } = output;
    let rule = Requantize::to_i8(first.scale, second.scale, scale, zero_point, bounds);
    Ok(Rule::Mul(rule, [first.zero_point, second.zero_point]))
}

/// Runs node `index`, where the walk stands.
#[inline(never)]
pub(super) fn run<const OPS: u32>(
    run: &Run<'_, '_>,
    walk: &Walk<'_, '_>,
    index: usize,
    first: &[u8],
    lent: &mut Lent<'_>,
) -> Result<(), Flaw> {
    let step = &walk.step;
    if step.weights.out_channels == 0 {
        let id = input_id(&step.node, 1, walk.own(index))?;
        // The walk has gone on to this node's own value: the one before it is the other.
        let ty = walk.ty(id, index, &walk.types[1])?;
        let second = run.value(lent, id, &ty).ok_or(Flaw::BROKEN)?;
        let rule = rule(step, ty.grid())?;
        return pairs(step, &rule, (first, second), ty.dims, lent.output).ok_or(Flaw::BROKEN);
    }
    let mut stream = Stream::EMPTY;
    let (elements, dims) = (step.weights.out_channels, constant(step)?);
    let [.., columns] = dims;
    if !stream.read::<OPS>(&step.weights, elements, columns) {
        return Err(Flaw::BROKEN);
    }
    let second = match stream.whole() {
        Some(whole) => whole,
        None => {
            let bytes = bytes_of_mut(lent.scratch);
            stream.expand::<OPS>(bytes);
            bytes
        }
    };
    let rule = rule(step, grid(step))?;
    pairs(step, &rule, (first, second), dims, lent.output).ok_or(Flaw::BROKEN)
}

fn pairs(
    step: &Step<'_>,
    rule: &Rule,
    (first, second): (&[u8], &[u8]),
    dims: [u32; 3],
    output: &mut [u8],
) -> Option<()> {
    let [h, w, c] = step.output.dims;
    let steps = [strides(step.input.dims), strides(dims)];
    let mut places = output.iter_mut();
    for y in 0..h {
        for x in 0..w {
            for channel in 0..c {
                let at = |[rows, columns, channels]: [u32; 3]| {
                    let at = y.wrapping_mul(rows).wrapping_add(x.wrapping_mul(columns));
                    at.wrapping_add(channel.wrapping_mul(channels)) as usize
                };
                let [a, b] = steps.map(at);
                let (a, b) = (first.get(a)?.cast_signed(), second.get(b)?.cast_signed());
                let code = match rule {
                    Rule::Add(rule) => rule.apply(a, b),
                    Rule::Mul(rule, [zero_a, zero_b]) => {
                        let (a, b) = (
                            i32::from(a).wrapping_sub(*zero_a),
                            i32::from(b).wrapping_sub(*zero_b),
                        );
                        rule.apply(a.wrapping_mul(b)) as i8
                    }
                };
                *places.next()? = code.cast_unsigned();
            }
        }
    }
    Some(())
}

/// How far elements lie apart along each dimension; 0 along those of which there is one.
fn strides([h, w, c]: [u32; 3]) -> [u32; 3] {
    let of = |dim: u32, stride: u32| if dim == 1 { 0 } else { stride };
    [of(h, w.wrapping_mul(c)), of(w, c), of(c, 1)]
}
