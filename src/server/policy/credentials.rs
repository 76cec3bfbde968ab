//! Time-limited TURN credentials by draft-uberti-behave-turn-rest-00, which coturn accepts with
//! `use-auth-secret`, and the URIs of TURN servers by RFC 7065.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use crate::protocol::{IceServer, PeerId, TurnOffer};
use crate::server::config::Secret;
use crate::server::policy::hosts::host_of;

/// The server of a session in the form that browsers expect; with credentials if there is a secret.
///
/// The user name contains the peer id, so that a quota per user on the TURN server limits each peer.
pub(crate) fn ice_server(
    offer: &TurnOffer,
    peer_id: &PeerId,
    expires_at_ms: i64,
    secret: Option<&Secret>,
) -> IceServer {
    let signed = secret.map(|secret| {
        let expires_at_secs = expires_at_ms.div_euclid(1000) + 1;
        let username = format!("{expires_at_secs}:{peer_id}");
        let credential = sign(secret.expose(), &username);
        (username, credential)
    });
    let (username, credential) = signed.unzip();
    IceServer {
        urls: urls(offer),
        username,
        credential,
    }
}

fn urls(offer: &TurnOffer) -> Vec<String> {
    let hosts = offer
        .addresses
        .iter()
        .filter_map(|address| host_of(address));
    hosts
        .flat_map(|host| {
            ["udp", "tcp"]
                .map(|transport| format!("turn:{host}:{}?transport={transport}", offer.port))
        })
        .collect()
}

fn sign(secret: &[u8], username: &str) -> String {
    // HMAC accepts keys of any length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_vectors() {
        let vectors = include_str!("../../../tests/fixtures/turn-credentials.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let credential = sign(text("secret").as_bytes(), text("username"));
            assert_eq!(credential, text("credential"));
        }
    }

    #[test]
    fn urls_follow_rfc_7065() {
        let offer = TurnOffer {
            addresses: [
                "203.0.113.20",
                "turn.example.org",
                "2001:db8::1",
                "/ip4/198.51.100.7/udp/1",
            ]
            .map(str::to_owned)
            .to_vec(),
            port: 3478,
            capacity: 1,
        };
        assert_eq!(
            urls(&offer),
            [
                "turn:203.0.113.20:3478?transport=udp",
                "turn:203.0.113.20:3478?transport=tcp",
                "turn:turn.example.org:3478?transport=udp",
                "turn:turn.example.org:3478?transport=tcp",
                "turn:[2001:db8::1]:3478?transport=udp",
                "turn:[2001:db8::1]:3478?transport=tcp",
                "turn:198.51.100.7:3478?transport=udp",
                "turn:198.51.100.7:3478?transport=tcp",
            ]
        );
    }

    #[test]
    fn without_a_secret_there_are_urls_only() {
        let offer = TurnOffer {
            addresses: vec!["203.0.113.20".to_owned()],
            port: 3478,
            capacity: 1,
        };
        let peer_id = PeerId::parse("a", "peerId", &Default::default()).unwrap();
        let bare = ice_server(&offer, &peer_id, 1_500, None);
        assert_eq!((bare.username, bare.credential), (None, None));
        let secret = "s".parse().unwrap();
        let signed = ice_server(&offer, &peer_id, 1_500, Some(&secret));
        assert_eq!(
            signed.username.as_deref(),
            Some("2:a"),
            "not before the session ends"
        );
    }
}
