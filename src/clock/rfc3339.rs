//! Times as text.

use chrono::{DateTime, SecondsFormat};

/// Writes `unix_ms` as RFC 3339 in UTC with milliseconds and `Z`, e.g. `2026-11-23T21:09:43.120Z`.
///
/// A time outside the range of [`chrono`] (about 262,000 years in each direction) becomes the
/// epoch.
pub fn rfc3339(unix_ms: i64) -> String {
    DateTime::from_timestamp_millis(unix_ms)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Parses RFC 3339 and returns Unix milliseconds; `None` if `text` is not RFC 3339.
pub fn unix_ms(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_with_milliseconds_and_z() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_468_183_007), "2026-11-23T21:09:43.007Z");
    }

    #[test]
    fn a_timestamp_is_parsed_to_the_time_it_was_made_of() {
        assert_eq!(
            unix_ms(&rfc3339(1_795_468_183_007)),
            Some(1_795_468_183_007)
        );
        assert_eq!(unix_ms("yesterday"), None);
    }
}
