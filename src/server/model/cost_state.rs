//! How tight the budget makes the registry.

use super::bill::Bill;
use crate::protocol::{CostMode, ModeOverride};

/// How tight the registry is, and what operators have said about it.
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
