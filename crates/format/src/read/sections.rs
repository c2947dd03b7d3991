//! What every byte of a file is for, part by part, for tools that show where a file's bytes go. Parts may be shared, so that a
//! byte can be told more than once; what is told nowhere is alignment. Meaning is not looked at here.

use super::layout::{self, Field};
use super::table::{Defect, Table};
use super::view::ModelView;
use crate::error::{Error, Owner};
use core::ops::Range;

/// What a part of a file holds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Where the root lies, the identifier, the content hash.
    Header,
    /// Tables and vectors that lead to others, with the scalars in them.
    Tables,
    /// Which fields tables have; tables with the same ones share it.
    Vtables,
    /// A name or another text.
    Text,
    /// Dimensions, numbers of values, means and deviations.
    Numbers,
    /// Stored elements of weights.
    Values,
    /// Which elements are stored.
    Index,
    /// Scales of weights.
    Scales,
    /// Biases.
    Bias,
}

/// Some bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Who has them.
    pub owner: Owner,
    /// The field that leads to them, in the schema's names.
    pub field: &'static str,
    /// What they hold.
    pub part: Part,
    /// Where they are, with the length before a vector and the zero after a text.
    pub bytes: Range<usize>,
}

impl ModelView<'_> {
    /// Tells every part of the file, in the order in which it is referred to. A part that is referred to twice is told twice.
    ///
    /// # Errors
    /// [`Error::Layout`] of a view that was never checked.
    pub fn sections(&self, mut tell: impl FnMut(Section)) -> Result<(), Error> {
        use layout::model as fields;
        let mut parts = Parts { owner: Owner::Model, tell: &mut tell };
        parts.tell("header", Part::Header, 0..crate::hash::PLACE.end);
        let root = self.root();
        parts.table(root, layout::ROOT);
        parts.vector(root, fields::PRODUCER, Part::Text, 1)?;
        parts.vector(root, fields::LABELS, Part::Text, 1)?;
        parts.vector(root, fields::OUTPUTS, Part::Numbers, 2)?;
        if let Some(table) = parts.child(root, fields::NORMALIZATION)? {
            parts.vector(table, layout::normalization::MEAN, Part::Numbers, 4)?;
            parts.vector(table, layout::normalization::STD, Part::Numbers, 4)?;
        }
        for (field, owner) in [
            (fields::INPUTS, Owner::Input as fn(usize) -> Owner),
            (fields::NODES, |index| Owner::Node(index, "node")),
        ] {
            let defect = |defect: Defect| defect.of(Owner::Model);
            let Some(items) = root.offsets(field).map_err(defect)? else { continue };
            parts.owner = Owner::Model;
            parts.vector(root, field, Part::Tables, 4)?;
            for index in 0..items.len() {
                let Some(table) = items.table(index) else { break };
                parts.owner = owner(index);
                let table = table.map_err(|defect| defect.of(parts.owner))?;
                match parts.owner {
                    Owner::Input(_) => parts.input(table)?,
                    _ => parts.node(table)?,
                }
            }
        }
        Ok(())
    }
}

/// Tells the parts of one owner after the other.
struct Parts<'t> {
    owner: Owner,
    tell: &'t mut dyn FnMut(Section),
}

impl Parts<'_> {
    fn tell(&mut self, field: &'static str, part: Part, bytes: Range<usize>) {
        (self.tell)(Section { owner: self.owner, field, part, bytes });
    }

    fn table(&mut self, table: Table<'_>, field: Field) {
        let (own, vtable) = table.places();
        self.tell(field.name, Part::Vtables, vtable);
        self.tell(field.name, Part::Tables, own);
    }

    fn child<'a>(&mut self, table: Table<'a>, field: Field) -> Result<Option<Table<'a>>, Error> {
        let child = table.table(field).map_err(|defect| defect.of(self.owner))?;
        if let Some(child) = child {
            self.table(child, field);
        }
        Ok(child)
    }

    /// A vector of elements of `size` bytes; of a text, the zero after it too.
    fn vector(
        &mut self,
        table: Table<'_>,
        field: Field,
        part: Part,
        size: usize,
    ) -> Result<(), Error> {
        let end = usize::from(part == Part::Text);
        let bytes = table.vector_place(field, size).map_err(|defect| defect.of(self.owner))?;
        if let Some(bytes) = bytes {
            self.tell(field.name, part, bytes.start..bytes.end.saturating_add(end));
        }
        Ok(())
    }

    fn input(&mut self, table: Table<'_>) -> Result<(), Error> {
        self.table(table, layout::model::INPUTS);
        self.vector(table, layout::value::SHAPE, Part::Numbers, 4)?;
        self.vector(table, layout::value::NAME, Part::Text, 1)
    }

    fn node(&mut self, table: Table<'_>) -> Result<(), Error> {
        use layout::node as fields;
        self.table(table, layout::model::NODES);
        self.child(table, fields::WINDOW)?;
        if let Some(weights) = self.child(table, fields::WEIGHTS)? {
            self.vector(weights, layout::weights::VALUES, Part::Values, 1)?;
            self.vector(weights, layout::weights::INDEX, Part::Index, 1)?;
            self.vector(weights, layout::weights::SCALE, Part::Scales, 4)?;
        }
        self.vector(table, fields::BIAS, Part::Bias, 1)?;
        self.vector(table, fields::NAME, Part::Text, 1)?;
        self.vector(table, fields::SHAPE, Part::Numbers, 4)?;
        self.vector(table, fields::INPUTS, Part::Numbers, 2)?;
        self.vector(table, fields::TARGET, Part::Numbers, 4)
    }
}
