//! A log that no process reads does not stop the server, and no client can make the log long.

use std::time::Duration;

use crate::arena::Arena;
use crate::bodies::register_tiny;
use crate::honest::Honest;
use crate::load::{Load, Plan};
use crate::verdict::{Verdict, eventually, slack};
use crate::wire::get;

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let arena = Arena::enter();
    let mut server = arena.start_unread(&[("SHUTDOWN_TIMEOUT_SECS", "3"), ("RUST_LOG", "debug")]);
    let mut verdict = Verdict::default();
    // At level debug every heartbeat writes a line, so the pipe fills up soon.
    let ids = crate::honest::register(&server, 200);
    let load = Load::begin(server.addr, Plan::all(3_000), register_tiny);
    let honest = Honest::go_on(&server, ids);
    eventually(Duration::from_secs(6), || load.is_done());
    let taken = load.stop().count("200");
    verdict.measured("registrations", taken);
    verdict.check(
        taken == 3_000,
        format!("only {taken} of 3000 registrations"),
    );
    honest.end().judge(&mut verdict);
    let health = server.health_within(Duration::from_secs(1));
    verdict.check(health.is_some(), "health does not answer");
    let stopped = server.stop_within(Duration::from_secs(3) + Duration::from_secs(2) * slack());
    verdict.measured("SIGTERM", format!("{stopped:.1?}"));
    verdict.check(stopped.is_some(), "SIGTERM was not obeyed");
    verdict.finish();
}

/// Returns the n-th request.
type Request = fn(usize) -> Vec<u8>;

/// The max number of lines at level info or above that one storm of requests may cause.
const MAX_LINES: usize = 200;

#[test]
fn a_storm_becomes_a_few_lines_and_a_count() {
    const REQUESTS: usize = 3_000;
    let arena = Arena::enter();
    let server = arena.start(&[]);
    let mut verdict = Verdict::default();
    let storms: [(&str, Request); 4] = [
        ("registrations", register_tiny),
        ("changed registrations", |number| {
            let body = crate::bodies::tiny(&format!("tiny-{number:07}"));
            let body = body.replace("\"version\":\"tiny", "\"version\":\"other");
            crate::wire::post("/register", &body)
        }),
        ("TURN registrations", |number| {
            let body = format!(
                r#"{{"peerId":"tiny-{number:07}","turnAddresses":["turn.example.org"],"turnPort":{}}}"#,
                number % 1000 + 1
            );
            crate::wire::post("/register-turn-server", &body)
        }),
        ("garbage", |number| match number % 3 {
            0 => crate::wire::post("/register", "{\"peerId\": 7"),
            1 => get("/nowhere"),
            _ => crate::wire::heartbeat("nobody"),
        }),
    ];
    for (name, request) in storms {
        let before = server.lines().len();
        let tally = Load::begin(server.addr, Plan::all(REQUESTS), request).done();
        verdict.measured(name, format!("{:?}", tally.kinds));
        // The last lines of the storm may not have arrived yet.
        let mut after = before;
        eventually(Duration::from_secs(5), || {
            let earlier = std::mem::replace(&mut after, server.lines().len());
            earlier == after && after > before
        });
        let lines = after - before;
        verdict.measured("lines", lines);
        verdict.check(
            lines <= MAX_LINES,
            format!("{REQUESTS} {name} leave {lines} lines"),
        );
    }
    let counted = eventually(Duration::from_secs(15), || {
        let lines = server.lines();
        lines.iter().any(|line| holds_a_large_number(line))
    });
    verdict.check(counted, "no line says how many lines were left out");
    verdict.finish();
}

/// Whether the line contains a number in the thousands that is neither a time nor part of an id.
fn holds_a_large_number(line: &str) -> bool {
    let Some((head, text)) = line.split_once(']') else {
        return false;
    };
    let is_about_start = ["timeout", "at most", "database", "max"]
        .iter()
        .any(|word| text.contains(word));
    head.contains("20")
        && !is_about_start
        && !text.contains("peer=")
        && text.split(|c: char| !c.is_ascii_digit()).any(|digits| {
            digits
                .parse::<u64>()
                .is_ok_and(|number| (1_000..=12_000).contains(&number))
        })
}
