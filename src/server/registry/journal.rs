//! What the registry tells the operator's log: one event, one line, whatever a client sent.
//!
//! A peer id needs no escaping; any other text of a client is written by its `Debug`, which leaves
//! no control character. Addresses of clients are not written at all.

use log::{debug, error, info, warn};

use super::batch::{Chore, Mutation, Outcome};
use super::messages::RelayOutcome;
use super::relay::CostStatus;
use crate::clock::rfc3339;
use crate::protocol::{AllocateTurnRequest, CostMode, PeerId};
use crate::server::model::Registration;
use crate::server::policy::lease::Outage;
use crate::server::storage::{FilesLost, Loaded, StorageError};

/// Rows set aside that are named in the log; all of them are in the database.
const MAX_NAMED_ROWS: usize = 20;

pub(super) fn mutation(mutation: &Mutation, outcome: &Outcome) {
    match mutation {
        Mutation::Register(registration) => register(registration, outcome),
        Mutation::Renew(peer) => renew(peer, outcome),
        Mutation::OfferTurn(peer, offer) => match outcome {
            Outcome::OfferedTurn => info!(
                "registered TURN server peer={peer} addresses={} port={} capacity={}",
                offer.addresses.len(),
                offer.port,
                offer.capacity,
            ),
            outcome => renew(peer, outcome),
        },
        Mutation::Allocate(request) => allocate(request, outcome),
        Mutation::Release(request) => {
            if let Outcome::Relay(RelayOutcome::Released(bytes)) = outcome {
                info!(
                    "released TURN session peer={} bytes={bytes}",
                    request.peer_id
                );
            }
        }
        Mutation::Report(request) => {
            if let Outcome::Relay(RelayOutcome::Reported { accepted, unknown }) = outcome {
                let server = &request.peer_id;
                debug!("TURN usage server={server} accepted={accepted} unknown={unknown}");
            }
        }
        Mutation::SetTier(peer, tier) => info!("operator set tier peer={peer} tier={tier}"),
        Mutation::SetSpend(bill) => info!(
            "operator fed a bill spend_usd={:.2} as_of={}",
            bill.current_spend_usd,
            rfc3339(bill.as_of),
        ),
        Mutation::SetMode(request) => match request.forced {
            Some((mode, until_ms)) => {
                info!("operator forced mode={mode} until={}", rfc3339(until_ms));
            }
            None => info!("operator ended the forced mode"),
        },
    }
}

fn allocate(request: &AllocateTurnRequest, outcome: &Outcome) {
    let peer = &request.peer_id;
    match outcome {
        Outcome::Relay(RelayOutcome::Granted(granted)) => {
            let session = &granted.session;
            info!(
                "granted TURN session peer={peer} server={} tier={} mbps={} secs={} renewed={}",
                session.server_id,
                session.tier,
                session.mbps,
                granted.duration_secs,
                request.session_id.is_some(),
            );
        }
        Outcome::Relay(RelayOutcome::Refused(refusal)) => {
            debug!("refused TURN session peer={peer} reason={}", refusal.code());
        }
        _ => debug!("refused TURN session of an unknown peer or session peer={peer}"),
    }
}

/// Tells that the budget asks for another mode.
pub(super) fn mode(before: CostMode, cost: &CostStatus) {
    let forecast = &cost.forecast;
    warn!(
        "cost mode changed from={before} to={} forced={} ratio={:.3} spent_usd={:.2} \
         projected_usd={:.2}",
        cost.budget_mode,
        cost.forced.is_some(),
        forecast.ratio,
        forecast.spend.total_usd(),
        forecast.projected_usd,
    );
}

fn register(registration: &Registration, outcome: &Outcome) {
    let peer = &registration.peer_id;
    match outcome {
        Outcome::Registered => {
            let profile = &registration.profile;
            info!(
                "registered peer={peer} addresses={} stores={} network={:?} version={:?}",
                profile.addresses.len(),
                profile.stores.len(),
                profile.network_id.as_deref().unwrap_or("-"),
                profile.version.as_deref().unwrap_or("-"),
            );
        }
        Outcome::Updated => info!("updated peer={peer}"),
        Outcome::Confirmed => info!("registered again, unchanged peer={peer}"),
        Outcome::RegistryFull => warn!("refused a new peer, the registry is full peer={peer}"),
        _ => {}
    }
}

fn renew(peer: &PeerId, outcome: &Outcome) {
    match outcome {
        Outcome::UnknownPeer => debug!("refused an unknown peer={peer}"),
        _ => debug!("heartbeat peer={peer}"),
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

/// Names the rows that a load could not read.
pub(super) fn set_aside(loaded: &Loaded) {
    for row in loaded.set_aside.iter().take(MAX_NAMED_ROWS) {
        warn!(
            "set aside a row that cannot be read table={} rowid={} reason={:?}",
            row.table, row.row_id, row.reason
        );
    }
    if !loaded.set_aside.is_empty() {
        warn!(
            "set aside rows={}; the table peers_quarantine holds them, with earlier ones rows={}",
            loaded.set_aside.len(),
            loaded.quarantined
        );
    }
}

pub(super) fn files_lost(lost: &FilesLost) {
    error!("{lost}");
}

pub(super) fn shrunk(pages: u64) {
    info!("gave pages of the database back to the file system pages={pages}");
}
