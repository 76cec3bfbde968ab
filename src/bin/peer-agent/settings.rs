//! Settings that several subcommands share, and the check that reports all faults together.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use peer_registry::agent::{RegistryClient, Transport, check_network_id};
use peer_registry::protocol::Limits;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// All that is wrong with the settings, to be reported together.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<anyhow::Error>);

impl Faults {
    pub(crate) fn add(&mut self, fault: impl Into<anyhow::Error>) {
        self.0.push(fault.into());
    }

    /// Reads a whole number in `range`; zero after a fault.
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
        let (min, max) = (range.start(), range.end());
        self.add(anyhow!(
            "{name} must be a whole number from {min} to {max}, not {text:?}"
        ));
        N::default()
    }

    /// Reads an optional value; `None` if it is not given or after a fault. `form` describes it.
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

    /// Reads JSON; `None` after a fault. `form` describes it.
    pub(crate) fn json<T: DeserializeOwned>(
        &mut self,
        name: &str,
        text: &str,
        form: &str,
    ) -> Option<T> {
        serde_json::from_str(text)
            .map_err(|error| self.add(anyhow!("{name} must be {form}, not {text:?} ({error})")))
            .ok()
    }

    /// Reads the network of the node; `None` after a fault.
    pub(crate) fn network_id(&mut self, text: &str) -> Option<String> {
        let checked = check_network_id(text, &Limits::default());
        checked
            .map_err(|error| self.add(anyhow::Error::from(error).context("PEER_AGENT_NETWORK_ID")))
            .ok()
    }

    /// Ends the check: fails with all faults, if there are any.
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

/// The registries, and how long to wait for them.
#[derive(Args, Debug)]
pub(crate) struct RegistrySettings {
    /// Address of a registry; may be repeated, or a list separated by commas
    #[arg(
        long,
        env = "PEER_REGISTRY_URL",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true // it may contain a password
    )]
    registry: Vec<String>,

    /// How long to wait for a response, in seconds
    #[arg(
        long,
        env = "PEER_AGENT_REQUEST_TIMEOUT_SECS",
        value_name = "SECS",
        default_value = "10"
    )]
    request_timeout_secs: String,

    /// File with certificates of authorities to trust in addition to the system's, in PEM form
    #[arg(long, env = "PEER_AGENT_CA_FILE", value_name = "FILE")]
    ca_file: Option<OsString>,
}

/// The registries, at least one. The clients have no duplicates.
pub(crate) struct Registries {
    pub(crate) urls: Vec<String>,
    pub(crate) clients: Vec<RegistryClient>,
    pub(crate) transport: Transport,
}

impl RegistrySettings {
    /// The settings with their names, for a comparison. They may contain a password.
    pub(crate) fn named(&self) -> [(&'static str, String); 3] {
        let timeout = &self.request_timeout_secs;
        [
            ("PEER_REGISTRY_URL", format!("{:?}", self.registry)),
            ("PEER_AGENT_REQUEST_TIMEOUT_SECS", timeout.clone()),
            ("PEER_AGENT_CA_FILE", format!("{:?}", self.ca_file)),
        ]
    }

    pub(crate) fn read(&self, faults: &mut Faults) -> Result<Registries, Failure> {
        let name = "PEER_AGENT_REQUEST_TIMEOUT_SECS";
        let timeout_secs = faults.number(name, &self.request_timeout_secs, 1..=600);
        let timeout = Duration::from_secs(timeout_secs);
        let mut transport = Transport::new()
            .map_err(Failure::usage)?
            .with_timeout(timeout);
        if let Some(path) = given_path(&self.ca_file) {
            match with_authorities(transport.clone(), path) {
                Ok(trusting) => transport = trusting,
                Err(error) => faults.add(error),
            }
        }
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

/// The transport that also trusts the certificates in the file at `path`.
fn with_authorities(transport: Transport, path: &Path) -> anyhow::Result<Transport> {
    let name = || format!("PEER_AGENT_CA_FILE: {}", path.display());
    let pem = fs::read(path).with_context(name)?;
    transport.with_root_certificate(&pem).with_context(name)
}

/// The text of a setting; `None` if it is empty, as after `KEY=` in a file.
pub(crate) fn given(setting: &Option<String>) -> Option<&String> {
    setting.as_ref().filter(|text| !text.is_empty())
}

/// The path of a setting; `None` if it is empty.
pub(crate) fn given_path(setting: &Option<OsString>) -> Option<&Path> {
    setting
        .as_ref()
        .filter(|path| !path.is_empty())
        .map(Path::new)
}

/// The entries of a list, without empty ones.
pub(crate) fn entries(list: &[String]) -> Vec<String> {
    let mut entries: Vec<_> = list.iter().map(|entry| entry.trim().to_owned()).collect();
    entries.retain(|entry| !entry.is_empty());
    entries
}
