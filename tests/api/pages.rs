//! Pages of peers: in a ring in order of the ids, from a start that no peer can choose.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::answer::Answer;
use crate::helpers::{ids, in_order, peer, with_peers};

#[actix_web::test]
async fn peers_are_listed_in_order_of_their_ids() {
    let registry = with_peers(&[], &["b", "a10", "a", "a_", "B", "a2", "9", "9."]).await;
    let listing = registry.peers("").await.ok();
    let expected = ["9", "9.", "B", "a", "a10", "a2", "a_", "b"];
    assert_eq!(in_order(ids(&listing)), expected);
}

#[actix_web::test]
async fn pages_hold_max_listed_peers_and_the_rest_is_behind_the_cursor() {
    let registry = with_peers(&["--max-listed=2"], &["e", "d", "c", "b", "a"]).await;
    let first = registry.peers("").await.ok();
    let next = |page: &Value| format!("cursor={}", page["nextCursor"].as_str().unwrap());
    let second = registry.peers(&next(&first)).await.ok();
    let third = registry.peers(&next(&second)).await.ok();
    let pages = [&first, &second, &third];
    assert_eq!(pages.map(|page| ids(page).len()), [2, 2, 1]);
    assert!(pages.iter().all(|page| page["total"] == 5));
    assert_eq!(third["nextCursor"], Value::Null);
    let all = pages.iter().flat_map(|page| ids(page)).collect();
    assert_eq!(in_order(all), ["a", "b", "c", "d", "e"]);
}

#[actix_web::test]
async fn a_last_page_that_is_full_has_no_cursor() {
    let registry = with_peers(&["--max-listed=2"], &["a", "b", "c", "d"]).await;
    let first = registry.peers("").await.ok();
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = registry.peers(&format!("cursor={cursor}")).await.ok();
    assert_eq!(ids(&second).len(), 2);
    assert_eq!(second["nextCursor"], Value::Null);
    let all = [ids(&first), ids(&second)].concat();
    assert_eq!(in_order(all), ["a", "b", "c", "d"]);
}

#[actix_web::test]
async fn a_cursor_stays_good_when_peers_join_and_leave() {
    let mut registry = with_peers(&["--max-listed=2"], &["b", "d"]).await;
    registry.advance_secs(300);
    for id in ["f", "h"] {
        registry.register(&peer(id)).await.ok();
    }
    // A cursor of the earlier form has no end, so its pages go on to the last id.
    let listing = registry.peers("cursor=b").await.ok();
    assert_eq!(ids(&listing), ["d", "f"]);
    let first = registry.peers("").await.ok();
    let next = |page: &Value| format!("cursor={}", page["nextCursor"].as_str().unwrap());
    // Two peers leave, whichever page they were on, and two others register.
    registry.advance_ms(300_001);
    for id in ["a", "e"] {
        registry.register(&peer(id)).await.ok();
    }
    // The cursor has no state in the registry, so a restart does not affect it.
    registry.stop().await;
    registry.resume().await;
    let mut pages = vec![first];
    while pages.last().unwrap()["nextCursor"].is_string() {
        pages.push(registry.peers(&next(pages.last().unwrap())).await.ok());
    }
    let mut all: Vec<_> = pages.iter().flat_map(|page| ids(page)).collect();
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(count, all.len(), "{all:?} and some of them twice");
    assert!(all.contains(&"f") && all.contains(&"h"), "{all:?}");
}

#[actix_web::test]
async fn the_first_page_begins_elsewhere_for_each_caller_and_each_hour() {
    let names: Vec<String> = (0..200).map(|number| format!("p{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let flags = ["--max-listed=5", "--peer-timeout-secs=100000"];
    let registry = with_peers(&flags, &names).await;
    let first_of = async |caller: &str| {
        let request = registry
            .request(Method::GET, "/peers")
            .header("X-Forwarded-For", format!("192.0.2.1, {caller}"));
        let answer = Answer::of(request.send().await.unwrap()).await;
        let etag = answer.header("etag").unwrap().to_owned();
        (ids(&answer.ok())[0].to_owned(), etag)
    };
    let mut firsts = BTreeSet::new();
    for caller in 0..20 {
        let caller = format!("198.51.100.{caller}");
        let first = first_of(&caller).await;
        assert_eq!(first, first_of(&caller).await, "stable within the hour");
        firsts.insert(first);
    }
    assert!(firsts.len() > 10, "{firsts:?}");
    let before = first_of("198.51.100.7").await;
    let mut hours = BTreeSet::from([before]);
    for _ in 0..6 {
        registry.advance_secs(3600);
        hours.insert(first_of("198.51.100.7").await);
    }
    assert!(hours.len() > 3, "{hours:?}");
}
