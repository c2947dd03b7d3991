//! What a panic does in a library without std: it calls the program. Nothing else of it is linked, not even its message.

use core::panic::PanicInfo;

#[cfg(not(panic = "abort"))]
compile_error!(
    "a library without std has nothing to unwind with: build it with panic = \"abort\", as --profile device does"
);

unsafe extern "C" {
    /// Of the program, not of the library: what happens where a library without std meets a defect of its own. It must not
    /// return: reset the device, say. A program that links without it has no code that could call it.
    fn penjing_panic() -> !;
}

#[panic_handler]
fn panicked(_: &PanicInfo<'_>) -> ! {
    // SAFETY: the header asks the program for a function of this name that takes nothing and does not return.
    unsafe { penjing_panic() }
}
