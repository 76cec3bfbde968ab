//! The file with the last good list, which is kept up to date.

use std::path::{Path, PathBuf};

use peer_registry::agent::Agent;
use serde_json::Value;
use tempfile::TempDir;

use crate::helpers::*;

const HOUR_SECS: i64 = 3_600;
/// The loop for the registry and the one that keeps the file.
const LOOPS: usize = 2;

/// A node with a file for the last good list and without the fallback.
struct Kept {
    time: Time,
    registry: TestRegistry,
    proxy: Proxy,
    path: PathBuf,
    _agent: Agent,
    _folder: TempDir,
}

impl Kept {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        let time = Time::start();
        let registry = TestRegistry::start(&time).await;
        let proxy = Proxy::start(registry.addr()).await;
        let agent = time.agent(node(), &proxy.url).last_known_good(&path);
        Self {
            _agent: agent.start().unwrap(),
            time,
            registry,
            proxy,
            path,
            _folder: folder,
        }
    }

    /// Moves the clock by `secs` seconds with this many loops running; returns the number of requests
    /// for peers.
    async fn fetches_in(&self, secs: i64, loops: usize) -> usize {
        self.time.pass(secs, loops).await;
        self.time.wait_until_idle(loops).await;
        let seen = self.proxy.seen();
        let fetches = seen
            .iter()
            .filter(|target| target.starts_with("GET /peers?"));
        fetches.count()
    }
}

/// When the list in the file was fetched, and the ids of its peers.
fn saved(path: &Path) -> Option<(i64, Vec<String>)> {
    let json: Value = serde_json::from_slice(&std::fs::read(path).ok()?).unwrap();
    let peers = json["peers"].as_array().unwrap().iter();
    let ids = peers.map(|peer| peer["peerId"].as_str().unwrap().to_owned());
    Some((json["savedAtMs"].as_i64().unwrap(), ids.collect()))
}

#[actix_web::test]
async fn a_list_is_fetched_soon_after_the_first_registration_and_then_about_every_hour() {
    let kept = Kept::start().await;
    let other = node();
    let _other = kept.time.agent(other.clone(), &kept.registry.url).start();
    let loops = LOOPS + 1;

    assert_eq!(kept.fetches_in(300, loops).await, 1);
    let (first_ms, ids) = saved(&kept.path).unwrap();
    assert_eq!(ids, [id_of(&other).as_str()]);

    let fetches = kept.fetches_in(24 * HOUR_SECS, loops).await;
    assert!((22..=27).contains(&fetches), "{fetches}");
    let (last_ms, _) = saved(&kept.path).unwrap();
    let day_ms = 24 * HOUR_SECS * 1_000;
    assert!(last_ms - first_ms > day_ms * 9 / 10, "{last_ms}");
}

#[actix_web::test]
async fn after_an_empty_list_the_next_request_comes_after_ten_minutes() {
    let kept = Kept::start().await;
    assert_eq!(kept.fetches_in(300, LOOPS).await, 1);
    assert_eq!(saved(&kept.path), None);
    // The next request comes nine to eleven minutes after the first; "a" must be registered then.
    let mut fetches = 0;
    for secs in [300, 360] {
        kept.registry.register_others(&["a"]).await;
        fetches += kept.fetches_in(secs, LOOPS).await;
    }
    assert_eq!(fetches, 1);
    assert_eq!(saved(&kept.path).unwrap().1, ["a"]);
}

#[actix_web::test]
async fn an_outage_does_not_change_the_file_and_its_end_causes_no_request() {
    let mut kept = Kept::start().await;
    kept.registry.register_others(&["a"]).await;
    kept.fetches_in(300, LOOPS).await;
    let before = saved(&kept.path).unwrap();

    kept.registry.stop().await;
    kept.proxy.responds("503 Busy\r\nRetry-After: 600", "");
    let fetches = kept.fetches_in(3 * HOUR_SECS, LOOPS).await;
    assert!((3..=14).contains(&fetches), "{fetches}");
    assert_eq!(saved(&kept.path).unwrap(), before);

    kept.registry.resume().await;
    kept.proxy.does(Conduct::Forward);
    let fetches = kept.fetches_in(600, LOOPS).await;
    assert!(fetches <= 2, "{fetches}");
}

#[actix_web::test]
async fn without_a_file_and_without_a_registration_nothing_is_fetched() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let _agent = time.agent(node(), &proxy.url).start();
    time.pass(HOUR_SECS, 1).await;
    assert!(proxy.seen().iter().all(|target| target.starts_with("POST")));

    let folder = tempfile::tempdir().unwrap();
    proxy.responds("503 Busy\r\nRetry-After: 60", "");
    let agent = time.agent(node(), &proxy.url);
    let _agent = agent
        .last_known_good(folder.path().join("peers.json"))
        .start();
    time.pass(HOUR_SECS, 2).await;
    assert!(proxy.seen().iter().all(|target| target.starts_with("POST")));
}
