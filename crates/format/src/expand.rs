//! Decoding of entropy-coded weights, once, into a file that runs where it lies: the file's own bytes, the decoded weights after
//! them, and each table of weights turned to those. Offsets in a file only ever lead ahead, so nothing else has to move.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

extern crate alloc;

use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::packing::{Element, Layout, coded};
use crate::read::{ModelView, Step, WeightsPlaces};
use crate::{hash, signature};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// Why a file cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExpandError {
    /// The file is no model.
    Format(Error),
    /// Decoding takes more memory than the caller grants. Found out before any of it is allocated.
    TooLarge {
        /// Bytes that it takes.
        needed: u64,
        /// Bytes granted.
        limit: u64,
    },
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(source) => fmt::Display::fmt(source, f),
            Self::TooLarge { needed, limit } => {
                write!(f, "memory: expected at most {limit} bytes, decoding takes {needed}")
            }
        }
    }
}

impl core::error::Error for ExpandError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Format(source) => Some(source),
            Self::TooLarge { .. } => None,
        }
    }
}

impl From<Error> for ExpandError {
    fn from(source: Error) -> Self {
        Self::Format(source)
    }
}

/// Coded weights of a node.
struct Coded<'a> {
    view: coded::View<'a>,
    row_len: usize,
    places: WeightsPlaces,
}

/// The same model with every constant decoded, in at most `limit` bytes of memory; it passes [`ModelView::open`]. A signature
/// is left behind: verify it before.
pub fn expand(file: &[u8], limit: u64) -> Result<Vec<u8>, ExpandError> {
    let model = ModelView::open_coded(file)?;
    let Needed { whole, largest } = Needed::of(model)?;
    let needed = whole.saturating_add(largest);
    let too_large = ExpandError::TooLarge { needed, limit };
    let capacity = usize::try_from(whole).ok().filter(|_| needed <= limit).ok_or(too_large)?;
    let mut out = Vec::new();
    out.try_reserve_exact(capacity).map_err(|_| too_large)?;
    out.extend_from_slice(model.bytes());
    for step in model.walk() {
        let step = step?;
        if let Some(coded) = coded_weights(&step) {
            append(&mut out, &coded, &step)?;
        }
    }
    // Weights at the end may look like the mark of a signature.
    if out.ends_with(&signature::MARK) {
        out.extend([0; 4]);
    }
    hash::stamp(&mut out);
    ModelView::open(&out)?;
    Ok(out)
}

/// Bytes of memory that decoding takes.
struct Needed {
    /// Of the file and of what is appended.
    whole: u64,
    /// Of the largest constant, while it is decoded.
    largest: u64,
}

impl Needed {
    fn of(model: ModelView<'_>) -> Result<Self, Error> {
        // Four bytes after a file that ends like a signed one.
        let mut needed = Self { whole: (model.bytes().len() as u64).saturating_add(4), largest: 0 };
        for step in model.walk() {
            if let Some(coded) = coded_weights(&step?) {
                let (elements, size) = (coded.view.elements(), coded.view.dtype().size());
                let bytes = (elements as u64).saturating_mul(size as u64);
                // A length before the elements, and up to as many bytes of alignment.
                needed.whole = needed.whole.saturating_add(bytes).saturating_add(8);
                needed.largest = needed.largest.max(bytes);
            }
        }
        Ok(needed)
    }
}

fn coded_weights<'a>(step: &Step<'a>) -> Option<Coded<'a>> {
    let (weights, _) = step.op.constants()?;
    let Layout::Coded(view) = weights.packed.layout() else { return None };
    let row_len = step.op.channel_axis()?.row_len(weights.shape)?;
    Some(Coded { view, row_len, places: step.node.weights_places()? })
}

/// Appends the decoded elements as a vector, and turns the table of weights to it.
fn append(out: &mut Vec<u8>, coded: &Coded<'_>, step: &Step<'_>) -> Result<(), Error> {
    let place = Owner::Node(step.index, step.op.name()).field("weights");
    out.resize(out.len().next_multiple_of(4), 0);
    let at = out.len();
    let length = coded.view.elements().saturating_mul(coded.view.dtype().size());
    // No tensor has more elements than a u32 counts, but their bytes, or the file, may.
    let too_long = Error::Count { place, expected: u32::MAX as usize, found: length };
    let length = u32::try_from(length).map_err(|_| too_long)?;
    out.extend_from_slice(&length.to_le_bytes());
    let refused = |source| Error::Packing { place, source };
    match coded.view.dtype() {
        DataType::F32 => decode::<f32>(out, coded, |value, out| out.extend(value.to_le_bytes())),
        _ => decode::<i8>(out, coded, |value, out| out.extend(value.to_le_bytes())),
    }
    .map_err(refused)?;
    let WeightsPlaces { values, packing } = coded.places;
    let distance = at.checked_sub(values).and_then(|distance| u32::try_from(distance).ok());
    let distance = distance.ok_or(too_long)?.to_le_bytes();
    if let Some(slot) = out.get_mut(values..).and_then(|rest| rest.first_chunk_mut()) {
        *slot = distance;
    }
    if let Some(slot) = out.get_mut(packing) {
        *slot = 0;
    }
    Ok(())
}

fn decode<T: Element>(
    out: &mut Vec<u8>,
    coded: &Coded<'_>,
    append: impl Fn(T, &mut Vec<u8>),
) -> Result<(), crate::PackingError> {
    // The caller has counted these too.
    let mut elements = vec![T::default(); coded.view.elements()];
    coded.view.decode(coded.row_len, &mut elements)?;
    for element in elements {
        append(element, out);
    }
    Ok(())
}
