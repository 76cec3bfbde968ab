//! What the registry tells the operator's log: one event, one line, whatever a client sent.
//!
//! A peer id needs no escaping; any other text of a client is written by its `Debug`, which leaves
//! no control character. Addresses of clients are not written at all. What clients can cause is
//! limited by kind: beyond the limit a line is written at debug only, and the count is told when
//! the window ends.

use std::fmt;
use std::num::NonZeroU64;

use log::{Level, debug, error, info, log, warn};

use super::batch::{Chore, Mutation, Outcome};
use super::messages::RelayOutcome;
use super::relay::CostStatus;
use crate::clock::rfc3339;
use crate::protocol::{AllocateTurnRequest, CostMode, PeerId};
use crate::server::log_lines::{LineLimit, WINDOW_MS};
use crate::server::model::Registration;
use crate::server::policy::lease::Outage;
use crate::server::storage::{FaultyRow, FilesLost, StorageError};

/// Rows set aside that are named in the log; all of them are in the database.
const MAX_NAMED_ROWS: usize = 20;

/// What is limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Registered,
    Updated,
    RegisteredAgain,
    RegistryFull,
    TurnServer,
    Granted,
    Released,
    Operator,
    CostMode,
    Cleanup,
    StorageFails,
    StorageWorks,
    Reloaded,
    Compared,
    StoodStill,
    Constraint,
}

impl Kind {
    const ALL: [Self; 16] = [
        Self::Registered,
        Self::Updated,
        Self::RegisteredAgain,
        Self::RegistryFull,
        Self::TurnServer,
        Self::Granted,
        Self::Released,
        Self::Operator,
        Self::CostMode,
        Self::Cleanup,
        Self::StorageFails,
        Self::StorageWorks,
        Self::Reloaded,
        Self::Compared,
        Self::StoodStill,
        Self::Constraint,
    ];

    /// How its lines are written.
    const fn level(self) -> Level {
        match self {
            Self::Registered
            | Self::Updated
            | Self::RegisteredAgain
            | Self::TurnServer
            | Self::Granted
            | Self::Released
            | Self::Operator
            | Self::Cleanup
            | Self::StorageWorks
            | Self::Compared => Level::Info,
            Self::RegistryFull | Self::CostMode | Self::Reloaded | Self::StoodStill => Level::Warn,
            Self::StorageFails | Self::Constraint => Level::Error,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Updated => "updated",
            Self::RegisteredAgain => "registered-again",
            Self::RegistryFull => "registry-full",
            Self::TurnServer => "turn-server",
            Self::Granted => "granted",
            Self::Released => "released",
            Self::Operator => "operator",
            Self::CostMode => "cost-mode",
            Self::Cleanup => "cleanup",
            Self::StorageFails => "storage-fails",
            Self::StorageWorks => "storage-works",
            Self::Reloaded => "changed-from-outside",
            Self::Compared => "compared",
            Self::StoodStill => "stood-still",
            Self::Constraint => "constraint",
        }
    }
}

/// The registry's part of the log, with a limit for each kind of line.
#[derive(Debug, Default)]
pub(super) struct Journal {
    limits: [LineLimit; Kind::ALL.len()],
}

impl Journal {
    /// Tells what was left out in windows that are over. To be called every second or so.
    pub(super) fn flush(&mut self, now_ms: i64) {
        for kind in Kind::ALL {
            if let Some(count) = self.limits[kind as usize].end_window(now_ms) {
                tell_left_out(kind, count);
            }
        }
    }

    fn tell(&mut self, kind: Kind, now_ms: i64, line: fmt::Arguments<'_>) {
        let admission = self.limits[kind as usize].admit(now_ms);
        if let Some(count) = admission.left_out {
            tell_left_out(kind, count);
        }
        let level = if admission.is_admitted {
            kind.level()
        } else {
            Level::Debug
        };
        log!(level, "{line}");
    }

    /// Tells what became of a mutation.
    pub(super) fn mutation(&mut self, now_ms: i64, mutation: &Mutation, outcome: &Outcome) {
        match mutation {
            Mutation::Register(registration) => self.register(now_ms, registration, outcome),
            Mutation::Renew(peer) => renew(peer, outcome),
            Mutation::OfferTurn(peer, offer) => match outcome {
                Outcome::OfferedTurn => self.tell(
                    Kind::TurnServer,
                    now_ms,
                    format_args!(
                        "registered TURN server peer={peer} addresses={} port={} capacity={}",
                        offer.addresses.len(),
                        offer.port,
                        offer.capacity,
                    ),
                ),
                outcome => renew(peer, outcome),
            },
            Mutation::Allocate(request) => self.allocate(now_ms, request, outcome),
            Mutation::Release(request) => {
                if let Outcome::Relay(RelayOutcome::Released(bytes)) = outcome {
                    let peer = &request.peer_id;
                    self.tell(
                        Kind::Released,
                        now_ms,
                        format_args!("released TURN session peer={peer} bytes={bytes}"),
                    );
                }
            }
            Mutation::Report(request) => {
                if let Outcome::Relay(RelayOutcome::Reported { accepted, unknown }) = outcome {
                    let server = &request.peer_id;
                    debug!("TURN usage server={server} accepted={accepted} unknown={unknown}");
                }
            }
            Mutation::SetTier(peer, tier) => self.tell(
                Kind::Operator,
                now_ms,
                format_args!("operator set tier peer={peer} tier={tier}"),
            ),
            Mutation::SetSpend(bill) => self.tell(
                Kind::Operator,
                now_ms,
                format_args!(
                    "operator fed a bill spend_usd={:.2} as_of={}",
                    bill.current_spend_usd,
                    rfc3339(bill.as_of),
                ),
            ),
            Mutation::SetMode(request) => match request.forced {
                Some((mode, until_ms)) => self.tell(
                    Kind::Operator,
                    now_ms,
                    format_args!("operator forced mode={mode} until={}", rfc3339(until_ms)),
                ),
                None => self.tell(
                    Kind::Operator,
                    now_ms,
                    format_args!("operator ended the forced mode"),
                ),
            },
        }
    }

    fn register(&mut self, now_ms: i64, registration: &Registration, outcome: &Outcome) {
        let peer = &registration.peer_id;
        match outcome {
            Outcome::Registered => {
                let profile = &registration.profile;
                self.tell(
                    Kind::Registered,
                    now_ms,
                    format_args!(
                        "registered peer={peer} addresses={} stores={} network={:?} version={:?}",
                        profile.addresses.len(),
                        profile.stores.len(),
                        profile.network_id.as_deref().unwrap_or("-"),
                        profile.version.as_deref().unwrap_or("-"),
                    ),
                );
            }
            Outcome::Updated => {
                self.tell(Kind::Updated, now_ms, format_args!("updated peer={peer}"));
            }
            Outcome::Confirmed => self.tell(
                Kind::RegisteredAgain,
                now_ms,
                format_args!("registered again, unchanged peer={peer}"),
            ),
            Outcome::RegistryFull => self.tell(
                Kind::RegistryFull,
                now_ms,
                format_args!("refused a new peer, the registry is full peer={peer}"),
            ),
            _ => {}
        }
    }

    fn allocate(&mut self, now_ms: i64, request: &AllocateTurnRequest, outcome: &Outcome) {
        let peer = &request.peer_id;
        match outcome {
            Outcome::Relay(RelayOutcome::Granted(granted)) => {
                let session = &granted.session;
                self.tell(
                    Kind::Granted,
                    now_ms,
                    format_args!(
                        "granted TURN session peer={peer} server={} tier={} mbps={} secs={} \
                         renewed={}",
                        session.server_id,
                        session.tier,
                        session.mbps,
                        granted.duration_secs,
                        request.session_id.is_some(),
                    ),
                );
            }
            Outcome::Relay(RelayOutcome::Refused(refusal)) => {
                debug!("refused TURN session peer={peer} reason={}", refusal.code());
            }
            _ => debug!("refused TURN session of an unknown peer or session peer={peer}"),
        }
    }

    /// Tells that the budget asks for another mode.
    pub(super) fn mode(&mut self, now_ms: i64, before: CostMode, cost: &CostStatus) {
        let forecast = &cost.forecast;
        self.tell(
            Kind::CostMode,
            now_ms,
            format_args!(
                "cost mode changed from={before} to={} forced={} ratio={:.3} spent_usd={:.2} \
                 projected_usd={:.2}",
                cost.budget_mode,
                cost.forced.is_some(),
                forecast.ratio,
                forecast.spend.total_usd(),
                forecast.projected_usd,
            ),
        );
    }

    /// Tells what a cleanup has removed.
    pub(super) fn cleanup(&mut self, now_ms: i64, cleaned: usize, chores: &[Chore]) {
        let trigger = if chores.contains(&Chore::Cleanup) {
            "interval"
        } else {
            "mutation"
        };
        if cleaned > 0 || trigger == "interval" {
            self.tell(
                Kind::Cleanup,
                now_ms,
                format_args!("cleanup removed={cleaned} trigger={trigger}"),
            );
        }
    }

    /// Tells that the database takes no writes from now on.
    pub(super) fn degraded(&mut self, now_ms: i64, error: &StorageError) {
        self.tell(
            Kind::StorageFails,
            now_ms,
            format_args!(
                "cannot write to the database, leases stand still until it works again: {error}"
            ),
        );
    }

    /// Tells that the table is compared with memory, and why.
    pub(super) fn changed(&mut self, now_ms: i64, peers: usize, credited: Option<Outage>) {
        match credited {
            Some(outage) => self.tell(
                Kind::StorageWorks,
                now_ms,
                format_args!(
                    "the database works again peers={peers} credited_secs={}",
                    (outage.until_ms - outage.from_ms) / 1000
                ),
            ),
            None => self.tell(
                Kind::Reloaded,
                now_ms,
                format_args!(
                    "the peer table was changed from outside, comparing every row peers={peers}"
                ),
            ),
        }
    }

    /// Tells that the database takes a change of one peer no more than of any other, but not this
    /// one: a trigger or a check stands in the way.
    pub(super) fn constraint(&mut self, now_ms: i64, peer: Option<&PeerId>, error: &StorageError) {
        match peer {
            Some(peer) => {
                let line =
                    format_args!("the database refuses the write of one peer={peer}: {error}");
                self.tell(Kind::Constraint, now_ms, line);
            }
            None => {
                let line = format_args!("the database refuses a cleanup: {error}");
                self.tell(Kind::Constraint, now_ms, line);
            }
        }
    }

    /// Tells that memory equals the table again.
    pub(super) fn compared(&mut self, now_ms: i64, peers: usize) {
        let line = format_args!("every row was compared peers={peers}");
        self.tell(Kind::Compared, now_ms, line);
    }

    /// Tells that leases stood still while the process did, or while a commit took long.
    pub(super) fn stood_still(&mut self, now_ms: i64, outage: Outage) {
        let millis = outage.until_ms - outage.from_ms;
        self.tell(
            Kind::StoodStill,
            now_ms,
            format_args!("nobody could renew for {millis} ms, which no lease is charged for"),
        );
    }
}

fn tell_left_out(kind: Kind, count: NonZeroU64) {
    let secs = WINDOW_MS / 1000;
    log!(
        kind.level(),
        "left out log lines kind={} count={count} within_secs={secs}",
        kind.as_str()
    );
}

fn renew(peer: &PeerId, outcome: &Outcome) {
    match outcome {
        Outcome::UnknownPeer => debug!("refused an unknown peer={peer}"),
        _ => debug!("heartbeat peer={peer}"),
    }
}

pub(super) fn still_degraded(error: &StorageError) {
    debug!("still cannot write to the database: {error}");
}

pub(super) fn close_failed(error: &StorageError) {
    error!("could not close the database cleanly: {error}");
}

/// Names rows that could not be read.
pub(super) fn set_aside(rows: &[FaultyRow]) {
    for row in rows.iter().take(MAX_NAMED_ROWS) {
        warn!(
            "set aside a row that cannot be read table={} rowid={} reason={:?}",
            row.table, row.row_id, row.reason
        );
    }
    if !rows.is_empty() {
        warn!(
            "set aside rows={}; the table peers_quarantine holds them",
            rows.len()
        );
    }
}

pub(super) fn files_lost(lost: &FilesLost) {
    error!("{lost}");
}

pub(super) fn shrunk(pages: u64) {
    info!("gave pages of the database back to the file system pages={pages}");
}

/// Tells that there was no memory for all peers of the table.
pub(super) fn shed(peers: usize, max_bytes: usize) {
    warn!(
        "removed the peers with the oldest leases, since all do not fit into {} MiB \
         (MAX_MEMORY_MB) peers={peers}",
        max_bytes >> 20
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_limit_and_a_name_of_its_own() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{kind:?}");
            let names = Kind::ALL.iter().filter(|k| k.as_str() == kind.as_str());
            assert_eq!(names.count(), 1, "{kind:?}");
        }
    }
}
