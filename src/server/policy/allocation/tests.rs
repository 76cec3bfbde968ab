use proptest::prelude::*;

use super::*;

fn ask(tier: Tier) -> AllocationRequest {
    AllocationRequest {
        tier,
        mbps: 1000,
        p2p_attempted: true,
        renewed: None,
    }
}

fn decide_in(
    mode: CostMode,
    ask: AllocationRequest,
    standing: GrantedCapacity,
) -> Result<Grant, Refusal> {
    decide(ask, standing, mode, &TierTable::default())
}

/// Others hold enough bandwidth: a quarter of all is more than the peer asks for.
const BUSY: GrantedCapacity = GrantedCapacity {
    own_sessions: 0,
    own_mbps: 0,
    other_mbps: 100_000,
    premium_sessions: 0,
};

/// What each tier is granted in each mode: Mbit/s and seconds, or the refusal.
#[test]
fn every_mode_and_tier_gets_what_the_table_says() {
    use CostMode::*;
    use Tier::*;
    let rows = [
        (Normal, Free, Ok((5, 3600))),
        (Normal, Basic, Ok((10, 3600))),
        (Normal, Standard, Ok((50, 3600))),
        (Normal, Premium, Ok((100, 3600))),
        (Warning, Free, Ok((5, 900))),
        (Warning, Basic, Ok((10, 900))),
        (Warning, Standard, Ok((50, 900))),
        (Warning, Premium, Ok((50, 900))),
        (Throttle, Free, Err(Refusal::PremiumOnly)),
        (Throttle, Basic, Err(Refusal::PremiumOnly)),
        (Throttle, Standard, Err(Refusal::PremiumOnly)),
        (Throttle, Premium, Ok((20, 600))),
        (Emergency, Free, Err(Refusal::RenewalsOnly)),
        (Emergency, Basic, Err(Refusal::RenewalsOnly)),
        (Emergency, Standard, Err(Refusal::RenewalsOnly)),
        (Emergency, Premium, Err(Refusal::RenewalsOnly)),
        (Shutdown, Free, Err(Refusal::Shutdown)),
        (Shutdown, Basic, Err(Refusal::Shutdown)),
        (Shutdown, Standard, Err(Refusal::Shutdown)),
        (Shutdown, Premium, Err(Refusal::Shutdown)),
    ];
    for (mode, tier, expected) in rows {
        let found = decide_in(mode, ask(tier), BUSY).map(|grant| (grant.mbps, grant.duration_secs));
        assert_eq!(found, expected, "{mode} {tier}");
    }
}

#[test]
fn emergency_renews_live_premium_sessions_only() {
    let renewal = |tier, of| AllocationRequest {
        renewed: Some(of),
        ..ask(tier)
    };
    let renewed = decide_in(
        CostMode::Emergency,
        renewal(Tier::Premium, Tier::Premium),
        BUSY,
    );
    assert_eq!(
        renewed.map(|grant| (grant.mbps, grant.duration_secs)),
        Ok((5, 300))
    );
    let of_basic = decide_in(
        CostMode::Emergency,
        renewal(Tier::Premium, Tier::Basic),
        BUSY,
    );
    assert_eq!(of_basic, Err(Refusal::RenewalsOnly));
    let lowered = decide_in(
        CostMode::Emergency,
        renewal(Tier::Basic, Tier::Premium),
        BUSY,
    );
    assert_eq!(lowered, Err(Refusal::PremiumOnly));
}

#[test]
fn from_warning_on_a_direct_connection_comes_first() {
    for mode in [CostMode::Normal, CostMode::Warning, CostMode::Throttle] {
        let hasty = AllocationRequest {
            p2p_attempted: false,
            ..ask(Tier::Premium)
        };
        let refused = decide_in(mode, hasty, BUSY) == Err(Refusal::AttemptP2pFirst);
        assert_eq!(refused, mode != CostMode::Normal, "{mode}");
    }
}

#[test]
fn a_peer_has_as_many_sessions_as_its_tier_allows() {
    for (tier, sessions) in Tier::ALL.into_iter().zip([1, 2, 5, 10]) {
        let with = |own_sessions| GrantedCapacity {
            own_sessions,
            ..BUSY
        };
        assert!(decide_in(CostMode::Normal, ask(tier), with(sessions - 1)).is_ok());
        assert_eq!(
            decide_in(CostMode::Normal, ask(tier), with(sessions)),
            Err(Refusal::SessionLimit { allowed: sessions }),
            "{tier}"
        );
    }
}

#[test]
fn throttle_allows_five_premium_sessions_in_all() {
    let with = |premium_sessions| GrantedCapacity {
        premium_sessions,
        ..BUSY
    };
    assert!(decide_in(CostMode::Throttle, ask(Tier::Premium), with(4)).is_ok());
    assert_eq!(
        decide_in(CostMode::Throttle, ask(Tier::Premium), with(5)),
        Err(Refusal::PremiumSessionLimit { allowed: 5 })
    );
    assert!(decide_in(CostMode::Warning, ask(Tier::Premium), with(5)).is_ok());
}

#[test]
fn a_peer_gets_no_more_than_it_asks_for() {
    let modest = AllocationRequest {
        mbps: 3,
        ..ask(Tier::Premium)
    };
    assert_eq!(
        decide_in(CostMode::Normal, modest, BUSY).map(|grant| grant.mbps),
        Ok(3)
    );
}

#[test]
fn while_little_is_granted_everybody_may_hold_a_free_session() {
    let alone = decide_in(
        CostMode::Warning,
        ask(Tier::Premium),
        GrantedCapacity::default(),
    );
    assert_eq!(alone.map(|grant| grant.mbps), Ok(5));
    let again = GrantedCapacity {
        own_sessions: 1,
        own_mbps: 5,
        ..GrantedCapacity::default()
    };
    assert_eq!(
        decide_in(CostMode::Warning, ask(Tier::Premium), again),
        Err(Refusal::BandwidthShare { allowed_mbps: 5 })
    );
}

#[test]
fn a_client_can_only_lower_its_tier() {
    let claim = |user_tier, is_premium| AllocateTurnRequest {
        peer_id: crate::protocol::PeerId::parse("a", "peerId", &Default::default()).unwrap(),
        estimated_mbps: 10,
        user_tier,
        is_premium,
        p2p_attempted: true,
        session_id: None,
    };
    let claims = Tier::ALL.map(Some).into_iter().chain([None]);
    for user_tier in claims {
        for is_premium in [None, Some(true), Some(false)] {
            for set in Tier::ALL {
                let tier = tier_of(set, &claim(user_tier, is_premium), false);
                assert!(tier <= set);
                assert!(user_tier.is_none_or(|claimed| tier <= claimed));
                assert!(is_premium != Some(false) || tier < Tier::Premium);
            }
        }
    }
    let nothing = claim(None, None);
    assert_eq!(tier_of(Tier::Premium, &nothing, false), Tier::Premium);
    let trusted = claim(Some(Tier::Basic), Some(true));
    assert_eq!(tier_of(Tier::Free, &trusted, true), Tier::Premium);
    let trusted = claim(Some(Tier::Basic), None);
    assert_eq!(tier_of(Tier::Free, &trusted, true), Tier::Basic);
}

fn any_standing() -> impl Strategy<Value = GrantedCapacity> {
    (0u32..12, 0u64..400, 0u64..2000, 0u32..8).prop_map(
        |(own_sessions, own_mbps, other_mbps, premium_sessions)| GrantedCapacity {
            own_sessions,
            own_mbps,
            other_mbps,
            premium_sessions,
        },
    )
}

fn any_ask() -> impl Strategy<Value = AllocationRequest> {
    (
        0usize..4,
        1u32..200,
        any::<bool>(),
        prop::option::of(0usize..4),
    )
        .prop_map(|(tier, mbps, p2p_attempted, renewed)| AllocationRequest {
            tier: Tier::ALL[tier],
            mbps,
            p2p_attempted,
            renewed: renewed.map(|tier| Tier::ALL[tier]),
        })
}

/// What a decision is worth to a peer.
fn worth(decision: Result<Grant, Refusal>) -> (u32, u64) {
    decision.map_or((0, 0), |grant| (grant.mbps, grant.duration_secs))
}

proptest! {
    #[test]
    fn a_tighter_mode_never_loosens_a_limit(
        ask in any_ask(), standing in any_standing(), mode in 0usize..4,
    ) {
        let looser = worth(decide_in(CostMode::ALL[mode], ask, standing));
        let tighter = worth(decide_in(CostMode::ALL[mode + 1], ask, standing));
        prop_assert!(tighter.0 <= looser.0 && tighter.1 <= looser.1);
    }

    #[test]
    fn a_lower_tier_never_gets_more(
        ask in any_ask(), standing in any_standing(), mode in 0usize..5, tier in 0usize..3,
    ) {
        let with = |tier| AllocationRequest { tier: Tier::ALL[tier], ..ask };
        let lower = worth(decide_in(CostMode::ALL[mode], with(tier), standing));
        let higher = worth(decide_in(CostMode::ALL[mode], with(tier + 1), standing));
        prop_assert!(lower.0 <= higher.0 && lower.1 <= higher.1);
    }

    #[test]
    fn from_warning_on_nobody_comes_to_hold_more_than_a_quarter(
        ask in any_ask(), standing in any_standing(), mode in 1usize..5,
    ) {
        if let Ok(grant) = decide_in(CostMode::ALL[mode], ask, standing) {
            let own = standing.own_mbps + u64::from(grant.mbps);
            let all = own + standing.other_mbps;
            prop_assert!(4 * own <= all || own <= 5, "{own} of {all}");
        }
    }
}
