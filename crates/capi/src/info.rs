//! What a model says of itself: its inputs and outputs with their names, types and shapes, and its labels.

use crate::boundary::{guarded, shared};
use crate::failure::Failure;
use crate::model::PenjingModel;
use crate::status::PenjingStatus;
use core::ffi::c_char;
use penjing_format::{DataType, MAX_RANK, ModelView, TensorType};
use penjing_runtime::Model;

/// The most dimensions of a tensor.
pub const PENJING_MAX_RANK: usize = 6;
const _: () = assert!(PENJING_MAX_RANK == MAX_RANK);

/// The type of a tensor's elements.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PenjingDataType {
    /// float, 32 bits.
    F32 = 1,
    /// int8_t.
    I8 = 2,
    /// uint8_t.
    U8 = 3,
}

/// What a caller must know of an input or output. One image stands for whatever the network takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PenjingTensorInfo {
    /// Type of the elements.
    pub dtype: PenjingDataType,
    /// Real units a step, of integers: real = scale * (element - zero_point). 1 of floats.
    pub scale: f32,
    /// The integer that stands for real 0; 0 of floats.
    pub zero_point: i32,
    /// How many dimensions one image has, without the batch.
    pub rank: usize,
    /// The dimensions of one image, outermost first (height, width, channels); 0 beyond rank.
    pub dims: [usize; PENJING_MAX_RANK],
    /// Elements of one image.
    pub elements: usize,
    /// Bytes of one image.
    pub bytes: usize,
}

impl PenjingTensorInfo {
    fn new(ty: &TensorType) -> Self {
        // The batch comes first.
        let sizes = ty.shape.dims().iter().skip(1);
        let mut dims = [0; PENJING_MAX_RANK];
        for (place, &dim) in dims.iter_mut().zip(sizes.clone()) {
            *place = dim as usize;
        }
        let elements =
            dims.iter().filter(|&&dim| dim != 0).fold(1, |n: usize, &dim| n.saturating_mul(dim));
        let (scale, zero_point) =
            ty.quantization.map_or((1.0, 0), |grid| (grid.scale, grid.zero_point));
        Self {
            dtype: match ty.dtype {
                DataType::U8 => PenjingDataType::U8,
                DataType::F32 => PenjingDataType::F32,
                // Inputs and outputs are of no other types: the format has codes for these three alone.
                DataType::I8 | DataType::I16 | DataType::I32 => PenjingDataType::I8,
            },
            scale,
            zero_point,
            rank: sizes.len(),
            dims,
            elements,
            bytes: elements.saturating_mul(ty.dtype.size()),
        }
    }
}

/// A tensor of the graph: its name and its type.
type Tensor<'a> = (Option<&'a str>, TensorType);

fn input(view: ModelView<'_>, index: usize) -> Result<Tensor<'_>, Failure> {
    let value = at("input", index, view.inputs())?;
    Ok((value.name, view.input_type(index)?))
}

fn output(view: ModelView<'_>, index: usize) -> Result<Tensor<'_>, Failure> {
    let id = at("output", index, view.outputs())?;
    let Some(node) = usize::from(id).checked_sub(view.n_inputs()) else {
        return input(view, usize::from(id));
    };
    // The file may leave a value's type to be inferred, of the last one above all.
    for step in view.walk() {
        let step = step?;
        if step.index == node {
            return Ok((step.node.value().name, step.output.ty));
        }
    }
    Err(Failure::Index { of: "node", count: view.n_nodes(), found: node })
}

/// How many inputs a model has.
///
/// Ownership: *count is written, and 0 where the call fails. Threads: any number at once. Errors: NULL_POINTER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_input_count(
    model: *const PenjingModel,
    count: *mut usize,
) -> PenjingStatus {
    // SAFETY: as the caller says of both pointers.
    guarded(|| unsafe { put(model, count, |model| Ok(model.view().n_inputs())) })
}

/// How many outputs a model has.
///
/// Ownership: *count is written, and 0 where the call fails. Threads: any number at once. Errors: NULL_POINTER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_output_count(
    model: *const PenjingModel,
    count: *mut usize,
) -> PenjingStatus {
    // SAFETY: as the caller says of both pointers.
    guarded(|| unsafe { put(model, count, |model| Ok(model.view().outputs().len())) })
}

/// How many labels a model has: names of its classes, in the order of the first output's last dimension. 0 where the file
/// states none.
///
/// Ownership: *count is written, and 0 where the call fails. Threads: any number at once. Errors: NULL_POINTER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_label_count(
    model: *const PenjingModel,
    count: *mut usize,
) -> PenjingStatus {
    // SAFETY: as the caller says of both pointers.
    guarded(|| unsafe { put(model, count, |model| Ok(labels(model).count())) })
}

/// Type, shape, scale and zero point of input number index.
///
/// Ownership: *info is written where the call succeeds, and holds no pointers.
/// Threads: any number at once. Errors: NULL_POINTER, INDEX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_input_info(
    model: *const PenjingModel,
    index: usize,
    info: *mut PenjingTensorInfo,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: as the caller says of both pointers.
        unsafe { describe(model, info, |view| input(view, index)) }
    })
}

/// Type, shape, scale and zero point of output number index.
///
/// Ownership: *info is written where the call succeeds, and holds no pointers.
/// Threads: any number at once. Errors: NULL_POINTER, INDEX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_output_info(
    model: *const PenjingModel,
    index: usize,
    info: *mut PenjingTensorInfo,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: as the caller says of both pointers.
        unsafe { describe(model, info, |view| output(view, index)) }
    })
}

/// The name of input number index, UTF-8; empty where the file states none.
///
/// text: room for size bytes; the name and a zero after it are written there. length: where the name's bytes without the
/// zero are told, also where the room is too small; may be null. Text may be null where size is 0, to ask for length alone.
///
/// Ownership: text and length stay the caller's. Threads: any number at once.
/// Errors: NULL_POINTER, INDEX, ROOM (text is empty then).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_input_name(
    model: *const PenjingModel,
    index: usize,
    text: *mut c_char,
    size: usize,
    length: *mut usize,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: as the caller says of the model and of the room for a text and its length.
        unsafe {
            let (name, _) = input(shared(model, "model")?.model.view(), index)?;
            copy(name.unwrap_or(""), text, size, length)
        }
    })
}

/// The name of output number index; the rest as penjing_model_input_name.
///
/// Ownership: text and length stay the caller's. Threads: any number at once.
/// Errors: NULL_POINTER, INDEX, ROOM (text is empty then).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_output_name(
    model: *const PenjingModel,
    index: usize,
    text: *mut c_char,
    size: usize,
    length: *mut usize,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: as the caller says of the model and of the room for a text and its length.
        unsafe {
            let (name, _) = output(shared(model, "model")?.model.view(), index)?;
            copy(name.unwrap_or(""), text, size, length)
        }
    })
}

/// Label number index; the rest as penjing_model_input_name.
///
/// Ownership: text and length stay the caller's. Threads: any number at once.
/// Errors: NULL_POINTER, INDEX, ROOM (text is empty then).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_label(
    model: *const PenjingModel,
    index: usize,
    text: *mut c_char,
    size: usize,
    length: *mut usize,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: as the caller says of the model and of the room for a text and its length.
        unsafe {
            let model = &shared(model, "model")?.model;
            copy(at("label", index, labels(model))?, text, size, length)
        }
    })
}

/// Writes a number that a model tells.
///
/// # Safety
/// Pointers that are not null point to a model and to memory for a number, which nobody else uses during the call.
pub(crate) unsafe fn put(
    model: *const PenjingModel,
    place: *mut usize,
    number: impl FnOnce(&Model) -> Result<usize, Failure>,
) -> Result<(), Failure> {
    if place.is_null() {
        return Err(Failure::Null("place for the number"));
    }
    // SAFETY: not null, and memory for a number.
    unsafe { place.write(0) };
    // SAFETY: the caller's model.
    let number = number(&unsafe { shared(model, "model") }?.model)?;
    // SAFETY: as above.
    unsafe { place.write(number) };
    Ok(())
}

/// Writes what a model tells of a tensor.
///
/// # Safety
/// Pointers that are not null point to a model and to memory for the answer, which nobody else uses during the call.
unsafe fn describe(
    model: *const PenjingModel,
    place: *mut PenjingTensorInfo,
    tensor: impl FnOnce(ModelView<'_>) -> Result<Tensor<'_>, Failure>,
) -> Result<(), Failure> {
    if place.is_null() {
        return Err(Failure::Null("place for the tensor's description"));
    }
    // SAFETY: the caller's model.
    let (_, ty) = tensor(unsafe { shared(model, "model") }?.model.view())?;
    // SAFETY: not null, and memory for a description.
    unsafe { place.write(PenjingTensorInfo::new(&ty)) };
    Ok(())
}

/// Number `index` of some things.
fn at<T>(
    of: &'static str,
    index: usize,
    mut things: impl Iterator<Item = T>,
) -> Result<T, Failure> {
    let mut count = 0;
    let thing = things.find(|_| {
        count += 1;
        count > index
    });
    thing.ok_or(Failure::Index { of, count, found: index })
}

fn labels(model: &Model) -> impl Iterator<Item = &str> {
    model.labels().into_iter().flat_map(|labels| labels.iter())
}

/// Copies a text, with a zero after it, and tells its length.
///
/// # Safety
/// A `place` that is not null is memory for `size` bytes, a `length` that is not null is memory for a number, and nobody else
/// uses either during the call.
unsafe fn copy(
    text: &str,
    place: *mut c_char,
    size: usize,
    length: *mut usize,
) -> Result<(), Failure> {
    if place.is_null() && size > 0 {
        return Err(Failure::Null("text"));
    }
    if !length.is_null() {
        // SAFETY: not null, and memory for a number.
        unsafe { length.write(text.len()) };
    }
    if size == 0 && place.is_null() && !length.is_null() {
        return Ok(());
    }
    let fits = text.len() < size;
    let copied = if fits { text.len() } else { 0 };
    if size > 0 {
        // SAFETY: `copied` bytes and the zero are at most `size`; a model's text does not overlap memory that is lent.
        unsafe {
            place.cast::<u8>().copy_from(text.as_ptr(), copied);
            place.add(copied).write(0);
        }
    }
    if fits { Ok(()) } else { Err(Failure::Room { needed: text.len() + 1, found: size }) }
}
