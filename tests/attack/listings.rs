//! No peer can choose what is on the first page.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use crate::arena::{Arena, Server};
use crate::background::block_on;
use crate::honest::{honest_id, register};
use crate::load::{Load, Plan};
use crate::verdict::Verdict;
use crate::wire::{AsyncConnection, get, post};

const ATTACKERS: usize = 1_000;
const HONEST: usize = 1_000;
const CALLERS: u8 = 24;

/// Requests up to `max` pages from the address `caller`; all of 127.0.0.0/8 is this machine.
fn pages_for(server: &Server, caller: Ipv4Addr, max: usize) -> Vec<Value> {
    let addr = server.addr;
    block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((caller, 0))).unwrap();
        let stream = socket.connect(addr).await.unwrap();
        let mut connection = AsyncConnection::new(stream);
        let mut pages: Vec<Value> = Vec::new();
        let mut target = "/peers".to_owned();
        while pages.len() < max {
            let page = connection.exchange(&get(&target)).await.unwrap().json();
            let next = page["nextCursor"].as_str().map(str::to_owned);
            pages.push(page);
            match next {
                Some(cursor) => target = format!("/peers?cursor={cursor}"),
                None => break,
            }
        }
        pages
    })
}

fn ids(page: &Value) -> impl Iterator<Item = &str> {
    let peers = page["peers"].as_array().into_iter().flatten();
    peers.filter_map(|peer| peer["peerId"].as_str())
}

#[test]
fn an_id_begins_with_a_letter_or_a_digit() {
    let arena = Arena::enter();
    let server = arena.start(&[]);
    let mut verdict = Verdict::default();
    for first in ["-", ".", "_", "--", "-1"] {
        let id = format!("{first}eclipse");
        let body = json!({ "peerId": id, "addresses": [], "cryptoIPv6": "fd00::1" });
        let response = server.post("/register", &body);
        verdict.check(
            response.kind() == "400 invalid_field",
            format!("the id {id} gets {}", response.kind()),
        );
    }
    for id in ["0eclipse", "Eclipse", "e-clipse_.-"] {
        let body = json!({ "peerId": id, "addresses": [], "cryptoIPv6": "fd00::1" });
        let response = server.post("/register", &body);
        verdict.check(response.status == 200, format!("{id}: {}", response.kind()));
    }
    verdict.finish();
}

#[test]
fn ids_that_sort_first_are_not_the_first_page_for_everyone() {
    let arena = Arena::enter();
    let server = arena.start(&[("MAX_LISTED", "100")]);
    let load = Load::begin(server.addr, Plan::all(ATTACKERS), |number| {
        post(
            "/register",
            &crate::bodies::tiny(&format!("0000{number:04}")),
        )
    });
    assert_eq!(load.done().count("200"), ATTACKERS);
    let load = Load::begin(server.addr, Plan::all(HONEST), |number| {
        post("/register", &crate::bodies::tiny(&honest_id(number)))
    });
    assert_eq!(load.done().count("200"), HONEST);

    let mut verdict = Verdict::default();
    let mut eclipsed = 0;
    let mut pages: BTreeMap<String, usize> = BTreeMap::new();
    for caller in 1..=CALLERS {
        let first = &pages_for(&server, Ipv4Addr::new(127, caller, 0, 1), 1)[0];
        let of_attackers = ids(first).filter(|id| id.starts_with("0000")).count();
        eclipsed += usize::from(of_attackers == 100);
        let begins = ids(first).next().unwrap_or_default().to_owned();
        *pages.entry(begins).or_default() += 1;
    }
    verdict.measured(
        "callers who see attackers only",
        format!("{eclipsed} of {CALLERS}"),
    );
    verdict.measured("different first pages", pages.len());
    verdict.check(
        eclipsed < usize::from(CALLERS),
        "everyone's first page is the attacker's",
    );
    verdict.check(pages.len() > 1, "the first page is the same for everyone");

    let all = pages_for(&server, Ipv4Addr::new(127, 1, 0, 1), 100);
    let listed: Vec<_> = all.iter().flat_map(ids).collect();
    let different: HashSet<_> = listed.iter().collect();
    verdict.check(
        listed.len() == ATTACKERS + HONEST && different.len() == listed.len(),
        format!(
            "{} listed, {} different ones",
            listed.len(),
            different.len()
        ),
    );
    verdict.finish();
}

#[test]
fn a_page_turned_while_peers_come_and_go_misses_nobody_who_stays() {
    let arena = Arena::enter();
    let server = arena.start(&[("MAX_LISTED", "10")]);
    let stay: HashSet<_> = register(&server, 100).into_iter().collect();
    let comers = Load::begin(server.addr, Plan::closed_loop(1), |number| {
        post(
            "/register",
            &crate::bodies::tiny(&format!("comer-{number}")),
        )
    });
    let mut verdict = Verdict::default();
    let pages = pages_for(&server, Ipv4Addr::new(127, 9, 0, 1), 200);
    let tally = comers.stop();
    verdict.measured("came meanwhile", format!("{:?}", tally.kinds));
    let listed: Vec<_> = pages.iter().flat_map(ids).collect();
    let missed = stay
        .iter()
        .filter(|id| !listed.contains(&id.as_str()))
        .count();
    verdict.check(
        missed == 0,
        format!("{missed} peers that stayed are not listed"),
    );
    let different: HashSet<_> = listed.iter().collect();
    verdict.check(different.len() == listed.len(), "a peer is listed twice");
    verdict.finish();
}
