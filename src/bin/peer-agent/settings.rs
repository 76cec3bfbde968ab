//! Settings that several subcommands share, and the check of all of them at once.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use peer_registry::agent::{Identity, IdentityError, RegistryClient, Transport};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// The key file unless another is named.
const DEFAULT_KEY_FILE: &str = "node.key";

/// What is wrong with the settings, to be told all at once.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<anyhow::Error>);

impl Faults {
    pub(crate) fn add(&mut self, fault: impl Into<anyhow::Error>) {
        self.0.push(fault.into());
    }

    /// A whole number in `range`.
    pub(crate) fn number<N: TryFrom<u64> + Default>(
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
        self.add(anyhow!(
            "{name} must be a whole number from {least} to {most}, not {text:?}"
        ));
        N::default()
    }

    /// A value that may be left out.
    pub(crate) fn parse<T: FromStr<Err: Display>>(
        &mut self,
        name: &str,
        text: Option<&String>,
        form: &str,
    ) -> Option<T> {
        let text = text?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(anyhow!("{name} must be {form}, not {text:?} ({error})"));
                None
            }
        }
    }

    /// A JSON object, as registries want it.
    pub(crate) fn json_object(&mut self, name: &str, text: &str) -> Option<Map<String, Value>> {
        serde_json::from_str(text)
            .map_err(|error| {
                self.add(anyhow!(
                    "{name} must be a JSON object, not {text:?} ({error})"
                ));
            })
            .ok()
    }

    /// Ends the check, well or with all that was found.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.into())
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::faults(faults.0)
    }
}

/// Which registries, and how long to wait for them.
#[derive(Args, Debug)]
pub(crate) struct RegistrySettings {
    /// Address of a registry; several are separated by commas, or given one by one
    #[arg(
        long,
        env = "PEER_REGISTRY_URL",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true // a password may stand in it
    )]
    registry: Vec<String>,

    /// How long an answer is waited for
    #[arg(
        long,
        env = "PEER_AGENT_REQUEST_TIMEOUT_SECS",
        value_name = "SECS",
        default_value = "10"
    )]
    request_timeout_secs: String,
}

/// The registries to talk to, each once, and at least one.
pub(crate) struct Registries {
    pub(crate) urls: Vec<String>,
    pub(crate) clients: Vec<RegistryClient>,
    pub(crate) transport: Transport,
}

impl RegistrySettings {
    pub(crate) fn read(&self, faults: &mut Faults) -> Result<Registries, Failure> {
        let name = "PEER_AGENT_REQUEST_TIMEOUT_SECS";
        let timeout_secs = faults.number(name, &self.request_timeout_secs, 1..=600);
        let timeout = Duration::from_secs(timeout_secs);
        let transport = Transport::new()
            .map_err(Failure::usage)?
            .with_timeout(timeout);
        let urls = entries(&self.registry);
        if urls.is_empty() {
            faults.add(anyhow!(
                "no registry is given: --registry URL or PEER_REGISTRY_URL, e.g. \
                 https://registry.example.org"
            ));
        }
        let mut clients: Vec<RegistryClient> = Vec::new();
        for url in &urls {
            match RegistryClient::new(url, transport.clone()) {
                Ok(client) if clients.iter().any(|known| known.url() == client.url()) => {}
                Ok(client) => clients.push(client),
                Err(error) => faults.add(anyhow::Error::from(error).context("PEER_REGISTRY_URL")),
            }
        }
        Ok(Registries {
            urls,
            clients,
            transport,
        })
    }
}

/// Where the node's identity is.
#[derive(Args, Debug)]
pub(crate) struct KeySettings {
    /// File with the node's Ed25519 key, in libp2p's protobuf encoding
    #[arg(
        long,
        env = "PEER_AGENT_KEY_FILE",
        value_name = "FILE",
        default_value = DEFAULT_KEY_FILE
    )]
    key_file: OsString,
}

impl KeySettings {
    pub(crate) fn path(&self) -> &Path {
        if self.key_file.is_empty() {
            Path::new(DEFAULT_KEY_FILE)
        } else {
            Path::new(&self.key_file)
        }
    }

    /// The identity; none if there is no such file.
    pub(crate) fn find(&self) -> Result<Option<Identity>, IdentityError> {
        match Identity::load(self.path()) {
            Err(IdentityError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    /// Ends the check of the settings with the identity, which must be there.
    pub(crate) fn require(&self, mut faults: Faults) -> Result<Identity, Failure> {
        match self.find() {
            Ok(Some(identity)) => return faults.finish().map(|()| identity),
            Ok(None) => faults.add(anyhow!(
                "there is no key file {}: peer-agent id makes one, --key-file names another",
                self.path().display()
            )),
            Err(error) => faults.add(error),
        }
        Err(faults.into())
    }

    /// Ends the check of the settings with the identity, which is made if it is not there and
    /// nothing else is wrong.
    pub(crate) fn require_or_make(&self, mut faults: Faults) -> Result<Identity, Failure> {
        if let Err(error) = self.find() {
            faults.add(error);
        }
        faults.finish()?;
        Identity::load_or_create(self.path()).map_err(Failure::usage)
    }
}

/// A setting's text; none if it was set to nothing, as `KEY=` in a file does.
pub(crate) fn given(setting: &Option<String>) -> Option<&String> {
    setting.as_ref().filter(|text| !text.is_empty())
}

/// A setting's path; none if it was set to nothing.
pub(crate) fn given_path(setting: &Option<OsString>) -> Option<&Path> {
    setting
        .as_ref()
        .filter(|path| !path.is_empty())
        .map(Path::new)
}

/// The entries of a list, which has none if it was set to nothing.
pub(crate) fn entries(list: &[String]) -> Vec<String> {
    let mut entries: Vec<_> = list.iter().map(|entry| entry.trim().to_owned()).collect();
    entries.retain(|entry| !entry.is_empty());
    entries
}
