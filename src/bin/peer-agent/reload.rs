//! Reads the settings file again while the command runs.
//!
//! At the start, the settings of the file become variables of the environment, where the HTTP client finds
//! its own. A running process cannot change them safely. So the settings that came from the file are
//! replaced by what the file says now.

use std::collections::{HashMap, HashSet};
use std::env;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::{Arg, ArgMatches};

use crate::env_file::EnvFile;

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

    /// The file, if it exists or had settings at the start.
    pub(crate) fn file(&self) -> Option<&Path> {
        let is_expected = self.file.exists() || !self.from_file.is_empty();
        is_expected.then_some(&*self.file)
    }

    /// Reads the file again and parses the flags of the process with it, as a restart would.
    pub(crate) fn read_again(&self, command: clap::Command) -> anyhow::Result<ArgMatches> {
        let mut values = HashMap::new();
        if let Some(file) = self.file() {
            let file = EnvFile::read(file)?.unwrap_or_default();
            let settings = file.iter();
            values.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let command = self.with_file(command, &values);
        Ok(command.try_get_matches_from(env::args_os())?)
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
