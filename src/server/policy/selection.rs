//! Which peers a listing shows.

use crate::protocol::PeerId;

/// The properties that a peer must have to be listed; a field that is `None` accepts every peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerFilter {
    /// Relays, or does not.
    pub turn_capable: Option<bool>,
    /// Helps to bootstrap, or does not.
    pub bootstrap_capable: Option<bool>,
    /// Belongs to this network.
    pub network_id: Option<String>,
    /// Serves this store.
    pub store: Option<String>,
    /// Speaks this protocol version.
    pub version: Option<String>,
    /// Is not this peer.
    pub exclude: Option<PeerId>,
}

/// How much of what matches to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A uniform random sample of this number of peers.
    Sample(usize),
    /// A page in order of peer id. After the last id the order continues with the first one.
    Page(PageStart),
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PageStart {
    /// The first page. It begins at a peer that follows from this number and from a secret of the
    /// registry, so that neither a reader nor a peer can choose the peers on the first page.
    Drawn(u64),
    /// A later page.
    After {
        /// The last peer of the previous page.
        last: String,
        /// Where the first page began and the last one ends; `None` means after the last id.
        first: Option<String>,
    },
}

/// The properties of a peer by which a listing can be filtered, and whether it asks for privacy.
///
/// Many peers have the same traits, so the directory stores each combination once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Traits {
    /// The protocol version it speaks.
    pub version: Option<String>,
    /// Whether it relays.
    pub turn_capable: bool,
    /// Whether it helps to bootstrap.
    pub bootstrap_capable: bool,
    /// Whether it asks for privacy.
    pub privacy_mode: bool,
    /// The network it belongs to.
    pub network_id: Option<String>,
}

impl PeerFilter {
    /// Whether peers with `traits` match, without regard to stores and exclusion.
    pub(crate) fn matches(&self, traits: &Traits) -> bool {
        let is = |wanted: &Option<bool>, has| wanted.is_none_or(|wanted| wanted == has);
        let says =
            |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        is(&self.turn_capable, traits.turn_capable)
            && is(&self.bootstrap_capable, traits.bootstrap_capable)
            && says(&self.network_id, &traits.network_id)
            && says(&self.version, &traits.version)
    }
}
