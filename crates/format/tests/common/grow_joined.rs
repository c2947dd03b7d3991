//! Growth of random models by ops that join values, pool by the mean, pad or apply a function. Not a test itself.

use super::grow::Grower;
use super::joined;
use penjing_format::write::{AveragePool2d, Binary, Concat, Op};
use penjing_format::{Activation, DataType, Padding, QuantParams, Shape, TensorType};

impl Grower {
    /// An op that joins values, pools by the mean, pads or applies a function.
    pub(super) fn grow_joined(&mut self, kind: u32, from: u16, ty: TensorType) {
        let float = ty.dtype == DataType::F32;
        let activations = [Activation::Relu, Activation::Relu6, Activation::ReluN1To1];
        let activation = activations[self.below(3) as usize];
        let one = vec![from];
        let sums = matches!(ty.dtype, DataType::F32 | DataType::I8);
        let (op, inputs, shape, hands_on) = match (kind, ty.shape.dims()) {
            (7, &[n, h, w, c]) if sums => {
                let average = AveragePool2d { window: [1, w], ..joined::average() };
                let average = AveragePool2d { padding: Padding::default(), ..average };
                let shape = [n, h, 1, c].into();
                (Op::AveragePool2d(average), one, shape, true)
            }
            (8, &[n, .., c]) if sums && ty.shape.rank() == 4 => {
                (Op::Mean, one, [n, c].into(), self.below(2) == 0)
            }
            (9 | 10, _) if sums => {
                let two = self.below(2) == 0;
                let mut binary = joined::of_two(activation);
                if !two {
                    binary = self.operand(ty.shape, float);
                }
                let op = if kind == 9 { Op::Add(binary) } else { Op::Mul(binary) };
                (op, if two { vec![from; 2] } else { one }, ty.shape, false)
            }
            (11, &[n, ref sample @ ..]) => {
                let pairs: Vec<_> = sample.iter().map(|_| [self.below(2), self.below(3)]).collect();
                let dims = sample.iter().zip(&pairs).map(|(dim, [b, a])| dim + b + a);
                let shape = Shape::from_dims(std::iter::once(n).chain(dims)).unwrap();
                (joined::pad(&pairs), one, shape, true)
            }
            (12, dims) => {
                let axis = self.below(dims.len() as u32 - 1) + 1;
                let copies = self.below(3) + 1;
                let mut dims = dims.to_vec();
                dims[axis as usize] *= copies;
                let op = Op::Concat(Concat { axis });
                (op, vec![from; copies as usize], Shape::new(&dims).unwrap(), true)
            }
            (13, _) if sums => (Op::Relu(activation), one, ty.shape, true),
            (14, _) if sums => {
                let op = [Op::Softmax, Op::Logistic, Op::Tanh][self.below(3) as usize].clone();
                (op, one, ty.shape, false)
            }
            _ => return,
        };
        // Sums want operands of about the result's scale, which all scales here are but for the smallest.
        let quantization = if hands_on { ty.quantization } else { self.quantization(ty.dtype) };
        let scale = |q: QuantParams| QuantParams { scale: 0.01 + q.scale, ..q };
        let quantization = if hands_on { quantization } else { quantization.map(scale) };
        self.push(op, inputs, TensorType { shape, dtype: ty.dtype, quantization });
    }

    /// A constant for one, a channel's or a sample's elements.
    fn operand(&mut self, input: Shape, float: bool) -> Binary {
        let dims = input.dims();
        let shape: Shape = match self.below(3) {
            0 => [1].into(),
            1 => [dims[dims.len() - 1]].into(),
            // A reader takes elements of channels for these.
            _ if dims[1..dims.len() - 1].iter().all(|&dim| dim == 1) => {
                [dims[dims.len() - 1]].into()
            }
            _ => input,
        };
        let (mut operand, _) = self.weighted(shape, 1, float, false);
        operand.scales.truncate(1);
        let zero_point = if float { 0 } else { self.below(256) as i32 - 128 };
        joined::with(operand, zero_point)
    }
}
