//! Constants as layers take them: kernels and biases of reals or integers, and constant operands spread over a sample.

use std::rc::Rc;

use penjing_format::{ChannelAxis, QuantParams};

use super::build::{Act, Builder, Slot};
use super::qdq::QuantizedTensor;
use super::source::Node;
use super::tensor::{Data, Tensor, elements, transpose, walk};
use crate::ImportError;
use crate::ir::{Bias, WeightData, Weights};

/// A kernel or a constant operand: reals, or integers with their scales.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    Real(Rc<Tensor>),
    Integer(Rc<QuantizedTensor>),
}

impl Constant {
    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Self::Real(tensor) => &tensor.dims,
            Self::Integer(quantized) => &quantized.tensor.dims,
        }
    }

    pub(super) fn is_integer(&self) -> bool {
        matches!(self, Self::Integer(_))
    }
}

/// How a kernel in ONNX becomes one of the graph.
pub(super) struct KernelShape<'a> {
    /// Dimensions in ONNX, as the permutations below count them; rank 3 kernels are rank 4 of height 1.
    pub(super) dims: &'a [usize],
    /// Axes of the graph's kernel, by ONNX's number.
    pub(super) perm: &'a [usize],
    /// The axis of the output channels, by ONNX's number.
    pub(super) out: usize,
    pub(super) axis: ChannelAxis,
}

/// Finite reals of a tensor.
pub(super) fn reals<'t>(
    node: &Node,
    field: &str,
    tensor: &'t Tensor,
) -> Result<&'t [f32], ImportError> {
    match &tensor.data {
        Data::F32(values) => match values.iter().find(|v| !v.is_finite()) {
            None => Ok(values),
            Some(v) => Err(node.wrong(field, "finite numbers", v.to_string())),
        },
        other => Err(node.wrong(field, "float32", super::tensor::dtype_name(other.dtype()))),
    }
}

impl Builder<'_> {
    /// Input `k`, if it is a constant.
    pub(super) fn any_constant(
        &self,
        node: &Node,
        k: usize,
    ) -> Result<Option<Constant>, ImportError> {
        Ok(match self.operand(node, k)? {
            Slot::Constant(tensor) => Some(Constant::Real(tensor)),
            Slot::Quantized(quantized) => Some(Constant::Integer(quantized)),
            Slot::Value(_) => None,
        })
    }

    /// The kernel in input `k` of a layer.
    pub(super) fn kernel(&self, node: &Node, k: usize) -> Result<Constant, ImportError> {
        let found = self.any_constant(node, k)?;
        found.ok_or_else(|| {
            node.wrong("weights", "a constant", "a value that depends on the inputs")
        })
    }

    /// The graph's kernel.
    pub(super) fn weights(
        &mut self,
        node: &Node,
        constant: &Constant,
        shape: &KernelShape<'_>,
    ) -> Result<Weights, ImportError> {
        let count = elements(shape.dims).unwrap_or(usize::MAX);
        self.spend(node, count)?;
        let dims: Vec<usize> = shape.perm.iter().map(|&a| shape.dims[a]).collect();
        let narrow = super::build::shape(node, &dims)?;
        let data = match constant {
            Constant::Real(tensor) => {
                let values = reals(node, "weights", tensor)?;
                WeightData::F32(transpose(values, shape.dims, shape.perm), None)
            }
            Constant::Integer(quantized) => {
                let codes = quantized.symmetric(node, "weights")?;
                let scales = &quantized.scale.scales;
                // a kernel of rank 3 has its axes from the height on moved by one
                let stated = quantized.scale.axis;
                let moved = shape.dims.len() - quantized.tensor.dims.len();
                let axis = if stated >= 2 { stated + moved } else { stated };
                if scales.len() > 1 && axis != shape.out {
                    let expected = format!("scales along the output channels, axis {}", shape.out);
                    return Err(node.wrong("weights, scale", expected, format!("axis {stated}")));
                }
                WeightData::I8(transpose(&codes, shape.dims, shape.perm), scales.clone())
            }
        };
        Ok(Weights { shape: narrow.dims().to_vec(), axis: shape.axis, data })
    }

    /// A bias of reals in input `k`; zeros where it is left out.
    pub(super) fn real_bias(
        &self,
        node: &Node,
        k: usize,
        channels: usize,
    ) -> Result<Vec<f32>, ImportError> {
        let Some(tensor) = self.optional_constant(node, k)? else { return Ok(vec![0.0; channels]) };
        let values = reals(node, "bias", &tensor)?;
        match values {
            values if values.len() == channels => Ok(values.to_vec()),
            &[one] => Ok(vec![one; channels]),
            values => {
                let expected = format!("{channels} elements, one an output channel");
                Err(node.wrong("bias", expected, values.len().to_string()))
            }
        }
    }

    /// A bias of a layer of integers in input `k`: int32 in units of input scale times weight scale, or reals that are
    /// rounded to these.
    pub(super) fn integer_bias(
        &self,
        node: &Node,
        k: usize,
        weights: &Weights,
        input: QuantParams,
    ) -> Result<Bias, ImportError> {
        let channels = weights.out_channels();
        let WeightData::I8(codes, scales) = &weights.data else {
            return Err(node.wrong("weights", "int8", "float32"));
        };
        let unit =
            |channel: usize| input.scale * scales[if scales.len() == 1 { 0 } else { channel }];
        let bias = match self.optional(node, k)? {
            None => vec![0; channels],
            Some(Slot::Quantized(quantized)) => stated_bias(node, &quantized, channels, unit)?,
            Some(_) => {
                let values = self.real_bias(node, k, channels)?;
                let rounded = values.iter().enumerate().map(|(c, &b)| {
                    let q = (f64::from(b) / f64::from(unit(c))).round_ties_even();
                    // out of range: the sums below say so
                    q as i32
                });
                rounded.collect()
            }
        };
        check_sums(node, weights, codes, &bias)?;
        Ok(Bias::I32(bias))
    }

    /// The elements of a constant that ONNX would broadcast to a value, in memory order: one, one a channel, or one for each
    /// element of a sample.
    pub(super) fn spread<T: Copy>(
        &mut self,
        node: &Node,
        dims: &[usize],
        values: &[T],
        act: &Act,
    ) -> Result<Vec<T>, ImportError> {
        let rank = act.dims.len();
        let leading = dims.len().saturating_sub(rank);
        let mut own = vec![1; rank.saturating_sub(dims.len())];
        own.extend(&dims[leading..]);
        let fits = own.iter().zip(&act.dims).all(|(&c, &d)| c == d || c == 1);
        if !fits || dims[..leading].iter().any(|&d| d != 1) {
            let expected = format!("a constant that broadcasts to {:?}", act.dims);
            return Err(node.wrong("constant", expected, format!("{dims:?}")));
        }
        if values.len() == 1 {
            return Ok(values.to_vec());
        }
        let long: Vec<usize> = (0..rank).filter(|&a| own[a] != 1).collect();
        let is_aligned = act.layout.is_of(&act.dims);
        if is_aligned && long.len() == 1 && act.layout.innermost() == Some(long[0]) {
            return Ok(values.to_vec());
        }
        let count = elements(&act.dims).unwrap_or(usize::MAX);
        self.spend(node, count)?;
        let mut stride = values.len();
        let strides: Vec<usize> = own
            .iter()
            .map(|&d| {
                stride /= d.max(1);
                if d == 1 { 0 } else { stride }
            })
            .collect();
        let extents: Vec<(usize, usize)> = if is_aligned {
            act.layout.order().iter().map(|&a| (act.dims[a], strides[a])).collect()
        } else {
            act.dims.iter().copied().zip(strides).collect()
        };
        let mut all = Vec::with_capacity(count);
        walk(&extents, 0, &mut |k| all.extend(values.get(k)));
        if is_aligned {
            return Ok(all);
        }
        Ok(act.layout.indices().into_iter().map(|k| all[k]).collect())
    }
}

/// An int32 bias, whose scales must be the products of input's and weights'.
fn stated_bias(
    node: &Node,
    quantized: &QuantizedTensor,
    channels: usize,
    unit: impl Fn(usize) -> f32,
) -> Result<Vec<i32>, ImportError> {
    let Data::I32(bias) = &quantized.tensor.data else {
        return Err(node.wrong("bias", "int32", "another element type"));
    };
    let scales = &quantized.scale.scales;
    if bias.len() != channels || !(scales.len() == 1 || scales.len() == channels) {
        let expected = format!("{channels} elements, one an output channel");
        return Err(node.wrong("bias", expected, bias.len().to_string()));
    }
    for channel in 0..channels {
        let (found, wanted) = (scales[if scales.len() == 1 { 0 } else { channel }], unit(channel));
        if (found - wanted).abs() > wanted * 1e-5 {
            let expected = format!("input scale times weight scale, {wanted}");
            return Err(node.wrong("bias, scale", expected, found.to_string()));
        }
    }
    Ok(bias.clone())
}

/// Refuses a channel whose sums could leave int32 with some input.
fn check_sums(
    node: &Node,
    weights: &Weights,
    codes: &[i8],
    bias: &[i32],
) -> Result<(), ImportError> {
    let mut sums: Vec<i64> = bias.iter().map(|b| i64::from(*b).abs()).collect();
    for (i, q) in codes.iter().enumerate() {
        sums[weights.channel_of(i)] += 255 * i64::from(q.unsigned_abs());
    }
    match sums.iter().position(|&sum| sum > i64::from(i32::MAX)) {
        None => Ok(()),
        Some(channel) => Err(node.wrong(
            format!("bias and weights of output channel {channel}"),
            "sums within int32 whatever the input",
            sums[channel].to_string(),
        )),
    }
}
