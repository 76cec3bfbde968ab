//! The traffic of each day and the cost state.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::StorageError;
use super::quarantine::FaultyRow;
use crate::protocol::ModeOverride;
use crate::server::model::{Bill, CostState, DayTraffic, EARLIEST_MS};

/// An upper bound for any bill, in USD. Sums of such amounts stay far below the max of a float.
const MAX_USD: f64 = 1e12;

/// The tables about relaying and its cost. The registry also has their content in memory.
pub(crate) const TABLES: [&str; 4] = ["turn_sessions", "peer_tiers", "traffic_days", "cost_state"];

/// Adds to the traffic of days. If a sum exceeds the max integer, SQLite makes it a float, which
/// the column would refuse from then on; hence `min`.
pub(crate) const ADD_TRAFFIC: &str = "
INSERT INTO traffic_days (day, http_bytes, relayed_bytes)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
ON CONFLICT (day) DO UPDATE SET
    http_bytes = min(http_bytes + excluded.http_bytes, 9223372036854775807),
    relayed_bytes = min(relayed_bytes + excluded.relayed_bytes, 9223372036854775807);";

/// Replaces the cost state.
pub(crate) const SET_STATE: &str = "
INSERT OR REPLACE INTO cost_state (
    id, mode, mode_since, bill_spend_usd, bill_as_of, bill_metered_usd, forced_mode, forced_until
)
SELECT 1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
FROM json_each(?);";

/// Deletes the traffic of some days, so that it can be inserted again.
pub(crate) async fn drop_traffic(
    connection: &mut SqliteConnection,
    days: &[(i64, DayTraffic)],
) -> Result<(), StorageError> {
    for (day, _) in days {
        sqlx::query("DELETE FROM traffic_days WHERE day = ?")
            .bind(date_of(*day).to_string())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// A day, counted from 1970-01-01, and its traffic, in the order of the insert.
pub(crate) fn row_of((day, traffic): &(i64, DayTraffic)) -> Value {
    json!([
        date_of(*day).to_string(),
        traffic.http_bytes,
        traffic.relayed_bytes
    ])
}

/// The cost state, in the order of the insert.
pub(crate) fn state_row_of(state: &CostState) -> Value {
    let (bill, forced) = (state.bill, state.forced);
    json!([
        state.mode,
        state.mode_since_ms,
        bill.map(|bill| bill.spend_usd),
        bill.map(|bill| bill.as_of_ms),
        bill.map(|bill| bill.metered_usd),
        forced.map(|forced| forced.mode),
        forced.map(|forced| forced.until_ms),
    ])
}

fn date_of(day: i64) -> NaiveDate {
    let days = Days::new(u64::try_from(day).unwrap_or(0));
    NaiveDate::default()
        .checked_add_days(days)
        .unwrap_or_default()
}

/// Returns the traffic of `first_day`, counted from 1970-01-01, and of all later days. Adds the
/// rows that cannot be read to `faulty`.
pub(crate) async fn load_traffic(
    connection: &mut SqliteConnection,
    first_day: i64,
    faulty: &mut Vec<FaultyRow>,
) -> Result<Vec<(i64, DayTraffic)>, StorageError> {
    let rows = sqlx::query(
        "SELECT rowid, unixepoch(day) / 86400, http_bytes, relayed_bytes
         FROM traffic_days WHERE day >= ?",
    )
    .bind(date_of(first_day).to_string())
    .fetch_all(connection)
    .await?;
    let mut days = Vec::with_capacity(rows.len());
    for row in rows {
        let day: Option<i64> = row.try_get(1)?;
        let traffic = DayTraffic {
            http_bytes: row.try_get(2)?,
            relayed_bytes: row.try_get(3)?,
        };
        let fault = match day {
            None => "day is not a date",
            Some(_) if traffic.http_bytes < 0 || traffic.relayed_bytes < 0 => "bytes are negative",
            Some(day) => {
                days.push((day, traffic));
                continue;
            }
        };
        faulty.push(FaultyRow {
            table: "traffic_days",
            row_id: row.try_get(0)?,
            reason: fault.to_owned(),
        });
    }
    Ok(days)
}

/// Returns the stored cost state. Without a row, or with one that cannot be read, returns the
/// default.
pub(crate) async fn load_state(
    connection: &mut SqliteConnection,
    now_ms: i64,
    faulty: &mut Vec<FaultyRow>,
) -> Result<CostState, StorageError> {
    let row = sqlx::query("SELECT rowid, * FROM cost_state")
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else {
        return Ok(CostState::default());
    };
    match read_state(&row, now_ms) {
        Ok(state) => Ok(state),
        Err(reason) => {
            faulty.push(FaultyRow {
                table: "cost_state",
                row_id: row.try_get(0)?,
                reason,
            });
            Ok(CostState::default())
        }
    }
}

fn read_state(row: &SqliteRow, now_ms: i64) -> Result<CostState, String> {
    let said = |error: sqlx::Error| error.to_string();
    let mode: String = row.try_get("mode").map_err(said)?;
    let mode_since_ms: i64 = row.try_get("mode_since").map_err(said)?;
    let bill_usd: Option<f64> = row.try_get("bill_spend_usd").map_err(said)?;
    let forced: Option<String> = row.try_get("forced_mode").map_err(said)?;
    let bill = match bill_usd {
        None => None,
        Some(spend_usd) => Some(Bill {
            spend_usd,
            as_of_ms: row.try_get("bill_as_of").map_err(said)?,
            metered_usd: row.try_get("bill_metered_usd").map_err(said)?,
        }),
    };
    let is_sum = |usd: f64| (0.0..=MAX_USD).contains(&usd);
    if bill.is_some_and(|bill| !is_sum(bill.spend_usd) || !is_sum(bill.metered_usd)) {
        return Err("the bill is not a sum of money".to_owned());
    }
    Ok(CostState {
        // A mode of another version is unknown here; the next update computes it from the cost.
        mode: mode.parse().unwrap_or_default(),
        mode_since_ms: mode_since_ms.clamp(EARLIEST_MS, now_ms),
        bill,
        forced: match forced.and_then(|mode| mode.parse().ok()) {
            None => None,
            Some(mode) => Some(ModeOverride {
                mode,
                until_ms: row.try_get("forced_until").map_err(said)?,
            }),
        },
    })
}
