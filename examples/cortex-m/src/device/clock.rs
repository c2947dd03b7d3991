//! A clock that counts instructions: a timer of the board under QEMU's `-icount shift=10`, where each instruction takes 1024 ns.
//! On a real board it counts time.

use core::ptr::{read_volatile, write_volatile};

#[cfg(not(feature = "microbit"))]
mod timer {
    //! TIMER0 of the CMSDK on MPS2 boards: counts down at 25 MHz.
    const CTRL: usize = 0x4000_0000;
    const VALUE: usize = CTRL + 4;
    const RELOAD: usize = CTRL + 8;

    pub(super) const START: &[(usize, u32)] = &[(RELOAD, u32::MAX), (VALUE, u32::MAX), (CTRL, 1)];
    pub(super) const CAPTURE: Option<usize> = None;
    pub(super) const COUNT: usize = VALUE;
    pub(super) const DOWN: bool = true;
    /// 25.6 ticks are an instruction: ticks * 5 / 2^7.
    pub(super) const INSTRUCTIONS: (u32, u32) = (5, 7);
}

#[cfg(feature = "microbit")]
mod timer {
    //! TIMER0 of the nRF51: counts up at 16 MHz, in 32 bits, and is read by way of a capture.
    const BASE: usize = 0x4000_8000;
    const TASKS_START: usize = BASE;
    const TASKS_CAPTURE: usize = BASE + 0x40;
    const BITMODE: usize = BASE + 0x508;
    const PRESCALER: usize = BASE + 0x510;
    const CC: usize = BASE + 0x540;

    pub(super) const START: &[(usize, u32)] = &[(BITMODE, 3), (PRESCALER, 0), (TASKS_START, 1)];
    pub(super) const CAPTURE: Option<usize> = Some(TASKS_CAPTURE);
    pub(super) const COUNT: usize = CC;
    pub(super) const DOWN: bool = false;
    /// 16.384 ticks are an instruction: ticks * 125 / 2^11.
    pub(super) const INSTRUCTIONS: (u32, u32) = (125, 11);
}

/// The running timer.
pub(crate) struct Clock;

impl Clock {
    /// Starts it.
    pub(crate) fn start() -> Self {
        for &(register, value) in timer::START {
            // SAFETY: a register of the board's timer, which nothing else in this program uses.
            unsafe { write_volatile(register as *mut u32, value) };
        }
        Self
    }

    /// Ticks since the start.
    #[inline(never)]
    pub(crate) fn now(&self) -> u32 {
        if let Some(capture) = timer::CAPTURE {
            // SAFETY: as in `start`.
            unsafe { write_volatile(capture as *mut u32, 1) };
        }
        // SAFETY: as in `start`.
        let count = unsafe { read_volatile(timer::COUNT as *const u32) };
        if timer::DOWN { !count } else { count }
    }

    /// Instructions since `before`, to the nearest.
    pub(crate) fn instructions_since(&self, before: u32) -> u32 {
        let ticks = self.now().wrapping_sub(before);
        let (factor, shift) = timer::INSTRUCTIONS;
        ((u64::from(ticks) * u64::from(factor) + (1 << (shift - 1))) >> shift) as u32
    }
}
