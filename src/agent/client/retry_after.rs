//! The `Retry-After` header.

use std::time::{Duration, SystemTime};

/// The longest wait that a client honours; a longer `Retry-After` is cut to this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Reads a `Retry-After` header: whole seconds or an HTTP date (RFC 9110, section 10.2.3).
///
/// A date is compared with the `Date` of the same response, because the clocks of the server and of
/// this node may differ. Without a `Date`, it is compared with `now_ms`, in Unix milliseconds. A
/// date in the past means no wait. `None` if the value is neither seconds nor a date.
pub(crate) fn parse(value: &str, date: Option<&str>, now_ms: i64) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that overflows is longer than the maximum anyway.
        value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let now = date
            .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
            .unwrap_or_else(|| system_time(now_ms));
        until.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn system_time(unix_ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const NOW_MS: i64 = 784_111_777_000;

    fn secs(value: &str, date: Option<&str>) -> Option<u64> {
        parse(value, date, NOW_MS).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_count_up_to_ten_minutes() {
        assert_eq!(secs("0", None), Some(0));
        assert_eq!(secs(" 7 ", None), Some(7));
        assert_eq!(secs("601", None), Some(600));
        assert_eq!(secs("99999999999999999999999", None), Some(600));
    }

    #[test]
    fn a_date_is_compared_with_the_date_of_the_server() {
        let until = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(secs(until, None), Some(60));
        assert_eq!(secs(until, Some("Sun, 06 Nov 1994 08:50:30 GMT")), Some(7));
        assert_eq!(secs(until, Some("yesterday")), Some(60));
        assert_eq!(secs(until, Some("Sun, 06 Nov 1994 09:00:00 GMT")), Some(0));
        assert_eq!(secs("Mon, 07 Nov 1994 08:49:37 GMT", None), Some(600));
    }

    #[test]
    fn any_other_value_is_ignored() {
        for value in ["", "soon", "-1", "1.5", "+3", "\u{661}"] {
            assert_eq!(secs(value, None), None, "{value:?}");
        }
    }
}
