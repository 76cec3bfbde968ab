//! Reads the settings file again while the command runs.
//!
//! At the start, the settings of the file become variables of the environment, where the HTTP client finds
//! its own. A running process cannot change them safely. So the settings that came from the file are
//! replaced by what the file says now.

use std::collections::{HashMap, HashSet};
use std::env;
use std::path::PathBuf;

use anyhow::bail;
use clap::builder::Resettable;
use clap::{Arg, CommandFactory, FromArgMatches};

use crate::env_file::EnvFile;
use crate::run::RunSettings;
use crate::{Cli, Command, checked_file};

/// Where the settings came from at the start.
#[derive(Debug)]
pub(crate) struct Sources {
    file: PathBuf,
    /// The names in the file that were not in the environment.
    from_file: HashSet<String>,
}

impl Sources {
    /// Remembers what the file at `path` adds to the environment, before it is added. A file that cannot
    /// be read adds nothing.
    pub(crate) fn before_reading(path: PathBuf) -> Self {
        let file = EnvFile::read(&path).ok().flatten().unwrap_or_default();
        let names = file.iter().map(|(name, _)| name.to_owned());
        Self {
            from_file: names.filter(|name| env::var_os(name).is_none()).collect(),
            file: path,
        }
    }

    /// The settings of `run` as they would be after a restart.
    pub(crate) fn read_again(&self) -> anyhow::Result<RunSettings> {
        let mut values = HashMap::new();
        match checked_file(&self.file)? {
            Some(file) => {
                let settings = file.iter();
                values.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            None if self.from_file.is_empty() => {}
            None => bail!("the settings file {} is gone", self.file.display()),
        }
        let command = self.with_file(Cli::command(), &values);
        let matches = command.try_get_matches_from(env::args_os())?;
        match Cli::from_arg_matches(&matches)?.command {
            Command::Run(settings) => Ok(settings),
            _ => bail!("only run reads its settings again"),
        }
    }

    /// The command whose settings of the file have these values.
    fn with_file(&self, command: clap::Command, values: &HashMap<String, String>) -> clap::Command {
        let names: Vec<_> = command
            .get_subcommands()
            .map(|subcommand| subcommand.get_name().to_owned())
            .collect();
        let mut command = command.mut_args(|arg| self.with_value(arg, values));
        for name in names {
            command = command.mut_subcommand(name, |inner| self.with_file(inner, values));
        }
        command
    }

    fn with_value(&self, arg: Arg, values: &HashMap<String, String>) -> Arg {
        let Some(name) = arg
            .get_env()
            .and_then(|name| name.to_str())
            .map(str::to_owned)
        else {
            return arg;
        };
        let is_of_file = self.from_file.contains(&name) || env::var_os(&name).is_none();
        if !is_of_file {
            return arg;
        }
        let arg = arg.env(Resettable::Reset);
        match values.get(&name) {
            Some(value) => arg.default_value(value.clone()),
            None => arg,
        }
    }
}
