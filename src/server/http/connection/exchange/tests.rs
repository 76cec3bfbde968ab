use futures_util::task::noop_waker;

use super::*;
use crate::server::http::connection::Connections;

const MAX_HEAD_BYTES: usize = 16_384;
const SMALL_HEAD: HeadSize = HeadSize {
    bytes: 100,
    headers: 3,
};

fn exchange_at(connections: &Connections) -> Exchange {
    let place = connections.enter(None).unwrap();
    Exchange::new(place, MAX_HEAD_BYTES, Duration::from_secs(60))
}

fn exchange() -> Exchange {
    exchange_at(&Connections::new(10, 10))
}

/// Reads all that may be read at once, up to `bytes`.
fn read(exchange: &Exchange, bytes: usize) -> usize {
    let Reading::AtMost(most) = exchange.reading() else {
        return 0;
    };
    let bytes = bytes.min(most);
    exchange.received(bytes, most).unwrap();
    bytes
}

#[test]
fn a_head_is_given_little_by_little_and_not_without_end() {
    let exchange = exchange();
    let mut given = 0;
    loop {
        match exchange.reading() {
            Reading::AtMost(most) => {
                given += most;
                assert_eq!(exchange.received(most, most), Ok(()));
                assert_eq!(exchange.reading(), Reading::Pause);
            }
            Reading::HeadTooLong => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(given, MAX_HEAD_BYTES + HEAD_READ_BYTES);
}

#[test]
fn nothing_is_read_ahead_while_a_request_is_answered() {
    let exchange = exchange();
    read(&exchange, 300);
    exchange.begin_answer(SMALL_HEAD).unwrap();
    assert_eq!(exchange.reading(), Reading::Hold);
    exchange.hold(&noop_waker());
    assert!(exchange.end_answer(Some(100), false));
    assert!(exchange.0.held.borrow().is_none(), "it was not woken");
    assert_eq!(exchange.reading(), Reading::AtMost(HEAD_READ_BYTES));
}

#[test]
fn of_a_body_no_more_is_read_than_its_reader_asks_for() {
    let exchange = exchange();
    read(&exchange, 300);
    exchange.begin_answer(SMALL_HEAD).unwrap();
    exchange.hold(&noop_waker());
    exchange.ask_for_body();
    assert!(exchange.0.held.borrow().is_none(), "it was not woken");
    let mut given = 0;
    while exchange.reading() != Reading::Hold {
        given += read(&exchange, usize::MAX);
    }
    assert_eq!(given, BODY_STEP_BYTES);
    exchange.ask_for_body();
    exchange.end_body();
    assert_eq!(exchange.reading(), Reading::Hold);
}

#[test]
fn a_head_is_measured_when_it_is_whole() {
    let exchange = exchange();
    read(&exchange, 300);
    let head = HeadSize {
        bytes: MAX_HEAD_BYTES + 1,
        headers: 3,
    };
    let refused = exchange.begin_answer(head);
    assert!(
        matches!(refused, Err(BadHead::TooLong { .. })),
        "{refused:?}"
    );
}

#[test]
fn half_received_heads_share_a_budget_and_small_ones_need_none() {
    let connections = Connections::new(10_000, 10_000);
    let mut greedy = Vec::new();
    let refused = loop {
        let exchange = exchange_at(&connections);
        let bytes = MAX_HEAD_BYTES;
        let taken = exchange.received(bytes, bytes + 1);
        greedy.push(exchange);
        assert!(greedy.len() < 9000);
        if taken.is_err() {
            break greedy.len();
        }
    };
    assert_eq!(refused, (32 << 20) / MAX_HEAD_BYTES + 1);
    let small = exchange_at(&connections);
    assert_eq!(small.received(300, 301), Ok(()));
    small.begin_answer(SMALL_HEAD).unwrap();
    // Many headers cost more than their bytes say.
    let other = exchange_at(&connections);
    let head = HeadSize {
        bytes: 300,
        headers: 96,
    };
    let refused = other.begin_answer(head);
    assert!(
        matches!(refused, Err(BadHead::OverBudget(_))),
        "{refused:?}"
    );
    greedy.clear();
    assert_eq!(other.begin_answer(head), Ok(()));
}

#[test]
fn a_response_has_its_time_from_when_it_is_known_until_all_is_taken() {
    let exchange = exchange();
    read(&exchange, 300);
    exchange.begin_answer(SMALL_HEAD).unwrap();
    assert_eq!(exchange.response_until(), None);
    exchange.end_answer(Some(1 << 20), false);
    let until = exchange.response_until().unwrap();
    exchange.stall();
    // Some was taken, and more of the body is to come.
    exchange.flushed(true);
    assert_eq!(exchange.response_until(), Some(until));
    exchange.end_response();
    exchange.flushed(false);
    assert_eq!(exchange.response_until(), None);
}

#[test]
fn a_body_that_nobody_reads_may_be_thrown_away_for_a_while() {
    let exchange = exchange();
    read(&exchange, 300);
    exchange.begin_answer(SMALL_HEAD).unwrap();
    assert!(!exchange.has_read_body());
    exchange.end_answer(Some(100), true);
    assert_eq!(exchange.reading(), Reading::AtMost(BODY_READ_BYTES));
    let (_, lateness) = exchange.deadline().unwrap();
    assert_eq!(lateness, Lateness::Idle);
}
