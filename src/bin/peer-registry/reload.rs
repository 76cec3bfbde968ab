//! Reads the settings, at the start and at each SIGHUP.

use std::path::Path;

use anyhow::anyhow;
use log::{Level, error, log, warn};
use peer_registry::server::config::{Config, SecretsInUse, SettingGroup, Settings};

use crate::env_file::EnvFile;
use crate::log_levels::{self, Levels};
use crate::setting_flags::{ServerSettings, Values};
use crate::{logger, misspelled};

/// The file of settings, in the folder where the server starts.
const ENV_FILE: &str = ".env";
const RUST_LOG: &str = "RUST_LOG";

/// The settings of a server, and where they come from.
pub(crate) struct Loaded {
    flags: ServerSettings,
    /// The file as it was last read; `None` if there was none.
    file: Option<EnvFile>,
    /// The values at the start. Those of settings other than secrets stay in use.
    values: Values,
    levels: String,
    pub(crate) config: Config,
}

/// Reads the file of settings; it is empty if there is none.
pub(crate) fn env_file() -> anyhow::Result<EnvFile> {
    read_env_file().map(Option::unwrap_or_default)
}

fn read_env_file() -> anyhow::Result<Option<EnvFile>> {
    let file = EnvFile::read(Path::new(ENV_FILE));
    file.map_err(|error| anyhow!("the file {ENV_FILE}: {error}"))
}

fn levels(file: &EnvFile) -> anyhow::Result<Levels> {
    let mut levels = file.iter().filter(|(name, _)| *name == RUST_LOG);
    log_levels::from_environment(levels.next().map(|(_, levels)| levels))
}

/// Checks all values. The notices include those about names and about the log.
fn check(values: &Values, file: &EnvFile, levels: &Levels) -> anyhow::Result<Config> {
    let mut config = Settings::from_iter(values.clone()).check()?;
    config.notices.extend(levels.notice.clone());
    config.notices.extend(misspelled::notices(file));
    Ok(config)
}

impl Loaded {
    /// Reads all settings, and sets the levels of the log.
    ///
    /// # Errors
    /// Names the settings that are wrong.
    pub(crate) fn read(flags: ServerSettings) -> anyhow::Result<Self> {
        let found = read_env_file()?;
        let file = found.clone().unwrap_or_default();
        let levels = levels(&file)?;
        logger::set_levels(&levels.filter);
        let values = flags.with(&file);
        Ok(Self {
            config: check(&values, &file, &levels)?,
            flags,
            file: found,
            values,
            levels: levels.filter,
        })
    }

    /// Reads all settings again. Uses those that can change while the server runs, and logs which
    /// ones these are. If one is wrong, nothing changes.
    pub(crate) fn reload(&mut self, secrets: &SecretsInUse) {
        if let Err(error) = self.try_reload(secrets) {
            let error = format!("{error:#}").replace('\n', "; ");
            error!("SIGHUP received, but a setting is wrong, so all stay as they are: {error}");
        }
    }

    fn try_reload(&mut self, secrets: &SecretsInUse) -> anyhow::Result<()> {
        let found = read_env_file()?;
        let is_gone = found.is_none() && self.file.is_some();
        // A file that is being replaced, or whose folder is not mounted, takes no secret away.
        let last = if is_gone { self.file.clone() } else { found };
        let file = last.clone().unwrap_or_default();
        let levels = levels(&file)?;
        let values = self.flags.with(&file);
        let config = check(&values, &file, &levels)?;
        self.file = last;
        if is_gone {
            warn!("the file {ENV_FILE} is gone; what it said stays in use until a restart");
        }
        for notice in &config.notices {
            warn!("{notice}");
        }
        let mut replaced = secrets.replace(&config);
        // At info the line would be lost if this changed the level from or to a higher one.
        let mut level = Level::Info;
        if levels.filter != self.levels {
            logger::set_levels(&levels.filter);
            self.levels = levels.filter;
            replaced.in_use.push(RUST_LOG);
            level = Level::Warn;
        }
        if !replaced.removed.is_empty() {
            let names = replaced.removed.join(", ");
            warn!("SIGHUP received, read the settings again: no longer given: {names}");
        }
        if replaced.in_use.is_empty() {
            log!(
                level,
                "SIGHUP received, read the settings again: nothing changes"
            );
        } else {
            let names = replaced.in_use.join(", ");
            log!(
                level,
                "SIGHUP received, read the settings again: now in use: {names}"
            );
        }
        replaced
            .after_restart
            .extend(changed(&self.values, &values));
        if !replaced.after_restart.is_empty() {
            let names = replaced.after_restart.join(", ");
            warn!("changed settings that need a restart: {names}");
        }
        Ok(())
    }
}

/// The names of the settings other than secrets that have another value.
fn changed(before: &Values, after: &Values) -> Vec<&'static str> {
    let mut changed = Vec::new();
    for setting in Settings::declared() {
        if matches!(setting.group, SettingGroup::Secret { .. }) {
            continue;
        }
        let value = |values: &Values| {
            let given = values.get(setting.name).cloned();
            given.or_else(|| setting.default.clone().map(Into::into))
        };
        if value(before) != value(after) {
            changed.push(setting.name);
        }
    }
    changed
}
