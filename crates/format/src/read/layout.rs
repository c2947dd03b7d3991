//! Field ids of schemas/model.fbs, by hand: the reader does not use generated code. The differential test holds the two equal.

/// A field of a table.
#[derive(Clone, Copy)]
pub(super) struct Field {
    /// Its id; of a union, the value's id (the type's is one less).
    pub(super) id: u16,
    /// The schema's name, for errors.
    pub(super) name: &'static str,
}

const fn field(id: u16, name: &'static str) -> Field {
    Field { id, name }
}

/// The pseudo-field that leads to the root table.
pub(super) const ROOT: Field = field(0, "root");

pub(super) mod model {
    use super::{Field, field};
    pub(in crate::read) const NODES: Field = field(0, "nodes");
    pub(in crate::read) const INPUTS: Field = field(1, "inputs");
    pub(in crate::read) const LABELS: Field = field(2, "labels");
    pub(in crate::read) const NORMALIZATION: Field = field(3, "normalization");
    pub(in crate::read) const OUTPUTS: Field = field(4, "outputs");
    pub(in crate::read) const PRODUCER: Field = field(5, "producer");
    pub(in crate::read) const FORMAT_VERSION: Field = field(6, "format_version");
}

pub(super) mod normalization {
    use super::{Field, field};
    pub(in crate::read) const MEAN: Field = field(0, "normalization.mean");
    pub(in crate::read) const STD: Field = field(1, "normalization.std");
}

pub(super) mod node {
    use super::{Field, field};
    pub(in crate::read) const OP: Field = field(1, "op");
    pub(in crate::read) const VALUE: Field = field(2, "value");
    pub(in crate::read) const INPUTS: Field = field(3, "inputs");
    pub(in crate::read) const NAME: Field = field(4, "name");

    pub(in crate::read) const CONV_2D: u8 = 1;
    pub(in crate::read) const MAX_POOL_2D: u8 = 2;
    pub(in crate::read) const FULLY_CONNECTED: u8 = 3;
    pub(in crate::read) const RESHAPE: u8 = 4;
    pub(in crate::read) const QUANTIZE: u8 = 5;
    pub(in crate::read) const DEQUANTIZE: u8 = 6;
    pub(in crate::read) const DEPTHWISE_CONV_2D: u8 = 7;
}

pub(super) mod value {
    use super::{Field, field};
    pub(in crate::read) const SCALE: Field = field(0, "value.scale");
    pub(in crate::read) const ZERO_POINT: Field = field(1, "value.zero_point");
    pub(in crate::read) const DTYPE: Field = field(2, "value.dtype");
    pub(in crate::read) const SHAPE: Field = field(3, "value.shape");
    pub(in crate::read) const NAME: Field = field(4, "value.name");
}

pub(super) mod constant {
    use super::{Field, field};
    /// The fields of a constant, named after the field that holds it.
    #[derive(Clone, Copy)]
    pub(in crate::read) struct Names {
        pub(in crate::read) packing: Field,
        pub(in crate::read) dtype: Field,
        pub(in crate::read) scale: Field,
        pub(in crate::read) shape: Field,
    }

    pub(in crate::read) const WEIGHTS: Names = Names {
        packing: field(1, "weights.packing"),
        dtype: field(2, "weights.dtype"),
        scale: field(3, "weights.scale"),
        shape: field(4, "weights.shape"),
    };
    pub(in crate::read) const BIASES: Names = Names {
        packing: field(1, "bias.packing"),
        dtype: field(2, "bias.dtype"),
        scale: field(3, "bias.scale"),
        shape: field(4, "bias.shape"),
    };

    pub(in crate::read) const DENSE: u8 = 1;
    pub(in crate::read) const BITMAP: u8 = 2;
    pub(in crate::read) const GAPS: u8 = 3;

    pub(in crate::read) const DENSE_DATA: Field = field(0, "packing.data");
    pub(in crate::read) const BITMAP_MASK: Field = field(0, "packing.mask");
    pub(in crate::read) const BITMAP_VALUES: Field = field(1, "packing.values");
    pub(in crate::read) const GAPS_CODES: Field = field(0, "packing.codes");
    pub(in crate::read) const GAPS_VALUES: Field = field(1, "packing.values");
    pub(in crate::read) const GAPS_BITS: Field = field(2, "packing.bits");
    /// Bits of a code where none are stated.
    pub(in crate::read) const GAPS_BITS_DEFAULT: u8 = 3;
}

/// Fields that ops with weights share.
pub(super) mod weighted {
    use super::{Field, field};
    pub(in crate::read) const WEIGHTS: Field = field(0, "weights");
    pub(in crate::read) const BIAS: Field = field(1, "bias");
    pub(in crate::read) const ACTIVATION: Field = field(2, "activation");
}

/// The numbers of both convolutions, whose tables give them the same ids.
pub(super) mod conv_2d {
    use super::{Field, field};
    pub(in crate::read) const STRIDE: [Field; 2] = [field(3, "stride_h"), field(4, "stride_w")];
    pub(in crate::read) const PADS: [Field; 4] =
        [field(5, "pad_top"), field(6, "pad_bottom"), field(7, "pad_left"), field(8, "pad_right")];
    pub(in crate::read) const DILATION: [Field; 2] =
        [field(9, "dilation_h"), field(10, "dilation_w")];
}

pub(super) mod max_pool_2d {
    use super::{Field, field};
    pub(in crate::read) const WINDOW: [Field; 2] = [field(0, "window_h"), field(1, "window_w")];
    pub(in crate::read) const STRIDE: [Field; 2] = [field(2, "stride_h"), field(3, "stride_w")];
    pub(in crate::read) const PADS: [Field; 4] =
        [field(4, "pad_top"), field(5, "pad_bottom"), field(6, "pad_left"), field(7, "pad_right")];
}

pub(super) const RESHAPE_SHAPE: Field = field(0, "shape");
