//! The settings of a server as they are given: by name, as text.

use std::ffi::OsString;
use std::fmt;

use super::cost::CostConfig;
use super::declaration::Setting;
use super::reader::{Given, Reader, SettingsError};
use super::server::Config;

/// The settings of a server as they are given: by name, as text. The others have their defaults.
///
/// ```
/// # use peer_registry::server::config::Settings;
/// let settings = Settings::from_iter([("LISTEN_ADDR", "[::1]:0"), ("MAX_PEERS", "1000")]);
/// assert_eq!(settings.check()?.registry.max_peers, 1000);
/// # Ok::<(), peer_registry::server::config::SettingsError>(())
/// ```
#[derive(Clone, Default)]
pub struct Settings {
    given: Given,
}

impl Settings {
    /// Sets the setting `name`, such as `LISTEN_ADDR`.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<OsString>) {
        self.given.insert(name.into(), value.into());
    }

    /// All settings of the server, in the order in which a help text lists them.
    pub fn declared() -> Vec<Setting> {
        let given = Given::default();
        let mut reader = Reader::new(&given);
        Config::read(&mut reader);
        reader.into_declared()
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// Names each setting that is wrong, with its value and what it must be.
    pub fn check(&self) -> Result<Config, SettingsError> {
        self.read(Config::read)
    }

    /// Checks the settings of the relay budget. Any other setting that is given is an error.
    ///
    /// # Errors
    /// Names each setting that is wrong, with its value and what it must be.
    pub fn check_cost(&self) -> Result<CostConfig, SettingsError> {
        self.read(CostConfig::read)
    }

    fn read<T>(&self, read: fn(&mut Reader<'_>) -> T) -> Result<T, SettingsError> {
        let mut reader = Reader::new(&self.given);
        let config = read(&mut reader);
        reader.finish().map(|()| config)
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(given: I) -> Self {
        let given = given.into_iter();
        Self {
            given: given
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

/// Shows the names only, since some values are secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
