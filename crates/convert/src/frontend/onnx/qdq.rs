//! QuantizeLinear and DequantizeLinear: constants that they wrap, values that they turn into integers and back, and how an op
//! between the two finds the grid of its result.

use std::rc::Rc;

use penjing_format::{Activation, DataType, QuantParams};

use super::build::{Act, Builder, Codes, Kind, Slot};
use super::source::Node;
use super::tensor::{Data, MAX_RANK, Tensor, dtype};
use crate::ImportError;
use crate::ir::{Op, ValueId};

/// A constant that a DequantizeLinear stands behind: `scale * (code - zero_point)`.
#[derive(Clone, Debug)]
pub(super) struct QuantizedTensor {
    /// Codes.
    pub(super) tensor: Rc<Tensor>,
    pub(super) scale: Scale,
}

/// Scales and zero points of a constant: one, or one for each index of `axis`.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i32>,
    pub(super) axis: usize,
}

/// What an op between DequantizeLinear and QuantizeLinear yields, and the nodes that it takes up.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) grid: QuantParams,
    pub(super) activation: Activation,
    /// The QuantizeLinear nodes, by position; and an activation before them.
    readers: Vec<usize>,
    absorbed: Option<usize>,
    codes: Codes,
}

/// In what an op computes.
#[derive(Debug)]
pub(super) enum Arithmetic {
    Real,
    Integer(Target),
}

impl QuantizedTensor {
    /// int8 codes around zero, as kernels have them: of int8, or of uint8 around 128.
    pub(super) fn symmetric(&self, node: &Node, field: &str) -> Result<Vec<i8>, ImportError> {
        let (codes, offset) = self.codes(node, field)?;
        match self.scale.zero_points.iter().find(|&&z| z - offset != 0) {
            None => Ok(codes),
            Some(z) => {
                let expected = format!("symmetric weights: zero point {offset}");
                Err(node.wrong(format!("{field}, zero point"), expected, z.to_string()))
            }
        }
    }

    /// int8 codes and the one grid of them.
    pub(super) fn per_tensor(
        &self,
        node: &Node,
        field: &str,
    ) -> Result<(Vec<i8>, QuantParams), ImportError> {
        let (codes, offset) = self.codes(node, field)?;
        match (&self.scale.scales[..], &self.scale.zero_points[..]) {
            (&[scale], &[zero_point]) => {
                Ok((codes, QuantParams { scale, zero_point: zero_point - offset }))
            }
            (scales, _) => {
                Err(node.wrong(format!("{field}, scale"), "one scale", scales.len().to_string()))
            }
        }
    }

    fn codes(&self, node: &Node, field: &str) -> Result<(Vec<i8>, i32), ImportError> {
        match &self.tensor.data {
            Data::I8(codes) => Ok((codes.clone(), 0)),
            Data::U8(codes) => Ok((codes.iter().map(|&c| (c ^ 0x80) as i8).collect(), 128)),
            _ => Err(node.wrong(field, "int8 or uint8 codes", "int32")),
        }
    }
}

impl Codes {
    /// A zero point as int8 has it.
    fn zero_point(self, zero_point: i32) -> i32 {
        match self {
            Self::I8 => zero_point,
            Self::U8 => zero_point - 128,
        }
    }
}

impl<'s> Builder<'s> {
    /// Scale and zero point of a QuantizeLinear or DequantizeLinear.
    fn scale(&self, node: &Node, rank: usize) -> Result<(Scale, Option<i32>), ImportError> {
        node.only_int("block_size", 0)?;
        let scale = self.constant(node, 1)?;
        let Data::F32(scales) = &scale.data else {
            return Err(node.wrong("scale", "float32", "another element type"));
        };
        let good = |s: &&f32| !(s.is_finite() && **s > 0.0);
        if let Some(bad) = scales.iter().find(good) {
            return Err(node.wrong("scale", "finite and positive", bad.to_string()));
        }
        let zero = self.optional_constant(node, 2)?;
        let (zero_points, kind) = match zero.as_deref() {
            None => (vec![0; scales.len()], None),
            Some(t) => (zero_points(node, &t.data)?, Some(t.data.dtype())),
        };
        if scales.is_empty() || scales.len() != zero_points.len() || scale.dims.len() > 1 {
            let found = format!("{:?} and {}", scale.dims, zero_points.len());
            return Err(node.wrong("scale", "as many scales as zero points", found));
        }
        let axis = match scales.len() {
            1 => 0,
            _ => node.axis("axis", node.int("axis", 1)?, rank)?,
        };
        Ok((Scale { scales: scales.clone(), zero_points, axis }, kind))
    }

    /// The grid of a value, whose codes ONNX spells as `codes` says.
    fn grid(&self, node: &Node, codes: Codes) -> Result<QuantParams, ImportError> {
        let (Scale { scales, zero_points, .. }, _) = self.scale(node, MAX_RANK)?;
        let (&[scale], &[zero_point]) = (&scales[..], &zero_points[..]) else {
            return Err(node.wrong("scale", "one scale for a value", scales.len().to_string()));
        };
        Ok(QuantParams { scale, zero_point: codes.zero_point(zero_point) })
    }

    pub(super) fn dequantize(&mut self, node: &'s Node) -> Result<(), ImportError> {
        match self.operand(node, 0)? {
            Slot::Constant(tensor) => {
                let (scale, _) = self.scale(node, tensor.dims.len())?;
                self.wrap(node, tensor, scale)
            }
            Slot::Quantized(_) => Err(node.wrong("input", "codes", "dequantized reals")),
            Slot::Value(act) => {
                let Kind::Codes(codes) = act.kind else {
                    return Err(node.wrong("input", "8-bit codes", "reals"));
                };
                let grid = self.grid(node, codes)?;
                self.set_grid(node, act.id, grid, codes)?;
                let kind = Kind::Dequantized(codes);
                self.bind_alias(node, &act, Act { kind, ..act.clone() });
                Ok(())
            }
        }
    }

    fn wrap(
        &mut self,
        node: &'s Node,
        tensor: Rc<Tensor>,
        scale: Scale,
    ) -> Result<(), ImportError> {
        let n = scale.scales.len();
        if n != 1 && tensor.dims.get(scale.axis) != Some(&n) {
            let expected =
                format!("one, or one an index of axis {} of {:?}", scale.axis, tensor.dims);
            return Err(node.wrong("scale", expected, n.to_string()));
        }
        if !matches!(tensor.data, Data::I8(_) | Data::U8(_) | Data::I32(_)) {
            return Err(node.wrong("input", "int8, uint8 or int32", "another element type"));
        }
        if let Some(name) = node.outputs.first() {
            self.set(name, Slot::Quantized(Rc::new(QuantizedTensor { tensor, scale })));
        }
        Ok(())
    }

    /// Holds an integer value to its grid; an input of the graph gets it here.
    fn set_grid(
        &mut self,
        node: &Node,
        id: ValueId,
        grid: QuantParams,
        codes: Codes,
    ) -> Result<(), ImportError> {
        let value = match self.graph.inputs.get_mut(id) {
            Some(input) => input,
            None => &mut self.graph.nodes[id - self.graph.inputs.len()].output,
        };
        let grid = match (value.dtype, codes) {
            (DataType::U8, _) => QuantParams { zero_point: grid.zero_point + 128, ..grid },
            _ => grid,
        };
        match value.quantization {
            None => value.quantization = Some(grid),
            Some(found) if found == grid => {}
            Some(found) => {
                let words =
                    |g: QuantParams| format!("scale {}, zero point {}", g.scale, g.zero_point);
                return Err(node.wrong(
                    "scale",
                    words(found) + " as the codes were made",
                    words(grid),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn quantize(&mut self, node: &'s Node) -> Result<(), ImportError> {
        node.only_int("precision", i64::from(dtype::FLOAT))
            .or_else(|_| node.only_int("precision", 0))?;
        match self.operand(node, 0)? {
            Slot::Constant(tensor) => self.quantize_constant(node, &tensor),
            Slot::Quantized(_) => Err(node.wrong("input", "reals", "a quantized constant")),
            Slot::Value(act) => {
                let codes = self.result_codes(node)?;
                let grid = self.grid(node, codes)?;
                let id = self.on_grid(node, act.id, grid, act.kind)?;
                let kind = Kind::Codes(codes);
                self.bind_alias(node, &act, Act { id, kind, ..act.clone() });
                Ok(())
            }
        }
    }

    /// int8 or uint8: by the zero point, else by `output_dtype`, else uint8.
    fn result_codes(&self, node: &Node) -> Result<Codes, ImportError> {
        let (_, of_zero_point) = self.scale(node, MAX_RANK)?;
        let stated = node.int("output_dtype", 0)?;
        match (of_zero_point, i32::try_from(stated).unwrap_or(-1)) {
            (Some(dtype::INT8), _) | (None, dtype::INT8) => Ok(Codes::I8),
            (Some(dtype::UINT8), _) | (None, dtype::UINT8 | 0) => Ok(Codes::U8),
            (_, found) => {
                Err(node.wrong("zero point", "int8 or uint8", super::tensor::dtype_name(found)))
            }
        }
    }

    /// The value on an int8 grid: itself where it is there, or quantized to it.
    fn on_grid(
        &mut self,
        node: &Node,
        id: ValueId,
        grid: QuantParams,
        kind: Kind,
    ) -> Result<ValueId, ImportError> {
        if let Kind::Codes(_) = kind {
            return Err(node.wrong("input", "reals", "8-bit codes"));
        }
        let value = self.value(id).clone();
        let unsigned = QuantParams { zero_point: grid.zero_point + 128, ..grid };
        let is_there = match value.dtype {
            DataType::I8 => value.quantization == Some(grid),
            DataType::U8 => value.quantization == Some(unsigned),
            _ => false,
        };
        if is_there {
            return Ok(id);
        }
        let output =
            crate::ir::Value { name: None, dtype: DataType::I8, quantization: Some(grid), ..value };
        Ok(self.push_value(node, Op::Quantize, vec![id], output))
    }

    /// Codes of a constant that the file holds as reals.
    fn quantize_constant(&mut self, node: &'s Node, tensor: &Tensor) -> Result<(), ImportError> {
        let codes = self.result_codes(node)?;
        let (scale, _) = self.scale(node, tensor.dims.len())?;
        let n = scale.scales.len();
        let Data::F32(reals) = &tensor.data else {
            return Err(node.wrong("input", "float32", "another element type"));
        };
        if n != 1 && tensor.dims.get(scale.axis) != Some(&n) {
            return Err(node.wrong("scale", "one, or one an index of its axis", n.to_string()));
        }
        self.spend(node, reals.len())?;
        let inner: usize = tensor.dims.iter().skip(scale.axis + 1).product();
        let code = |(i, &x): (usize, &f32)| {
            let k = if n == 1 { 0 } else { i / inner % n };
            let q =
                (x / scale.scales[k]).round_ties_even() as i64 + i64::from(scale.zero_points[k]);
            match codes {
                Codes::I8 => q.clamp(-128, 127),
                Codes::U8 => q.clamp(0, 255),
            }
        };
        let all = reals.iter().enumerate().map(code);
        let data = match codes {
            Codes::I8 => Data::I8(all.map(|q| q as i8).collect()),
            Codes::U8 => Data::U8(all.map(|q| q as u8).collect()),
        };
        self.bind_constant(node, Tensor { dims: tensor.dims.clone(), data });
        Ok(())
    }

    /// Whether an op computes in integers: all of its inputs are dequantized and all that reads its result, behind an activation
    /// that it can hold, is QuantizeLinear to one grid.
    pub(super) fn arithmetic(
        &self,
        node: &Node,
        inputs: &[&Act],
        fuses: bool,
    ) -> Result<Arithmetic, ImportError> {
        if !inputs.iter().all(|act| matches!(act.kind, Kind::Dequantized(_))) {
            return Ok(Arithmetic::Real);
        }
        Ok(self.target(node, fuses)?.map_or(Arithmetic::Real, Arithmetic::Integer))
    }

    fn target(&self, node: &Node, fuses: bool) -> Result<Option<Target>, ImportError> {
        let source = self.source;
        let Some(mut name) = node.outputs.first() else { return Ok(None) };
        let (mut activation, mut absorbed) = (Activation::None, None);
        if let &[reader] = source.readers(name)
            && fuses
            && source.is_inner(name)
            && let Some(found) = self.activation_of(&source.nodes[reader])?
            && let Some(next) = source.nodes[reader].outputs.first()
        {
            (activation, absorbed, name) = (found, Some(reader), next);
        }
        let readers = source.readers(name);
        let all = |k: &usize| source.nodes[*k].op == "QuantizeLinear";
        if readers.is_empty() || source.outputs.contains(name) || !readers.iter().all(all) {
            return Ok(None);
        }
        let grids = readers.iter().map(|&k| {
            let codes = self.result_codes(&source.nodes[k])?;
            Ok((self.grid(&source.nodes[k], codes)?, codes))
        });
        let grids = grids.collect::<Result<Vec<_>, ImportError>>()?;
        if grids.iter().any(|g| *g != grids[0]) {
            return Ok(None);
        }
        let ((grid, codes), readers) = (grids[0], readers.to_vec());
        Ok(Some(Target { grid, activation, readers, absorbed, codes }))
    }

    /// Names the codes that the nodes of the target yield.
    pub(super) fn bind_target(&mut self, target: &Target, act: Act) {
        let source = self.source;
        self.done[target.absorbed.unwrap_or(target.readers[0])] = true;
        for &reader in &target.readers {
            self.done[reader] = true;
            if let Some(name) = source.nodes[reader].outputs.first() {
                let exclusive = source.is_inner(name) && target.readers.len() == 1;
                let kind = Kind::Codes(target.codes);
                self.set(name, Slot::Value(Act { kind, exclusive, ..act.clone() }));
            }
        }
    }

    /// An int8 value of the same reals as an 8-bit value: itself, or the codes of uint8 less 128.
    pub(super) fn signed(&mut self, node: &Node, id: ValueId) -> Result<ValueId, ImportError> {
        let value = self.value(id);
        match (value.dtype, value.quantization) {
            (DataType::U8, Some(grid)) => {
                let grid = QuantParams { zero_point: grid.zero_point - 128, ..grid };
                self.on_grid_signed(node, id, grid)
            }
            _ => Ok(id),
        }
    }

    fn on_grid_signed(
        &mut self,
        node: &Node,
        id: ValueId,
        grid: QuantParams,
    ) -> Result<ValueId, ImportError> {
        let value = self.value(id).clone();
        let (dtype, quantization) = (DataType::I8, Some(grid));
        let output = crate::ir::Value { name: None, dtype, quantization, ..value };
        Ok(self.push_value(node, Op::Quantize, vec![id], output))
    }

    /// The int8 value requantized to a grid, where it is not on it.
    pub(super) fn requantized(&mut self, node: &Node, id: ValueId, grid: QuantParams) -> ValueId {
        let value = self.value(id).clone();
        if value.dtype == DataType::I8 && value.quantization == Some(grid) {
            return id;
        }
        let (dtype, quantization) = (DataType::I8, Some(grid));
        let output = crate::ir::Value { name: None, dtype, quantization, ..value };
        self.push_value(node, Op::Quantize, vec![id], output)
    }
}

fn zero_points(node: &Node, data: &Data) -> Result<Vec<i32>, ImportError> {
    match data {
        Data::I8(v) => Ok(v.iter().map(|&z| i32::from(z)).collect()),
        Data::U8(v) => Ok(v.iter().map(|&z| i32::from(z)).collect()),
        Data::I32(v) if v.iter().all(|&z| z == 0) => Ok(v.clone()),
        _ => Err(node.wrong("zero point", "int8, uint8, or 0 of int32", "another element type")),
    }
}
