//! Everything that touches the core or the board: start-up, panics, clock, console and stack. All `unsafe` of this example is
//! below; none of it knows what the program does.

mod clock;
mod semihosting;
mod stack;
mod start;

pub(crate) use clock::Clock;
pub(crate) use semihosting::Console;
pub(crate) use stack::Stack;
