//! Operators that move elements: shapes, padding, concatenation, and the mean over an image.

use penjing_format::Shape;

use super::error::list;
use super::file::Operator;
use super::generated::BuiltinOperator as Code;
use super::import::{Import, Input, batched, too_large};
use super::quantized::{moved_activation, same_grid, same_type};
use crate::frontend::ImportError;
use crate::ir::{Op, Value};

/// RESHAPE to the second input, or to what the options say.
pub(super) fn reshape(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let target: Vec<i64> = match import.ints(op, 1)? {
        Some(ints) => ints.values,
        None if import.operand(op, 1).is_some() => {
            return Err(op.refuse(
                "shape",
                "integers that shapes alone decide",
                "a computed value",
            ));
        }
        None => {
            let options = op.table.builtin_options_as_reshape_options();
            let shape = options.and_then(|options| options.new_shape()).unwrap_or_default();
            shape.iter().take(64).map(i64::from).collect()
        }
    };
    let dims = resolve(op, &input, &target)?;
    reshape_to(import, op, &input, dims)
}

/// The target with its -1 filled in.
fn resolve(op: &Operator<'_>, input: &Input, target: &[i64]) -> Result<Vec<u32>, ImportError> {
    let wrong = || {
        let expected = format!("a shape of as many elements as {}", list(&input.dims));
        op.refuse("shape", expected, list(target))
    };
    let elements = input.shape.elements().unwrap_or(0) as i64;
    let mut known = target.iter().filter(|&&dim| dim != -1);
    let known = known.try_fold(1_i64, |n, &dim| n.checked_mul(dim)).filter(|&n| n > 0);
    let known = known.ok_or_else(wrong)?;
    let open = target.iter().filter(|&&dim| dim == -1).count();
    if open > 1 || elements % known != 0 || open == 0 && elements != known {
        return Err(wrong());
    }
    let dims = target.iter().map(|&dim| if dim == -1 { elements / known } else { dim });
    let dims: Option<Vec<u32>> = dims.map(|dim| u32::try_from(dim).ok()).collect();
    dims.ok_or_else(wrong)
}

fn reshape_to(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
    input: &Input,
    dims: Vec<u32>,
) -> Result<(), ImportError> {
    same_grid(op, (input.dtype, input.grid), import.output_type(op)?)?;
    import.finish(op, Op::Reshape, vec![input.id], dims)
}

/// SQUEEZE: the dimensions that the options name, or all of 1.
pub(super) fn squeeze(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let options = op.table.builtin_options_as_squeeze_options();
    let named = options.and_then(|options| options.squeeze_dims()).unwrap_or_default();
    let mut gone: Vec<bool> = input.dims.iter().map(|&dim| named.is_empty() && dim == 1).collect();
    for dim in named.iter().take(64) {
        let axis = axis(op, "squeeze_dims", i64::from(dim), input.dims.len())?;
        if input.dims[axis] != 1 {
            return Err(op.refuse("squeeze_dims", "dimensions of 1", list(&input.dims)));
        }
        gone[axis] = true;
    }
    let dims = input.dims.iter().zip(gone).filter(|&(_, gone)| !gone).map(|(&dim, _)| dim);
    let dims = dims.collect();
    reshape_to(import, op, &input, dims)
}

/// EXPAND_DIMS.
pub(super) fn expand_dims(
    import: &mut Import<'_, '_>,
    op: &Operator<'_>,
) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let at = import.ints(op, 1)?.filter(|ints| ints.values.len() == 1);
    let at = at.ok_or_else(|| op.refuse("axis", "one integer that is known", "others"))?;
    let mut dims = input.dims.clone();
    dims.insert(axis(op, "axis", at.values[0], dims.len() + 1)?, 1);
    reshape_to(import, op, &input, dims)
}

/// A dimension by its number, which may count from the end.
pub(super) fn axis(
    op: &Operator<'_>,
    field: &str,
    stated: i64,
    rank: usize,
) -> Result<usize, ImportError> {
    let own = if stated < 0 { stated.saturating_add(rank as i64) } else { stated };
    let own = usize::try_from(own).ok().filter(|&own| own < rank);
    own.ok_or_else(|| op.refuse(field, format!("a dimension of {rank}"), stated))
}

/// MEAN over height and width, of which one may be missing.
pub(super) fn mean(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    let axes = import.ints(op, 1)?;
    let axes = axes.ok_or_else(|| op.refuse("axes", "integers that are known", "others"))?;
    let image = averaged(op, &input, &axes.values)?;
    let channels = image.last().unwrap_or(1);
    let (dtype, quantization) = import.output_type(op)?;
    same_type(op, input.dtype, dtype)?;
    let pixels = import.reshaped(op, "image", &input, image);
    let options = op.table.builtin_options_as_reducer_options();
    let keeps = options.is_some_and(|options| options.keep_dims());
    // What is left has one element but for the channels.
    let mut dims = vec![1; input.dims.len() - if keeps { 0 } else { axes.values.len() }];
    dims.last_mut().into_iter().for_each(|last| *last = channels);
    if dims.len() == 2 {
        return import.finish(op, Op::Mean, vec![pixels], dims);
    }
    let value = Value { name: None, shape: Shape::from([1, channels]), dtype, quantization };
    let mean = import.push(op, "mean", Op::Mean, vec![pixels], value);
    import.finish(op, Op::Reshape, vec![mean], dims)
}

/// What a mean reads as an image, all of whose pixels it averages.
fn averaged(op: &Operator<'_>, input: &Input, axes: &[i64]) -> Result<Shape, ImportError> {
    let own = axes.iter().map(|&stated| axis(op, "axes", stated, input.dims.len()));
    let mut own: Vec<usize> = own.collect::<Result<_, _>>()?;
    own.sort_unstable();
    if own.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(op.refuse("axes", "each once", list(axes)));
    }
    let image = match (&input.dims[..], &own[..]) {
        (&[1, h, w, c], [1, 2]) | (&[1, h, w @ 1, c], [1]) | (&[1, h @ 1, w, c], [2]) => {
            [1, h, w, c]
        }
        (&[1, length, c], [1]) => [1, length, 1, c],
        (&[_, _, _, _], _) => {
            return Err(op.refuse("axes", "1 and 2, height and width", list(axes)));
        }
        (&[_, _, _], _) => {
            return Err(op.refuse("axes", "1, between batch and channels", list(axes)));
        }
        _ => {
            let expected = "[1, height, width, channels] or [1, length, channels]";
            return Err(op.refuse("input", expected, list(&input.dims)));
        }
    };
    Ok(Shape::from(image))
}

/// PAD and PADV2, with real zeros.
pub(super) fn pad(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let input = import.value(op, 0)?;
    same_grid(op, (input.dtype, input.grid), import.output_type(op)?)?;
    if op.code == Code::PADV2 {
        padded_with_zero(import, op, &input)?;
    }
    let ints = import.ints(op, 1)?;
    let ints = ints.ok_or_else(|| op.refuse("paddings", "integers that are known", "others"))?;
    let (pairs, rest) = ints.values.as_chunks::<2>();
    if pairs.len() != input.dims.len() || !rest.is_empty() {
        let expected = format!("a pair for each of {} dimensions", input.dims.len());
        return Err(op.refuse("paddings", expected, list(&ints.values)));
    }
    let mut dims = input.dims.clone();
    let mut pads = Vec::new();
    for (dim, pair) in dims.iter_mut().zip(pairs) {
        let narrow = pair.map(|n| u16::try_from(n).ok().map(u32::from));
        let [Some(before), Some(after)] = narrow else {
            return Err(op.refuse("paddings", "0 to 65535", list(pair)));
        };
        let padded = dim.checked_add(before).and_then(|dim| dim.checked_add(after));
        *dim = padded.ok_or_else(|| too_large(op, &input.dims))?;
        pads.push([before, after]);
    }
    if input.shape.rank() == input.dims.len() {
        // the first is the batch
        if pads.remove(0) != [0, 0] {
            return Err(op.refuse("paddings", "none of the batch", list(&ints.values)));
        }
    }
    import.finish(op, Op::Pad(pads), vec![input.id], dims)
}

/// What PADV2 pads with must be real 0: the zero point.
fn padded_with_zero(
    import: &Import<'_, '_>,
    op: &Operator<'_>,
    input: &Input,
) -> Result<(), ImportError> {
    let constant = import.required(op, 2, "constant_values")?;
    if constant.len() != 1 {
        return Err(op.refuse("constant_values", "one element", list(&constant.dims)));
    }
    let (found, zero) = match input.grid {
        None => (f64::from(constant.f32s(op, "constant_values")?[0]), 0.0),
        Some(grid) => {
            let found = constant.i8s(op, "constant_values")?[0];
            (f64::from(found), f64::from(grid.zero_point))
        }
    };
    if found == zero {
        return Ok(());
    }
    Err(op.refuse("constant_values", format!("{zero}, which stands for 0"), found))
}

/// CONCATENATION. An input on another grid than the result's is quantized to it.
pub(super) fn concat(import: &mut Import<'_, '_>, op: &Operator<'_>) -> Result<(), ImportError> {
    let options = op.table.builtin_options_as_concatenation_options();
    let options = options.ok_or_else(|| op.refuse("options", "ConcatenationOptions", "others"))?;
    let first = import.value(op, 0)?;
    let along = axis(op, "axis", i64::from(options.axis()), first.dims.len())?;
    // an axis of the graph, whose shape may have a batch more
    let graph_axis = along + first.shape.rank() - first.dims.len();
    if graph_axis == 0 {
        return Err(op.refuse("axis", "any but the batch", options.axis()));
    }
    let (dtype, quantization) = import.output_type(op)?;
    let mut dims = first.dims.clone();
    dims[along] = 0;
    let mut inputs = Vec::new();
    for k in 0..op.inputs.len() {
        let input = import.value(op, k)?;
        if input.dtype != dtype {
            return Err(op.refuse(
                format!("input {k}"),
                format!("the output's type, {dtype}"),
                input.dtype,
            ));
        }
        let alike = input.dims.len() == dims.len()
            && (0..dims.len()).all(|d| d == along || input.dims[d] == dims[d])
            && input.shape.rank() == first.shape.rank();
        if !alike {
            let expected = format!("{} but for dimension {along}", list(&first.dims));
            return Err(op.refuse(format!("input {k}"), expected, list(&input.dims)));
        }
        let sum = dims[along].checked_add(input.dims[along]);
        dims[along] = sum.ok_or_else(|| too_large(op, &input.dims))?;
        inputs.push(if input.grid == quantization {
            input.id
        } else {
            let value = Value { name: None, shape: input.shape, dtype, quantization };
            import.push(op, &format!("quantize{k}"), Op::Quantize, vec![input.id], value)
        });
    }
    let kind = Op::Concat { axis: graph_axis };
    match moved_activation(op, dtype, options.fused_activation_function())? {
        penjing_format::Activation::None => import.finish(op, kind, inputs, dims),
        fused => {
            let shape = batched(&dims).ok_or_else(|| too_large(op, &dims))?;
            let value = Value { name: None, shape, dtype, quantization };
            let joined = import.push(op, "concat", kind, inputs, value);
            import.finish(op, Op::Relu(fused), vec![joined], dims)
        }
    }
}
