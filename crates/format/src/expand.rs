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

use crate::attributes::ChannelAxis;
use crate::dtype::DataType;
use crate::error::{Error, Owner};
use crate::hash;
use crate::packing::{Element, Layout, coded};
use crate::read::{ModelView, Step, WeightsPlaces};
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

/// The same model with every constant decoded, in less than `limit` bytes of memory; it passes [`ModelView::open`]. A signature
/// is left behind: verify it before.
pub fn expand(file: &[u8], limit: u64) -> Result<Vec<u8>, ExpandError> {
    let model = ModelView::open_coded(file)?;
    let needed = needed(model)?;
    if needed > limit {
        return Err(ExpandError::TooLarge { needed, limit });
    }
    let capacity = usize::try_from(needed).map_err(|_| ExpandError::TooLarge { needed, limit })?;
    let mut out = Vec::with_capacity(capacity);
    out.extend_from_slice(model.bytes());
    for step in model.walk() {
        let step = step?;
        if let Some(coded) = coded_weights(&step) {
            append(&mut out, &coded, &step)?;
        }
    }
    hash::stamp(&mut out);
    ModelView::open(&out)?;
    Ok(out)
}

/// Bytes of the file, of what is appended, and of the largest constant while it is decoded.
fn needed(model: ModelView<'_>) -> Result<u64, Error> {
    let (mut whole, mut largest) = (model.bytes().len() as u64, 0);
    for step in model.walk() {
        if let Some(coded) = coded_weights(&step?) {
            let bytes = coded.view.elements().saturating_mul(coded.view.dtype().size()) as u64;
            // A length before the elements, and up to as many bytes of alignment.
            whole = whole.saturating_add(bytes).saturating_add(12);
            largest = bytes.max(largest);
        }
    }
    Ok(whole.saturating_add(largest))
}

fn coded_weights<'a>(step: &Step<'a>) -> Option<Coded<'a>> {
    let (weights, _) = step.op.constants()?;
    let Layout::Coded(view) = weights.packed.layout() else { return None };
    let axis = step.op.channel_axis()?;
    let channels = usize::try_from(axis.channels(weights.shape)?).ok()?;
    let row_len = match axis {
        ChannelAxis::First => weights.packed.elements().checked_div(channels)?,
        ChannelAxis::Last => channels,
    };
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
    let mut elements = vec![T::default(); coded.view.elements()];
    coded.view.decode(coded.row_len, &mut elements)?;
    for element in elements {
        append(element, out);
    }
    Ok(())
}
