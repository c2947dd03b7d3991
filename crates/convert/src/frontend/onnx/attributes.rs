//! Typed reading of a node's attributes: each has a default and a type, anything else is an error that names it.

use super::proto::{AttributeProto, TensorProto};
use super::source::Node;
use crate::ImportError;

/// A node's attributes.
#[derive(Debug)]
pub(super) struct Attributes(Vec<AttributeProto>);

impl Attributes {
    pub(super) fn new(attributes: Vec<AttributeProto>) -> Self {
        Self(attributes)
    }

    fn find(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    /// Names of all attributes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|attribute| attribute.name.as_str())
    }
}

/// `AttributeProto.type`.
const FLOAT: i32 = 1;
const INT: i32 = 2;
const STRING: i32 = 3;
const TENSOR: i32 = 4;
const INTS: i32 = 7;

impl Node {
    fn typed(
        &self,
        name: &str,
        wanted: i32,
        says: &str,
    ) -> Result<Option<&AttributeProto>, ImportError> {
        match self.attributes.find(name) {
            // writers of IR versions before 3 could leave the type out
            Some(found) if found.r#type != wanted && found.r#type != 0 => {
                Err(self.wrong(name, says, format!("an attribute of type {}", found.r#type)))
            }
            found => Ok(found),
        }
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, ImportError> {
        let found = self.typed(name, INT, "an integer")?;
        Ok(found.map_or(default, |a| a.i.unwrap_or(0)))
    }

    pub(super) fn optional_int(&self, name: &str) -> Result<Option<i64>, ImportError> {
        let found = self.typed(name, INT, "an integer")?;
        Ok(found.map(|a| a.i.unwrap_or(0)))
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, ImportError> {
        let found = self.typed(name, FLOAT, "a float")?;
        Ok(found.map_or(default, |a| a.f.unwrap_or(0.0)))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&[i64]>, ImportError> {
        let found = self.typed(name, INTS, "integers")?;
        Ok(found.map(|a| a.ints.as_slice()))
    }

    pub(super) fn string(&self, name: &str, default: &str) -> Result<String, ImportError> {
        let found = self.typed(name, STRING, "a string")?;
        let bytes = found.map(|a| a.s.as_deref().unwrap_or_default());
        Ok(bytes.map_or(default.to_owned(), |s| String::from_utf8_lossy(s).into_owned()))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&TensorProto>, ImportError> {
        Ok(self.typed(name, TENSOR, "a tensor")?.and_then(|a| a.t.as_deref()))
    }

    /// Refuses an attribute that is there with another value than the one that Penjing computes with.
    pub(super) fn only_int(&self, name: &str, only: i64) -> Result<(), ImportError> {
        match self.int(name, only)? {
            found if found == only => Ok(()),
            found => Err(self.wrong(name, only.to_string(), found.to_string())),
        }
    }

    /// An axis, counted from the end where negative.
    pub(super) fn axis(&self, field: &str, axis: i64, rank: usize) -> Result<usize, ImportError> {
        let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let axis_in = counted.and_then(|a| usize::try_from(a).ok()).filter(|&a| a < rank);
        axis_in.ok_or_else(|| {
            self.wrong(field, format!("an axis of {rank} dimensions"), axis.to_string())
        })
    }
}
