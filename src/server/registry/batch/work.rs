//! Mutations and maintenance that share a transaction.

use super::context::{BatchContext, BatchTables};
use super::plan::Plan;
use super::planner::Planner;
use crate::server::model::Outage;
use crate::server::registry::mutation::Mutation;
use crate::server::registry::relay::{Relay, RelayPlan};

/// Work that no peer has requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maintenance {
    /// The backup cleanup is due.
    Cleanup,
    /// A cleanup was limited, and another one removes the rest.
    CleanupRest,
    /// It is time to record that the registry is alive.
    MarkAlive,
}

/// Mutations and maintenance that share a transaction, with its plan.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// In order of arrival.
    pub mutations: Vec<Mutation>,
    pub maintenance: Vec<Maintenance>,
    pub plan: Plan,
}

impl Batch {
    /// Plans the batch. Expired peers that the directory still holds as active are left to a later
    /// cleanup. Returns the relay plan, and the mutations that must wait for the next batch.
    pub(crate) fn plan(
        &mut self,
        tables: &BatchTables<'_>,
        context: BatchContext,
    ) -> (RelayPlan, Vec<Mutation>) {
        let mut planner = Planner::new(tables, context);
        let mut planned = 0;
        for mutation in &mut self.mutations {
            if planner.is_full() || planner.must_wait(mutation) {
                break;
            }
            planner.decide(mutation);
            planned += 1;
        }
        let rest = self.mutations.split_off(planned);
        let is_needed = planner.is_needed();
        // A sign of life alone is no reason to clean up.
        let is_cleanup =
            |it: &Maintenance| matches!(it, Maintenance::Cleanup | Maintenance::CleanupRest);
        let cleans_up = is_needed || self.maintenance.iter().any(is_cleanup);
        let is_written = is_needed || !self.maintenance.is_empty();
        let (plan, relay_plan) = planner.finish(cleans_up && context.cleans_up, is_written);
        self.plan = plan;
        (relay_plan, rest)
    }

    /// Adds the changes that time has made, if the batch writes to the same tables.
    pub(crate) fn add_passed_time(
        &mut self,
        relay_plan: RelayPlan,
        relay: &mut Relay,
        unsaved_outages: &[Outage],
    ) {
        if !relay_plan.is_empty() || !self.maintenance.is_empty() {
            let unsaved = relay.take_unsaved(self.plan.changes.now_ms);
            self.plan.unsaved = Some(Box::new(unsaved.clone()));
            let (changes, update) = relay_plan.merge(unsaved);
            self.plan.changes.relay = changes;
            self.plan.relay = Some(update);
        }
        if self.plan.changes.is_written {
            self.plan.changes.outages = unsaved_outages.to_vec();
        }
    }
}
