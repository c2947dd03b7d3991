//! Ops that move elements or only name them anew: reshapes and transpositions (free, see `layout`), padding, concatenation.

use std::rc::Rc;

use super::build::{Act, Builder, Kind, Slot};
use super::layout::Layout;
use super::qdq::{Arithmetic, QuantizedTensor, Scale};
use super::source::Node;
use super::tensor::{Data, Tensor, elements};
use crate::ImportError;
use crate::ir::Op;

impl<'s> Builder<'s> {
    pub(super) fn identity(&mut self, node: &'s Node) -> Result<(), ImportError> {
        match self.operand(node, 0)? {
            Slot::Value(act) => self.bind_alias(node, &act.clone(), act),
            constant => {
                if let Some(name) = node.outputs.first() {
                    self.set(name, constant);
                }
            }
        }
        Ok(())
    }

    pub(super) fn dropout(&mut self, node: &'s Node) -> Result<(), ImportError> {
        if let Some(tensor) = self.optional_constant(node, 2)?
            && tensor.data != Data::Bool(vec![false])
        {
            return Err(node.wrong("training_mode", "false", "true"));
        }
        self.identity(node)
    }

    /// Names the value under other dimensions.
    fn renamed(&mut self, node: &'s Node, act: Act, dims: Vec<usize>) -> Result<(), ImportError> {
        if elements(&dims) != elements(&act.dims) || dims.first() != Some(&1) {
            let expected = format!("the elements of {:?}, the batch first", act.dims);
            return Err(node.wrong("shape", expected, format!("{dims:?}")));
        }
        let layout = act.layout.reshaped(&dims);
        self.bind_alias(node, &act.clone(), Act { dims, layout, ..act });
        Ok(())
    }

    /// The dimensions of a value or constant in input 0.
    fn dims_of(&self, node: &Node) -> Result<Vec<usize>, ImportError> {
        Ok(match self.operand(node, 0)? {
            Slot::Constant(tensor) => tensor.dims.clone(),
            Slot::Quantized(quantized) => quantized.tensor.dims.clone(),
            Slot::Value(act) => act.dims,
        })
    }

    fn with_dims(&mut self, node: &'s Node, dims: Vec<usize>) -> Result<(), ImportError> {
        match self.operand(node, 0)? {
            Slot::Value(act) => self.renamed(node, act, dims),
            Slot::Constant(tensor) => {
                if elements(&dims) != Some(tensor.len()) {
                    return Err(node.wrong(
                        "shape",
                        format!("{} elements", tensor.len()),
                        format!("{dims:?}"),
                    ));
                }
                self.spend(node, tensor.len())?;
                self.bind_constant(node, tensor.reshaped(dims));
                Ok(())
            }
            Slot::Quantized(quantized) => {
                let (count, scales) = (quantized.tensor.len(), quantized.scale.scales.len());
                if elements(&dims) != Some(count) || scales != 1 {
                    return Err(node.wrong(
                        "input",
                        "a constant of one scale and as many elements",
                        format!("{dims:?}"),
                    ));
                }
                self.spend(node, count)?;
                let (tensor, scale) =
                    (Rc::new(quantized.tensor.reshaped(dims)), quantized.scale.clone());
                self.set_quantized(node, QuantizedTensor { tensor, scale });
                Ok(())
            }
        }
    }

    fn set_quantized(&mut self, node: &'s Node, quantized: QuantizedTensor) {
        if let Some(name) = node.outputs.first() {
            self.set(name, Slot::Quantized(Rc::new(quantized)));
        }
    }

    pub(super) fn reshape(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let from = self.dims_of(node)?;
        let wanted =
            self.integers(node, 1)?.ok_or_else(|| node.wrong("shape", "a constant", "none"))?;
        let wrong =
            || node.wrong("shape", format!("the elements of {from:?}"), format!("{wanted:?}"));
        if node.int("allowzero", 0)? != 0 && wanted.contains(&0) {
            return Err(wrong());
        }
        let mut open = None;
        let mut dims = Vec::new();
        for (axis, &dim) in wanted.iter().enumerate() {
            dims.push(match dim {
                0 => *from.get(axis).ok_or_else(wrong)?,
                -1 if open.is_none() => {
                    open = Some(axis);
                    1
                }
                dim => usize::try_from(dim).map_err(|_| wrong())?,
            });
        }
        if let Some(axis) = open {
            let count = elements(&from).ok_or_else(wrong)?;
            let rest = elements(&dims).filter(|&rest| rest > 0).ok_or_else(wrong)?;
            dims[axis] = count / rest;
        }
        if elements(&dims) != elements(&from) {
            return Err(wrong());
        }
        self.with_dims(node, dims)
    }

    pub(super) fn flatten(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let from = self.dims_of(node)?;
        let axis = node.int("axis", 1)?;
        let axis = if axis == from.len() as i64 {
            from.len()
        } else {
            node.axis("axis", axis, from.len())?
        };
        let dims = [&from[..axis], &from[axis..]].map(|part| elements(part).unwrap_or(usize::MAX));
        self.with_dims(node, dims.to_vec())
    }

    /// Squeeze and Unsqueeze.
    pub(super) fn squeeze(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let from = self.dims_of(node)?;
        let axes = self.integers(node, 1)?;
        if node.op == "Squeeze" {
            let axes = match axes {
                None => (0..from.len()).filter(|&a| from[a] == 1 && a > 0).collect(),
                Some(axes) => {
                    let all = axes.into_iter().map(|a| node.axis("axes", a, from.len()));
                    all.collect::<Result<Vec<_>, _>>()?
                }
            };
            if let Some(&axis) = axes.iter().find(|&&a| from[a] != 1) {
                return Err(node.wrong(
                    "axes",
                    "axes of length 1",
                    format!("axis {axis} of {from:?}"),
                ));
            }
            let kept = from.iter().enumerate().filter(|(a, _)| !axes.contains(a));
            return self.with_dims(node, kept.map(|(_, &d)| d).collect());
        }
        let axes = axes.ok_or_else(|| node.wrong("axes", "a constant", "none"))?;
        let rank = from.len() + axes.len();
        let axes = axes.into_iter().map(|a| node.axis("axes", a, rank));
        let axes = axes.collect::<Result<Vec<_>, _>>()?;
        let mut rest = from.iter();
        let mut dims = Vec::new();
        for axis in 0..rank {
            let of_input = || node.wrong("axes", "different axes", format!("{axes:?}"));
            dims.push(if axes.contains(&axis) { 1 } else { *rest.next().ok_or_else(of_input)? });
        }
        if rest.next().is_some() {
            return Err(node.wrong("axes", "different axes", format!("{axes:?}")));
        }
        self.with_dims(node, dims)
    }

    pub(super) fn transpose(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let from = self.dims_of(node)?;
        let rank = from.len();
        let perm = match node.ints("perm")? {
            None => (0..rank).rev().collect(),
            Some(perm) => {
                let axes = perm.iter().map(|&a| node.axis("perm", a, rank));
                axes.collect::<Result<Vec<_>, _>>()?
            }
        };
        let mut seen = perm.clone();
        seen.sort_unstable();
        if !seen.into_iter().eq(0..rank) {
            return Err(node.wrong(
                "perm",
                format!("a permutation of {rank} axes"),
                format!("{perm:?}"),
            ));
        }
        match self.operand(node, 0)? {
            Slot::Value(act) => self.transpose_value(node, act, &perm),
            Slot::Constant(tensor) => {
                self.spend(node, tensor.len())?;
                self.bind_constant(node, tensor.transposed(&perm));
                Ok(())
            }
            Slot::Quantized(quantized) => {
                self.spend(node, quantized.tensor.len())?;
                let tensor = Rc::new(quantized.tensor.transposed(&perm));
                let axis = perm.iter().position(|&a| a == quantized.scale.axis).unwrap_or(0);
                let scale = Scale { axis, ..quantized.scale.clone() };
                self.set_quantized(node, QuantizedTensor { tensor, scale });
                Ok(())
            }
        }
    }

    fn transpose_value(
        &mut self,
        node: &'s Node,
        act: Act,
        perm: &[usize],
    ) -> Result<(), ImportError> {
        if perm.first() != Some(&0) || !act.layout.is_of(&act.dims) {
            let expected = "a permutation of an unflattened value that leaves the batch first";
            return Err(node.wrong("perm", expected, format!("{perm:?}")));
        }
        let dims = perm.iter().map(|&axis| act.dims[axis]).collect();
        let layout = act.layout.transposed(perm);
        self.bind_alias(node, &act.clone(), Act { dims, layout, ..act });
        Ok(())
    }

    pub(super) fn pad(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let mode = node.string("mode", "constant")?;
        if mode != "constant" {
            return Err(node.wrong("mode", "constant", mode));
        }
        self.check_pad_value(node)?;
        let act = self.act(node, 0)?;
        let rank = act.dims.len();
        let pads = self.pads(node, rank)?;
        if pads[0] != [0, 0] || !act.layout.is_of(&act.dims) {
            let expected = "padding of an unflattened value, none of the batch";
            return Err(node.wrong("pads", expected, format!("{pads:?}")));
        }
        let order = act.layout.order().to_vec();
        let stored = act.layout.stored();
        let dims: Vec<usize> =
            (0..rank).map(|a| act.dims[a] + pads[a][0] as usize + pads[a][1] as usize).collect();
        let id = self.signed(node, act.id)?;
        let mut id = self.stored_as(node, id, &stored)?;
        let layout = Layout::with_order(&dims, order.clone());
        if dims != act.dims {
            let of_memory = order.iter().skip(1).map(|&a| pads[a]).collect();
            id = self.push(node, Op::Pad(of_memory), vec![id], &layout.stored())?;
        }
        let result = Act { id, dims, layout, ..act.clone() };
        self.bind_moved(node, &act, result);
        Ok(())
    }

    /// Names the result of an op that only moves elements: reals stay reals, codes stay codes of the same grid.
    fn bind_moved(&mut self, node: &'s Node, input: &Act, result: Act) {
        if input.id == result.id {
            self.bind_alias(node, input, result);
        } else {
            self.bind(node, result);
        }
    }

    /// Before and after of each of ONNX's axes.
    fn pads(&self, node: &Node, rank: usize) -> Result<Vec<[u32; 2]>, ImportError> {
        let pads =
            self.integers(node, 1)?.ok_or_else(|| node.wrong("pads", "a constant", "none"))?;
        let axes = match self.integers(node, 3)? {
            None => (0..rank).collect(),
            Some(axes) => {
                let all = axes.into_iter().map(|a| node.axis("axes", a, rank));
                all.collect::<Result<Vec<_>, _>>()?
            }
        };
        let narrow = |&v: &i64| u16::try_from(v).ok().map(u32::from);
        let found: Option<Vec<u32>> = pads.iter().map(narrow).collect();
        let found = found.filter(|found| found.len() == 2 * axes.len()).ok_or_else(|| {
            let expected = format!("{} numbers from 0 to 65535", 2 * axes.len());
            node.wrong("pads", expected, format!("{pads:?}"))
        })?;
        let mut all = vec![[0, 0]; rank];
        for (k, &axis) in axes.iter().enumerate() {
            all[axis] = [found[k], found[axes.len() + k]];
        }
        Ok(all)
    }

    fn check_pad_value(&self, node: &Node) -> Result<(), ImportError> {
        let expected = "0, or the zero point of codes";
        let found = match self.optional(node, 2)? {
            None => return Ok(()),
            Some(Slot::Constant(tensor)) => match &tensor.data {
                Data::F32(v) if v[..] == [0.0] => return Ok(()),
                data => format!("{data:?}"),
            },
            Some(Slot::Quantized(quantized)) => {
                let (codes, grid) = quantized.per_tensor(node, "value")?;
                if codes.iter().all(|&c| i32::from(c) == grid.zero_point) && codes.len() == 1 {
                    return Ok(());
                }
                "another number".to_owned()
            }
            Some(Slot::Value(_)) => "a value".to_owned(),
        };
        Err(node.wrong("constant_value", expected, found))
    }

    pub(super) fn concat(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let slots: Vec<Slot> =
            (0..node.inputs.len()).map(|k| self.operand(node, k)).collect::<Result<_, _>>()?;
        if slots.is_empty() {
            return Err(node.wrong("inputs", "at least one", "none"));
        }
        if slots.iter().all(|slot| matches!(slot, Slot::Constant(_))) {
            return self.concat_constants(node);
        }
        let acts: Vec<Act> =
            (0..slots.len()).map(|k| self.act(node, k)).collect::<Result<_, _>>()?;
        let rank = acts[0].dims.len();
        let axis =
            node.optional_int("axis")?.ok_or_else(|| node.wrong("axis", "an axis", "none"))?;
        let axis = node.axis("axis", axis, rank)?;
        let (dims, order) = concatenated(node, &acts, axis)?;
        let arithmetic = self.arithmetic(node, &acts.iter().collect::<Vec<_>>(), false)?;
        let mut ids = Vec::new();
        for act in &acts {
            let id = match &arithmetic {
                Arithmetic::Real => self.real_of(node, act.clone())?.id,
                Arithmetic::Integer(target) => {
                    let id = self.signed(node, act.id)?;
                    self.requantized(node, id, target.grid)
                }
            };
            let stored: Vec<usize> = order.iter().map(|&a| act.dims[a]).collect();
            ids.push(self.stored_as(node, id, &stored)?);
        }
        let layout = Layout::with_order(&dims, order.clone());
        let place = order.iter().position(|&a| a == axis).unwrap_or(axis);
        let id = self.push(node, Op::Concat { axis: place }, ids, &layout.stored())?;
        let act = Act { id, dims, layout, kind: Kind::Real, exclusive: false };
        self.bind_result(node, &arithmetic, act);
        Ok(())
    }

    fn concat_constants(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let mut all = Vec::new();
        for k in 0..node.inputs.len() {
            let tensor = self.constant(node, k)?;
            match tensor.integers() {
                Some(v) if tensor.dims.len() == 1 => all.extend(v),
                _ => {
                    return Err(node.wrong(
                        format!("input {k}"),
                        "a list of integers",
                        "another constant",
                    ));
                }
            }
            self.spend(node, tensor.len())?;
        }
        self.bind_constant(node, Tensor::vector(all));
        Ok(())
    }
}

/// Dimensions of a concatenation, and the order of axes in memory that all inputs have.
fn concatenated(
    node: &Node,
    acts: &[Act],
    axis: usize,
) -> Result<(Vec<usize>, Vec<usize>), ImportError> {
    let mut dims = acts[0].dims.clone();
    dims[axis] = 0;
    for act in acts {
        let same = |a: usize| a == axis || act.dims[a] == dims[a];
        if act.dims.len() != dims.len() || !(0..dims.len()).all(same) || axis == 0 {
            let expected = "values alike but for the axis, which is not the batch";
            return Err(node.wrong("inputs", expected, format!("axis {axis} of {:?}", act.dims)));
        }
        dims[axis] = dims[axis].saturating_add(act.dims[axis]);
    }
    let fits = |order: &[usize]| acts.iter().all(|act| act.layout.agrees(&act.dims, order));
    let order = acts.iter().map(|act| act.layout.order()).find(|order| fits(order));
    let order = order.ok_or_else(|| {
        let found: Vec<_> = acts.iter().map(|act| act.layout.stored()).collect();
        node.wrong("inputs", "the same order in memory", format!("{found:?}"))
    })?;
    Ok((dims, order.to_vec()))
}
