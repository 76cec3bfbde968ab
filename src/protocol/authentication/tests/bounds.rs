//! The host, the time and the keys for which a proof is good.

use libp2p_identity::Keypair;

use super::support::{
    CHALLENGE_TTL_MS, HOST, NOW_MS, TOKEN_TTL_MS, challenge, keypair, proofs, random, reason,
    sealing, send, server, server_with,
};
use crate::protocol::authentication::{
    ClientAuthentication, InvalidReason, KeyTypes, NextStep, Outcome, ResponseHead, SealFault,
    SealingKey,
};

#[test]
fn a_proof_is_good_for_its_host_only() {
    let server = server();
    let [server_initiated, client_initiated, token] = proofs(&server);
    let at = |host, header: &str| server.authenticate(Some(header), host, NOW_MS, random);
    // Another declared name, and another port of the same name.
    for host in [
        "example.com",
        "registry.example.com",
        "registry.example.com:9443",
    ] {
        for header in [&server_initiated, &client_initiated] {
            let refused = reason(at(host, header));
            assert_eq!(
                refused,
                InvalidReason::Opaque(SealFault::OtherHost),
                "{host}"
            );
        }
        let refused = reason(at(host, &token));
        assert_eq!(
            refused,
            InvalidReason::Bearer(SealFault::OtherHost),
            "{host}"
        );
    }
    for host in ["evil.example", "", "registry.example.com.evil.example"] {
        for header in [&server_initiated, &client_initiated, &token] {
            assert_eq!(at(host, header), Outcome::UnknownHost, "{host}");
        }
        assert_eq!(server.challenge(host, NOW_MS, random), None);
        assert_eq!(
            server.authenticate(None, host, NOW_MS, random),
            Outcome::Absent
        );
    }
}

#[test]
fn a_client_that_was_lured_to_another_name_proves_nothing_here() {
    // The other server passes on the challenge of this one.
    let server = server();
    let mut lured = ClientAuthentication::new(Keypair::from(keypair(2)), "evil.example", None);
    let head = ResponseHead {
        status: 401,
        www_authenticate: Some(&challenge(&server)),
        authentication_info: None,
    };
    assert_eq!(lured.receive(head, random), Ok(NextStep::SendAgain));
    let stolen = lured.next_header(random);
    assert_eq!(
        reason(send(&server, &stolen)),
        InvalidReason::WrongSignature
    );
}

#[test]
fn a_proof_ends_with_its_time() {
    let server = server();
    let [server_initiated, client_initiated, token] = proofs(&server);
    let at = |now_ms, header: &str| server.authenticate(Some(header), HOST, now_ms, random);
    for header in [&server_initiated, &client_initiated] {
        let last_ms = NOW_MS + CHALLENGE_TTL_MS - 1;
        assert!(matches!(at(last_ms, header), Outcome::Proven { .. }));
        let refused = reason(at(last_ms + 1, header));
        assert_eq!(refused, InvalidReason::Opaque(SealFault::Expired));
    }
    let last_ms = NOW_MS + TOKEN_TTL_MS - 1;
    assert!(matches!(at(last_ms, &token), Outcome::Proven { .. }));
    let refused = reason(at(last_ms + 1, &token));
    assert_eq!(refused, InvalidReason::Bearer(SealFault::Expired));
}

#[test]
fn a_proof_outlives_one_rotation_of_the_keys_and_not_two() {
    let first = sealing(1);
    let headers = proofs(&server_with(1, first.clone(), KeyTypes::default()));
    let once = first.rotated(SealingKey::new(&[2; 32]));
    let twice = once.clone().rotated(SealingKey::new(&[3; 32]));
    let once = server_with(1, once, KeyTypes::default());
    let twice = server_with(1, twice, KeyTypes::default());
    for header in headers {
        assert!(
            matches!(send(&once, &header), Outcome::Proven { .. }),
            "{header}"
        );
        let refused = reason(send(&twice, &header));
        assert!(
            matches!(
                refused,
                InvalidReason::Opaque(SealFault::NotOurs)
                    | InvalidReason::Bearer(SealFault::NotOurs)
            ),
            "{refused}"
        );
    }
    // What is issued after a rotation is sealed with the new key.
    for header in proofs(&once) {
        assert!(
            matches!(send(&twice, &header), Outcome::Proven { .. }),
            "{header}"
        );
    }
}
