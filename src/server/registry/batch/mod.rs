//! Turns the mutations that wait into the changes of one transaction.
//!
//! The directory equals the table, so what each mutation will meet is known before the
//! transaction begins. The transaction then works in sets, and fails if it finds otherwise.
//!
//! [`work`] holds what waits, [`planner`] decides on it in a [`context`], and the [`plan`] is what
//! the transaction does.

mod context;
mod pending_row;
mod plan;
mod planner;
mod work;

pub(crate) use context::BatchContext;
pub(crate) use plan::Plan;
pub(crate) use work::{Batch, Maintenance};
