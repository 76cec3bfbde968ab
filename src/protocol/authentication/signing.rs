//! The bytes that each side signs (specification, "Signing").

use super::scheme::SCHEME;

/// Returns the bytes that stand for `parameters` in a signature: the name of the scheme, and then for each
/// parameter, in the alphabetical order of names, the length of the rest as an unsigned varint, the name,
/// `=` and the value.
pub fn bytes_to_sign(parameters: &[(&str, &[u8])]) -> Vec<u8> {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    let mut bytes = SCHEME.as_bytes().to_vec();
    for (name, value) in sorted {
        push_varint(&mut bytes, name.len() + 1 + value.len());
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value);
    }
    bytes
}

/// Returns the bytes that a client signs.
///
/// `challenge_client` is the text of the server's challenge, `hostname` is the name by which the client
/// calls the server, with the port if it names one, and `server_public_key` is the server's key in libp2p's
/// protobuf encoding.
pub fn client_signs(challenge_client: &str, hostname: &str, server_public_key: &[u8]) -> Vec<u8> {
    bytes_to_sign(&[
        ("challenge-client", challenge_client.as_bytes()),
        ("hostname", hostname.as_bytes()),
        ("server-public-key", server_public_key),
    ])
}

/// Returns the bytes that a server signs.
///
/// `challenge_server` is the text of the client's challenge, `client_public_key` is the client's key in
/// libp2p's protobuf encoding, and `hostname` is the name by which the client calls the server.
pub fn server_signs(challenge_server: &str, client_public_key: &[u8], hostname: &str) -> Vec<u8> {
    bytes_to_sign(&[
        ("challenge-server", challenge_server.as_bytes()),
        ("client-public-key", client_public_key),
        ("hostname", hostname.as_bytes()),
    ])
}

/// Appends `number` in groups of 7 bits, the lowest first; the high bit says that another follows.
fn push_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::protocol::authentication::base64url;
    use crate::protocol::authentication::key_types::KeyTypes;
    use crate::protocol::authentication::keys::PeerKey;

    fn vectors() -> Value {
        let text = include_str!("../../../tests/fixtures/peer-id-auth.json");
        serde_json::from_str(text).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }

    fn key(value: &Value) -> PeerKey {
        PeerKey::from_text(text(value), KeyTypes::default()).unwrap()
    }

    #[test]
    fn the_signing_example_gives_its_bytes_and_its_signature_verifies() {
        let vectors = vectors();
        let example = &vectors["signing_example"];
        let client = key(&vectors["client_public_key_base64url"]);
        let server = key(&vectors["server_public_key_base64url"]);
        assert_eq!(
            hex(client.as_bytes()),
            text(&example["client-public-key_hex"])
        );
        let bytes = server_signs(
            text(&example["challenge-server"]),
            client.as_bytes(),
            text(&example["hostname"]),
        );
        assert_eq!(hex(&bytes), text(&example["data_hex"]));
        let signature = base64url::decode(text(&example["server_signature"])).unwrap();
        assert!(server.verifies(&bytes, &signature));
        assert!(!client.verifies(&bytes, &signature));
    }

    #[test]
    fn the_signatures_of_the_client_initiated_example_verify() {
        let vectors = vectors();
        let example = &vectors["client_initiated"];
        let client = key(&vectors["client_public_key_base64url"]);
        let server = key(&vectors["server_public_key_base64url"]);
        let host = text(&vectors["hostname"]);
        assert_eq!(text(&vectors["scheme"]), SCHEME);
        assert_eq!(
            client.names().peer_id().as_str(),
            text(&vectors["client_peer_id"])
        );

        let by_server = server_signs(text(&example["challenge-server"]), client.as_bytes(), host);
        let signature = base64url::decode(text(&example["server_sig"])).unwrap();
        assert!(server.verifies(&by_server, &signature));

        let by_client = client_signs(text(&example["challenge-client"]), host, server.as_bytes());
        let signature = base64url::decode(text(&example["client_sig"])).unwrap();
        assert!(client.verifies(&by_client, &signature));
        assert!(!client.verifies(&by_server, &signature));
    }

    #[test]
    fn lengths_over_127_take_more_bytes() {
        let bytes = bytes_to_sign(&[("b", &[7; 300]), ("a", b"")]);
        assert_eq!(
            bytes[SCHEME.len()..][..7],
            [2, b'a', b'=', 0xae, 2, b'b', b'=']
        );
        assert_eq!(bytes.len(), SCHEME.len() + 3 + 4 + 300);
    }
}
