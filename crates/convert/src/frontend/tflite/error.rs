//! Short ways to say what is wrong with a file. The texts of the errors are `frontend::error`'s.

use std::fmt::Display;

use super::file::Operator;
use crate::frontend::ImportError;

/// Characters of a name that messages and graphs keep: a file may state any number.
const NAME_LIMIT: usize = 256;

/// Bytes that are no TFLite model, or a model that contradicts itself.
pub(super) fn malformed(
    place: impl Into<String>,
    expected: impl Into<String>,
    found: impl Display,
) -> ImportError {
    ImportError::Malformed {
        place: place.into(),
        expected: expected.into(),
        found: found.to_string(),
    }
}

impl Operator<'_> {
    /// An option, type or shape of the operator that Penjing does not have.
    pub(super) fn refuse(
        &self,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Display,
    ) -> ImportError {
        ImportError::Option {
            node: self.index,
            name: self.name.clone(),
            op: self.op,
            field: field.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}

/// A name of the file for people: of bounded length and without control characters.
pub(super) fn clean(name: &str) -> String {
    name.chars().take(NAME_LIMIT).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `[1, 2, 3]`.
pub(super) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().take(16).map(|item| item.to_string()).collect();
    format!("[{}]", items.join(", "))
}
