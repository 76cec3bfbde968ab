//! The real server on a port of its own, with its own database and a clock that stands still.

use std::sync::Arc;
use std::time::Duration;

use peer_registry::clock::ManualClock;
use peer_registry::server::Server;
use peer_registry::server::config::{Config, Secret};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{Column, ConnectOptions, Connection, Row};
use tempfile::TempDir;

use crate::answer::Answer;
use crate::flags::settings;

/// The start of every test: 2026-01-01T00:00:00Z, in Unix milliseconds.
pub const START_MS: i64 = 1_767_225_600_000;

/// The admin token.
pub const ADMIN_TOKEN: &str = "token-of-the-operator";

/// A running registry.
pub struct TestRegistry {
    pub clock: Arc<ManualClock>,
    pub config: Config,
    client: reqwest::Client,
    server: Option<Server>,
    url: String,
    folder: TempDir,
}

impl TestRegistry {
    /// Starts with the default settings.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with an admin token and these settings, as command-line flags.
    pub async fn start_with_operator(flags: &[&str]) -> Self {
        Self::start_changed(flags, |config| {
            config.admin_token = Some(secret(ADMIN_TOKEN))
        })
        .await
    }

    /// Starts with these settings, as command-line flags.
    pub async fn start_with(flags: &[&str]) -> Self {
        Self::start_changed(flags, |_| ()).await
    }

    /// Starts with these settings as command-line flags; `change` sets what has no flag.
    pub async fn start_changed(flags: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("peers.db").display());
        let base = [
            "--listen-addr=127.0.0.1:0",
            "--http-workers=1",
            &format!("--database-url={url}"),
        ];
        let mut config = settings([&base, flags].concat()).check().unwrap();
        change(&mut config);
        let clock = Arc::new(ManualClock::new(START_MS));
        let mut registry = Self {
            clock,
            config,
            client: reqwest::Client::builder().gzip(false).build().unwrap(),
            server: None,
            url: String::new(),
            folder,
        };
        registry.resume().await;
        registry
    }

    /// Starts again on the same database; the clock keeps its time.
    pub async fn resume(&mut self) {
        let server = Server::start(&self.config, self.clock.clone())
            .await
            .unwrap();
        self.url = format!("http://{}", server.addr());
        self.server = Some(server);
    }

    /// Stops in order.
    pub async fn stop(&mut self) {
        let server = self.server.take().expect("a running server");
        server.stop().await.unwrap();
    }

    pub fn addr(&self) -> std::net::SocketAddr {
        self.server.as_ref().expect("a running server").addr()
    }

    pub fn now_ms(&self) -> i64 {
        peer_registry::clock::Clock::now_ms(&*self.clock)
    }

    pub fn advance_secs(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    pub fn advance_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    /// `POST /register`
    pub async fn register(&self, body: &Value) -> Answer {
        self.post("/register", body).await
    }

    /// `POST /heartbeat`
    pub async fn heartbeat(&self, peer_id: &str) -> Answer {
        self.post("/heartbeat", &json!({ "peerId": peer_id })).await
    }

    /// `POST /register-turn-server`
    pub async fn register_turn_server(&self, body: &Value) -> Answer {
        self.post("/register-turn-server", body).await
    }

    /// `GET /peers`, with the query string given, e.g. `limit=3`.
    pub async fn peers(&self, query: &str) -> Answer {
        self.get(&format!("/peers?{query}")).await
    }

    /// `GET /turn-servers`
    pub async fn turn_servers(&self) -> Answer {
        self.get("/turn-servers").await
    }

    /// `POST /allocate-turn`
    pub async fn allocate(&self, body: &Value) -> Answer {
        self.post("/allocate-turn", body).await
    }

    /// `POST /release-turn`
    pub async fn release(&self, body: &Value) -> Answer {
        self.post("/release-turn", body).await
    }

    /// `POST /report-turn-usage`
    pub async fn report(&self, body: &Value) -> Answer {
        self.post("/report-turn-usage", body).await
    }

    /// `GET /cost-stats`
    pub async fn cost_stats(&self) -> Answer {
        self.get("/cost-stats").await
    }

    /// `PUT /admin/peers/{peerId}/tier`
    pub async fn set_tier(&self, peer_id: &str, tier: &str) -> Answer {
        let path = format!("/admin/peers/{peer_id}/tier");
        self.put_as_operator(&path, &json!({ "tier": tier })).await
    }

    /// `PUT /admin/spend`
    pub async fn set_spend(&self, usd: f64, as_of: &str) -> Answer {
        let body = json!({ "currentSpendUsd": usd, "asOf": as_of });
        self.put_as_operator("/admin/spend", &body).await
    }

    /// `PUT /admin/mode`
    pub async fn set_mode(&self, body: &Value) -> Answer {
        self.put_as_operator("/admin/mode", body).await
    }

    pub async fn put_as_operator(&self, path: &str, body: &Value) -> Answer {
        let token = format!("Bearer {ADMIN_TOKEN}");
        let request = self
            .request(reqwest::Method::PUT, path)
            .header("authorization", token)
            .json(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// `GET /stats`
    pub async fn stats(&self) -> Answer {
        self.get("/stats").await
    }

    /// `GET /health`
    pub async fn health(&self) -> Answer {
        self.get("/health").await
    }

    pub async fn get(&self, target: &str) -> Answer {
        let request = self.request(reqwest::Method::GET, target);
        Answer::of(request.send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_raw(path, "application/json", body.to_string())
            .await
    }

    pub async fn post_raw(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self
            .request(reqwest::Method::POST, path)
            .header("content-type", content_type)
            .body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A request that the caller completes and sends.
    pub fn request(&self, method: reqwest::Method, target: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{target}", self.url))
    }

    /// The ids of all active peers in order, read page by page. Pages go around in a ring from an
    /// arbitrary start, so the ids are rotated to start with the lowest.
    pub async fn listed_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let mut query = String::new();
        loop {
            let page = self.peers(&query).await.ok();
            for peer in page["peers"].as_array().unwrap() {
                ids.push(peer["peerId"].as_str().unwrap().to_owned());
            }
            match page["nextCursor"].as_str() {
                Some(cursor) => query = format!("cursor={cursor}"),
                None => return in_order(ids),
            }
        }
    }

    /// A separate connection to the database, like an operator's shell.
    pub async fn database(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.database_path())
            .connect()
            .await
            .unwrap()
    }

    /// Runs a statement, as an operator may while the server runs; returns how many rows it touched.
    pub async fn execute(&self, statement: &'static str) -> u64 {
        let mut database = self.database().await;
        let result = sqlx::query(statement).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        result.rows_affected()
    }

    /// Adds copies of the row of `a`, from outside the registry.
    pub async fn add_rows(&self, count: u64) {
        let mut database = self.database().await;
        sqlx::query(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
             INSERT INTO peers (peer_id, last_seen, registered_at, addresses, privacy_mode,
                 bootstrap_capable, turn_capable, stores, version)
             SELECT 'row-' || n, last_seen, registered_at, addresses, 0, 0, 0, '[\"s\"]', 'v' || n
             FROM peers, n WHERE peer_id = 'a'",
        )
        .bind(i64::try_from(count).unwrap())
        .execute(&mut database)
        .await
        .unwrap();
        database.close().await.unwrap();
    }

    /// Sends heartbeats of `sender` until this many peers are registered. Returns the number of peers
    /// that were cleaned up meanwhile.
    pub async fn wait_for_peers(&self, sender: &str, registered: u64) -> u64 {
        let mut cleaned = 0;
        for _ in 0..10_000 {
            let answer = self.heartbeat(sender).await.ok();
            cleaned += answer["cleanedExpiredPeers"].as_u64().unwrap();
            if answer["totalPeers"] == registered {
                return cleaned;
            }
        }
        panic!("never {registered} peers");
    }

    pub fn database_path(&self) -> std::path::PathBuf {
        self.folder.path().join("peers.db")
    }

    /// The ids in the peer table, in order.
    pub async fn stored_ids(&self) -> Vec<String> {
        let mut database = self.database().await;
        sqlx::query("SELECT peer_id FROM peers ORDER BY peer_id")
            .fetch_all(&mut database)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    /// The rows of the peer table in order of their ids, as objects named by column.
    pub async fn stored_rows(&self) -> Vec<Value> {
        let mut database = self.database().await;
        let rows = sqlx::query("SELECT * FROM peers ORDER BY peer_id")
            .fetch_all(&mut database)
            .await
            .unwrap();
        let cell = |row: &SqliteRow, at: usize| match row.try_get::<Option<i64>, _>(at) {
            Ok(number) => json!(number),
            Err(_) => json!(row.get::<Option<String>, _>(at)),
        };
        rows.iter()
            .map(|row| {
                let columns = row.columns().iter();
                columns
                    .map(|column| (column.name().to_owned(), cell(row, column.ordinal())))
                    .collect()
            })
            .collect()
    }
}

/// A registry with peers of these ids.
pub async fn with_peers(flags: &[&str], ids: &[&str]) -> TestRegistry {
    let registry = TestRegistry::start_with(flags).await;
    for id in ids {
        registry.register(&peer(id)).await.ok();
    }
    registry
}

/// The ids in a listing. Checks that its count fits.
#[track_caller]
pub fn ids(listing: &Value) -> Vec<&str> {
    let peers = listing["peers"].as_array().unwrap();
    assert_eq!(listing["returned"], peers.len());
    peers
        .iter()
        .map(|peer| peer["peerId"].as_str().unwrap())
        .collect()
}

/// Rotates ids that were listed in a ring, so that the lowest is first. Checks the order.
#[track_caller]
pub fn in_order<I: Ord + Clone + std::fmt::Debug>(listed: Vec<I>) -> Vec<I> {
    let mut ids = listed.clone();
    ids.sort_unstable();
    let first = listed
        .first()
        .and_then(|first| ids.binary_search(first).ok());
    let mut ring = ids.clone();
    ring.rotate_left(first.unwrap_or(0));
    assert_eq!(listed, ring, "not in order, once round");
    ids
}

/// A secret with this text.
pub fn secret(text: &str) -> Secret {
    text.parse().unwrap()
}

/// The smallest valid registration under the default policy.
pub fn peer(id: &str) -> Value {
    json!({ "peerId": id, "addresses": [format!("/ip6/fd00::1/tcp/4001/p2p/{id}")] })
}

/// A registration of a TURN server with this capacity in sessions.
pub fn turn_server(id: &str, capacity: u32) -> Value {
    let mut body = peer(id);
    body["turnCapable"] = json!(true);
    body["turnAddresses"] = json!(["203.0.113.20", "/dns4/turn.example.org/udp/3478"]);
    body["turnPort"] = json!(3478);
    body["turnCapacity"] = json!(capacity);
    body
}

/// The smallest request for an allocation that any mode may grant.
pub fn ask(id: &str) -> Value {
    json!({ "peerId": id, "p2pAttempted": true })
}

/// The id of the session in a 200.
pub fn session_id(granted: &Value) -> &str {
    granted["sessionId"].as_str().unwrap()
}

/// The registrations that nodes in the field send, each with a note about its client.
pub fn real_clients() -> Value {
    serde_json::from_str(include_str!("../fixtures/real-clients.json")).unwrap()
}
