//! Checks settings one by one, so that all their faults can be told at once.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

/// All that is wrong with the settings, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    faults: Vec<String>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

impl std::error::Error for SettingsError {}

/// Reads settings and collects what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// A line for each fault.
    faults: Vec<String>,
}

impl Checker {
    /// Ends the check, well or with all that was found.
    pub(super) fn finish(self) -> Result<(), SettingsError> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(SettingsError {
            faults: self.faults,
        })
    }

    /// Notes what is wrong with a setting.
    pub(super) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// A value of `form`; `otherwise` stands in for one that is wrong.
    pub(super) fn parse<T: FromStr>(
        &mut self,
        name: &str,
        text: &str,
        form: &str,
        otherwise: T,
    ) -> T {
        self.parse_some(name, text, form).unwrap_or(otherwise)
    }

    /// A value of `form`, if it is one.
    pub(super) fn parse_some<T: FromStr>(
        &mut self,
        name: &str,
        text: &str,
        form: &str,
    ) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            self.faults
                .push(format!("{name} must be {form}, not {text:?}"));
        }
        value
    }

    /// A number in `range`.
    pub(super) fn decimal(&mut self, name: &str, text: &str, range: RangeInclusive<f64>) -> f64 {
        let (least, most) = (*range.start(), *range.end());
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.unwrap_or_else(|| {
            self.faults.push(format!(
                "{name} must be a number from {least} to {most}, not {text:?}"
            ));
            least
        })
    }

    /// A whole number in `range`.
    pub(super) fn number<N: TryFrom<u64> + Default>(
        &mut self,
        name: &str,
        text: &str,
        range: RangeInclusive<u64>,
    ) -> N {
        let number = text.parse().ok().filter(|number| range.contains(number));
        if let Some(number) = number.and_then(|number| N::try_from(number).ok()) {
            return number;
        }
        let (least, most) = (range.start(), range.end());
        self.faults.push(format!(
            "{name} must be a whole number from {least} to {most}, not {text:?}"
        ));
        N::default()
    }

    /// A count or a size in `range`.
    pub(super) fn size(&mut self, name: &str, text: &str, range: RangeInclusive<u64>) -> usize {
        self.number(name, text, range)
    }

    /// The path in `sqlite://<path>`.
    pub(super) fn database_path(&mut self, name: &str, url: &str) -> PathBuf {
        let path = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .unwrap_or_default();
        // SQLite gives a meaning of its own to these, and none of them is a plain file.
        if path.is_empty()
            || path.starts_with(':')
            || path.starts_with("file:")
            || path.contains('?')
        {
            self.faults.push(format!(
                "{name} must be sqlite:// and the path of a file, e.g. sqlite://peers.db or \
                 sqlite:///var/lib/peer-registry/peers.db, not {url:?}"
            ));
        }
        PathBuf::from(path)
    }

    /// Nothing, if the two are wrong by themselves (zero stands in for such a number).
    pub(super) fn interval_within_timeout(&mut self, interval_secs: u64, timeout_secs: u64) {
        // A timeout of one second, the least, has no half in whole seconds.
        let longest = (timeout_secs / 2).max(1);
        if timeout_secs > 0 && interval_secs > longest {
            self.faults.push(format!(
                "HEARTBEAT_INTERVAL_SECS must be at most half of PEER_TIMEOUT_SECS, so that one \
                 lost heartbeat costs no peer its place: at most {longest} with a timeout of \
                 {timeout_secs}, not {interval_secs}"
            ));
        }
    }
}
