//! Which peers a listing shows.

use crate::protocol::PeerFilter;

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
    /// Whether its registration is proven.
    pub authenticated: bool,
}

impl Traits {
    /// Whether peers with these traits match, without regard to stores and exclusion.
    pub(crate) fn match_filter(&self, filter: &PeerFilter) -> bool {
        let is = |wanted: &Option<bool>, has| wanted.is_none_or(|wanted| wanted == has);
        let says =
            |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        is(&filter.turn_capable, self.turn_capable)
            && is(&filter.bootstrap_capable, self.bootstrap_capable)
            && is(&filter.authenticated, self.authenticated)
            && says(&filter.network_id, &self.network_id)
            && says(&filter.version, &self.version)
    }
}
