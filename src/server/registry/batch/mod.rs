//! Turns the waiting mutations into the changes of one transaction.
//!
//! The directory equals the table, so the plan knows the rows that each mutation will meet before
//! the transaction begins. The transaction then writes whole sets of rows, and fails if it finds
//! other rows than planned.
//!
//! [`work`] holds the mutations, the [`planner`] decides on them in a [`context`], and the [`plan`] is
//! what the transaction does. [`decide`] begins with who may send a mutation ([`claims`]); the rest
//! is in the planner, and in [`turn`], [`unregister`] and [`relay`].

mod claims;
mod context;
mod decide;
mod pending_row;
mod plan;
mod planner;
mod relay;
mod turn;
mod unregister;
mod work;

pub(crate) use context::{BatchContext, BatchTables};
pub(crate) use plan::Plan;
pub(crate) use work::{Batch, Maintenance};
