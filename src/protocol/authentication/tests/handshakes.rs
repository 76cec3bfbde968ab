use libp2p_identity::Keypair;
use serde_json::Value;

use super::support::{
    HOST, NOW_MS, TOKEN_TTL_MS, challenge, client, converse, keypair, random, respond, sealing,
    send, server, server_with, value,
};
use crate::protocol::authentication::{
    ClientAuthentication, KeyNames, KeyTypes, NextStep, Outcome, ParameterName, Parameters, Proof,
    ResponseHead, base64url, client_signs, server_signs,
};

fn names_of_client() -> KeyNames {
    KeyNames::of(&Keypair::from(keypair(2)).public())
}

#[test]
fn a_client_that_begins_proves_itself_and_then_uses_its_token() {
    let (mut client, server) = (client(), server());
    let outcomes = converse(&mut client, &server);
    let [Outcome::Challenge { .. }, Outcome::Proven { names, proof }] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(*names, names_of_client());
    let Proof::Handshake {
        key,
        authentication_info,
        expires_at_ms,
    } = proof
    else {
        panic!("{proof:?}");
    };
    assert_eq!(key.names(), names_of_client());
    assert_eq!(*expires_at_ms, NOW_MS + TOKEN_TTL_MS);
    let info = Parameters::find(authentication_info).unwrap().unwrap();
    assert_eq!(info.get(ParameterName::Sig), None, "it was sent before");
    assert_eq!(
        info.get(ParameterName::Expires),
        Some("2026-11-24T21:09:43.007Z")
    );
    assert!(client.has_bearer());
    assert_eq!(
        client.server_key().unwrap().public_key(),
        &server.public_key()
    );

    let again = converse(&mut client, &server);
    let proof = Proof::Bearer {
        expires_at_ms: NOW_MS + TOKEN_TTL_MS,
    };
    assert_eq!(
        again,
        [Outcome::Proven {
            names: names_of_client(),
            proof
        }]
    );
}

#[test]
fn a_client_that_is_challenged_proves_itself_and_the_server_too() {
    let (mut client, server) = (client(), server());
    let head = ResponseHead {
        status: 401,
        www_authenticate: Some(&challenge(&server)),
        authentication_info: None,
    };
    assert_eq!(client.receive(head, random), Ok(NextStep::SendAgain));
    assert_eq!(client.server_key(), None, "the server has not proven it");
    let outcome = send(&server, &client.next_header(random));
    let Outcome::Proven { names, .. } = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(*names, names_of_client());
    // The handshake ends whatever the registry says to the request itself.
    assert_eq!(respond(&mut client, &outcome, 503), Ok(NextStep::Done));
    assert!(client.has_bearer());
    assert!(client.server_key().is_some());
}

#[test]
fn a_server_may_respond_to_a_challenge_with_its_own_alone() {
    let (mut client, server) = (client(), server());
    client.next_header(random);
    let head = ResponseHead {
        status: 401,
        www_authenticate: Some(&challenge(&server)),
        authentication_info: None,
    };
    assert_eq!(client.receive(head, random), Ok(NextStep::SendAgain));
    let outcomes = converse(&mut client, &server);
    assert!(
        matches!(outcomes[..], [Outcome::Proven { .. }]),
        "{outcomes:?}"
    );
    assert!(client.has_bearer());
}

#[test]
fn the_server_signs_as_in_the_vectors_and_takes_their_client() {
    let text = include_str!("../../../../tests/fixtures/peer-id-auth.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let example = &vectors["client_initiated"];
    // The vectors have the host example.com and a fixed challenge.
    let server = server();
    let random = || -> [u8; 32] {
        let bytes = base64url::decode(&text(&example["challenge-client"])).unwrap();
        bytes.try_into().unwrap()
    };
    let header = Parameters::new()
        .with(
            ParameterName::ChallengeServer,
            text(&example["challenge-server"]),
        )
        .with(
            ParameterName::PublicKey,
            text(&vectors["client_public_key_base64url"]),
        );
    let outcome = server.authenticate(Some(&header.to_string()), "example.com", 0, random);
    let Outcome::Challenge { www_authenticate } = outcome else {
        panic!("{outcome:?}");
    };
    for (name, expected) in [
        (ParameterName::Sig, &example["server_sig"]),
        (ParameterName::ChallengeClient, &example["challenge-client"]),
        (
            ParameterName::PublicKey,
            &vectors["server_public_key_base64url"],
        ),
    ] {
        assert_eq!(value(&www_authenticate, name), text(expected));
    }
    let header = Parameters::new()
        .with(
            ParameterName::Opaque,
            value(&www_authenticate, ParameterName::Opaque),
        )
        .with(ParameterName::Sig, text(&example["client_sig"]));
    let outcome = server.authenticate(Some(&header.to_string()), "example.com", 1, random);
    let Outcome::Proven { names, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(names.peer_id().as_str(), text(&vectors["client_peer_id"]));
}

/// What one side signs must not pass for what the other side signs, or be reflected.
#[test]
fn no_signature_of_one_side_is_one_of_the_other() {
    let (a, b) = ("a".repeat(44), "b".repeat(44));
    let key = Keypair::from(keypair(1)).public().encode_protobuf();
    assert_ne!(client_signs(&a, HOST, &key), server_signs(&a, &key, HOST));
    assert_ne!(client_signs(&a, HOST, &key), client_signs(&b, HOST, &key));
}

#[test]
fn each_kind_of_keys_of_this_build_proves_itself() {
    let server = server_with(1, sealing(1), KeyTypes::supported());
    let keypairs = [
        Keypair::generate_ed25519(),
        #[cfg(feature = "secp256k1")]
        Keypair::generate_secp256k1(),
        #[cfg(feature = "ecdsa")]
        Keypair::generate_ecdsa(),
        #[cfg(feature = "rsa")]
        rsa_keypair(),
    ];
    for keypair in keypairs {
        let names = KeyNames::of(&keypair.public());
        let mut client = ClientAuthentication::new(keypair.clone(), HOST, None);
        for _ in 0..2 {
            let outcomes = converse(&mut client, &server);
            let Some(Outcome::Proven { names: proven, .. }) = outcomes.last() else {
                panic!("{outcomes:?}");
            };
            assert_eq!(*proven, names, "{}", keypair.key_type());
        }
        let token = value(&client.next_header(random), ParameterName::Bearer);
        assert!(token.len() < 600, "{token}");
        if keypair.key_type() != libp2p_identity::KeyType::Ed25519 {
            let strict = super::support::server();
            let outcome = send(&strict, &client.next_header(random));
            assert!(matches!(outcome, Outcome::Invalid { .. }), "{outcome:?}");
        }
    }
}

#[cfg(feature = "rsa")]
fn rsa_keypair() -> Keypair {
    let mut der = include_bytes!("../../../../tests/fixtures/rsa-2048-for-tests.pk8").to_vec();
    Keypair::rsa_from_pkcs8(&mut der).unwrap()
}
