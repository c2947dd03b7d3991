//! Why a foreign model cannot be imported: broken bytes, or something that a Penjing model does not hold. The caller adds the
//! file's name.

/// A model of another tool that cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the messages say what each field is
pub enum ImportError {
    /// Bytes that are no such file, or one that contradicts itself.
    #[error("{place}: expected {expected}, found {found}")]
    Malformed { place: String, expected: String, found: String },
    /// An op that Penjing does not have.
    #[error("node {node} ({name}): expected an op of {supported}; found {op}")]
    Op { node: usize, name: String, op: String, supported: &'static str },
    /// An op that Penjing has, with an option, type or shape that it does not have.
    #[error("node {node} ({op} {name}), {field}: expected {expected}, found {found}")]
    Option {
        node: usize,
        name: String,
        op: &'static str,
        field: String,
        expected: String,
        found: String,
    },
    /// A tensor that Penjing cannot hold.
    #[error("tensor {tensor} ({name}), {field}: expected {expected}, found {found}")]
    Tensor { tensor: usize, name: String, field: &'static str, expected: String, found: String },
}
