//! Every op but streamed convolutions: what its value is, what scratch memory it takes, and who runs it.

use super::flaw::Flaw;
use super::lend::Lent;
use super::ops::{self, has};
use super::run::Run;
use super::step::{Step, Walk};
use super::sums::Rows;
use super::ty::Ty;
use super::{binary, dense, depthwise, moves, pools, tables};
use penjing_format::DataType;
use penjing_format::lean::op;

const UNKNOWN: Flaw = Flaw::Unsupported("an op that this session was not made for");
const TYPE: Flaw = Flaw::Unsupported("element type");

/// Whether an op is `$op` and among those that a session is made for.
macro_rules! is {
    ($code:expr, $($op:ident)|+) => {
        ($($code == op::$op && has::<OPS>(ops::bit(op::$op)))||+)
    };
}

/// The type of the value of node `index`, where the walk stands.
#[inline(never)]
pub(super) fn output<const OPS: u32>(walk: &Walk<'_, '_>, index: usize) -> Result<Ty, Flaw> {
    let Step { node, window, input, .. } = &walk.step;
    let (code, stated) = (node.op, &node.value);
    if is!(code, QUANTIZE) {
        let ty = input.quantized(stated)?;
        return if ty.dtype == DataType::F32 { Err(TYPE) } else { Ok(ty) };
    }
    if is!(code, DEQUANTIZE) {
        let real = Ty { dtype: DataType::F32, scale: 0.0, zero_point: 0, ..*input };
        return if input.dtype == DataType::F32 { Err(TYPE) } else { real.checked() };
    }
    if is!(code, PAD) {
        return moves::padded(input, node.target);
    }
    if is!(code, CONCAT) {
        return moves::concatenated(walk, index);
    }
    let unsigned = input.dtype == DataType::U8 && is!(code, MAX_POOL_2D);
    if input.dtype != DataType::I8 && !unsigned {
        return Err(TYPE);
    }
    let refused = Flaw::Refused("shape");
    let ty = if is!(code, MAX_POOL_2D | AVERAGE_POOL_2D) {
        let fits = window.sees() && window.dilation == [1; 2];
        return window.over(input, input.channels()).filter(|_| fits).ok_or(refused)?.checked();
    } else if is!(code, MEAN) {
        let ty = input.with_dims([1, 1, input.channels()], 1);
        return if input.rank == 3 { ty.or_stated(stated) } else { Err(refused) };
    } else if is!(code, RELU) {
        return input.or_stated(stated);
    } else if is!(code, ADD | MUL) {
        binary::output(walk, index)?.quantized(stated)?
    } else if is!(code, SOFTMAX | LOGISTIC | TANH) {
        input.quantized(stated)?
    } else {
        return Err(UNKNOWN);
    };
    if ty.dtype == DataType::I8 { Ok(ty) } else { Err(TYPE) }
}

/// Words of scratch memory of a node.
#[inline(never)]
pub(super) fn scratch_words<const OPS: u32>(step: &Step<'_>) -> Result<u32, Flaw> {
    let code = step.node.op;
    if is!(code, FULLY_CONNECTED) {
        if !has::<OPS>(ops::ROWS) {
            return Err(Flaw::Unsupported("a layer that this session was not made for"));
        }
        let mut rows = Rows::EMPTY;
        rows.read::<OPS>(step)?;
    } else if is!(code, DEPTHWISE_CONV_2D) {
        let mut rows = Rows::EMPTY;
        rows.read::<OPS>(step)?;
        return Ok(rows.scratch_words(false).saturating_add(step.output.channels()));
    } else if is!(code, SOFTMAX) {
        return Ok(step.input.channels());
    } else if is!(code, ADD | MUL) {
        return binary::scratch_words::<OPS>(step);
    } else if is!(code, RELU) {
        tables::ends(step)?;
    } else if is!(code, MAX_POOL_2D) && !has::<OPS>(ops::POOL) {
        return Err(Flaw::Unsupported("a pool that this session was not made for"));
    }
    Ok(0)
}

/// Runs node `index`, where the walk stands.
#[inline(never)]
pub(super) fn run<const OPS: u32>(
    run: &Run<'_, '_>,
    walk: &Walk<'_, '_>,
    index: usize,
    arena: &mut [u32],
) -> Result<(), Flaw> {
    let step = &walk.step;
    let code = step.node.op;
    if code == op::RESHAPE && run.is_alias(step.id) {
        return Ok(());
    }
    let scratch = scratch_words::<OPS>(step)?;
    let lent = Lent::new(run.table, arena, index, &step.output, scratch);
    let mut lent = lent.ok_or(Flaw::BROKEN)?;
    if is!(code, CONCAT) {
        return moves::concat(run, walk, index, &mut lent);
    }
    let input = run.value(&lent, step.id, &step.input).ok_or(Flaw::BROKEN)?;
    if is!(code, ADD | MUL) {
        return binary::run::<OPS>(run, walk, index, input, &mut lent);
    }
    let Lent { output, scratch, .. } = lent;
    let done = if is!(code, FULLY_CONNECTED) && has::<OPS>(ops::ROWS) {
        dense::run::<OPS>(step, input, output)
    } else if is!(code, DEPTHWISE_CONV_2D) {
        depthwise::run::<OPS>(step, input, output, scratch)
    } else if is!(code, MAX_POOL_2D) && has::<OPS>(ops::POOL) {
        pools::max(step, input, output)
    } else if is!(code, AVERAGE_POOL_2D) {
        pools::average(step, input, output)
    } else if is!(code, MEAN) {
        pools::mean(step, input, output)
    } else if is!(code, PAD) {
        moves::pad(step, input, output)
    } else if is!(code, SOFTMAX) {
        tables::softmax(step, input, output, scratch)
    } else if is!(code, RELU) {
        return tables::relu(step, input, output);
    } else if is!(code, LOGISTIC) {
        tables::logistic(step, input, output)
    } else if is!(code, TANH) {
        tables::tanh(step, input, output)
    } else if is!(code, QUANTIZE) {
        tables::quantize(step, input, output)
    } else if is!(code, DEQUANTIZE) {
        tables::dequantize(step, input, output)
    } else {
        moves::copy(input, output)
    };
    done.ok_or(Flaw::BROKEN)
}
