//! Many nodes after an outage.

use super::*;

const NODES: i64 = 5_000;
const INTERVAL_MS: i64 = 120_000;

/// Simulates 5,000 nodes and an outage. Returns the max number of requests in one second after
/// the outage, and the seconds until all nodes are back.
fn comeback(
    outage_secs: i64,
    down: impl Fn(i64) -> Outcome,
    start_ms: impl Fn(i64) -> i64,
) -> (usize, i64) {
    let mut rng = rng();
    let from_ms = 3_600_000;
    let back_ms = from_ms + outage_secs * SECOND_MS;
    let mut counts = [0; 240];
    let mut latest_ms = 0;
    for node in 0..NODES {
        let mut schedule = Schedule::start(start_ms(node));
        let mut first_ms = None;
        loop {
            let at_ms = schedule.plan().at_ms;
            if at_ms >= back_ms {
                first_ms.get_or_insert(at_ms - back_ms);
                let second = usize::try_from((at_ms - back_ms) / SECOND_MS).unwrap();
                match counts.get_mut(second) {
                    Some(count) => *count += 1,
                    None => break,
                }
            }
            let is_down = (from_ms..back_ms).contains(&at_ms);
            let outcome = if is_down {
                down(back_ms - at_ms)
            } else {
                accepted()
            };
            schedule.record(outcome, at_ms, &mut rng);
        }
        latest_ms = latest_ms.max(first_ms.unwrap());
    }
    (counts.into_iter().max().unwrap(), latest_ms / SECOND_MS)
}

#[test]
fn after_an_outage_all_nodes_are_back_soon_and_without_a_burst() {
    let one_by_one = |node| node * INTERVAL_MS / NODES;
    let all_together = |_| 0;
    for outage_secs in [1, 10, 20, 30, 45, 60, 90, 120, 240, 590, 610, 700, 3_600] {
        // The response of a proxy to a registry that is down.
        let unavailable = |_| Outcome::Throttled {
            retry_after: None,
            code: None,
        };
        let comebacks = [
            comeback(outage_secs, |_| failed(), one_by_one),
            comeback(outage_secs, |_| failed(), all_together),
            comeback(outage_secs, unavailable, one_by_one),
            comeback(outage_secs, |_| throttled(30), one_by_one),
        ];
        for (max, latest_secs) in comebacks {
            assert!(max <= 250, "{outage_secs} s: {max} in one second");
            assert!(latest_secs <= 240, "{outage_secs} s: {latest_secs} s");
        }
        println!("outage of {outage_secs} s: {comebacks:?}");
    }
}

#[test]
fn no_burst_follows_a_maintenance_whose_end_all_nodes_were_told() {
    let one_by_one = |node| node * INTERVAL_MS / NODES;
    // HTTP dates have whole seconds.
    let until_date = |left_ms| throttled(u64::try_from(left_ms / SECOND_MS).unwrap());
    for secs in [1, 2, 5, 10, 11, 15, 20, 30, 60, 90, 120, 180, 240, 300, 600] {
        let (max, latest_secs) = comeback(secs, until_date, one_by_one);
        println!("maintenance of {secs} s: {max} in one second, {latest_secs} s");
        assert!(max <= 250, "{secs} s: {max} in one second");
        assert!(latest_secs <= 240, "{secs} s: {latest_secs} s");
    }
}
