//! The caller's inputs and outputs as the runtime takes them: typed slices, once pointers, lengths, alignment and overlap
//! are seen to. What lengths a model wants is the runtime's check.

use crate::boundary::{aligned, extent};
use crate::failure::{Failure, What};
use core::ffi::c_void;
use core::ops::Range;
use penjing_runtime::{DataType, Input, Output, Port, RunError};

/// A batch of one input: images one after the other, each as the model's shape says, outermost dimension first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PenjingInput {
    /// The first element, of the model's type for this input.
    pub data: *const c_void,
    /// Bytes of the whole batch.
    pub bytes: usize,
}

/// Where a batch of one output goes: images one after the other, each as the model's shape says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PenjingOutput {
    /// The first element, of the model's type for this output.
    pub data: *mut c_void,
    /// Bytes of the whole batch.
    pub bytes: usize,
}

/// An input's elements.
///
/// # Safety
/// [`sound`] has seen the buffer. Its data is so many bytes, which nobody changes for as long as the result is in use.
pub(crate) unsafe fn input<'a>(
    buffer: PenjingInput,
    dtype: DataType,
    index: usize,
) -> Result<Input<'a>, Failure> {
    let PenjingInput { data, bytes } = buffer;
    let port = Port::Input(index);
    // SAFETY: not null and of an extent that memory can have; alignment is checked by `elements`, and the rest is this function's
    // own condition. Every pattern of bits is an integer or a float.
    unsafe {
        Ok(match dtype {
            DataType::U8 => {
                let len = elements::<u8>(data.addr(), bytes, port)?;
                core::slice::from_raw_parts(data.cast::<u8>(), len).into()
            }
            DataType::F32 => {
                let len = elements::<f32>(data.addr(), bytes, port)?;
                core::slice::from_raw_parts(data.cast::<f32>(), len).into()
            }
            DataType::I8 => {
                let len = elements::<i8>(data.addr(), bytes, port)?;
                core::slice::from_raw_parts(data.cast::<i8>(), len).into()
            }
            // No model has inputs or outputs of these: the format has no codes for them.
            DataType::I16 | DataType::I32 => return Err(Failure::Run(RunError::Model)),
        })
    }
}

/// An output's places.
///
/// # Safety
/// [`sound`] has seen the buffer. Its data is so many bytes, which nobody else reads or changes for as long as the result is in
/// use.
pub(crate) unsafe fn output<'a>(
    buffer: PenjingOutput,
    dtype: DataType,
    index: usize,
) -> Result<Output<'a>, Failure> {
    let PenjingOutput { data, bytes } = buffer;
    let port = Port::Output(index);
    // SAFETY: as of `input`. The places may be uninitialized: kernels write them and read none that they have not written.
    unsafe {
        Ok(match dtype {
            DataType::U8 => {
                let len = elements::<u8>(data.addr(), bytes, port)?;
                core::slice::from_raw_parts_mut(data.cast::<u8>(), len).into()
            }
            DataType::F32 => {
                let len = elements::<f32>(data.addr(), bytes, port)?;
                core::slice::from_raw_parts_mut(data.cast::<f32>(), len).into()
            }
            DataType::I8 => {
                let len = elements::<i8>(data.addr(), bytes, port)?;
                core::slice::from_raw_parts_mut(data.cast::<i8>(), len).into()
            }
            // No model has inputs or outputs of these: the format has no codes for them.
            DataType::I16 | DataType::I32 => return Err(Failure::Run(RunError::Model)),
        })
    }
}

/// How many elements of `T` the bytes at an address are.
fn elements<T>(address: usize, bytes: usize, port: Port) -> Result<usize, Failure> {
    aligned::<T>(address, What::Port(port))?;
    if bytes.is_multiple_of(size_of::<T>()) {
        return Ok(bytes / size_of::<T>());
    }
    Err(Failure::Elements { of: port, expected: size_of::<T>(), found: bytes })
}

/// Refuses a buffer that is null or that no memory can hold.
fn present(data: *const c_void, bytes: usize, what: &'static str, of: What) -> Result<(), Failure> {
    if data.is_null() {
        return Err(Failure::Null(what));
    }
    extent(data.addr(), bytes, of)
}

/// Refuses buffers that are null or cannot be, and outputs that share bytes with an input, with each other, or with memory of the
/// session: the kernels read while they write.
pub(crate) fn sound(
    inputs: &[PenjingInput],
    outputs: &[PenjingOutput],
    arena: &Range<usize>,
) -> Result<(), Failure> {
    let input = |index: usize| What::Port(Port::Input(index));
    let output = |index: usize| What::Port(Port::Output(index));
    for (index, one) in inputs.iter().enumerate() {
        present(one.data, one.bytes, "input", input(index))?;
    }
    for (index, one) in outputs.iter().enumerate() {
        present(one.data, one.bytes, "output", output(index))?;
    }
    for (index, one) in outputs.iter().enumerate() {
        let taken = one.data.addr()..one.data.addr().saturating_add(one.bytes);
        let shared = |address: usize, bytes: usize| {
            let end = address.saturating_add(bytes);
            taken.start.max(address) < taken.end.min(end)
        };
        if shared(arena.start, arena.len()) {
            return Err(Failure::Overlap(output(index), What::Arena));
        }
        for (at, other) in inputs.iter().enumerate() {
            if shared(other.data.addr(), other.bytes) {
                return Err(Failure::Overlap(output(index), input(at)));
            }
        }
        for (at, other) in outputs.iter().enumerate().take(index) {
            if shared(other.data.addr(), other.bytes) {
                return Err(Failure::Overlap(output(index), output(at)));
            }
        }
    }
    for (at, other) in inputs.iter().enumerate() {
        let end = other.data.addr().saturating_add(other.bytes);
        if arena.start.max(other.data.addr()) < arena.end.min(end) {
            return Err(Failure::Overlap(input(at), What::Arena));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: usize, bytes: usize) -> (PenjingInput, PenjingOutput) {
        let data = core::ptr::without_provenance_mut(address);
        (PenjingInput { data, bytes }, PenjingOutput { data, bytes })
    }

    #[test]
    fn buffers_that_touch_do_not_overlap() {
        let check = |input: (usize, usize), outputs: &[(usize, usize)], arena| {
            let outputs: Vec<_> = outputs.iter().map(|&(at_, bytes)| at(at_, bytes).1).collect();
            sound(&[at(input.0, input.1).0], &outputs, &arena)
                .map_err(|failure| failure.to_string())
        };
        let overlap = |one: &str, other: &str| {
            Err(format!("{one} and {other}: expected memory of their own, found shared bytes"))
        };
        assert_eq!(check((100, 10), &[(110, 10), (90, 10)], 120..130), Ok(()));
        assert_eq!(check((100, 10), &[(109, 1)], 0..0), overlap("output 0", "input 0"));
        assert_eq!(check((100, 10), &[(95, 6)], 0..0), overlap("output 0", "input 0"));
        assert_eq!(check((100, 10), &[(104, 2)], 0..0), overlap("output 0", "input 0"));
        assert_eq!(check((104, 2), &[(100, 10)], 0..0), overlap("output 0", "input 0"));
        assert_eq!(check((1, 1), &[(100, 10), (109, 9)], 0..0), overlap("output 1", "output 0"));
        assert_eq!(check((1, 1), &[(100, 10)], 109..111), overlap("output 0", "arena"));
        assert_eq!(check((100, 10), &[(1, 1)], 109..111), overlap("input 0", "arena"));
        // Nothing shares no bytes, wherever it is.
        assert_eq!(check((100, 10), &[(104, 0)], 105..105), Ok(()));
    }
}
