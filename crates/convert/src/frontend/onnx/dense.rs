//! Gemm and MatMul with a constant: dense layers, whose weights take up the order of features that were flattened from an image.

use penjing_format::{Activation, ChannelAxis, Padding};

use super::build::{Act, Builder};
use super::conv::Layer;
use super::layout::Layout;
use super::operands::{Constant, KernelShape};
use super::source::Node;
use super::tensor::{Data, Tensor};
use crate::ImportError;
use crate::ir::{Bias, Conv, Dense, Op, WeightData, Weights};

impl<'s> Builder<'s> {
    pub(super) fn gemm(&mut self, node: &'s Node) -> Result<(), ImportError> {
        node.only_int("transA", 0)?;
        let act = self.act(node, 0)?;
        let [_, features] = act.dims[..] else {
            return Err(node.wrong("input", "[N, features]", format!("{:?}", act.dims)));
        };
        let transposed = node.int("transB", 0)? != 0;
        let constant = self.kernel(node, 1)?;
        let constant = self.scaled(node, constant, node.float("alpha", 1.0)?, "alpha")?;
        let beta = node.float("beta", 1.0)?;
        if beta != 1.0 && node.input(2).is_some() {
            return Err(node.wrong("beta", "1", beta.to_string()));
        }
        self.dense(node, &act, features, &constant, transposed)
    }

    /// Weights times a factor that is not 1.
    fn scaled(
        &mut self,
        node: &Node,
        constant: Constant,
        factor: f32,
        field: &str,
    ) -> Result<Constant, ImportError> {
        match constant {
            constant if factor == 1.0 => Ok(constant),
            Constant::Real(tensor) if factor.is_finite() => {
                let values = super::operands::reals(node, "weights", &tensor)?;
                self.spend(node, values.len())?;
                let data = Data::F32(values.iter().map(|w| w * factor).collect());
                Ok(Constant::Real(Tensor { dims: tensor.dims.clone(), data }.into()))
            }
            _ => Err(node.wrong(field, "1", factor.to_string())),
        }
    }

    pub(super) fn mat_mul(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let act = self.act(node, 0)?;
        let constant = self.kernel(node, 1)?;
        match act.dims[..] {
            [_, features] => self.dense(node, &act, features, &constant, false),
            [_, steps, features] => self.dense_steps(node, &act, steps, features, &constant),
            _ => Err(node.wrong(
                "input",
                "[N, features] or [N, T, features]",
                format!("{:?}", act.dims),
            )),
        }
    }

    fn dense(
        &mut self,
        node: &'s Node,
        act: &Act,
        features: usize,
        constant: &Constant,
        transposed: bool,
    ) -> Result<(), ImportError> {
        let mut weights = self.matrix(node, features, constant, transposed, &[])?;
        if !act.layout.is_row_major() {
            permute(&mut weights, &act.layout.indices());
        }
        let arithmetic = self.layer_arithmetic(node, act, constant.is_integer())?;
        let make = |weights, bias, activation: Activation| {
            Op::FullyConnected(Dense { weights, bias, activation })
        };
        let out = [1, weights.out_channels()];
        let layer = Layer { act, input: &[1, features], weights, output: &out };
        self.layer(node, arithmetic, layer, make, |id, kind| {
            let (dims, layout) = (out.to_vec(), Layout::row_major(&out));
            Act { id, dims, layout, kind, exclusive: false }
        })
    }

    /// The same dense layer at each step of a sequence: a convolution with a window of one element.
    fn dense_steps(
        &mut self,
        node: &'s Node,
        act: &Act,
        steps: usize,
        features: usize,
        constant: &Constant,
    ) -> Result<(), ImportError> {
        if !act.layout.agrees(&act.dims, &[0, 1, 2]) {
            let found = format!("{:?} in memory", act.layout.stored());
            return Err(node.wrong("input", "features that lie together", found));
        }
        let weights = self.matrix(node, features, constant, false, &[1, 1])?;
        let arithmetic = self.layer_arithmetic(node, act, constant.is_integer())?;
        let make = |weights, bias: Bias, activation| {
            let (stride, dilation, padding) = ([1, 1], [1, 1], Padding::default());
            Op::Conv2d(Conv { weights, bias, stride, dilation, padding, activation })
        };
        let out = weights.out_channels();
        let (input, output) = ([1, 1, steps, features], [1, 1, steps, out]);
        let layer = Layer { act, input: &input, weights, output: &output };
        self.layer(node, arithmetic, layer, make, |id, kind| {
            let dims = vec![1, steps, out];
            let layout = Layout::row_major(&dims);
            Act { id, dims, layout, kind, exclusive: false }
        })
    }

    /// `[out, taps.., in]` of a matrix `[in, out]`, or `[out, in]` where `transposed`.
    fn matrix(
        &mut self,
        node: &Node,
        features: usize,
        constant: &Constant,
        transposed: bool,
        taps: &[u32],
    ) -> Result<Weights, ImportError> {
        let (perm, out) = if transposed { ([0, 1], 0) } else { ([1, 0], 1) };
        match constant.dims() {
            dims if dims.len() == 2 && dims[1 - out] == features => {}
            dims => {
                let expected = format!("a matrix of {features} input features");
                return Err(node.wrong("weights", expected, format!("{dims:?}")));
            }
        }
        let dims = constant.dims().to_vec();
        let shape = KernelShape { dims: &dims, perm: &perm, out, axis: ChannelAxis::First };
        let mut weights = self.weights(node, constant, &shape)?;
        weights.shape.splice(1..1, taps.iter().copied());
        Ok(weights)
    }
}

/// Puts the input features of a matrix `[out, in]` into the order in which memory has them.
fn permute(weights: &mut Weights, indices: &[usize]) {
    fn rows<T: Copy>(data: &[T], indices: &[usize]) -> Vec<T> {
        let rows = data.chunks_exact(indices.len());
        rows.flat_map(|row| indices.iter().map(|&k| row[k])).collect()
    }
    match &mut weights.data {
        WeightData::F32(data, _) => *data = rows(data, indices),
        WeightData::I8(data, _) => *data = rows(data, indices),
    }
}
