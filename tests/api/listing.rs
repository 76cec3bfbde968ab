//! Finding peers: samples, filters, and entity tags for caches.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::helpers::{TestRegistry, ids, in_order, peer, with_peers};

/// The answer to a `GET` of `target` with these headers, undecoded.
async fn get(registry: &TestRegistry, target: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = registry.request(Method::GET, target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn etag(registry: &TestRegistry) -> String {
    let answer = registry.peers("").await;
    let etag = answer.header("etag").unwrap().to_owned();
    answer.ok();
    assert!(etag.starts_with("W/\"") && etag.ends_with('"'), "{etag}");
    etag
}

#[actix_web::test]
async fn a_listing_has_every_field_of_the_contract() {
    let registry = with_peers(&[], &["gone", "b", "a"]).await;
    registry.advance_secs(600);
    registry.heartbeat("a").await.ok();
    registry.heartbeat("b").await.ok();
    registry.advance_ms(1);
    let mut listing = registry.peers("").await.ok();
    assert_eq!(in_order(ids(&listing)), ["a", "b"]);
    listing.as_object_mut().unwrap().remove("peers");
    let expected = json!({
        "total": 2,
        "totalRegistered": 3,
        "timestamp": "2026-01-01T00:10:00.001Z",
        "returned": 2,
        "nextCursor": null,
    });
    assert_eq!(listing, expected);
}

#[actix_web::test]
async fn limit_draws_that_number_of_distinct_active_peers() {
    let registry = with_peers(&[], &["gone-1", "gone-2"]).await;
    registry.advance_ms(600_001);
    for number in 0..10 {
        let body = peer(&format!("p{number}"));
        registry.register(&body).await.ok();
    }
    for (limit, expected) in [(1, 1), (3, 3), (9, 9), (10, 10), (11, 10), (500, 10)] {
        for _ in 0..5 {
            let sample = registry.peers(&format!("limit={limit}")).await.ok();
            let drawn: BTreeSet<_> = ids(&sample).into_iter().collect();
            assert_eq!((ids(&sample).len(), drawn.len()), (expected, expected));
            assert!(drawn.iter().all(|id| id.starts_with('p')), "{drawn:?}");
            assert_eq!(sample["total"], 10);
            assert_eq!(sample["nextCursor"], Value::Null);
        }
    }
}

#[actix_web::test]
async fn limit_above_max_listed_is_capped() {
    let registry = with_peers(&["--max-listed=3"], &["a", "b", "c", "d", "e"]).await;
    for limit in ["3", "4", "1000000"] {
        let sample = registry.peers(&format!("limit={limit}")).await.ok();
        assert_eq!((ids(&sample).len(), &sample["total"]), (3, &json!(5)));
    }
}

#[actix_web::test]
async fn limit_and_cursor_exclude_each_other() {
    let registry = with_peers(&[], &["a"]).await;
    let answer = registry.peers("limit=1&cursor=a").await;
    assert_eq!(answer.refused(400, "invalid_field")["field"], "cursor");
}

#[actix_web::test]
async fn samples_are_uniform() {
    let registry = TestRegistry::start().await;
    for number in 0..20 {
        let mut body = peer(&format!("p{number:02}"));
        body["version"] = json!((number % 3).to_string());
        body["stores"] = json!(["s", (number % 2).to_string()]);
        registry.register(&body).await.ok();
    }
    // Samples of 5 from this number of peers. The bounds are more than 5 standard deviations away.
    for (query, peers, least, most) in [
        ("limit=5", 20, 130, 270),
        ("limit=5&store=s&exclude=p07", 19, 140, 282),
        ("limit=5&store=1", 10, 320, 480),
    ] {
        let mut drawn: BTreeMap<String, u32> = BTreeMap::new();
        let mut first: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..800 {
            let sample = registry.peers(query).await.ok();
            assert_eq!((ids(&sample).len(), &sample["total"]), (5, &json!(peers)));
            for id in ids(&sample) {
                *drawn.entry(id.to_owned()).or_default() += 1;
            }
            *first.entry(ids(&sample)[0].to_owned()).or_default() += 1;
        }
        assert_eq!((drawn.len(), first.len()), (peers, peers), "{query}");
        for (id, count) in drawn {
            assert!((least..=most).contains(&count), "{query}: {count} of {id}");
        }
        // The order within a sample is uniform too: each peer is first in a fifth of its samples.
        for (id, count) in first {
            let bounds = least / 5 - 20..=most / 5 + 40;
            assert!(bounds.contains(&count), "{query}: {id} first {count} times");
        }
    }
}

/// Registers five peers that differ in every field that filters use.
async fn with_varied_peers() -> TestRegistry {
    let registry = TestRegistry::start_with(&["--max-listed=2"]).await;
    for (id, turn, boot, network, version, stores) in [
        ("a", true, false, "mainnet", "1", &["s1"][..]),
        ("b", false, true, "mainnet", "1", &["s1", "s2"]),
        ("c", true, true, "testnet", "2", &["s2"]),
        ("d", false, false, "", "", &[]),
        ("e", true, false, "mainnet", "2", &["s1"]),
    ] {
        let mut body = peer(id);
        body["turnAddresses"] = json!(["203.0.113.1"]);
        body["turnPort"] = json!(1);
        body["turnCapable"] = json!(turn);
        body["bootstrapCapable"] = json!(boot);
        body["stores"] = json!(stores);
        for (field, text) in [("networkId", network), ("version", version)] {
            body[field] = json!((!text.is_empty()).then_some(text));
        }
        registry.register(&body).await.ok();
    }
    registry
}

/// Checks that the pages and samples of a filter consist of these peers.
async fn finds(registry: &TestRegistry, query: &str, expected: &[&str]) {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = registry.peers(&format!("{query}{cursor}")).await.ok();
        assert_eq!(page["total"], expected.len(), "{query}");
        assert_eq!(page["totalRegistered"], 5);
        assert!(ids(&page).len() <= 2);
        found.extend(ids(&page).into_iter().map(str::to_owned));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(in_order(found), expected, "{query}");
    for limit in [1, 2] {
        let sample = registry.peers(&format!("{query}&limit={limit}")).await.ok();
        let drawn: BTreeSet<_> = ids(&sample).into_iter().collect();
        assert_eq!(drawn.len(), expected.len().min(limit), "{query}");
        assert_eq!(drawn.len(), ids(&sample).len(), "{query}");
        assert!(drawn.iter().all(|id| expected.contains(id)), "{query}");
        assert_eq!(sample["total"], expected.len(), "{query}");
    }
}

#[actix_web::test]
async fn filters_find_exactly_what_they_name() {
    let registry = with_varied_peers().await;
    for (query, expected) in [
        ("", "abcde"),
        ("turnCapable=true", "ace"),
        ("turnCapable=false", "bd"),
        ("bootstrapCapable=true", "bc"),
        ("bootstrapCapable=false", "ade"),
        ("networkId=mainnet", "abe"),
        ("networkId=testnet", "c"),
        ("networkId=main", ""),
        ("networkId=MAINNET", ""),
        ("store=s1", "abe"),
        ("store=s2", "bc"),
        ("store=s", ""),
        ("version=1", "ab"),
        ("version=2", "ce"),
        ("version=3", ""),
        ("exclude=a", "bcde"),
        ("exclude=e", "abcd"),
        ("exclude=nobody", "abcde"),
        ("turnCapable=true&exclude=d", "ace"),
        ("turnCapable=true&exclude=c", "ae"),
        ("turnCapable=true&networkId=mainnet", "ae"),
        ("turnCapable=false&bootstrapCapable=false", "d"),
        ("store=s1&exclude=b", "ae"),
        ("store=s1&exclude=c", "abe"),
        ("store=s1&version=2", "e"),
        ("store=s1&networkId=testnet", ""),
        ("networkId=mainnet&version=1&bootstrapCapable=true", "b"),
        (
            "turnCapable=true&bootstrapCapable=true&networkId=testnet&store=s2&version=2&exclude=a",
            "c",
        ),
        ("turnCapable=true&unheard-of=1", "ace"),
    ] {
        let expected: Vec<_> = expected.split("").filter(|id| !id.is_empty()).collect();
        finds(&registry, query, &expected).await;
    }
}

#[actix_web::test]
async fn stores_and_capabilities_are_listed_only_when_asked_for() {
    let registry = TestRegistry::start().await;
    let mut body = peer("a");
    body["stores"] = json!(["z", "y", "z"]);
    body["capabilities"] = json!({"x": 1});
    body["capabilityList"] = json!([[1, "x"]]);
    registry.register(&body).await.ok();
    for (query, stores, capabilities) in [
        ("", false, false),
        (
            "includeStores=false&includeCapabilities=false",
            false,
            false,
        ),
        ("includeStores=true", true, false),
        ("includeCapabilities=true", false, true),
        (
            "includeStores=true&includeCapabilities=true&limit=1",
            true,
            true,
        ),
    ] {
        let listing = registry.peers(query).await.ok();
        let shown = |field: &str| listing["peers"][0].get(field).cloned();
        // A store that is announced twice is listed once.
        assert_eq!(shown("stores"), stores.then(|| json!(["z", "y"])));
        for field in ["capabilities", "capabilityList"] {
            let expected = capabilities.then(|| body[field].clone());
            assert_eq!(shown(field), expected, "{field}");
        }
    }
}

#[actix_web::test]
async fn the_etag_changes_if_and_only_if_the_membership_does() {
    let mut registry = with_peers(&[], &["a"]).await;
    let mut seen = vec![etag(&registry).await];
    let mut stays = async |registry: &TestRegistry, changes: bool, what: &str| {
        let tag = etag(registry).await;
        assert_eq!(seen.last() != Some(&tag), changes, "{what}");
        assert!(
            !changes || !seen.contains(&tag),
            "{what} brought back {tag}"
        );
        seen.push(tag);
    };
    stays(&registry, false, "a read").await;
    registry.advance_secs(300);
    registry.heartbeat("a").await.ok();
    stays(&registry, false, "a heartbeat").await;
    registry.register(&peer("a")).await.ok();
    stays(&registry, false, "a registration without change").await;
    registry
        .register(&json!({}))
        .await
        .refused(400, "missing_field");
    registry.heartbeat("x").await.refused(404, "peer_not_found");
    stays(&registry, false, "a refused request").await;
    registry.register(&peer("b")).await.ok();
    stays(&registry, true, "a join").await;
    let mut body = peer("a");
    body["version"] = json!("2");
    registry.register(&body).await.ok();
    stays(&registry, true, "a changed profile").await;
    let offer = json!({"peerId": "a", "turnAddresses": ["203.0.113.1"], "turnPort": 1});
    registry.register_turn_server(&offer).await.ok();
    stays(&registry, true, "a TURN registration").await;
    registry.advance_secs(600);
    registry.heartbeat("a").await.ok();
    stays(&registry, false, "the last moment of a lease").await;
    registry.advance_ms(1);
    stays(&registry, true, "a lease that ran out").await;
    registry.heartbeat("b").await.ok();
    stays(&registry, true, "a revival").await;
    registry.stop().await;
    registry.resume().await;
    stays(&registry, true, "a restart").await;
}

#[actix_web::test]
async fn if_none_match_gets_304_without_a_body_while_the_membership_lasts() {
    let registry = with_peers(&[], &["a"]).await;
    let tag = etag(&registry).await;
    let strong = tag.trim_start_matches("W/").to_owned();
    let list = format!("\"x\", W/\"0-0\" ,{tag}, \"y,z\"");
    for known in [&tag, &strong, &list] {
        let answer = get(&registry, "/peers", &[("if-none-match", known)]).await;
        assert_eq!(answer.status(), 304, "{known}");
        assert_eq!(answer.headers()["etag"], tag.as_str());
        assert_eq!(answer.headers()["vary"], "Accept-Encoding");
        assert_eq!(answer.text().await.unwrap(), "");
    }
    for other in ["\"x\"", "W/\"0-0\"", "", "nonsense"] {
        let answer = get(&registry, "/peers", &[("if-none-match", other)]).await;
        assert_eq!(answer.status(), 200, "{other}");
    }
    registry.register(&peer("b")).await.ok();
    let answer = get(&registry, "/peers", &[("if-none-match", &list)]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["total"], 2);
}

#[actix_web::test]
async fn a_sample_is_never_an_empty_304() {
    let registry = with_peers(&[], &["a", "b"]).await;
    let first = get(&registry, "/peers?limit=1", &[]).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    for known in [&*tag, "*"] {
        let answer = get(&registry, "/peers?limit=1", &[("if-none-match", known)]).await;
        assert_eq!(answer.status(), 200, "{known}");
        assert_eq!(answer.json::<Value>().await.unwrap()["returned"], 1);
    }
}

/// RFC 9110 §13.1.2: `*` matches any current representation.
#[actix_web::test]
async fn if_none_match_with_an_asterisk_gets_304_for_any_page() {
    let registry = with_peers(&[], &[]).await;
    for peer_id in [None, Some("a")] {
        if let Some(peer_id) = peer_id {
            registry.register(&peer(peer_id)).await.ok();
        }
        let tag = etag(&registry).await;
        for path in ["/peers", "/peers?includeStores=true"] {
            let response = get(&registry, path, &[("if-none-match", "*")]).await;
            assert_eq!(response.status(), 304, "{path}");
            assert_eq!(response.text().await.unwrap(), "");
        }
        let response = get(&registry, "/peers", &[("if-none-match", "*")]).await;
        assert_eq!(response.headers()["etag"], tag.as_str());
        // A tag in quotes is compared like any other.
        let response = get(&registry, "/peers", &[("if-none-match", "\"*\"")]).await;
        assert_eq!(response.status(), 200);
    }
}
