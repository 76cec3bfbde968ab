//! Counts refused requests by their code, and logs them at a bounded rate with one example.
//!
//! [`ApiError`](super::errors::ApiError) attaches a [`Refused`] to its response. The gate, which
//! every response passes, counts it. The socket and the server of the start count their own.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::{HttpMessage, HttpRequest};
use enum_map::EnumMap;
use log::{Level, log};

use crate::clock;
use crate::protocol::ErrorCode;

/// The time in which at most one line with a code is logged, and one with the count of the rest, in
/// milliseconds.
const WINDOW_MS: i64 = 10_000;

/// The max length of each text of an example, in characters.
const MAX_TEXT_CHARS: usize = 160;

/// What a response refuses, as an extension of the response.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    /// The sentence for the client.
    pub(crate) message: String,
}

/// The peer that a refused request names, as an extension of the request.
#[derive(Clone, Debug)]
struct NamedPeer(String);

/// Notes which peer a refused request names. Returns `error`, for `map_err`.
pub(crate) fn about<E>(request: &HttpRequest, peer_id: impl Into<String>, error: E) -> E {
    let peer = NamedPeer(peer_id.into());
    request.extensions_mut().insert(peer);
    error
}

/// A refused request, for the log. It has neither headers nor the query, which may hold secrets, nor
/// the address of the client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Example {
    method: String,
    path: String,
    peer: Option<String>,
}

impl Example {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: shortened(method),
            path: shortened(path),
            peer: None,
        }
    }

    pub(crate) fn of(request: &HttpRequest) -> Self {
        let extensions = request.extensions();
        let peer = extensions.get::<NamedPeer>();
        Self {
            peer: peer.map(|NamedPeer(peer)| shortened(peer)),
            ..Self::new(request.method().as_str(), request.path())
        }
    }
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A request that was refused before its head was parsed has no method.
        if !self.method.is_empty() {
            write!(f, " method={:?} path={:?}", self.method, self.path)?;
        }
        match &self.peer {
            Some(peer) => write!(f, " peer={peer:?}"),
            None => Ok(()),
        }
    }
}

/// The message up to where it repeats a part of the body, which may be a secret or a real address.
fn without_input(message: &str) -> &str {
    const BEFORE_INPUT: [&str; 2] = ["duplicate key", "it begins with"];
    let ends = BEFORE_INPUT
        .iter()
        .filter_map(|words| Some(message.find(words)? + words.len()));
    &message[..ends.min().unwrap_or(message.len())]
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// The refusals since the process started; clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(Arc<EnumMap<ErrorCode, Tally>>);

/// The refusals with one code. Relaxed is enough everywhere: no other memory depends on these
/// numbers.
#[derive(Debug, Default)]
struct Tally {
    refused: AtomicU64,
    /// How many of them were logged.
    logged: AtomicU64,
    /// When the next line may be logged, in machine milliseconds; 0 before the first.
    next_line_ms: AtomicI64,
    /// Whether the line at the end of the window has no example yet.
    lacks_example: AtomicBool,
    /// The first refusal since the last line.
    example: Mutex<Option<String>>,
}

impl Refusals {
    /// Counts a refusal, and logs it with the example if a line is due.
    pub(crate) fn record(&self, refusal: &Refused, example: impl FnOnce() -> Example) {
        let code = refusal.code;
        let tally = &self.0[code];
        tally.refused.fetch_add(1, Ordering::Relaxed);
        let text = || {
            let message = shortened(without_input(&refusal.message));
            format!("{} error={message:?}", example())
        };
        if !tally.begin_window(clock::machine_ms()) {
            if tally.lacks_example.swap(false, Ordering::Relaxed) {
                tally.put_example(Some(text()));
            }
            return;
        }
        let first = text();
        log_count(code, tally.take_unlogged(), &first);
        tally.put_example(None);
        tally.lacks_example.store(true, Ordering::Relaxed);
        // Logs the rest of this window when it ends, even if no other refusal follows.
        let refusals = self.clone();
        actix_web::rt::spawn(async move {
            tokio::time::sleep(Duration::from_millis(WINDOW_MS.unsigned_abs())).await;
            let tally = &refusals.0[code];
            let rest = tally.take_unlogged();
            if rest > 0 {
                // If another thread is still writing the example, the one of the first line is shown.
                let example = tally.put_example(None).unwrap_or(first);
                log_count(code, rest, &example);
            }
        });
    }

    /// Whether a refusal with this code would be logged now, so that an example is worth its time.
    pub(crate) fn is_line_due(&self, code: ErrorCode) -> bool {
        self.0[code].is_line_due(clock::machine_ms())
    }

    /// The codes that were sent, each with the number of refusals.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let counts = self.0.iter();
        counts
            .map(|(code, tally)| (code, tally.refused.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }
}

impl Tally {
    fn is_line_due(&self, now_ms: i64) -> bool {
        now_ms >= self.next_line_ms.load(Ordering::Relaxed)
    }

    /// Begins a window if none is open. Of several threads, only one begins it.
    fn begin_window(&self, now_ms: i64) -> bool {
        let next_line_ms = self.next_line_ms.load(Ordering::Relaxed);
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        now_ms >= next_line_ms
            && self
                .next_line_ms
                .compare_exchange(next_line_ms, now_ms + WINDOW_MS, success, failure)
                .is_ok()
    }

    /// Replaces the example of the next line, and returns the one before.
    fn put_example(&self, example: Option<String>) -> Option<String> {
        let mut held = self.example.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, example)
    }

    /// The refusals since the last line.
    fn take_unlogged(&self) -> u64 {
        let refused = self.refused.load(Ordering::Relaxed);
        let before = self.logged.fetch_max(refused, Ordering::Relaxed);
        refused.saturating_sub(before)
    }
}

fn log_count(code: ErrorCode, count: u64, example: &str) {
    log!(
        level_of(code),
        "refused requests code={code} count={count}{example}"
    );
}

/// What also happens while all is well is logged at info.
const fn level_of(code: ErrorCode) -> Level {
    use ErrorCode as Code;
    match code {
        // The connections are counted and logged as warnings already.
        Code::InvalidHttp
        | Code::PeerNotFound
        | Code::SessionNotFound
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::Starting
        | Code::NoTurnServer
        | Code::AttemptP2pFirst
        | Code::SessionLimit
        | Code::BandwidthShare
        | Code::PremiumOnly
        | Code::PremiumSessionLimit
        | Code::RenewalsOnly
        | Code::RelayShutdown => Level::Info,
        _ => Level::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_refusals_is_one_line_and_one_count_in_a_window() {
        let tally = Tally::default();
        let mut begun = 0;
        for _ in 0..100 {
            tally.refused.fetch_add(1, Ordering::Relaxed);
            if tally.begin_window(50_000) {
                begun += 1;
                assert_eq!(tally.take_unlogged(), 1);
            }
        }
        assert_eq!((begun, tally.take_unlogged()), (1, 99));
        assert!(!tally.begin_window(59_999));
        assert!(tally.begin_window(60_000));
        assert_eq!(tally.take_unlogged(), 0, "each is logged once");
    }

    #[test]
    fn a_message_is_logged_without_the_input_that_it_repeats() {
        for message in [
            "it begins with \"198.51\"",
            "a: duplicate key 198.51.100.7 at line 1",
        ] {
            assert!(!without_input(message).contains("198"), "{message}");
        }
        let plain = "addresses[0] must be a multiaddr";
        assert_eq!(without_input(plain), plain);
    }

    #[test]
    fn an_example_is_escaped_and_short() {
        let example = Example {
            peer: Some("a\u{1b}[31m\n".to_owned()),
            ..Example::new("POST", &"/\u{202e}x".repeat(1000))
        };
        let line = example.to_string();
        assert!(!line.contains(['\n', '\u{1b}', '\u{202e}']), "{line}");
        assert!(line.len() < 2000, "{}", line.len());
    }
}
