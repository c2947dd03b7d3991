//! What a session may take of memory. A small file may ask for much: every table, every expansion of packed weights and every
//! arena is counted here before it is allocated.

use core::cell::Cell;

/// A limit, and what has been taken of it.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    taken: Cell<u64>,
}

/// More than there is. Pairs are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overdraft {
    /// What was taken before, and what was asked for.
    pub(crate) needed: u64,
    pub(crate) limit: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64, taken: u64) -> Self {
        Self { limit, taken: Cell::new(taken) }
    }

    /// Whether there is so much left; what is allocated later and counted then is looked for so.
    pub(crate) fn fits(&self, bytes: u64) -> Result<(), Overdraft> {
        let needed = self.taken.get().saturating_add(bytes);
        // No allocation is larger, whatever the limit.
        let addressable = isize::MAX as u64;
        if needed > self.limit.min(addressable) {
            return Err(Overdraft { needed, limit: self.limit });
        }
        Ok(())
    }

    /// Takes so much for as long as the session lives.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), Overdraft> {
        self.fits(bytes)?;
        self.taken.set(self.taken.get() + bytes);
        Ok(())
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.get()
    }
}

/// A product that stays at the largest number rather than wrap around.
pub(crate) fn product(factors: &[usize]) -> u64 {
    factors.iter().fold(1, |product: u64, &factor| product.saturating_mul(factor as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone() {
        let budget = Budget::new(10, 3);
        assert_eq!(budget.fits(7), Ok(()));
        assert_eq!(budget.take(5), Ok(()));
        assert_eq!(budget.take(3), Err(Overdraft { needed: 11, limit: 10 }));
        assert_eq!(budget.take(u64::MAX), Err(Overdraft { needed: u64::MAX, limit: 10 }));
        assert_eq!((budget.take(2), budget.taken()), (Ok(()), 10));
        assert_eq!(product(&[usize::MAX, usize::MAX, 2]), u64::MAX);
    }
}
