//! Functions of each element by themselves: clamps, which join the op before them where they can, sigmoid, tanh; and softmax.

use penjing_format::{Activation, DataType};

use super::build::{Act, Builder, Kind, Slot};
use super::qdq::Arithmetic;
use super::source::Node;
use super::tensor::Data;
use crate::ImportError;
use crate::ir::Op;

impl<'s> Builder<'s> {
    pub(super) fn relu(&mut self, node: &'s Node) -> Result<(), ImportError> {
        self.activation(node, Activation::Relu)
    }

    pub(super) fn clip(&mut self, node: &'s Node) -> Result<(), ImportError> {
        match self.activation_of(node)? {
            Some(activation) => self.activation(node, activation),
            None => {
                Err(node.wrong("min, max", "constants 0 and 6, -1 and 1, or 0 and none", "others"))
            }
        }
    }

    /// The activation that the node is, if it is one that an op can hold.
    pub(super) fn activation_of(&self, node: &Node) -> Result<Option<Activation>, ImportError> {
        if node.op == "Relu" {
            return Ok(Some(Activation::Relu));
        }
        if node.op != "Clip" {
            return Ok(None);
        }
        let bound = |k: usize, none: f32| match node.input(k).map(|name| self.slot(name)) {
            None => Some(none),
            Some(Some(Slot::Constant(tensor))) => match tensor.data {
                Data::F32(ref v) if v.len() == 1 => Some(v[0]),
                _ => None,
            },
            Some(_) => None,
        };
        let bounds = (bound(1, f32::NEG_INFINITY), bound(2, f32::INFINITY));
        Ok(match bounds {
            (Some(0.0), Some(6.0)) => Some(Activation::Relu6),
            (Some(-1.0), Some(1.0)) => Some(Activation::ReluN1To1),
            (Some(0.0), Some(high)) if high >= f32::MAX => Some(Activation::Relu),
            _ => None,
        })
    }

    fn activation(&mut self, node: &'s Node, activation: Activation) -> Result<(), ImportError> {
        let act = self.act(node, 0)?;
        if let Kind::Real = act.kind
            && let Some(producer) = self.producer(&act)
            && let Some(fused) = producer.op.activation_mut().filter(|a| **a == Activation::None)
        {
            *fused = activation;
            self.bind_alias(node, &act.clone(), act);
            return Ok(());
        }
        let stored: Vec<usize> =
            self.value(act.id).shape.dims().iter().map(|&d| d as usize).collect();
        // a clamp of codes at the zero point is one of the reals too; other bounds may lie between two codes
        let kept = matches!(act.kind, Kind::Dequantized(_)) && activation == Activation::Relu;
        let arithmetic = self.arithmetic(node, &[&act], false)?;
        if kept && matches!(arithmetic, Arithmetic::Real) {
            let x = self.signed(node, act.id)?;
            let id = self.push(node, Op::Relu(activation), vec![x], &stored)?;
            self.bind(node, Act { id, ..act });
            return Ok(());
        }
        let x = self.operand_id(node, &arithmetic, &act)?;
        let id = self.push(node, Op::Relu(activation), vec![x], &stored)?;
        self.bind_result(node, &arithmetic, Act { id, kind: Kind::Real, ..act });
        Ok(())
    }

    /// Sigmoid, Softmax, Tanh.
    pub(super) fn smooth(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let act = self.act(node, 0)?;
        let op = match node.op {
            "Sigmoid" => Op::Logistic,
            "Tanh" => Op::Tanh,
            _ => {
                self.check_softmax_axis(node, &act)?;
                Op::Softmax
            }
        };
        let arithmetic = self.arithmetic(node, &[&act], false)?;
        let (x, stored) = self.in_memory(node, &arithmetic, &act)?;
        let (dtype, grid) = match &arithmetic {
            Arithmetic::Real => (DataType::F32, None),
            Arithmetic::Integer(target) => (DataType::I8, Some(target.grid)),
        };
        // softmax over all that a flattened image holds takes it as one row
        let stored = if op.name() == "softmax" && !act.layout.is_of(&act.dims) {
            act.dims.clone()
        } else {
            stored
        };
        let x = self.stored_as(node, x, &stored)?;
        let id = self.push_as(node, op, vec![x], &stored, dtype, grid)?;
        self.bind_result(node, &arithmetic, Act { id, kind: Kind::Real, ..act });
        Ok(())
    }

    fn check_softmax_axis(&self, node: &Node, act: &Act) -> Result<(), ImportError> {
        let axis = node.axis("axis", node.int("axis", -1)?, act.dims.len())?;
        let last = act.layout.order().last().copied();
        let aligned = act.layout.is_of(&act.dims);
        let whole = !aligned && act.dims.len() == 2 && axis == 1;
        if whole || (aligned && last == Some(axis)) {
            return Ok(());
        }
        let expected = format!("the axis that lies last in memory, {}", last.unwrap_or(0));
        Err(node.wrong("axis", expected, axis.to_string()))
    }
}
