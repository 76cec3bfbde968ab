//! Reads the table `peers`, which may have a million rows.
//!
//! Reading one row through the driver takes about 10 µs, because each of its twenty values is
//! copied and sent to our thread. So SQLite's thread makes one JSON text of a hundred rows, and our
//! threads parse it while SQLite makes the next one. That takes about 2 µs per row.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use tokio::task::spawn_blocking;

use super::StorageError;
use super::error::{code, code_of};
use super::quarantine::FaultyRow;
use super::sessions::peer_id_limits;
use super::table::PEERS;
use crate::protocol::{PeerId, TurnOffer};
use crate::server::model::{EARLIEST_MS, Profile, StoredPeer};
use crate::server::progress::Progress;

/// The maximum number of chunks being parsed at a time.
const MAX_PARSING: usize = 8;

/// Rows per chunk. Small enough that several chunks of the largest rows fit into memory.
const CHUNK_ROWS: i64 = 100;

/// The maximum key of a row that is loaded, half of what the table allows. A row with a higher key,
/// which only an operator can write, is set aside.
const MAX_ROW_ID: i64 = 1 << 52;

/// A row as JSON: an array of the columns of [`PEERS`], in their order.
#[derive(Deserialize)]
struct Row<'a> {
    id: i64,
    #[serde(borrow)]
    peer_id: Cow<'a, str>,
    last_seen: i64,
    registered_at: i64,
    network_id: Option<String>,
    version: Option<String>,
    crypto_ipv6: Option<String>,
    #[serde(borrow)]
    addresses: Cow<'a, str>,
    privacy_mode: u8,
    bootstrap_capable: u8,
    turn_capable: u8,
    turn_addresses: Option<String>,
    turn_port: Option<u16>,
    turn_capacity: Option<u32>,
    software_version: Option<String>,
    server_port: Option<u16>,
    node_type: Option<u16>,
    #[serde(borrow)]
    stores: Cow<'a, str>,
    capabilities: Option<String>,
    capability_list: Option<String>,
}

impl Row<'_> {
    /// Returns the peer, or what is wrong with the row.
    fn read(self) -> Result<StoredPeer, String> {
        if !(1..=MAX_ROW_ID).contains(&self.id) {
            return Err(format!("id {} is not from 1 to 2^52", self.id));
        }
        if !PeerId::is_well_formed(&self.peer_id, &peer_id_limits()) {
            return Err("peer_id is not a peer id".to_owned());
        }
        let turn = match (self.turn_addresses, self.turn_port, self.turn_capacity) {
            (None, None, None) => None,
            (Some(addresses), Some(port), Some(capacity)) => Some(TurnOffer {
                addresses: list("turn_addresses", &addresses)?,
                port,
                capacity,
            }),
            _ => return Err("one of the TURN columns is null and another is not".to_owned()),
        };
        json("capabilities", self.capabilities.as_deref())?;
        json("capability_list", self.capability_list.as_deref())?;
        Ok(StoredPeer {
            row_id: self.id,
            peer_id: PeerId::from_trusted(&self.peer_id),
            registered_at_ms: self.registered_at,
            last_seen_ms: self.last_seen,
            profile: Profile {
                addresses: list("addresses", &self.addresses)?,
                crypto_ipv6: self.crypto_ipv6,
                stores: each_once(list("stores", &self.stores)?),
                version: self.version,
                privacy_mode: self.privacy_mode != 0,
                capabilities: self.capabilities,
                capability_list: self.capability_list,
                bootstrap_capable: self.bootstrap_capable != 0,
                network_id: self.network_id,
                software_version: self.software_version,
                server_port: self.server_port,
                node_type: self.node_type,
                turn_capable: self.turn_capable != 0,
                turn,
            },
        })
    }
}

/// Parses a column that holds a JSON list of texts.
fn list(column: &str, text: &str) -> Result<Vec<String>, String> {
    if text == "[]" {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|error| format!("{column}: {error}"))
}

/// Removes duplicates and keeps the first of each.
fn each_once(mut texts: Vec<String>) -> Vec<String> {
    if texts.len() < 2 {
        return texts;
    }
    let mut seen = HashSet::new();
    let keep: Vec<bool> = texts
        .iter()
        .map(|text| seen.insert(text.as_str()))
        .collect();
    let mut keep = keep.into_iter();
    texts.retain(|_| keep.next().unwrap_or(true));
    texts
}

/// Checks that a column is valid JSON, because responses contain it unchanged.
fn json(column: &str, text: Option<&str>) -> Result<(), String> {
    let Some(text) = text else {
        return Ok(());
    };
    let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
    parsed
        .map(|_| ())
        .map_err(|error| format!("{column}: {error}"))
}

/// Clamps each `last_seen` to the range from [`EARLIEST_MS`] to now: a wrong clock may have written
/// others. `OR IGNORE` skips rows that an operator's trigger protects.
pub(crate) async fn clamp(
    connection: &mut SqliteConnection,
    now_ms: i64,
) -> Result<(), StorageError> {
    for clamp in [
        "UPDATE OR IGNORE peers SET last_seen = ?1 WHERE last_seen > ?1",
        "UPDATE OR IGNORE peers SET last_seen = ?2 WHERE last_seen < ?2",
    ] {
        sqlx::query(clamp)
            .bind(now_ms)
            .bind(EARLIEST_MS)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Passes every peer to `each`, in no particular order. Returns the rows that cannot be read.
pub(crate) async fn load(
    connection: &mut SqliteConnection,
    progress: &Progress,
    mut each: impl FnMut(StoredPeer),
) -> Result<Vec<FaultyRow>, StorageError> {
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM peers")
        .fetch_one(&mut *connection)
        .await?;
    progress.begin(u64::try_from(total).unwrap_or(0));
    let mut faulty = Vec::new();
    let mut unread = Vec::new();
    let mut after = i64::MIN;
    // Each round continues after the chunk that failed.
    while let Err(error) = stream(
        connection,
        &mut after,
        progress,
        &mut each,
        &mut faulty,
        &mut unread,
    )
    .await
    {
        // A chunk whose JSON exceeds SQLite's max size is read row by row.
        let until = match &error {
            StorageError::Database(cause) if code_of(cause) == Some(code::TOO_BIG) => {
                end_of_chunk(connection, after).await?
            }
            _ => None,
        };
        let Some(until) = until else {
            return Err(error);
        };
        unread.push((after, until));
        after = until;
    }
    for (after, until) in unread {
        for row_id in row_ids(connection, after, until).await? {
            match read_one(connection, row_id).await? {
                Ok(peer) => each(peer),
                Err(reason) => faulty.push(faulty_peer(row_id, reason)),
            }
            progress.add(1);
        }
    }
    Ok(faulty)
}

fn faulty_peer(row_id: i64, reason: String) -> FaultyRow {
    FaultyRow {
        table: "peers",
        row_id,
        reason,
    }
}

/// Reads chunk by chunk, starting after the key `after` and advancing it. A text that is not UTF-8
/// makes its whole chunk invalid; such chunks are added to `unread`.
async fn stream(
    connection: &mut SqliteConnection,
    after: &mut i64,
    progress: &Progress,
    each: &mut impl FnMut(StoredPeer),
    faulty: &mut Vec<FaultyRow>,
    unread: &mut Vec<(i64, i64)>,
) -> Result<(), StorageError> {
    let mut chunks = sqlx::query(AssertSqlSafe(chunks_query()))
        .bind(*after)
        .fetch(connection);
    let mut parsing = VecDeque::new();
    let mut is_end = false;
    while !is_end || !parsing.is_empty() {
        match chunks.try_next().await? {
            None => is_end = true,
            Some(chunk) => {
                let until: i64 = chunk.try_get(0)?;
                let text: Result<String, _> = chunk.try_get(1);
                // On another thread, because this one fills the directory meanwhile.
                parsing.push_back((until, spawn_blocking(move || parse(&text.ok()?))));
            }
        }
        // Results are taken in order, so that `after` never passes a chunk that is still being
        // parsed: after an error the load continues from there.
        while parsing.len() > if is_end { 0 } else { MAX_PARSING } {
            let Some((until, rows)) = parsing.pop_front() else {
                break;
            };
            match rows.await.ok().flatten() {
                Some(rows) => {
                    progress.add(rows.len() as u64);
                    for row in rows {
                        match row {
                            Ok(peer) => each(peer),
                            Err(row) => faulty.push(row),
                        }
                    }
                }
                None => unread.push((*after, until)),
            }
            *after = until;
        }
        // The loop may run for seconds without waiting; let other tasks of this thread run, e.g.
        // the one that handles signals.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The query for the last key of each chunk and its rows as one JSON text.
fn chunks_query() -> String {
    format!(
        "WITH RECURSIVE chunk (after, until) AS (
             SELECT ?1, {end}
             UNION ALL
             SELECT until, (
                 SELECT max(id) FROM (
                     SELECT id FROM peers WHERE id > until ORDER BY id LIMIT {CHUNK_ROWS}
                 )
             )
             FROM chunk WHERE until IS NOT NULL
         )
         SELECT until, (
             SELECT json_group_array(json_array({columns}))
             FROM (SELECT * FROM peers WHERE id > after AND id <= until ORDER BY id)
         )
         FROM chunk WHERE until IS NOT NULL",
        columns = PEERS.columns(),
        end = END_OF_CHUNK,
    )
}

/// Returns the rows of a chunk; `None` if it is not valid JSON.
fn parse(text: &str) -> Option<Vec<Result<StoredPeer, FaultyRow>>> {
    let rows: Vec<Row<'_>> = serde_json::from_str(text).ok()?;
    let read = |row: Row<'_>| {
        let row_id = row.id;
        row.read().map_err(|reason| faulty_peer(row_id, reason))
    };
    Some(rows.into_iter().map(read).collect())
}

/// Selects the last key of the chunk after the key `?1`. The limit is [`CHUNK_ROWS`].
const END_OF_CHUNK: &str = "
(SELECT max(id) FROM (SELECT id FROM peers WHERE id > ?1 ORDER BY id LIMIT 100))";

async fn end_of_chunk(
    connection: &mut SqliteConnection,
    after: i64,
) -> Result<Option<i64>, StorageError> {
    let end = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {END_OF_CHUNK}")))
        .bind(after)
        .fetch_one(connection)
        .await?;
    Ok(end)
}

async fn row_ids(
    connection: &mut SqliteConnection,
    after: i64,
    until: i64,
) -> Result<Vec<i64>, StorageError> {
    let ids = sqlx::query_scalar("SELECT id FROM peers WHERE id > ? AND id <= ? ORDER BY id")
        .bind(after)
        .bind(until)
        .fetch_all(connection)
        .await?;
    Ok(ids)
}

/// Reads the rows with these keys, in ascending order.
pub(crate) async fn rows(
    connection: &mut SqliteConnection,
    row_ids: &[i64],
) -> Result<(Vec<StoredPeer>, Vec<FaultyRow>), StorageError> {
    let (mut peers, mut faulty) = (Vec::with_capacity(row_ids.len()), Vec::new());
    for row_ids in row_ids.chunks(CHUNK_ROWS as usize) {
        let keys = serde_json::to_string(row_ids).unwrap_or_default();
        let text = sqlx::query_scalar::<_, String>(AssertSqlSafe(format!(
            "SELECT json_group_array(json_array({columns})) FROM (
                 SELECT * FROM peers WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id
             )",
            columns = PEERS.columns(),
        )))
        .bind(keys)
        .fetch_one(&mut *connection)
        .await;
        let text = text.unwrap_or_default();
        match serde_json::from_str::<Vec<Row<'_>>>(&text) {
            Ok(rows) => {
                for row in rows {
                    let row_id = row.id;
                    match row.read() {
                        Ok(peer) => peers.push(peer),
                        Err(reason) => faulty.push(faulty_peer(row_id, reason)),
                    }
                }
            }
            // A row is invalid, or all together exceed SQLite's max size. Read them one by one.
            Err(_) => {
                for row_id in row_ids {
                    match read_one(connection, *row_id).await? {
                        Ok(peer) => peers.push(peer),
                        Err(reason) => faulty.push(faulty_peer(*row_id, reason)),
                    }
                }
            }
        }
    }
    Ok((peers, faulty))
}

/// Reads one row. Returns the peer, or what is wrong with the row.
async fn read_one(
    connection: &mut SqliteConnection,
    row_id: i64,
) -> Result<Result<StoredPeer, String>, StorageError> {
    let text = sqlx::query_scalar::<_, String>(AssertSqlSafe(format!(
        "SELECT json_array({columns}) FROM peers WHERE id = ?",
        columns = PEERS.columns(),
    )))
    .bind(row_id)
    .fetch_one(connection)
    .await;
    let text = match text {
        Ok(text) => text,
        Err(error @ sqlx::Error::ColumnDecode { .. }) => return Ok(Err(error.to_string())),
        Err(error) if code_of(&error) == Some(code::TOO_BIG) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let row: Result<Row<'_>, _> = serde_json::from_str(&text);
    Ok(match row {
        Ok(row) => row.read(),
        Err(error) => Err(error.to_string()),
    })
}
