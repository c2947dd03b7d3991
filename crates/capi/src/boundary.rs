//! The way in and out of every function: pointers are checked here, panics stop here. What the functions do
//! between is theirs; the text of a failure is kept by `message`.

use crate::failure::{Failure, What};
use crate::status::PenjingStatus;

/// Runs the body of an exported function. With `std`, a panic becomes a status, and a failure's message is kept for
/// `penjing_error_message`.
#[cfg(feature = "std")]
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), Failure>) -> PenjingStatus {
    // What a panic leaves half done is a session's numbers, which the status tells to free, and never its memory.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    let result = caught.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        // A payload may panic when it is dropped; ours are text, and a leak harms nobody.
        std::mem::forget(payload);
        Err(Failure::Panic(text.unwrap_or_else(|| "a panic without a text".to_owned())))
    });
    match result {
        Ok(()) => PenjingStatus::Ok,
        Err(failure) => {
            crate::message::keep(&failure);
            failure.status()
        }
    }
}

/// Runs the body of an exported function. There is nothing to unwind: such a library is built with `panic = "abort"`.
#[cfg(not(feature = "std"))]
pub(crate) fn guarded(body: impl FnOnce() -> Result<(), Failure>) -> PenjingStatus {
    match body() {
        Ok(()) => PenjingStatus::Ok,
        Err(failure) => failure.status(),
    }
}

/// What a pointer from C points to.
///
/// # Safety
/// A pointer that is not null points to a `T` that nobody changes for as long as the reference lives.
pub(crate) unsafe fn shared<'a, T>(
    pointer: *const T,
    what: &'static str,
) -> Result<&'a T, Failure> {
    // SAFETY: by this function's own condition.
    unsafe { pointer.as_ref() }.ok_or(Failure::Null(what))
}

/// What a pointer from C points to, to be changed.
///
/// # Safety
/// A pointer that is not null points to a `T` that nobody else reads or changes for as long as the reference lives.
pub(crate) unsafe fn exclusive<'a, T>(
    pointer: *mut T,
    what: &'static str,
) -> Result<&'a mut T, Failure> {
    // SAFETY: by this function's own condition.
    unsafe { pointer.as_mut() }.ok_or(Failure::Null(what))
}

/// Whether `bytes` bytes from an address on are memory that can be: not beyond the end of all addresses, and no more than a
/// Rust slice may have.
pub(crate) fn extent(address: usize, bytes: usize, of: What) -> Result<(), Failure> {
    let fits = address.checked_add(bytes).is_some() && isize::try_from(bytes).is_ok();
    if fits { Ok(()) } else { Err(Failure::Extent { of, found: bytes }) }
}

/// Whether an address is a multiple of what `T` needs.
pub(crate) fn aligned<T>(address: usize, of: What) -> Result<(), Failure> {
    let expected = align_of::<T>();
    if address.is_multiple_of(expected) {
        return Ok(());
    }
    Err(Failure::Alignment { of, expected, found: address })
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::message::penjing_error_message;
    use std::ffi::CStr;

    fn message() -> String {
        // SAFETY: the text ends with a zero and no call fails before it is copied.
        unsafe { CStr::from_ptr(penjing_error_message()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn a_panic_is_a_status_with_its_message() {
        let status = guarded(|| panic!("number {}", 7));
        assert_eq!(status, PenjingStatus::Internal);
        assert_eq!(message(), "a defect of the library: number 7");
        assert_eq!(guarded(|| Ok(())), PenjingStatus::Ok);
        assert_eq!(message(), "a defect of the library: number 7");
        let other = std::thread::spawn(message).join().unwrap();
        assert_eq!(other, "");
    }

    #[test]
    fn a_zero_within_a_message_does_not_cut_it() {
        guarded(|| panic!("a\0b"));
        assert_eq!(message(), "a defect of the library: a?b");
    }

    #[test]
    fn no_memory_goes_around_the_end() {
        assert!(extent(usize::MAX - 3, 3, What::Arena).is_ok());
        assert!(extent(usize::MAX - 3, 4, What::Arena).is_err());
        assert!(extent(8, usize::MAX / 2 + 1, What::Arena).is_err());
        assert!(aligned::<u32>(8, What::Arena).is_ok() && aligned::<u32>(6, What::Arena).is_err());
    }
}
