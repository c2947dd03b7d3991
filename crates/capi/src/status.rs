//! What a call answers, and its text. What exactly went wrong is `failure`'s.

use core::ffi::{CStr, c_char};

/// What a function answers: 0 is success.
// Of one size whatever a C compiler makes of an enum.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PenjingStatus {
    /// It is done.
    Ok = 0,
    /// A pointer is null that must not be.
    NullPointer = 1,
    /// No input, output or label has this number.
    Index = 2,
    /// There is not enough room for a text.
    Room = 3,
    /// An address is not a multiple of what it must be a multiple of.
    Alignment = 4,
    /// Two buffers overlap.
    Overlap = 5,
    /// A buffer has the wrong number of bytes.
    Length = 6,
    /// The wrong number of inputs or outputs.
    Count = 7,
    /// A file cannot be read.
    Io = 8,
    /// The bytes are no model, or are damaged.
    Format = 9,
    /// The model is sound, but this library has no kernel for it.
    Unsupported = 10,
    /// More memory is needed than is granted or lent.
    Memory = 11,
    /// Threads cannot be had.
    Threads = 12,
    /// PENJING_ISA names an instruction set that is unknown or that this machine lacks.
    Isa = 13,
    /// A defect of the library. The call is undone only in part: free the session.
    Internal = 14,
    /// Anything else; the message tells.
    Other = 15,
}

/// Text of each status, by its number.
const TEXTS: [&CStr; 16] = [
    c"success",
    c"a pointer is null that must not be",
    c"no input, output or label has this number",
    c"not enough room for a text",
    c"an address is not aligned",
    c"two buffers overlap",
    c"a buffer has the wrong number of bytes",
    c"the wrong number of inputs or outputs",
    c"a file cannot be read",
    c"the bytes are no model, or are damaged",
    c"the model needs what this library does not have",
    c"more memory is needed than is granted or lent",
    c"threads cannot be had",
    c"PENJING_ISA names no instruction set of this machine",
    c"a defect of the library",
    c"another error",
];

/// A few words on a status, in English: never null, and also for numbers that are no status.
///
/// Ownership: the text is part of the library. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn penjing_status_text(status: i32) -> *const c_char {
    let text = usize::try_from(status).ok().and_then(|status| TEXTS.get(status));
    text.copied().unwrap_or(c"no status of this library").as_ptr()
}

/// The library's version, such as "0.1.0": never null.
///
/// Ownership: the text is part of the library. Threads: any. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn penjing_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version holds no zero"),
        };
    VERSION.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: i32) -> String {
        // SAFETY: the texts are part of the program and end with a zero.
        unsafe { CStr::from_ptr(penjing_status_text(status)) }.to_string_lossy().into_owned()
    }

    #[test]
    fn every_number_has_a_text() {
        assert_eq!(text(PenjingStatus::Ok as i32), "success");
        assert_eq!(text(PenjingStatus::Overlap as i32), "two buffers overlap");
        assert_eq!(text(PenjingStatus::Other as i32), "another error");
        for number in [16, -1, i32::MIN, i32::MAX] {
            assert_eq!(text(number), "no status of this library");
        }
    }
}
