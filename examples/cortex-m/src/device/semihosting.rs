//! Semihosting: text and an exit code for the machine that runs QEMU or holds the debugger. Without either, the first of these
//! calls stops the core.

use core::arch::asm;

const SYS_WRITEC: usize = 0x03;
const SYS_EXIT_EXTENDED: usize = 0x20;
/// The reason ADP_Stopped_ApplicationExit.
const APPLICATION_EXIT: usize = 0x20026;

/// Where text goes.
pub(crate) struct Console;

impl Console {
    /// Prints bytes as they are.
    pub(crate) fn print(&mut self, text: &[u8]) {
        for byte in text {
            call(SYS_WRITEC, byte);
        }
    }
}

/// Ends the program; 0 for one that went well.
pub(super) fn exit(code: usize) -> ! {
    let reason = [APPLICATION_EXIT, code];
    loop {
        call(SYS_EXIT_EXTENDED, &reason);
    }
}

/// One call, whose argument lies in memory.
fn call<T>(operation: usize, argument: &T) {
    // SAFETY: the two operations read what the argument points to, a byte or two words, and write nothing but r0.
    unsafe {
        asm!(
            "bkpt 0xab",
            inout("r0") operation => _,
            in("r1") argument as *const T,
            options(nostack, readonly, preserves_flags)
        );
    }
}
