//! `peer-agent doctor`: finds out why a node is not listed.

use std::ffi::OsString;

use clap::Args;
use peer_registry::agent::doctor::{self, Subject, Verdict};
use peer_registry::agent::within_limits;
use peer_registry::protocol::{DroppedField, Limits, PeerId, RegisterRequest};

use crate::announce::{AnnounceSettings, Announcement};
use crate::event_lines::listed;
use crate::failure::Failure;
use crate::node::{KeySettings, Node};
use crate::output;
use crate::settings::{Faults, RegistrySettings, given, given_path};

/// Finds out what is wrong between this node and its registries, and what to do about it.
///
/// Checks each registry from this node: its name, the connection, TLS, whether it is a
/// peer-registry, the clocks, and how the node is listed there. No node is registered. A node that is
/// registered gets a heartbeat, since the registry warns in its response if two nodes use one key; nothing
/// but its lease changes, and not even that if it is nearly over: less than half of it is left.
///
/// Whether the registry accepts the node's addresses shows only when they are registered, which
/// --register does. It registers only a node that is not registered: the entry of a running node stays
/// as it is, and what differs from the settings given here is shown. Without --register, give the settings
/// of `run` (--port and so on) to compare them with what is listed.
///
/// Exit codes: 0 nothing is wrong, 1 something is wrong, 2 usage, 3 a registry is not reachable.
#[derive(Args, Debug)]
pub(crate) struct DoctorSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    #[command(flatten)]
    key: KeySettings,

    #[command(flatten)]
    announce: AnnounceSettings,

    /// How long a lease lasts, for registries that do not say, in seconds (600)
    #[arg(long, env = "PEER_AGENT_LEASE_SECS", value_name = "SECS")]
    lease_secs: Option<String>,

    /// File in which `run` keeps the keys of the registries, to see whether they are the same
    #[arg(long, env = "PEER_AGENT_LAST_KNOWN_GOOD", value_name = "FILE")]
    last_known_good: Option<OsString>,

    /// Register the node if it is not registered, to see whether the registry accepts its registration
    #[arg(long)]
    register: bool,
}

/// What is known of the node, which decides what can be examined.
enum Examined {
    /// It has no identity yet.
    Unnamed,
    /// Its id is known. What it announces is `None` if neither a port nor an address is given.
    Named(PeerId, Option<RegisterRequest>),
    /// It is to be registered.
    Registering(RegisterRequest),
}

pub(crate) async fn examine(settings: &DoctorSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let lease_secs = given(&settings.lease_secs)
        .map(|secs| faults.number("PEER_AGENT_LEASE_SECS", secs, 1..=86_400));
    let (node, announcement) = node(settings, faults)?;
    let (examined, dropped) = examined(settings, node.as_ref(), announcement)?;
    let mut verdicts = Vec::new();
    let clients = match &node {
        Some(node) => node.clients(&registries),
        None => registries.clients,
    };
    for client in &clients {
        output::line(client.url())?;
        if let Some(path) = given_path(&settings.last_known_good) {
            doctor::recall_registry_key(client, path).await;
        }
        let findings = doctor::examine(client, examined.subject(lease_secs)).await;
        for finding in findings {
            let mark = match finding.verdict() {
                Verdict::Fine => "ok   ",
                Verdict::Wrong | Verdict::Unreachable => "WRONG",
            };
            output::line(&format!("  {mark}  {finding}"))?;
            if let Some(advice) = finding.advice() {
                output::line(&format!("         to do: {advice}"))?;
            }
            verdicts.push(finding.verdict());
        }
    }
    if matches!(examined, Examined::Unnamed) {
        let path = settings.key.path().display();
        output::line(&format!(
            "  WRONG  this node has no identity: there is no file {path}"
        ))?;
        output::line("         to do: name its key file (--key-file), or run peer-agent id")?;
        verdicts.push(Verdict::Wrong);
    }
    if !dropped.is_empty() {
        let parts = listed(&dropped);
        output::line(&format!(
            "  WRONG  this agent leaves out of the registration: {parts}"
        ))?;
        if examined.has_no_address_left(&dropped) {
            output::line("  WRONG  no address is left, so nobody could reach the node")?;
        }
        output::line("         to do: correct the settings of what was left out")?;
        verdicts.push(Verdict::Wrong);
    }
    if verdicts.contains(&Verdict::Unreachable) {
        Err(Failure::unreachable())
    } else if verdicts.contains(&Verdict::Wrong) {
        Err(Failure::refused())
    } else {
        Ok(())
    }
}

/// Ends the check of the settings. Returns the node, if it has an identity, and what it announces, if that
/// is to be looked at.
fn node(
    settings: &DoctorSettings,
    mut faults: Faults,
) -> Result<(Option<Node>, Option<Announcement<'_>>), Failure> {
    let announcement = (settings.register || settings.announce.has_address())
        .then(|| settings.announce.read(&mut faults));
    if settings.register {
        let node = settings.key.require_or_make(faults)?;
        return Ok((Some(node), announcement));
    }
    let found = settings.key.find();
    let node = found.unwrap_or_else(|error| {
        faults.add(error);
        None
    });
    faults.finish()?;
    Ok((node, announcement))
}

/// Decides what is examined, and leaves out of the registration what `run` leaves out. Returns that, too.
fn examined(
    settings: &DoctorSettings,
    node: Option<&Node>,
    announcement: Option<Announcement<'_>>,
) -> Result<(Examined, Vec<DroppedField>), Failure> {
    let Some(node) = node else {
        return Ok((Examined::Unnamed, Vec::new()));
    };
    let Some(announcement) = announcement else {
        let named = Examined::Named(node.peer_id().clone(), None);
        return Ok((named, Vec::new()));
    };
    let registration = announcement.registration(node)?;
    let (registration, dropped) = within_limits(registration, &Limits::default());
    let examined = if settings.register {
        Examined::Registering(registration)
    } else {
        Examined::Named(node.peer_id().clone(), Some(registration))
    };
    Ok((examined, dropped))
}

impl Examined {
    /// Whether all addresses are among what was dropped.
    fn has_no_address_left(&self, dropped: &[DroppedField]) -> bool {
        let announced = match self {
            Self::Unnamed | Self::Named(_, None) => return false,
            Self::Named(_, Some(announced)) | Self::Registering(announced) => announced,
        };
        let mut fields = dropped.iter().map(|dropped| dropped.field.as_str());
        announced.addresses.is_empty() && fields.any(|field| field.starts_with("addresses["))
    }

    fn subject(&self, lease_secs: Option<u32>) -> Subject<'_> {
        match self {
            Self::Unnamed => Subject::Registry,
            Self::Named(peer_id, announced) => Subject::Listing {
                peer_id,
                announced: announced.as_ref(),
                lease_secs,
            },
            Self::Registering(registration) => Subject::Registration(registration),
        }
    }
}
