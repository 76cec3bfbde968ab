//! A server, clients, and the way between them.

use libp2p_identity::{Keypair, ed25519};

use crate::protocol::authentication::{
    CHALLENGE_BYTES, ClientAuthentication, ClientFault, InvalidReason, KeyTypes, NextStep, Outcome,
    ParameterName, Parameters, Proof, PublicHosts, ResponseHead, SealingKey, SealingKeys,
    ServerAuthentication, ServerKeys, ServerSettings,
};

pub(crate) const HOST: &str = "registry.example.com:8443";
pub(crate) const NOW_MS: i64 = 1_795_468_183_007;
pub(crate) const TOKEN_TTL_MS: i64 = 24 * 60 * 60 * 1000;
pub(crate) const CHALLENGE_TTL_MS: i64 = 5 * 60 * 1000;

pub(crate) fn random() -> [u8; CHALLENGE_BYTES] {
    rand::random()
}

pub(crate) fn sealing(byte: u8) -> SealingKeys {
    SealingKeys::new(SealingKey::new(&[byte; 32]), None)
}

pub(crate) fn keypair(byte: u8) -> ed25519::Keypair {
    let secret = ed25519::SecretKey::try_from_bytes([byte; 32]).unwrap();
    ed25519::Keypair::from(secret)
}

/// The server whose key has this byte as its seed, with these keys for sealing.
pub(crate) fn server_with(
    identity: u8,
    sealing: SealingKeys,
    types: KeyTypes,
) -> ServerAuthentication {
    let settings = ServerSettings {
        public_hosts: PublicHosts::parse(["registry.example.com", "example.com"]).unwrap(),
        key_types: types,
        token_ttl_ms: TOKEN_TTL_MS,
        challenge_ttl_ms: CHALLENGE_TTL_MS,
    };
    ServerAuthentication::new(ServerKeys::new(keypair(identity), sealing), settings)
}

pub(crate) fn server() -> ServerAuthentication {
    server_with(1, sealing(1), KeyTypes::default())
}

pub(crate) fn client() -> ClientAuthentication {
    ClientAuthentication::new(Keypair::from(keypair(2)), HOST, None)
}

/// Sends a request with `header` to the server, and returns its decision.
pub(crate) fn send(server: &ServerAuthentication, header: &str) -> Outcome {
    server.authenticate(Some(header), HOST, NOW_MS, random)
}

/// Gives the outcome to the client, as a response with `status` if the request was served.
pub(crate) fn respond(
    client: &mut ClientAuthentication,
    outcome: &Outcome,
    status: u16,
) -> Result<NextStep, ClientFault> {
    let (status, www_authenticate, authentication_info) = match outcome {
        Outcome::Absent => (status, None, None),
        Outcome::Proven {
            proof: Proof::Bearer { .. },
            ..
        } => (status, None, None),
        Outcome::Proven {
            proof:
                Proof::Handshake {
                    authentication_info,
                    ..
                },
            ..
        } => (status, None, Some(authentication_info.as_str())),
        Outcome::Challenge { www_authenticate }
        | Outcome::Invalid {
            www_authenticate, ..
        } => (401, Some(www_authenticate.as_str()), None),
        Outcome::UnknownHost => (400, None, None),
    };
    let head = ResponseHead {
        status,
        www_authenticate,
        authentication_info,
    };
    client.receive(head, random)
}

/// Sends requests until one is served, and returns all outcomes.
pub(crate) fn converse(
    client: &mut ClientAuthentication,
    server: &ServerAuthentication,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    loop {
        let outcome = send(server, &client.next_header(random));
        let step = respond(client, &outcome, 200).unwrap();
        outcomes.push(outcome);
        match step {
            NextStep::Done => return outcomes,
            NextStep::SendAgain => assert!(outcomes.len() < 5, "{outcomes:?}"),
            NextStep::NotSupported => panic!("{outcomes:?}"),
        }
    }
}

/// The value of `WWW-Authenticate` for a request without a header.
pub(crate) fn challenge(server: &ServerAuthentication) -> String {
    server.challenge(HOST, NOW_MS, random).unwrap()
}

/// The headers that prove the client of [`client`] to the server: in a server-initiated handshake, in a
/// client-initiated one, and with a token.
pub(crate) fn proofs(server: &ServerAuthentication) -> [String; 3] {
    let mut first = client();
    let head = ResponseHead {
        status: 401,
        www_authenticate: Some(&challenge(server)),
        authentication_info: None,
    };
    assert_eq!(first.receive(head, random), Ok(NextStep::SendAgain));
    let server_initiated = first.next_header(random);

    let mut second = client();
    let outcome = send(server, &second.next_header(random));
    assert_eq!(respond(&mut second, &outcome, 200), Ok(NextStep::SendAgain));
    let client_initiated = second.next_header(random);
    let outcome = send(server, &client_initiated);
    respond(&mut second, &outcome, 200).unwrap();
    assert!(second.has_bearer());
    [
        server_initiated,
        client_initiated,
        second.next_header(random),
    ]
}

/// The parameters of a header, changed by `change`.
pub(crate) fn with(header: &str, name: ParameterName, value: &str) -> String {
    let given = Parameters::find(header).unwrap().unwrap();
    given.with(name, value).to_string()
}

pub(crate) fn value(header: &str, name: ParameterName) -> String {
    let given = Parameters::find(header).unwrap().unwrap();
    given
        .get(name)
        .unwrap_or_else(|| panic!("{header} lacks {name}"))
        .to_owned()
}

/// Why the server refuses; panics if it does not.
#[track_caller]
pub(crate) fn reason(outcome: Outcome) -> InvalidReason {
    match outcome {
        Outcome::Invalid { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}
