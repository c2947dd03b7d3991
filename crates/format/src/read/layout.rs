//! Field ids of schemas/model.fbs, by hand: the reader does not use generated code. The differential test holds the two equal.

/// A field of a table.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    /// Its id.
    pub(crate) id: u16,
    /// The schema's name, for errors.
    pub(crate) name: &'static str,
}

const fn field(id: u16, name: &'static str) -> Field {
    Field { id, name }
}

/// The pseudo-field that leads to the root table.
pub(crate) const ROOT: Field = field(0, "root");

/// Constants for the fields of a table.
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $id:literal $text:literal;)*) => {
        use super::{Field, field};
        $($(#[$doc])* pub(crate) const $name: Field = field($id, $text);)*
    };
}

pub(crate) mod model {
    fields! {
        NODES = 0 "nodes";
        INPUTS = 1 "inputs";
        PRODUCER = 2 "producer";
        LABELS = 3 "labels";
        NORMALIZATION = 4 "normalization";
        OUTPUTS = 5 "outputs";
        FORMAT_VERSION = 6 "format_version";
    }
}

pub(crate) mod normalization {
    fields! {
        MEAN = 0 "normalization.mean";
        STD = 1 "normalization.std";
    }
}

/// A graph input.
pub(crate) mod value {
    fields! {
        SCALE = 0 "scale";
        ZERO_POINT = 1 "zero_point";
        DTYPE = 2 "dtype";
        SHAPE = 3 "shape";
        NAME = 4 "name";
    }
}

pub(crate) mod node {
    fields! {
        OP = 0 "op";
        SCALE = 1 "scale";
        ZERO_POINT = 2 "zero_point";
        WEIGHTS = 3 "weights";
        BIAS = 4 "bias";
        NAME = 5 "name";
        ACTIVATION = 6 "activation";
        WINDOW = 7 "window";
        DTYPE = 8 "dtype";
        SHAPE = 9 "shape";
        INPUTS = 10 "inputs";
        TARGET = 11 "target";
    }

    pub(crate) const CONV_2D: u8 = 1;
    pub(crate) const MAX_POOL_2D: u8 = 2;
    pub(crate) const FULLY_CONNECTED: u8 = 3;
    pub(crate) const RESHAPE: u8 = 4;
    pub(crate) const QUANTIZE: u8 = 5;
    pub(crate) const DEQUANTIZE: u8 = 6;
    pub(crate) const DEPTHWISE_CONV_2D: u8 = 7;
    pub(crate) const AVERAGE_POOL_2D: u8 = 8;
    pub(crate) const MEAN: u8 = 9;
    pub(crate) const ADD: u8 = 10;
    pub(crate) const MUL: u8 = 11;
    pub(crate) const PAD: u8 = 12;
    pub(crate) const CONCAT: u8 = 13;
    pub(crate) const RELU: u8 = 14;
    pub(crate) const SOFTMAX: u8 = 15;
    pub(crate) const LOGISTIC: u8 = 16;
    pub(crate) const TANH: u8 = 17;
}

pub(crate) mod window {
    fields! {
        SIZE_H = 0 "window.size_h";
        SIZE_W = 1 "window.size_w";
        STRIDE_H = 2 "window.stride_h";
        STRIDE_W = 3 "window.stride_w";
        PAD_TOP = 4 "window.pad_top";
        PAD_BOTTOM = 5 "window.pad_bottom";
        PAD_LEFT = 6 "window.pad_left";
        PAD_RIGHT = 7 "window.pad_right";
        DILATION_H = 8 "window.dilation_h";
        DILATION_W = 9 "window.dilation_w";
    }

    pub(crate) const ALL: [Field; 10] = [
        SIZE_H, SIZE_W, STRIDE_H, STRIDE_W, PAD_TOP, PAD_BOTTOM, PAD_LEFT, PAD_RIGHT, DILATION_H,
        DILATION_W,
    ];
}

pub(crate) mod weights {
    fields! {
        VALUES = 0 "weights.values";
        SCALE = 1 "weights.scale";
        OUT_CHANNELS = 2 "weights.out_channels";
        PACKING = 3 "weights.packing";
        INDEX = 4 "weights.index";
        VALUE_BITS = 5 "weights.value_bits";
        GROUP = 6 "weights.group";
        GAP_BITS = 7 "weights.gap_bits";
        KEPT = 8 "weights.kept";
        NO_ZERO = 9 "weights.no_zero";
        PERIOD = 10 "weights.period";
        STORED = 11 "weights.stored";
        ZERO_POINT = 12 "weights.zero_point";
    }

    pub(crate) const DENSE: u8 = 0;
    pub(crate) const BITMAP: u8 = 1;
    pub(crate) const GROUPS: u8 = 2;
    pub(crate) const GAPS: u8 = 3;
    pub(crate) const N_OF_M: u8 = 4;
    pub(crate) const BLOCKS: u8 = 5;
    pub(crate) const COLUMNS: u8 = 6;
    pub(crate) const CODED: u8 = 7;

    /// What numbers mean that are left out.
    pub(crate) const GROUP_DEFAULT: u8 = 4;
    pub(crate) const GAP_BITS_DEFAULT: u8 = 3;
    pub(crate) const KEPT_DEFAULT: u8 = 2;
}
