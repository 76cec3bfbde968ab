use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

mod comeback;

use std::time::Duration;

use super::*;
use crate::protocol::ErrorCode;

const SECOND_MS: i64 = 1_000;
const LEASE_MS: i64 = 600_000;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(7)
}

fn accepted() -> Outcome {
    Outcome::Accepted(Terms::granted(0, LEASE_MS, 120))
}

fn throttled(secs: u64) -> Outcome {
    Outcome::Throttled {
        retry_after: Some(Duration::from_secs(secs)),
        code: None,
    }
}

fn failed() -> Outcome {
    Outcome::Failed {
        reason: "no route".to_owned(),
    }
}

fn refused(code: ErrorCode) -> Outcome {
    let code = code.into();
    let message = "its reason".to_owned();
    Outcome::Refused { code, message }
}

/// A schedule under test, always at the time of its next step.
struct Run {
    schedule: Schedule,
    rng: SmallRng,
}

impl Run {
    fn start() -> Self {
        Self {
            schedule: Schedule::start(0),
            rng: rng(),
        }
    }

    fn registered() -> Self {
        let mut run = Self::start();
        run.step_with(accepted());
        run
    }

    /// Gives the next step this outcome; returns the notice and the wait for the step after it, in
    /// milliseconds.
    fn step_with(&mut self, outcome: Outcome) -> (Option<Notice>, i64) {
        let now_ms = self.schedule.plan().at_ms;
        let mut notices = self.schedule.record(outcome, now_ms, &mut self.rng);
        notices.retain(|notice| !matches!(notice, Notice::Reachable { .. }));
        assert!(notices.len() <= 1, "{notices:?}");
        (notices.pop(), self.schedule.plan().at_ms - now_ms)
    }

    fn step(&self) -> Step {
        self.schedule.plan().step
    }
}

#[test]
fn registers_at_once_and_then_sends_heartbeats_within_a_tenth_of_the_interval() {
    let mut run = Run::start();
    let at_once = Plan {
        step: Step::Register,
        at_ms: 0,
    };
    assert_eq!(run.schedule.plan(), at_once);
    assert_eq!(run.step_with(accepted()).0, Some(Notice::Registered));
    let mut waits = Vec::new();
    for _ in 0..1_000 {
        assert_eq!(run.step(), Step::Heartbeat);
        let (notice, wait_ms) = run.step_with(accepted());
        assert_eq!(notice, Some(Notice::Renewed));
        waits.push(wait_ms);
    }
    let (min, max) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!((108_000..110_000).contains(min), "{min}");
    assert!((130_000..=132_000).contains(max), "{max}");
}

#[test]
fn a_lost_peer_registers_again_at_once_but_only_once() {
    let mut run = Run::registered();
    assert_eq!(
        run.step_with(Outcome::PeerNotFound),
        (Some(Notice::Lost), 0)
    );
    assert_eq!(run.step(), Step::Register);
    assert_eq!(run.step_with(accepted()).0, Some(Notice::Reregistered));

    // Lost again, without a heartbeat in between: the pauses grow.
    let mut longest_ms = 0;
    for _ in 0..20 {
        assert_eq!(run.step(), Step::Heartbeat);
        let (notice, pause_ms) = run.step_with(Outcome::PeerNotFound);
        assert_eq!(notice, Some(Notice::Lost));
        longest_ms = longest_ms.max(pause_ms);
        run.step_with(accepted());
    }
    assert!(longest_ms > 30 * SECOND_MS, "{longest_ms}");

    // An accepted heartbeat resets the pauses.
    run.step_with(accepted());
    assert_eq!(
        run.step_with(Outcome::PeerNotFound),
        (Some(Notice::Lost), 0)
    );
}

#[test]
fn a_throttled_node_waits_as_told_and_does_not_register_because_of_it() {
    let mut run = Run::registered();
    let (notice, wait_ms) = run.step_with(throttled(30));
    assert_eq!(notice, Some(Notice::Throttled));
    assert!((30_000..=150_000).contains(&wait_ms), "{wait_ms}");
    // Even after the end of the lease the next step is a heartbeat.
    for _ in 0..5 {
        let (notice, wait_ms) = run.step_with(throttled(10_000));
        assert_eq!(notice, None);
        assert!((600_000..=720_000).contains(&wait_ms), "{wait_ms}");
        assert_eq!(run.step(), Step::Heartbeat);
    }
}

#[test]
fn a_node_throttled_without_a_time_waits_some_seconds() {
    let mut run = Run::registered();
    let (_, wait_ms) = run.step_with(Outcome::Throttled {
        retry_after: None,
        code: None,
    });
    assert!((5_000..=10_000).contains(&wait_ms), "{wait_ms}");
}

#[test]
fn failures_are_reported_once_and_spread_over_a_growing_time() {
    let bounds_ms = [1_000, 5_000, 25_000, 120_000, 120_000];
    let mut longest_ms = [0; 5];
    for seed in 0..2_000 {
        let mut run = Run::registered();
        run.rng = SmallRng::seed_from_u64(seed);
        for (index, bound_ms) in bounds_ms.into_iter().enumerate() {
            let (notice, pause_ms) = run.step_with(failed());
            assert_eq!(notice.is_some(), index == 0);
            assert!((0..=bound_ms).contains(&pause_ms), "{pause_ms}");
            longest_ms[index] = longest_ms[index].max(pause_ms);
        }
    }
    for (longest_ms, bound_ms) in longest_ms.into_iter().zip(bounds_ms) {
        assert!(longest_ms > bound_ms * 9 / 10, "{longest_ms} {bound_ms}");
    }
}

#[test]
fn a_failing_node_sends_heartbeats_until_its_lease_must_have_ended() {
    let mut run = Run::registered();
    let until_ms = run.schedule.lease_until_ms().unwrap();
    assert_eq!(until_ms, LEASE_MS);
    for _ in 0..100 {
        run.step_with(failed());
        let plan = run.schedule.plan();
        let is_over = plan.at_ms >= until_ms;
        assert_eq!(plan.step == Step::Register, is_over, "{plan:?}");
    }
    assert_eq!(run.step(), Step::Register);
    assert_eq!(run.step_with(accepted()).0, Some(Notice::Reregistered));
}

#[test]
fn a_refused_node_reports_it_once_and_tries_again_after_ten_minutes_or_an_update() {
    let mut run = Run::start();
    let hidden = refused(ErrorCode::PrivacyViolation);
    let (notice, wait_ms) = run.step_with(hidden.clone());
    assert_eq!(notice, Some(Notice::Refused));
    assert!((540_000..=660_000).contains(&wait_ms), "{wait_ms}");
    assert_eq!(run.step_with(hidden).0, None);
    let other = refused(ErrorCode::InvalidField);
    assert_eq!(run.step_with(other.clone()).0, Some(Notice::Refused));

    run.schedule.update(9_000_000);
    assert_eq!(run.schedule.plan().at_ms, 9_000_000);
    assert_eq!(
        run.step_with(other).0,
        Some(Notice::Refused),
        "the new one was refused"
    );
    run.schedule.update(9_000_001);
    assert_eq!(run.step_with(accepted()).0, Some(Notice::Registered));
}

#[test]
fn an_update_is_announced_at_once_unless_the_registry_asked_to_wait() {
    let mut run = Run::registered();
    run.schedule.update(5_000);
    let at_once = Plan {
        step: Step::Register,
        at_ms: 5_000,
    };
    assert_eq!(run.schedule.plan(), at_once);
    run.step_with(throttled(60));
    let planned = run.schedule.plan();
    run.schedule.update(6_000);
    assert_eq!(run.schedule.plan(), planned);
}

#[test]
fn not_found_as_the_response_to_a_registration_is_a_failure() {
    let mut run = Run::start();
    assert_eq!(
        run.step_with(Outcome::PeerNotFound).0,
        Some(Notice::Unreachable)
    );
    assert_eq!(run.step(), Step::Register);
}

#[test]
fn a_registry_that_fails_in_several_ways_is_reported_for_each_reason_and_when_it_is_back() {
    let mut run = Run::registered();
    let mut report = |outcome: Outcome, now_ms| run.schedule.record(outcome, now_ms, &mut run.rng);
    for (at_ms, reason) in [(1_000, "502"), (2_000, "404 page"), (3_000, "redirect")] {
        let reason = reason.to_owned();
        let outcome = Outcome::Failed { reason };
        assert_eq!(report(outcome.clone(), at_ms), [Notice::Unreachable]);
        assert_eq!(report(outcome, at_ms + 500), []);
    }
    let gone_ms = 60_000;
    let back = [Notice::Reachable { gone_ms }, Notice::Renewed];
    assert_eq!(report(accepted(), 61_000), back);
    assert_eq!(report(accepted(), 62_000), [Notice::Renewed]);
}

#[test]
fn a_throttle_is_reported_for_each_code() {
    let mut run = Run::registered();
    let mut notice = |code| {
        let retry_after = None;
        run.step_with(Outcome::Throttled { retry_after, code }).0
    };
    assert_eq!(notice(None), Some(Notice::Throttled));
    assert_eq!(notice(None), None);
    assert_eq!(
        notice(Some(ErrorCode::RegistryFull.into())),
        Some(Notice::Throttled)
    );
    assert_eq!(notice(Some(ErrorCode::RegistryFull.into())), None);
}

#[test]
fn the_end_of_a_lease_is_reported_once_when_it_comes() {
    let mut run = Run::registered();
    for _ in 0..20 {
        run.step_with(throttled(600));
    }
    assert_eq!(run.schedule.wake_ms(), LEASE_MS);
    assert!(!run.schedule.has_lapsed(LEASE_MS - 1));
    assert!(run.schedule.has_lapsed(LEASE_MS));
    assert!(!run.schedule.has_lapsed(LEASE_MS));
    assert_eq!(run.schedule.wake_ms(), run.schedule.plan().at_ms);
}

#[test]
fn a_replaced_registration_is_announced_again_once_in_a_lease() {
    let mut run = Run::registered();
    assert_eq!(run.schedule.replaced(5_000), Some(true));
    let at_once = Plan {
        step: Step::Register,
        at_ms: 5_000,
    };
    assert_eq!(run.schedule.plan(), at_once);
    assert_eq!(run.step_with(accepted()).0, Some(Notice::Registered));
    assert_eq!(run.schedule.replaced(6_000), Some(false));
    assert_eq!(run.schedule.replaced(7_000), None);
    assert_eq!(run.step(), Step::Heartbeat);
    assert_eq!(run.schedule.replaced(5_000 + LEASE_MS), Some(true));
}

#[test]
fn a_node_that_stays_replaced_announces_itself_again_when_it_is_told_to() {
    let mut run = Run::registered();
    run.schedule.try_now(4_000);
    assert_eq!(run.schedule.plan().step, Step::Heartbeat);
    run.schedule.replaced(5_000);
    run.step_with(accepted());
    assert_eq!(run.schedule.replaced(6_000), Some(false));
    run.schedule.try_now(7_000);
    let at_once = Plan {
        step: Step::Register,
        at_ms: 7_000,
    };
    assert_eq!(run.schedule.plan(), at_once);
    run.step_with(accepted());
    assert_eq!(
        run.schedule.replaced(8_000),
        Some(false),
        "it is reported again"
    );
}

#[test]
fn a_network_change_hurries_only_what_was_unreachable() {
    let mut run = Run::registered();
    for _ in 0..6 {
        run.step_with(failed());
    }
    run.schedule.at_ms = 900_000;
    run.schedule.try_now(800_000);
    assert_eq!(run.schedule.plan().at_ms, 800_000);
    run.step_with(throttled(600));
    let planned = run.schedule.plan();
    run.schedule.try_now(800_001);
    assert_eq!(run.schedule.plan(), planned);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(accepted()),
        1 => any::<(i64, i64, u64)>()
            .prop_map(|(seen, until, secs)| Outcome::Accepted(Terms::granted(seen, until, secs))),
        2 => Just(Outcome::PeerNotFound),
        2 => Just(failed()),
        1 => any::<Option<u64>>().prop_map(|secs| Outcome::Throttled {
            retry_after: secs.map(Duration::from_secs),
            code: None,
        }),
        1 => Just(refused(ErrorCode::InvalidField)),
    ]
}

proptest! {
    /// Whatever a registry responds, the node neither floods it nor stops sending heartbeats.
    #[test]
    fn no_response_makes_a_node_send_too_often_or_too_rarely(
        outcomes in prop::collection::vec(outcome(), 1..200),
        seed: u64,
    ) {
        let mut run = Run { schedule: Schedule::start(0), rng: SmallRng::seed_from_u64(seed) };
        let mut at_once_in_a_row = 0;
        for outcome in outcomes {
            let step = run.step();
            let (_, wait_ms) = run.step_with(outcome.clone());
            // The longest throttle and the longest backoff.
            prop_assert!((0..=600_000 + 3_600_000).contains(&wait_ms), "{wait_ms}");
            at_once_in_a_row = if wait_ms == 0 { at_once_in_a_row + 1 } else { 0 };
            prop_assert!(at_once_in_a_row < 4);
            if matches!(outcome, Outcome::Throttled { .. }) {
                prop_assert_eq!(run.step(), step);
            }
            if let Outcome::Accepted(terms) = outcome {
                prop_assert_eq!(run.step(), Step::Heartbeat);
                prop_assert!(wait_ms <= terms.lease_ms() * 55 / 100);
            }
        }
    }
}
