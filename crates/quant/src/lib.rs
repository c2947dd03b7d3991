//! The one arithmetic of Penjing: scale and zero point, quantize, dequantize, fake-quantize, requantize.
//!
//! Training (fake quantization), the converter and every int8 kernel call these functions or equal them bit for bit;
//! docs/numerics.md states the rules. What is *not* here: kernels, tensors, file layouts, and the naive oracle
//! (`penjing_runtime::reference`), which states the same rules independently so that tests can hold one against the other.
//!
//! The convention throughout is `real = scale * (q - zero_point)`.
#![no_std]
#![forbid(unsafe_code)]

mod add;
mod average;
mod dynamic;
mod functions;
mod params;
mod requantize;
mod round;
mod tables;
mod weights;

pub use add::Add;
pub use average::{Average, Mean};
pub use dynamic::Dynamic;
pub use functions::{exp, logistic, tanh};
pub use params::{ActivationRange, QuantParams};
pub use requantize::Requantize;
pub use round::round_ties_even;
pub use tables::{Codes, Softmax, Table, logistic_table, relu_table, requantize_table, tanh_table};
pub use weights::{
    MIN_WEIGHT_SCALE, WEIGHT_MAX, bias_scale, channel_scales, dequantize_weight,
    fake_quantize_weight, quantize_bias, quantize_weight, weight_scale,
};
