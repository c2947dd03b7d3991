//! How deep the stack went: start-up paints all free RAM, and what is no longer paint was used. A word that the program
//! happened to write as paint at its deepest point would go uncounted.

use core::ptr::read_volatile;

/// What start-up fills free RAM with.
pub(super) const PAINT: u32 = 0xa5a5_a5a5;

unsafe extern "C" {
    /// Of the linker script: the end of the statics, and the end of RAM.
    static _bss_end: u32;
    static _stack_top: u32;
}

/// The stack of the only thread.
pub(crate) struct Stack;

impl Stack {
    /// The most bytes that it has held so far.
    pub(crate) fn used_bytes(&self) -> u32 {
        let (mut word, top) = (&raw const _bss_end, &raw const _stack_top);
        // SAFETY: from the statics' end to RAM's end all is RAM, aligned to 8, and painted before anything ran.
        while word < top && unsafe { read_volatile(word) } == PAINT {
            word = word.wrapping_add(1);
        }
        (top as usize - word as usize) as u32
    }
}
