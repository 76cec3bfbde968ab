//! Which peers a listing shows.

use crate::protocol::PeerId;

/// What a peer must be to be listed; an absent field asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFilter {
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
pub enum Extent {
    /// A uniform random sample of this number of peers.
    Sample(usize),
    /// A page in order of peer id. Behind the last id the order begins again with the first.
    Page(PageStart),
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageStart {
    /// The first page: at a peer that follows from this number and from a secret of the registry,
    /// so that nobody chooses who is on the first page, neither its reader nor a peer.
    Drawn(u64),
    /// A later page.
    After {
        /// The last peer of the page before.
        last: String,
        /// Where the first page began and the last one ends; `None`: behind the last id.
        first: Option<String>,
    },
}

/// What a peer announces about itself that a listing can be filtered by, and its privacy wish.
///
/// Many peers share few of these, so the directory counts and draws by traits, not by peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Traits {
    /// The protocol version it speaks.
    pub version: Option<String>,
    /// Whether it relays.
    pub turn_capable: bool,
    /// Whether it helps to bootstrap.
    pub bootstrap_capable: bool,
    /// Whether it asks for its privacy.
    pub privacy_mode: bool,
    /// The network it belongs to.
    pub network_id: Option<String>,
}

impl PeerFilter {
    /// Whether peers with `traits` match, stores and exclusion aside.
    pub fn matches(&self, traits: &Traits) -> bool {
        let is = |wanted: &Option<bool>, has| wanted.is_none_or(|wanted| wanted == has);
        let says =
            |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        is(&self.turn_capable, traits.turn_capable)
            && is(&self.bootstrap_capable, traits.bootstrap_capable)
            && says(&self.network_id, &traits.network_id)
            && says(&self.version, &traits.version)
    }
}
