//! The cost mode and what determines it.

use super::bill::Bill;
use crate::protocol::{CostMode, ModeOverride};

/// The cost mode that follows from the budget, and what operators have set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CostState {
    /// The mode that the budget asks for.
    pub mode: CostMode,
    /// When the budget began to ask for it, in Unix milliseconds.
    pub mode_since_ms: i64,
    /// The last bill that an operator reported.
    pub bill: Option<Bill>,
    /// The last mode that an operator forced.
    pub forced: Option<ModeOverride>,
}
