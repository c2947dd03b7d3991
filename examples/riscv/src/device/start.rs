//! From reset to `main`, and what happens when something goes wrong. Interrupts stay off.

use core::arch::global_asm;
use core::panic::PanicInfo;

use penjing_program::Memory;

use super::semihosting::{Console, exit};
use super::stack::PAINT;

// Statics get their values and free RAM its paint before any Rust runs. Interrupts and faults of the core come to `trap`.
global_asm!(
    ".section .text.reset, \"ax\"",
    ".global reset",
    ".type reset, @function",
    "reset:",
    "la t0, {trap}",
    "csrw mtvec, t0",
    "la sp, _stack_top",
    "la t0, _data_start",
    "la t1, _data_end",
    "la t2, _data_load",
    "j 2f",
    "1: lw t3, 0(t2)",
    "sw t3, 0(t0)",
    "addi t2, t2, 4",
    "addi t0, t0, 4",
    "2: bltu t0, t1, 1b",
    "la t0, _bss_start",
    "la t1, _bss_end",
    "j 4f",
    "3: sw zero, 0(t0)",
    "addi t0, t0, 4",
    "4: bltu t0, t1, 3b",
    "li t2, {paint}",
    "j 6f",
    "5: sw t2, 0(t0)",
    "addi t0, t0, 4",
    "6: bltu t0, sp, 5b",
    "call {start}",
    paint = const PAINT,
    start = sym start,
    trap = sym trap,
);

static mut MEMORY: Memory = Memory::new();

extern "C" fn start() -> ! {
    // SAFETY: reset jumps here once, so this is the only reference to what no one else names.
    let memory = unsafe { &mut *(&raw mut MEMORY) };
    exit(usize::from(!crate::main(memory)))
}

// The address of a handler of everything is a multiple of 4.
global_asm!(".section .text.trap, \"ax\"", ".balign 4", "trap:", "j {fault}", fault = sym fault);

unsafe extern "C" {
    fn trap();
}

extern "C" fn fault() -> ! {
    Console.print(b"a fault of the core\n");
    exit(3)
}

unsafe extern "C" {
    /// Is nowhere.
    fn a_panic_is_reachable() -> !;
}

/// Links only where the linker finds that nothing can call it.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: a program that holds this call does not link.
    unsafe { a_panic_is_reachable() }
}
