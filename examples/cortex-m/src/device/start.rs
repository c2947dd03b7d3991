//! From reset to `main`, and what happens when something goes wrong. Interrupts stay off: the table has the core's own
//! exceptions only.

use core::arch::global_asm;
use core::panic::PanicInfo;

use penjing_program::Memory;

use super::semihosting::{Console, exit};
use super::stack::PAINT;

// Statics get their values, free RAM its paint and the FPU its power before any Rust runs. Instructions of ARMv6-M alone.
global_asm!(
    ".section .text.reset, \"ax\"",
    ".global reset",
    ".type reset, %function",
    ".thumb_func",
    "reset:",
    "ldr r0, =_data_start",
    "ldr r1, =_data_end",
    "ldr r2, =_data_load",
    "b 2f",
    "1: ldm r2!, {{r3}}",
    "stm r0!, {{r3}}",
    "2: cmp r0, r1",
    "blo 1b",
    "ldr r0, =_bss_start",
    "ldr r1, =_bss_end",
    "movs r3, #0",
    "b 4f",
    "3: stm r0!, {{r3}}",
    "4: cmp r0, r1",
    "blo 3b",
    "ldr r1, =_stack_top",
    "ldr r3, ={paint}",
    "b 6f",
    "5: stm r0!, {{r3}}",
    "6: cmp r0, r1",
    "blo 5b",
    ".if {fpu}",
    // CPACR: full access to coprocessors 10 and 11.
    "ldr r0, =0xe000ed88",
    "ldr r1, [r0]",
    "movs r2, #15",
    "lsls r2, r2, #20",
    "orrs r1, r2",
    "str r1, [r0]",
    "dsb",
    "isb",
    ".endif",
    "bl {start}",
    ".ltorg",
    paint = const PAINT,
    fpu = const cfg!(target_abi = "eabihf") as u32,
    start = sym start,
);

unsafe extern "C" {
    fn reset();
}

/// The table after its first word, the stack's top, which the linker script writes: reset, then exceptions 2 to 15.
#[unsafe(link_section = ".vectors")]
#[used]
static VECTORS: [unsafe extern "C" fn(); 15] = {
    let mut table: [unsafe extern "C" fn(); 15] = [fault; 15];
    table[0] = reset;
    table
};

static mut MEMORY: Memory = Memory::new();

extern "C" fn start() -> ! {
    // SAFETY: reset jumps here once, so this is the only reference to what no one else names.
    let memory = unsafe { &mut *(&raw mut MEMORY) };
    exit(usize::from(!crate::main(memory)))
}

extern "C" fn fault() {
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
