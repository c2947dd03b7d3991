//! Models: opened from a path, from bytes that are copied, or from bytes that stay; on the heap or in storage that the
//! caller lends. What they say of themselves is `info`'s.

use crate::boundary::{aligned, exclusive, extent, guarded};
use crate::failure::{Failure, What};
use crate::status::PenjingStatus;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use penjing_runtime::Model;
#[cfg(feature = "std")]
use std::ffi::{CStr, c_char};

/// Words of a PenjingModelStorage.
pub const PENJING_MODEL_WORDS: usize = 4;

/// A checked model. Any number of threads may read it at once.
pub struct PenjingModel {
    pub(crate) model: Model,
    #[cfg(feature = "std")]
    in_place: bool,
}

/// Memory for a model that lies where the caller says: static, on a stack, or part of something else. Its content is the
/// library's; it must not be moved or copied while the model is in use.
#[repr(C)]
pub struct PenjingModelStorage {
    /// Nothing to look at.
    pub words: [usize; PENJING_MODEL_WORDS],
}

const _: () = assert!(
    size_of::<PenjingModel>() <= size_of::<PenjingModelStorage>()
        && align_of::<PenjingModel>() <= align_of::<PenjingModelStorage>(),
    "PENJING_MODEL_WORDS is too small"
);

/// Models go from thread to thread, and are read by several.
const _: fn() = || {
    fn shareable<T: Send + Sync>() {}
    shareable::<PenjingModel>();
};

/// Opens a model from a file, which is mapped into memory and checked as a whole.
///
/// path: text that ends with a zero, UTF-8 on Windows. The file must stay as it is while the model is in use: replace it by
/// renaming another over it, or read it and call penjing_model_from_bytes.
///
/// Ownership: *model is the caller's, until penjing_model_free; null where the call fails. Path may go at once.
/// Threads: any. Errors: NULL_POINTER, IO, FORMAT, MEMORY.
#[cfg(feature = "std")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_open(
    path: *const c_char,
    model: *mut *mut PenjingModel,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: the caller lends a place for a pointer.
        let place = unsafe { vacant(model) }?;
        if path.is_null() {
            return Err(Failure::Null("path"));
        }
        // SAFETY: not null, and the caller says that it ends with a zero.
        let path = unsafe { CStr::from_ptr(path) };
        *place = boxed(Model::open(system_path(path)?)?);
        Ok(())
    })
}

/// Opens a model from bytes, which are copied.
///
/// Ownership: *model is the caller's, until penjing_model_free; null where the call fails. The bytes may go at once.
/// Threads: any. Errors: NULL_POINTER, LENGTH, FORMAT, MEMORY.
#[cfg(feature = "std")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_from_bytes(
    bytes: *const c_void,
    len: usize,
    model: *mut *mut PenjingModel,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: the caller lends a place for a pointer.
        let place = unsafe { vacant(model) }?;
        // SAFETY: the caller says that so many bytes lie there; they are copied before the call returns.
        let bytes = unsafe { lasting(bytes, len) }?;
        *place = boxed(Model::from_bytes(bytes.to_vec())?);
        Ok(())
    })
}

/// Opens a model from bytes that stay where they are: an array of the program, say, or a file that it has mapped.
///
/// Ownership: *model is the caller's, until penjing_model_free; null where the call fails. The bytes stay the caller's and
/// must outlive the model, unchanged. Threads: any. Errors: NULL_POINTER, LENGTH, FORMAT, MEMORY.
#[cfg(feature = "std")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_from_static(
    bytes: *const c_void,
    len: usize,
    model: *mut *mut PenjingModel,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: the caller lends a place for a pointer.
        let place = unsafe { vacant(model) }?;
        // SAFETY: the caller says that so many bytes lie there, unchanged, for longer than the model.
        let bytes = unsafe { lasting(bytes, len) }?;
        *place = boxed(Model::from_static(bytes)?);
        Ok(())
    })
}

/// As penjing_model_from_static, in storage that the caller lends: nothing is allocated. The one exception is a model of
/// entropy-coded weights, which is decoded to the heap. A library without std decodes none, and checks no more here than the
/// content hash: what does not go together is answered when a session is made.
///
/// Ownership: *model points into storage, and is null where the call fails. Storage and bytes stay the caller's and must
/// outlive the model, and the sessions in place of it, unchanged and unmoved, until penjing_model_free.
/// Threads: any. Errors: NULL_POINTER, LENGTH, ALIGNMENT, FORMAT, MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_in_place(
    storage: *mut PenjingModelStorage,
    bytes: *const c_void,
    len: usize,
    model: *mut *mut PenjingModel,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: the caller lends a place for a pointer.
        let place = unsafe { vacant(model) }?;
        aligned::<PenjingModelStorage>(storage.addr(), What::ModelStorage)?;
        // SAFETY: the caller lends the storage, and a MaybeUninit may hold anything.
        let storage = unsafe { exclusive(storage.cast::<MaybeUninit<PenjingModel>>(), "storage") }?;
        // SAFETY: the caller says that so many bytes lie there, unchanged, for longer than the model.
        let bytes = unsafe { lasting(bytes, len) }?;
        *place = storage.write(PenjingModel {
            model: Model::from_static(bytes)?,
            #[cfg(feature = "std")]
            in_place: true,
        });
        Ok(())
    })
}

/// Ends a model of any kind. Null does nothing. Sessions in place must have ended before; those on the heap go on.
///
/// Ownership: the model is gone; storage that it lay in is the caller's again.
/// Threads: any, when no other uses the model. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_free(model: *mut PenjingModel) {
    guarded(|| {
        if model.is_null() {
            return Ok(());
        }
        #[cfg(feature = "std")]
        // SAFETY: the caller hands over a model that nobody else uses, so the flag can be read.
        if unsafe { !(*model).in_place } {
            // SAFETY: such a model was made by `boxed`, and is freed once.
            drop(unsafe { Box::from_raw(model) });
            return Ok(());
        }
        // SAFETY: it lies in storage, whole, and is ended once.
        unsafe { model.drop_in_place() };
        Ok(())
    });
}

/// A place for a pointer, with null in it until there is something to point to.
///
/// # Safety
/// A pointer that is not null points to memory for a pointer, which nobody else uses during the call.
pub(crate) unsafe fn vacant<'a, T>(place: *mut *mut T) -> Result<&'a mut *mut T, Failure> {
    // SAFETY: by this function's own condition. The memory may be uninitialized, so it is written before it is referred to.
    unsafe {
        if !place.is_null() {
            place.write(core::ptr::null_mut());
        }
        exclusive(place, "place for the pointer")
    }
}

/// Bytes of the caller.
///
/// # Safety
/// So many bytes lie there, unchanged for as long as the slice is in use.
unsafe fn lasting(bytes: *const c_void, len: usize) -> Result<&'static [u8], Failure> {
    if bytes.is_null() {
        return Err(Failure::Null("bytes"));
    }
    extent(bytes.addr(), len, What::Model)?;
    // SAFETY: not null, an extent that memory can have, and the rest by this function's own condition.
    Ok(unsafe { core::slice::from_raw_parts(bytes.cast(), len) })
}

#[cfg(feature = "std")]
fn boxed(model: Model) -> *mut PenjingModel {
    Box::into_raw(Box::new(PenjingModel { model, in_place: false }))
}

#[cfg(all(feature = "std", unix))]
fn system_path(path: &CStr) -> Result<&std::path::Path, Failure> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())))
}

#[cfg(all(feature = "std", not(unix)))]
fn system_path(path: &CStr) -> Result<&std::path::Path, Failure> {
    let text = path.to_str().map_err(|error| penjing_runtime::Error::Io {
        path: path.to_string_lossy().into_owned().into(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
    });
    Ok(std::path::Path::new(text?))
}
