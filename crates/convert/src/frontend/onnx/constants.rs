//! What is known before any input is: constants, and the arithmetic on shapes that exporters leave in a graph.

use super::build::{Builder, Slot};
use super::source::Node;
use super::tensor::{Data, Tensor, Wrong, dtype, dtype_name};
use crate::ImportError;

/// A shape holds no more numbers than this, and neither does what is computed from one.
const MAX_FOLDED: usize = 1 << 16;

impl<'s> Builder<'s> {
    pub(super) fn constant_node(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let wrong = |w: Wrong| node.wrong(w.field, w.expected, w.found);
        let tensor = if let Some(proto) = node.tensor("value")? {
            Tensor::decode(proto).map_err(wrong)?
        } else if let Some(values) = node.ints("value_ints")? {
            Tensor::vector(values.to_vec())
        } else if let Some(value) = node.optional_int("value_int")? {
            Tensor { dims: Vec::new(), data: Data::I64(vec![value]) }
        } else if node.attributes.names().any(|name| name == "value_float") {
            let value = node.float("value_float", 0.0)?;
            if value.is_nan() {
                return Err(node.wrong("value_float", "a number", "NaN"));
            }
            Tensor { dims: Vec::new(), data: Data::F32(vec![value + 0.0]) }
        } else {
            let found = node.attributes.names().next().unwrap_or("none").to_owned();
            return Err(node.wrong("value", "a tensor, integers or a float", found));
        };
        self.bind_constant(node, tensor);
        Ok(())
    }

    /// Shape: the batch counts as 1.
    pub(super) fn shape_of(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let dims = match self.operand(node, 0)? {
            Slot::Constant(tensor) => tensor.dims.clone(),
            Slot::Quantized(quantized) => quantized.tensor.dims.clone(),
            Slot::Value(act) => act.dims,
        };
        let place = |field: &str, default: usize| -> Result<usize, ImportError> {
            let Some(at) = node.optional_int(field)? else { return Ok(default) };
            let at = if at < 0 { at.saturating_add(dims.len() as i64) } else { at };
            Ok(usize::try_from(at).unwrap_or(0).min(dims.len()))
        };
        let (start, end) = (place("start", 0)?, place("end", dims.len())?);
        let part = dims.get(start..end).unwrap_or(&[]);
        // dimensions of a value fit 32 bits
        self.bind_constant(node, Tensor::vector(part.iter().map(|&d| d as i64).collect()));
        Ok(())
    }

    /// A list of integers, or one, as part of a shape's arithmetic.
    fn folded(&self, node: &Node, k: usize) -> Result<(Vec<i64>, bool), ImportError> {
        let tensor = self.constant(node, k)?;
        let integers =
            tensor.integers().filter(|_| tensor.dims.len() <= 1 && tensor.len() <= MAX_FOLDED);
        let integers = integers.ok_or_else(|| {
            let found = format!("{} of {:?}", dtype_name(tensor.data.dtype()), tensor.dims);
            node.wrong(format!("input {k}"), "integers of a shape", found)
        })?;
        Ok((integers, tensor.dims.is_empty()))
    }

    fn bind_folded(&mut self, node: &'s Node, values: Vec<i64>, scalar: bool) {
        let dims = if scalar { Vec::new() } else { vec![values.len()] };
        self.bind_constant(node, Tensor { dims, data: Data::I64(values) });
    }

    /// Gather of a shape's elements.
    pub(super) fn gather(&mut self, node: &'s Node) -> Result<(), ImportError> {
        node.only_int("axis", 0)?;
        let (values, _) = self.folded(node, 0)?;
        let (indices, scalar) = self.folded(node, 1)?;
        let chosen = indices.iter().map(|&at| Ok(values[node.axis("indices", at, values.len())?]));
        let chosen = chosen.collect::<Result<Vec<_>, ImportError>>()?;
        self.bind_folded(node, chosen, scalar);
        Ok(())
    }

    /// Slice of a shape, with a step of 1.
    pub(super) fn slice(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let (values, _) = self.folded(node, 0)?;
        let one = |k: usize, default: i64| match self.integers(node, k)?.as_deref() {
            None => Ok(default),
            Some(&[v]) => Ok(v),
            Some(found) => {
                Err(node.wrong(format!("input {k}"), "one number", format!("{found:?}")))
            }
        };
        let (axis, step) = (one(3, 0)?, one(4, 1)?);
        if !matches!(axis, 0 | -1) || step != 1 {
            return Err(node.wrong("axes, steps", "0 and 1", format!("{axis} and {step}")));
        }
        let place = |at: i64| {
            let at = if at < 0 { at.saturating_add(values.len() as i64) } else { at };
            usize::try_from(at).unwrap_or(0).min(values.len())
        };
        let part = values.get(place(one(1, 0)?)..place(one(2, i64::MAX)?)).unwrap_or(&[]);
        self.bind_folded(node, part.to_vec(), false);
        Ok(())
    }

    /// Cast of a shape, or one that changes nothing.
    pub(super) fn cast(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let to = i32::try_from(node.int("to", 0)?).unwrap_or(0);
        let wrong = |found: &str| {
            let expected = "a cast of integers of a shape, or of float32 to float32";
            node.wrong("to", expected, format!("{found} to {}", dtype_name(to)))
        };
        match self.operand(node, 0)? {
            Slot::Constant(tensor) => match (&tensor.data, to) {
                (Data::I64(_) | Data::I32(_), dtype::INT32 | dtype::INT64) => self.identity(node),
                (data, to) if data.dtype() == to => self.identity(node),
                (data, _) => Err(wrong(&dtype_name(data.dtype()))),
            },
            Slot::Value(act)
                if to == dtype::FLOAT && !matches!(act.kind, super::build::Kind::Codes(_)) =>
            {
                self.identity(node)
            }
            _ => Err(wrong("a value")),
        }
    }

    /// Add, Sub, Mul, Div of a shape's integers.
    pub(super) fn fold_binary(&mut self, node: &'s Node) -> Result<(), ImportError> {
        let ((a, a_scalar), (b, b_scalar)) = (self.folded(node, 0)?, self.folded(node, 1)?);
        let length = a.len().max(b.len());
        if ![a.len(), b.len()].iter().all(|&n| n == length || n == 1) {
            return Err(node.wrong(
                "inputs",
                "lists of one length",
                format!("{} and {}", a.len(), b.len()),
            ));
        }
        let at = |v: &[i64], k: usize| v[if v.len() == 1 { 0 } else { k }];
        let result = (0..length).map(|k| {
            let (x, y) = (at(&a, k), at(&b, k));
            match node.op {
                "Add" => x.checked_add(y),
                "Sub" => x.checked_sub(y),
                "Mul" => x.checked_mul(y),
                _ => x.checked_div(y),
            }
        });
        let result = result.collect::<Option<Vec<_>>>();
        let result =
            result.ok_or_else(|| node.wrong("inputs", "a result in 64 bits", "another"))?;
        self.bind_folded(node, result, a_scalar && b_scalar);
        Ok(())
    }
}
