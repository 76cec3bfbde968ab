//! Any announcement, against both policies.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::protocol::{Limits, RequestBody, is_visible};
use crate::server::config::PrivateAddresses;

const OWN: &str = "fd00::ab";

fn admit_json(body: &Value, policy: AddressPolicy, limits: &Limits) -> Option<Admitted> {
    let rules = AddressRules {
        policy,
        private_addresses: PrivateAddresses::Drop,
        max_addresses: limits.addresses,
    };
    let announced = Announced::parse(body.to_string().as_bytes(), limits).ok()?;
    let (registration, dropped) = admit(announced, rules).ok()?;
    let dropped = serde_json::to_string(&dropped.into_list()).unwrap();
    Some(Admitted {
        registration,
        dropped,
    })
}

struct Admitted {
    registration: Registration,
    /// As JSON.
    dropped: String,
}

const FIELDS: [&str; 20] = [
    "peerId",
    "addresses",
    "addresses",
    "addresses",
    "cryptoIPv6",
    "stores",
    "version",
    "privacyMode",
    "capabilities",
    "turnCapable",
    "bootstrapCapable",
    "turnAddresses",
    "turnPort",
    "turnCapacity",
    "networkId",
    "softwareVersion",
    "serverPort",
    "nodeType",
    "capabilityList",
    "realAddresses",
];

/// A host that must show up nowhere.
const SECRET: &str = "198.51.100.7";

fn texts() -> impl Strategy<Value = String> {
    let known = select(vec![
        "",
        "a",
        OWN,
        "true",
        "203.0.113.20",
        "fd00:test:1",
        "/ip6/fd00::ab/tcp/1",
        "/ip6/fd00::AB/udp/1/new",
        "/ip6/fd00::ac/tcp/1",
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/198.51.100.7/tcp/1",
        "/ip6/fd00::ab/tcp/1/new/198.51.100.7",
        "/ip6/fd00::ab%eth0/tcp/1",
        "/ip6/fd00::ab/tcp/1/http/http-path/198.51.100.7",
        "/ip6/fd00::ab/tcp/1/http/http-path/index.html",
        "/unix/tmp/198.51.100.7",
        "/ip6zone/eth0/ip6/fd00::ab/tcp/1",
        "/p2p-webrtc-star",
        "[fd00::ab]:4001",
        "[fd00::ab]/64",
        "http://[fd00::ab]/198.51.100.7",
        "/foo/bar",
        "/ip6/fd00::ab/tcp/1 /ip4/198.51.100.7",
        "/ip6/fd00::ab/p2p/bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
        "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
    ]);
    let parts = vec(
        select(vec![
            "/", "ip6", "ip4", "tcp", "p2p", "dns4", "new", OWN, SECRET, "1", " ", "\u{200b}", "x",
            "é",
        ]),
        0..40,
    );
    prop_oneof![
        4 => known.prop_map(str::to_owned),
        2 => parts.prop_map(|parts| parts.concat()),
        1 => any::<String>(),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => select(vec![-1, 0, 1, 10, 65_535, 65_536, i64::MAX]).prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        4 => texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 40, 20, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 0..20).prop_map(Value::from),
            1 => vec((texts(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A registration in which a few fields have other values.
fn bodies() -> impl Strategy<Value = Value> {
    vec((select(FIELDS.to_vec()), values()), 0..8).prop_map(|changes| {
        let mut body = json!({ "peerId": "a", "addresses": [], "cryptoIPv6": OWN });
        for (field, value) in changes {
            body[field] = value;
        }
        body
    })
}

fn check_limits(registration: &Registration, limits: &Limits) {
    let profile = &registration.profile;
    let is_text = |text: &str, max| (1..=max).contains(&text.len()) && is_visible(text);
    let are_addresses = |addresses: &[String]| {
        addresses.len() <= limits.addresses
            && addresses.iter().all(|address| {
                is_text(address, limits.address_bytes) && !address.contains(char::is_whitespace)
            })
    };
    assert!(PeerId::is_well_formed(
        registration.peer_id.as_str(),
        limits
    ));
    assert!(are_addresses(&profile.addresses));
    assert!(profile.stores.len() <= limits.stores);
    let mut stores = profile.stores.iter();
    assert!(stores.all(|store| is_text(store, limits.store_bytes)));
    let texts = [
        &profile.version,
        &profile.network_id,
        &profile.software_version,
        &profile.crypto_ipv6,
    ];
    for text in texts.into_iter().flatten() {
        assert!(is_text(text, limits.string_bytes), "{text:?}");
    }
    let jsons = [&profile.capabilities, &profile.capability_list];
    for json in jsons.into_iter().flatten() {
        assert!(json.len() <= limits.capabilities_bytes);
    }
    assert_ne!(profile.server_port, Some(0));
    if let Some(turn) = &profile.turn {
        assert!(!turn.addresses.is_empty() && are_addresses(&turn.addresses));
        assert!(turn.port > 0 && (1..=limits.turn_capacity).contains(&turn.capacity));
    }
}

proptest! {
    #[test]
    fn any_object_is_refused_or_becomes_a_registration_within_all_limits(body in bodies()) {
        let limits = Limits {
            addresses: 4,
            address_bytes: 100,
            stores: 3,
            ..Limits::default()
        };
        if let Some(admitted) = admit_json(&body, AddressPolicy::Any, &limits) {
            check_limits(&admitted.registration, &limits);
            prop_assert!(!admitted.dropped.contains(SECRET));
            prop_assert!(!admitted.registration.profile.addresses.iter().any(
                |address| hosts_in(address).iter().any(|host| host.is_local() || host.is_private())
            ));
        }
        if let Some(admitted) = admit_json(&body, AddressPolicy::CryptoIpv6, &limits) {
            check_limits(&admitted.registration, &limits);
            prop_assert!(!admitted.dropped.contains(SECRET));
            // No host is in what the peer announced as its addresses, dropped or not.
            let is_named_so = admitted.registration.peer_id.as_str() == SECRET;
            let announced = body["addresses"].to_string();
            prop_assert!(is_named_so || !announced.contains(SECRET), "{body}");
            for address in &admitted.registration.profile.addresses {
                prop_assert!(address.to_lowercase().starts_with("/ip6/fd00::a"), "{address}");
            }
        }
        if body["privacyMode"] == true {
            for policy in [AddressPolicy::Any, AddressPolicy::CryptoIpv6] {
                let admitted = admit_json(&body, policy, &limits);
                prop_assert!(admitted.is_none_or(|admitted| admitted.registration.profile.privacy_mode));
            }
        }
    }
}
