//! Bytes of memory that all clients share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that is lent out in charges; clones share it.
#[derive(Clone, Debug)]
pub(super) struct ByteBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max_bytes: usize,
    used_bytes: AtomicUsize,
}

impl ByteBudget {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            max_bytes,
            used_bytes: AtomicUsize::new(0),
        }))
    }

    /// A charge of nothing yet.
    pub(super) fn charge(&self) -> Charge {
        Charge {
            budget: self.clone(),
            bytes: 0,
        }
    }

    fn take(&self, bytes: usize) -> Result<(), OverBudget> {
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

/// All bytes of a budget are lent out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the byte budget is used up")]
pub(super) struct OverBudget;

/// What one client has of a budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: ByteBudget,
    bytes: usize,
}

impl Charge {
    /// Makes it at least `bytes`. If that fails, it stays what it was.
    pub(super) fn raise_to(&mut self, bytes: usize) -> Result<(), OverBudget> {
        if bytes > self.bytes {
            self.budget.take(bytes - self.bytes)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Gives everything back.
    pub(super) fn release(&mut self) {
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
        assert_eq!(first.raise_to(50), Ok(()), "less than it has already");
        assert_eq!(second.raise_to(41), Err(OverBudget));
        assert_eq!(second.raise_to(40), Ok(()));
        first.release();
        assert_eq!(second.raise_to(100), Ok(()));
        drop(second);
        assert_eq!(first.raise_to(100), Ok(()));
    }
}
