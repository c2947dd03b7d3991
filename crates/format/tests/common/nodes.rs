//! Files of one node that has no weights, or a constant operand. Not a test itself.

use super::raw::{self, Raw, RawWeights};
use penjing_format::{Error, ModelView, TensorType};

/// The only node's result, or why the file is refused.
pub(crate) fn open(raw: &Raw) -> Result<TensorType, Error> {
    let bytes = raw.bytes();
    ModelView::open_structure(&bytes).expect("the layout is sound");
    let model = ModelView::open(&bytes)?;
    model.walk().next().expect("one node").map(|step| step.output.ty)
}

/// A node without weights, of an i8 input of such a shape, that states the quantization of its value or none.
pub(crate) fn plain(op: u8, shape: &[u32], stated: bool) -> Raw {
    let mut raw = Raw { input_shape: Some(shape.into()), ..Raw::default() };
    raw.plain(op);
    if !stated {
        raw.value = (0, 0.0, 0);
    }
    raw
}

/// A sum or a product of the input and a constant of so many elements.
pub(crate) fn operand(op: u8, shape: &[u32], elements: u32) -> Raw {
    let weights = RawWeights {
        values: Some(vec![1; elements as usize]),
        out_channels: elements,
        ..RawWeights::default()
    };
    Raw { weights: Some(weights), ..plain(op, shape, true) }
}

pub(crate) fn relu(activation: u8) -> Raw {
    Raw { activation, ..plain(raw::RELU, &[2], false) }
}

pub(crate) fn target(op: u8, shape: &[u32], target: &[i32]) -> Raw {
    Raw { target: Some(target.into()), ..plain(op, shape, false) }
}

pub(crate) fn joined(op: u8, shape: &[u32], inputs: &[u16]) -> Raw {
    let stated = op != raw::CONCAT;
    Raw { inputs: Some(inputs.into()), ..plain(op, shape, stated) }
}

/// Asserts the variant of a refusal and words of its message.
#[macro_export]
macro_rules! refuses {
    ($raw:expr, $variant:pat, $words:expr) => {
        let error = common::nodes::open(&$raw).expect_err("the file means nothing");
        assert!(matches!(error, $variant), "{error:?}");
        assert!(error.to_string().contains($words), "{error}");
    };
}
