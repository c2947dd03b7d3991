//! Visits all that a view lends, and holds the ways of walking a constant against each other. Whether what is read is what the
//! file states is `compare`'s business.

use penjing_format::packing::{Element, Packed};
use penjing_format::{ChannelAxis, Constant, DataType, ModelView, Step};

/// Constants of more elements are not walked: a few bytes may state billions of zeros, and an input should take milliseconds.
pub(crate) const MOST_ELEMENTS: usize = 1 << 14;

/// Rows that are looked up one by one, each at the cost of a count over those before.
const MOST_ROWS: usize = 64;

/// Values of a file that was refused; they may be many and mean nothing.
const MOST_VALUES: usize = 256;

/// A model that `open` accepted: all views agree.
pub(crate) fn accepted(model: &ModelView<'_>) {
    head(model);
    for step in model.walk() {
        let step = step.expect("an accepted model's walk is free of errors");
        let Some((weights, bias)) = step.op.constants() else { continue };
        constant(&weights, &step);
        if let Some(bias) = bias {
            constant(&bias, &step);
        }
    }
}

/// Any bytes: no accessor panics. Nothing is known of what they say.
pub(crate) fn any(model: &ModelView<'_>) {
    head(model);
    for step in model.walk().take(MOST_VALUES).map_while(Result::ok) {
        assert!(step.operands().take(MOST_VALUES).all(|operand| operand.id < step.output.id));
        let Some((weights, bias)) = step.op.constants() else { continue };
        for constant in [Some(weights), bias].into_iter().flatten() {
            if constant.packed.elements() <= MOST_ELEMENTS {
                let _ = constant.packed.check_elements();
                let _ = constant.packed.expand_i8(&mut vec![0; constant.packed.elements()]);
                constant.packed.rows::<i8>(3).flatten().for_each(drop);
            }
        }
    }
}

/// All but the constants.
fn head(model: &ModelView<'_>) {
    let _ = (format!("{model:?}"), model.format_version(), model.producer());
    for value in model.inputs().take(MOST_VALUES) {
        let _ = (value.name, value.shape, value.dtype, value.quantization);
    }
    for node in model.nodes().take(MOST_VALUES) {
        let _ = (format!("{node:?}"), node.op_name(), node.value(), node.inputs().count());
        let _ = model.stated_type(node.output());
    }
    let _ = model.outputs().count();
    let _ = model.labels().map(|labels| labels.iter().map(str::len).sum::<usize>());
    if let Some(numbers) = model.normalization() {
        assert_eq!(numbers.mean.iter().len(), numbers.mean.len());
        assert_eq!(numbers.std.iter().len(), numbers.std.len());
    }
}

fn constant(constant: &Constant<'_>, step: &Step<'_>) {
    let packed = constant.packed;
    assert_eq!(packed.check_elements(), Ok(()), "an accepted model's elements");
    assert_eq!(constant.shape.elements(), Some(packed.elements()));
    assert!(!packed.layout().name().is_empty() && packed.dtype() == constant.dtype);
    let scales = constant.scales.len();
    if scales > 0 {
        let axis = step.op.channel_axis().unwrap_or(ChannelAxis::First);
        let channels = axis.channels(constant.shape).map_or(0, |channels| channels as usize);
        assert!(scales == 1 || scales == channels);
        assert!([0, channels - 1].iter().all(|&channel| constant.scales.get(channel) > 0.0));
    }
    if packed.elements() > MOST_ELEMENTS {
        return;
    }
    match packed.dtype() {
        DataType::F32 => elements::<f32>(constant, |out| packed.expand_f32(out)),
        DataType::I8 => elements::<i8>(constant, |out| packed.expand_i8(out)),
        DataType::I16 => elements::<i16>(constant, |out| widened(&packed, out)),
        _ => elements::<i32>(constant, |out| packed.expand_i32(out)),
    }
}

fn widened(packed: &Packed<'_>, out: &mut [i16]) -> Result<(), penjing_format::PackingError> {
    let mut wide = vec![0; out.len()];
    packed.expand_i32(&mut wide)?;
    let narrow = |wide: i32| i16::try_from(wide).expect("an i16 of the file");
    out.iter_mut().zip(wide).for_each(|(out, wide)| *out = narrow(wide));
    Ok(())
}

/// Expanded, by rows and by columns, the elements are the same.
fn elements<T: Element>(
    constant: &Constant<'_>,
    expand: impl FnOnce(&mut [T]) -> Result<(), penjing_format::PackingError>,
) {
    let packed = constant.packed;
    let mut all = vec![T::default(); packed.elements()];
    expand(&mut all).expect("the elements' type and count");
    let nonzero = all.iter().filter(|value| **value != T::default()).count();
    assert_eq!(packed.nnz(), nonzero);
    let values = packed.values();
    assert!(values.len() >= nonzero && (nonzero == 0 || !values.is_empty()));
    assert_eq!(values.iter::<T>(0).count(), values.len());
    assert!(values.iter::<T>(0).enumerate().all(|(i, value)| values.get::<T>(i) == Some(value)));
    let (first, last) = (constant.shape.first(), constant.shape.last());
    let by_channel = all.len() / first.map_or(1, |first| first as usize).max(1);
    let lengths = [by_channel, last.map_or(1, |last| last as usize), all.len(), 1, 3, 37];
    for row_len in lengths.into_iter().filter(|&len| len > 0) {
        rows(&packed, &all, row_len);
    }
    columns(&packed, &all, by_channel.max(1));
    assert!(packed.rows::<T>(0).next().is_none());
}

/// The walks of rows, by each element and by words, from the one before and from the start.
fn rows<T: Element>(packed: &Packed<'_>, all: &[T], row_len: usize) {
    let rows = packed.rows::<T>(row_len);
    assert_eq!(rows.len(), all.len() / row_len);
    let mut count = 0;
    for (index, (row, expected)) in rows.zip(all.chunks_exact(row_len)).enumerate() {
        count += 1;
        let one_by_one = row;
        let mut found = vec![T::default(); row_len];
        for (column, value) in one_by_one {
            found[column as usize] = value;
        }
        assert_eq!(found, expected, "row {index} of {row_len}, one by one");
        let columns = row.fold(Vec::new(), |mut columns, (column, value)| {
            assert_eq!(value, expected[column as usize], "row {index} of {row_len}, by words");
            columns.push(column);
            columns
        });
        assert!(columns.is_sorted_by(|a, b| a < b));
        let nonzero = expected.iter().filter(|value| **value != T::default()).count();
        assert_eq!(columns.len(), nonzero, "row {index} of {row_len}, by words");
        if index < MOST_ROWS {
            let row = packed.row::<T>(index, row_len).expect("there is such a row");
            assert!(row.eq(packed.rows(row_len).nth(index).expect("there is such a row")));
        }
        jump(row, expected);
    }
    assert_eq!(count, all.len() / row_len);
    assert!(packed.row::<T>(count, row_len).is_none());
}

/// A cursor that leaves columns out, goes back in vain, and then goes on.
fn jump<T: Element>(row: penjing_format::packing::Row<'_, T>, expected: &[T]) {
    let mut jumping = row;
    let mut column = expected.len() / 5;
    while column < expected.len() {
        let value = Some(expected[column]).filter(|value| *value != T::default());
        assert_eq!(jumping.at(column as u32), value, "column {column}");
        if value.is_some() {
            assert_eq!(jumping.at(column as u32), None, "column {column}, passed before");
        }
        column += 1 + column % 3;
    }
    assert_eq!(jumping.at(expected.len() as u32), None);
}

/// One cursor a row, column after column.
fn columns<T: Element>(packed: &Packed<'_>, all: &[T], row_len: usize) {
    let mut cursors: Vec<_> = packed.rows::<T>(row_len).collect();
    for column in 0..row_len {
        for (row, cursor) in cursors.iter_mut().enumerate() {
            let expected = all[row * row_len + column];
            let found = cursor.at(column as u32).unwrap_or_default();
            assert_eq!(found, expected, "row {row}, column {column}");
        }
    }
}
