//! Follows every part of a file once, so that later reads cannot meet a broken layout, and bounds the work that a file can
//! cause. Codes that this version does not know are passed over here: `check` refuses them.

use super::layout::{self, Field};
use super::table::{Defect, Numbers, Offsets, Table, Union};
use crate::error::{Error, Fault, Owner};

type Checked = Result<(), Defect>;

/// A file may refer to shared parts, but what a reader visits in all must stay below this many times its length.
const SHARING: usize = 16;

/// Bytes that may still be visited.
struct Budget {
    left: usize,
}

impl Budget {
    /// Charges one part; the constant stands for its offset and head.
    fn spend(&mut self, field: Field, bytes: usize) -> Checked {
        match self.left.checked_sub(bytes.saturating_add(4)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Defect { field, at: 0, fault: Fault::TooMuchSharing }),
        }
    }

    fn table(&mut self, field: Field, table: &Table<'_>) -> Checked {
        self.spend(field, table.vtable_len())
    }

    fn bytes(&mut self, table: &Table<'_>, field: Field) -> Checked {
        table.bytes(field)?.map_or(Ok(()), |bytes| self.spend(field, bytes.len()))
    }

    fn string(&mut self, table: &Table<'_>, field: Field) -> Checked {
        table.string(field)?.map_or(Ok(()), |string| self.spend(field, string.len()))
    }

    fn numbers<T: crate::packing::Scalar>(&mut self, table: &Table<'_>, field: Field) -> Checked {
        let numbers: Option<Numbers<'_, T>> = table.numbers(field)?;
        let bytes = numbers.map(|numbers| numbers.len().saturating_mul(T::SIZE));
        bytes.map_or(Ok(()), |bytes| self.spend(field, bytes))
    }
}

/// Checks all of `model`, the root of a file of `len` bytes.
pub(super) fn check(model: Table<'_>, len: usize) -> Result<(), Error> {
    let mut budget = Budget { left: len.saturating_mul(SHARING) };
    head(model, &mut budget).map_err(|defect| defect.of(Owner::Model))?;
    let items = |field| model.offsets(field).map_err(|defect: Defect| defect.of(Owner::Model));
    each(items(layout::model::INPUTS)?, Owner::Input, |table| {
        budget.table(layout::model::INPUTS, &table)?;
        value(table, &mut budget)
    })?;
    let owner = |index| Owner::Node(index, "node");
    each(items(layout::model::NODES)?, owner, |table| node(table, &mut budget))
}

fn each<'a>(
    items: Option<Offsets<'a>>,
    owner: impl Fn(usize) -> Owner,
    mut check: impl FnMut(Table<'a>) -> Checked,
) -> Result<(), Error> {
    let Some(items) = items else { return Ok(()) };
    for index in 0..items.len() {
        let Some(item) = items.table(index) else { break };
        item.and_then(&mut check).map_err(|defect| defect.of(owner(index)))?;
    }
    Ok(())
}

/// Everything of the model but its inputs and nodes.
fn head(model: Table<'_>, budget: &mut Budget) -> Checked {
    use layout::{model as fields, normalization};
    model.scalar::<u16>(fields::FORMAT_VERSION, 0)?;
    budget.string(&model, fields::PRODUCER)?;
    budget.numbers::<u16>(&model, fields::OUTPUTS)?;
    if let Some(labels) = model.offsets(fields::LABELS)? {
        for index in 0..labels.len() {
            let Some(label) = labels.string(index) else { break };
            budget.spend(fields::LABELS, label?.len())?;
        }
    }
    if let Some(table) = model.table(fields::NORMALIZATION)? {
        budget.table(fields::NORMALIZATION, &table)?;
        budget.numbers::<f32>(&table, normalization::MEAN)?;
        budget.numbers::<f32>(&table, normalization::STD)?;
    }
    Ok(())
}

fn value(table: Table<'_>, budget: &mut Budget) -> Checked {
    use layout::value as fields;
    table.scalar::<f32>(fields::SCALE, 0.0)?;
    table.scalar::<i16>(fields::ZERO_POINT, 0)?;
    table.scalar::<u8>(fields::DTYPE, 0)?;
    budget.numbers::<u32>(&table, fields::SHAPE)?;
    budget.string(&table, fields::NAME)
}

fn node(table: Table<'_>, budget: &mut Budget) -> Checked {
    use layout::node as fields;
    budget.table(layout::model::NODES, &table)?;
    if let Some(union) = table.union(fields::OP)? {
        op(union, budget)?;
    }
    if let Some(table) = table.table(fields::VALUE)? {
        budget.table(fields::VALUE, &table)?;
        value(table, budget)?;
    }
    budget.numbers::<u16>(&table, fields::INPUTS)?;
    budget.string(&table, fields::NAME)
}

fn op(union: Union<'_>, budget: &mut Budget) -> Checked {
    use layout::node as codes;
    let known = (codes::CONV_2D..=codes::DEPTHWISE_CONV_2D).contains(&union.code);
    if !known {
        return Ok(());
    }
    let table = union.table()?;
    budget.table(codes::OP, &table)?;
    match union.code {
        codes::CONV_2D | codes::DEPTHWISE_CONV_2D => {
            let fields = layout::conv_2d::STRIDE
                .iter()
                .chain(&layout::conv_2d::PADS)
                .chain(&layout::conv_2d::DILATION);
            numbers(table, fields)?;
            weighted(table, budget)
        }
        codes::FULLY_CONNECTED => weighted(table, budget),
        codes::MAX_POOL_2D => {
            let fields = layout::max_pool_2d::WINDOW
                .iter()
                .chain(&layout::max_pool_2d::STRIDE)
                .chain(&layout::max_pool_2d::PADS);
            numbers(table, fields)
        }
        codes::RESHAPE => budget.numbers::<i32>(&table, layout::RESHAPE_SHAPE),
        _ => Ok(()),
    }
}

fn numbers<'f>(table: Table<'_>, fields: impl Iterator<Item = &'f Field>) -> Checked {
    for &field in fields {
        table.scalar::<u16>(field, 0)?;
    }
    Ok(())
}

fn weighted(table: Table<'_>, budget: &mut Budget) -> Checked {
    use layout::weighted as fields;
    table.scalar::<u8>(fields::ACTIVATION, 0)?;
    let constants =
        [(fields::WEIGHTS, layout::constant::WEIGHTS), (fields::BIAS, layout::constant::BIASES)];
    for (field, names) in constants {
        if let Some(table) = table.table(field)? {
            budget.table(field, &table)?;
            constant(table, names, budget)?;
        }
    }
    Ok(())
}

fn constant(table: Table<'_>, names: layout::constant::Names, budget: &mut Budget) -> Checked {
    use layout::constant as fields;
    table.scalar::<u8>(names.dtype, 0)?;
    budget.numbers::<f32>(&table, names.scale)?;
    budget.numbers::<u32>(&table, names.shape)?;
    let Some(union) = table.union(names.packing)? else { return Ok(()) };
    match union.code {
        fields::DENSE => {
            let table = union.table()?;
            budget.table(names.packing, &table)?;
            budget.bytes(&table, fields::DENSE_DATA)
        }
        fields::BITMAP => {
            let table = union.table()?;
            budget.table(names.packing, &table)?;
            budget.bytes(&table, fields::BITMAP_MASK)?;
            budget.bytes(&table, fields::BITMAP_VALUES)
        }
        fields::GAPS => {
            let table = union.table()?;
            budget.table(names.packing, &table)?;
            table.scalar::<u8>(fields::GAPS_BITS, fields::GAPS_BITS_DEFAULT)?;
            budget.bytes(&table, fields::GAPS_CODES)?;
            budget.bytes(&table, fields::GAPS_VALUES)
        }
        _ => Ok(()),
    }
}
