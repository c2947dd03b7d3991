//! The message of each thread's last failure, for C to read. What it says is `failure`'s.

use crate::failure::Failure;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Keeps a failure's message for this thread.
pub(crate) fn keep(failure: &Failure) {
    let text = failure.to_string().replace('\0', "?");
    // A thread that ends may call once more when its message is gone; its status still tells.
    let _ = LAST.try_with(|last| *last.borrow_mut() = CString::new(text).unwrap_or_default());
}

/// What went wrong in the last call of this thread that failed: what was expected, what was found, and where. Empty where
/// none has failed; never null. A call that succeeds leaves it as it is.
///
/// Ownership: the text belongs to the library and stays until the next call of this thread that fails, or until the thread
/// ends; copy it to keep it. Threads: each has a message of its own. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn penjing_error_message() -> *const c_char {
    const NONE: &CStr = c"";
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(NONE.as_ptr())
}
