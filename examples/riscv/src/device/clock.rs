//! A clock that counts instructions: the core's own counter of retired ones, exact on a core and under QEMU's `-icount shift=0`.

use core::arch::asm;

/// The counter.
pub(crate) struct Clock;

impl Clock {
    /// It runs since reset.
    pub(crate) fn start() -> Self {
        Self
    }

    /// The low word of the count.
    #[inline(never)]
    pub(crate) fn now(&self) -> u32 {
        let count;
        // SAFETY: reads a counter, in machine mode, where it always may be read.
        unsafe { asm!("csrr {}, minstret", out(reg) count, options(nomem, nostack)) };
        count
    }

    /// Instructions since `before`.
    pub(crate) fn instructions_since(&self, before: u32) -> u32 {
        self.now().wrapping_sub(before)
    }
}
