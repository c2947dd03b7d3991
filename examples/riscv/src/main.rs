//! The article's network on a small RISC-V core: what is this core's own. What the program does is in `../../program`.
#![no_std]
#![no_main]

mod device;

use device::{Clock, Console, Stack};
use penjing_program::{Board, Memory};

/// A board under QEMU, as the program sees it.
struct RiscV {
    clock: Clock,
    console: Console,
    stack: Stack,
}

impl Board for RiscV {
    fn print(&mut self, text: &[u8]) {
        self.console.print(text);
    }

    fn instructions_since(&mut self, before: u32) -> u32 {
        self.clock.instructions_since(before)
    }

    fn now(&mut self) -> u32 {
        self.clock.now()
    }

    fn stack_bytes(&self) -> u32 {
        self.stack.used_bytes()
    }
}

/// What start-up calls; whether all went well.
fn main(memory: &'static mut Memory) -> bool {
    let mut board = RiscV { clock: Clock::start(), console: Console, stack: Stack };
    penjing_program::run(&mut board, memory)
}
