//! Peers as nodes in the field announce themselves.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The name by which the load generator calls the servers.
pub const HOST: &str = "bench";

/// The id of the `number`-th peer; neighbours in number are not neighbours in order of id.
pub fn peer_id(number: usize) -> String {
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("12D3KooW{mixed:016x}{:028}", number)
}

/// A registration of the `number`-th peer, different for each `round`.
pub fn registration(number: usize, round: usize) -> Vec<u8> {
    let id = peer_id(number);
    let ip = format!(
        "fd00:4f07:6435:12b1:1e30:8071:{:x}:{:x}",
        number >> 16,
        number & 0xffff
    );
    let store = "2f8e0d1c5b7a4f3e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a3f2e1d0c9b8a7f6e";
    let body = format!(
        r#"{{"peerId":"{id}","addresses":["/ip6/{ip}/tcp/4001/p2p/{id}"],"realAddresses":["/ip4/198.51.100.7/tcp/4001"],"cryptoIPv6":"{ip}","stores":["{store}"],"version":"1.0.0","privacyMode":true,"capabilities":{{"storeSync":true,"turnServer":false,"bootstrapServer":false,"byteRangeDownload":true}},"turnCapable":false,"bootstrapCapable":false,"networkId":"mainnet","softwareVersion":"1.0.{round}","serverPort":4001,"nodeType":0,"capabilityList":[[1,"Store synchronization"],[4,"End-to-end encryption"],[5,"Byte-range downloads"]],"zkProofSupported":true,"onionRoutingSupported":true}}"#
    );
    post("/register", &body)
}

/// A registration of the `number`-th peer with `stores`, JSON strings with commas in between.
pub fn announcement(number: usize, version: usize, stores: &str) -> Vec<u8> {
    let id = peer_id(number);
    let network = ["mainnet", "testnet"][number % 2];
    let bootstraps = number % 4 < 2;
    let body = format!(
        r#"{{"peerId":"{id}","addresses":[],"cryptoIPv6":"fd00::1","stores":[{stores}],"version":"v{version}","turnCapable":false,"bootstrapCapable":{bootstraps},"networkId":"{network}"}}"#
    );
    post("/register", &body)
}

/// A version that no peer had before, so that no registration repeats what is known.
pub fn next_version() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Relaxed)
}

/// A heartbeat of the `number`-th peer.
pub fn heartbeat(number: usize) -> Vec<u8> {
    post("/heartbeat", &heartbeat_body(&peer_id(number)))
}

/// The body of a heartbeat.
pub fn heartbeat_body(id: &str) -> String {
    format!(r#"{{"peerId":"{id}"}}"#)
}

pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").into_bytes()
}

pub fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The same request with a header `Authorization`.
pub fn authorized(request: &[u8], authorization: &str) -> Vec<u8> {
    let line_end = request.windows(2).position(|two| two == b"\r\n");
    let (first, rest) = request.split_at(line_end.expect("a line") + 2);
    let header = format!("Authorization: {authorization}\r\n");
    [first, header.as_bytes(), rest].concat()
}
