//! Ops that move elements and change none: reshapes of graph inputs, padding, concatenation.

use super::flaw::Flaw;
use super::lend::Lent;
use super::run::Run;
use super::step::{Step, Walk, input_count, input_id};
use super::ty::Ty;
use penjing_format::DataType;

fn width(ty: &Ty) -> u32 {
    if ty.dtype == DataType::F32 { 4 } else { 1 }
}

pub(super) fn copy(input: &[u8], output: &mut [u8]) -> Option<()> {
    (input.len() == output.len()).then_some(())?;
    output.iter_mut().zip(input).for_each(|(place, &byte)| *place = byte);
    Some(())
}

/// Elements before and after along each of three dimensions.
fn pads(input: &Ty, target: Option<&[u8]>) -> Option<[[u32; 2]; 3]> {
    let (words, _) = target?.as_chunks::<4>();
    (words.len() == usize::from(input.rank).wrapping_mul(2)).then_some(())?;
    let mut pads = [[0; 2]; 3];
    let first = 3_usize.checked_sub(input.rank.into())?;
    let slots = pads.get_mut(first..)?.iter_mut().flatten();
    for (slot, &word) in slots.zip(words) {
        *slot = u32::try_from(i32::from_le_bytes(word)).ok()?;
    }
    Some(pads)
}

/// The type of a padded value.
#[inline(never)]
pub(super) fn padded(input: &Ty, target: Option<&[u8]>) -> Result<Ty, Flaw> {
    let error = Flaw::Refused("target");
    let mut dims = input.dims;
    for (dim, [before, after]) in dims.iter_mut().zip(pads(input, target).ok_or(error)?) {
        let sum = dim.checked_add(before).and_then(|sum| sum.checked_add(after));
        *dim = sum.ok_or(error)?;
    }
    input.with_dims(dims, input.rank).checked()
}

#[inline(never)]
pub(super) fn pad(step: &Step<'_>, input: &[u8], output: &mut [u8]) -> Option<()> {
    let [[top, _], [left, _], [before, _]] = pads(&step.input, step.node.target)?;
    let ([h, w, c], [_, width_out, channels_out]) = (step.input.dims, step.output.dims);
    let zero = if step.input.dtype == DataType::F32 { 0 } else { step.input.zero_point as u8 };
    output.fill(zero);
    let size = width(&step.input);
    let mut rows = input.chunks_exact((c.wrapping_mul(size) as usize).max(1));
    for y in 0..h {
        for x in 0..w {
            let row =
                y.wrapping_add(top).wrapping_mul(width_out).wrapping_add(x).wrapping_add(left);
            let at = row.wrapping_mul(channels_out).wrapping_add(before).wrapping_mul(size);
            let from = rows.next()?;
            copy(from, output.get_mut(at as usize..)?.get_mut(..from.len())?)?;
        }
    }
    Some(())
}

/// Which of three dimensions a concatenation is along.
fn axis(input: &Ty, target: Option<&[u8]>) -> Option<usize> {
    let rank = usize::from(input.rank);
    let axis = match target.map(|target| target.as_chunks::<4>().0) {
        None => rank.checked_sub(1)?,
        Some([word]) => usize::try_from(u32::from_le_bytes(*word)).ok()?,
        Some(_) => return None,
    };
    (axis < rank).then(|| axis.wrapping_add(3).wrapping_sub(rank))
}

/// The type of values side by side.
#[inline(never)]
pub(super) fn concatenated(walk: &Walk<'_, '_>, index: usize) -> Result<Ty, Flaw> {
    let Step { node, input, .. } = &walk.step;
    let axis = axis(input, node.target).ok_or(Flaw::Refused("target"))?;
    let (mut sum, error) = (0_u32, Flaw::Refused("inputs"));
    for number in 0..input_count(node) {
        let id = input_id(node, number, walk.own(index))?;
        let ty = walk.ty(id, index, &walk.types[0])?;
        let own = *ty.dims.get(axis).ok_or(error)?;
        let mut alike = ty;
        alike.dims = input.dims;
        let differ = ty.dims.iter().zip(input.dims).enumerate();
        let differ = differ.filter(|&(at, (&a, b))| at != axis && a != b).count();
        if alike != *input || differ > 0 {
            return Err(error);
        }
        sum = sum.checked_add(own).ok_or(error)?;
    }
    let mut dims = input.dims;
    *dims.get_mut(axis).ok_or(error)? = sum;
    input.with_dims(dims, input.rank).checked()
}

/// Copies every input to its place: for each index before the axis, what it has there.
#[inline(never)]
pub(super) fn concat(
    run: &Run<'_, '_>,
    walk: &Walk<'_, '_>,
    index: usize,
    lent: &mut Lent<'_>,
) -> Result<(), Flaw> {
    let Step { node, input, output, .. } = &walk.step;
    let axis = axis(input, node.target).ok_or(Flaw::BROKEN)?;
    let size = width(input);
    let below = |ty: &Ty| {
        let dims = ty.dims.get(axis..).unwrap_or(&[]);
        dims.iter().fold(size, |product, &dim| product.wrapping_mul(dim)) as usize
    };
    let (whole, mut first) = (below(output), 0_usize);
    for number in 0..input_count(node) {
        let id = input_id(node, number, walk.own(index))?;
        // The walk has gone on to this node's own value: the one before it is the other.
        let ty = walk.ty(id, index, &walk.types[1])?;
        let len = below(&ty);
        let from = run.value(lent, id, &ty).ok_or(Flaw::BROKEN)?;
        let mut rows = from.chunks_exact(len.max(1));
        for to in lent.output.chunks_exact_mut(whole.max(1)) {
            let from = rows.next().ok_or(Flaw::BROKEN)?;
            let end = first.wrapping_add(len);
            let to = to.get_mut(first..end).ok_or(Flaw::BROKEN)?;
            copy(from, to).ok_or(Flaw::BROKEN)?;
        }
        first = first.wrapping_add(len);
    }
    Ok(())
}
