//! Arithmetic on shapes, done while importing: files with an open batch compute the targets of their reshapes. The batch is 1
//! here, and whatever a model file is run with there.

use super::file::Operator;
use super::generated::BuiltinOperator as Code;
use super::import::{Import, Ints, Slot};
use super::moves::axis;
use crate::frontend::ImportError;

/// Integers of a shape at most.
const LIMIT: usize = 64;

/// The operator's result where it computes with shapes alone; `None` where it is one of the graph.
pub(super) fn fold(
    import: &Import<'_, '_>,
    op: &Operator<'_>,
) -> Result<Option<Ints>, ImportError> {
    if op.code == Code::SHAPE {
        let values = import.value(op, 0)?.dims.iter().map(|&dim| i64::from(dim)).collect();
        return Ok(Some(Ints { values, scalar: false }));
    }
    let takes_ints = matches!(
        op.code,
        Code::STRIDED_SLICE
            | Code::PACK
            | Code::GATHER
            | Code::CONCATENATION
            | Code::REDUCE_PROD
            | Code::CAST
            | Code::RESHAPE
            | Code::SQUEEZE
            | Code::EXPAND_DIMS
            | Code::ADD
            | Code::SUB
            | Code::MUL
    );
    let computed = |tensor: &usize| matches!(import.slot(*tensor), Slot::Value(_));
    if !takes_ints || op.inputs.first().copied().flatten().is_none_or(|first| computed(&first)) {
        return Ok(None);
    }
    let Some(first) = import.ints(op, 0)? else { return Ok(None) };
    let folded = match op.code {
        Code::STRIDED_SLICE => strided_slice(import, op, &first)?,
        Code::PACK => {
            let values = joined(import, op, true)?;
            Ints { values, scalar: false }
        }
        Code::CONCATENATION => Ints { values: joined(import, op, false)?, scalar: false },
        Code::GATHER => gather(import, op, &first)?,
        Code::REDUCE_PROD => {
            let product = first.values.iter().try_fold(1_i64, |n, &dim| n.checked_mul(dim));
            let product =
                product.ok_or_else(|| op.refuse("input", "a smaller shape", "overflow"))?;
            let kept = op.table.builtin_options_as_reducer_options().is_some_and(|o| o.keep_dims());
            Ints { values: vec![product], scalar: !kept }
        }
        Code::CAST => cast(import, op, first)?,
        // from a scalar to a vector of one, or back
        Code::RESHAPE | Code::EXPAND_DIMS => Ints { scalar: false, ..first },
        Code::SQUEEZE => Ints { scalar: first.values.len() == 1, ..first },
        _ => arithmetic(import, op, &first)?,
    };
    Ok(Some(folded))
}

/// The integers of an input.
fn known(import: &Import<'_, '_>, op: &Operator<'_>, input: usize) -> Result<Ints, ImportError> {
    let ints = import.ints(op, input)?;
    ints.ok_or_else(|| op.refuse(format!("input {input}"), "integers of a shape", "elements"))
}

/// All inputs one after the other; `scalars` says that each must be one.
fn joined(
    import: &Import<'_, '_>,
    op: &Operator<'_>,
    scalars: bool,
) -> Result<Vec<i64>, ImportError> {
    let mut all = Vec::new();
    for input in 0..op.inputs.len() {
        let ints = known(import, op, input)?;
        if ints.scalar != scalars || all.len() + ints.values.len() > LIMIT {
            let expected = if scalars { "scalars" } else { "vectors" };
            let expected = format!("{expected}, {LIMIT} integers at most");
            return Err(op.refuse(format!("input {input}"), expected, format!("{ints:?}")));
        }
        all.extend(ints.values);
    }
    Ok(all)
}

/// Elements `begin`, `begin + stride`, .. before `end` of a vector.
fn strided_slice(
    import: &Import<'_, '_>,
    op: &Operator<'_>,
    of: &Ints,
) -> Result<Ints, ImportError> {
    let options = op.table.builtin_options_as_strided_slice_options();
    let options = options.ok_or_else(|| op.refuse("options", "StridedSliceOptions", "others"))?;
    let mut bounds = [0_i64; 3];
    for (k, bound) in bounds.iter_mut().enumerate() {
        let ints = known(import, op, k + 1)?;
        let &[one] = &ints.values[..] else {
            return Err(op.refuse("input", "a slice of a vector", format!("{ints:?}")));
        };
        *bound = one;
    }
    let [begin, mut end, stride] = bounds;
    if stride < 1 || options.ellipsis_mask() != 0 || options.new_axis_mask() != 0 || of.scalar {
        return Err(op.refuse(
            "input",
            "a slice of a vector, forwards",
            format!("stride {stride}"),
        ));
    }
    if options.offset() {
        end = end.saturating_add(begin);
    }
    let len = of.values.len() as i64;
    let place = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at.min(len) };
    if options.shrink_axis_mask() & 1 == 1 {
        let at = axis(op, "begin", begin, of.values.len())?;
        return Ok(Ints { values: vec![of.values[at]], scalar: true });
    }
    let begin = if options.begin_mask() & 1 == 1 { 0 } else { place(begin) };
    let end = if options.end_mask() & 1 == 1 { len } else { place(end) };
    let picked = (begin..end).step_by(stride as usize).map(|at| of.values[at as usize]);
    Ok(Ints { values: picked.collect(), scalar: false })
}

/// Elements by number.
fn gather(import: &Import<'_, '_>, op: &Operator<'_>, of: &Ints) -> Result<Ints, ImportError> {
    let options = op.table.builtin_options_as_gather_options();
    if of.scalar || options.is_some_and(|o| o.axis() != 0 || o.batch_dims() != 0) {
        return Err(op.refuse("axis", "0 of a vector", "another"));
    }
    let numbers = known(import, op, 1)?;
    let pick = |&at: &i64| axis(op, "indices", at, of.values.len()).map(|at| of.values[at]);
    let values = numbers.values.iter().map(pick).collect::<Result<_, _>>()?;
    Ok(Ints { values, scalar: numbers.scalar })
}

/// Between integers of 32 and 64 bits.
fn cast(import: &Import<'_, '_>, op: &Operator<'_>, of: Ints) -> Result<Ints, ImportError> {
    use super::generated::TensorType;
    let to = import.file.tensor(super::import::output(op)?).type_();
    match to {
        TensorType::INT32 | TensorType::INT64 => Ok(of),
        other => Err(op.refuse("output", "int32 or int64", super::constant::type_name(other))),
    }
}

/// Sums, differences and products, of as many integers each, or of one and all of the other.
fn arithmetic(import: &Import<'_, '_>, op: &Operator<'_>, a: &Ints) -> Result<Ints, ImportError> {
    let b = known(import, op, 1)?;
    let len = a.values.len().max(b.values.len());
    let fits = |ints: &Ints| ints.values.len() == len || ints.values.len() == 1;
    if !fits(a) || !fits(&b) {
        return Err(op.refuse("inputs", format!("{a:?}"), format!("{b:?}")));
    }
    let of = |ints: &Ints, k: usize| ints.values[if ints.values.len() == 1 { 0 } else { k }];
    let values = (0..len).map(|k| match op.code {
        Code::ADD => of(a, k).checked_add(of(&b, k)),
        Code::SUB => of(a, k).checked_sub(of(&b, k)),
        _ => of(a, k).checked_mul(of(&b, k)),
    });
    let values = values.collect::<Option<_>>();
    let values = values.ok_or_else(|| op.refuse("inputs", "smaller integers", "overflow"))?;
    Ok(Ints { values, scalar: a.scalar && b.scalar })
}
