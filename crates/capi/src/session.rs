//! Sessions: on the heap, with threads, or in storage and an arena that the caller lends. How buffers are checked is
//! `buffers`', what runs is the runtime's.

use crate::boundary::{aligned, exclusive, extent, guarded, shared};
use crate::failure::{Failure, What};
use crate::info::put;
use crate::model::{PenjingModel, vacant};
use crate::status::PenjingStatus;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ops::Range;
#[cfg(not(feature = "std"))]
use penjing_runtime::Error;
use penjing_runtime::{InPlace, Model, in_place};
#[cfg(feature = "std")]
use penjing_runtime::{Session, SessionOptions};

/// Words of a PenjingSessionStorage.
pub const PENJING_SESSION_WORDS: usize = 24;

/// A model that is planned and ready to run. One thread at a time may use it.
pub struct PenjingSession {
    pub(crate) kind: Kind,
    /// How many inputs and outputs the model has: what a caller lists is counted before it is read.
    pub(crate) counts: [u16; 2],
}

/// Bytes for planning while a model is asked for its arena without a heap: enough for some fifty nodes.
#[cfg(not(feature = "std"))]
const PLANNING: usize = 1024;

/// Where a session's memory is.
pub(crate) enum Kind {
    /// It owns all it needs.
    #[cfg(feature = "std")]
    Heap(Box<Session>),
    /// It runs in an arena of the caller, from one address to another.
    InPlace(InPlace<'static, OPS>, Range<usize>),
}

/// What sessions in place may be asked to do. A build for one model may set PENJING_OPS to what `penjing convert --c` tells of it;
/// the library then holds no code for anything else.
const OPS: u32 = match option_env!("PENJING_OPS") {
    None => in_place::ALL,
    Some(text) => ops(text),
};

/// A number as C writes it, decimal or hexadecimal.
const fn ops(text: &str) -> u32 {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    if let Ok(digits) = core::str::from_utf8(digits)
        && let Ok(ops) = u32::from_str_radix(digits, radix)
    {
        return ops;
    }
    panic!("PENJING_OPS: expected a number such as 335548161 or 0x14000f01")
}

/// Memory for a session that lies where the caller says: static, on a stack, or part of something else. Its content is the
/// library's; it must not be moved or copied while the session is in use.
#[repr(C)]
pub struct PenjingSessionStorage {
    /// Nothing to look at.
    pub words: [usize; PENJING_SESSION_WORDS],
}

const _: () = assert!(
    size_of::<PenjingSession>() <= size_of::<PenjingSessionStorage>()
        && align_of::<PenjingSession>() <= align_of::<PenjingSessionStorage>(),
    "PENJING_SESSION_WORDS is too small"
);

/// Sessions go from thread to thread.
const _: fn() = || {
    fn movable<T: Send>() {}
    movable::<PenjingSession>();
};

/// How a session on the heap runs.
#[cfg(feature = "std")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PenjingSessionOptions {
    /// Threads that share a batch, the caller's among them; 0 for one a core, at most 1024.
    pub threads: usize,
    /// The most bytes that the session may take; 0 for 256 MiB.
    pub max_bytes: u64,
    /// The most images that go through the network at once: 1 takes the least memory; 0 for what suits the caches.
    pub tile_images: usize,
}

/// Plans a session on the heap.
///
/// options: null for one thread and 256 MiB at most. The environment's PENJING_ISA forces an instruction set.
///
/// Ownership: *session is the caller's, until penjing_session_free; null where the call fails. It owns all it needs: the model
/// may go at once. Threads: any. Errors: NULL_POINTER, FORMAT, UNSUPPORTED, MEMORY, THREADS, ISA.
#[cfg(feature = "std")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_session_new(
    model: *const PenjingModel,
    options: *const PenjingSessionOptions,
    session: *mut *mut PenjingSession,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: the caller lends a place for a pointer.
        let place = unsafe { vacant(session) }?;
        // SAFETY: the caller's model.
        let model = &unsafe { shared(model, "model") }?.model;
        let usual = SessionOptions::default();
        // SAFETY: the caller's options, if any.
        let options = unsafe { options.as_ref() }.map_or(usual, |options| SessionOptions {
            threads: options.threads,
            max_bytes: if options.max_bytes == 0 { usual.max_bytes } else { options.max_bytes },
            tile_images: options.tile_images,
            ..usual
        });
        let kind = Kind::Heap(Box::new(Session::new(model, options)?));
        *place = Box::into_raw(Box::new(PenjingSession { kind, counts: counts(model) }));
        Ok(())
    })
}

/// How many bytes of arena a session in place of this model needs, exactly, at an address that 4 divides. A program that knows
/// its model has the number from `penjing convert --c`, as PENJING_MODEL_ARENA_BYTES.
///
/// Without std the call takes 1 KB of stack, and models of more than some fifty nodes are answered MEMORY.
///
/// Ownership: *bytes is written, and 0 where the call fails. Threads: any number at once.
/// Errors: NULL_POINTER, FORMAT, UNSUPPORTED, MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_model_arena_bytes(
    model: *const PenjingModel,
    bytes: *mut usize,
) -> PenjingStatus {
    // SAFETY: as the caller says of both pointers.
    guarded(|| unsafe { put(model, bytes, arena_bytes) })
}

/// Plans a session in storage and an arena that the caller lends: nothing is allocated, neither now nor while it runs.
///
/// storage: for the session itself. arena: for what it computes, penjing_model_arena_bytes of it at an address that 4
/// divides; anything may lie there.
///
/// Ownership: *session points into storage, and is null where the call fails. Model, storage and arena stay the caller's and
/// must outlive the session, unmoved and otherwise unused, until penjing_session_free.
/// Threads: any. Errors: NULL_POINTER, ALIGNMENT, LENGTH, FORMAT, UNSUPPORTED, MEMORY (the arena is too small).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_session_in_place(
    storage: *mut PenjingSessionStorage,
    model: *const PenjingModel,
    arena: *mut c_void,
    arena_bytes: usize,
    session: *mut *mut PenjingSession,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: the caller lends a place for a pointer.
        let place = unsafe { vacant(session) }?;
        aligned::<PenjingSessionStorage>(storage.addr(), What::SessionStorage)?;
        // SAFETY: the caller lends the storage, and a MaybeUninit may hold anything.
        let storage =
            unsafe { exclusive(storage.cast::<MaybeUninit<PenjingSession>>(), "storage") }?;
        // SAFETY: the caller's model, which outlives the session.
        let model: &'static Model = &unsafe { shared(model, "model") }?.model;
        // SAFETY: the caller lends so many bytes for as long as the session lives.
        let memory = unsafe { lent(arena, arena_bytes) }?;
        let session = InPlace::new(model, memory)?;
        let kind = Kind::InPlace(session, arena.addr()..arena.addr() + arena_bytes);
        *place = storage.write(PenjingSession { kind, counts: counts(model) });
        Ok(())
    })
}

#[cfg(feature = "std")]
fn arena_bytes(model: &Model) -> Result<usize, Failure> {
    Ok(in_place::arena_bytes(model)?)
}

/// Without a heap: planning in no arena tells how much planning takes, planning in that much tells the rest.
#[cfg(not(feature = "std"))]
fn arena_bytes(model: &Model) -> Result<usize, Failure> {
    let mut scratch = in_place::Arena::<PLANNING>::new();
    let mut needed = 0;
    for _ in 0..2 {
        let room = scratch.0.get_mut(..needed).unwrap_or_default();
        match InPlace::<OPS>::new(model, room) {
            Ok(_) => break,
            Err(Error::TooLarge { needed: bytes, .. }) if needed <= PLANNING => {
                needed = usize::try_from(bytes).unwrap_or(usize::MAX);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(needed)
}

fn counts(model: &Model) -> [u16; 2] {
    let view = model.view();
    // The format numbers values by 16 bits.
    [view.n_inputs(), view.outputs().count()].map(|count| u16::try_from(count).unwrap_or(u16::MAX))
}

/// Ends a session of any kind. Null does nothing.
///
/// Ownership: the session is gone; storage and arena are the caller's again.
/// Threads: any, when no other uses the session. Errors: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_session_free(session: *mut PenjingSession) {
    guarded(|| {
        if session.is_null() {
            return Ok(());
        }
        #[cfg(feature = "std")]
        // SAFETY: the caller hands over a session that nobody else uses, so its kind can be read.
        if matches!(unsafe { &(*session).kind }, Kind::Heap(_)) {
            // SAFETY: such a session was boxed by `penjing_session_new`, and is freed once.
            drop(unsafe { Box::from_raw(session) });
            return Ok(());
        }
        // SAFETY: it lies in storage, whole, and is ended once.
        unsafe { session.drop_in_place() };
        Ok(())
    });
}

/// Memory that a caller lends to a session, with zeros in it.
///
/// # Safety
/// So many bytes lie there, which nobody else uses for as long as the session lives.
unsafe fn lent(arena: *mut c_void, bytes: usize) -> Result<&'static mut [u8], Failure> {
    if arena.is_null() {
        return Err(Failure::Null("arena"));
    }
    extent(arena.addr(), bytes, What::Arena)?;
    // SAFETY: not null, an extent that memory can have, and the rest by this function's own condition. A caller's memory may be
    // uninitialized, which a slice must not be.
    unsafe {
        arena.write_bytes(0, bytes);
        Ok(core::slice::from_raw_parts_mut(arena.cast(), bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::ops;

    #[test]
    fn ops_are_numbers_as_c_writes_them() {
        assert_eq!([ops("335548161"), ops("0x14000f01"), ops("0")], [0x1400_0f01, 0x1400_0f01, 0]);
        for text in ["", "0x", "-1", "12 ", "ALL", "4294967296"] {
            assert!(std::panic::catch_unwind(|| ops(text)).is_err(), "{text:?}");
        }
    }
}
