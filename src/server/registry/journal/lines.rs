//! The log lines about the registry itself, and the limits.

use std::fmt;
use std::num::NonZeroU64;

use enum_map::EnumMap;
use log::{Level, debug, error, info, log, warn};

use super::kind::Kind;
use crate::protocol::{CostMode, PeerId};
use crate::server::log_lines::{LineLimit, WINDOW_MS};
use crate::server::model::Outage;
use crate::server::registry::relay::CostStatus;
use crate::server::storage::{FaultyRow, FilesLost, StorageError};

/// The maximum number of rows set aside that the log names. The database has all of them.
const MAX_NAMED_ROWS: usize = 20;

/// The registry's part of the log, with a limit for each kind of line.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    limits: EnumMap<Kind, LineLimit>,
}

impl Journal {
    /// Logs the number of lines that were left out in windows that have ended. Call it about once
    /// per second.
    pub(crate) fn flush(&mut self, now_ms: i64) {
        for (kind, limit) in &mut self.limits {
            if let Some(count) = limit.end_window(now_ms) {
                log_left_out(kind, count);
            }
        }
    }

    /// Writes a line. If its kind has reached its limit in this window, the level is debug.
    pub(crate) fn log(&mut self, kind: Kind, now_ms: i64, line: fmt::Arguments<'_>) {
        let admission = self.limits[kind].admit(now_ms);
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

    /// Logs that the budget requires another mode.
    pub(crate) fn mode(&mut self, now_ms: i64, before: CostMode, cost: &CostStatus) {
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

    /// Logs the number of peers that a cleanup has removed.
    pub(crate) fn cleanup(&mut self, now_ms: i64, cleaned: usize, is_backup: bool) {
        let trigger = if is_backup { "interval" } else { "mutation" };
        if cleaned > 0 || is_backup {
            self.log(
                Kind::Cleanup,
                now_ms,
                format_args!("cleanup removed={cleaned} trigger={trigger}"),
            );
        }
    }

    /// Logs that the database now refuses writes.
    pub(crate) fn degraded(&mut self, now_ms: i64, error: &StorageError) {
        self.log(
            Kind::StorageFails,
            now_ms,
            format_args!(
                "cannot write to the database, leases stand still until it works again: {error}"
            ),
        );
    }

    /// Logs that the table will be compared with memory, and why.
    pub(crate) fn changed(&mut self, now_ms: i64, peers: usize, credited: Option<Outage>) {
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

    /// Logs that the database refuses the change of one peer or a cleanup, because of a trigger or
    /// a check constraint.
    pub(crate) fn constraint(&mut self, now_ms: i64, peer: Option<&PeerId>, error: &StorageError) {
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
    pub(crate) fn compared(&mut self, now_ms: i64, peers: usize) {
        let line = format_args!("every row was compared peers={peers}");
        self.log(Kind::Compared, now_ms, line);
    }

    /// Logs that leases stood still because the process was stopped or a commit was slow.
    pub(crate) fn stood_still(&mut self, now_ms: i64, outage: Outage) {
        let millis = outage.until_ms - outage.from_ms;
        self.log(
            Kind::StoodStill,
            now_ms,
            format_args!("nobody could renew for {millis} ms, leases are extended by this time"),
        );
    }
}

fn log_left_out(kind: Kind, count: NonZeroU64) {
    let secs = WINDOW_MS / 1000;
    log!(
        kind.level(),
        "left out log lines kind={kind} count={count} within_secs={secs}"
    );
}

pub(crate) fn still_degraded(error: &StorageError) {
    debug!("still cannot write to the database: {error}");
}

pub(crate) fn close_failed(error: &StorageError) {
    error!("could not close the database cleanly: {error}");
}

/// Logs rows that could not be read.
pub(crate) fn set_aside(rows: &[FaultyRow]) {
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

pub(crate) fn files_lost(lost: &FilesLost) {
    error!("{lost}");
}

pub(crate) fn shrunk(pages: u64) {
    info!("gave pages of the database back to the file system pages={pages}");
}

/// Logs that the peers of the table did not all fit into memory.
pub(crate) fn removed_to_fit(peers: usize, max_bytes: usize) {
    warn!(
        "removed the peers with the oldest leases, since all do not fit into {} MiB \
         (MAX_MEMORY_MB) peers={peers}",
        max_bytes >> 20
    );
}
