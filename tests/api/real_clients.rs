//! Requests as nodes in the field send them.

use serde_json::Value;

use crate::helpers::{TestRegistry, real_clients};

/// What nodes send but listings must not show: unknown fields and real addresses.
const UNLISTED: [&str; 6] = [
    "realAddresses",
    "zkProofSupported",
    "onionRoutingSupported",
    "timingObfuscationEnabled",
    "trafficMixingEnabled",
    "metadataScrambled",
];

#[actix_web::test]
async fn registrations_of_real_clients_are_listed_without_their_private_fields() {
    let clients = real_clients();
    for policy in ["crypto-ipv6", "any"] {
        let flag = format!("--address-policy={policy}");
        let mut registry = TestRegistry::start_with(&[&flag]).await;
        let mut said = Vec::new();
        let mut accepted = Vec::new();
        let mut real = Vec::new();
        for registration in clients["registrations"].as_array().unwrap() {
            let (body, note) = (&registration["body"], registration["client"].as_str());
            let answer = registry.register(body).await;
            real.extend(body["realAddresses"].as_array().into_iter().flatten());
            said.push(answer.body.to_string());
            if note.unwrap().contains(&format!("refused under {policy}")) {
                let refusal = answer.refused(403, "privacy_violation");
                assert_eq!(refusal["field"], "addresses[0]");
            } else {
                assert_eq!(answer.ok()["peerId"], body["peerId"]);
                accepted.push(body);
            }
        }
        assert_eq!(accepted.len(), if policy == "any" { 2 } else { 1 });
        assert!(!real.is_empty());
        let beat = registry.post("/heartbeat", &clients["heartbeat"]).await;
        said.push(beat.ok().to_string());
        let listing = registry
            .get(clients["peersQuery"].as_str().unwrap())
            .await
            .ok();
        let servers = registry.turn_servers().await.ok();
        let rows = registry.stored_rows().await;
        assert_eq!(listing["total"], accepted.len());
        for body in accepted {
            let is_it = |peer: &&Value| peer["peerId"] == body["peerId"];
            let peer = listing["peers"].as_array().unwrap().iter().find(is_it);
            let row = rows.iter().find(|row| row["peer_id"] == body["peerId"]);
            let mut server = servers["servers"].as_array().unwrap().iter();
            let server = server.find(is_it);
            for (field, value) in body.as_object().unwrap() {
                let kept = match field.as_str() {
                    "turnAddresses" | "turnPort" | "turnCapacity" => &server.unwrap()[field],
                    "softwareVersion" => &row.unwrap()["software_version"],
                    "serverPort" => &row.unwrap()["server_port"],
                    "nodeType" => &row.unwrap()["node_type"],
                    unlisted if UNLISTED.contains(&unlisted) => continue,
                    listed => &peer.unwrap()[listed],
                };
                assert_eq!(kept, value, "{field}");
            }
        }
        said.extend([listing.to_string(), servers.to_string()]);
        said.push(registry.stats().await.ok().to_string());
        said.push(registry.health().await.ok().to_string());
        let known = clients["heartbeat"]["peerId"].as_str().unwrap();
        for is_stopped in [false, true] {
            if is_stopped {
                registry.stop().await;
            }
            let bytes = database_bytes(&registry);
            assert!(holds(&bytes, known), "the peer is on disk");
            for address in &real {
                let address = address.as_str().unwrap();
                assert!(!holds(&bytes, address), "{address} is on disk");
                assert!(said.iter().all(|text| !text.contains(address)), "{address}");
            }
        }
    }
}

/// The bytes of all files in the folder of the database.
fn database_bytes(registry: &TestRegistry) -> Vec<u8> {
    let folder = registry.database_path();
    let files = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
