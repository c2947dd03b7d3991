//! Whether the integers of an op without weights stay where docs/numerics.md has them: ratios of scales that its rules are defined
//! for, and sums that fit an i32. Layers with weights are `check`'s.

use super::ops::{Binary, Op};
use super::view::{not_positive, positive};
use super::walk::{Step, TensorType};
use crate::dtype::DataType;
use crate::error::{Error, Owner, Place};
use penjing_quant::Requantize;

/// Of a sum's larger operand, the scale over the result's: at least, and below. The fixed-point multipliers have so 13 to 30 bits
/// behind the point and 21 in all, and 255 times both of them, with what rounds, fits an i32.
const ADD_RATIO: [f32; 2] = [1.0 / 1024.0, 256.0];

/// Of integers to integers, the input's scale over the result's: at least, and at most. In 1/256 that is 1 to 32768.
const QUANTIZE_RATIO: [f32; 2] = [1.0 / 256.0, 128.0];

/// What one code counts in a mean: twice any sum of raw codes, or any sum of codes less a zero point, stays below this a code.
const CODE: u64 = 256;

/// Checks the numbers of one node, whose types and shapes go together.
pub(super) fn check(step: &Step<'_>) -> Result<(), Error> {
    let owner = Owner::Node(step.index, step.op.name());
    let (input, output) = (&step.input.ty, &step.output.ty);
    if input.dtype == DataType::F32 {
        return Ok(());
    }
    match &step.op {
        Op::Add(op) => add(scales(op, step, owner)?, owner),
        Op::Mul(op) => {
            let [first, second, result] = scales(op, step, owner)?;
            let found = Requantize::to_i8(first, second, result, 0, [-128, 127]).multiplier;
            let expected =
                "such that the product of the operands' scales over it is finite and positive";
            let place = owner.field("scale");
            positive(found).map(|_| ()).ok_or(Error::Number { place, index: 0, expected, found })
        }
        Op::Quantize => quantize(scale(input, owner)?, scale(output, owner)?, owner),
        // On the input's grid it clamps alone.
        Op::Relu(_) if input.quantization != output.quantization => {
            quantize(scale(input, owner)?, scale(output, owner)?, owner)
        }
        Op::AveragePool2d(op) => {
            let [_, h, w, _] = input.shape.as_4d().unwrap_or_default();
            let [window_h, window_w] = op.window;
            sum([window_h.min(h), window_w.min(w)], owner.field("window"))
        }
        Op::Mean => {
            let [_, h, w, _] = input.shape.as_4d().unwrap_or_default();
            sum([h, w], owner.field("inputs"))?;
            mean([h, w], scale(input, owner)?, scale(output, owner)?, owner)
        }
        _ => Ok(()),
    }
}

/// The scales of both operands and of the result.
fn scales(op: &Binary<'_>, step: &Step<'_>, owner: Owner) -> Result<[f32; 3], Error> {
    let second = match (op.operand, step.second) {
        (Some(operand), _) => {
            let place = owner.field("weights.scale");
            let stated = operand.scales.len();
            if stated != 1 {
                return Err(Error::Count { place, expected: 1, found: stated });
            }
            let found = operand.scales.get(0);
            positive(found).ok_or(not_positive(place, 0, found))?
        }
        (None, Some(second)) => scale(&second.ty, owner)?,
        (None, None) => return Err(Error::Missing { place: owner.field("inputs") }),
    };
    Ok([scale(&step.input.ty, owner)?, second, scale(&step.output.ty, owner)?])
}

fn scale(ty: &TensorType, owner: Owner) -> Result<f32, Error> {
    let missing = Error::Missing { place: owner.field("scale") };
    ty.quantization.map(|params| params.scale).ok_or(missing)
}

/// The larger operand's ratio alone says how many bits there are: a much finer operand rounds to nothing.
fn add([first, second, result]: [f32; 3], owner: Owner) -> Result<(), Error> {
    let [least, limit] = ADD_RATIO;
    let found = (first / result).max(second / result);
    if (least..limit).contains(&found) {
        return Ok(());
    }
    let expected =
        "such that the larger of the operands' scales over it is at least 1/1024 and below 256";
    Err(Error::Number { place: owner.field("scale"), index: 0, expected, found })
}

fn quantize(input: f32, output: f32, owner: Owner) -> Result<(), Error> {
    let [least, most] = QUANTIZE_RATIO;
    let found = input / output;
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let expected = "such that the input's scale over it is at least 1/256 and at most 128";
    Err(Error::Number { place: owner.field("scale"), index: 0, expected, found })
}

/// Of all codes of a window or an image.
fn sum([h, w]: [u32; 2], place: Place) -> Result<(), Error> {
    let worst = u64::from(h).saturating_mul(u64::from(w)).saturating_mul(CODE);
    if worst > u64::from(i32::MAX.unsigned_abs()) {
        return Err(Error::Accumulator { place, channel: 0, worst });
    }
    Ok(())
}

/// The multiplier that is also the division by the number of elements.
fn mean([h, w]: [u32; 2], input: f32, output: f32, owner: Owner) -> Result<(), Error> {
    let found = input / output / (h.saturating_mul(w) as f32);
    let place = owner.field("scale");
    let expected =
        "such that the input's scale over it and the elements of a channel is finite and positive";
    positive(found).map(|_| ()).ok_or(Error::Number { place, index: 0, expected, found })
}
