//! `Session::run` allocates nothing, on any thread: a counting allocator watches the whole process.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

mod support;

use penjing_format::DataType;
use penjing_format::write::PackingChoice;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::Data;

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands every call on to `System`, which keeps the contract; counting touches no memory of the callers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: `ptr` is from `System`, since all our memory is.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// One test in this file: the counter is the process's.
#[test]
fn run_allocates_nothing() {
    for dtype in [DataType::F32, DataType::U8] {
        let model = support::model(&support::network_spec(dtype), PackingChoice::Auto);
        let info = model.inputs().next().unwrap();
        let len = info.shape.elements().unwrap();
        for threads in [1, 2, 3] {
            let mut session = support::session(&model, threads);
            for batch in [1, 2, 7, 33, 200] {
                let images = Data::noise(dtype, batch * len, 3);
                let outputs = model.outputs().next().unwrap();
                let mut output = Data::zeros(outputs.dtype, batch * 10);
                let before = CALLS.load(Ordering::SeqCst);
                session.run(images.input(), output.output()).unwrap();
                let calls = CALLS.load(Ordering::SeqCst) - before;
                assert_eq!(calls, 0, "{dtype}, {threads} threads, batch {batch}");
                assert_ne!(output, Data::zeros(outputs.dtype, batch * 10));
            }
        }
    }
}
