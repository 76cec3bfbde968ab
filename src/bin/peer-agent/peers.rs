//! `peer-agent peers`: lists the peers that are alive.

use std::collections::HashMap;

use anyhow::anyhow;
use clap::Args;
use peer_registry::agent::{ClientError, PeerList, PeerSource, RegistryClient, merge_peers};
use peer_registry::clock::unix_ms;
use peer_registry::protocol::{Limits, ListedPeer, PeerFilter, PeerId, PeersQuery};

use crate::failure::{Failure, print_error, with_suggestion};
use crate::output;
use crate::settings::{Faults, RegistrySettings};

/// The max number of peers from one registry, which is also a registry's default limit.
const MAX_PEERS: usize = 1_000_000;

/// Lists the peers that are alive, from all registries together.
///
/// A registry that cannot be reached is named on stderr. The command fails only if none responds.
#[derive(Args, Debug)]
pub(crate) struct PeersSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    /// List a random sample of COUNT peers from each registry, instead of all
    #[arg(long, value_name = "COUNT")]
    limit: Option<String>,

    /// Only peers of this network
    #[arg(long, value_name = "ID")]
    network_id: Option<String>,

    /// Only peers that serve this data store
    #[arg(long, value_name = "ID")]
    store: Option<String>,

    /// Only peers that speak this version of the protocol
    #[arg(long, value_name = "VERSION")]
    protocol_version: Option<String>,

    /// Only peers that relay (true), or only others (false)
    #[arg(long, value_name = "FLAG", num_args = 0..=1, default_missing_value = "true")]
    turn_capable: Option<String>,

    /// Only peers that help to bootstrap (true), or only others (false)
    #[arg(long, value_name = "FLAG", num_args = 0..=1, default_missing_value = "true")]
    bootstrap_capable: Option<String>,

    /// Leave out this peer
    #[arg(long, value_name = "PEER_ID")]
    exclude: Option<String>,

    /// Print JSON: {"peers": [...], "source": {...}, "failures": [...]}
    #[arg(long)]
    json: bool,

    /// With --json: print the stores of each peer too
    #[arg(long, requires = "json")]
    include_stores: bool,

    /// With --json: print the capabilities of each peer too
    #[arg(long, requires = "json")]
    include_capabilities: bool,
}

pub(crate) async fn list(settings: &PeersSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let query = query(settings, &mut faults);
    faults.finish()?;

    let mut lists = Vec::new();
    let (mut errors, mut notes) = (Vec::new(), Vec::new());
    let mut now_ms = 0;
    for client in &registries.clients {
        match all_pages(client, query.clone()).await {
            Ok(listing) => {
                now_ms = now_ms.max(listing.now_ms);
                if listing.is_cut {
                    notes.push(anyhow!(
                        "{} lists without end: stopped after {} peers",
                        client.url(),
                        listing.peers.len()
                    ));
                }
                lists.push(listing.peers);
            }
            Err(error) => errors.push(error),
        }
    }
    if lists.is_empty() {
        return Failure::check(errors);
    }
    notes.extend(errors.into_iter().map(with_suggestion));
    for note in &notes {
        print_error(note);
    }
    let peers = merge_peers(lists);
    if settings.json {
        return Ok(output::json(&PeerList {
            peers,
            source: PeerSource::Registries,
            failures: notes.iter().map(|note| format!("{note:#}")).collect(),
        })?);
    }
    if peers.is_empty() {
        print_error(&anyhow!("no registry lists such a peer"));
    }
    let rows: Vec<_> = peers.iter().map(|peer| row(peer, now_ms)).collect();
    let titles = ["PEER ID", "ADDRESS", "NETWORK", "VERSION", "SEEN", "OFFERS"];
    Ok(output::table(titles, &rows)?)
}

fn query(settings: &PeersSettings, faults: &mut Faults) -> PeersQuery {
    let limit = settings.limit.as_deref();
    let limit = limit.map(|limit| faults.number("--limit", limit, 1..=100_000));
    let exclude = settings.exclude.as_deref().and_then(|id| {
        PeerId::parse(id, "--exclude", &Limits::default())
            .map_err(|fault| faults.add(fault))
            .ok()
    });
    let mut flag = |name, text: &Option<String>| faults.parse(name, text.as_ref(), "true or false");
    PeersQuery {
        filter: PeerFilter {
            authenticated: None,
            exclude,
            turn_capable: flag("--turn-capable", &settings.turn_capable),
            bootstrap_capable: flag("--bootstrap-capable", &settings.bootstrap_capable),
            network_id: settings
                .network_id
                .as_deref()
                .map(|id| id.trim().to_owned()),
            store: settings.store.clone(),
            version: settings.protocol_version.clone(),
        },
        limit,
        include_stores: settings.include_stores,
        include_capabilities: settings.include_capabilities,
        cursor: None,
    }
}

/// The listing of one registry.
struct Listing {
    peers: Vec<ListedPeer>,
    /// The time by the registry's clock, in Unix milliseconds.
    now_ms: i64,
    /// Whether the listing was cut because a page had no new peer, or because it is too long.
    is_cut: bool,
}

/// Requests all pages of a listing.
async fn all_pages(client: &RegistryClient, mut query: PeersQuery) -> Result<Listing, ClientError> {
    let mut peers = HashMap::new();
    loop {
        let page = client.peers(&query).await?;
        let known = peers.len();
        let listed = page.peers.into_iter();
        peers.extend(listed.map(|peer| (peer.peer_id.clone(), peer)));
        query.cursor = page.next_cursor;
        let is_cut = peers.len() == known || peers.len() > MAX_PEERS;
        if query.cursor.is_none() || is_cut {
            return Ok(Listing {
                peers: peers.into_values().collect(),
                now_ms: unix_ms(&page.timestamp).unwrap_or(0),
                is_cut: is_cut && query.cursor.is_some(),
            });
        }
    }
}

fn row(peer: &ListedPeer, now_ms: i64) -> [String; 6] {
    // The id has its own column.
    let suffix = format!("/p2p/{}", peer.peer_id);
    let short = |address: &str| address.strip_suffix(&suffix).unwrap_or(address).to_owned();
    let address = match &peer.addresses[..] {
        [] => "-".to_owned(),
        [address] => short(address),
        [address, others @ ..] => format!("{} (+{})", short(address), others.len()),
    };
    let offers = [
        (peer.turn_capable, "turn"),
        (peer.bootstrap_capable, "bootstrap"),
    ];
    let offers: Vec<_> = offers
        .into_iter()
        .filter_map(|(is_offered, name)| is_offered.then_some(name))
        .collect();
    [
        peer.peer_id.to_string(),
        address,
        output::or_dash(peer.network_id.as_ref()),
        output::or_dash(peer.version.as_ref()),
        format!("{} s ago", (now_ms - peer.last_seen).max(0) / 1_000),
        if offers.is_empty() {
            "-".to_owned()
        } else {
            offers.join(",")
        },
    ]
}
