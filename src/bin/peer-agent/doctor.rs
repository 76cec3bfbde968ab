//! `peer-agent doctor`: what is wrong between this node and its registries.

use clap::Args;
use peer_registry::agent::doctor::{self, Subject, Verdict};
use peer_registry::protocol::{PeerId, RegisterRequest};

use crate::announce::AnnounceSettings;
use crate::failure::Failure;
use crate::output;
use crate::settings::{Faults, KeySettings, RegistrySettings, given};

/// Finds out what is wrong between this node and its registries, and what to do about it.
///
/// Looks at each registry from this node's place: its name, the connection, TLS, whether it is a
/// peer-registry, the clocks; and at how the node is listed there. Nothing is changed by that: no
/// node is registered and no lease renewed. How long leases last is not told to one who only
/// reads: a lease counts as nearly out when less than half of --lease-secs is left.
///
/// Whether the registry takes the node's addresses shows only when they are registered: that is
/// done with --register. Without it, give the settings of `run` (--port and so on) to have them
/// held against what is listed.
///
/// Exit codes: 0 all is well, 1 something is wrong, 2 usage, 3 a registry is not reachable.
#[derive(Args, Debug)]
pub(crate) struct DoctorSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    #[command(flatten)]
    key: KeySettings,

    #[command(flatten)]
    announce: AnnounceSettings,

    /// How long a lease lasts at the registries, as their operators set it (PEER_TIMEOUT_SECS)
    #[arg(
        long,
        env = "PEER_AGENT_LEASE_SECS",
        value_name = "SECS",
        default_value = "600"
    )]
    lease_secs: String,

    /// Register the node, to see whether the registry takes its registration
    #[arg(long)]
    register: bool,
}

/// What is known of the node, which decides what can be looked at.
enum Patient {
    /// It has no identity yet.
    Nobody,
    /// It has one, and perhaps it is known what it means to announce.
    Node(PeerId, Option<RegisterRequest>),
    /// It is to be registered.
    Registering(RegisterRequest),
}

pub(crate) async fn examine(settings: &DoctorSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let lease_secs = faults.number("PEER_AGENT_LEASE_SECS", &settings.lease_secs, 1..=86_400);
    let patient = patient(settings, faults)?;
    let mut verdicts = Vec::new();
    for client in &registries.clients {
        output::line(client.url())?;
        let findings = doctor::examine(client, patient.subject(lease_secs)).await;
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
    if matches!(patient, Patient::Nobody) {
        let path = settings.key.path().display();
        output::line(&format!(
            "  WRONG  this node has no identity: there is no file {path}"
        ))?;
        output::line("         to do: name its key file (--key-file), or run peer-agent id")?;
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

fn patient(settings: &DoctorSettings, mut faults: Faults) -> Result<Patient, Failure> {
    let announcement = match given(&settings.announce.port) {
        None if !settings.register => None,
        _ => Some(settings.announce.read(&mut faults)),
    };
    if let (true, Some(announcement)) = (settings.register, &announcement) {
        let identity = settings.key.require_or_make(faults)?;
        return Ok(Patient::Registering(announcement.of(&identity)));
    }
    match settings.key.find() {
        Ok(identity) => {
            faults.finish()?;
            Ok(identity.map_or(Patient::Nobody, |identity| {
                let announced = announcement.map(|announcement| announcement.of(&identity));
                Patient::Node(identity.peer_id().clone(), announced)
            }))
        }
        Err(error) => {
            faults.add(error);
            Err(faults.into())
        }
    }
}

impl Patient {
    fn subject(&self, lease_secs: u32) -> Subject<'_> {
        match self {
            Self::Nobody => Subject::Registry,
            Self::Node(peer_id, announced) => Subject::Listing {
                peer_id,
                announced: announced.as_ref(),
                lease_secs,
            },
            Self::Registering(registration) => Subject::Registration(registration),
        }
    }
}
