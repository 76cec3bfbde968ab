//! The declared settings as flags and environment variables of a command line.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use peer_registry::server::config::{Setting, SettingGroup, Settings};

use crate::env_file::EnvFile;

/// Values by the name of their setting, without defaults.
pub(crate) type Values = BTreeMap<&'static str, OsString>;

/// The settings of the server.
#[derive(Clone)]
pub(crate) struct ServerSettings(Values);

/// The settings of the relay budget.
#[derive(Clone)]
pub(crate) struct BudgetSettings(Values);

impl ServerSettings {
    /// The values from the flags, the environment and `file`.
    pub(crate) fn with(&self, file: &EnvFile) -> Values {
        with(self.0.clone(), file, |_| true)
    }
}

impl BudgetSettings {
    /// The values from the flags, the environment and `file`.
    pub(crate) fn with(&self, file: &EnvFile) -> Values {
        let is_wanted = |group| group == SettingGroup::RelayBudget;
        with(self.0.clone(), file, is_wanted)
    }
}

/// Adds what is only in the file.
fn with(mut values: Values, file: &EnvFile, is_wanted: fn(SettingGroup) -> bool) -> Values {
    let file: BTreeMap<_, _> = file.iter().collect();
    for setting in Settings::declared() {
        if !is_wanted(setting.group) {
            continue;
        }
        for name in names(&setting) {
            if let Some(value) = file.get(name) {
                values.entry(name).or_insert_with(|| value.into());
            }
        }
    }
    values
}

/// The names of the setting: its own, and that of the file with the secret.
pub(crate) fn names(setting: &Setting) -> impl Iterator<Item = &'static str> {
    let file_name = match setting.group {
        SettingGroup::Secret { file_name } => Some(file_name),
        _ => None,
    };
    [setting.name].into_iter().chain(file_name)
}

/// The text about secrets in the help. They have no flags.
pub(crate) fn secrets_help() -> String {
    let mut help = "Secrets, in the environment, in .env, or in a file (there are no flags, which \
                    others could read):"
        .to_owned();
    for setting in Settings::declared() {
        if let SettingGroup::Secret { file_name } = setting.group {
            let Setting { name, meaning, .. } = setting;
            help.push_str(&format!(
                "\n  {name}, or {file_name}=PATH\n          {meaning}"
            ));
        }
    }
    help
}

impl Args for ServerSettings {
    fn augment_args(command: Command) -> Command {
        command.args(flags(|_| true))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServerSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut values = given(matches);
        for setting in Settings::declared() {
            // Secrets have no flags, through which clap would read the environment.
            if matches!(setting.group, SettingGroup::Secret { .. }) {
                let found = names(&setting).map(|name| (name, env::var_os(name)));
                values.extend(found.filter_map(|(name, value)| Some((name, value?))));
            }
        }
        Ok(Self(values))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        Self::from_arg_matches(matches).map(|settings| *self = settings)
    }
}

impl Args for BudgetSettings {
    fn augment_args(command: Command) -> Command {
        command.args(flags(|group| group == SettingGroup::RelayBudget))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for BudgetSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(given(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        Self::from_arg_matches(matches).map(|settings| *self = settings)
    }
}

/// The flags of the settings in some groups; secrets have none.
fn flags(is_wanted: fn(SettingGroup) -> bool) -> Vec<Arg> {
    let settings = Settings::declared().into_iter();
    settings
        .filter(|setting| is_wanted(setting.group))
        .filter_map(flag)
        .collect()
}

fn flag(setting: Setting) -> Option<Arg> {
    let heading = match setting.group {
        SettingGroup::Secret { .. } => return None,
        SettingGroup::RelayBudget => Some("Relay budget"),
        _ => None,
    };
    let flag = Arg::new(setting.name)
        .long(setting.name.to_lowercase().replace('_', "-"))
        .env(setting.name)
        .value_name(setting.placeholder)
        .help(setting.meaning);
    let flag = match heading {
        Some(heading) => flag.help_heading(heading),
        None => flag,
    };
    Some(match setting.default {
        Some(default) => flag.default_value(default),
        None => flag,
    })
}

/// The values that were given as a flag or in the environment.
fn given(matches: &ArgMatches) -> Values {
    let settings = Settings::declared().into_iter();
    settings
        .filter_map(|Setting { name, .. }| {
            // A flag that this command does not have is an error here.
            let value = matches.try_get_one::<String>(name).ok()??;
            let is_default = matches.value_source(name) == Some(ValueSource::DefaultValue);
            (!is_default).then(|| (name, value.into()))
        })
        .collect()
}
