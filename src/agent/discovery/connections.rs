//! What the node is connected to, as the node itself says.

use std::collections::HashSet;

use crate::protocol::PeerId;

/// What a node is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connected {
    /// This many peers; which ones is not known.
    Count(usize),
    /// These peers. They are not handed out again.
    Peers(Vec<PeerId>),
}

impl Connected {
    /// The number of peers.
    pub fn count(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Peers(ids) => ids.len(),
        }
    }
}

impl From<usize> for Connected {
    fn from(count: usize) -> Self {
        Self::Count(count)
    }
}

impl FromIterator<PeerId> for Connected {
    fn from_iter<I: IntoIterator<Item = PeerId>>(ids: I) -> Self {
        Self::Peers(ids.into_iter().collect())
    }
}

/// Asks the node what it is connected to.
pub(crate) struct Connections {
    ask: Box<dyn Fn() -> Connected + Send + Sync>,
}

impl Connections {
    pub(crate) fn new(ask: impl Fn() -> Connected + Send + Sync + 'static) -> Self {
        Self { ask: Box::new(ask) }
    }

    /// The number of peers that the node is connected to.
    pub(crate) fn count(&self) -> usize {
        (self.ask)().count()
    }

    /// The peers that the node is connected to, as far as it says which.
    pub(crate) fn peers(&self) -> HashSet<PeerId> {
        match (self.ask)() {
            Connected::Count(_) => HashSet::new(),
            Connected::Peers(ids) => ids.into_iter().collect(),
        }
    }
}
