//! Follows every part of a file once, so that later reads cannot meet a broken layout, and bounds the work that a file can
//! cause. Codes that this version does not know are passed over here: `check` refuses them.

use super::layout::{self, Field};
use super::table::{Defect, Numbers, Offsets, Table};
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
        input(table, &mut budget)
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
    budget.string(&model, fields::LABELS)?;
    budget.numbers::<u16>(&model, fields::OUTPUTS)?;
    if let Some(table) = model.table(fields::NORMALIZATION)? {
        budget.table(fields::NORMALIZATION, &table)?;
        budget.numbers::<f32>(&table, normalization::MEAN)?;
        budget.numbers::<f32>(&table, normalization::STD)?;
    }
    Ok(())
}

fn input(table: Table<'_>, budget: &mut Budget) -> Checked {
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
    for field in [fields::OP, fields::ACTIVATION, fields::DTYPE] {
        table.scalar::<u8>(field, 0)?;
    }
    table.scalar::<f32>(fields::SCALE, 0.0)?;
    table.scalar::<i16>(fields::ZERO_POINT, 0)?;
    budget.bytes(&table, fields::BIAS)?;
    budget.string(&table, fields::NAME)?;
    budget.numbers::<u32>(&table, fields::SHAPE)?;
    budget.numbers::<u16>(&table, fields::INPUTS)?;
    budget.numbers::<i32>(&table, fields::TARGET)?;
    if let Some(window) = table.table(fields::WINDOW)? {
        budget.table(fields::WINDOW, &window)?;
        for field in layout::window::ALL {
            window.scalar::<u16>(field, 0)?;
        }
    }
    table.table(fields::WEIGHTS)?.map_or(Ok(()), |table| weights(table, budget))
}

fn weights(table: Table<'_>, budget: &mut Budget) -> Checked {
    use layout::weights as fields;
    budget.table(layout::node::WEIGHTS, &table)?;
    let bytes =
        [fields::PACKING, fields::VALUE_BITS, fields::GROUP, fields::GAP_BITS, fields::KEPT];
    for field in bytes.into_iter().chain([fields::NO_ZERO]) {
        table.scalar::<u8>(field, 0)?;
    }
    table.scalar::<u16>(fields::PERIOD, 0)?;
    table.scalar::<i16>(fields::ZERO_POINT, 0)?;
    table.scalar::<u32>(fields::OUT_CHANNELS, 0)?;
    table.scalar::<u32>(fields::STORED, 0)?;
    budget.bytes(&table, fields::VALUES)?;
    budget.bytes(&table, fields::INDEX)?;
    budget.numbers::<f32>(&table, fields::SCALE)
}
