//! What a client does with servers that lie, change or know nothing of the scheme.

use super::support::{
    challenge, client, converse, random, respond, sealing, send, server, server_with, with,
};
use crate::protocol::authentication::{
    ClientFault, KeyFault, KeyTypes, NextStep, Outcome, ParameterName, Parameters, PeerKey,
    ResponseHead, base64url,
};

/// A server without its private key, or an attacker between client and server.
#[test]
fn a_server_that_does_not_sign_is_never_trusted() {
    let real = server();
    let attacker = server_with(9, sealing(9), KeyTypes::default());
    let real_key = base64url::encode(real.public_key().encode_protobuf());
    for sig in [
        None,
        Some(""),
        Some("AAAA"),
        Some(&*base64url::encode([7; 64])),
    ] {
        // The attacker claims to be the real server, in the client's handshake.
        let mut first = client();
        let outcome = send(&attacker, &first.next_header(random));
        let Outcome::Challenge { www_authenticate } = outcome else {
            panic!("{outcome:?}");
        };
        let given = Parameters::find(&www_authenticate).unwrap().unwrap();
        let given = given.with(ParameterName::PublicKey, &real_key);
        let lies = [
            given.to_string(),
            given
                .clone()
                .with(ParameterName::Sig, sig.unwrap_or("A"))
                .to_string(),
        ];
        for lie in &lies {
            let mut client = client();
            client.next_header(random);
            let head = ResponseHead {
                status: 401,
                www_authenticate: Some(lie),
                authentication_info: None,
            };
            assert_eq!(
                client.receive(head, random),
                Err(ClientFault::ServerNotProven)
            );
            assert_eq!(client.server_key(), None);
        }
        // It claims so in its own handshake, and confirms the client without a signature.
        let mut second = client();
        let lie = challenge(&real);
        let head = ResponseHead {
            status: 401,
            www_authenticate: Some(&lie),
            authentication_info: None,
        };
        assert_eq!(second.receive(head, random), Ok(NextStep::SendAgain));
        let mut info = Parameters::new().with(ParameterName::Bearer, "token");
        if let Some(sig) = sig {
            info = info.with(ParameterName::Sig, sig);
        }
        let info = info.to_string();
        let head = ResponseHead {
            status: 200,
            www_authenticate: None,
            authentication_info: Some(&info),
        };
        assert_eq!(
            second.receive(head, random),
            Err(ClientFault::ServerNotProven)
        );
        assert!(!second.has_bearer());
    }
}

#[test]
fn a_success_without_the_proof_of_the_server_is_not_taken() {
    let server = server();
    for (status, expected) in [
        (200, Err(ClientFault::ServerNotProven)),
        (204, Err(ClientFault::ServerNotProven)),
        (302, Err(ClientFault::ServerNotProven)),
        (502, Ok(NextStep::Done)),
    ] {
        let mut client = client();
        let www = challenge(&server);
        let head = ResponseHead {
            status: 401,
            www_authenticate: Some(&www),
            authentication_info: None,
        };
        assert_eq!(client.receive(head, random), Ok(NextStep::SendAgain));
        let head = ResponseHead {
            status,
            www_authenticate: None,
            authentication_info: None,
        };
        assert_eq!(client.receive(head, random), expected, "{status}");
        assert_eq!(client.server_key(), None);
    }
}

#[test]
fn a_changed_key_of_the_server_is_a_fault_until_it_is_trusted() {
    let (mut client, old) = (client(), server());
    converse(&mut client, &old);
    let new = server_with(9, sealing(9), KeyTypes::default());
    let new_key = new.public_key().encode_protobuf();
    let new_key = PeerKey::from_bytes(new_key, KeyTypes::default()).unwrap();
    let changed = Err(ClientFault::ServerKeyChanged {
        offered: Box::new(new_key.clone()),
    });

    // With the token of the old server, and from the start.
    for _ in 0..2 {
        let outcome = send(&new, &client.next_header(random));
        assert_eq!(respond(&mut client, &outcome, 200), changed);
        assert!(!client.has_bearer());
    }
    client.pin(Some(new_key));
    converse(&mut client, &new);
    assert!(client.has_bearer());
}

#[test]
fn a_refused_token_leads_to_a_new_handshake_and_refused_proofs_to_an_end() {
    let (mut client, server) = (client(), server());
    converse(&mut client, &server);
    let restarted = server_with(1, sealing(7), KeyTypes::default());
    let outcomes = converse(&mut client, &restarted);
    assert!(
        matches!(
            outcomes[..],
            [Outcome::Invalid { .. }, Outcome::Proven { .. }]
        ),
        "{outcomes:?}"
    );

    // A server that refuses everything is asked three times: with the token, and with two proofs.
    let mut requests = 0;
    let refused = loop {
        client.next_header(random);
        requests += 1;
        let www = challenge(&server);
        let head = ResponseHead {
            status: 401,
            www_authenticate: Some(&www),
            authentication_info: None,
        };
        match client.receive(head, random) {
            Ok(NextStep::SendAgain) => {}
            other => break other,
        }
    };
    assert_eq!((requests, refused), (3, Err(ClientFault::Refused)));
}

#[test]
fn servers_that_do_not_know_the_scheme_are_noticed() {
    for (status, www_authenticate) in [
        (200, None),
        (404, None),
        (401, None),
        (401, Some("Basic realm=\"registry\"")),
    ] {
        let mut client = client();
        client.next_header(random);
        let head = ResponseHead {
            status,
            www_authenticate,
            authentication_info: None,
        };
        assert_eq!(client.receive(head, random), Ok(NextStep::NotSupported));
        assert!(!client.has_bearer());
    }
}

#[test]
fn an_overloaded_server_is_not_taken_for_one_without_the_scheme() {
    let (mut client, server) = (client(), server());
    for status in [429, 500, 503] {
        client.next_header(random);
        let head = ResponseHead {
            status,
            www_authenticate: None,
            authentication_info: None,
        };
        assert_eq!(client.receive(head, random), Ok(NextStep::Done), "{status}");
    }
    converse(&mut client, &server);
    assert!(client.has_bearer());
}

#[test]
fn a_response_of_a_proxy_ends_no_handshake() {
    let (mut client, server) = (client(), server());
    let outcome = send(&server, &client.next_header(random));
    respond(&mut client, &outcome, 200).unwrap();
    let head = ResponseHead {
        status: 502,
        www_authenticate: None,
        authentication_info: None,
    };
    assert_eq!(client.receive(head, random), Ok(NextStep::Done));
    assert!(!client.has_bearer());
    converse(&mut client, &server);
    assert!(client.has_bearer());
}

#[test]
fn the_client_refuses_wrong_challenges() {
    let server = server();
    let good = challenge(&server);
    let weak = [&[8, 1, 18, 32, 1][..], &[0; 31]].concat();
    let with = |name, value: &str| with(&good, name, value);
    for (www, fault) in [
        (
            with(ParameterName::ChallengeClient, &"a".repeat(31)),
            ClientFault::ChallengeTooShort,
        ),
        (
            with(ParameterName::PublicKey, &base64url::encode(weak)),
            ClientFault::ServerKey(KeyFault::Weak),
        ),
        (
            with(ParameterName::PublicKey, "AAAA"),
            ClientFault::ServerKey(KeyFault::NotAKey),
        ),
        (
            "libp2p-PeerID".to_owned(),
            ClientFault::Incomplete(ParameterName::PublicKey),
        ),
    ] {
        let mut client = client();
        let head = ResponseHead {
            status: 401,
            www_authenticate: Some(&www),
            authentication_info: None,
        };
        assert_eq!(client.receive(head, random), Err(fault), "{www}");
    }
}
