//! Which TURN server relays for a new session.

use crate::protocol::PeerId;

/// A load as a share of capacity, in parts of 2^32.
pub(crate) type LoadKey = u64;

/// The load of a server that is full.
pub(crate) const FULL: LoadKey = 1 << 32;

/// A TURN server that may relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'c> {
    pub peer_id: &'c PeerId,
    /// The number of its live sessions.
    pub load: u32,
    /// The max number of its live sessions.
    pub capacity: u32,
    /// Whether its lease has not run out, and it has not withdrawn its offer.
    pub is_active: bool,
}

impl Candidate<'_> {
    /// Whether the server may relay for `asker`: no peer relays for itself.
    pub(crate) fn is_eligible_for(&self, asker: &PeerId) -> bool {
        self.is_active && self.peer_id != asker && load_key(self.load, self.capacity) < FULL
    }

    /// The place in the order of preference; the min is preferred: the lowest load relative to the
    /// capacity, then the lowest id.
    pub(crate) fn rank(&self) -> (LoadKey, &PeerId) {
        (load_key(self.load, self.capacity), self.peer_id)
    }
}

/// The load relative to the capacity, by which servers are compared. A capacity of 0 counts as 1.
pub(crate) fn load_key(load: u32, capacity: u32) -> LoadKey {
    (u64::from(load) << 32) / u64::from(capacity.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Limits;

    fn id(text: &str) -> PeerId {
        PeerId::parse(text, "peerId", &Limits::default()).unwrap()
    }

    fn candidate(peer_id: &PeerId, load: u32, capacity: u32) -> Candidate<'_> {
        Candidate {
            peer_id,
            load,
            capacity,
            is_active: true,
        }
    }

    #[test]
    fn the_lowest_share_of_the_capacity_is_best_and_then_the_lowest_id() {
        let (a, b) = (id("a"), id("b"));
        assert!(candidate(&b, 1, 10).rank() < candidate(&a, 1, 9).rank());
        assert!(candidate(&a, 1, 10).rank() < candidate(&b, 2, 20).rank());
        assert!(candidate(&b, 0, 1).rank() < candidate(&a, 1, 1000).rank());
    }

    #[test]
    fn full_and_inactive_servers_and_the_peer_itself_are_not_eligible() {
        let (asker, server) = (id("asker"), id("server"));
        assert!(candidate(&server, 9, 10).is_eligible_for(&asker));
        assert!(!candidate(&server, 10, 10).is_eligible_for(&asker));
        assert!(!candidate(&asker, 0, 10).is_eligible_for(&asker));
        let gone = Candidate {
            is_active: false,
            ..candidate(&server, 0, 10)
        };
        assert!(!gone.is_eligible_for(&asker));
    }
}
