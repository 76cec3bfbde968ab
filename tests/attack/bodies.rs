//! Registrations that are as expensive as the limits allow.

use serde_json::{Value, json};

use crate::wire::post;

/// The smallest registration under the default policy. Each has a different version.
pub fn tiny(id: &str) -> String {
    format!(r#"{{"peerId":"{id}","addresses":[],"cryptoIPv6":"fd00::1","version":"{id}"}}"#)
}

/// A tiny registration, as a request.
pub fn register_tiny(number: usize) -> Vec<u8> {
    post("/register", &tiny(&format!("tiny-{number:07}")))
}

/// Makes the body of an expensive registration from its number.
pub type Costly = fn(usize) -> String;

/// Every kind: its name, its function, and a number of registrations that exceeds 64 MiB of peers.
pub const KINDS: [(&str, Costly, usize); 4] = [
    ("short stores", short_stores, 12_000),
    ("everything full", everything_full, 3_000),
    ("deep and wide JSON", deep_and_wide, 8_000),
    ("TURN addresses", turn_addresses, 20_000),
];

/// 1,024 short stores that no other peer has: 8 to 9 kB.
pub fn short_stores(number: usize) -> String {
    let stores: Vec<_> = (0..1024)
        .map(|index| format!("{number:x}.{index:x}"))
        .collect();
    let mut body = base(number, "short");
    body["stores"] = json!(stores);
    body.to_string()
}

/// Every field at its max length: about 124 kB.
pub fn everything_full(number: usize) -> String {
    let id = long_id(number, "full");
    let stores: Vec<_> = (0..860)
        .map(|index| format!("{number:08x}-{index:04x}-{}", "s".repeat(106)))
        .collect();
    let text = format!("{number:08x}{}", "t".repeat(56));
    json!({
        "peerId": id,
        "addresses": vec!["/ip6/fd00::1/tcp/1"; 16],
        "cryptoIPv6": "fd00::1",
        "stores": stores,
        "version": text,
        "networkId": text,
        "softwareVersion": text,
        "capabilities": { "text": "c".repeat(8_100) },
        "capabilityList": [[1, "l".repeat(8_100)]],
        "serverPort": 1,
        "nodeType": 1,
    })
    .to_string()
}

/// Capabilities with the max number of values and the max depth in 8 kB.
pub fn deep_and_wide(number: usize) -> String {
    let mut body = base(number, "deep").to_string();
    body.pop();
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let wide = vec!["1"; 3_800].join(",");
    body.push_str(&format!(
        r#","capabilities":{{"n":{number},"deep":{deep},"wide":[{wide}]}},"capabilityList":[{wide}]}}"#
    ));
    body
}

/// A TURN server with the max number of addresses at the max length.
pub fn turn_addresses(number: usize) -> String {
    let mut body = base(number, "turn");
    let label = "a".repeat(60);
    let addresses: Vec<_> = (0..16)
        .map(|index| format!("{index:x}x{number:x}.{label}.{label}.{label}.example"))
        .collect();
    body["turnCapable"] = json!(true);
    body["turnAddresses"] = json!(addresses);
    body["turnPort"] = json!(3478);
    body.to_string()
}

fn base(number: usize, kind: &str) -> Value {
    let id = format!("{kind}-{number}");
    json!({ "peerId": id, "addresses": [], "cryptoIPv6": "fd00::1", "version": id })
}

fn long_id(number: usize, kind: &str) -> String {
    format!("{kind}-{number:08}-{}", "i".repeat(100))
}
