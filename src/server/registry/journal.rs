//! What the registry tells the operator's log: one event, one line, whatever a client sent.
//!
//! A peer id needs no escaping; any other text of a client is written by its `Debug`, which leaves
//! no control character. Addresses of clients are not written at all. What clients can cause is
//! limited by kind: beyond the limit a line is written at debug only, and the count is told when
//! the window ends.

use std::fmt;
use std::num::NonZeroU64;

use log::{Level, debug, error, info, log, warn};

use super::error::RegistryError;
use super::mutation::{Mutation, Registered, SetPeerTier};
use super::relay::{CostStatus, GrantedSession};
use super::reply::ReportedUsage;
use crate::clock::rfc3339;
use crate::protocol::{
    CostMode, PeerId, RegisterTurnServerRequest, SetModeRequest, SetSpendRequest,
};
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
    /// Logs what was left out in windows that are over. To be called every second or so.
    pub(super) fn flush(&mut self, now_ms: i64) {
        for kind in Kind::ALL {
            if let Some(count) = self.limits[kind as usize].end_window(now_ms) {
                log_left_out(kind, count);
            }
        }
    }

    fn log(&mut self, kind: Kind, now_ms: i64, line: fmt::Arguments<'_>) {
        let admission = self.limits[kind as usize].admit(now_ms);
        if let Some(count) = admission.left_out {
            log_left_out(kind, count);
        }
        let level = if admission.is_admitted {
            kind.level()
        } else {
            Level::Debug
        };
        log!(level, "{line}");
    }

    /// Logs how a mutation was decided.
    pub(super) fn mutation(&mut self, now_ms: i64, mutation: &Mutation) {
        match mutation {
            Mutation::Register(it) => match it.decision() {
                Ok(registered) => self.registered(now_ms, &it.request, *registered),
                Err(error) => self.registration_refused(now_ms, &it.request.peer_id, *error),
            },
            Mutation::Renew(it) => heartbeat(&it.request.peer_id, it.decision().is_ok()),
            Mutation::OfferTurn(it) => match it.decision() {
                Ok(()) => self.turn_server(now_ms, &it.request),
                Err(_) => heartbeat(&it.request.peer_id, false),
            },
            Mutation::Allocate(it) => {
                let peer = &it.request.peer_id;
                match it.decision() {
                    Ok(Ok(granted)) => {
                        self.granted(now_ms, granted, it.request.session_id.is_some());
                    }
                    Ok(Err(refusal)) => {
                        debug!("refused TURN session peer={peer} reason={}", refusal.code());
                    }
                    Err(error) => debug!("refused TURN session peer={peer} reason={error:?}"),
                }
            }
            Mutation::Release(it) => {
                if let Ok(bytes) = it.decision() {
                    let peer = &it.request.peer_id;
                    let line = format_args!("released TURN session peer={peer} bytes={bytes}");
                    self.log(Kind::Released, now_ms, line);
                }
            }
            Mutation::Report(it) => {
                if let Ok(ReportedUsage { accepted, unknown }) = it.decision() {
                    let server = &it.request.peer_id;
                    debug!("TURN usage server={server} accepted={accepted} unknown={unknown}");
                }
            }
            Mutation::SetTier(it) => {
                let SetPeerTier { peer_id, tier } = &it.request;
                let line = format_args!("operator set tier peer={peer_id} tier={tier}");
                self.log(Kind::Operator, now_ms, line);
            }
            Mutation::SetSpend(it) => self.bill(now_ms, &it.request),
            Mutation::SetMode(it) => self.forced_mode(now_ms, &it.request),
        }
    }

    fn registered(&mut self, now_ms: i64, registration: &Registration, registered: Registered) {
        let peer = &registration.peer_id;
        match registered {
            Registered::New => {
                let profile = &registration.profile;
                self.log(
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
            Registered::Updated => {
                self.log(Kind::Updated, now_ms, format_args!("updated peer={peer}"));
            }
            Registered::Unchanged => self.log(
                Kind::RegisteredAgain,
                now_ms,
                format_args!("registered again, unchanged peer={peer}"),
            ),
        }
    }

    fn registration_refused(&mut self, now_ms: i64, peer: &PeerId, error: RegistryError) {
        if error == RegistryError::RegistryFull {
            let line = format_args!("refused a new peer, the registry is full peer={peer}");
            self.log(Kind::RegistryFull, now_ms, line);
        }
    }

    fn turn_server(&mut self, now_ms: i64, request: &RegisterTurnServerRequest) {
        let RegisterTurnServerRequest { peer_id, offer } = request;
        self.log(
            Kind::TurnServer,
            now_ms,
            format_args!(
                "registered TURN server peer={peer_id} addresses={} port={} capacity={}",
                offer.addresses.len(),
                offer.port,
                offer.capacity,
            ),
        );
    }

    fn granted(&mut self, now_ms: i64, granted: &GrantedSession, is_renewed: bool) {
        let session = &granted.session;
        self.log(
            Kind::Granted,
            now_ms,
            format_args!(
                "granted TURN session peer={} server={} tier={} mbps={} secs={} \
                 renewed={is_renewed}",
                session.peer_id,
                session.server_id,
                session.tier,
                session.mbps,
                granted.duration_secs,
            ),
        );
    }

    fn bill(&mut self, now_ms: i64, bill: &SetSpendRequest) {
        self.log(
            Kind::Operator,
            now_ms,
            format_args!(
                "operator fed a bill spend_usd={:.2} as_of={}",
                bill.current_spend_usd,
                rfc3339(bill.as_of),
            ),
        );
    }

    fn forced_mode(&mut self, now_ms: i64, request: &SetModeRequest) {
        match request.forced {
            Some((mode, until_ms)) => self.log(
                Kind::Operator,
                now_ms,
                format_args!("operator forced mode={mode} until={}", rfc3339(until_ms)),
            ),
            None => self.log(
                Kind::Operator,
                now_ms,
                format_args!("operator ended the forced mode"),
            ),
        }
    }

    /// Logs that the budget asks for another mode.
    pub(super) fn mode(&mut self, now_ms: i64, before: CostMode, cost: &CostStatus) {
        let forecast = &cost.forecast;
        self.log(
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

    /// Logs what a cleanup has removed.
    pub(super) fn cleanup(&mut self, now_ms: i64, cleaned: usize, is_backup: bool) {
        let trigger = if is_backup { "interval" } else { "mutation" };
        if cleaned > 0 || is_backup {
            self.log(
                Kind::Cleanup,
                now_ms,
                format_args!("cleanup removed={cleaned} trigger={trigger}"),
            );
        }
    }

    /// Logs that the database takes no writes from now on.
    pub(super) fn degraded(&mut self, now_ms: i64, error: &StorageError) {
        self.log(
            Kind::StorageFails,
            now_ms,
            format_args!(
                "cannot write to the database, leases stand still until it works again: {error}"
            ),
        );
    }

    /// Logs that the table is compared with memory, and why.
    pub(super) fn changed(&mut self, now_ms: i64, peers: usize, credited: Option<Outage>) {
        match credited {
            Some(outage) => self.log(
                Kind::StorageWorks,
                now_ms,
                format_args!(
                    "the database works again peers={peers} credited_secs={}",
                    (outage.until_ms - outage.from_ms) / 1000
                ),
            ),
            None => self.log(
                Kind::Reloaded,
                now_ms,
                format_args!(
                    "the peer table was changed from outside, comparing every row peers={peers}"
                ),
            ),
        }
    }

    /// Logs that the database takes a change of one peer no more than of any other, but not this
    /// one: a trigger or a check stands in the way.
    pub(super) fn constraint(&mut self, now_ms: i64, peer: Option<&PeerId>, error: &StorageError) {
        match peer {
            Some(peer) => {
                let line =
                    format_args!("the database refuses the write of one peer={peer}: {error}");
                self.log(Kind::Constraint, now_ms, line);
            }
            None => {
                let line = format_args!("the database refuses a cleanup: {error}");
                self.log(Kind::Constraint, now_ms, line);
            }
        }
    }

    /// Logs that memory equals the table again.
    pub(super) fn compared(&mut self, now_ms: i64, peers: usize) {
        let line = format_args!("every row was compared peers={peers}");
        self.log(Kind::Compared, now_ms, line);
    }

    /// Logs that leases stood still while the process did, or while a commit took long.
    pub(super) fn stood_still(&mut self, now_ms: i64, outage: Outage) {
        let millis = outage.until_ms - outage.from_ms;
        self.log(
            Kind::StoodStill,
            now_ms,
            format_args!("nobody could renew for {millis} ms, which no lease is charged for"),
        );
    }
}

fn log_left_out(kind: Kind, count: NonZeroU64) {
    let secs = WINDOW_MS / 1000;
    log!(
        kind.level(),
        "left out log lines kind={} count={count} within_secs={secs}",
        kind.as_str()
    );
}

fn heartbeat(peer: &PeerId, is_known: bool) {
    if is_known {
        debug!("heartbeat peer={peer}");
    } else {
        debug!("refused an unknown peer={peer}");
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

/// Logs that there was no memory for all peers of the table.
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
