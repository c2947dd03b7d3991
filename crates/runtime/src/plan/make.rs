//! From a group's nodes to its op: expanded weights, computed multipliers, chosen kernels.

use super::Slot;
use super::values::{GroupShape, Values, is_dynamic};
use crate::budget::product;
use crate::error::Error;
use crate::ops::average::AveragePool;
use crate::ops::binary::{Binary, Rule};
use crate::ops::conv_pool::{ConvPool, Planar};
use crate::ops::dynamic::Dynamic;
use crate::ops::elementwise::{Function, Unary};
use crate::ops::max_pool2d::MaxPool2d;
use crate::ops::moves::{Concat, Pad};
use crate::ops::softmax::Softmax;
use crate::ops::sums::{code_bounds, real_bounds};
use crate::ops::{Failure, Op, Planning, conv2d, depthwise_conv2d, fully_connected};
use alloc::boxed::Box;
use alloc::vec::Vec;
use penjing_format::read::{self, Step};
use penjing_format::{Activation, DataType, QuantParams, Shape, TensorType};
use penjing_quant::{
    Add, Codes, Requantize, logistic_table, relu_table, requantize_table, tanh_table,
};

/// A group's op, and what it reads.
pub(super) struct Made {
    pub(super) op: Op,
    /// The roots that it reads, in the op's order.
    pub(super) sources: Vec<usize>,
    /// Whether the result takes the place of the first source.
    pub(super) in_place: bool,
    /// The layout of the result where that is its reader's affair alone.
    pub(super) planar: Option<Planar>,
}

impl Made {
    /// Has the op write over source `index`, which becomes its first.
    pub(super) fn write_over(&mut self, index: usize) {
        if index > 0 {
            self.turn();
        }
        self.in_place = true;
    }

    fn turn(&mut self) {
        if let Op::Binary(op) = &mut self.op {
            op.turn();
            self.sources.reverse();
        }
    }
}

/// What ops are made of: the first node of a group, and its types.
struct Parts<'a> {
    step: &'a Step<'a>,
    input: &'a TensorType,
    output: &'a TensorType,
}

/// What the plan keeps of each value that a node reads: its number, its place, and what a join of values copies of it.
const SOURCE_BYTES: usize = 2 * size_of::<usize>() + size_of::<Slot>();

/// `planar` is how the group's input lies, where that is special; `private` says that a dense layer reads its result and nobody
/// else does.
pub(super) fn make_op(
    values: &Values,
    group: &GroupShape<'_>,
    planning: Planning<'_>,
    planar: Option<Planar>,
    private: bool,
) -> Result<Made, Error> {
    let step = &group.first;
    let node = step.index;
    let failed = |failure| match failure {
        Failure::Rank => Error::Unsupported { node, what: "a tensor of this rank" },
        Failure::TooLarge => Error::Unsupported { node, what: "an image of more than 4 GiB" },
        Failure::Scale => Error::Unsupported { node, what: "integers without a scale" },
        // `group` has left them out: they share their input's memory.
        Failure::Reshape => Error::Unsupported { node, what: "a reshape" },
        Failure::Memory(overdraft) => overdraft.into(),
        Failure::Packing(source) => Error::Weights { node, source },
    };
    let parts = Parts { step, input: &step.input.ty, output: &step.output.ty };
    // A few bytes of a file may name the same value again and again.
    let sources = product(&[step.operands().len(), SOURCE_BYTES]);
    planning.budget.take(sources)?;
    let mut made = Made {
        op: Op::Dequantize(QuantParams::PIXEL),
        sources: values.sources(group),
        in_place: false,
        planar: None,
    };
    made.op = match &step.op {
        read::Op::Conv2d(op) if is_dynamic(step) => {
            let (input, output) = (parts.input.shape, parts.output.shape);
            Op::Dynamic(Box::new(Dynamic::conv2d(planning, op, input, output).map_err(failed)?))
        }
        read::Op::FullyConnected(op) if is_dynamic(step) => {
            Op::Dynamic(Box::new(Dynamic::fully_connected(planning, op).map_err(failed)?))
        }
        read::Op::Conv2d(op) => {
            let (op, planar) = conv(group, op, planning, private).map_err(failed)?;
            made.planar = planar;
            op
        }
        read::Op::DepthwiseConv2d(op) => {
            let (input, output) = (parts.input, parts.output);
            let conv = depthwise_conv2d::DepthwiseConv2d::new(planning, op, input, output);
            Op::DepthwiseConv2d(Box::new(conv.map_err(failed)?))
        }
        read::Op::FullyConnected(op) => {
            let (input, output, planar) = (parts.input, parts.output, planar.as_ref());
            let op = fully_connected::FullyConnected::new(planning, op, input, output, planar);
            Op::FullyConnected(Box::new(op.map_err(failed)?))
        }
        _ => parts.light(planning).map_err(failed)?,
    };
    if matches!(&made.op, Op::Binary(op) if op.is_turned()) {
        made.turn();
    }
    Ok(made)
}

/// A convolution and the pool that it takes over, and the layout of what they make.
fn conv(
    group: &GroupShape<'_>,
    op: &read::Conv2d<'_>,
    planning: Planning<'_>,
    private: bool,
) -> Result<(Op, Option<Planar>), Failure> {
    let (input, output) = (&group.first.input.ty, &group.first.output.ty);
    let pool = group.pool.as_ref().map(pool).transpose()?;
    if let Some(pool) = &pool
        && let Some(mut op) = ConvPool::new(planning, op, pool, input, output)?
    {
        let planar = private.then(|| op.keep_planar().clone());
        return Ok((Op::ConvPool(Box::new(op)), planar));
    }
    let mut conv = conv2d::Conv2d::new(planning, op, input, output)?;
    if let Some(pool) = pool {
        conv.fuse(pool);
    }
    Ok((Op::Conv2d(Box::new(conv)), None))
}

fn pool(step: &Step<'_>) -> Result<MaxPool2d, Failure> {
    let (input, output) = (step.input.ty.shape, step.output.ty.shape);
    let op = match step.op {
        read::Op::MaxPool2d(op) => Some(op),
        read::Op::AveragePool2d(read::AveragePool2d { window, stride, padding }) => {
            Some(read::MaxPool2d { window, stride, padding })
        }
        _ => None,
    };
    op.and_then(|op| MaxPool2d::new(&op, input, output)).ok_or(Failure::Rank)
}

fn grid(ty: &TensorType) -> Result<QuantParams, Failure> {
    ty.quantization.ok_or(Failure::Scale)
}

impl Parts<'_> {
    fn is_real(&self) -> bool {
        self.input.dtype == DataType::F32
    }

    /// Grids of input and output; `None` of reals.
    fn grids(&self) -> Result<Option<[QuantParams; 2]>, Failure> {
        if self.is_real() {
            return Ok(None);
        }
        Ok(Some([grid(self.input)?, grid(self.output)?]))
    }

    /// What a function of codes keeps of its results, at least.
    fn table_bytes(&self) -> u64 {
        match &self.step.op {
            _ if self.is_real() => 0,
            read::Op::Softmax => 256 * size_of::<f32>() as u64,
            read::Op::Relu(_) | read::Op::Logistic | read::Op::Tanh | read::Op::Quantize => 256,
            _ => 0,
        }
    }

    /// An op without layers' weights.
    fn light(&self, planning: Planning<'_>) -> Result<Op, Failure> {
        let shape = self.input.shape;
        planning.budget.take(self.table_bytes())?;
        Ok(match &self.step.op {
            read::Op::MaxPool2d(_) => Op::MaxPool2d(pool(self.step)?),
            read::Op::AveragePool2d(_) => Op::AveragePool(AveragePool::new(pool(self.step)?)),
            read::Op::Mean => {
                Op::AveragePool(AveragePool::mean(shape, self.grids()?).ok_or(Failure::Rank)?)
            }
            read::Op::Add(op) | read::Op::Mul(op) => self.binary(op, planning)?,
            read::Op::Pad(op) => Op::Pad(Pad::new(op.pads, self.input)),
            read::Op::Concat(op) => {
                let shapes = self.step.operands().map(|operand| operand.ty.shape);
                Op::Concat(Concat::new(op.axis, self.input.dtype, shapes))
            }
            read::Op::Relu(activation) => self.relu(*activation)?,
            read::Op::Softmax => {
                let len = shape.last().map_or(1, |len| len as usize);
                Op::Softmax(Softmax::new(len, self.grids()?))
            }
            read::Op::Logistic => {
                let table = self.grids()?.map(|[input, output]| logistic_table(input, output));
                unary("logistic", table.map_or(Function::Logistic, Function::table))
            }
            read::Op::Tanh => {
                let table = self.grids()?.map(|[input, output]| tanh_table(input, output));
                unary("tanh", table.map_or(Function::Tanh, Function::table))
            }
            read::Op::Quantize if self.is_real() => Op::Quantize(grid(self.output)?),
            read::Op::Quantize => {
                let [from, to] = [self.input, self.output].map(|ty| codes(ty.dtype));
                let table = requantize_table((from, grid(self.input)?), (to, grid(self.output)?));
                unary("quantize", Function::table(table))
            }
            read::Op::Dequantize => Op::Dequantize(grid(self.input)?),
            _ => return Err(Failure::Reshape),
        })
    }

    fn relu(&self, activation: Activation) -> Result<Op, Failure> {
        let bounds = real_bounds(activation).unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        let [lo, hi] = bounds;
        let function = match self.grids()? {
            None => Function::ClampReals(bounds),
            Some([input, output]) if input == output => {
                let codes = input.bounds_alone(lo, hi, -128, 127);
                Function::Clamp(codes.map(|code| code as i8))
            }
            Some([input, output]) => Function::table(relu_table(input, output, bounds)),
        };
        Ok(unary("relu", function))
    }

    /// A sum or a product of two values, or of a value and a constant.
    fn binary(&self, op: &read::Binary<'_>, planning: Planning<'_>) -> Result<Op, Failure> {
        let is_sum = matches!(self.step.op, read::Op::Add(_));
        let constant = op.operand.as_ref();
        let second = self.step.second.map(|operand| operand.ty);
        let shape = constant.map(|constant| constant.shape).or(second.map(|ty| ty.shape));
        let shapes: [Shape; 2] = [self.input.shape, shape.ok_or(Failure::Rank)?];
        let rule = if self.is_real() {
            let bounds = real_bounds(op.activation);
            if is_sum { Rule::AddReals(bounds) } else { Rule::MulReals(bounds) }
        } else {
            let own = constant.map(|constant| QuantParams {
                scale: constant.scales.get(0),
                zero_point: op.operand_zero_point,
            });
            let second = own.or(second.and_then(|ty| ty.quantization)).ok_or(Failure::Scale)?;
            let (first, output) = (grid(self.input)?, grid(self.output)?);
            let bounds = code_bounds(op.activation, output);
            if is_sum {
                Rule::Add(Add::new(first, second, output, bounds))
            } else {
                let QuantParams { scale, zero_point } = output;
                let rule = Requantize::to_i8(first.scale, second.scale, scale, zero_point, bounds);
                Rule::Mul(rule, [first.zero_point, second.zero_point])
            }
        };
        let output = self.output.shape;
        Ok(Op::Binary(Box::new(Binary::new(planning, shapes, output, rule, constant)?)))
    }
}

fn unary(name: &'static str, function: Function) -> Op {
    Op::Unary(Unary { name, function })
}

fn codes(dtype: DataType) -> Codes {
    if dtype == DataType::U8 { Codes::U8 } else { Codes::I8 }
}
