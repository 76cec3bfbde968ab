//! What happened since the process started.

use std::collections::HashMap;

use super::mutation::Mutation;
use crate::protocol::ErrorCode;

/// Counters that only go up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Registrations accepted, first ones and updates.
    pub registrations: u64,
    /// Registrations that another one had replaced less than a lease before.
    pub alternating_registrations: u64,
    /// Heartbeats accepted.
    pub heartbeats: u64,
    /// Heartbeats refused because the peer is not registered.
    pub heartbeats_refused: u64,
    /// Cleanups that ran, including those that removed no peer.
    pub cleanups: u64,
    /// Peers that cleanups removed.
    pub peers_cleaned: u64,
    /// Time in which the process ran but no peer could renew its lease, in milliseconds.
    pub outage_credit_ms: u64,
    /// When the last cleanup ran, in Unix milliseconds.
    pub last_cleanup_ms: Option<i64>,
    /// TURN sessions granted and renewed.
    pub allocations_granted: u64,
    /// Refused allocations, by error code.
    pub allocations_refused: HashMap<ErrorCode, u64>,
}

impl Counters {
    /// Counts a mutation by the decision on it.
    pub(crate) fn count(&mut self, mutation: &Mutation) {
        let counter = match mutation {
            Mutation::Register(pending) => {
                let Ok(announced) = pending.decision() else {
                    return;
                };
                self.alternating_registrations += u64::from(announced.comes_back);
                &mut self.registrations
            }
            Mutation::OfferTurn(pending) => {
                let comes_back = pending.decision().is_ok_and(|offered| offered.comes_back);
                self.alternating_registrations += u64::from(comes_back);
                return;
            }
            Mutation::Renew(pending) => match pending.decision() {
                Ok(_) => &mut self.heartbeats,
                Err(_) => &mut self.heartbeats_refused,
            },
            Mutation::Allocate(pending) => match pending.decision() {
                Ok(Ok(_)) => &mut self.allocations_granted,
                Ok(Err(refusal)) => self.allocations_refused.entry(refusal.code()).or_default(),
                Err(_) => return,
            },
            _ => return,
        };
        *counter += 1;
    }
}
