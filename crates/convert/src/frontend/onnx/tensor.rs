//! Constants of an ONNX file: their elements, checked against their dimensions before anything is allocated, and moved to
//! other axis orders. No meaning of any op.

use super::proto::TensorProto;

/// A constant as the file holds it, row-major in ONNX's axis order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) data: Data,
}

/// Elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
    I32(Vec<i32>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    Bool(Vec<bool>),
}

/// What is wrong with a tensor: a field, what was expected, what was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) expected: String,
    pub(super) found: String,
}

impl Wrong {
    pub(super) fn new(
        field: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { field, expected: expected.into(), found: found.into() }
    }
}

/// The numbers of ONNX's element types that are read.
pub(super) mod dtype {
    pub(in super::super) const FLOAT: i32 = 1;
    pub(in super::super) const UINT8: i32 = 2;
    pub(in super::super) const INT8: i32 = 3;
    pub(in super::super) const INT32: i32 = 6;
    pub(in super::super) const INT64: i32 = 7;
    pub(in super::super) const BOOL: i32 = 9;
}

/// An element type in words.
pub(super) fn dtype_name(number: i32) -> String {
    const NAMES: [&str; 17] = [
        "undefined",
        "float32",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "float64",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
    ];
    let name = usize::try_from(number).ok().and_then(|n| NAMES.get(n));
    name.map_or_else(|| format!("element type {number}"), |&name| name.to_owned())
}

/// `data_location` of a tensor whose elements lie in another file.
const EXTERNAL: i32 = 1;

impl Tensor {
    /// The elements of a message.
    pub(super) fn decode(proto: &TensorProto) -> Result<Self, Wrong> {
        if proto.data_location == EXTERNAL {
            return Err(Wrong::new("data_location", "data within the file", "external data"));
        }
        let dims = dims(&proto.dims)?;
        let count = elements(&dims)
            .ok_or_else(|| Wrong::new("dims", "at most 2^32 elements", format!("{dims:?}")))?;
        let data = Data::decode(proto, count)?;
        Ok(Self { dims, data })
    }

    pub(super) fn vector(values: Vec<i64>) -> Self {
        Self { dims: vec![values.len()], data: Data::I64(values) }
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// The integers of a shape, a list of axes, an index.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        match &self.data {
            Data::I64(v) => Some(v.clone()),
            Data::I32(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
            _ => None,
        }
    }

    /// With axis `i` being the old axis `perm[i]`. `perm` is a permutation of the axes.
    pub(super) fn transposed(&self, perm: &[usize]) -> Self {
        let dims = perm.iter().map(|&axis| self.dims[axis]).collect();
        let data = match &self.data {
            Data::F32(v) => Data::F32(transpose(v, &self.dims, perm)),
            Data::I64(v) => Data::I64(transpose(v, &self.dims, perm)),
            Data::I32(v) => Data::I32(transpose(v, &self.dims, perm)),
            Data::I8(v) => Data::I8(transpose(v, &self.dims, perm)),
            Data::U8(v) => Data::U8(transpose(v, &self.dims, perm)),
            Data::Bool(v) => Data::Bool(transpose(v, &self.dims, perm)),
        };
        Self { dims, data }
    }

    pub(super) fn reshaped(&self, dims: Vec<usize>) -> Self {
        Self { dims, data: self.data.clone() }
    }
}

impl Data {
    fn decode(proto: &TensorProto, count: usize) -> Result<Self, Wrong> {
        let small = |limits: std::ops::RangeInclusive<i32>| {
            let values = typed(&proto.int32_data, count, "int32_data")?;
            match values.iter().find(|v| !limits.contains(v)) {
                None => Ok(values),
                Some(v) => Err(Wrong::new("int32_data", format!("{limits:?}"), v.to_string())),
            }
        };
        let raw = !proto.raw_data.is_empty();
        let bytes = &proto.raw_data;
        Ok(match (proto.data_type, raw) {
            (dtype::FLOAT, true) => Self::F32(reals(chunks(bytes, count, f32::from_le_bytes)?)?),
            (dtype::FLOAT, false) => {
                Self::F32(reals(typed(&proto.float_data, count, "float_data")?)?)
            }
            (dtype::INT64, true) => Self::I64(chunks(bytes, count, i64::from_le_bytes)?),
            (dtype::INT64, false) => Self::I64(typed(&proto.int64_data, count, "int64_data")?),
            (dtype::INT32, true) => Self::I32(chunks(bytes, count, i32::from_le_bytes)?),
            (dtype::INT32, false) => Self::I32(typed(&proto.int32_data, count, "int32_data")?),
            (dtype::INT8, true) => Self::I8(chunks(bytes, count, i8::from_le_bytes)?),
            (dtype::INT8, false) => Self::I8(small(-128..=127)?.iter().map(|&v| v as i8).collect()),
            (dtype::UINT8, true) => Self::U8(chunks(bytes, count, u8::from_le_bytes)?),
            (dtype::UINT8, false) => Self::U8(small(0..=255)?.iter().map(|&v| v as u8).collect()),
            (dtype::BOOL, true) => Self::Bool(chunks(bytes, count, |[b]: [u8; 1]| b != 0)?),
            (dtype::BOOL, false) => Self::Bool(small(0..=1)?.iter().map(|&v| v != 0).collect()),
            (other, _) => {
                let expected = "float32, int64, int32, int8, uint8 or bool";
                return Err(Wrong::new("data_type", expected, dtype_name(other)));
            }
        })
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    pub(super) fn dtype(&self) -> i32 {
        match self {
            Self::F32(_) => dtype::FLOAT,
            Self::I64(_) => dtype::INT64,
            Self::I32(_) => dtype::INT32,
            Self::I8(_) => dtype::INT8,
            Self::U8(_) => dtype::UINT8,
            Self::Bool(_) => dtype::BOOL,
        }
    }
}

/// More dimensions than any op here takes.
pub(super) const MAX_RANK: usize = 8;

/// Dimensions of a message. Only a list may be empty.
fn dims(found: &[i64]) -> Result<Vec<usize>, Wrong> {
    if found.len() > MAX_RANK {
        let expected = format!("at most {MAX_RANK} dimensions");
        return Err(Wrong::new("dims", expected, found.len().to_string()));
    }
    let least = usize::from(found.len() != 1);
    let narrow = |&d: &i64| usize::try_from(d).ok().filter(|&d| d >= least && d <= MAX_DIM);
    let wrong = |d: &i64| Wrong::new("dims", "1 to 2^32 - 1", d.to_string());
    found.iter().map(|d| narrow(d).ok_or_else(|| wrong(d))).collect()
}

const MAX_DIM: usize = u32::MAX as usize;

/// Product of dimensions, within the format's limit on one tensor.
pub(super) fn elements(dims: &[usize]) -> Option<usize> {
    let product = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
    product.filter(|&n| u32::try_from(n).is_ok())
}

fn typed<T: Clone>(values: &[T], count: usize, field: &'static str) -> Result<Vec<T>, Wrong> {
    if values.len() == count {
        return Ok(values.to_vec());
    }
    Err(Wrong::new(field, format!("{count} elements, as dims says"), values.len().to_string()))
}

fn chunks<T, const N: usize>(
    bytes: &[u8],
    count: usize,
    read: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, Wrong> {
    if count.checked_mul(N) != Some(bytes.len()) {
        let expected = format!("{count} elements of {N} bytes, as dims says");
        return Err(Wrong::new("raw_data", expected, format!("{} bytes", bytes.len())));
    }
    let (chunks, _) = bytes.as_chunks::<N>();
    Ok(chunks.iter().map(|&chunk| read(chunk)).collect())
}

/// Without -0.0, which no file of ours holds. One number by itself may be infinite: a bound that is none.
fn reals(mut values: Vec<f32>) -> Result<Vec<f32>, Wrong> {
    let alone = values.len() == 1;
    for v in &mut values {
        if v.is_nan() || (v.is_infinite() && !alone) {
            return Err(Wrong::new("elements", "finite numbers", v.to_string()));
        }
        *v += 0.0;
    }
    Ok(values)
}

/// Row-major elements in another order of axes: axis `i` of the result is axis `perm[i]`.
pub(super) fn transpose<T: Copy>(values: &[T], dims: &[usize], perm: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(values.len());
    visit(dims, perm, |index| out.extend(values.get(index)));
    out
}

/// Calls `each` with the row-major index of every element, in the row-major order of the transposed tensor.
pub(super) fn visit(dims: &[usize], perm: &[usize], mut each: impl FnMut(usize)) {
    let mut strides = vec![1_usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    let extents: Vec<(usize, usize)> =
        perm.iter().map(|&axis| (dims[axis], strides[axis])).collect();
    walk(&extents, 0, &mut each);
}

/// Every index of a box given by (length, stride) of its axes, the last axis fastest.
pub(super) fn walk(extents: &[(usize, usize)], start: usize, each: &mut impl FnMut(usize)) {
    match extents {
        [] => each(start),
        [(length, stride), rest @ ..] => {
            for k in 0..*length {
                walk(rest, start + k * stride, each);
            }
        }
    }
}
