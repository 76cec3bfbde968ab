//! A memory limit that all clients share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Request bodies up to this size do not count against their budget, so that a heartbeat is never
/// refused because the budget is used up.
pub(crate) const SMALL_BYTES: usize = 4096;

/// A maximum number of bytes in use, split into charges; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ByteBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max_bytes: usize,
    used_bytes: AtomicUsize,
}

impl ByteBudget {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            max_bytes,
            used_bytes: AtomicUsize::new(0),
        }))
    }

    /// Returns an empty charge.
    pub(crate) fn charge(&self) -> Charge {
        Charge {
            budget: self.clone(),
            bytes: 0,
        }
    }

    fn take(&self, bytes: usize) -> Result<(), OverBudget> {
        // Adds first and undoes it on failure: one atomic operation where a check followed by an
        // addition could let two threads exceed the maximum.
        let before = self.0.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.0.max_bytes {
            return Ok(());
        }
        self.give_back(bytes);
        Err(OverBudget)
    }

    fn give_back(&self, bytes: usize) {
        self.0.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The budget has too few unused bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the byte budget is used up")]
pub(crate) struct OverBudget;

/// The bytes that one client uses of a budget; dropping it returns them.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: ByteBudget,
    bytes: usize,
}

impl Charge {
    /// Raises the charge to at least `bytes`. On an error it is unchanged.
    pub(crate) fn raise_to(&mut self, bytes: usize) -> Result<(), OverBudget> {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Lowers the charge to `bytes`, if it is higher.
    pub(crate) fn lower_to(&mut self, bytes: usize) {
        if bytes < self.bytes {
            self.budget.give_back(self.bytes - bytes);
            self.bytes = bytes;
        }
    }

    /// Returns all bytes to the budget.
    pub(crate) fn release(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.bytes);
            self.bytes = 0;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_together_never_exceed_the_budget_and_come_back() {
        let budget = ByteBudget::new(100);
        let mut first = budget.charge();
        let mut second = budget.charge();
        assert_eq!(first.raise_to(60), Ok(()));
        assert_eq!(
            first.raise_to(50),
            Ok(()),
            "less than the charge holds already"
        );
        assert_eq!(second.raise_to(41), Err(OverBudget));
        assert_eq!(second.raise_to(40), Ok(()));
        first.release();
        assert_eq!(second.raise_to(100), Ok(()));
        drop(second);
        assert_eq!(first.raise_to(100), Ok(()));
        first.lower_to(30);
        first.lower_to(40);
        assert_eq!(budget.charge().raise_to(70), Ok(()));
        assert_eq!(budget.charge().raise_to(71), Err(OverBudget));
    }
}
