//! Sums and products, of two values or with a constant, and batch normalization; folded into the layer before them where
//! they can be.

use penjing_format::{Activation, DataType};

use super::build::{Act, Builder, Kind};
use super::layout::Layout;
use super::operands::{Constant, reals};
use super::qdq::Arithmetic;
use super::source::Node;
use super::tensor::Tensor;
use crate::ImportError;
use crate::ir::{Bias, Binary, Op, Operand, WeightData};

/// Which op of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Add,
    Mul,
}

impl Sort {
    fn op(self, binary: Binary) -> Op {
        match self {
            Self::Add => Op::Add(binary),
            Self::Mul => Op::Mul(binary),
        }
    }
}

impl<'s> Builder<'s> {
    /// Add and Sub.
    pub(super) fn add(&mut self, node: &'s Node) -> Result<(), ImportError> {
        self.binary(node, Sort::Add, node.op == "Sub", |c| -c)
    }

    /// Mul and Div.
    pub(super) fn mul(&mut self, node: &'s Node) -> Result<(), ImportError> {
        self.binary(node, Sort::Mul, node.op == "Div", |c| 1.0 / c)
    }

    fn binary(
        &mut self,
        node: &'s Node,
        sort: Sort,
        inverse: bool,
        invert: impl Fn(f32) -> f32,
    ) -> Result<(), ImportError> {
        let (first, second) = (self.any_constant(node, 0)?, self.any_constant(node, 1)?);
        match (first, second) {
            (Some(Constant::Real(_)), Some(Constant::Real(_))) => self.fold_binary(node),
            (None, None) if !inverse => self.two_values(node, sort),
            (None, Some(constant)) => {
                let inverted = |t: &Tensor| {
                    let values = reals(node, "constant", t)?;
                    Ok(values.iter().map(|&c| if inverse { invert(c) } else { c } + 0.0).collect())
                };
                let act = self.act(node, 0)?;
                self.with_constant(node, sort, act, &constant, inverse, inverted)
            }
            (Some(constant), None) if !inverse => {
                let act = self.act(node, 1)?;
                let plain = |t: &Tensor| Ok(reals(node, "constant", t)?.to_vec());
                self.with_constant(node, sort, act, &constant, false, plain)
            }
            (Some(_), None) => Err(node.wrong("input 1", "a constant", "a value")),
            (None, None) => Err(node.wrong("input 1", "a constant", "a value")),
            (Some(_), Some(_)) => Err(node.wrong("inputs", "a value", "quantized constants")),
        }
    }

    fn with_constant(
        &mut self,
        node: &'s Node,
        sort: Sort,
        act: Act,
        constant: &Constant,
        inverse: bool,
        values: impl Fn(&Tensor) -> Result<Vec<f32>, ImportError>,
    ) -> Result<(), ImportError> {
        let arithmetic = self.arithmetic(node, &[&act], true)?;
        match (&arithmetic, constant) {
            (Arithmetic::Real, Constant::Real(tensor)) => {
                let act = self.real_of(node, act)?;
                let spread = self.spread(node, &tensor.dims, &values(tensor)?, &act)?;
                if let Some(v) = spread.iter().find(|v| !v.is_finite()) {
                    return Err(node.wrong("constant", "finite numbers", v.to_string()));
                }
                self.real_constant(node, sort, act, spread)
            }
            (Arithmetic::Integer(target), Constant::Integer(quantized)) if !inverse => {
                let (codes, grid) = quantized.per_tensor(node, "constant")?;
                let codes = self.spread(node, &quantized.tensor.dims, &codes, &act)?;
                let data = WeightData::I8(codes, vec![grid.scale]);
                let operand = Some(Operand { data, zero_point: grid.zero_point });
                let op = sort.op(Binary { operand, activation: target.activation });
                let (x, stored) = self.in_memory(node, &arithmetic, &act)?;
                let grid = Some(target.grid);
                let id = self.push_as(node, op, vec![x], &stored, DataType::I8, grid)?;
                self.bind_target(target, Act { id, ..act });
                Ok(())
            }
            (Arithmetic::Integer(_), _) => {
                let expected = "an int8 constant behind DequantizeLinear added or multiplied";
                Err(node.wrong("constant", expected, "float32, or a subtraction or division"))
            }
            (Arithmetic::Real, Constant::Integer(_)) => {
                let expected = "input and output quantized, as the constant is";
                Err(node.wrong("quantization", expected, "one of them is not"))
            }
        }
    }

    /// The value that an op of that arithmetic reads, and its dimensions in memory.
    pub(super) fn in_memory(
        &mut self,
        node: &Node,
        arithmetic: &Arithmetic,
        act: &Act,
    ) -> Result<(usize, Vec<usize>), ImportError> {
        let id = self.operand_id(node, arithmetic, act)?;
        let stored = act.layout.stored();
        Ok((self.stored_as(node, id, &stored)?, stored))
    }

    /// A sum or product with a constant of reals: in the layer before it where it can be, else a node.
    fn real_constant(
        &mut self,
        node: &'s Node,
        sort: Sort,
        act: Act,
        constant: Vec<f32>,
    ) -> Result<(), ImportError> {
        let folded = match sort {
            Sort::Add => self.fold(&act, &[1.0], &constant),
            Sort::Mul => self.fold(&act, &constant, &[0.0]),
        };
        if folded {
            self.bind_alias(node, &act.clone(), act);
            return Ok(());
        }
        let id = self.constant_node_of(node, sort, &act, constant)?;
        self.bind(node, Act { id, ..act });
        Ok(())
    }

    fn constant_node_of(
        &mut self,
        node: &Node,
        sort: Sort,
        act: &Act,
        constant: Vec<f32>,
    ) -> Result<usize, ImportError> {
        let stored = act.layout.stored();
        let x = self.stored_as(node, act.id, &stored)?;
        let operand = Some(Operand { data: WeightData::F32(constant, None), zero_point: 0 });
        let op = sort.op(Binary { operand, activation: Activation::None });
        self.push(node, op, vec![x], &stored)
    }

    /// Takes `y * scale + shift` into the layer that yields `y`, if it is one of reals that nothing else reads and scale and
    /// shift are one number or one a channel. Tells whether it did.
    fn fold(&mut self, act: &Act, scale: &[f32], shift: &[f32]) -> bool {
        let channels = match self.value(act.id).shape.last() {
            Some(channels) if act.layout.is_of(&act.dims) => channels as usize,
            _ => return false,
        };
        let innermost = act.layout.innermost().map_or(1, |axis| act.dims[axis]);
        let fits = |c: &[f32]| c.len() == 1 || (c.len() == channels && innermost == channels);
        let Some(producer) = self.producer(act).filter(|_| fits(scale) && fits(shift)) else {
            return false;
        };
        if producer.op.activation_mut().is_some_and(|a| *a != Activation::None) {
            return false;
        }
        let Some((weights, bias)) = producer.op.layer_mut() else { return false };
        if weights.out_channels() != channels {
            return false;
        }
        let of = |c: &[f32], channel: usize| f64::from(c[if c.len() == 1 { 0 } else { channel }]);
        let channel_of: Vec<usize> =
            (0..weights.data.len()).map(|i| weights.channel_of(i)).collect();
        let (WeightData::F32(weights, _), Bias::F32(bias)) = (&mut weights.data, bias) else {
            return false;
        };
        let new_weights: Vec<f32> = weights
            .iter()
            .zip(&channel_of)
            .map(|(&w, &c)| (f64::from(w) * of(scale, c)) as f32 + 0.0)
            .collect();
        let new_bias = bias.iter().enumerate();
        let new_bias: Vec<f32> = new_bias
            .map(|(c, &b)| (f64::from(b) * of(scale, c) + of(shift, c)) as f32 + 0.0)
            .collect();
        if !new_weights.iter().chain(&new_bias).all(|v| v.is_finite()) {
            return false;
        }
        (*weights, *bias) = (new_weights, new_bias);
        true
    }

    pub(super) fn batch_normalization(&mut self, node: &'s Node) -> Result<(), ImportError> {
        node.only_int("training_mode", 0)?;
        let act = self.act(node, 0)?;
        if let Arithmetic::Integer(_) = self.arithmetic(node, &[&act], true)? {
            let expected = "a normalization folded into its layer before quantization";
            return Err(node.wrong("quantization", expected, "one by itself"));
        }
        let act = self.real_of(node, act)?;
        let Some(&channels) = act.dims.get(1) else {
            return Err(node.wrong("input", "[N, C, ..]", format!("{:?}", act.dims)));
        };
        let mut facts = Vec::new();
        for k in 1..5 {
            let tensor = self.constant(node, k)?;
            match reals(node, "statistics", &tensor)? {
                values if values.len() == channels => facts.push(values.to_vec()),
                values => {
                    let expected = format!("{channels} numbers, one a channel");
                    return Err(node.wrong(
                        format!("input {k}"),
                        expected,
                        values.len().to_string(),
                    ));
                }
            }
        }
        let epsilon = f64::from(node.float("epsilon", 1e-5)?);
        let affine = (0..channels).map(|c| {
            let [gamma, beta, mean, var] = [0, 1, 2, 3].map(|k: usize| f64::from(facts[k][c]));
            let scale = gamma / (var + epsilon).sqrt();
            (scale as f32 + 0.0, (beta - mean * scale) as f32 + 0.0)
        });
        let (scale, shift): (Vec<f32>, Vec<f32>) = affine.unzip();
        if !scale.iter().chain(&shift).all(|v| v.is_finite()) {
            return Err(node.wrong(
                "statistics",
                "variance above -epsilon",
                "a scale that is not finite",
            ));
        }
        let mut dims = vec![1; act.dims.len()];
        dims[1] = channels;
        let scale = self.spread(node, &dims, &scale, &act)?;
        let shift = self.spread(node, &dims, &shift, &act)?;
        if self.fold(&act, &scale, &shift) {
            self.bind_alias(node, &act.clone(), act);
            return Ok(());
        }
        let id = self.constant_node_of(node, Sort::Mul, &act, scale)?;
        let id = self.constant_node_of(node, Sort::Add, &Act { id, ..act.clone() }, shift)?;
        self.bind(node, Act { id, ..act });
        Ok(())
    }

    fn two_values(&mut self, node: &'s Node, sort: Sort) -> Result<(), ImportError> {
        let (a, b) = (self.act(node, 0)?, self.act(node, 1)?);
        let arithmetic = self.arithmetic(node, &[&a, &b], true)?;
        let (dims, layout) = joined(node, &a, &b)?;
        let mut ids = Vec::new();
        for act in [&a, &b] {
            let id = self.operand_id(node, &arithmetic, act)?;
            let stored = match layout.is_of(&dims) {
                true => layout.order().iter().map(|&axis| act.dims[axis]).collect(),
                false => layout.stored(),
            };
            ids.push(self.stored_as(node, id, &stored)?);
        }
        let (dtype, grid, activation) = match &arithmetic {
            Arithmetic::Real => (DataType::F32, None, Activation::None),
            Arithmetic::Integer(target) => (DataType::I8, Some(target.grid), target.activation),
        };
        let op = sort.op(Binary { operand: None, activation });
        let id = self.push_as(node, op, ids, &layout.stored(), dtype, grid)?;
        let act = Act { id, dims, layout, kind: Kind::Real, exclusive: false };
        self.bind_result(node, &arithmetic, act);
        Ok(())
    }
}

/// Dimensions and memory order of an op of two values.
fn joined(node: &Node, a: &Act, b: &Act) -> Result<(Vec<usize>, Layout), ImportError> {
    let wrong = |expected: &str| {
        let words = |act: &Act| format!("{:?} (memory {:?})", act.dims, act.layout.stored());
        node.wrong("inputs", expected, format!("{} and {}", words(a), words(b)))
    };
    if a.dims.len() != b.dims.len() {
        return Err(wrong("as many dimensions"));
    }
    let dims = a.dims.iter().zip(&b.dims).map(|(&x, &y)| match (x, y) {
        (x, y) if x == y => Some(x),
        (x, 1) => Some(x),
        (1, y) => Some(y),
        _ => None,
    });
    let dims: Vec<usize> =
        dims.collect::<Option<_>>().ok_or_else(|| wrong("dimensions that are equal or 1"))?;
    if a.dims == b.dims && a.layout == b.layout {
        return Ok((dims, a.layout.clone()));
    }
    let fits = |order: &[usize]| a.layout.agrees(&a.dims, order) && b.layout.agrees(&b.dims, order);
    let order = [a.layout.order(), b.layout.order()].into_iter().find(|order| fits(order));
    let order = order.ok_or_else(|| wrong("the same order in memory"))?;
    Ok((dims.clone(), Layout::with_order(&dims, order.to_vec())))
}
