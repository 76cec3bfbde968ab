//! What a server does with headers that an attacker changed.

use libp2p_identity::Keypair;
use proptest::prelude::*;
use strum::VariantArray;

use super::support::{
    HOST, NOW_MS, challenge, client, converse, proofs, random, reason, respond, sealing, send,
    server, server_with, value, with,
};
use crate::protocol::authentication::{
    ClientFault, HeaderFault, InvalidReason, KeyFault, KeyTypes, NextStep, Outcome, ParameterName,
    Parameters, ResponseHead, SealFault, base64url,
};

/// The parameters that prove something, in each of the headers of [`proofs`].
const PROVING: [&[ParameterName]; 3] = [
    &[
        ParameterName::PublicKey,
        ParameterName::Sig,
        ParameterName::Opaque,
    ],
    &[ParameterName::Sig, ParameterName::Opaque],
    &[ParameterName::Bearer],
];

#[test]
fn the_headers_of_the_tests_prove_the_client() {
    let server = server();
    for header in proofs(&server) {
        let outcome = send(&server, &header);
        assert!(
            matches!(outcome, Outcome::Proven { .. }),
            "{header}: {outcome:?}"
        );
    }
}

#[test]
fn a_changed_character_of_a_proof_is_refused() {
    let server = server();
    for (header, names) in proofs(&server).iter().zip(PROVING) {
        for &name in names {
            let good = value(header, name);
            for index in 0..good.len() {
                // Each verification takes milliseconds in a debug build.
                let other = ["A", "b", "7", "_", "=", " ", "", "A="][index % 8];
                let bad = [&good[..index], other, &good[index + 1..]].concat();
                // Padding may be left out.
                if bad.trim_end_matches('=') != good.trim_end_matches('=') {
                    reason(send(&server, &with(header, name, &bad)));
                }
            }
        }
    }
}

#[test]
fn a_changed_bit_of_a_sealed_text_is_refused() {
    let server = server();
    let [server_initiated, client_initiated, token] = proofs(&server);
    for (header, name) in [
        (server_initiated, ParameterName::Opaque),
        (client_initiated, ParameterName::Opaque),
        (token, ParameterName::Bearer),
    ] {
        let good = base64url::decode(&value(&header, name)).unwrap();
        for bit in 0..8 * good.len() {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let refused = reason(send(&server, &with(&header, name, &base64url::encode(bad))));
            let expected = match name {
                ParameterName::Bearer => InvalidReason::Bearer(SealFault::NotOurs),
                _ => InvalidReason::Opaque(SealFault::NotOurs),
            };
            assert_eq!(refused, expected, "bit {bit}");
        }
        for len in 0..good.len() {
            reason(send(
                &server,
                &with(&header, name, &base64url::encode(&good[..len])),
            ));
        }
    }
}

#[test]
fn a_header_that_lacks_a_parameter_is_refused() {
    let server = server();
    for header in proofs(&server) {
        let (scheme, list) = header.split_once(' ').unwrap();
        let parameters: Vec<_> = list.split(", ").collect();
        for left_out in 0..parameters.len() {
            let mut rest = parameters.clone();
            rest.remove(left_out);
            let lacking = format!("{scheme} {}", rest.join(", "));
            let outcome = send(&server, &lacking);
            // What remains without opaque and sig begins a handshake, which proves nothing.
            let is_beginning = matches!(outcome, Outcome::Challenge { .. });
            assert!(
                is_beginning || reason(outcome) == InvalidReason::Incomplete,
                "{lacking}"
            );
        }
    }
}

#[test]
fn a_wrong_header_is_never_taken_for_an_absent_one() {
    let server = server();
    let long = format!("libp2p-PeerID bearer=\"{}\"", "A".repeat(2_048));
    for (header, expected) in [
        ("libp2p-PeerID", InvalidReason::Incomplete),
        ("libp2p-peerid", InvalidReason::Incomplete),
        ("libp2p-PeerID, Basic YTpi", InvalidReason::Incomplete),
        ("libp2p-PeerID unknown=\"a\"", InvalidReason::Incomplete),
        ("libp2p-PeerID sig=\"a", HeaderFault::Malformed.into()),
        (&long, HeaderFault::TooLong.into()),
        (
            "libp2p-PeerID bearer=\"a\", bearer=\"a\"",
            HeaderFault::RepeatedParameter(ParameterName::Bearer).into(),
        ),
        (
            "libp2p-PeerID bearer=\"\"",
            InvalidReason::Bearer(SealFault::NotOurs),
        ),
    ] {
        let outcome = send(&server, header);
        let Outcome::Invalid {
            reason,
            www_authenticate,
        } = outcome
        else {
            panic!("{header}: {outcome:?}");
        };
        assert_eq!(reason, expected, "{header}");
        // The client can start again.
        let mut client = client();
        let head = ResponseHead {
            status: 401,
            www_authenticate: Some(&www_authenticate),
            authentication_info: None,
        };
        assert_eq!(client.receive(head, random), Ok(NextStep::SendAgain));
        assert!(matches!(
            converse(&mut client, &server)[..],
            [Outcome::Proven { .. }]
        ));
    }
    for header in [None, Some(""), Some("Bearer token"), Some("Basic YTpi")] {
        let outcome = server.authenticate(header, HOST, NOW_MS, random);
        assert_eq!(outcome, Outcome::Absent, "{header:?}");
    }
}

#[test]
fn a_proof_for_another_server_key_is_refused() {
    let [server_initiated, client_initiated, _] = proofs(&server());
    let other = server_with(9, sealing(1), KeyTypes::default());
    for header in [server_initiated, client_initiated] {
        assert_eq!(reason(send(&other, &header)), InvalidReason::WrongSignature);
    }
}

#[test]
fn a_challenge_is_no_token_and_a_token_is_no_challenge() {
    let server = server();
    let [server_initiated, client_initiated, token] = proofs(&server);
    for header in [&server_initiated, &client_initiated] {
        let opaque = value(header, ParameterName::Opaque);
        let as_token = Parameters::new().with(ParameterName::Bearer, opaque);
        assert_eq!(
            reason(send(&server, &as_token.to_string())),
            InvalidReason::Bearer(SealFault::NotOurs)
        );
        let bearer = value(&token, ParameterName::Bearer);
        assert_eq!(
            reason(send(&server, &with(header, ParameterName::Opaque, &bearer))),
            InvalidReason::Opaque(SealFault::NotOurs)
        );
    }
}

#[test]
fn parts_of_two_handshakes_do_not_fit_together() {
    let server = server();
    let [one, began_one, _] = proofs(&server);
    let [two, began_two, _] = proofs(&server);
    for (one, two) in [
        (&one, &two),
        (&began_one, &began_two),
        (&one, &began_two),
        (&two, &began_one),
    ] {
        let opaque = value(two, ParameterName::Opaque);
        let mixed = with(one, ParameterName::Opaque, &opaque);
        assert_eq!(reason(send(&server, &mixed)), InvalidReason::WrongSignature);
    }
    let other_key = base64url::encode(Keypair::generate_ed25519().public().encode_protobuf());
    assert_eq!(
        reason(send(
            &server,
            &with(&one, ParameterName::PublicKey, &other_key)
        )),
        InvalidReason::WrongSignature
    );
    assert_eq!(
        reason(send(
            &server,
            &with(&began_one, ParameterName::PublicKey, &other_key)
        )),
        InvalidReason::OtherKey
    );
}

#[test]
fn the_keys_of_weak_and_strange_clients_are_refused() {
    let server = server();
    let [server_initiated, ..] = proofs(&server);
    let beginning = client().next_header(random);
    let weak = base64url::encode([&[8, 1, 18, 32, 1][..], &[0; 31]].concat());
    for header in [&server_initiated, &beginning] {
        for (key, fault) in [(weak.as_str(), KeyFault::Weak), ("", KeyFault::NotAKey)] {
            let header = with(header, ParameterName::PublicKey, key);
            assert_eq!(reason(send(&server, &header)), InvalidReason::Key(fault));
        }
        let short = with(header, ParameterName::ChallengeServer, &"a".repeat(31));
        assert_eq!(
            reason(send(&server, &short)),
            InvalidReason::ChallengeTooShort
        );
    }
}

/// The client's challenge is not part of what the client signs: only the client can notice.
#[test]
fn a_changed_challenge_of_the_client_is_noticed_by_the_client() {
    let server = server();
    let mut client = client();
    let head = ResponseHead {
        status: 401,
        www_authenticate: Some(&challenge(&server)),
        authentication_info: None,
    };
    client.receive(head, random).unwrap();
    let other = base64url::encode(random());
    let header = with(
        &client.next_header(random),
        ParameterName::ChallengeServer,
        &other,
    );
    let outcome = send(&server, &header);
    assert_eq!(
        respond(&mut client, &outcome, 200),
        Err(ClientFault::ServerNotProven)
    );
    assert!(!client.has_bearer());
}

/// A value as an attacker without a key can make it: of the right form, or of a proof of somebody else.
fn value_without_key() -> impl Strategy<Value = String> {
    let [server_initiated, client_initiated, token] =
        proofs(&server_with(9, sealing(9), KeyTypes::default()));
    let foreign = [
        value(&server_initiated, ParameterName::Opaque),
        value(&server_initiated, ParameterName::Sig),
        value(&server_initiated, ParameterName::PublicKey),
        value(&client_initiated, ParameterName::Opaque),
        value(&token, ParameterName::Bearer),
        value(&challenge(&server()), ParameterName::Opaque),
        value(&challenge(&server()), ParameterName::ChallengeClient),
        value(&challenge(&server()), ParameterName::PublicKey),
    ];
    prop_oneof![
        prop::sample::select(foreign.to_vec()),
        prop::collection::vec(any::<u8>(), 0..120).prop_map(base64url::encode),
        "[ -~]{0,60}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn nothing_is_proven_without_a_key(
        values in prop::collection::vec(
            (prop::sample::select(ParameterName::VARIANTS), value_without_key()), 0..7),
        host in prop_oneof![Just(HOST.to_owned()), "\\PC{0,20}"],
    ) {
        let header = values.into_iter().fold(Parameters::new(), |all, (name, value)| all.with(name, value));
        let header = header.to_string();
        let outcome = server().authenticate(Some(&header), &host, NOW_MS, random);
        let is_refused = matches!(
            outcome,
            Outcome::Challenge { .. } | Outcome::Invalid { .. } | Outcome::UnknownHost
        );
        prop_assert!(is_refused, "{}: {:?}", header, outcome);
    }
}
