//! What the registry tells the operator's log: one event, one line, whatever a client sent.
//!
//! A peer id needs no escaping; any other text of a client is written by its `Debug`, which leaves
//! no control character. Addresses of clients are not written at all.

use log::{debug, error, info, warn};

use super::batch::{Chore, Mutation, Outcome};
use crate::server::policy::lease::Outage;
use crate::server::storage::StorageError;

pub(super) fn mutation(mutation: &Mutation, outcome: Outcome) {
    let peer = mutation.peer_id();
    match (mutation, outcome) {
        (Mutation::Register(registration), Outcome::Registered) => {
            let profile = &registration.profile;
            info!(
                "registered peer={peer} addresses={} stores={} network={:?} version={:?}",
                profile.addresses.len(),
                profile.stores.len(),
                profile.network_id.as_deref().unwrap_or("-"),
                profile.version.as_deref().unwrap_or("-"),
            );
        }
        (_, Outcome::Registered | Outcome::Updated) => info!("updated peer={peer}"),
        (_, Outcome::Confirmed) => info!("registered again, unchanged peer={peer}"),
        (Mutation::OfferTurn(_, offer), Outcome::OfferedTurn) => info!(
            "registered TURN server peer={peer} addresses={} port={} capacity={}",
            offer.addresses.len(),
            offer.port,
            offer.capacity,
        ),
        (_, Outcome::Renewed | Outcome::OfferedTurn) => debug!("heartbeat peer={peer}"),
        (_, Outcome::UnknownPeer) => debug!("refused an unknown peer={peer}"),
        (_, Outcome::RegistryFull) => warn!("refused a new peer, the registry is full peer={peer}"),
    }
}

pub(super) fn cleanup(cleaned: usize, chores: &[Chore]) {
    if chores.contains(&Chore::Cleanup) {
        info!("cleanup removed={cleaned} trigger=interval");
    } else if cleaned > 0 {
        info!("cleanup removed={cleaned} trigger=mutation");
    }
}

pub(super) fn degraded(error: &StorageError) {
    error!("cannot write to the database, leases stand still until it works again: {error}");
}

pub(super) fn still_degraded(error: &StorageError) {
    debug!("still cannot write to the database: {error}");
}

pub(super) fn reloaded(peers: usize, credited: Option<Outage>) {
    match credited {
        Some(outage) => info!(
            "the database works again peers={peers} credited_secs={}",
            (outage.until_ms - outage.from_ms) / 1000
        ),
        None => warn!("the peer table was changed from outside, read it again peers={peers}"),
    }
}

pub(super) fn close_failed(error: &StorageError) {
    error!("could not close the database cleanly: {error}");
}
