use super::*;
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

fn ahead_ms(asked_ms: i64, answered_ms: i64, registry_ms: i64) -> i64 {
    match Finding::of_clocks(asked_ms, answered_ms, registry_ms) {
        Finding::ClockDiffers { ahead_ms } => ahead_ms,
        Finding::ClockAgrees => 0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn clocks_differ_only_by_what_a_slow_answer_cannot_explain() {
    assert_eq!(ahead_ms(100_000, 100_010, 100_005), 0);
    assert_eq!(ahead_ms(100_000, 100_000, 70_000), 0);
    assert_eq!(ahead_ms(100_000, 100_000, 69_999), 30_001);
    assert_eq!(ahead_ms(100_000, 105_000, 140_000), -35_000);
    assert_eq!(ahead_ms(100_000, 190_000, 150_000), 0, "a slow answer");
    let behind = Finding::ClockDiffers { ahead_ms: -35_500 };
    assert!(behind.to_string().contains("35 s behind"), "{behind}");
}

#[test]
fn a_lease_is_nearly_out_after_half_of_it() {
    let announced = announced();
    let peer = listed(&announced);
    let in_time = |ago_ms: i64, lease_secs| {
        let now_ms = 1_000_000 + ago_ms;
        Finding::of_listing(Some(&peer), now_ms, Some(&announced), lease_secs)
    };
    let at = |ago_ms| in_time(ago_ms, 600);
    assert_eq!(
        at(300_000),
        Finding::Listed {
            renewed_ago_ms: 300_000
        }
    );
    let nearly_out = at(300_001);
    assert_eq!(nearly_out.verdict(), Verdict::Wrong);
    assert!(
        nearly_out.to_string().contains("renewed 300 s ago"),
        "{nearly_out}"
    );
    assert_eq!(in_time(300_001, 601).verdict(), Verdict::Fine);
    // A clock that went back is no reason to worry.
    assert_eq!(at(-5), Finding::Listed { renewed_ago_ms: 0 });
}

#[test]
fn a_node_that_is_not_listed_is_told_which_address_would_reveal_it() {
    let mut announced = announced();
    let of = |announced: &RegisterRequest| Finding::of_listing(None, 0, Some(announced), 600);
    assert_eq!(of(&announced), Finding::NotListed { revealing: vec![] });
    announced
        .addresses
        .push("/ip4/203.0.113.7/tcp/4001".to_owned());
    let finding = of(&announced);
    assert!(
        finding.to_string().contains(": /ip4/203.0.113.7/tcp/4001"),
        "{finding}"
    );
    assert!(finding.advice().unwrap().contains("--register"));
    assert_eq!(
        Finding::of_listing(None, 0, None, 600),
        Finding::NotListed { revealing: vec![] }
    );
}

#[test]
fn a_node_listed_under_other_addresses_is_told_them() {
    let (announced, other) = (announced(), announced());
    let finding = Finding::of_listing(Some(&listed(&other)), 1_000_000, Some(&announced), 600);
    assert!(
        finding.to_string().contains(&other.addresses[0]),
        "{finding}"
    );
    let unknown = Finding::of_listing(Some(&listed(&other)), 1_000_000, None, 600);
    assert_eq!(unknown.verdict(), Verdict::Fine);
}

#[test]
fn only_what_is_well_needs_no_advice() {
    let reason = || "r".to_owned();
    let findings = [
        Finding::Serves { version: reason() },
        Finding::CannotServe {
            status: HealthStatus::Draining,
        },
        Finding::CannotServe {
            status: HealthStatus::Degraded,
        },
        Finding::Throttled { reason: reason() },
        Finding::NameUnknown {
            host: reason(),
            reason: reason(),
        },
        Finding::NoConnection {
            address: reason(),
            reason: reason(),
        },
        Finding::TlsFailed { reason: reason() },
        Finding::NoAnswer { reason: reason() },
        Finding::NotARegistry { reason: reason() },
        Finding::ListingTooLong { reason: reason() },
        Finding::WrongPath,
        Finding::ClockAgrees,
        Finding::ClockDiffers { ahead_ms: 40_000 },
        Finding::Listed { renewed_ago_ms: 0 },
        Finding::LeaseNearlyOut {
            renewed_ago_ms: 400_000,
            lease_secs: 600,
        },
        Finding::ListedOtherwise { addresses: vec![] },
        Finding::NotListed { revealing: vec![] },
        Finding::Accepted {
            lease_ms: 600_000,
            heartbeat_interval_secs: 120,
        },
        Finding::AddressRefused { message: reason() },
        Finding::RegistrationRefused {
            code: ErrorCode::InvalidField,
            message: reason(),
        },
    ];
    for finding in findings {
        let is_fine = finding.verdict() == Verdict::Fine;
        assert_eq!(finding.advice().is_none(), is_fine, "{finding}");
    }
}
