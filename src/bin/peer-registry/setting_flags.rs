//! The declared settings as flags and environment variables of a command line.

use std::env;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use peer_registry::server::config::{Setting, SettingGroup, Settings};

/// The settings of the server.
#[derive(Debug)]
pub(crate) struct ServerSettings(pub(crate) Settings);

/// The settings of the relay budget.
#[derive(Debug)]
pub(crate) struct BudgetSettings(pub(crate) Settings);

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
        let mut settings = given(matches);
        for setting in Settings::declared() {
            let SettingGroup::Secret { file_name } = setting.group else {
                continue;
            };
            for name in [setting.name, file_name] {
                if let Some(value) = env::var_os(name) {
                    settings.set(name, value);
                }
            }
        }
        Ok(Self(settings))
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

/// The values of all flags, their defaults included.
fn given(matches: &ArgMatches) -> Settings {
    let settings = Settings::declared().into_iter();
    settings
        .filter_map(|setting| {
            // A flag that this command does not have is an error here.
            let value = matches.try_get_one::<String>(setting.name).ok()??;
            Some((setting.name, value.clone()))
        })
        .collect()
}
