use rustls::{AlertDescription, CertificateError};

use super::*;
use crate::agent::doctor::Verdict;
use crate::agent::{Identity, Registration};

fn announced() -> RegisterRequest {
    Registration::new(&Identity::generate(), 4001).into()
}

fn listed(announced: &RegisterRequest) -> ListedPeer {
    ListedPeer {
        peer_id: announced.peer_id.clone(),
        addresses: announced.addresses.clone(),
        crypto_ipv6: None,
        last_seen: 1_000_000,
        version: None,
        turn_capable: false,
        bootstrap_capable: false,
        privacy_mode: false,
        network_id: None,
        stores: None,
        capabilities: None,
        capability_list: None,
    }
}

fn ahead_ms(requested_ms: i64, received_ms: i64, registry_ms: i64) -> i64 {
    match judge_clocks(requested_ms, received_ms, registry_ms) {
        Finding::ClockDiffers { ahead_ms } => ahead_ms,
        Finding::ClockAgrees => 0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn clocks_differ_only_if_a_slow_response_cannot_explain_it() {
    assert_eq!(ahead_ms(100_000, 100_010, 100_005), 0);
    assert_eq!(ahead_ms(100_000, 100_000, 70_000), 0);
    assert_eq!(ahead_ms(100_000, 100_000, 69_999), 30_001);
    assert_eq!(ahead_ms(100_000, 105_000, 140_000), -35_000);
    assert_eq!(ahead_ms(100_000, 190_000, 150_000), 0, "a slow response");
    let behind = Finding::ClockDiffers { ahead_ms: -35_500 };
    assert!(behind.to_string().contains("35 s behind"), "{behind}");
}

#[test]
fn a_lease_is_nearly_out_after_half_of_it() {
    let announced = announced();
    let peer = listed(&announced);
    let judged = |ago_ms: i64, lease_secs| {
        let now_ms = 1_000_000 + ago_ms;
        judge_listing(Some(&peer), now_ms, Some(&announced), Some(lease_secs))
    };
    let after = |ago_ms| judged(ago_ms, 600);
    assert_eq!(
        after(300_000),
        Finding::Listed {
            renewed_ago_ms: 300_000
        }
    );
    let nearly_out = after(300_001);
    assert_eq!(nearly_out.verdict(), Verdict::Wrong);
    assert!(
        nearly_out.to_string().contains("renewed 300 s ago"),
        "{nearly_out}"
    );
    assert_eq!(judged(300_001, 601).verdict(), Verdict::Fine);
    // A clock that went back is not a fault.
    assert_eq!(after(-5), Finding::Listed { renewed_ago_ms: 0 });
}

#[test]
fn a_node_that_is_not_listed_learns_which_address_reveals_it() {
    let mut announced = announced();
    let judge = |announced: &RegisterRequest| judge_listing(None, 0, Some(announced), None);
    assert_eq!(judge(&announced), Finding::NotListed { revealing: vec![] });
    announced
        .addresses
        .push("/ip4/203.0.113.7/tcp/4001".to_owned());
    let finding = judge(&announced);
    assert!(
        finding.to_string().contains(": /ip4/203.0.113.7/tcp/4001"),
        "{finding}"
    );
    assert!(finding.advice().unwrap().contains("--register"));
    assert_eq!(
        judge_listing(None, 0, None, None),
        Finding::NotListed { revealing: vec![] }
    );
}

#[test]
fn a_node_listed_with_other_addresses_learns_them() {
    let (announced, other) = (announced(), announced());
    let finding = judge_listing(Some(&listed(&other)), 1_000_000, Some(&announced), None);
    assert!(
        finding.to_string().contains(&other.addresses[0]),
        "{finding}"
    );
    let unknown = judge_listing(Some(&listed(&other)), 1_000_000, None, None);
    assert_eq!(unknown.verdict(), Verdict::Fine);
}

/// The finding about a request that failed with these words of the libraries.
fn failed_with(words: &str, stage: Stage) -> Finding {
    failed_by(words.into(), stage)
}

fn failed_by(source: Box<dyn std::error::Error + Send + Sync>, stage: Stage) -> Finding {
    let error = ClientError::Unreachable {
        url: "https://r.org/health".to_owned(),
        source,
    };
    judge_failure(&error, stage, "https://r.org", false)
}

#[test]
fn each_failure_of_tls_has_its_own_advice() {
    let mut advice = Vec::new();
    for error in [
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
        CertificateError::UnknownIssuer.into(),
        CertificateError::Expired.into(),
        CertificateError::NotValidYet.into(),
        CertificateError::NotValidForName.into(),
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
        rustls::Error::DecryptError,
    ] {
        let finding = failed_by(std::io::Error::other(error).into(), Stage::Tls);
        assert!(matches!(finding, Finding::TlsFailed { .. }), "{finding:?}");
        advice.push(finding.advice().unwrap());
    }
    let found = advice.len();
    advice.sort_unstable();
    advice.dedup();
    assert_eq!(advice.len(), found);
}

#[test]
fn a_failure_behind_a_proxy_is_never_blamed_on_tls_or_the_name() {
    let address = "http://proxy:3128/".to_owned();
    for words in ["invalid peer certificate: UnknownIssuer", "tunnel error"] {
        let stage = Stage::Proxy {
            address: address.clone(),
        };
        let finding = failed_with(words, stage);
        assert!(
            matches!(finding, Finding::ProxyFailed { .. }),
            "{finding:?}"
        );
        assert!(finding.to_string().contains("proxy:3128"), "{finding}");
        assert!(finding.advice().unwrap().contains("NO_PROXY"));
    }
}

#[test]
fn a_redirect_within_the_host_or_to_a_registry_names_the_address_and_another_is_a_portal() {
    let redirected = |to: &str, moved_to: Option<&str>| {
        let error = ClientError::NotARegistry {
            url: "http://r.org/health".to_owned(),
            status: 301,
            reason: String::new(),
            location: Some(to.to_owned()),
            moved_to: moved_to.map(str::to_owned),
            retry_after: None,
        };
        judge_failure(&error, Stage::Exchange, "http://r.org:80", false)
    };
    let to = "https://R.org/health".to_owned();
    let elsewhere = redirected(&to, None);
    assert_eq!(elsewhere, Finding::Redirects { to, address: None });
    for to in ["https://r.org/health", "https://www.r.org/health"] {
        let address = to.strip_suffix("/health");
        let finding = redirected(to, address);
        assert!(finding.advice().unwrap().contains("without /health"));
        let named = format!("may be at {}", address.unwrap());
        assert!(finding.to_string().ends_with(&named), "{finding}");
    }
    let portal = redirected("http://portal/login", None);
    assert!(matches!(portal, Finding::NotARegistry { .. }), "{portal:?}");
}
