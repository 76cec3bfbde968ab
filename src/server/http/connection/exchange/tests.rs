use futures_util::task::noop_waker;

use super::*;
use crate::server::http::connection::Connections;

const MAX_HEAD_BYTES: usize = 16_384;
const SMALL_HEAD: HeadSize = HeadSize {
    bytes: 100,
    headers: 3,
};

fn timeouts() -> Timeouts {
    Timeouts::of(&crate::server::config::Config::default().http)
}

fn exchange_at(connections: &Connections) -> Exchange {
    let place = connections.enter(None).unwrap();
    Exchange::new(place, MAX_HEAD_BYTES, timeouts())
}

fn exchange() -> Exchange {
    exchange_at(&Connections::new(10, 10))
}

/// Reads as much as one read may, up to `bytes`. Returns the number of bytes.
fn read(exchange: &Exchange, bytes: usize) -> usize {
    let Reading::AtMost(max) = exchange.reading() else {
        return 0;
    };
    let bytes = bytes.min(max);
    exchange.received(bytes, max).unwrap();
    bytes
}

#[test]
fn a_head_is_read_in_small_steps_up_to_a_maximum() {
    let exchange = exchange();
    let mut given = 0;
    loop {
        match exchange.reading() {
            Reading::AtMost(max) => {
                given += max;
                assert_eq!(exchange.received(max, max), Ok(()));
                assert_eq!(exchange.reading(), Reading::Pause);
            }
            Reading::HeadTooLong => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(given, MAX_HEAD_BYTES + HEAD_READ_BYTES);
}

#[test]
fn nothing_is_read_while_a_request_is_handled() {
    let exchange = exchange();
    read(&exchange, 300);
    exchange.begin_request(SMALL_HEAD).unwrap();
    assert_eq!(exchange.reading(), Reading::Wait);
    exchange.set_read_waker(&noop_waker());
    assert!(exchange.begin_response(Some(100), false));
    assert!(exchange.0.read_waker.borrow().is_none(), "it was not woken");
    assert_eq!(exchange.reading(), Reading::AtMost(HEAD_READ_BYTES));
}

#[test]
fn a_body_is_read_only_as_far_as_its_reader_asks() {
    let exchange = exchange();
    read(&exchange, 300);
    exchange.begin_request(SMALL_HEAD).unwrap();
    exchange.set_read_waker(&noop_waker());
    exchange.ask_for_body();
    assert!(exchange.0.read_waker.borrow().is_none(), "it was not woken");
    let mut given = 0;
    while exchange.reading() != Reading::Wait {
        given += read(&exchange, usize::MAX);
    }
    assert_eq!(given, BODY_STEP_BYTES);
    exchange.ask_for_body();
    exchange.end_body();
    assert_eq!(exchange.reading(), Reading::Wait);
}

#[test]
fn a_complete_head_is_measured() {
    let exchange = exchange();
    read(&exchange, 300);
    let head = HeadSize {
        bytes: MAX_HEAD_BYTES + 1,
        headers: 3,
    };
    let refused = exchange.begin_request(head);
    assert!(
        matches!(refused, Err(BadHead::TooLong { .. })),
        "{refused:?}"
    );
}

#[test]
fn incomplete_heads_share_a_budget_and_small_ones_need_none() {
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
    small.begin_request(SMALL_HEAD).unwrap();
    // Many headers take more memory than their text.
    let other = exchange_at(&connections);
    let head = HeadSize {
        bytes: 300,
        headers: 96,
    };
    let refused = other.begin_request(head);
    assert!(
        matches!(refused, Err(BadHead::OverBudget(_))),
        "{refused:?}"
    );
    greedy.clear();
    assert_eq!(other.begin_request(head), Ok(()));
}

#[test]
fn the_deadline_of_a_response_lasts_until_all_of_it_is_flushed() {
    let exchange = exchange();
    read(&exchange, 300);
    exchange.begin_request(SMALL_HEAD).unwrap();
    assert_eq!(exchange.response_deadline(), None);
    exchange.begin_response(Some(1 << 20), false);
    let until = exchange.response_deadline().unwrap();
    exchange.stall();
    // A part was flushed, and more of the body follows.
    exchange.flushed(true);
    assert_eq!(exchange.response_deadline(), Some(until));
    exchange.end_response();
    exchange.flushed(false);
    assert_eq!(exchange.response_deadline(), None);
}

#[test]
fn an_unread_body_is_discarded_until_a_deadline() {
    let exchange = exchange();
    read(&exchange, 300);
    exchange.begin_request(SMALL_HEAD).unwrap();
    assert!(!exchange.has_read_body());
    exchange.begin_response(Some(100), true);
    assert_eq!(exchange.reading(), Reading::AtMost(BODY_READ_BYTES));
    let (_, timeout) = exchange.deadline().unwrap();
    assert_eq!(timeout, Timeout::Idle);
}
